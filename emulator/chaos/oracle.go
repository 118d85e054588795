package chaos

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/defender2adx/defender2adx/emulator/compare"
	"github.com/defender2adx/defender2adx/emulator/engine"
	"github.com/defender2adx/defender2adx/emulator/stack"
	"github.com/defender2adx/defender2adx/internal/kql"
)

// oracle judges a schedule: while it runs, each Success row and each published
// watermark at the moment it reaches the cluster; at the end, the content.
type oracle struct {
	world *world

	mu       sync.Mutex
	twins    map[string]string // destination by "run/slice"
	promised int               // rows and watermarks judged
	lies     []lie
	gaps     map[string]bool           // runs that ended with a Gap
	given    map[string]map[int64]bool // rows that a Gap has spoken of, by table
	silent   map[string]bool           // tables whose last run had no rows
}

// lie is a promise that was not true, of a run where it was one's.
type lie struct{ run, text string }

func newOracle(w *world) *oracle {
	return &oracle{world: w, twins: map[string]string{}, gaps: map[string]bool{}, given: map[string]map[int64]bool{}, silent: map[string]bool{}}
}

// twin notes a slice that the service takes in twice.
func (o *oracle) twin(destination, run, slice string) {
	n, _ := strconv.Atoi(slice) // six digits
	o.mu.Lock()
	defer o.mu.Unlock()
	o.twins[fmt.Sprintf("%s/%d", run, n)] = destination
}

func (o *oracle) lie(format string, args ...any) { o.lieOf("", format, args...) }

// lieOf notes what a run said and was not true.
func (o *oracle) lieOf(run, format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lies = append(o.lies, lie{run, fmt.Sprintf(format, args...)})
}

// quiet reports whether the table's last run found no rows.
func (o *oracle) quiet(source string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.silent[source]
}

// concede takes a Gap at its word: rows of its window that nobody can query are
// missing, and no later promise is about them. The same run's watermark came first.
func (o *oracle) concede(t *truth, run, to string) {
	mark, err := time.Parse(time.RFC3339Nano, to)
	if err != nil {
		o.lie("%s Gap: no time in %q", t.source, to)
		return
	}
	lacking, _ := o.faulty(t, mark)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gaps[run] = true
	if o.given[t.source] == nil {
		o.given[t.source] = map[int64]bool{}
	}
	maps.Copy(o.given[t.source], lacking)
}

var assignment = regexp.MustCompile(`\['(\w+)'\] = (?:"([^"]*)"|datetime\(([^)]*)\)|\w+\(([^)]*)\))`)

// command looks at a command that is about to run: what it says of a table must
// be true already.
func (o *oracle) command(text string) {
	audit := strings.HasPrefix(text, ".set-or-append ['MigrationAuditLog']")
	if !audit && !strings.HasPrefix(text, ".set-or-append ['MigrationConfiguration']") {
		return
	}
	says := map[string]string{}
	for _, m := range assignment.FindAllStringSubmatch(text, -1) {
		says[m[1]] = m[2] + m[3] + m[4]
	}
	t := o.world.source.tables[says["SourceTable"]]
	if t == nil || says["RunId"] == "" {
		return
	}
	if audit {
		switch {
		case says["Status"] == "Gap":
			o.concede(t, says["RunId"], says["WindowTo"])
			return
		case says["Status"] != "Success":
			return
		}
		o.mu.Lock()
		o.silent[t.source] = says["RecordCount"] == "0"
		o.mu.Unlock()
	}
	o.mu.Lock()
	o.promised++
	o.mu.Unlock()
	if t.kind == snapshot {
		if audit {
			o.judgeSnapshot(t, says["RunId"])
		}
		return
	}
	stamp, what := says["LastRefreshedTime"], "watermark"
	if audit {
		stamp, what = says["WindowTo"], "Success"
	}
	mark, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		o.lie("%s %s: no time in %q", t.source, what, stamp)
		return
	}
	lacks, twice := o.faulty(t, mark)
	if len(lacks)+twice > 0 {
		o.lieOf(says["RunId"], "%s: %s up to %s of run %s, while %d rows were not queryable and %d were shown again", t.source, what, stamp, says["RunId"], len(lacks), twice)
	}
}

