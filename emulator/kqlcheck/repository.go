package kqlcheck

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/savedquery"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// Report is what a check found.
type Report struct {
	Statements, Errors int
	Out                io.Writer // told of each error
}

func (r *Report) add(where string, found []Problem) {
	r.Statements++
	r.Errors += len(found)
	for _, p := range found {
		fmt.Fprintf(r.Out, "kql: %s:%s\n", where, p)
	}
}

func columnList(columns []schema.Column) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name + " " + c.Type
	}
	return strings.Join(names, ", ")
}

// Deploy replays what `handler setup` does on an empty database, and does it again.
func Deploy(c *Checker, r *Report, what string, commands []adx.Command) error {
	if err := c.Reset(); err != nil {
		return err
	}
	for _, time := range []string{"first", "second"} {
		for _, command := range commands {
			found, err := c.Apply(command.Text, columnList(command.Columns))
			if err != nil {
				return err
			}
			line, _, _ := strings.Cut(command.Text, "\n")
			r.add(fmt.Sprintf("%s, %s time: %.80s", what, time, line), found)
		}
	}
	return nil
}

// Repository checks all KQL of the repository at root: deployment, scripts, what the
// program sends, and examples of the documents and notebooks. It leaves the default deployment in
// the database.
func Repository(c *Checker, r *Report, root string) error {
	// Tables whose views take other forms, in another configuration.
	row := func(source, destination, instance string, load plan.LoadType) plan.Row {
		return plan.Row{SourceTable: source, DestinationTable: destination, Instance: instance, LoadType: string(load)}
	}
	other := adx.Deployment([]plan.Row{
		row("AlertEvidence", "AlertEvidenceRaw", "", plan.Snapshot), row("AlertEvidence", "Evidence2Raw", "second", plan.Snapshot),
		{SourceTable: "DeviceInfo", DestinationTable: "DeviceInfo2Raw", Instance: "it's another", LoadType: string(plan.Incr), Retention: "P365D"},
		row("query/Hosts", "QueryHostsRaw", "", plan.Snapshot), row("query/HostLogons", "QueryHostLogonsRaw", "", plan.Incr),
	}, adx.Options{ViewPrefix: "Hunting", Typed: []string{"AlertEvidence", "DeviceInfo"}})
	other = only(other, "AlertEvidence", "Evidence2", "DeviceInfo", "QueryHost", "Migration")
	if err := Deploy(c, r, "setup with instances and typed tables", other); err != nil {
		return err
	}
	streamed := adx.Deployment(nil, adx.Options{Streamed: true, Typed: []string{"DeviceEvents"}})
	if err := Deploy(c, r, "setup beside the Streaming API", only(streamed, "DeviceEvents", "MigrationVoid")); err != nil {
		return err
	}
	if err := Deploy(c, r, "setup with lists and exports", withSources()); err != nil {
		return err
	}
	if err := Deploy(c, r, "setup", adx.Deployment(nil, adx.Options{})); err != nil {
		return err
	}
	if err := scripts(c, r, root); err != nil {
		return err
	}
	if err := documents(c, r, root); err != nil {
		return err
	}
	if err := notebooks(c, r, root); err != nil {
		return err
	}
	return sent(c, r, root)
}

// withSources is what setup makes beside the hunting tables where every list and file
// export is configured, and some lists as a snapshot.
func withSources() []adx.Command {
	var rows []plan.Row
	for _, s := range schema.Sources() {
		row, _ := plan.DefaultRow(s.Name)
		if slices.Contains(s.Loads, string(plan.Snapshot)) && s.API == schema.APIGraph {
			row.LoadType = string(plan.Snapshot)
		}
		rows = append(rows, row)
	}
	plain := map[string]bool{}
	for _, command := range adx.Deployment(nil, adx.Options{}) {
		plain[command.Text] = true
	}
	own := only(adx.Deployment(nil, adx.Options{}), "Migration") // what the views read
	for _, command := range adx.Deployment(rows, adx.Options{}) {
		if !plain[command.Text] {
			own = append(own, command)
		}
	}
	return slices.DeleteFunc(own, func(c adx.Command) bool {
		return strings.Contains(c.Text, " MigrationStorage(") || strings.Contains(c.Text, " MigrationForget(") // those read all tables
	})
}

// bracketed is a name as the program writes those of tables and columns.
var bracketed = regexp.MustCompile(`\['(\w+)'\]`)

