package stack

import (
	"fmt"
	"iter"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/defender2adx/defender2adx/emulator/compare"
	"github.com/defender2adx/defender2adx/emulator/engine"
)

// Configured is a table as MigrationConfiguration last named it.
type Configured struct {
	Instance, Source, Destination string // Destination is the raw table
	Snapshot, Active              bool
}

// Name is the table for people.
func (c Configured) Name() string {
	if c.Instance == "" {
		return c.Source
	}
	return c.Instance + "/" + c.Source
}

// Configured reads the newest configuration row of every source and
// instance, by hand: the comparison must not trust what it judges.
func (e *Emulators) Configured() ([]Configured, error) {
	newest := map[string]Configured{}
	var order []string
	err := e.each("MigrationConfiguration", func(get func(string) any) {
		c := Configured{Source: text(get("SourceTable")), Destination: text(get("DestinationTable"))}
		c.Snapshot = strings.EqualFold(text(get("LoadType")), "Snapshot")
		c.Active, _ = get("IsActive").(bool)
		c.Instance = strings.ToLower(text(get("Instance")))
		if i := e.instance(c.Instance); i != nil {
			c.Destination = i.Prefix + c.Destination
		}
		if _, known := newest[c.Name()]; !known {
			order = append(order, c.Name())
		}
		newest[c.Name()] = c
	})
	out := make([]Configured, 0, len(order))
	for _, s := range order {
		out = append(out, newest[s])
	}
	return out, err
}

// Audit is one row of MigrationAuditLog, as far as tests and the demo look.
type Audit struct {
	Instance, TableName, SourceTable, Status, FailureReason, RunID, Note string
	RecordCount                                                          int64
}

// Audits returns the audit log in the order of its rows.
func (e *Emulators) Audits() ([]Audit, error) {
	var out []Audit
	err := e.each("MigrationAuditLog", func(get func(string) any) {
		n, _ := get("RecordCount").(int64)
		out = append(out, Audit{Instance: text(get("Instance")), TableName: text(get("TableName")), SourceTable: text(get("SourceTable")), Status: text(get("Status")),
			FailureReason: text(get("FailureReason")), RunID: text(get("RunId")), Note: text(get("Note")), RecordCount: n})
	})
	return out, err
}

// Compare holds one table's source rows against what is visible of them in ADX:
// void slices are hidden, and of a snapshot only the newest successful run
// counts.
func (e *Emulators) Compare(c Configured) (compare.Result, error) {
	data, _ := e.place(c.Instance)
	source, err := compare.CollectSource(c.Source, data.Rows(c.Source))
	if err != nil {
		return compare.Result{}, fmt.Errorf("source %s: %w", c.Source, err)
	}
	visible, err := e.visible(c)
	if err != nil {
		return compare.Result{}, err
	}
	arrived, err := compare.CollectArrived(c.Source, visible)
	if err != nil {
		return compare.Result{}, fmt.Errorf("destination %s: %w", c.Destination, err)
	}
	return compare.Compare(source, arrived), nil
}

// Differences names the first rows of a table that differ, at most limit.
func (e *Emulators) Differences(c Configured, limit int) ([]compare.Difference, error) {
	visible, err := e.visible(c)
	if err != nil {
		return nil, err
	}
	data, _ := e.place(c.Instance)
	return compare.Differences(c.Source, data.Rows(c.Source), visible, limit)
}

// CompareAll compares every table, as many at a time as there are cores.
func (e *Emulators) CompareAll(tables []Configured) ([]compare.Result, error) {
	out := make([]compare.Result, len(tables))
	var g errgroup.Group
	g.SetLimit(2)
	for i, c := range tables {
		g.Go(func() (err error) {
			out[i], err = e.Compare(c)
			return err
		})
	}
	return out, g.Wait()
}

// visible yields the Records of a destination that its views would show.
func (e *Emulators) visible(c Configured) (iter.Seq[[]byte], error) {
	_, database := e.place(c.Instance)
	void := map[string]bool{}
	if err := e.eachIn(database, "MigrationVoidSlices", func(get func(string) any) {
		slice, _ := get("Slice").(int64)
		void[fmt.Sprint(text(get("RunId")), "/", slice)] = get("Hidden") != false // the newest row decides
	}); err != nil {
		return nil, err
	}
	latest := ""
	if c.Snapshot {
		audits, err := e.Audits()
		if err != nil {
			return nil, err
		}
		for _, a := range audits {
			if a.SourceTable == c.Source && a.Instance == c.Instance && a.Status == "Success" {
				latest = a.RunID
			}
		}
	}
	columns, rows, err := e.Cluster.Rows(database, c.Destination)
	if err != nil {
		return nil, err
	}
	at := index(columns)
	return func(yield func([]byte) bool) {
		for r := range rows {
			run := text(r.Values[at["RunId"]])
			slice, _ := r.Values[at["Slice"]].(int64)
			if void[fmt.Sprint(run, "/", slice)] || void[run+"/-1"] || c.Snapshot && run != latest {
				continue
			}
			record, _ := r.Values[at["Records"]].(engine.RawJSON)
			if len(record) == 0 {
				record = engine.RawJSON("null")
			}
			if !yield(record) {
				return
			}
		}
	}, nil
}

// each calls f for every row of a control table.
func (e *Emulators) each(table string, f func(get func(string) any)) error {
	return e.eachIn(Database, table, f)
}

func (e *Emulators) eachIn(database, table string, f func(get func(string) any)) error {
	columns, rows, err := e.Cluster.Rows(database, table)
	if err != nil {
		return err
	}
	at := index(columns)
	for r := range rows {
		f(func(name string) any {
			i, ok := at[name]
			if !ok {
				return nil
			}
			return r.Values[i]
		})
	}
	return nil
}

func index(columns []engine.Column) map[string]int {
	at := make(map[string]int, len(columns))
	for i, c := range columns {
		at[c.Name] = i
	}
	return at
}

func text(v any) string {
	s, _ := v.(string)
	return s
}
