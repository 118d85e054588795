package pipeline_test

import (
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Scenarios of watermarks and of what people write into the configuration.

// One row is dated in the year 2099. It waits for its time, or for a snapshot,
// and holds nothing else up.
func TestScenario_O10_RowFromTheFuture(t *testing.T) {
	w := large(1, 100, 20)
	w.config[0].WatermarkColumn = "InstallationTime"
	future := w.add(time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)).id
	w.run(time.Hour)
	if mark := w.newest(key.Source).LastRefreshedTime; mark.After(w.now) {
		t.Fatalf("watermark %v lies in the future", mark)
	}
	for range 1_000 {
		w.add(w.now)
	}
	w.run(2 * time.Hour)
	w.whole(t, w.now.Add(-time.Hour))
	if w.copied(key.Source) != 1_100 {
		t.Errorf("want 1,100 rows:%s", w.story())
	}
	w.edit(func(r *plan.Row) { r.LoadType = "Snapshot" })
	w.run(time.Minute)
	if got := w.last(); got.RecordCount != 1_101 || w.arrived("")[future] != 1 {
		t.Errorf("the snapshot lacks the row from the future:%s", w.story())
	}
}

func TestScenario_O11_NullWatermarks(t *testing.T) {
	w := large(2, 100, 20)
	for range 40 {
		w.add(time.Time{})
	}
	w.run(3 * time.Hour)
	w.whole(t, w.now)
	if w.copied(key.Source) != 140 {
		t.Errorf("want 140 rows:%s", w.story())
	}
}

func TestScenario_P10_OneNullWatermark(t *testing.T) {
	w := large(3, 100, 20)
	w.add(time.Time{})
	w.run(3 * time.Hour)
	w.whole(t, w.now)
	if w.copied(key.Source) != 101 || w.count(key.Source, plan.Failed) > 0 {
		t.Errorf("want 101 rows:%s", w.story())
	}
	w.add(time.Time{})
	w.run(time.Hour)
	if got := w.last(); !strings.Contains(got.Note, "2, were 1") {
		t.Errorf("a further row without watermark is not mentioned:%s", w.story())
	}
}

// The column is a business date: a device that came today reports what was
// installed last year. The audit row warns, and a snapshot has the row.
func TestScenario_O12_BusinessDateAsWatermark(t *testing.T) {
	w := large(4, 100, 20)
	w.config[0].WatermarkColumn = "InstallationTime"
	w.run(time.Hour)
	if got := w.last(); !strings.Contains(got.Note, "InstallationTime") || !strings.Contains(got.Note, "Snapshot") {
		t.Errorf("the audit row does not warn:%s", w.story())
	}
	old := w.add(w.now.AddDate(-1, 0, 0)).id
	w.edit(func(r *plan.Row) { r.LoadType = "Snapshot" })
	w.run(time.Minute)
	if got := w.last(); got.Status != plan.Success || got.RecordCount != 101 || w.arrived("")[old] != 1 {
		t.Errorf("the snapshot lacks the row:%s", w.story())
	}
}

func TestScenario_O13_ArrivalTimeIsNull(t *testing.T) {
	w := large(5, 0, 1)
	for range 50 {
		w.add(time.Time{})
	}
	w.run(time.Minute)
	got := w.last()
	if got.Status != plan.Failed || !strings.Contains(got.FailureReason, "null in all 50 rows") || !strings.Contains(got.FailureReason, "Snapshot") {
		t.Fatalf("want a failure with the remedy:%s", w.story())
	}
	w.edit(func(r *plan.Row) { r.LoadType = "Snapshot" })
	w.run(time.Minute)
	w.whole(t, w.now)
	if w.copied(key.Source) != 50 {
		t.Errorf("audit:%s", w.story())
	}
}

// Rows at .1 and .12 seconds, where text would sort the other way round.
func TestScenario_O15_UnequalPrecision(t *testing.T) {
	w := large(6, 0, 1)
	second := w.now.Truncate(time.Second).Add(time.Hour)
	w.add(second.Add(100 * time.Millisecond))
	w.add(second.Add(120 * time.Millisecond))
	for _, to := range []time.Duration{50, 105, 115, 125, 130} {
		w.now = second.Add(w.cfg.Settle + to*time.Millisecond)
		if err := w.wake(plan.Scheduled); err != nil {
			t.Fatal(err)
		}
	}
	w.run(2 * time.Hour)
	w.whole(t, w.now.Add(-time.Hour))
	texts := ""
	for _, row := range w.config[1:] {
		if row.LastRefreshedTimeInString <= texts || len(row.LastRefreshedTimeInString) != 28 {
			t.Errorf("%q after %q: the text does not sort like the instant", row.LastRefreshedTimeInString, texts)
		}
		texts = row.LastRefreshedTimeInString
	}
}

