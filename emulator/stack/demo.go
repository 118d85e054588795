package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/defender2adx/defender2adx/emulator/funchost"
	"github.com/defender2adx/defender2adx/internal/prose"
)

// Demo is one scheduled run of the whole product against the emulators.
type Demo struct {
	App     App
	Data    bool // the tenant came from files: configure its tables, Full on arrival time
	Display Display
	Timeout time.Duration
}

// Display shows how tables get on. Its methods are called by one goroutine at a
// time.
type Display interface {
	Say(line string)
	// Planned: the table's run will copy rows.
	Planned(table string, rows int64)
	// Moved: rows more are verified in ADX.
	Moved(table string, rows int64)
	// Ended: the table is done, with or without success.
	Ended(table string, e Ended)
	// Close ends the drawing.
	Close()
}

// Ended is how a table's run ended.
type Ended struct {
	Status              string
	Rows, Slices, Calls int64
	Took                time.Duration
	Problem             string // "" after a success
}

// Outcome is the closing comparison of a demo.
type Outcome struct {
	Tables, SourceRows, ADXRows, Missing, Repeated, Calls int
	Failed                                                int // tables without a successful run
	Instances                                             int // with the default one
	Took                                                  time.Duration
	Arrived                                               string // source of a table that has rows: the shortest name, for a narrow terminal
}

// OK reports whether every row of every table arrived once.
func (o Outcome) OK() bool { return o.Missing == 0 && o.Repeated == 0 && o.Failed == 0 }

// Line is the demo's last line, for machines: key=value, with more than the 80
// characters of a terminal, which folds it.
func (o Outcome) Line() string {
	line := fmt.Sprintf("demo: tables=%d source_rows=%d adx_rows=%d missing=%d repeated=%d calls=%d seconds=%d",
		o.Tables, o.SourceRows, o.ADXRows, o.Missing, o.Repeated, o.Calls, int(o.Took.Round(time.Second).Seconds()))
	if o.Instances > 1 {
		line += fmt.Sprintf(" instances=%d", o.Instances)
	}
	return line
}

// Run sets the database up, fires the timer once, follows every table to the end
// of its run, and compares.
func (d Demo) Run(ctx context.Context, e *Emulators) (Outcome, error) {
	defer d.Display.Close()
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	tables, err := d.prepare(ctx, e)
	if err != nil {
		return Outcome{}, err
	}
	whole := slices.DeleteFunc(slices.Clone(tables), func(c Configured) bool { return e.broken(c.Instance) })
	f := newFollower(d.Display, tables, e.broken)
	host, err := e.StartHost(ctx, d.App, map[string]string{
		// Nobody should wait for a quota here; the emulated limit is raised alike.
		"DEFENDER_CALLS_PER_MINUTE": "100000",
		"MIGRATION_SETTLE":          "0s",
	}, funchost.Options{OnLine: f.line, OnEvent: f.event})
	if err != nil {
		return Outcome{}, err
	}
	stop := func() error {
		stopping, done := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
		defer done()
		return host.Stop(stopping)
	}
	if err := Tick(ctx, host); err != nil {
		return Outcome{}, errors.Join(err, stop())
	}
	waitErr := f.wait(ctx, host)
	if err := errors.Join(waitErr, stop()); err != nil {
		return Outcome{}, err
	}
	out, err := d.conclude(e, whole, f, began)
	if err == nil && len(whole) < len(tables) {
		err = d.concludeBroken(e, tables)
	}
	return out, err
}

func (d Demo) prepare(ctx context.Context, e *Emulators) ([]Configured, error) {
	d.Display.Say("handler setup: control tables, raw tables, mappings, policies, view")
	if _, err := e.Prepare(ctx, d.App, d.Data); err != nil {
		return nil, err
	}
	for _, c := range e.instances {
		if err := e.CopyConfiguration(ctx, c.Name); err != nil {
			return nil, err
		}
	}
	if len(e.instances) > 0 {
		if _, err := e.Setup(ctx, d.App, "none"); err != nil { // raw tables outside the catalogue
			return nil, err
		}
	}
	all, err := e.Configured()
	if err != nil {
		return nil, err
	}
	var active []Configured
	for _, c := range all {
		if c.Active {
			active = append(active, c)
		}
	}
	d.Display.Say(prose.Counted(int64(len(active)), "table") + " configured; the timer fires once")
	return active, nil
}

// firstDifferences of a table are named, row by row.
const firstDifferences = 3

// conclude compares every table row by row.
func (d Demo) conclude(e *Emulators, tables []Configured, f *follower, began time.Time) (Outcome, error) {
	d.Display.Say("comparing source and ADX, row by row")
	results, err := e.CompareAll(tables)
	if err != nil {
		return Outcome{}, err
	}
	out := Outcome{Tables: len(tables), Calls: int(e.Hunting.Stats().Calls), Failed: f.failed(), Instances: 1 + len(e.instances)}
	for _, c := range e.instances {
		if c.Data != nil {
			out.Calls += int(c.hunting.Stats().Calls)
		}
	}
	for i, r := range results {
		out.SourceRows += r.Source
		out.ADXRows += r.Arrived
		out.Missing += r.Missing
		out.Repeated += r.Repeated
		source := tables[i].Source
		if r.Arrived > 0 && tables[i].Instance == "" && (out.Arrived == "" || len(source) < len(out.Arrived)) {
			out.Arrived = source
		}
		if r.OK() {
			continue
		}
		d.Display.Say(fmt.Sprintf("%s: %s at the source, %d in ADX, %d missing, %d repeated", tables[i].Name(), prose.Counted(int64(r.Source), "row"), r.Arrived, r.Missing, r.Repeated))
		differences, err := e.Differences(tables[i], firstDifferences)
		if err != nil {
			return Outcome{}, err
		}
		for _, x := range differences {
			d.Display.Say("  " + tables[i].Name() + " " + x.String())
		}
	}
	out.Took = time.Since(began)
	return out, nil
}

