package adx

import (
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/internal/kql"
)

// storageCommands make the functions that read every raw table.
func storageCommands(views []view) []string {
	var tables []string
	for _, v := range views {
		for _, o := range v.origins {
			tables = append(tables, kql.Name(o.table))
		}
	}
	slices.Sort(tables)
	all := "union withsource=TableName " + strings.Join(slices.Compact(tables), ",\n        ")
	return []string{
		functionCommand("Health", "Rows and bytes of every raw table by day; those that no view shows apart, with the command that frees them", "MigrationStorage", "", `    let Gone = MigrationVoidSlices
    | extend Said = coalesce(ingestion_time(), Timestamp)
    | summarize arg_max(Said, Hidden) by TableName, RunId, Slice
    | where isnull(Hidden) or Hidden
    | project TableName, RunId, Slice;
    let Ended = MigrationAuditLog
    | where Status in ('Success', 'Torn') and isnotempty(RunId)
    | project RunId;
    `+all+`
    | extend Day = bin(coalesce(ingestion_time(), SnapshotTime), 1d), Place = strcat(TableName, ' ', RunId, ' ', Slice)
    | summarize Rows = count(), Bytes = sum(estimate_data_size(Records)) by TableName, Day, RunId, Slice, Place, Snapshot = isnotnull(SnapshotTime)
    | extend Kind = case(
        Place in (Gone | project strcat(TableName, ' ', RunId, ' ', Slice)), 'Void',
        strcat(TableName, ' ', RunId, ' -1') in (Gone | project strcat(TableName, ' ', RunId, ' ', Slice)), 'Void',
        Snapshot and RunId !in (Ended), 'Superseded',
        'Shown')
    | extend Rule = iff(Kind == 'Shown', '', strcat("RunId == '", RunId, "' and Slice == ", Slice))
    | summarize Rows = sum(Rows), Bytes = sum(Bytes), Rules = make_set_if(Rule, isnotempty(Rule)) by TableName, Day, Kind
    | extend Frees = iff(Kind == 'Shown', '', strcat(".delete table ['", TableName, "'] records <| ['", TableName, "'] | where ", strcat_array(Rules, ' or ')))
    | project TableName, Day, Kind, Rows, Bytes, Frees`),
		functionCommand("Health", "The commands that delete every row in which a person or a device is named", "MigrationForget", "who: string", `    let Written = replace_string(replace_string(who, '\\', '\\\\'), '"', '\\"');
    let Quoted = strcat("'", replace_string(replace_string(Written, '\\', '\\\\'), "'", "\\'"), "'");
    `+all+`
    | where isnotempty(who) and Records has Written
    | summarize Rows = count() by TableName
    | project TableName, Rows, Command = strcat(".delete table ['", TableName, "'] records <| ['", TableName, "'] | where Records has ", Quoted)`),
	}
}