// A person's row is malformed: its table fails with the reason, the others run,
// and the corrected row is taken up.
func TestScenario_O24_MalformedConfigurationRow(t *testing.T) {
	for name, change := range map[string]func(*plan.Row){
		"watermark": func(r *plan.Row) { r.LastRefreshedTime, r.LastRefreshedTimeInString = time.Time{}, "last Tuesday" },
		"load type": func(r *plan.Row) { r.LoadType = "Everything" },
	} {
		t.Run(name, func(t *testing.T) {
			w := large(7, 1_000, 20)
			w.table("DeviceProcessEvents")
			w.add(w.now.Add(-time.Hour)).source = "DeviceProcessEvents"
			w.edit(change)
			w.run(time.Minute)
			if got := w.count(key.Source, plan.Failed); got == 0 || w.count("DeviceProcessEvents", plan.Success) != 1 {
				t.Errorf("want a failure of one table and a success of the other:%s", w.story())
			}
			w.edit(func(r *plan.Row) { *r = w.config[0] })
			w.run(time.Hour)
			w.whole(t, w.now.Add(-2*time.Hour))
		})
	}
	// A watermark without fraction is well formed.
	w := large(8, 1_000, 20)
	w.edit(func(r *plan.Row) {
		r.LastRefreshedTime, r.LastRefreshedTimeInString = time.Time{}, "2026-01-01T00:00:00Z"
	})
	w.run(time.Minute)
	w.whole(t, w.now.Add(-time.Hour))
	if w.copied(key.Source) != 1_000 {
		t.Errorf("audit:%s", w.story())
	}
}

func TestScenario_O25_SwitchedOffByARow(t *testing.T) {
	w := large(9, 1_000, 20)
	w.run(time.Minute)
	w.edit(func(r *plan.Row) { r.IsActive = false })
	for range 10 {
		w.add(w.now)
	}
	w.run(3 * time.Hour)
	if got := w.last(); w.copied(key.Source) != 1_000 || got.Status != plan.Skipped || !strings.Contains(got.FailureReason, "IsActive=false") {
		t.Errorf("the table was not switched off:%s", w.story())
	}
	if w.newest(key.Source).IsActive {
		t.Error("a row of ours switched the table on again")
	}
	w.edit(func(r *plan.Row) { r.IsActive = true })
	w.run(time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
	if w.copied(key.Source) != 1_010 {
		t.Errorf("want the ten rows that came meanwhile:%s", w.story())
	}
}

func TestScenario_O26_WatermarkSetBack(t *testing.T) {
	w := large(10, 1_000, 20)
	w.run(time.Minute)
	back := w.now.Add(-10 * time.Hour)
	w.edit(func(r *plan.Row) { r.LastRefreshedTime, r.LastRefreshedTimeInString = back, plan.Stamp(back) })
	w.run(2 * time.Hour)
	again := 0
	for _, r := range w.rows {
		want := 1
		if r.at.After(back) {
			want = 2
			again++
		}
		if got := w.arrived("")[r.id]; got != want {
			t.Fatalf("row of %v is there %d times, want %d", r.at, got, want)
		}
	}
	var rewound plan.Audit
	for _, a := range w.audits {
		if strings.Contains(a.Note, "set by the user") {
			rewound = a
		}
	}
	if !rewound.WindowFrom.Equal(back) || rewound.RecordCount != int64(again) {
		t.Errorf("no run begins at %v:%s", back, w.story())
	}
	if got := w.newest(key.Source).LastRefreshedTime; !got.Equal(rewound.WindowTo) {
		t.Errorf("the watermark stayed at %v", got)
	}
}

// Full means everything the first time and what is new from then on.
func TestScenario_P11_FullGoesOn(t *testing.T) {
	w := large(11, 10_000, 20)
	w.config[0].LoadType = "Full"
	w.run(time.Minute)
	for range 50 {
		w.add(w.now)
	}
	w.run(2 * time.Hour)
	w.whole(t, w.now.Add(-time.Hour))
	if got := w.last(); w.copied(key.Source) != 10_050 || got.RecordCount > 50 {
		t.Errorf("want 10,000 rows and then 50:%s", w.story())
	}
}

// A stored watermark that is malformed is one table's failure and no wake-up's
// end: it is permanent, so nothing is repeated in vain.
func TestScenario_O24_IsNotRepeatedInVain(t *testing.T) {
	w := large(12, 10, 20)
	w.edit(func(r *plan.Row) { r.WatermarkColumn = "a b; drop" })
	if err := w.wake(plan.Scheduled); fault.KindOf(err) != fault.Permanent || w.calls != 0 {
		t.Errorf("got %v after %d calls, want a permanent error and none", err, w.calls)
	}
}
