package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Read, ReadLedger and OpenLedger read the world's blobs as a process without leases.
func (p *process) Read(_ context.Context, k plan.Key) (*plan.TableState, error) {
	b := p.states[k]
	if b == nil || len(b.body) == 0 {
		return nil, nil
	}
	var s plan.TableState
	return &s, json.Unmarshal(b.body, &s)
}

func (p *process) ReadLedger(_ context.Context, runID string) (*plan.Ledger, error) {
	b := p.ledgers[runID]
	if b == nil {
		return nil, nil
	}
	var l plan.Ledger
	return &l, json.Unmarshal(b.body, &l)
}

// reader gives OpenLedger the key that a lease knows.
type reader struct{ *process }

func (reader) OpenLedger(context.Context, plan.Key) (*plan.Ledger, error) { return nil, nil }

func (w *world) forecast(t *testing.T) pipeline.Forecast {
	t.Helper()
	p := &process{world: w}
	f, err := pipeline.New(w.cfg, p.ports(), slog.New(slog.DiscardHandler)).Forecast(t.Context(), reader{p}, key)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// written is all that the world would remember of somebody who writes.
func (w *world) written() map[string]any {
	blobs := map[string]string{}
	for k, b := range w.states {
		blobs[k.String()] = string(b.body)
	}
	for k, b := range w.ledgers {
		blobs[k] = string(b.body)
	}
	return map[string]any{"blobs": blobs, "configuration": len(w.config), "audits": len(w.audits), "messages": len(w.messages),
		"staged": len(w.staged), "sent": len(w.sent), "voids": len(w.voids), "probes": len(w.probes)}
}

// twenty makes slices of a hundred rows, and of five until a width is learned.
func twenty(seed uint64) *world {
	w := large(seed, 2_000, 100)
	w.cfg.Limits = plan.Limits{Rows: 100, Bytes: 15_000}
	return w
}

// What a forecast says is what the run then does, and it leaves nothing behind.
func TestForecast_IsWhatTheRunDoes(t *testing.T) {
	tests := []struct {
		name    string
		world   func() *world
		minimum int // slices
		slack   int // calls of runs that the first one leaves the rest to
	}{
		{"first run", func() *world { return twenty(1) }, 20, 0},
		{"half of the rows in one minute", func() *world {
			w := twenty(2)
			for range 2_000 {
				w.add(w.now.Add(-30 * time.Hour).Truncate(time.Minute))
			}
			return w
		}, 40, 1},
		{"later run", func() *world {
			w := twenty(3)
			w.run(time.Minute)
			w.now = w.now.Add(110 * time.Hour)
			for i := range 2_500 {
				w.add(w.now.Add(-2*time.Hour - time.Duration(i)*2*time.Minute).Truncate(plan.Tick))
			}
			return w
		}, 20, 0},
		{"snapshot", func() *world { w := twenty(4); w.config[0].LoadType = "Snapshot"; return w }, 20, 0},
		{"killed in the middle", func() *world {
			w := twenty(5)
			w.before(5, "enqueue", kill)
			_ = w.wake(plan.Manual) // it was killed
			w.now = w.now.Add(2 * lease)
			return w
		}, 1, 0},
		{"nothing", func() *world { return newWorld(6) }, 0, 0},
		{"switched off", func() *world { w := twenty(7); w.config[0].IsActive = false; return w }, 20, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := tt.world()
			before, asked := w.written(), w.calls
			open := w.openCalls(t)
			f := w.forecast(t)
			if diff := cmp.Diff(before, w.written()); diff != "" {
				t.Errorf("it wrote: %s", diff)
			}
			if f.Asked != w.calls-asked {
				t.Errorf("it says it made %d calls, and made %d", f.Asked, w.calls-asked)
			}
			made, audited := w.calls, len(w.audits)
			if err := w.wake(plan.Forced); err != nil {
				t.Fatal(err)
			}
			for len(w.messages) > 0 {
				w.now = w.messages[0].visible
				w.deliverFirst()
			}
			var rows int64
			for _, a := range w.audits[audited:] {
				rows += a.RecordCount
			}
			if calls := w.calls - made; f.Calls < calls-tt.slack || f.Calls > calls+tt.slack {
				t.Errorf("planned %d calls, the run made %d:%s", f.Calls, calls, w.story())
			}
			if f.Rows+open != rows || f.Slices < tt.minimum {
				t.Errorf("planned %d rows and %d before, in %d slices; the run copied %d:%s", f.Rows, open, f.Slices, rows, w.story())
			}
		})
	}
}

