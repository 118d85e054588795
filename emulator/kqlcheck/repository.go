package kqlcheck

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/plan"
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
// program sends, and examples of the documents. It leaves the default deployment in
// the database.
func Repository(c *Checker, r *Report, root string) error {
	// Tables whose views take other forms, in another configuration.
	row := func(source, destination, instance string, load plan.LoadType) plan.Row {
		return plan.Row{SourceTable: source, DestinationTable: destination, Instance: instance, LoadType: string(load)}
	}
	other := adx.Deployment([]plan.Row{
		row("AlertEvidence", "AlertEvidenceRaw", "", plan.Snapshot), row("AlertEvidence", "Evidence2Raw", "second", plan.Snapshot),
		row("DeviceInfo", "DeviceInfo2Raw", "it's another", plan.Incr),
	}, adx.Options{ViewPrefix: "Hunting"})
	other = only(other, "AlertEvidence", "Evidence2", "DeviceInfo", "Migration")
	if err := Deploy(c, r, "setup with instances", other); err != nil {
		return err
	}
	if err := Deploy(c, r, "setup", adx.Deployment(nil, adx.Options{})); err != nil {
		return err
	}
	if err := scripts(c, r, root); err != nil {
		return err
	}
	return documents(c, r, root)
}

// only keeps the commands that name one of the words.
func only(commands []adx.Command, words ...string) []adx.Command {
	var out []adx.Command
	for _, command := range commands {
		head, _, _ := strings.Cut(command.Text, "{")
		for _, word := range words {
			if strings.Contains(head, word) && !strings.Contains(head, " MigrationStorage(") && !strings.Contains(head, " MigrationForget(") { // those read all tables
				out = append(out, command)
				break
			}
		}
	}
	return out
}

// scripts checks the files that setup runs on request or a person runs by hand.
func scripts(c *Checker, r *Report, root string) error {
	for _, name := range []string{"roles.kql", "configuration-original.kql", "configuration-recommended.kql"} {
		text, err := os.ReadFile(filepath.Join(root, "infra", "kql", name))
		if err != nil {
			return err
		}
		for _, command := range adx.SplitScript(strings.ReplaceAll(string(text), "<database>", "db")) {
			found, err := c.Query(command)
			if err != nil {
				return err
			}
			r.add(name, found)
		}
	}
	return nil
}

var fenced = regexp.MustCompile("(?s)\n```(?:kusto|kql)\n(.*?)```")

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
			found, err := c.Query(strings.TrimSpace(m[1]))
			if err != nil {
				return err
			}
			line, _, _ := strings.Cut(m[1], "\n")
			r.add(fmt.Sprintf("%s: %.60s", filepath.Base(page), line), found)
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
