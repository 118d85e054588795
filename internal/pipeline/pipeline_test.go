package pipeline_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

var verbose = flag.Bool("pipelinelog", false, "print the pipeline's log")

func settings() pipeline.Config {
	return pipeline.Config{
		AppID: "app001", Settle: 10 * time.Minute, Lease: lease, Budget: 5 * time.Minute, Grace: 15 * time.Minute, LookBack: 30 * 24 * time.Hour,
		CallsInFlight: 1, Limits: plan.Limits{Rows: 15, Bytes: 1 << 30}, Poll: time.Second, Pause: 15 * time.Second, Nearby: 5 * time.Second,
		PutOff: time.Second, Waiting: time.Minute, Retry: time.Minute,
	}
}

// deliver runs one message on a process of its own and reports its answer.
func (w *world) deliver(m message) (*process, error) {
	var out io.Writer = io.Discard
	if *verbose {
		out = os.Stderr
	}
	p := &process{world: w}
	w.mu.Lock()
	w.delivered = w.now
	w.mu.Unlock()
	pipe := pipeline.New(w.cfg, p.ports(), slog.New(slog.NewTextHandler(out, nil)))
	err := pipe.Migrate(context.Background(), m.req)
	if p.dead {
		w.mu.Lock()
		for _, b := range w.states {
			if b.holder == p && w.now.Before(b.leased) {
				b.leased = w.now.Add(lease)
			}
		}
		w.mu.Unlock()
		err = errDead
	}
	return p, err
}

// run delivers messages for the duration, with a tick an hour, as host and queue
// would: failures come again, and go away after the fifth.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	tick := w.now
	for w.now.Before(end) {
		if !w.now.Before(tick) {
			for _, source := range w.sources() {
				w.messages = append(w.messages, message{visible: w.now, req: pipeline.Request{WakeUp: plan.WakeUp{Key: plan.Key{Source: source}, Trigger: plan.Scheduled}, Inserted: w.now}})
			}
			tick = tick.Add(time.Hour)
		}
		slices.SortStableFunc(w.messages, func(a, b message) int { return a.visible.Compare(b.visible) })
		if len(w.messages) == 0 || w.messages[0].visible.After(w.now) {
			next := tick
			if len(w.messages) > 0 && w.messages[0].visible.Before(next) {
				next = w.messages[0].visible
			}
			w.now = next
			if next.After(end) {
				w.now = end
			}
			continue
		}
		w.deliverFirst()
	}
}

// deliverFirst delivers the first message as the host does: a failure comes again
// after a minute, and goes to the poison queue after the fifth.
func (w *world) deliverFirst() {
	m := w.messages[0]
	w.messages = w.messages[1:]
	m.dequeues++
	m.req.Deliveries = m.dequeues
	_, err := w.deliver(m)
	switch {
	case fault.KindOf(err) == fault.None || fault.KindOf(err) == fault.Permanent:
	case m.dequeues < 5:
		m.visible = w.now.Add(time.Minute)
		w.messages = append(w.messages, m)
	default:
		w.poisoned++
	}
}

// deliverDue delivers what is due, without ticks, and lets time pass.
func (w *world) deliverDue(d time.Duration) {
	end := w.now.Add(d)
	for {
		slices.SortStableFunc(w.messages, func(a, b message) int { return a.visible.Compare(b.visible) })
		if len(w.messages) == 0 || w.messages[0].visible.After(w.now) {
			break
		}
		w.deliverFirst()
	}
	if end.After(w.now) {
		w.now = end
	}
}

// check compares source and ADX for all rows up to the watermark.
func (w *world) check(t testing.TB, upTo time.Time) {
	t.Helper()
	arrived := w.arrived(key.Source)
	missing, repeated := 0, 0
	for _, r := range w.rows {
		if !r.at.IsZero() && r.at.After(upTo) {
			continue
		}
		switch n := arrived[r.id]; {
		case n == 0:
			missing++
		case n > 1:
			repeated += n - 1
		}
	}
	if missing+repeated+w.falseOK > 0 {
		t.Errorf("missing=%d repeated=%d false_success=%d of %d rows; audit: %s; faults: %v", missing, repeated, w.falseOK, len(w.rows), w.story(), w.faults)
	}
}

func (w *world) story() string {
	var b strings.Builder
	for _, a := range w.audits {
		fmt.Fprintf(&b, "\n  %s %s rows=%d slices=%d calls=%d %s %s", a.Status, plan.Stamp(a.WindowTo), a.RecordCount, a.Slices, a.Calls, a.FailureReason, a.Note)
	}
	return b.String()
}

