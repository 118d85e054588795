package kusto

import (
	"strings"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// script answers .execute database script: commands in order, without a
// transaction. Unless ThrowOnErrors is set an error ends up in a row, and by default
// ends the script without failing the request.
// Source: ADX documentation, ".execute database script".
func (x *execution) script() (*result, error) {
	s := x.s
	s.want("database", "script")
	properties := s.properties()
	text := s.data()
	if s.err != nil {
		return nil, s.err
	}
	x.c.mu.RLock()
	err := x.require("DatabaseScriptExecute", x.db.name)
	x.c.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	commands, err := splitScript(text)
	if err != nil {
		return nil, err
	}
	goOn := strings.EqualFold(properties["continueonerrors"], "true")
	throw := strings.EqualFold(properties["throwonerrors"], "true")
	res := answer("OperationId:guid,CommandType,CommandText,Result,Reason")
	for _, command := range commands {
		kind := commandKind(command)
		if strings.HasPrefix(kind, "Show") {
			continue // the service skips them too
		}
		state, reason := "Completed", ""
		_, err := x.c.execute(x.ctx, x.who, x.db.name, command)
		if err != nil && throw {
			return nil, err
		}
		if err != nil {
			state, reason = "Failed", refusal(err).Error()
		}
		res.rows = append(res.rows, []any{newID(), kind, command, state, reason})
		if err != nil && !goOn {
			break
		}
	}
	return res, nil
}

// splitScript cuts at lines that begin with a dot outside brackets, strings and
// comments.
func splitScript(text string) ([]string, error) {
	var commands []string
	s := newScanner(text)
	from, depth, lineOf := -1, 0, 0
	for {
		tok := s.take()
		if s.err != nil {
			return nil, s.err
		}
		if tok.Kind == engine.TokenEOF {
			break
		}
		first := tok.Line != lineOf
		lineOf = tok.Line
		switch {
		case tok.Is("("), tok.Is("["), tok.Is("{"):
			depth++
		case tok.Is(")"), tok.Is("]"), tok.Is("}"):
			depth--
		case tok.Is(".") && first && depth == 0:
			if from >= 0 {
				commands = append(commands, strings.TrimSpace(text[from:tok.Pos]))
			}
			from = tok.Pos
		}
		if from < 0 {
			return nil, badRequest("BadRequest_SyntaxError", "Syntax error: a script's command must start with '.'.")
		}
	}
	if from >= 0 {
		commands = append(commands, strings.TrimSpace(text[from:]))
	}
	return commands, nil
}

// commandKind gives a command's first words in the form "CreateMergeTable".
func commandKind(command string) string {
	s := newScanner(command)
	s.punct(".")
	var b strings.Builder
	for _, part := range append(strings.Split(s.word(), "-"), s.word()) {
		if part != "" {
			b.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return b.String()
}
