package pipeline_test

import (
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// The settings name another tenant: nothing is copied with what was learned of the one
// before, a person is told once a day, and the old id goes on where it was.
func TestTenant_AnotherOneIsRefused(t *testing.T) {
	w := large(401, 100, 20)
	w.cfg.Tenant = "a"
	w.run(time.Hour)
	before, mark := w.copied(key.Source), w.newest(key.Source).LastRefreshedTime
	w.cfg.Tenant = "b"
	for range 50 {
		w.add(w.now)
	}
	w.run(50 * time.Hour)
	if w.copied(key.Source) != before || !w.newest(key.Source).LastRefreshedTime.Equal(mark) {
		t.Fatalf("copied on:%s", w.story())
	}
	if n := w.count(key.Source, plan.Failed); n < 2 || n > 3 || !strings.Contains(w.last().FailureReason, "holds rows of a, and the settings say b") {
		t.Errorf("%d audit rows in 50 hours, want one a day with both tenants:%s", n, w.story())
	}
	w.cfg.Tenant = "a"
	w.run(3 * time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
}

// A watermark that a person writes after the change is the command to begin anew: what
// was sent of an open run of the tenant before is hidden, its ended runs stay.
func TestTenant_BeginsAnewOnCommand(t *testing.T) {
	beginning := time.Date(1800, 1, 1, 0, 0, 0, 0, time.UTC) // as `handler rewind` writes it
	for _, open := range []bool{false, true} {
		w := large(402, 100, 20)
		w.cfg.Tenant = "a"
		w.run(time.Hour)
		ended, run := w.copied(key.Source), "none"
		if open {
			for range 300 {
				w.add(w.now)
			}
			w.now = w.now.Add(2 * time.Hour)
			w.after(1, "enqueue", kill)
			w.wake(plan.Scheduled)
			w.now, w.messages = w.now.Add(2*lease), nil
			if run = w.state(t, key).OpenRun; run == "" {
				t.Fatal("no run is open: the scenario did not take place")
			}
		}
		w.cfg.Tenant, w.rows = "b", nil
		w.fill(40, 10)
		w.run(time.Hour)
		if n := w.count(key.Source, plan.Failed); n != 1 {
			t.Fatalf("open %v: %d audit rows, want 1:%s", open, n, w.story())
		}
		w.edit(func(r *plan.Row) { r.LastRefreshedTime, r.RunID, r.Generation = beginning, "", 0 })
		w.run(3 * time.Hour)
		ids := w.arrived("")
		for _, r := range w.rows {
			if ids[r.id] != 1 {
				t.Fatalf("open %v: row %d is there %d times:%s", open, r.id, ids[r.id], w.story())
			}
		}
		if len(ids) != int(ended)+len(w.rows) {
			t.Errorf("open %v: %d rows are shown, want %d of a and %d of b:%s", open, len(ids), ended, len(w.rows), w.story())
		}
		told := false
		for _, a := range w.audits {
			told = told || strings.Contains(a.Note, "tenant b is copied from now on; rows of tenant a stay")
			if a.RunID == run && a.Status == plan.Success {
				t.Errorf("the run of the tenant before ended with rows of this one:%s", w.story())
			}
		}
		if !told {
			t.Errorf("open %v: no audit row tells of the change:%s", open, w.story())
		}
		if s := w.state(t, key); s.Tenant != "b" || s.Rewind != nil {
			t.Errorf("open %v: state of tenant %q, rewind %v", open, s.Tenant, s.Rewind)
		}
	}
}

// A tenant that could not be asked has left nothing: its id may be corrected. So may a
// state tell no tenant that an older program wrote.
func TestTenant_NothingCopiedIsNobodys(t *testing.T) {
	w := large(403, 60, 10)
	w.cfg.Tenant = "misspelled"
	w.repeatedly(1, 0, "count", unavailable)
	for range 2 {
		w.wake(plan.Scheduled)
		w.now = w.now.Add(time.Hour)
	}
	w.mend()
	w.cfg.Tenant = "a"
	w.run(3 * time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
	if s := w.state(t, key); s.Tenant != "a" {
		t.Errorf("the state says %q", s.Tenant)
	}

	w = large(404, 60, 10)
	w.run(time.Hour)
	w.cfg.Tenant = "a"
	for range 20 {
		w.add(w.now)
	}
	w.run(4 * time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
}

// Snapshots have no watermark, and mixing tenants would be seen in each: the same command
// lets one go on.
func TestTenant_OfASnapshot(t *testing.T) {
	w := large(405, 100, 20)
	w.config[0].LoadType = "Snapshot"
	w.cfg.Tenant = "a"
	w.run(time.Minute)
	w.cfg.Tenant = "b"
	w.run(2 * time.Hour)
	if n := w.count(key.Source, plan.Success); n != 1 || strings.Contains(w.last().FailureReason, "handler rewind") {
		t.Fatalf("%d snapshots, want the one of a and a remedy that works:%s", n, w.story())
	}
	w.edit(func(r *plan.Row) { r.LastRefreshedTime = w.now })
	w.run(time.Hour)
	if n := w.count(key.Source, plan.Success); n < 2 || w.state(t, key).Tenant != "b" || w.state(t, key).Rewind != nil {
		t.Errorf("%d snapshots after the command:%s", n, w.story())
	}
}
