package hunting

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// kind is the type of a property in a filter.
type kind string

const (
	textKind   kind = "Edm.String"
	dateKind   kind = "Edm.DateTimeOffset"
	numberKind kind = "Edm.Int64"
)

// predicate decides whether a row is wanted.
type predicate func(row []byte) bool

// filterTokens are what a $filter is made of: texts, parentheses and commas, and words,
// which are names, operators, numbers and points in time.
var filterTokens = regexp.MustCompile(`\s*('(?:[^']|'')*'|[(),]|[^\s'(),]+)`)

// filter reads a $filter of comparisons, startswith, and, or, not and parentheses over
// the properties that may be filtered on. Everything else is refused, as the services
// refuse it: a point in time in quotes among it.
func filter(text string, properties map[string]kind) (predicate, *refusal) {
	p := &filterParser{properties: properties}
	rest := text
	for strings.TrimSpace(rest) != "" {
		at := filterTokens.FindStringSubmatchIndex(rest)
		if at == nil || at[0] != 0 {
			return nil, badFilter("There is an unterminated string literal in '%s'.", text)
		}
		p.tokens = append(p.tokens, rest[at[2]:at[3]])
		rest = rest[at[1]:]
	}
	want, refused := p.either()
	if refused == nil && p.at < len(p.tokens) {
		refused = badFilter("Syntax error at '%s' in '%s'.", p.tokens[p.at], text)
	}
	return want, refused
}

func badFilter(format string, values ...any) *refusal {
	return &refusal{
		status: 400, graph: "BadRequest", mde: "ODataError",
		message: "The query specified in the URI is not valid. " + fmt.Sprintf(format, values...),
	}
}

type filterParser struct {
	properties map[string]kind
	tokens     []string
	at         int
}

func (p *filterParser) take() string {
	if p.at == len(p.tokens) {
		return ""
	}
	p.at++
	return p.tokens[p.at-1]
}

func (p *filterParser) takeIf(token string) bool {
	if p.at < len(p.tokens) && p.tokens[p.at] == token {
		p.at++
		return true
	}
	return false
}

func (p *filterParser) either() (predicate, *refusal) {
	left, refused := p.both()
	for refused == nil && p.takeIf("or") {
		a := left
		var b predicate
		b, refused = p.both()
		left = func(row []byte) bool { return a(row) || b(row) }
	}
	return left, refused
}

func (p *filterParser) both() (predicate, *refusal) {
	left, refused := p.one()
	for refused == nil && p.takeIf("and") {
		a := left
		var b predicate
		b, refused = p.one()
		left = func(row []byte) bool { return a(row) && b(row) }
	}
	return left, refused
}

func (p *filterParser) one() (predicate, *refusal) {
	switch {
	case p.takeIf("not"):
		inner, refused := p.one()
		return func(row []byte) bool { return !inner(row) }, refused
	case p.takeIf("("):
		inner, refused := p.either()
		if refused == nil && !p.takeIf(")") {
			refused = badFilter("')' or operator expected.")
		}
		return inner, refused
	}
	name := p.take()
	if p.takeIf("(") {
		return p.function(name)
	}
	typ, known := p.properties[name]
	if !known {
		return nil, badFilter("The property '%s' cannot be used in the $filter query option.", name)
	}
	operator := p.take()
	holds, known := operators[operator]
	if !known {
		return nil, badFilter("Syntax error: operator '%s' is not allowed.", operator)
	}
	value, found, refused := literal(p.take())
	switch {
	case refused != nil:
		return nil, refused
	case value != nil && found != typ:
		return nil, badFilter("A binary operator with incompatible types was detected. Found operand types '%s' and '%s' for operator kind '%s'.", typ, found, operator)
	}
	return func(row []byte) bool {
		has, ok := member(row, name, typ)
		switch {
		case value != nil && ok:
			return holds(order(has, value))
		case operator == "eq":
			return value == nil && !ok
		case operator == "ne":
			return value != nil || ok
		}
		return false // null is neither more nor less
	}, nil
}

// function reads startswith, the one function that the documentation shows.
func (p *filterParser) function(name string) (predicate, *refusal) {
	property := p.take()
	comma := p.takeIf(",")
	value, found, refused := literal(p.take())
	switch {
	case name != "startswith":
		return nil, badFilter("An unknown function with name '%s' was found.", name)
	case refused != nil:
		return nil, refused
	case p.properties[property] != textKind:
		return nil, badFilter("The property '%s' cannot be used in the $filter query option.", property)
	case !comma || found != textKind || !p.takeIf(")"):
		return nil, badFilter("No function signature for the function with name 'startswith' matches the specified arguments.")
	}
	return func(row []byte) bool {
		has, ok := member(row, property, textKind)
		return ok && strings.HasPrefix(strings.ToLower(has.(string)), strings.ToLower(value.(string)))
	}, nil
}

// operators say what an order of two values means: below zero is less.
var operators = map[string]func(order int) bool{
	"eq": func(o int) bool { return o == 0 }, "ne": func(o int) bool { return o != 0 },
	"gt": func(o int) bool { return o > 0 }, "ge": func(o int) bool { return o >= 0 },
	"lt": func(o int) bool { return o < 0 }, "le": func(o int) bool { return o <= 0 },
}

// dateForms are the points in time that a filter may name. Source: Defender for
// Endpoint, get machines: lastSeen gt 2018-08-01Z.
var dateForms = []string{time.RFC3339Nano, "2006-01-02Z07:00", "2006-01-02"}

// literal reads a value: a text in single quotes, a whole number, a point in time
// without quotes, or null, which is nil.
func literal(token string) (any, kind, *refusal) {
	if strings.HasPrefix(token, "'") {
		return strings.ReplaceAll(token[1:len(token)-1], "''", "'"), textKind, nil
	}
	if token == "null" {
		return nil, "", nil
	}
	if n, err := strconv.ParseInt(token, 10, 64); err == nil {
		return n, numberKind, nil
	}
	for _, form := range dateForms {
		if at, err := time.Parse(form, token); err == nil {
			return at, dateKind, nil
		}
	}
	return nil, "", badFilter("Syntax error at '%s': a literal is expected.", token)
}

// member reads a property of a row; false where it is absent, null or no such value.
func member(row []byte, name string, typ kind) (any, bool) {
	for key, value := range tenant.Members(row) {
		if string(key) != name {
			continue
		}
		var text string
		if value[0] == '"' {
			_ = json.Unmarshal(value, &text) // a row is valid JSON
		}
		switch {
		case typ == numberKind:
			n, err := strconv.ParseInt(string(value), 10, 64)
			return n, err == nil
		case value[0] != '"':
			return nil, false
		case typ == dateKind:
			at, err := time.Parse(time.RFC3339Nano, text)
			return at, err == nil
		}
		return text, true
	}
	return nil, false
}

// order compares two values of one kind; texts without their case, as the services do.
func order(a, b any) int {
	switch a := a.(type) {
	case time.Time:
		return a.Compare(b.(time.Time))
	case int64:
		return int(min(1, max(-1, a-b.(int64))))
	}
	return strings.Compare(strings.ToLower(a.(string)), strings.ToLower(b.(string)))
}
