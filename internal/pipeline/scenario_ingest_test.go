package pipeline_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Scenarios on the side of ADX: what ingestion does to the rows, and what becomes
// of watermark and audit row.

// ADX refuses every control row for two runs, as without the right to write.
func TestScenario_O16_WatermarkCannotBeWritten(t *testing.T) {
	w := large(1, 15_000, 20)
	w.repeatedly(1, 0, "deliver", func(*process) error { return fault.As(fault.Permanent, errors.New("401 unauthorized")) })
	for range 2 {
		if err := w.wake(plan.Scheduled); err == nil || !strings.Contains(err.Error(), "401") {
			t.Errorf("got %v, want the refusal", err)
		}
	}
	if len(w.audits) > 0 || len(w.config) != 1 {
		t.Fatalf("rows were written:%s", w.story())
	}
	if got := len(w.arrived("")); got != 15_000 {
		t.Errorf("%d rows in ADX, want those of the first run", got)
	}
	w.mend()
	w.run(time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
	// What copied nothing has no configuration row of its own.
	if w.copied(key.Source) != 15_000 || !w.newest(key.Source).LastRefreshedTime.Equal(w.audits[0].WindowTo) {
		t.Errorf("the rows that could not be written are lost:%s", w.story())
	}
}

// An error after two pages are in ADX: the audit row of the attempt counts them.
func TestScenario_O17_FailureAfterRowsArrived(t *testing.T) {
	w := large(2, 50_000, 20)
	w.before(3, "fetch", func(p *process) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.now = w.now.Add(time.Minute) // so that both pages are queryable
		return fault.As(fault.Permanent, errForbidden)
	})
	if err := w.wake(plan.Scheduled); fault.KindOf(err) != fault.Permanent {
		t.Fatalf("got %v", err)
	}
	there := int64(len(w.arrived("")))
	if got := w.last(); got.Status != plan.Failed || got.RecordCount != there || there == 0 || !strings.Contains(got.FailureReason, "403") {
		t.Errorf("%d rows in ADX:%s", there, w.story())
	}
	w.run(time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
}

// Queued ingestion accepts a blob and fails later: with a reason, without a
// word, or in part.
func TestScenario_O27_IngestionFailsAfterItWasAccepted(t *testing.T) {
	for _, end := range []fate{refused, lost, partial} {
		t.Run(string(end), func(t *testing.T) {
			w := large(3, 30_000, 20)
			struck := 0
			w.fate = func(in plan.Ingestion) fate {
				if in.Slice == 2 && struck == 0 {
					struck++
					return end
				}
				return well
			}
			if err := w.wake(plan.Scheduled); err != nil {
				t.Fatal(err)
			}
			if mark := w.newest(key.Source).LastRefreshedTime; mark.Year() != 1900 && len(w.arrived("")) != 30_000 {
				t.Errorf("watermark %v passed rows that are not there", mark)
			}
			w.run(2 * time.Hour)
			w.whole(t, w.now.Add(-3*time.Hour))
			if struck != 1 || w.copied(key.Source) != 30_000 {
				t.Errorf("audit:%s", w.story())
			}
			if w.tried["fetch"] != 4 {
				t.Errorf("%d fetches for 4 slices: what is frozen is not asked for again", w.tried["fetch"])
			}
		})
	}
}

// ADX says that an ingestion failed for a reason that may pass, and tries again by
// itself: the blob is not sent again beside that.
func TestScenario_O27_FailureThatMayPass(t *testing.T) {
	w := large(5, 9_000, 20)
	w.fate = func(plan.Ingestion) fate { return faltering }
	w.run(time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
	if len(w.sent) != 1 || w.tried["status"] == 0 {
		t.Errorf("%d sends after %d looks at the status, want one send:%s", len(w.sent), w.tried["status"], w.story())
	}
}

// ADX refuses the blobs for good: the table fails with the reason and the place to
// look, and its watermark stays.
func TestScenario_O27_IngestionThatNeverWorks(t *testing.T) {
	w := large(4, 9_000, 20)
	w.fate = func(plan.Ingestion) fate { return refused }
	w.run(2 * time.Hour)
	got := w.last()
	if w.count(key.Source, plan.Success) > 0 || !strings.Contains(got.FailureReason, ".show ingestion failures") || !strings.Contains(got.FailureReason, "mapping does not fit") {
		t.Errorf("audit:%s", w.story())
	}
	if mark := w.newest(key.Source).LastRefreshedTime; mark.Year() != 1900 {
		t.Errorf("watermark %v", mark)
	}
	if w.tried["fetch"] != 1 {
		t.Errorf("%d fetches, want one", w.tried["fetch"])
	}
}

// ADX refuses every blob of a large run until none may be sent again. Once that is over
// one tick tries all of them, and not one of them each.
func TestScenario_O27_AllSlicesAreTriedOnceMoreTogether(t *testing.T) {
	w := large(5, 240_000, 19)
	w.fate = func(plan.Ingestion) fate { return refused }
	w.run(6 * time.Hour)
	if _, l := w.stored(t); len(l.Slices) < 8 || w.count(key.Source, plan.Success) > 0 {
		t.Fatalf("%d slices:%s", len(l.Slices), w.story())
	}
	w.fate = nil
	w.run(2 * time.Hour)
	if w.count(key.Source, plan.Success) == 0 {
		t.Errorf("not whole two ticks after ADX works again:%s", w.story())
	}
	w.whole(t, w.now.Add(-3*time.Hour))
}

// Two of four ingestions fail once, in one run.
func TestScenario_P5_TwoPagesFail(t *testing.T) {
	w := large(5, 38_000, 19)
	failed := map[int]bool{}
	w.fate = func(in plan.Ingestion) fate {
		if in.Slice%2 == 0 && !failed[in.Slice] {
			failed[in.Slice] = true
			return refused
		}
		return well
	}
	w.run(time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
	if len(failed) < 2 || w.copied(key.Source) != 38_000 || w.count(key.Source, plan.Success) != 1 {
		t.Errorf("%d failed:%s", len(failed), w.story())
	}
	if !w.newest(key.Source).IsActive {
		t.Error("the table was switched off")
	}
}

// The connection breaks on the last page of the first of two tables.
func TestScenario_P6_OneTablesErrorIsItsOwn(t *testing.T) {
	w := large(6, 60_000, 20)
	w.table("DeviceProcessEvents")
	for range 30_000 {
		w.add(w.now.Add(-time.Hour)).source = "DeviceProcessEvents"
	}
	w.before(7, "fetch", func(*process) error { return errNet })
	w.run(15 * time.Minute)
	w.whole(t, w.now.Add(-time.Hour))
	for source, rows := range map[string]int64{key.Source: 60_000, "DeviceProcessEvents": 30_000} {
		if w.copied(source) != rows || w.count(source, plan.Success) != 1 || w.newest(source).LastRefreshedTime.Year() == 1900 {
			t.Errorf("%s: want %d rows, audit and configuration row:%s", source, rows, w.story())
		}
	}
	if w.count(key.Source, plan.Failed) != 1 {
		t.Errorf("the error has no audit row:%s", w.story())
	}
}

// The commands that ADX gets do not grow with the table: rows go by queued
// ingestion, in few large blobs.
func TestScenario_O32_LargeTable(t *testing.T) {
	rounds.Long(t)
	commands := map[int]int{}
	for _, rows := range []int{10_000, 200_000} {
		w := large(7, rows, 20)
		w.cap, w.cfg.Limits.Rows = 100_000, 95_000
		w.run(time.Minute)
		w.whole(t, w.now.Add(-time.Hour))
		commands[rows] = w.tried["deliver"]
		if most := rows/95_000 + 2; len(w.extents) > most {
			t.Errorf("%d extents for %d rows, want %d at most", len(w.extents), rows, most)
		}
	}
	if commands[10_000] != 2 || commands[200_000] != 2 {
		t.Errorf("commands by rows: %v, want one for the configuration and one for the audit row", commands)
	}
}

// ADX takes a blob, reports nothing amiss and shows no row of it, time and again.
func TestScenario_K1_AcceptedButEmpty(t *testing.T) {
	w := large(8, 9_000, 20)
	w.fate = func(plan.Ingestion) fate { return lost }
	w.run(2 * time.Hour)
	if w.count(key.Source, plan.Success) > 0 || w.newest(key.Source).LastRefreshedTime.Year() != 1900 {
		t.Fatalf("rows that nobody saw count as copied:%s", w.story())
	}
	if len(w.sent) < 2 || len(w.probes) == 0 {
		t.Errorf("sent %d times, %d probes", len(w.sent), len(w.probes))
	}
	w.mend()
	w.run(2 * time.Hour)
	w.whole(t, w.now.Add(-5*time.Hour))
	if w.copied(key.Source) != 9_000 {
		t.Errorf("audit:%s", w.story())
	}
}

// The rows of a slice expire between count and fetch: an empty blob is never
// handed to ingestion.
func TestScenario_K2_EmptyBatch(t *testing.T) {
	w := large(9, 5_000, 20)
	w.between(1, func() { w.rows = nil })
	w.run(time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
	if got := w.last(); len(w.sent) != 0 || got.Status != plan.Success || got.RecordCount != 0 {
		t.Errorf("sent %d blobs:%s", len(w.sent), w.story())
	}
}

// twins lets the service take in the blob of slice 2 twice, the first n times.
func (w *world) twins(n int) {
	w.fate = func(in plan.Ingestion) fate {
		if n > 0 && strings.Contains(in.Blob.Path, "-000002-") {
			n--
			return twin
		}
		return well
	}
}

// The service takes one blob in twice although its tag is there: the slice is
// hidden and the same blob sent under a new number.
func TestScenario_K3_TagThatDoesNotHold(t *testing.T) {
	w := large(10, 30_000, 20)
	w.twins(1)
	w.run(time.Hour)
	w.whole(t, w.now.Add(-2*time.Hour))
	if w.count(key.Source, plan.Surplus) != 0 || w.count(key.Source, plan.Success) != 1 || w.copied(key.Source) != 30_000 || w.tried["fetch"] > 4 {
		t.Errorf("%d fetches; audit:%s", w.tried["fetch"], w.story())
	}
}

// It goes on doing so: after the third time a person is told how to remove the
// copy, and nothing else waits.
func TestScenario_K3_TagThatNeverHolds(t *testing.T) {
	w := large(10, 30_000, 20)
	w.twins(100)
	w.run(time.Hour)
	if w.count(key.Source, plan.Surplus) != 1 || w.count(key.Source, plan.Success) != 1 || w.copied(key.Source) != 30_000 {
		t.Fatalf("audit:%s", w.story())
	}
	repeated := 0
	for _, n := range w.arrived("") {
		repeated += n - 1
	}
	for _, a := range w.audits {
		if a.Status == plan.Surplus && (a.RecordCount != int64(repeated) || !strings.Contains(a.FailureReason, ".delete")) {
			t.Errorf("%d rows are there twice:%s", repeated, w.story())
		}
	}
}