// sent checks what the tests of the adapters have seen the program send: to ADX after
// a deployment, with the tables that the tests made, and to Defender. Then the saved
// queries, on Defender's tables.
func sent(c *Checker, r *Report, root string) error {
	defender := []Table{{Name: "NewTable", Columns: "(Timestamp: datetime)"}}
	for _, t := range schema.Catalogue() {
		columns := make([]string, len(t.Columns))
		for i, column := range t.Columns {
			columns[i] = "['" + column.Name + "']: " + column.Type
		}
		defender = append(defender, Table{Name: t.Name, Columns: "(" + strings.Join(columns, ", ") + ")"})
	}
	for _, to := range []string{"adx", "defender"} {
		text, err := os.ReadFile(filepath.Join(root, "internal", to, "testdata", "sent.json"))
		if err != nil {
			return err
		}
		var examples []string
		if err := json.Unmarshal(text, &examples); err != nil {
			return fmt.Errorf("read what was sent to %s: %w", to, err)
		}
		if to == "defender" {
			if err := c.Reset(defender...); err != nil {
				return err
			}
		} else if err := ownTables(c, r, examples); err != nil {
			return err
		}
		for _, example := range examples {
			found, err := c.Query(example)
			if err != nil {
				return err
			}
			line, _, _ := strings.Cut(example, "\n")
			r.add(fmt.Sprintf("sent to %s: %.60s", to, line), found)
		}
	}
	return Saved(c, r, savedquery.All())
}

// ownTables makes the raw tables that only the tests have.
func ownTables(c *Checker, r *Report, examples []string) error {
	for _, m := range bracketed.FindAllStringSubmatch(strings.Join(examples, "\n"), -1) {
		if !strings.HasSuffix(m[1], "Raw") && !strings.HasSuffix(m[1], "Own") {
			continue
		}
		found, err := c.Apply(".create-merge table ['"+m[1]+"'] (Records: dynamic, RunId: string, Slice: int, SnapshotTime: datetime)", "")
		if err != nil {
			return err
		}
		r.add("a raw table of the tests", found)
	}
	return nil
}

const unitedTables = "union withsource=TableName "

var allTables = regexp.MustCompile(unitedTables + `\['\w+'\](?:,\n        \['\w+'\])*`)

func names(text string, words []string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) })
}

// only keeps the commands, and the tables of a union, that name one of the words.
func only(commands []adx.Command, words ...string) []adx.Command {
	var out []adx.Command
	for _, command := range commands {
		head, _, _ := strings.Cut(command.Text, "{")
		if !names(head, words) {
			continue
		}
		// The health functions read all tables.
		command.Text = allTables.ReplaceAllStringFunc(command.Text, func(list string) string {
			tables := strings.Split(strings.TrimPrefix(list, unitedTables), ",\n        ")
			return unitedTables + strings.Join(slices.DeleteFunc(tables, func(t string) bool { return !names(t, words) }), ",\n        ")
		})
		out = append(out, command)
	}
	return out
}

// scripts checks the files that setup runs on request or a person runs by hand.
func scripts(c *Checker, r *Report, root string) error {
	for _, name := range []string{"roles.kql", "policies.kql", "configuration-original.kql", "configuration-recommended.kql"} {
		text, err := os.ReadFile(filepath.Join(root, "infra", "kql", name))
		if err != nil {
			return err
		}
		for _, command := range adx.SplitScript(strings.ReplaceAll(string(text), "<database>", "db1")) {
			found, err := c.Query(command)
			if err != nil {
				return err
			}
			r.add(name, found)
		}
	}
	return nil
}

var fenced = regexp.MustCompile("(?s)\n( *)```(?:kusto|kql)\n(.*?)```")

// statements divides a block of a page: one begins at each line that begins with a
// letter or a dot, unless the line before ended with a semicolon. People run them one
// by one.
func statements(indent, block string) []string {
	var out []string
	for line := range strings.Lines(block) {
		if line = strings.TrimPrefix(line, indent); line == "" {
			continue // before the closing mark
		}
		begins := line[0] == '.' || line[0] >= 'A' && line[0] <= 'Z' || line[0] >= 'a' && line[0] <= 'z'
		if n := len(out); n > 0 && (!begins || strings.HasSuffix(strings.TrimSpace(out[n-1]), ";")) {
			out[n-1] += line
		} else if strings.TrimSpace(line) != "" {
			out = append(out, line)
		}
	}
	return out
}

// documents checks the examples of the pages: blocks marked kusto or kql.
func documents(c *Checker, r *Report, root string) error {
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		return err
	}
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		for _, m := range fenced.FindAllStringSubmatch(string(text), -1) {
			for _, statement := range statements(m[1], m[2]) {
				found, err := c.Query(strings.TrimSpace(statement))
				if err != nil {
					return err
				}
				line, _, _ := strings.Cut(statement, "\n")
				r.add(fmt.Sprintf("%s: %.60s", filepath.Base(page), line), found)
			}
		}
	}
	return nil
}

// HuntingReport is how many queries of a file were read, and how many bind.
type HuntingReport struct{ Queries, Bound int }

// HuntingFile binds the hunting queries of a file, a JSON object a line with id and
// query, against the deployed views.
func HuntingFile(c *Checker, out io.Writer, path string) (HuntingReport, error) {
	var r HuntingReport
	file, err := os.Open(path)
	if err != nil {
		return r, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		var q struct{ ID, Query string }
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			return r, fmt.Errorf("read hunting query %d: %w", r.Queries+1, err)
		}
		r.Queries++
		found, err := c.Hunting(q.Query)
		if err != nil {
			return r, err
		}
		if len(found) == 0 {
			r.Bound++
		}
		for _, p := range found {
			fmt.Fprintf(out, "kql: %s:%s\n", q.ID, p)
		}
	}
	return r, lines.Err()
}
