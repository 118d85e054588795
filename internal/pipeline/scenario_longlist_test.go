package pipeline_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// allPages are those of 400,000 incidents.
const allPages = 8000

// longList is a list of so many pages of incidents, of half a year, served in an order.
// They hold few incidents, which take the test's time and no call.
func longList(seed uint64, pages int, load, order string) *world {
	w := listWorld(seed, 0, load)
	w.list.source, w.list.page = "security/incidents", 10
	if pages == allPages {
		w.list.page = 50
	}
	n := pages * w.list.page
	row := &w.config[0]
	row.SourceTable, row.DestinationTable, row.WatermarkColumn = w.list.source, "SecurityIncidentsRaw", "lastUpdateDateTime"
	if load == "Snapshot" {
		row.WatermarkColumn = "None"
	}
	for i := range n {
		ago := time.Duration(float64(i) / float64(n) * float64(180*24*time.Hour))
		w.list.things = append(w.list.things, w.list.version(w.now.Add(-time.Minute-ago)))
	}
	switch order {
	case "oldest first":
		slices.Reverse(w.list.things)
	case "no order":
		rand.New(rand.NewPCG(seed, 1)).Shuffle(n, func(i, j int) { l := w.list.things; l[i], l[j] = l[j], l[i] })
	}
	return w
}

// A list that takes many invocations is copied whole, within the rate of its API and
// without idle time, in whatever order it is served, whatever kills the process.
// In small it is the same, in less time.
func TestScenario_Y9_ListLongerThanAnInvocation(t *testing.T) {
	pages := rounds.Of(160, 240, allPages)
	for i, order := range []string{"newest first", "oldest first", "no order"} {
		for j, load := range []string{"Incr", "Snapshot"} {
			if pages < allPages && j != i%2 {
				continue
			}
			w := longList(uint64(i), pages, load, order)
			n := len(w.list.things)
			w.list.each, w.cfg.CallsInFlight = time.Minute/50, 4
			w.cfg.Budget = 25 * time.Minute * time.Duration(pages) / allPages
			w.kills = 0.0001 * allPages / float64(pages)
			for range 1000 {
				if w.last().Status == plan.Success {
					break
				}
				w.run(w.cfg.Budget)
			}
			calls, parts, twice := w.list.calls, len(w.list.frozen), 2*pages
			w.kills = 0
			w.run(time.Hour)
			w.listed(t)
			if arrived := w.arrived(w.list.name()); len(arrived) != n || parts < 10 {
				t.Fatalf("%s, %s: %d incidents of %d, in %d parts: %s", order, load, len(arrived), n, parts, w.story())
			}
			if w.list.together > 1 || w.list.latest > w.cfg.Budget/2+5*time.Second {
				t.Errorf("%s, %s: %d readings at one time, one begun %v after an invocation of %v", order, load, w.list.together, w.list.latest, w.cfg.Budget)
			}
			if len(calls) > 3*twice {
				t.Errorf("%s, %s: %d calls, want at most half as many again as the %d of two readings", order, load, len(calls), twice)
			}
			for i := 50; i < len(calls); i++ {
				if calls[i].Sub(calls[i-50]) < time.Minute {
					t.Fatalf("%s, %s: more than 50 calls in the minute before %v", order, load, calls[i])
				}
			}
			took, need := calls[len(calls)-1].Sub(calls[0]), time.Duration(len(calls))*w.list.each
			if pages == allPages && took > need*3/2 {
				t.Errorf("%s, %s: %v for calls that need %v", order, load, took, need)
			}
			t.Logf("%s, %s: %v, %d calls for %d, %d parts, faults %v", order, load, took, len(calls), twice, parts, w.faults)
		}
	}
}

// Where each reading is broken off by a long wait before its end, the parts get short
// enough; and things that change meanwhile are neither lost nor repeated.
func TestScenario_Y9_LongListIsThrottledAgainAndAgain(t *testing.T) {
	for i, load := range []string{"Incr", "Snapshot"}[:rounds.Of(1, 1, 2)] {
		w := longList(uint64(i), 40, load, "newest first")
		w.perMinute, w.list.churn, w.chaos, w.kills = 30, 0.05, 0.001, 0.001
		for range 8 {
			if w.run(time.Hour); w.last().Status == plan.Success {
				break
			}
		}
		w.chaos, w.kills, w.list.churn = 0, 0, 0
		w.run(2 * time.Hour)
		w.listed(t)
		if w.last().Status != plan.Success || len(w.list.frozen) < 5 {
			t.Errorf("%s: %d parts, audit: %s", load, len(w.list.frozen), w.story())
		}
	}
}