// faulty returns the rows up to a watermark that nobody could query now, but for
// those of a Gap, and counts those shown more than once, other than by the service's
// own doing.
func (o *oracle) faulty(t *truth, mark time.Time) (lacks map[int64]bool, twice int) {
	s := o.world.source
	s.mu.Lock()
	due := map[int64]bool{}
	for id, at := range t.marks {
		if !at.After(mark) {
			due[id] = true
		}
	}
	s.mu.Unlock()
	o.mu.Lock()
	for id := range o.given[t.source] {
		delete(due, id)
	}
	o.mu.Unlock()
	shown := map[int64]bool{}
	if err := o.scan(t.destination(), func(r copied) {
		id, ok := idOf(r.record)
		if r.void || !ok {
			return
		}
		delete(due, id)
		if shown[id] && !o.isTwin(r) {
			twice++
		}
		shown[id] = true
	}); err != nil {
		o.lie("%s: %v", t.source, err)
	}
	return due, twice
}

func (o *oracle) isTwin(r copied) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.twins[fmt.Sprintf("%s/%d", r.run, r.slice)] != ""
}

// judgeSnapshot holds a whole copy against what the table has been.
func (o *oracle) judgeSnapshot(t *truth, run string) {
	var got fingerprint
	seen := map[int64]bool{}
	if err := o.visible(t, run, func(id int64) {
		if !seen[id] {
			seen[id] = true
			got.add(id)
		}
	}); err != nil {
		o.lie("%s: %v", t.source, err)
	}
	s := o.world.source
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(t.versions) - 1; i >= 0; i-- {
		if t.versions[i].sum == got {
			return
		}
	}
	o.lie("%s: Success of snapshot %s with %d rows, which the table never was", t.source, run, got.rows)
}

// visible calls f with the ids of the rows that views show, of one run or all.
func (o *oracle) visible(t *truth, run string, f func(id int64)) error {
	return o.scan(t.destination(), func(r copied) {
		if r.void || run != "" && r.run != run {
			return
		}
		if id, ok := idOf(r.record); ok {
			f(id)
		}
	})
}

// copied is one row of a raw table.
type copied struct {
	run      string
	slice    int64
	record   []byte
	void     bool
	ingested engine.Datetime
}

func (o *oracle) scan(destination string, f func(copied)) error {
	void := map[string]bool{}
	if err := o.rows("MigrationVoidSlices", func(get func(string) any, _ engine.Record) {
		void[fmt.Sprint(get("RunId"), "/", get("Slice"))] = get("Hidden") != false // the newest row decides
	}); err != nil {
		return err
	}
	return o.rows(destination, func(get func(string) any, r engine.Record) {
		c := copied{}
		c.run, _ = get("RunId").(string)
		c.slice, _ = get("Slice").(int64)
		c.record, _ = get("Records").(engine.RawJSON)
		c.void = void[fmt.Sprint(c.run, "/", c.slice)] || void[c.run+"/-1"]
		if r.Ingested != nil {
			c.ingested = *r.Ingested
		}
		f(c)
	})
}

func (o *oracle) rows(table string, f func(get func(string) any, r engine.Record)) error {
	columns, rows, err := o.world.Cluster.Rows(stack.Database, table)
	if err != nil {
		return err
	}
	at := map[string]int{}
	for i, c := range columns {
		at[c.Name] = i
	}
	for r := range rows {
		f(func(name string) any { return r.Values[at[name]] }, r)
	}
	return nil
}