func (w *world) last() plan.Audit {
	if len(w.audits) == 0 {
		return plan.Audit{}
	}
	return w.audits[len(w.audits)-1]
}

func TestMigrate_CopiesEveryRowOnce(t *testing.T) {
	w := newWorld(1)
	w.fill(300, 48)
	w.run(time.Minute)
	w.check(t, w.now.Add(-time.Hour))
	if got := w.last(); got.Status != plan.Success || got.RecordCount == 0 {
		t.Fatalf("audit: %s", w.story())
	}
	if len(w.voids) > 0 {
		t.Errorf("%d slices were hidden; ADX took its time and nothing else", len(w.voids))
	}
	before := w.calls
	w.run(2 * time.Hour)
	if calls := w.calls - before; calls > 4 {
		t.Errorf("two ticks over an unchanged table took %d calls, want one each and the settled rest", calls)
	}
	w.check(t, w.now.Add(-2*time.Hour))
}

func TestMigrate_RowsAtTheWatermarkAndLateRowsArrive(t *testing.T) {
	w := newWorld(2)
	w.fill(30, 10)
	w.run(time.Minute)
	mark := w.config[len(w.config)-1].LastRefreshedTime
	// A row exactly at the next window's end and one just after the watermark.
	w.rows = append(w.rows, record{id: len(w.rows), at: mark.Add(plan.Tick), bucket: 1})
	w.rows = append(w.rows, record{id: len(w.rows), at: mark.Add(time.Hour), bucket: 2})
	w.run(3 * time.Hour)
	w.check(t, w.now.Add(-time.Hour))
}

func TestMigrate_Snapshot(t *testing.T) {
	w := newWorld(3)
	w.fill(120, 10)
	w.rows = append(w.rows, record{id: len(w.rows), bucket: 9}) // a row without time
	w.config[0].LoadType = "Snapshot"
	w.run(time.Minute)
	w.check(t, w.now)
	if got := w.last(); got.Status != plan.Success || got.RecordCount != 121 {
		t.Errorf("audit: %s", w.story())
	}
}

func TestMigrate_NullWatermarksAreCopiedOnce(t *testing.T) {
	w := newWorld(4)
	w.fill(40, 10)
	for range 40 {
		w.rows = append(w.rows, record{id: len(w.rows), bucket: w.rng.IntN(plan.Buckets)})
	}
	w.run(4 * time.Hour)
	w.check(t, w.now.Add(-2*time.Hour))
}

func TestMigrate_AllNullWatermarksFailWithTheRemedy(t *testing.T) {
	w := newWorld(5)
	for range 5 {
		w.rows = append(w.rows, record{id: len(w.rows), bucket: 1})
	}
	w.run(time.Minute)
	if got := w.last(); got.Status != plan.Failed || !strings.Contains(got.FailureReason, "Snapshot") {
		t.Errorf("audit: %s", w.story())
	}
}

func TestMigrate_SilentCutIsFound(t *testing.T) {
	w := newWorld(6)
	w.cut, w.cap = true, 8
	w.fill(100, 10)
	w.run(10 * time.Minute)
	w.check(t, w.now.Add(-time.Hour))
}

func TestMigrate_SwitchedOffAndOn(t *testing.T) {
	w := newWorld(7)
	w.fill(100, 10)
	w.run(time.Minute)
	off := w.config[len(w.config)-1]
	off.IsActive = false
	off.Ingested = w.now
	w.config = append(w.config, off)
	copied := len(w.extents)
	w.fill(50, 0.1)
	w.run(3 * time.Hour)
	if len(w.extents) != copied {
		t.Fatalf("a table that is switched off was copied: %s", w.story())
	}
	on := off
	on.IsActive, on.Ingested = true, w.now
	w.config = append(w.config, on)
	w.run(3 * time.Hour)
	w.check(t, w.now.Add(-2*time.Hour))
}

func TestMigrate_WatermarkSetByTheUserIsTakenUp(t *testing.T) {
	w := newWorld(8)
	w.fill(100, 10)
	w.run(time.Minute)
	row := w.config[len(w.config)-1]
	row.LastRefreshedTime = w.now.Add(-5 * time.Hour)
	row.Ingested = w.now
	w.config = append(w.config, row)
	w.run(2 * time.Hour)
	found := false
	for _, a := range w.audits {
		found = found || strings.Contains(a.Note, "set by the user")
	}
	if !found {
		t.Errorf("no audit row says that the watermark was set back: %s", w.story())
	}
	again := 0
	for _, n := range w.arrived(key.Source) {
		if n > 1 {
			again++
		}
	}
	if again == 0 {
		t.Error("nothing was read again")
	}
}

