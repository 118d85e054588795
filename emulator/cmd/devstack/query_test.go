package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	kustoerrors "github.com/Azure/azure-kusto-go/azkustodata/errors"
	queryv2 "github.com/Azure/azure-kusto-go/azkustodata/query/v2"

	"github.com/defender2adx/defender2adx/emulator/stack"
)

func TestFit_NarrowsTheWidestUntilALineFits(t *testing.T) {
	for _, tt := range []struct {
		name   string
		widths []int
		total  int
		want   []int
		fits   bool
	}{
		{"it fits", []int{10, 20}, 32, []int{10, 20}, true},
		{"the widest gives way", []int{48, 27, 5, 28}, 80, []int{23, 23, 5, 23}, true},
		{"narrow columns stay", []int{5, 60}, 40, []int{5, 33}, true},
		{"none gives more than it can", []int{20, 20, 20}, 10, []int{8, 8, 8}, false},
		{"one column", []int{100}, 60, []int{60}, true},
		{"none", nil, 60, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := slices.Clone(tt.widths)
			if fits := fit(got, tt.total); fits != tt.fits || !slices.Equal(got, tt.want) {
				t.Errorf("fit(%v, %d) = %v, %v, want %v, %v", tt.widths, tt.total, got, fits, tt.want, tt.fits)
			}
		})
	}
}

func TestPrintRecords_GivesEachValueALine(t *testing.T) {
	var out strings.Builder
	err := printRecords(&out, [][]string{{"Name", "B"}, {"one", "a longer value"}, {"two", ""}}, 12)
	if want := "Name  one\nB     a lon…\n\nName  two\nB\n\n(2 rows)\n"; err != nil || out.String() != want {
		t.Errorf("printed %q, %v; want %q", out.String(), err, want)
	}
	out.Reset() // an answer without rows whose columns are too many for a line
	if err := printRecords(&out, [][]string{{"Name", "B"}}, 12); err != nil || out.String() != "(0 rows)\n" {
		t.Errorf("printed %q, %v for no rows", out.String(), err)
	}
}

func TestReadable_IsALogLineForATerminal(t *testing.T) {
	const put = `{"time":"2026-11-27T12:24:08.38Z","level":"INFO","msg":"put off","function":"migrate","invocation_id":"d8d7","table":"AlertInfo","delay_s":6.3,"reason":"no call is free at this moment"}`
	for _, tt := range []struct {
		name, line, want string
		width            int
	}{
		{"cut", put, "12:24:08 put off table=AlertInfo delay_…", 40},
		{"with room", put, "12:24:08 put off table=AlertInfo delay_s=6.3 reason=no call is free at this moment", 100},
		{"an error is whole", strings.Replace(put, "INFO", "ERROR", 1), "12:24:08 ERROR put off table=AlertInfo\n  delay_s=6.3 reason=no call is free at\n  this moment", 40},
		{"no terminal", put, put, 0},
		{"no record", "wake-ups sent: 63", "wake-ups sent: 63", 40},
	} {
		if got := readable(tt.line, tt.width); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestCut_SaysThatSomethingIsMissing(t *testing.T) {
	for _, tt := range []struct {
		text  string
		width int
		want  string
	}{{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"ééé", 2, "é…"}, {"ab", 0, "…"}} {
		if got := cut(tt.text, tt.width); got != tt.want {
			t.Errorf("cut(%q, %d) = %q, want %q", tt.text, tt.width, got, tt.want)
		}
	}
}

func TestExplained_IsTheServicesOwnSentence(t *testing.T) {
	answer := func(body string) error {
		return fmt.Errorf("wrapped: %w", kustoerrors.HTTP(kustoerrors.OpQuery, "400 Bad Request", 400, io.NopCloser(strings.NewReader(body)), "with query"))
	}
	const refusal = "the local cluster does not support the command"
	for _, tt := range []struct{ name, body, want string }{
		{"the cause", `{"error":{"@message":"Request is invalid: Semantic error: x","innererror":{"@message":"Semantic error: x"}}}`, "ADX answers 400: Semantic error: x"},
		{"without a cause", `{"error":{"@message":"` + refusal + `"}}`, "ADX answers 400: " + refusal},
	} {
		if got := explained(answer(tt.body)); got.Error() != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	broken := fmt.Errorf("wrapped: %w", &queryv2.OneApiError{ErrorMessage: queryv2.ErrorMessage{Description: "too many rows"}})
	if got, want := explained(broken).Error(), "ADX broke the answer off: too many rows"; got != want {
		t.Errorf("in the answer: %q, want %q", got, want)
	}
	for _, err := range []error{errors.New("anything else"), answer("<html>"), answer(`{"error":{}}`)} {
		if got := explained(err); got != err {
			t.Errorf("explained(%v) = %v, want it as it is", err, got)
		}
	}
}

func TestFind_SaysWhenTheStackIsGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stack.json")
	if _, err := (running{path}).find(t.Context()); err == nil || !strings.Contains(err.Error(), "run make start") {
		t.Errorf("no description: %v", err)
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (stack.Description{Kusto: "https://" + l.Addr().String()}).Post(path); err != nil {
		t.Fatal(err)
	}
	if _, err := (running{path}).find(t.Context()); err != nil {
		t.Errorf("a stack that listens: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := (running{path}).find(t.Context()); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("a stack that was killed: %v", err)
	}
}