// What cannot be divided says so, with what to do, and is not tried in vain for ever.
func TestScenario_Y9_LongListThatCannotBeDivided(t *testing.T) {
	for _, c := range []struct {
		name, source, want string
		long               bool
	}{
		{"changed in one second", "security/incidents", "its rows cannot be told apart by lastUpdateDateTime: raise MIGRATION_TIME_BUDGET", false},
		{"changed in the last minutes", "security/incidents", "", true},
		{"no instant", "api/vulnerabilities", "it can only be read as a whole: raise MIGRATION_TIME_BUDGET", false},
	} {
		w := longList(1, 160, "Snapshot", "newest first")
		if c.long {
			w.config[0].LoadType, w.config[0].WatermarkColumn = "Incr", "lastUpdateDateTime"
		}
		w.cfg.Budget, w.list.each = time.Minute, time.Minute/50
		w.list.source, w.config[0].SourceTable = c.source, c.source
		for i := range w.list.things {
			at := &w.list.things[i].at
			*at = plan.Ticks(w.now.Add(-time.Minute))
			if c.long {
				*at = plan.Ticks(w.now.Add(-time.Duration(i) * 50 * time.Millisecond))
			}
		}
		for range 20 {
			if w.run(5 * time.Minute); w.last().Status != "" {
				break
			}
		}
		if got := w.last(); c.long != (got.Status == plan.Success) ||
			!strings.HasSuffix(got.FailureReason, c.want) || !c.long && !strings.HasPrefix(got.FailureReason, c.source+" was not read to its end within the time budget of 1m0s") {
			t.Errorf("%s: %s: audit: %s", c.name, got.FailureReason, w.story())
		}
		if c.long { // all are within what the next runs read again
			w.run(90 * time.Minute)
			w.listed(t)
		}
	}
}

// A part whose blob is gone is read again as it is then: what it had shown before and
// shows no more was not copied, and is when it shows again.
func TestList_PartReadAgainForgetsWhatItHasShown(t *testing.T) {
	w := longList(1, 40, "Incr", "newest first")
	w.cfg.Budget, w.list.each = 30*time.Second, time.Minute/50
	fleeting := w.list.things[0]
	lose := true
	w.fate = func(plan.Ingestion) fate {
		if lose {
			return lost
		}
		return well
	}
	for range 100 {
		if w.run(time.Minute); len(w.sent) > 0 && w.countIn(t, plan.Planned) == 0 {
			break
		}
	}
	clear(w.staged)
	w.list.things = w.list.things[1:]
	lose = false
	for range 20 {
		if w.run(5 * time.Minute); w.last().Status == plan.Success {
			break
		}
	}
	if got := w.last(); got.Status != plan.Success || w.arrived(w.list.name())[fleeting.no] != 0 {
		t.Fatalf("the version that had gone is there %d times, audit: %s", w.arrived(w.list.name())[fleeting.no], w.story())
	}
	w.list.things = append(w.list.things, fleeting)
	w.run(time.Hour)
	w.listed(t)
	if w.arrived(w.list.name())[fleeting.no] != 1 {
		t.Errorf("the version that shows again is not copied: %s", w.story())
	}
}

// A part of a snapshot whose blob is gone is not read again alone: what has moved to a
// younger part since that was read would be in neither.
func TestScenario_Y9_PartReadAgainMissesNothingThatHasMoved(t *testing.T) {
	w := longList(1, 240, "Snapshot", "newest first")
	w.cfg.Budget, w.list.each = 30*time.Second, time.Minute/50
	oldest := -1
	w.fate = func(in plan.Ingestion) fate {
		if oldest < 0 {
			oldest = in.Slice
		}
		if in.Slice == oldest {
			return lost
		}
		return well
	}
	for range 100 {
		if w.run(time.Minute); len(w.sent) > 0 && w.countIn(t, plan.Planned) == 0 {
			break
		}
	}
	delete(w.staged, w.sent[0].Blob.Path)
	last := len(w.list.things) - 1
	before := w.list.things[last]
	w.list.things[last] = w.list.version(w.now)
	w.fate = nil
	for range 60 {
		if w.run(time.Minute); w.last().Status != "" {
			break
		}
	}
	rows := w.rowsOfRun(w.last().RunID)
	if got := w.last(); got.Status != plan.Success || !slices.Contains(rows, before.no) && !slices.Contains(rows, w.list.things[last].no) {
		t.Errorf("a thing that was there all the time is not among the %d of the snapshot, audit: %s", len(rows), w.story())
	}
}

// countIn counts the slices of all ledgers that are in a state.
func (w *world) countIn(t *testing.T, state plan.SliceState) (n int) {
	t.Helper()
	for _, b := range w.ledgers {
		l := w.ledger(t, b)
		n += l.Count(state)
	}
	return n
}