func TestMigrate_UnknownTable(t *testing.T) {
	w := newWorld(9)
	for _, name := range []string{"Nowhere", "Device'Info", "a\nb", "T | take 1"} {
		_, err := w.deliver(message{req: pipeline.Request{WakeUp: plan.WakeUp{Key: plan.Key{Source: name}, Trigger: plan.Manual}}})
		if fault.KindOf(err) != fault.Permanent {
			t.Errorf("%q: %v, want a permanent error", name, err)
		}
		if got := w.last(); got.Status != plan.Failed || got.SourceTable != name {
			t.Errorf("%q: audit %+v", name, got)
		}
	}
}

func TestMigrate_OneRowTooLargeForTheService(t *testing.T) {
	w := newWorld(10)
	w.fill(3, 1)
	w.refuseAll = true
	w.run(3 * time.Hour)
	if got := w.last(); got.Status != plan.Failed || !strings.Contains(got.FailureReason, "cannot be divided further") {
		t.Errorf("audit: %s", w.story())
	}
}

func TestMigrate_StateBlobGone(t *testing.T) {
	w := newWorld(11)
	w.fill(200, 20)
	w.run(time.Minute)
	clear(w.states)
	w.fill(50, 0.1)
	w.run(3 * time.Hour)
	w.check(t, w.now.Add(-2*time.Hour))
}

func TestMigrate_LedgerGone(t *testing.T) {
	w := newWorld(12)
	w.fill(200, 20)
	w.delay = time.Hour
	w.run(time.Minute)
	clear(w.ledgers)
	w.delay = time.Second
	w.run(6 * time.Hour)
	w.check(t, w.now.Add(-2*time.Hour))
}

func TestMigrate_StagedBlobsGone(t *testing.T) {
	w := newWorld(13)
	w.fill(100, 20)
	w.delay = 1000 * time.Hour
	w.run(time.Minute)
	clear(w.staged)
	w.pending = nil
	w.delay = time.Second
	w.run(6 * time.Hour)
	w.check(t, w.now.Add(-2*time.Hour))
}

func TestMigrate_AnotherAppOnTheDatabase(t *testing.T) {
	w := newWorld(14)
	w.fill(10, 5)
	w.run(time.Minute)
	w.extents = append(w.extents, extent{runID: "other120261101000000aaaaaaaa", slice: 1, destination: "DeviceInfoRaw", at: w.now.Add(time.Minute)})
	w.run(2 * time.Hour)
	if got := w.last(); got.Status != plan.Failed || !strings.Contains(got.FailureReason, "two apps") {
		t.Errorf("audit: %s", w.story())
	}
}

// Rows of ours in MigrationConfiguration never turn into a user's command,
// however many follow them.
func TestMigrate_DaysOfRuns(t *testing.T) {
	w := newWorld(15)
	w.fill(10, 5)
	for range 100 {
		w.fill(1, 0.5)
		w.run(time.Hour)
	}
	w.check(t, w.now.Add(-2*time.Hour))
}

// Whatever fails, whatever is killed, whenever: once things work again, every
// row is there once, and no Success was untrue.
func TestMigrate_AnyFaultSchedule(t *testing.T) {
	rounds.Long(t)
	total := map[string]int{}
	for seed := range uint64(rounds.Of(30, 60, 300)) {
		w := newWorld(1000 + seed)
		w.fill(50+w.rng.IntN(200), 48)
		w.chaos = 0.15 * w.rng.Float64()
		w.kills = 0.05 * w.rng.Float64()
		w.cut = w.rng.IntN(3) == 0
		for range 6 {
			w.run(time.Hour)
			w.fill(w.rng.IntN(20), 0.15)
		}
		w.chaos, w.kills = 0, 0
		w.run(12 * time.Hour)
		w.check(t, w.now.Add(-3*time.Hour))
		if t.Failed() {
			t.Fatalf("schedule %d", seed)
		}
		for f, n := range w.faults {
			total[f] += n
		}
	}
	for _, f := range slices.Sorted(maps.Keys(total)) {
		t.Logf("%6d %s", total[f], f)
	}
}
