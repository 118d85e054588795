package pipeline_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// listed fails unless every version that both reads of a run have shown is in ADX, and
// none is there twice; of snapshots within each alone.
func (w *world) listed(t *testing.T) {
	t.Helper()
	arrived := map[string]map[int]int{}
	for _, e := range w.extents {
		run := ""
		if w.newest(w.list.name()).LoadType == string(plan.Snapshot) {
			run = e.runID
		}
		if w.voids[fmt.Sprint(e.runID, e.slice)] || w.voids[fmt.Sprint(e.runID, -1)] {
			continue
		}
		if arrived[run] == nil {
			arrived[run] = map[int]int{}
		}
		for _, id := range e.ids {
			arrived[run][id]++
		}
	}
	for run, ids := range arrived {
		for id, n := range ids {
			if n > 1 {
				t.Errorf("version %d is there %d times (run %q)", id, n, run)
			}
		}
	}
	runs := 0
	for _, b := range w.ledgers {
		l := w.ledger(t, b)
		if l.Status != string(plan.Success) {
			continue
		}
		runs++
		run := ""
		if w.newest(w.list.name()).LoadType == string(plan.Snapshot) {
			run = l.RunID
		}
		for of, shown := range w.list.frozen {
			if of.run != l.RunID || w.voids[fmt.Sprint(of.run, of.no)] {
				continue
			}
			for id := range shown {
				if arrived[run][id] == 0 {
					t.Errorf("version %d was shown in both reads of slice %d of run %s and is not there", id, of.no, l.RunID)
				}
			}
		}
	}
	if runs == 0 {
		t.Error("no run ended well")
	}
	if t.Failed() {
		t.Logf("audit: %s; faults: %v", w.story(), w.faults)
	}
}

func TestList_CopiesEachVersionOnce(t *testing.T) {
	for _, load := range []string{"Full", "Incr", "Snapshot"} {
		w := listWorld(1, 40, load)
		w.run(time.Minute)
		w.listed(t)
		if got := w.last(); got.Status != plan.Success || got.RecordCount != 40 || got.API != "mde" || got.Calls != 12 || got.SourceTable != machines {
			t.Errorf("%s: audit: %s", load, w.story())
		}
		w.list.churn = 1
		w.run(6 * time.Hour)
		w.listed(t)
		if len(w.versions) > 1 {
			t.Errorf("%s: %d records of what was shown are kept, want the last", load, len(w.versions))
		}
		if mark := w.newest(machines).LastRefreshedTime; mark.Before(w.now.Add(-3 * time.Hour)) {
			t.Errorf("%s: the watermark is %v at %v", load, mark, w.now)
		}
	}
}