// Verdict is what became of a schedule.
type Verdict struct {
	Missing, Repeated int
	FalseSuccess      int // Success rows and watermarks that were not true
	Stuck             int // tables that were not whole in time when the faults had ended
	Surplus           int // rows that the service took in more than once
	Reported          int // of those, removed by the command of a Surplus row
	Promises          int // Success rows and watermarks judged
	Runs              int // runs that ended with success
	Rows              int // at the source
	Complaints        []string
}

// OK reports whether nothing is wrong.
func (v Verdict) OK() bool { return len(v.Complaints) == 0 }

func (v *Verdict) complain(format string, args ...any) {
	v.Complaints = append(v.Complaints, fmt.Sprintf(format, args...))
}

// judge compares source and ADX when everything rests.
func (o *oracle) judge(ctx context.Context) (Verdict, error) {
	w := o.world
	v := Verdict{Rows: w.source.rows()}
	if err := o.removeSurplus(ctx, &v); err != nil {
		return v, err
	}
	audits, err := w.Audits()
	if err != nil {
		return v, err
	}
	for _, t := range w.plan.tables {
		r, err := o.compare(t)
		if err != nil {
			return v, err
		}
		v.Missing += r.Missing
		v.Repeated += r.Repeated
		if !r.OK() {
			v.complain("%s: %d rows at the source, %d in ADX, %d missing, %d repeated", t.source, r.Source, r.Arrived, r.Missing, r.Repeated)
		}
		if err := o.judgeCounts(t, audits, &v); err != nil {
			return v, err
		}
	}
	o.mu.Lock()
	v.Promises = o.promised
	for _, l := range o.lies {
		if !o.gaps[l.run] { // its audit row says what its watermark could not
			v.FalseSuccess++
			v.complain("%s", l.text)
		}
	}
	o.mu.Unlock()
	if n := w.Hunting.Readout().QuotaRefusals; n > 0 {
		v.complain("%d calls over the quota of %d in %v", n, w.plan.quota, quotaWindow)
	}
	return v, nil
}

// compare holds a table against its copy. Rows that expired at the source may have
// been copied before, once.
func (o *oracle) compare(t table) (compare.Result, error) {
	s := o.world.source
	s.mu.Lock()
	expired := maps.Clone(s.tables[t.source].expired)
	s.mu.Unlock()
	if len(expired) == 0 {
		return o.world.Compare(stack.Configured{Source: t.source, Destination: t.destination(), Snapshot: t.kind == snapshot, Active: true})
	}
	var shown [][]byte
	if err := o.scan(t.destination(), func(r copied) {
		if !r.void {
			shown = append(shown, r.record)
		}
	}); err != nil {
		return compare.Result{}, err
	}
	var held [][]byte
	for row := range o.world.Data.Rows(t.source) {
		held = append(held, bytes.Clone(row))
	}
	for _, record := range shown {
		if id, ok := idOf(record); ok && expired[id] != "" {
			held = append(held, []byte(expired[id]))
			delete(expired, id) // once
		}
	}
	source, err := compare.CollectSource(t.source, slices.Values(held))
	if err != nil {
		return compare.Result{}, err
	}
	arrived, err := compare.CollectArrived(t.source, slices.Values(shown))
	if err != nil {
		return compare.Result{}, err
	}
	return compare.Compare(source, arrived), nil
}

// ends reports whether an audit row of the status is the last of its run.
func ends(status string) bool { return status == "Success" || status == "Torn" || status == "Gap" }

// judgeCounts holds the counts of audit rows against what was delivered.
func (o *oracle) judgeCounts(t table, audits []stack.Audit, v *Verdict) error {
	delivered := map[string]int64{}
	if err := o.scan(t.destination(), func(r copied) {
		if !r.void {
			delivered[r.run]++
		}
	}); err != nil {
		return err
	}
	said := map[string]bool{}
	for _, a := range audits {
		if a.SourceTable != t.source || !ends(a.Status) {
			continue
		}
		if a.Status == "Success" {
			v.Runs++
		}
		if said[a.RunID] {
			v.FalseSuccess++
			v.complain("%s: run %s ended twice", t.source, a.RunID)
		}
		said[a.RunID] = true
		if a.RecordCount != delivered[a.RunID] {
			v.FalseSuccess++
			v.complain("%s: run %s says %d rows, ADX has %d of it", t.source, a.RunID, a.RecordCount, delivered[a.RunID])
		}
	}
	return nil
}

