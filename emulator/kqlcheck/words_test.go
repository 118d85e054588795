package kqlcheck_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/engine"
	"github.com/defender2adx/defender2adx/emulator/rounds"
)

// noTables is a database without anything in it.
type noTables struct{}

func (noTables) Table(string) (engine.Source, bool)       { return nil, false }
func (noTables) Function(string) (*engine.Function, bool) { return nil, false }
func (noTables) TableNames() []string                     { return nil }

// A word of the language is a name for the engine where it is one for Microsoft's
// parser. The first places are asked in every run, the others at night: the parser
// takes milliseconds for each.
func TestWords_AreNamesForTheEngineWhereTheyAreForTheParser(t *testing.T) {
	rounds.Long(t)
	c := start(t)
	words, err := c.Words()
	if err != nil || len(words) < 200 {
		t.Fatalf("%d words of the language, %v", len(words), err)
	}
	const one = "datatable(A:string, B:long, C:dynamic)['x', 1, dynamic({})] | "
	const named = "datatable(['word']:long, ['other']:long)[1, 2] | "
	always := []string{
		"let word = 5; print X = word", one + "extend word = 1", named + "where word == 1",
	}
	rest := []string{
		"let word = datatable(A:long)[1]; word | take 1", "let word = (a:long) { a }; print 1", "let f = (word:long) { 1 + word }; print f(1)",
		"range word from 1 to 2 step 1", one + "as word | take 1", "declare query_parameters(word:long = 1); print X = 1", "print word = 1",
		"datatable(word:long)[1]", one + "project word = A", one + "project-rename word = A", one + "summarize count() by word = A", one + "summarize (word, X) = arg_max(B, A)",
		one + "parse A with '(' word ')'", one + "mv-expand word = C", one + "extend X = C.word", named + "project word", named + "sort by word", named + "distinct word",
		named + "summarize count() by word", named + "summarize max(word)", named + "project-away word", named + "project-keep word", named + "project-reorder word",
		named + "join kind=inner (" + named + "take 1) on word", named + "join kind=inner (" + named + "take 1) on $left.word == $right.word",
	}
	forms := always
	forms = append(forms, rest[:rounds.Of(0, 0, len(rest))]...)
	refused := 0
	for _, form := range forms {
		for _, word := range words {
			text := regexp.MustCompile(`\bword\b`).ReplaceAllString(form, word)
			found, err := c.Hunting(text)
			if err != nil {
				t.Fatal(err)
			}
			_, err = engine.Run(t.Context(), engine.Query{Text: text, Now: time.Now(), Catalog: noTables{}})
			if unsupported := (*engine.UnsupportedError)(nil); errors.As(err, &unsupported) {
				continue // alias | take 1: refused by name
			}
			if (err != nil) != (len(found) > 0) {
				t.Errorf("%s: the engine says %v, the parser %v", text, err, found)
			}
			if err != nil {
				refused++
			}
		}
	}
	if refused < 100*len(forms) {
		t.Errorf("%d refusals in %d places: too few for this test to show anything", refused, len(forms))
	}
	// In brackets each is a name.
	quoted := regexp.MustCompile(`\b(\w+)\b`).ReplaceAllString(strings.Join(words, ","), "['$1']:long")
	if _, err := engine.Run(t.Context(), engine.Query{Text: "datatable(" + quoted + ")[]", Now: time.Now(), Catalog: noTables{}}); err != nil {
		t.Error(err)
	}
}
