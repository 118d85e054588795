package hunting

import (
	"strconv"
	"strings"

	"github.com/defender2adx/defender2adx/emulator/engine"
	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// A real engine prunes by ingestion time and reads only the columns it needs. The
// evaluator does neither, so a query's text is read beforehand for the places that
// begin "T | where ...": each such place scans a table of its own name with what
// the text shows it needs. This saves work and never decides about a row: every
// where clause is still evaluated, and a place that is not plain is left alone.

// scan is one place of a query that reads a table.
type scan struct {
	table string
	view  tenant.View
}

// narrowed renames the tables at the places it understands, and says what each new
// name scans. It also returns the first table that the text names.
func narrowed(text string, columns func(table string) []engine.Column) (rewritten, first string, scans map[string]scan) {
	tokens := tokenize(text)
	lets, bound := instants(tokens), boundNames(tokens)
	scans = make(map[string]scan)
	var out strings.Builder
	copied := 0
	for i, t := range tokens {
		if !t.name() {
			continue
		}
		cols := columns(t.Text)
		if cols == nil || bound[t.Text] {
			continue
		}
		if first == "" {
			first = t.Text
		}
		if !sourcePlace(tokens, i) || i+1 >= len(tokens) || !tokens[i+1].is("|") {
			continue
		}
		steps, end := pipeline(tokens, i+1)
		whole := (i == 0 || tokens[i-1].is(";")) && end == len(tokens)
		name := t.Text + "~" + strconv.Itoa(len(scans))
		scans[name] = scan{table: t.Text, view: viewOf(steps, whole, cols, lets)}
		out.WriteString(text[copied:t.Pos])
		out.WriteString("['" + name + "']")
		copied = t.End
	}
	out.WriteString(text[copied:])
	return out.String(), first, scans
}

// token is a token of the query; a name in brackets is one token.
type token struct {
	engine.Token
	quoted bool
}

func (t token) name() bool { return t.quoted || t.Kind == engine.TokenName }

func (t token) is(text string) bool { return !t.quoted && t.Is(text) }

// tokenize gives up silently: the evaluator will say what is wrong.
func tokenize(text string) []token {
	lexer := engine.NewLexer(text)
	var all []token
	for {
		t, err := lexer.Next()
		if err != nil {
			return nil
		}
		if t.Kind == engine.TokenEOF {
			return all
		}
		n := len(all)
		if t.Is("]") && n >= 2 && all[n-1].Kind == engine.TokenLiteral && all[n-2].is("[") {
			if s, ok := all[n-1].Value.(string); ok {
				joined := token{Token: engine.Token{Kind: engine.TokenName, Text: s, Pos: all[n-2].Pos, End: t.End}, quoted: true}
				all = append(all[:n-2], joined)
				continue
			}
		}
		all = append(all, token{Token: t})
	}
}

// branches counts the tables that the widest union of a query puts together.
func branches(tokens []token) int {
	widest := 0
	for i, t := range tokens {
		if !t.is("union") {
			continue
		}
		n := 1
		if i > 0 && tokens[i-1].is("|") {
			n = 2 // what comes in is one
		}
		depth := 0
	operands:
		for _, next := range tokens[i+1:] {
			switch {
			case next.is("("):
				depth++
			case next.is(")"):
				depth--
			case next.is(",") && depth == 0:
				n++
			}
			if depth < 0 || depth == 0 && (next.is("|") || next.is(";")) {
				break operands
			}
		}
		widest = max(widest, n)
	}
	return widest
}

// instants collects "let x = datetime(...);".
func instants(tokens []token) map[string]engine.Datetime {
	lets := make(map[string]engine.Datetime)
	for i := 0; i+4 < len(tokens); i++ {
		if !tokens[i].is("let") || !tokens[i+2].is("=") || !tokens[i+4].is(";") {
			continue
		}
		if at, ok := tokens[i+3].Value.(engine.Datetime); ok {
			lets[tokens[i+1].Text] = at
		}
	}
	return lets
}

// boundNames collects the names that let gives a meaning of its own.
func boundNames(tokens []token) map[string]bool {
	names := make(map[string]bool)
	for i := 1; i < len(tokens); i++ {
		if tokens[i-1].is("let") {
			names[tokens[i].Text] = true
		}
	}
	return names
}

// sourcePlace reports whether a table, and no column, is expected at token i.
func sourcePlace(tokens []token, i int) bool {
	switch {
	case i == 0, tokens[i-1].is(";"), tokens[i-1].is("("):
		return true
	case i >= 3 && tokens[i-1].is("="):
		return tokens[i-3].is("let")
	}
	return false
}

// pipeline splits what follows a table at its bars, and tells where it ends.
func pipeline(tokens []token, i int) (steps [][]token, end int) {
	depth := 0
	for ; i < len(tokens); i++ {
		switch t := tokens[i]; {
		case t.is("(") || t.is("[") || t.is("{"):
			depth++
		case t.is(")") || t.is("]") || t.is("}"):
			if depth--; depth < 0 {
				return steps, i
			}
		case depth == 0 && t.is(";"):
			return steps, i
		case depth == 0 && t.is("|"):
			steps = append(steps, nil)
			continue
		}
		n := len(steps) - 1
		steps[n] = append(steps[n], tokens[i])
	}
	return steps, i
}

// viewOf says what a pipeline needs of its table. whole tells that the pipeline is
// the query's result.
func viewOf(steps [][]token, whole bool, cols []engine.Column, lets map[string]engine.Datetime) tenant.View {
	var v tenant.View
	for _, step := range steps {
		if len(step) == 0 || !step[0].is("where") {
			break
		}
		bound(&v, step[1:], lets)
	}
	known := make(map[string]bool, len(cols))
	for _, c := range cols {
		known[c.Name] = true
	}
	needed := []string{}
	for _, step := range steps {
		if len(step) == 0 {
			return v
		}
		kind := step[0].Text
		switch kind {
		case "where", "take", "limit", "sort", "order", "top", "summarize", "count", "project", "distinct":
		default:
			return v
		}
		for _, t := range step[1:] {
			text := t.Text
			if s, ok := t.Value.(string); ok && t.Kind == engine.TokenLiteral {
				text = s
			}
			if t.is("*") || t.is("pack_all") {
				return v
			}
			if known[text] {
				needed = append(needed, text)
				known[text] = false
			}
		}
		switch kind {
		case "summarize", "count", "project", "distinct":
			v.Columns, v.Bare = needed, true
			return v
		}
	}
	if whole { // the rows come out as they stand
		v.Columns = needed
	}
	return v
}

// bound narrows a view by the conditions on ingestion_time() that a where clause
// demands of every row.
func bound(v *tenant.View, clause []token, lets map[string]engine.Datetime) {
	var parts [][]token
	var part []token
	depth := 0
	for _, t := range clause {
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case depth == 0 && t.is("or"):
			// isnull(ingestion_time()) or ...: rows without one pass every view.
			if len(parts) > 0 || !spells(part, "isnull", "(", "ingestion_time", "(", ")", ")") {
				return
			}
			part = nil
			continue
		case depth == 0 && t.is("and"):
			parts, part = append(parts, part), nil
			continue
		}
		part = append(part, t)
	}
	for _, p := range append(parts, part) {
		if len(p) != 5 || !spells(p[:3], "ingestion_time", "(", ")") {
			continue
		}
		at, ok := p[4].Value.(engine.Datetime)
		if !ok {
			if at, ok = lets[p[4].Text]; !ok {
				continue
			}
		}
		switch p[3].Text {
		case ">":
			v.After = max(v.After, at)
		case ">=":
			v.After = max(v.After, at-1)
		case "<=":
			v.UpTo = least(v.UpTo, at)
		case "<":
			v.UpTo = least(v.UpTo, at-1)
		}
	}
}

func spells(tokens []token, words ...string) bool {
	if len(tokens) != len(words) {
		return false
	}
	for i, t := range tokens {
		if !t.is(words[i]) {
			return false
		}
	}
	return true
}

// least is the smaller bound, where 0 is none.
func least(a, b engine.Datetime) engine.Datetime {
	if a == 0 {
		return b
	}
	return min(a, b)
}
