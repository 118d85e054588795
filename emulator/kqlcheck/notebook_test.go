package kqlcheck_test

import (
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/emulator/kqlcheck"
	"github.com/defender2adx/defender2adx/emulator/rounds"
)

// A query of a notebook that does not bind is told with its cell.
func TestNotebook_TellsWhatDoesNotBind(t *testing.T) {
	rounds.Long(t)
	c := start(t)
	if err := c.Reset(kqlcheck.Table{Name: "T", Columns: "(A: string)"}); err != nil {
		t.Fatal(err)
	}
	const (
		prose = `{"cell_type": "markdown", "source": ["\"\"\"T | where None == 1\"\"\""]}, `
		good  = `{"cell_type": "code", "source": ["show(\"\"\"\n", "T | take 1\n", "\"\"\")\n", "show(\"\"\"T | count\"\"\")"]}`
	)
	tests := []struct {
		name, cells, want string
		statements        int
		err               bool
	}{
		{"as it should be", prose + good, "", 2, false},
		{"wrong column", prose + good + `, {"cell_type": "code", "source": ["show(\"\"\"T\n", "| where Aa == 'x'\"\"\")"]}`, "book, cell 3", 3, false},
		{"no query", prose + `{"cell_type": "code", "source": ["show('T')"]}`, "", 0, true},
	}
	for _, tt := range tests {
		var told strings.Builder
		r := kqlcheck.Report{Out: &told}
		err := kqlcheck.Notebook(c, &r, "book", []byte(`{"cells": [`+tt.cells+`]}`))
		if (err != nil) != tt.err || r.Statements != tt.statements || (tt.want == "") != (r.Errors == 0) || !strings.Contains(told.String(), tt.want) {
			t.Errorf("%s: %v; %d statements, %d errors, told %q; want %d and %q", tt.name, err, r.Statements, r.Errors, told.String(), tt.statements, tt.want)
		}
	}
}
