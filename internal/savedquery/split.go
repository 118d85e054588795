package savedquery

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// parts is a query's text without comments, taken apart.
type parts struct {
	lets   []string // let statements, without their semicolons
	result string   // the one statement that gives rows
}

// split takes a query apart: let statements, then one that gives rows. What the service
// would not run whole, or not as a part of another query, is refused.
func split(text string) (parts, error) {
	var p parts
	if err := CheckLines(text); err != nil {
		return p, err
	}
	statements, err := scan(text)
	if err != nil {
		return p, err
	}
	for _, s := range statements {
		switch word := firstWord.FindString(s.text); {
		case strings.HasPrefix(s.text, "."):
			return p, fmt.Errorf("line %d: a control command is refused, a saved query only reads: %q", s.line, clip(s.text))
		case strings.HasPrefix(s.text, "#"):
			return p, fmt.Errorf("line %d: a directive is refused: %q", s.line, clip(s.text))
		case slices.Contains([]string{"set", "declare", "alias", "restrict", "pattern"}, word):
			return p, fmt.Errorf("line %d: a statement %s is refused: only let may stand before the statement that gives rows", s.line, word)
		case p.result != "":
			return p, fmt.Errorf("line %d: a second statement after the one that gives rows: %q; a saved query has one, its let statements stand first", s.line, clip(s.text))
		case word == "let":
			if ours.MatchString(s.text) {
				return p, fmt.Errorf("line %d: names that begin with d2a_ are taken: %q", s.line, clip(s.text))
			}
			p.lets = append(p.lets, s.text)
		default:
			if err := s.checkOperators(); err != nil {
				return p, err
			}
			p.result = s.text
		}
	}
	if p.result == "" {
		return p, errors.New("no statement gives rows")
	}
	return p, nil
}

var (
	firstWord = regexp.MustCompile(`^[a-z]+\b`)
	ours      = regexp.MustCompile(`^let\s+(\[\s*['"])?d2a_`)
)

// CheckLines refuses what the service reads in another way than the scanner does.
func CheckLines(text string) error {
	if !utf8.ValidString(text) {
		return errors.New("the text is not UTF-8")
	}
	number, begun := 0, false
	for line := range strings.Lines(strings.TrimRightFunc(text, unicode.IsSpace)) {
		number++
		empty := strings.TrimSpace(line) == ""
		if empty && !begun {
			continue
		}
		begun = true
		if empty {
			return fmt.Errorf("line %d is empty: the service takes an empty line for the end of a query; write // to set paragraphs apart", number)
		}
		for _, r := range strings.TrimSuffix(line, "\n") {
			if unicode.IsControl(r) && r != '\t' || r == '\u2028' || r == '\u2029' {
				return fmt.Errorf("line %d: character U+%04X is refused", number, r)
			}
		}
	}
	return nil
}

// statement is one of a text, without comments.
type statement struct {
	text  string
	line  int // where it begins, from 1
	pipes []int
}

// checkOperators refuses operators that may only end a query, or give more than one
// table: a saved query becomes a part of others.
func (s statement) checkOperators() error {
	for _, at := range s.pipes {
		switch word := firstWord.FindString(strings.TrimSpace(s.text[at+1:])); word {
		case "render":
			return errors.New("operator render is refused: rows are copied, nothing is drawn")
		case "fork", "facet":
			return fmt.Errorf("operator %s is refused: it gives more than one table", word)
		}
	}
	return nil
}

// scanner finds where strings, comments, brackets and statements of a text end. It
// knows no more of the language.
type scanner struct {
	text string
	at   int
	line int
	open []byte // closing brackets that are awaited
	out  []byte // the statement so far
	from int    // the line at which it began; 0: not yet
	bars []int  // of the statement, outside of brackets
	done []statement
}

