// Package bench measures the product on one machine: the built handler, unchanged,
// against the emulators. It prints one line a figure and judges nothing; the bars
// and what the figures mean stand in docs/performance.md.
//
// Other programs share the machine, so figures are ratios and medians of
// interleaved repetitions, and CPU time where a wall clock would count waiting.
package bench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"

	"github.com/defender2adx/defender2adx/emulator/stack"
)

// Bench is one run of the suite. Short makes every case as small as it can be
// while it still works.
type Bench struct {
	App   stack.App
	Out   io.Writer    // the figures
	Log   *slog.Logger // progress
	Short bool
	Case  string // the only case to measure, of quota, memory and export (rows, files); "": all
}

func (b *Bench) wants(name string) bool { return b.Case == "" || b.Case == name }

// A Measurement is one kind of figure.
type Measurement struct {
	Name string
	Run  func(ctx context.Context, b *Bench) error
}

// All returns the measurements in the order of the report.
func All() []Measurement {
	return []Measurement{
		{"rowpath", rowpathFigures},
		{"memory", memoryFigures},
		{"calls", callFigures},
		{"plan", planFigures},
		{"export", exportFigures},
		{"quota", quotaFigures},
		{"growth", growthFigures},
		{"coldstart", coldstartFigures},
		{"endtoend", endToEndFigures},
	}
}

// figure prints a line; pairs are keys and values in turn. at "": there is but one case.
func (b *Bench) figure(name, at string, pairs ...any) {
	var line strings.Builder
	fmt.Fprintf(&line, "bench: name=%s", name)
	if at != "" {
		fmt.Fprintf(&line, " case=%s", at)
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		value := fmt.Sprint(pairs[i+1])
		if f, ok := pairs[i+1].(float64); ok {
			value = strconv.FormatFloat(f, 'f', 2, 64)
		}
		fmt.Fprintf(&line, " %s=%s", pairs[i], value)
	}
	fmt.Fprintln(b.Out, line.String())
}

// of returns the second number in a short run.
func (b *Bench) of(full, short int) int {
	if b.Short {
		return short
	}
	return full
}