// concludeBroken shows what the audit log says of the instances through which nothing
// can arrive: every table of theirs must have a row that tells why.
func (d Demo) concludeBroken(e *Emulators, tables []Configured) error {
	audits, err := e.Audits()
	if err != nil {
		return err
	}
	reasons := map[string]string{}
	for _, a := range audits {
		if a.Status == "Failed" {
			reasons[Configured{Instance: a.Instance, Source: a.SourceTable}.Name()] = a.FailureReason
		}
	}
	counted, said := map[string]int64{}, map[string]string{}
	for _, c := range tables {
		if !e.broken(c.Instance) {
			continue
		}
		if said[c.Instance] = reasons[c.Name()]; said[c.Instance] == "" {
			return fmt.Errorf("the audit log does not say why %s did not arrive", c.Name())
		}
		counted[c.Instance]++
	}
	for _, instance := range slices.Sorted(maps.Keys(counted)) {
		d.Display.Say(fmt.Sprintf("instance %s: %s, each with an audit row: %s", instance, prose.Counted(counted[instance], "table"), said[instance]))
	}
	return nil
}

// follower reads the handler's log and the host's events.
type follower struct {
	mu      sync.Mutex
	display Display
	open    map[string]bool
	ended   map[string]Ended
	began   time.Time
	changed chan struct{}
	broken  func(instance string) bool
}

func newFollower(d Display, tables []Configured, broken func(string) bool) *follower {
	f := &follower{display: d, broken: broken, open: map[string]bool{}, ended: map[string]Ended{}, began: time.Now(), changed: make(chan struct{}, 1)}
	for _, t := range tables {
		f.open[t.Name()] = true
	}
	return f
}

// record is a line of the handler's log, as far as the demo looks.
type record struct {
	Level, Msg, Instance, Table, Status, Error string
	Rows, Slices, Calls                        int64
	DurMS                                      int64 `json:"dur_ms"`
	More                                       bool
}

func (f *follower) line(l funchost.Line) {
	var r record
	if json.Unmarshal([]byte(l.Text), &r) != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	table := Configured{Instance: r.Instance, Source: r.Table}.Name()
	if f.broken(r.Instance) {
		if r.Msg == "migrate" { // what its audit row says is shown at the end
			f.leave(table)
		}
		return
	}
	switch r.Msg {
	case "planned":
		f.display.Planned(table, r.Rows)
	case "slice verified":
		f.display.Moved(table, r.Rows)
	case "run ended":
		if !r.More {
			f.end(table, Ended{Status: r.Status, Rows: r.Rows, Slices: r.Slices, Calls: r.Calls, Took: time.Duration(r.DurMS) * time.Millisecond})
		}
	case "migrate":
		f.end(table, Ended{Status: "Failed", Problem: r.Error})
	default:
		if r.Level == "ERROR" || r.Level == "WARN" {
			f.display.Say(fmt.Sprintf("%s: %s %s %s", r.Level, table, r.Msg, r.Error))
		}
	}
}

func (f *follower) event(ev funchost.Event) {
	switch ev.Kind {
	case funchost.InvocationFailed, funchost.MessagePoisoned, funchost.FunctionRefused:
		f.mu.Lock()
		defer f.mu.Unlock()
		f.display.Say(fmt.Sprintf("%v: %s: %v", ev.Kind, ev.Invocation.Function, ev.Err))
	}
}

func (f *follower) end(table string, e Ended) {
	if !f.open[table] {
		return
	}
	f.ended[table] = e
	f.display.Ended(table, e)
	f.leave(table)
}

// leave stops waiting for a table.
func (f *follower) leave(table string) {
	delete(f.open, table)
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// wait returns when every table ended, the host gave up, or time is over.
func (f *follower) wait(ctx context.Context, host *funchost.Host) error {
	for {
		f.mu.Lock()
		left := len(f.open)
		f.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-f.changed:
		case <-host.Done():
			return fmt.Errorf("the Functions host stopped with %d tables left: %w", left, host.Wait())
		case <-ctx.Done():
			return fmt.Errorf("%d tables are not done: %w", left, context.Cause(ctx))
		}
	}
}

func (f *follower) failed() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.ended {
		if e.Status != "Success" {
			n++
		}
	}
	return n
}

// Plain writes a line for each table that ended, for logs and pipes.
type Plain struct {
	Out io.Writer
}

// Say writes a line.
func (p Plain) Say(line string) { fmt.Fprintln(p.Out, line) }

// Planned says nothing.
func (p Plain) Planned(string, int64) {}

// Moved says nothing.
func (p Plain) Moved(string, int64) {}

// Ended writes the table's line.
func (p Plain) Ended(table string, e Ended) { fmt.Fprintln(p.Out, e.line(table, PlainWidth)) }

// Close does nothing.
func (p Plain) Close() {}
