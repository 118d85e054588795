package quota

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// table is a caller that always has more to fetch. While a slot lies ahead and
// while its call lasts it asks for nothing; refused, it comes back when told to,
// a little late, as a queue delivers.
type table struct {
	name   string
	urgent bool
	due    time.Time // when it asks next
	calls  int
	first  time.Time // of its calls
	last   time.Time

	longest time.Duration // between two calls
	busy    time.Duration // spent in calls
}

// contest lets tables ask for slots until the end and returns the slots.
func contest(u rules, tables []*table, end time.Time, call, late func() time.Duration) (slots []time.Time) {
	var r record
	for {
		next := slices.MinFunc(tables, func(a, b *table) int { return a.due.Compare(b.due) })
		if next.due.After(end) {
			return slots
		}
		at, reserved := u.turn(&r, next.due, next.name, next.urgent)
		if !reserved {
			next.due = at.Add(late())
			continue
		}
		if next.calls++; next.calls == 1 {
			next.first = at
		}
		next.longest = max(next.longest, at.Sub(later(next.last, epoch)))
		next.last = at
		slots = append(slots, at)
		took := call()
		next.busy += took
		next.due = at.Add(took)
	}
}

func tenantRules() rules {
	return rules{minute: newRate(DefaultPerMinute, time.Minute, DefaultFreeShare), reach: DefaultMaxSleep}
}

func draw(t *rapid.T, low, high time.Duration, name string) func() time.Duration {
	n := 0
	steps := rapid.SliceOfN(rapid.Int64Range(int64(low), int64(high)), 16, 64).Draw(t, name)
	return func() time.Duration { n++; return time.Duration(steps[n%len(steps)]) }
}

func tables(urgent, others int) (all []*table) {
	for i := range urgent + others {
		all = append(all, &table{name: fmt.Sprint("table", i), urgent: i < urgent, due: epoch})
	}
	return all
}

func TestTurn_EveryTableGetsItsShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 30).Draw(t, "tables")
		urgent := rapid.Bool().Draw(t, "urgent")
		all := tables(0, n)
		for _, x := range all {
			x.urgent = urgent
		}
		length := time.Duration(max(5, n/2)) * time.Minute
		slots := contest(tenantRules(), all, epoch.Add(length), draw(t, time.Second, 20*time.Second, "call"), draw(t, 0, time.Second, "late"))
		share := len(slots) / n
		for i, x := range all {
			// One whose calls last long asks less often than the others: it is its own limit.
			if x.calls < share/3 && x.busy < length/2 {
				t.Fatalf("table %d of %d got %d calls of %d, an equal share is %d", i, n, x.calls, len(slots), share)
			}
		}
	})
}

func TestTurn_NothingLiesIdleWhileSomebodyWaits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// With twenty callers a call of twenty seconds leaves enough of them waiting.
		all := tables(rapid.IntRange(0, 20).Draw(t, "urgent"), rapid.IntRange(20, 40).Draw(t, "others"))
		const length = 10 * time.Minute
		slots := contest(tenantRules(), all, epoch.Add(length), draw(t, time.Second, 20*time.Second, "call"), draw(t, 0, time.Second, "late"))
		if allowed := 10 * 36; float64(len(slots)) < 0.95*float64(allowed) {
			t.Fatalf("%d slots used in %v, want 95 %% of %d", len(slots), length, allowed)
		}
		slices.SortFunc(slots, time.Time.Compare)
		if n := most(slots, time.Minute); n > 38 {
			t.Fatalf("%d slots in a minute", n)
		}
	})
}

func TestTurn_SnapshotsGoFirstAndEventsAreNotForgotten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := tables(20, rapid.IntRange(1, 30).Draw(t, "others"))
		end := epoch.Add(30 * time.Minute)
		slots := contest(tenantRules(), all, end, draw(t, time.Second, 15*time.Second, "call"), draw(t, 0, time.Second, "late"))
		urgent := 0
		for i, x := range all {
			if x.urgent {
				urgent += x.calls
			} else if max(x.longest, end.Sub(later(x.last, epoch))) > 2*agingAfter*time.Minute {
				t.Fatalf("table %d waited %v, and %v at the end, behind snapshots without end", i, x.longest, end.Sub(x.last))
			}
		}
		if share := float64(urgent) / float64(len(slots)); share < 0.75 {
			t.Fatalf("snapshots got %.2f of %d slots, want at least three quarters", share, len(slots))
		}
	})
}

func TestTurn_OneSnapshotOvertakesABacklog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := tables(1, rapid.IntRange(10, 80).Draw(t, "others"))
		comes := epoch.Add(5 * time.Minute)
		all[0].due = comes
		contest(tenantRules(), all, comes.Add(time.Minute), draw(t, time.Second, 15*time.Second, "call"), draw(t, 0, time.Second, "late"))
		if wait := all[0].first.Sub(comes); all[0].calls == 0 || wait > 12*time.Second {
			t.Fatalf("the snapshot's first call came after %v (%d calls), behind %d tables with a backlog", wait, all[0].calls, len(all)-1)
		}
	})
}

func TestTurn_NoTwoComeBackTogether(t *testing.T) {
	u, r := tenantRules(), record{NotBefore: epoch.Add(10 * time.Minute)}
	var urgent, others []time.Time
	for i := range 40 {
		at, reserved := u.turn(&r, epoch, fmt.Sprint("table", i), i < 10)
		if reserved || at.Before(r.NotBefore) {
			t.Fatalf("caller %d during a hold until %v: %v, reserved %v", i, r.NotBefore, at, reserved)
		}
		if i < 10 {
			urgent = append(urgent, at)
		} else {
			others = append(others, at)
		}
	}
	back := append(urgent, others...)
	for i := 1; i < len(back); i++ {
		if gap := back[i].Sub(back[i-1]); gap != u.minute.interval {
			t.Errorf("callers %d and %d come back %v apart, want a slot's length", i-1, i, gap)
		}
	}
}

func TestTurn_AskingAgainKeepsThePlace(t *testing.T) {
	u, r := tenantRules(), record{NotBefore: epoch.Add(time.Minute)}
	first, _ := u.turn(&r, epoch, "a", false)
	if _, reserved := u.turn(&r, epoch, "b", false); reserved {
		t.Fatal("reserved during a hold")
	}
	again, _ := u.turn(&r, epoch.Add(time.Second), "a", false)
	if !again.Equal(first) || len(r.Line) != 2 {
		t.Errorf("the place moved from %v to %v, %d in line", first, again, len(r.Line))
	}
}

func TestTurn_APlaceFromAWrongClockIsForgotten(t *testing.T) {
	u := tenantRules()
	r := record{Line: []place{{Who: "a", Priority: true, At: epoch.AddDate(1, 0, 0)}}}
	if at, reserved := u.turn(&r, epoch, "b", false); !reserved {
		t.Errorf("told to come back at %v", at)
	}
}

func TestTurn_ALongLineIsNotKeptWhole(t *testing.T) {
	u, r := tenantRules(), record{NotBefore: epoch.Add(time.Minute)}
	for i := range 3 * maxPlaces {
		if at, reserved := u.turn(&r, epoch, fmt.Sprint("table", i), false); reserved || at.Sub(epoch) > time.Hour {
			t.Fatalf("caller %d: %v, reserved %v", i, at, reserved)
		}
	}
	if len(r.Line) != maxPlaces {
		t.Errorf("%d places are kept", len(r.Line))
	}
}