// openCalls returns the rows of the open run's slices that were fetched already.
func (w *world) openCalls(t *testing.T) (rows int64) {
	t.Helper()
	if w.states[key] == nil || w.state(t, key).OpenRun == "" {
		return 0
	}
	l, err := (&process{world: w}).ReadLedger(t.Context(), w.state(t, key).OpenRun)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range l.Slices {
		if s.State != plan.Planned && s.State != plan.Retired {
			rows += s.Blob.Rows
		}
	}
	return rows
}

// A day is what the last day brought, however short the window of the next run.
func TestForecast_KnowsADayFromAnHour(t *testing.T) {
	w := large(1, 4_800, 48)
	w.run(time.Minute)
	w.now = w.now.Add(time.Hour)
	if f := w.forecast(t); f.PerDay < 2_200 || f.PerDay > 2_600 {
		t.Errorf("%d rows a day of 2,400", f.PerDay)
	}
}

// attendant keeps what it is told.
type attendant struct {
	last pipeline.Progress
	off  []plan.WakeUp
	why  string
}

func (a *attendant) Progress(p pipeline.Progress) { a.last = p }
func (a *attendant) PutOff(w plan.WakeUp, _ time.Duration, reason string) {
	a.off, a.why = append(a.off, w), reason
}

// Who attends a run waits itself: nothing is in the queue, and no tick is told to wait
// for a wake-up that may never come.
func TestAttendant_WaitsInThePlaceOfAMessage(t *testing.T) {
	w := twenty(1)
	w.perMinute = 10
	a := &attendant{}
	req := pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: plan.Manual}, Attendant: a}
	if _, err := w.deliver(message{req: req}); err != nil {
		t.Fatal(err)
	}
	if len(a.off) != 1 || len(w.messages) != 0 || !w.state(t, key).Pending.Due.IsZero() {
		t.Fatalf("%d waits (%s), %d messages, pending %+v; want one wait alone", len(a.off), a.why, len(w.messages), w.state(t, key).Pending)
	}
	w.perMinute = 0
	w.run(time.Minute) // the process is gone; the next tick goes on with the run
	w.whole(t, w.now.Add(-2*time.Hour))
	if n := w.count(key.Source, plan.Success); n != 1 {
		t.Errorf("%d runs succeeded, want the one:%s", n, w.story())
	}
}

// It sees the run from the plan to its end.
func TestAttendant_SeesTheRun(t *testing.T) {
	w := twenty(1)
	a := &attendant{}
	if _, err := w.deliver(message{req: pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: plan.Manual}, Attendant: a}}); err != nil {
		t.Fatal(err)
	}
	for len(a.off) > 0 {
		req := pipeline.Request{WakeUp: a.off[0], Attendant: a}
		w.now, a.off = w.now.Add(time.Minute), nil
		if _, err := w.deliver(message{req: req}); err != nil {
			t.Fatal(err)
		}
	}
	if a.last.Status != plan.Success || a.last.Planned != 2_000 || a.last.Verified != 2_000 || a.last.Calls == 0 || a.last.Slices < 20 {
		t.Errorf("the last it saw is %+v", a.last)
	}
}

// A failure is told to who attends it, at each try, and is no message.
func TestAttendant_GetsTheFailure(t *testing.T) {
	w := twenty(1)
	w.repeatedly(1, 0, "count", func(*process) error { return errors.New("storage is away") })
	a := &attendant{}
	for n := 1; n <= 4; n++ {
		if _, err := w.deliver(message{req: pipeline.Request{WakeUp: plan.WakeUp{Key: key, Trigger: plan.Manual}, Attendant: a, Deliveries: n}}); err == nil {
			t.Errorf("try %d: no error", n)
		}
	}
	if len(a.off) != 0 || len(w.messages) != 0 {
		t.Errorf("%d waits, %d messages", len(a.off), len(w.messages))
	}
}
