package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// keys are what a line of each measurement carries, in order.
var keys = map[string][]string{
	"rowpath": {"mb_s", "of_floor", "times_plain"},
	"memory":  {"peak_rss_mib"},
	"calls":   {"calls", "ideal", "of_ideal"},
	"quota":   {"processes", "used", "provoked_429"},
	"export":  {"rows", "handler_bytes"},
	"plan":    {"planned_calls", "calls", "planned_rows", "rows"},
	// Of one case.
	"quota/one-table": {"fetching", "chain", "provoked_429"},
	"export/files":    {"files", "handler_bytes"},
	"growth":          {"rows", "seconds", "calls", "peak_rss_mib"},
	"coldstart":       {"ready_ms", "first_row_ms"},
	"endtoend":        {"rows_s", "handler_share"},
}

var (
	lineText  = regexp.MustCompile(`^bench: name=(\w+)(?: case=(\S+))? (.+)$`)
	valueText = regexp.MustCompile(`^(\w+)=(\d+(?:\.\d+)?)$`)
)

// Measure runs one measurement. It is an error when that prints no figure, or
// not the keys that its lines promise; the figures themselves are not judged.
func (b *Bench) Measure(ctx context.Context, m Measurement) error {
	var lines bytes.Buffer
	one := *b
	one.Out = io.MultiWriter(b.Out, &lines)
	err := m.Run(ctx, &one)
	if err == nil {
		err = checkLines(m.Name, lines.String())
	}
	if err != nil {
		return fmt.Errorf("measure %s: %w", m.Name, err)
	}
	return nil
}

// checkLines compares the lines of a measurement with its keys.
func checkLines(name, lines string) error {
	if lines == "" {
		return errors.New("no figure")
	}
	for line := range strings.Lines(lines) {
		parts := lineText.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if parts == nil || parts[1] != name {
			return fmt.Errorf("read line %q: want a line of %s", line, name)
		}
		var got []string
		for _, pair := range strings.Fields(parts[3]) {
			value := valueText.FindStringSubmatch(pair)
			if value == nil {
				return fmt.Errorf("read line %q: want key=number, got %q", line, pair)
			}
			got = append(got, value[1])
		}
		want, ok := keys[name+"/"+parts[2]]
		if !ok {
			want = keys[name]
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("read line %q: want the keys %v", line, want)
		}
	}
	return nil
}
