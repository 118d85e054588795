package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// todaysNames are hunting tables by the names that they had until 2020, which the
// configurations of old scripts still use.
// Source: Microsoft Defender XDR documentation, "Naming changes in the advanced hunting schema".
var todaysNames = map[string]string{
	"MachineInfo":                "DeviceInfo",
	"MachineNetworkInfo":         "DeviceNetworkInfo",
	"ProcessCreationEvents":      "DeviceProcessEvents",
	"NetworkCommunicationEvents": "DeviceNetworkEvents",
	"FileCreationEvents":         "DeviceFileEvents",
	"RegistryEvents":             "DeviceRegistryEvents",
	"LogonEvents":                "DeviceLogonEvents",
	"ImageLoadEvents":            "DeviceImageLoadEvents",
	"MiscEvents":                 "DeviceEvents",
}

// TodaysName is the name that Defender has for a source table now; for most it is the
// same. Names of old are read in any letter case: no table of today is called so.
func TodaysName(source string) string {
	for old, name := range todaysNames {
		if strings.EqualFold(old, source) {
			return name
		}
	}
	return source
}

// NamesOf are the names under which the configuration may have a source table, the one
// of today first; those of old in any letter case.
func NamesOf(source string) []string {
	names := []string{source}
	for _, old := range slices.Sorted(maps.Keys(todaysNames)) {
		if todaysNames[old] == source {
			names = append(names, old)
		}
	}
	return names
}

// errAlertEvents is what to do about a table that became two.
var errAlertEvents = errors.New("SourceTable: AlertEvents became two tables: append a row for AlertInfo and one for AlertEvidence, each with a DestinationTable of its own, and one for AlertEvents with IsActive = false")

// Divided tells what to do where the source table is one that became two; nil: it is none.
func Divided(source string) error {
	if strings.EqualFold(source, "AlertEvents") {
		return errAlertEvents
	}
	return nil
}

// Renamed is the row under today's name of its table, with the name that it is written
// under.
func (r Row) Renamed() Row {
	if name := TodaysName(r.SourceTable); name != r.SourceTable {
		r.Written, r.SourceTable = r.SourceTable, name
	}
	return r
}

// OneName decides between the rows of a table that stands under two names, oldest first:
// those of a name that was switched off last are no commands any more, if the other is
// switched on. Rows that we published stay, for what they tell of runs.
func OneName(rows []Row) []Row {
	newest := map[string]Row{}
	on := false
	for _, r := range rows {
		newest[r.Written] = r
	}
	for _, r := range newest {
		on = on || r.IsActive
	}
	if len(newest) < 2 || !on {
		return rows
	}
	return slices.DeleteFunc(rows, func(r Row) bool { return !newest[r.Written].IsActive && r.RunID == "" })
}

// Doubled tells what is wrong where a table stands under two names, both switched on:
// one table would be copied by two rows.
func Doubled(a, b Row) error {
	if a.Written == b.Written || !a.IsActive || !b.IsActive {
		return nil
	}
	one, other := a.WrittenName(), b.WrittenName()
	return fmt.Errorf("SourceTable: %s and %s are one table, and both are switched on: append a row of one of them with IsActive = false", min(one, other), max(one, other))
}

// WrittenName is the name under which the configuration has the row.
func (r Row) WrittenName() string {
	if r.Written != "" {
		return r.Written
	}
	return r.SourceTable
}