func scan(text string) ([]statement, error) {
	s := &scanner{text: text, line: 1}
	for s.at < len(s.text) {
		if err := s.step(); err != nil {
			return nil, err
		}
	}
	if n := len(s.open); n > 0 {
		return nil, fmt.Errorf("bracket %c is missing at the end", s.open[n-1])
	}
	return s.done, s.end(true)
}

// step takes up a comment, a string or a character.
func (s *scanner) step() error {
	rest := s.text[s.at:]
	c := rest[0]
	switch {
	case strings.HasPrefix(rest, "//"):
		s.at += lineEnd(rest)
		return nil
	case strings.HasPrefix(rest, "```"), strings.HasPrefix(rest, "~~~"):
		end := strings.Index(rest[3:], rest[:3])
		if end < 0 {
			return fmt.Errorf("line %d: string %s is not closed", s.line, rest[:3])
		}
		s.take(end + 6)
		return nil
	case c == '"' || c == '\'':
		n, ok := quoted(rest, s.at > 0 && s.text[s.at-1] == '@')
		if !ok {
			return fmt.Errorf("line %d: string %c is not closed", s.line, c)
		}
		s.take(n)
		return nil
	case c == ';' && len(s.open) == 0:
		s.at++
		return s.end(false)
	}
	if i := strings.IndexByte("([{", c); i >= 0 {
		s.open = append(s.open, ")]}"[i])
	} else if strings.IndexByte(")]}", c) >= 0 {
		if n := len(s.open); n == 0 || s.open[n-1] != c {
			return fmt.Errorf("line %d: bracket %c closes nothing", s.line, c)
		}
		s.open = s.open[:len(s.open)-1]
	}
	if c == '|' && len(s.open) == 0 {
		s.bars = append(s.bars, len(s.out))
	}
	s.take(1)
	return nil
}

// take adds n bytes of the text to the statement, which no white space begins. A line
// that held but a comment is left out with its end.
func (s *scanner) take(n int) {
	piece := s.text[s.at : s.at+n]
	s.at += n
	switch {
	case s.from == 0 && strings.TrimSpace(piece) == "":
	case piece == "\n" && len(bytes.TrimSpace(s.out[s.lineAt():])) == 0:
		s.out = s.out[:s.lineAt()]
	default:
		if s.from == 0 {
			s.from = s.line
		}
		s.out = append(s.out, piece...)
	}
	s.line += strings.Count(piece, "\n")
}

// lineAt is where the statement's last line begins.
func (s *scanner) lineAt() int { return bytes.LastIndexByte(s.out, '\n') + 1 }

// end closes a statement; the last one may lack.
func (s *scanner) end(last bool) error {
	lead := len(s.out) - len(bytes.TrimLeftFunc(s.out, unicode.IsSpace)) // of blanks that take several bytes
	for i := range s.bars {
		s.bars[i] -= lead
	}
	text := string(bytes.TrimSpace(s.out))
	if text == "" && !last {
		return fmt.Errorf("line %d: a statement is empty", s.line)
	}
	if text != "" {
		s.done = append(s.done, statement{text, s.from, s.bars})
	}
	s.out, s.from, s.bars = nil, 0, nil
	return nil
}

// quoted returns the length of the string that rest begins with. None goes over the
// end of a line. Source: Microsoft's parser, Kusto.Language 12.4.1.
func quoted(rest string, verbatim bool) (int, bool) {
	for i := 1; i < lineEnd(rest); i++ {
		switch {
		case rest[i] == '\\' && !verbatim:
			i++
		case rest[i] != rest[0]:
		case verbatim && i+1 < len(rest) && rest[i+1] == rest[0]:
			i++
		default:
			return i + 1, true
		}
	}
	return 0, false
}

func lineEnd(text string) int {
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		return i
	}
	return len(text)
}

// clip quotes the beginning of a text in an error.
func clip(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	if len(line) > 60 {
		line = strings.ToValidUTF8(line[:60], "") + "…"
	}
	return line
}
