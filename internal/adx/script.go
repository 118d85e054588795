package adx

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/defender2adx/defender2adx/internal/kql"
)

// SplitScript divides a KQL file into its commands. A command begins at a line
// that begins with a dot and ends before the next such line; comments and empty
// lines between commands belong to none. Inside a command both are kept.
func SplitScript(text string) []string {
	var commands []string
	var lines []string
	end := func() {
		for n := len(lines); n > 0 && betweenCommands(lines[n-1]); n-- {
			lines = lines[:n-1]
		}
		if len(lines) > 0 {
			commands = append(commands, strings.Join(lines, "\n"))
		}
		lines = nil
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, "."):
			end()
			lines = []string{line}
		case len(lines) > 0:
			lines = append(lines, line)
		}
	}
	end()
	return commands
}

func betweenCommands(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || strings.HasPrefix(line, "//")
}

// rawColumns are the columns of every raw table.
const rawColumns = "(Records: dynamic, RunId: string, Slice: int, SnapshotTime: datetime)"

// rawTableScript returns the commands that make a raw table, as tables.kql holds
// them for the catalogue. Records keeps whole rows, so it is encoded for values
// beyond the usual megabyte; DynamicJsonMap is the original script's mapping. The
// function is the table as readers should see it.
func rawTableScript(table string) string {
	name := kql.Name(table)
	return fmt.Sprintf(`.create-merge table %[1]s %[2]s

.create-or-alter table %[1]s ingestion json mapping 'DynamicJsonMap' '[{"Column": "Records", "Properties": {"Path": "$"}}]'

.alter column %[1]s.['Records'] policy encoding type = 'BigObjectIndexed32'

.alter table %[1]s policy extent_tags_retention '[{"TagPrefix": "ingest-by:", "RetentionPeriod": "30.00:00:00"}]'

%[3]s
`, name, rawColumns, visibleFunction(table, table))
}

// visibleFunction makes the function that is a table as readers should see it: less the
// slices and runs that are hidden in the raw tables.
func visibleFunction(table string, raws ...string) string {
	of := "== '" + raws[0] + "'"
	if len(raws) > 1 {
		of = "in ('" + strings.Join(raws, "', '") + "')"
	}
	return functionCommand("Visible", "The rows of "+table+", hidden slices and runs left out", table+"Visible", "", fmt.Sprintf(`    let Gone = MigrationVoidSlices
    | where TableName %s
    | extend Said = coalesce(ingestion_time(), Timestamp)
    | summarize arg_max(Said, Hidden) by RunId, Slice
    | where isnull(Hidden) or Hidden
    | project RunId, Slice;
    %s
    | where RunId !in (Gone | project RunId) or strcat(RunId, ' ', Slice) !in (Gone | project strcat(RunId, ' ', Slice))
    | where RunId !in (Gone | where Slice == -1 | project RunId)`, of, kql.Name(table)))
}

// action is what a command does, as far as setup must know.
type action int

const (
	otherAction action = iota
	makeTable
	makeFunction
	encodeRecords
)

// head is the beginning of a command: what it does to which table or function.
type head struct {
	action  action
	object  string // table or function
	columns []column
	body    string // of a function, braces included
}

const objectName = `(?:\['([^']+)'\]|(\w+))`

var (
	tableHead    = regexp.MustCompile(`^\.(?:create-merge|alter-merge|create-or-alter|alter) table ` + objectName)
	encodingHead = regexp.MustCompile(`^\.alter column ` + objectName + `\.\['Records'\] policy encoding `)
	columnHead   = regexp.MustCompile(`^\.alter column ` + objectName)
	functionHead = regexp.MustCompile(`(?s)^\.create-or-alter function (?:with \(.*?\) )?(\w+)\([^)]*\) (\{.*\})\s*$`)
	columnList   = regexp.MustCompile(`(?s)^\.create-merge table [^(]*\((.*)\)\s*$`)
	columnEntry  = regexp.MustCompile(`^(?:\['(\w+)'\]|(\w+))\s*:\s*(\w+)$`)
)

// readHead understands the commands of this program's own scripts.
func readHead(text string) (head, error) {
	if m := functionHead.FindStringSubmatch(text); m != nil {
		return head{action: makeFunction, object: m[1], body: m[2]}, nil
	}
	if m := encodingHead.FindStringSubmatch(text); m != nil {
		return head{action: encodeRecords, object: m[1] + m[2]}, nil
	}
	m := tableHead.FindStringSubmatch(text)
	if m == nil {
		m = columnHead.FindStringSubmatch(text)
	}
	if m == nil {
		line, _, _ := strings.Cut(text, "\n")
		return head{}, fmt.Errorf("read command %q: it names neither a table nor a function", line)
	}
	h := head{object: m[1] + m[2]}
	list := columnList.FindStringSubmatch(text)
	if list == nil {
		return h, nil
	}
	h.action = makeTable
	for _, entry := range strings.Split(list[1], ",") {
		m := columnEntry.FindStringSubmatch(strings.TrimSpace(entry))
		if m == nil {
			return head{}, fmt.Errorf("read the columns of table %s: want name: type, got %q", h.object, strings.TrimSpace(entry))
		}
		h.columns = append(h.columns, column{Name: m[1] + m[2], Type: m[3]})
	}
	return h, nil
}

// mergeCommand adds columns to a table, or makes it.
func mergeCommand(table string, columns []column) string {
	entries := make([]string, len(columns))
	for i, c := range columns {
		entries[i] = identifier(c.Name) + ": " + c.Type
	}
	return ".create-merge table " + kql.Name(table) + " (" + strings.Join(entries, ", ") + ")"
}
