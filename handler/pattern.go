package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// isPattern reports whether a name on the command line or in a file is a pattern.
func isPattern(name string) bool { return strings.ContainsAny(name, "*?[") }

// fits reports whether a pattern, or a name of old or of today, means one of the names
// of a table, in any letter case. Unlike that of files, its * goes over slashes: a
// source such as api/machines is one name.
func fits(pattern string, names []string) (bool, error) {
	plain := func(text string) string { return strings.ReplaceAll(strings.ToLower(text), "/", "\x00") }
	for _, name := range names {
		ok, err := path.Match(plain(plan.TodaysName(pattern)), plain(name))
		if err != nil {
			return false, usageError{fmt.Errorf("pattern %q: want * for any characters, ? for one, [ab] for some", pattern)}
		}
		if ok {
			return true, nil
		}
	}
	return false, nil
}

// namesOf are the names by which a person means the table of a row: of its source, the
// one of today, the one that is written and the short one, and of its destination.
func namesOf(row plan.Row) []string {
	names := []string{row.SourceTable, row.WrittenName(), schema.ShortName(row.SourceTable), row.DestinationTable}
	slices.Sort(names)
	return slices.Compact(names)
}