func TestScenario_Y1_ListShiftsAndNothingEndsWell(t *testing.T) {
	for seed := range rounds.Of(6, 12, 72) {
		w := listWorld(uint64(seed), 30, []string{"Full", "Incr", "Snapshot"}[seed%3])
		w.list.churn, w.chaos, w.kills = 0.5, 0.06, 0.02
		w.run(8 * time.Hour)
		w.chaos, w.kills, w.list.churn = 0, 0, 0
		w.run(4 * time.Hour)
		w.listed(t)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// An answer of one row bears the time of the call: a second one would be a second row.
func TestList_OfOneRowIsReadOnce(t *testing.T) {
	w := listWorld(2, 1, "Snapshot")
	w.list.source = "api/exposureScore"
	row := &w.config[0]
	row.SourceTable, row.DestinationTable, row.WatermarkColumn = w.list.source, "ExposureScoreRaw", "None"
	w.run(time.Minute)
	if got := w.last(); got.Status != plan.Success || got.RecordCount != 1 || got.Calls != 1 {
		t.Errorf("%d calls, audit: %s", got.Calls, w.story())
	}
}

// An empty list is a run that ends well, with a watermark.
func TestScenario_Y4_ListOfNothing(t *testing.T) {
	w := listWorld(3, 0, "Incr")
	w.run(90 * time.Minute)
	if got := w.last(); got.Status != plan.Success || got.RecordCount != 0 || len(w.extents) != 0 {
		t.Errorf("audit: %s", w.story())
	}
	w.list.things = append(w.list.things, w.list.version(w.now.Add(-time.Minute)))
	w.run(time.Hour)
	w.listed(t)
	if got := w.last(); got.RecordCount != 1 {
		t.Errorf("audit: %s", w.story())
	}
}

// What comes late is copied as long as the overlap shows it, and never twice.
func TestScenario_Y2_VersionsThatComeLate(t *testing.T) {
	w := listWorld(4, 10, "Incr")
	w.run(3 * time.Hour)
	late := w.list.version(w.now.Add(-40 * time.Hour)) // machines overlap by 48 h
	tooLate := w.list.version(w.now.Add(-60 * time.Hour))
	w.list.things = append(w.list.things, late, tooLate)
	w.run(3 * time.Hour)
	w.listed(t)
	arrived := w.arrived(machines)
	if arrived[late.no] != 1 || arrived[tooLate.no] != 0 {
		t.Errorf("the version within the overlap is there %d times, the one before it %d", arrived[late.no], arrived[tooLate.no])
	}
}

// A watermark of the user's begins there, and what it repeats is repeated once.
func TestScenario_Y7_ListFromTheUsersWatermark(t *testing.T) {
	w := listWorld(5, 0, "Incr")
	var before, after version
	w.config[0].LastRefreshedTime = w.now.Add(-5 * time.Hour)
	before, after = w.list.version(w.now.Add(-6*time.Hour)), w.list.version(w.now.Add(-4*time.Hour))
	w.list.things = []version{before, after}
	w.run(3 * time.Hour)
	if arrived := w.arrived(machines); arrived[before.no] != 0 || arrived[after.no] != 1 {
		t.Errorf("first: before the watermark %d, after it %d times", arrived[before.no], arrived[after.no])
	}
	set := w.newest(machines)
	set.LastRefreshedTime, set.RunID, set.Generation, set.Ingested = w.now.Add(-10*time.Hour), "", 0, w.now
	w.config = append(w.config, set)
	w.run(5 * time.Hour)
	if arrived := w.arrived(machines); arrived[before.no] != 1 || arrived[after.no] != 2 {
		t.Errorf("set back: before the old watermark %d, after it %d times; want 1 and 2: %s", arrived[before.no], arrived[after.no], w.story())
	}
}

// Between load types nothing is lost and nothing repeated that both hold.
func TestList_TurnsFromSnapshotToIncrements(t *testing.T) {
	w := listWorld(6, 20, "Snapshot")
	w.config[0].WatermarkColumn = "None"
	w.run(30 * time.Minute)
	snapshots := len(w.extents)
	turned := w.newest(machines)
	turned.LoadType, turned.WatermarkColumn, turned.Ingested = "Incr", "lastSeen", w.now
	turned.RunID, turned.Generation, turned.LastRefreshedTime = "", 0, time.Time{}
	w.config = append(w.config, turned)
	fresh := w.list.version(w.now)
	w.list.things = append(w.list.things, fresh)
	w.run(5 * time.Hour)
	w.listed(t)
	if arrived := w.arrived(machines); snapshots != 1 || arrived[fresh.no] != 1 {
		t.Errorf("%d snapshots, the new version is there %d times: %s", snapshots, arrived[fresh.no], w.story())
	}
}

// A state that is gone is made again from what was published; where the record of what
// the list has shown is gone too, nobody guesses.
func TestScenario_Y3_StateOfAListIsLost(t *testing.T) {
	w := listWorld(7, 20, "Incr")
	w.run(3 * time.Hour)
	delete(w.states, machinesKey)
	w.list.things = append(w.list.things, w.list.version(w.now.Add(-time.Minute)))
	w.run(3 * time.Hour)
	w.listed(t)
	if got := w.last(); got.Status != plan.Success {
		t.Errorf("audit: %s", w.story())
	}
	clear(w.versions)
	_, err := w.deliver(message{req: wakeUpOf(machinesKey)})
	if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "append a configuration row with another LastRefreshedTime") {
		t.Errorf("without the record: %v, want the remedy", err)
	}
}

// A blob that is gone before ADX has taken it is read again, under a new number.
func TestScenario_Y5_ListsBlobIsGone(t *testing.T) {
	w := listWorld(8, 20, "Incr")
	w.fate = func(plan.Ingestion) fate { return lost }
	w.run(10 * time.Minute)
	clear(w.staged)
	w.fate = nil
	w.run(6 * time.Hour)
	w.listed(t)
	if got := w.last(); got.Status != plan.Success || len(w.arrived(machines)) != 20 {
		t.Errorf("%d versions: %s", len(w.arrived(machines)), w.story())
	}
}

// The service's clock decides how far a list was read.
func TestList_WatermarkIsByTheServicesClock(t *testing.T) {
	w := listWorld(9, 5, "Incr")
	w.list.clock = -20 * time.Minute
	w.run(10 * time.Minute)
	want := plan.Ticks(w.list.clockAt(w.audits[0].Timestamp).Add(-w.cfg.Settle))
	if mark := w.newest(machines).LastRefreshedTime; mark.After(want) || mark.Before(want.Add(-time.Minute)) {
		t.Errorf("watermark %v, want about %v", mark, want)
	}
}

func (l *listing) clockAt(t time.Time) time.Time { return t.Add(l.clock) }

// A plan reads once and writes nothing; the run takes no more calls than it says.
func TestList_Forecast(t *testing.T) {
	w := listWorld(10, 40, "Incr")
	p := &process{world: w}
	f, err := w.pipe(p, nil).Forecast(t.Context(), reader{p}, machinesKey)
	if err != nil {
		t.Fatal(err)
	}
	if f.Rows != 40 || f.Asked != 6 || f.Slices != 1 || f.Runs != 1 || len(w.versions)+len(w.staged)+len(w.ledgers) != 0 {
		t.Errorf("forecast %+v; %d records, %d blobs, %d ledgers", f, len(w.versions), len(w.staged), len(w.ledgers))
	}
	w.run(time.Minute)
	if calls := w.last().Calls; calls > f.Calls || calls == 0 {
		t.Errorf("%d calls, forecast at most %d", calls, f.Calls)
	}
}

func wakeUpOf(k plan.Key) pipeline.Request {
	return pipeline.Request{WakeUp: plan.WakeUp{Key: k, Trigger: plan.Manual}}
}

// counted is a quota that counts.
type counted struct {
	pipeline.Quota
	takes int
}

func (c *counted) Take(ctx context.Context, table string, urgent bool) error {
	c.takes++
	return c.Quota.Take(ctx, table, urgent)
}

func TestList_TakesCallsOfItsOwn(t *testing.T) {
	w := listWorld(11, 20, "Incr")
	p := &process{world: w}
	hunting, lists := &counted{Quota: p}, &counted{Quota: p}
	pipe := w.pipe(p, func(ports *pipeline.Ports) { ports.Quota, ports.Lists[0].Quota = hunting, lists })
	if err := pipe.Migrate(t.Context(), wakeUpOf(machinesKey)); err != nil {
		t.Fatal(err)
	}
	if hunting.takes != 0 || lists.takes != 6 {
		t.Errorf("%d hunting calls, %d of lists; want 0 and 6", hunting.takes, lists.takes)
	}
}

// A version that the reads of one run miss was copied all the same, and the next run
// knows it still.
func TestList_KnowsWhatOneRunHasMissed(t *testing.T) {
	w := listWorld(12, 10, "Incr")
	w.run(time.Hour)
	missed := w.list.version(w.now.Add(-2 * time.Hour))
	w.list.things = append(w.list.things, missed)
	w.run(time.Hour)
	w.list.things[len(w.list.things)-1] = w.list.version(w.now.Add(-time.Minute)) // and something new, so that a record is written
	w.run(time.Hour)
	w.list.things = append(w.list.things, missed)
	w.run(time.Hour)
	w.listed(t)
	if n := w.arrived(machines)[missed.no]; n != 1 {
		t.Errorf("the version is there %d times", n)
	}
}
