package engine

import "fmt"

// SyntaxError says that the text is not KQL. Pos is a byte offset, Line and Col
// count from 1.
type SyntaxError struct {
	Message        string
	Pos, Line, Col int
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("Syntax error: %s on line [%d,%d]", e.Message, e.Line, e.Col)
}

// SemanticError says that the text is KQL but means nothing here: an unknown
// name, a wrong type, a wrong number of arguments. Code is the service's
// ("SEM0100") where it is known, else empty.
type SemanticError struct {
	Code           string
	Message        string // without code or position, as the hunting API shows it
	Pos, Line, Col int
}

func (e *SemanticError) Error() string {
	if e.Code == "" {
		return "Semantic error: " + e.Message
	}
	return "Semantic error: " + e.Code + ": " + e.Message
}

// UnsupportedError names a construct of KQL that this evaluator does not know.
// The service may well answer such a query.
type UnsupportedError struct {
	Construct      string
	Pos, Line, Col int
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("%s at line %d, column %d is not supported by this evaluator", e.Construct, e.Line, e.Col)
}

// LimitError says that a result has more rows than Query.MaxRows.
type LimitError struct{ Rows int }

func (e *LimitError) Error() string { return fmt.Sprintf("result exceeds %d rows", e.Rows) }

// RuntimeError is raised by the rows, not by the text: a failed assert, a value
// that an operator cannot take.
type RuntimeError struct{ Message string }

func (e *RuntimeError) Error() string { return e.Message }

func semantic(p place, code, format string, args ...any) error {
	return &SemanticError{Code: code, Message: fmt.Sprintf(format, args...), Pos: p.off, Line: p.line, Col: p.col}
}

func unsupported(p place, format string, args ...any) error {
	return &UnsupportedError{Construct: fmt.Sprintf(format, args...), Pos: p.off, Line: p.line, Col: p.col}
}
