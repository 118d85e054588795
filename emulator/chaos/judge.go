package chaos

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/defender2adx/defender2adx/emulator/compare"
	"github.com/defender2adx/defender2adx/emulator/engine"
	"github.com/defender2adx/defender2adx/emulator/stack"
	"github.com/defender2adx/defender2adx/internal/kql"
)

// Verdict is what became of a schedule.
type Verdict struct {
	Missing, Repeated int
	FalseSuccess      int // Success rows and watermarks that were not true
	Stuck             int // tables that were not whole in time when the faults had ended
	Surplus           int // rows that the service took in more than once
	Nulls             int // rows that ADX made null, as the audit log says
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
		nulls, err := o.judgeNulls(t, audits, &v)
		if err != nil {
			return v, err
		}
		r, err := o.compare(t, audits, nulls)
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
	if n := w.Hunting.Stats().QuotaRefusals; n > 0 {
		v.complain("%d calls over the quota of %d in %v", n, w.plan.quota, quotaWindow)
	}
	return v, nil
}

// judgeNulls counts the rows shown that ADX made null, and holds them against the notes
// of the audit rows: what was said is no false success.
func (o *oracle) judgeNulls(t table, audits []stack.Audit, v *Verdict) (shown int, err error) {
	by := map[string]int{}
	newest := lastRun(t, audits)
	if err := o.scan(t.destination(), func(r copied) {
		if r.void || r.record != nil {
			return
		}
		by[r.run]++
		if newest == "" || r.run == newest {
			shown++
		}
	}); err != nil {
		return 0, err
	}
	for _, a := range audits {
		if a.SourceTable != t.source || !ends(a.Status) {
			continue
		}
		said := 0
		for _, m := range nullsNoted.FindAllStringSubmatch(a.Note, -1) {
			n, _ := strconv.Atoi(m[1]) // digits
			said += n
		}
		if said < by[a.RunID] {
			v.FalseSuccess++
			v.complain("%s: run %s has %d rows that are null in ADX and says so of %d", t.source, a.RunID, by[a.RunID], said)
		}
	}
	v.Nulls += shown
	return shown, nil
}

var nullsNoted = regexp.MustCompile(`: (\d+) rows are null in ADX`)

// lastRun is the run that a snapshot's views show; "" for a table that shows all.
func lastRun(t table, audits []stack.Audit) (run string) {
	for _, a := range audits {
		if t.whole() && a.SourceTable == t.source && a.Status == "Success" {
			run = a.RunID
		}
	}
	return run
}

// compare holds a table against its copy. Rows that expired at the source may have
// been copied before, once. Rows that ADX made null stand for as many of the source.
func (o *oracle) compare(t table, audits []stack.Audit, nulls int) (compare.Result, error) {
	s := o.world.source
	s.mu.Lock()
	expired := maps.Clone(s.tables[t.source].expired)
	s.mu.Unlock()
	if t.kind != listed && t.kind != exported && len(expired) == 0 && nulls == 0 {
		return o.world.Compare(stack.Configured{Instance: strings.ToLower(t.instance), Source: t.source, Destination: t.destination(), Snapshot: t.kind == snapshot, Active: true})
	}
	var shown [][]byte
	newest := lastRun(t, audits)
	if err := o.scan(t.destination(), func(r copied) {
		if !r.void && r.record != nil && (newest == "" || r.run == newest) {
			shown = append(shown, r.record)
		}
	}); err != nil {
		return compare.Result{}, err
	}
	held := s.held(t)
	for _, record := range shown {
		if id, ok := idOf(record); ok && !t.whole() && expired[id] != "" {
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
	r := compare.Compare(source, arrived)
	r.Missing = max(0, r.Missing-nulls)
	return r, nil
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
