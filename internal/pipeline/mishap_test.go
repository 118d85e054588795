package pipeline_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// mishap is a fault at an exact place, where the fault schedules of the world
// are by chance.
type mishap struct {
	call  string
	after bool
	skip  int // calls that go well before
	last  int // calls struck; 0: all that follow
	do    func(*process) error
}

// strike runs the mishaps that are due at a call. An error takes the place of
// the call or of its answer; errDead kills the process. It runs outside of the
// world's lock, so that a mishap may let another process work meanwhile.
func (p *process) strike(call string, after bool) error {
	p.mu.Lock()
	if p.dead {
		p.mu.Unlock()
		return errDead
	}
	if !after {
		p.tried[call]++
		if call == "count" || call == "tally" || call == "fetch" {
			p.calls++
		}
	}
	var due []*mishap
	for _, m := range p.ill {
		if m.call != call || m.after != after || m.last < 0 {
			continue
		}
		if m.skip > 0 {
			m.skip--
			continue
		}
		if m.last--; m.last == 0 {
			m.last = -1 // over
		} else if m.last < 0 {
			m.last = 0 // for ever
		}
		due = append(due, m)
	}
	p.mu.Unlock()
	for _, m := range due {
		if err := m.do(p); err != nil {
			if errors.Is(err, errDead) {
				p.mu.Lock()
				p.dead = true
				p.mu.Unlock()
			}
			return err
		}
	}
	return nil
}

// before lets the n-th call from now fail, or happen later than what do does.
func (w *world) before(n int, call string, do func(*process) error) {
	w.ill = append(w.ill, &mishap{call: call, skip: n - 1, last: 1, do: do})
}

// after acts when the n-th call from now has taken effect.
func (w *world) after(n int, call string, do func(*process) error) {
	w.ill = append(w.ill, &mishap{call: call, after: true, skip: n - 1, last: 1, do: do})
}

// repeatedly lets the n-th to the m-th call from now fail; m 0 is for ever.
func (w *world) repeatedly(n, m int, call string, do func(*process) error) {
	w.ill = append(w.ill, &mishap{call: call, skip: n - 1, last: max(0, m-n+1), do: do})
}

// mend ends all mishaps.
func (w *world) mend() { w.ill, w.fate = nil, nil }

func kill(*process) error { return errDead }

func unavailable(*process) error { return fault.As(fault.Unavailable, errors.New("500")) }

func throttled(d time.Duration) func(*process) error {
	return func(p *process) error { return fault.WaitUntil(p.Now().Add(d), errors.New("429")) }
}

// fate is how queued ingestion of a blob ends.
type fate string

const (
	well    fate = ""
	lost    fate = "lost"    // accepted and never seen again
	refused fate = "refused" // failed for good, as the ticket tells
	partial fate = "partial" // half of the rows arrive
	twin    fate = "twin"    // taken in twice in spite of the tag
	unseen  fate = "unseen"  // succeeded, and not to be seen
	// faltering failed for a reason that passes; ADX tries again by itself.
	faltering fate = "faltering"
)

// retriedAfter is when ADX takes in what faltered.
const retriedAfter = time.Minute

// large returns a world with pages of 10,000 rows, as the published incidents
// have them, and rows of the last hours, each at an instant of its own.
func large(seed uint64, rows int, hours float64) *world {
	return inPages(seed, rows, hours, 10_000)
}

// paged is large with a tenth of the rows in pages of 1,000: as many slices, each of
// them sooner done.
func paged(seed uint64, rows int, hours float64) *world {
	return inPages(seed, rows, hours, 1_000)
}

func inPages(seed uint64, rows int, hours float64, page int) *world {
	w := newWorld(seed)
	w.cap = page
	w.cfg.Limits.Rows = int64(page) * 95 / 100
	step := time.Duration(hours * float64(time.Hour) / float64(rows))
	for i := range rows {
		w.add(w.now.Add(-w.cfg.Settle - time.Duration(i+1)*step).Truncate(plan.Tick))
	}
	return w
}

// table configures a further source and returns its first row.
func (w *world) table(source string) {
	row := w.config[0]
	row.SourceTable, row.DestinationTable = source, source+"Raw"
	w.config = append(w.config, row)
}

// sources lists the configured tables in the order they appeared.
func (w *world) sources() (out []string) {
	for _, r := range w.config {
		if !slices.Contains(out, r.SourceTable) {
			out = append(out, r.SourceTable)
		}
	}
	return out
}

func (r record) table() string { return cmp.Or(r.source, key.Source) }

// newest is the newest configuration row of a source.
func (w *world) newest(source string) (out plan.Row) {
	for _, r := range w.config {
		if r.SourceTable == source {
			out = r
		}
	}
	return out
}

// edit appends a copy of the newest row of the table, changed, as a person does.
func (w *world) edit(change func(*plan.Row)) {
	row := w.newest(key.Source)
	change(&row)
	row.Ingested = w.now
	w.config = append(w.config, row)
}

// wake delivers one wake-up now.
func (w *world) wake(trigger string) error {
	_, err := w.deliver(message{req: pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: trigger}}})
	return err
}

// count counts the audit rows of a table with the status.
func (w *world) count(source string, status plan.Status) (n int) {
	for _, a := range w.audits {
		if a.SourceTable == source && a.Status == status {
			n++
		}
	}
	return n
}

// copied is the number of rows that the audit rows of a table speak of.
func (w *world) copied(source string) (n int64) {
	for _, a := range w.audits {
		if a.SourceTable == source && a.Status == plan.Success {
			n += a.RecordCount
		}
	}
	return n
}

// whole fails unless every row up to the instant is in ADX once, every Success
// was true, the audit rows add up to what is there, and every mishap happened.
func (w *world) whole(t *testing.T, upTo time.Time) {
	t.Helper()
	w.check(t, upTo)
	for _, m := range w.ill {
		if m.last > 0 {
			t.Errorf("no %s was struck: the scenario did not take place", m.call)
		}
	}
	var audited int64
	for _, a := range w.audits {
		if a.Status == plan.Success {
			audited += a.RecordCount
		}
	}
	there := 0
	for _, n := range w.arrived("") {
		there += n
	}
	if int64(there) != audited {
		t.Errorf("%d rows in ADX, the audit rows say %d:%s", there, audited, w.story())
	}
}

// watermark reads a table's state as it is stored.
func (b *blob) watermark(t *testing.T) time.Time {
	t.Helper()
	var s plan.TableState
	if err := json.Unmarshal(b.body, &s); err != nil {
		t.Fatal(err)
	}
	return s.Watermark
}

// ledger reads a ledger as it is stored.
func (w *world) ledger(t *testing.T, b *blob) (l plan.Ledger) {
	t.Helper()
	if err := json.Unmarshal(b.body, &l); err != nil {
		t.Fatal(err)
	}
	return l
}

// state reads a table's state as it is stored.
func (w *world) state(t *testing.T, k plan.Key) (s plan.TableState) {
	t.Helper()
	if err := json.Unmarshal(w.states[k].body, &s); err != nil {
		t.Fatal(err)
	}
	return s
}