// removeSurplus does what a person would: it runs the commands of Surplus rows.
// Copies that came in after their slice was verified have none; those that the
// simulator made itself are removed here and counted apart.
func (o *oracle) removeSurplus(ctx context.Context, v *Verdict) error {
	w := o.world
	audits, err := w.Audits()
	if err != nil {
		return err
	}
	count := func() (n int) {
		for _, t := range w.plan.tables {
			n += w.Cluster.Count(stack.Database, t.destination())
		}
		return n
	}
	before := count()
	for _, a := range audits {
		if a.Status != "Surplus" {
			continue
		}
		_, command, ok := strings.Cut(a.FailureReason, "remove the copies with: ")
		if !ok || !strings.HasPrefix(command, ".delete ") {
			v.complain("%s: a Surplus row names no command: %s", a.SourceTable, a.FailureReason)
			continue
		}
		if err := w.mgmt(ctx, command); err != nil {
			return fmt.Errorf("run the command of a Surplus row: %w", err)
		}
	}
	v.Reported = before - count()
	o.mu.Lock()
	twins := o.twins
	o.mu.Unlock()
	ended := map[string]bool{}
	last := map[string]string{} // run by table: a copy that comes after its end waits for the next run
	for _, a := range audits {
		if ends(a.Status) {
			ended[last[a.SourceTable]], last[a.SourceTable] = true, a.RunID
		}
	}
	for _, t := range w.plan.tables {
		first := map[string]engine.Datetime{}
		more := map[string]copied{}
		unreported := map[string]bool{}
		if err := o.scan(t.destination(), func(r copied) {
			key := fmt.Sprintf("%s/%d", r.run, r.slice)
			if twins[key] == "" {
				return
			}
			if at, known := first[key]; known && at != r.ingested && !r.void && ended[r.run] {
				unreported[key] = true
			}
			if at, known := first[key]; !known || r.ingested < at {
				first[key] = r.ingested
			}
			more[key] = r
		}); err != nil {
			return err
		}
		for key := range unreported {
			v.complain("%s: slice %s is there twice, and no Surplus row says so", t.source, key)
		}
		for key, r := range more {
			text := fmt.Sprintf(".delete table %s records <| %s | where RunId == %s and Slice == %d and ingestion_time() > %s",
				kql.Name(t.destination()), kql.Name(t.destination()), kql.String(r.run), r.slice, kql.Datetime(first[key].Time()))
			if err := w.mgmt(ctx, text); err != nil {
				return fmt.Errorf("remove twins: %w", err)
			}
		}
	}
	v.Surplus = before - count()
	return nil
}

// ended returns the runs that an audit row speaks of as over.
func (o *oracle) ended() (map[string]bool, error) {
	runs := map[string]bool{}
	err := o.audited(func(status, _, run string) {
		if ends(status) {
			runs[run] = true
		}
	})
	return runs, err
}

// succeeded returns the tables with a Success of a run that is not one of those
// before.
func (o *oracle) succeeded(before map[string]bool) (map[string]bool, error) {
	tables := map[string]bool{}
	err := o.audited(func(status, source, run string) {
		if status == "Success" && !before[run] {
			tables[source] = true
		}
	})
	return tables, err
}

func (o *oracle) audited(f func(status, source, run string)) error {
	return o.rows("MigrationAuditLog", func(get func(string) any, _ engine.Record) {
		status, _ := get("Status").(string)
		source, _ := get("SourceTable").(string)
		run, _ := get("RunId").(string)
		f(status, source, run)
	})
}
