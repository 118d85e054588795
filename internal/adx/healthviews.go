package adx

import (
	"fmt"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/internal/kql"
)

// storageCommands make the functions that read every raw table.
func storageCommands(views []view) []string {
	var tables, typed []string
	for _, v := range views {
		for _, o := range v.origins {
			tables = append(tables, kql.Name(o.table))
		}
		if v.typed != nil {
			typed = append(typed, fmt.Sprintf(",\n        (%s | project TableName = %s, Owner = %s, Records = pack_all(), RunId, Slice, SnapshotTime)",
				kql.Name(v.typedName()), kql.String(v.typedName()), originColumn))
		}
	}
	slices.Sort(tables)
	all := "union withsource=TableName " + strings.Join(slices.Compact(tables), ",\n        ")
	owner, has := "TableName", "Records has "
	if len(typed) > 0 { // the rows are there twice, hidden by the raw table's name
		all = "union (" + all + " | extend Owner = TableName)" + strings.Join(typed, "")
		owner = "Owner"
		has = `", iff(Owner == TableName, 'Records', 'tostring(pack_all())'), " has `
	}
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
    | extend Day = bin(coalesce(ingestion_time(), SnapshotTime), 1d), Place = strcat(`+owner+`, ' ', RunId, ' ', Slice), Whole = strcat(`+owner+`, ' ', RunId, ' -1')
    | summarize Rows = count(), Bytes = sum(estimate_data_size(Records)) by TableName, Day, RunId, Slice, Place, Whole, Snapshot = isnotnull(SnapshotTime)
    | extend Kind = case(
        Place in (Gone | project strcat(TableName, ' ', RunId, ' ', Slice)), 'Void',
        Whole in (Gone | project strcat(TableName, ' ', RunId, ' ', Slice)), 'Void',
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
    | summarize Rows = count() by TableName`+strings.TrimPrefix(", "+owner, ", TableName")+`
    | project TableName, Rows, Command = strcat(".delete table ['", TableName, "'] records <| ['", TableName, "'] | where `+has+`", Quoted)`),
	}
}
