package pipeline_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Scenarios in which hash() is another function from one query to the next.

// Kusto promises a hash only within one query: between the counts of a snapshot and its
// last query each row gets another one. The checksum of the keys no longer is that of
// the plan, and the snapshot is planned again.
func TestScenario_R8_HashChangesBetweenQueries(t *testing.T) {
	for n := 1; n <= 6; n++ {
		w := hashedSnapshot(uint64(80 + n))
		w.before(n, "fetch", w.rehash)
		w.run(10 * time.Minute)
		w.begunAgainOnce(t, n)
	}
}

// One part of a snapshot is fetched with another hash, under which it has as many rows:
// the counts at the plan and at the end know nothing of it.
func TestScenario_R8_HashChangesInOneFetchOfASnapshot(t *testing.T) {
	for n := 1; n <= 5; n++ {
		w := hashedSnapshot(uint64(90 + n))
		w.before(n, "fetch", func(*process) error { w.shift(1); return nil })
		w.after(n, "fetch", func(*process) error { w.shift(-1); return nil })
		w.run(30 * time.Minute)
		w.begunAgainOnce(t, n)
	}
}

// hashedSnapshot is a world with 200 rows of a snapshot, which go into slices of 40 by hash.
func hashedSnapshot(seed uint64) *world {
	w := newWorld(seed)
	w.config[0].LoadType = "Snapshot"
	w.cfg.Limits.Rows, w.cap = 40, 41
	for range 200 {
		w.add(w.now.Add(-5 * time.Hour))
	}
	return w
}

// begunAgainOnce holds that another hash at a fetch was noticed, and the snapshot is whole.
func (w *world) begunAgainOnce(t *testing.T, fetch int) {
	t.Helper()
	got := w.last()
	if w.count(key.Source, plan.Success) != 1 || !strings.Contains(got.Note, "begun again 1 times") {
		t.Fatalf("another hash at fetch %d: want one Success, begun again once:%s", fetch, w.story())
	}
	if copied := w.of(got.RunID); !slices.Equal(copied, w.present()) {
		t.Errorf("another hash at fetch %d: %d rows for %d:%s", fetch, len(copied), len(w.rows), w.story())
	}
}

// shift gives each row the hash of the row so many places on: each part keeps its number
// of rows.
func (w *world) shift(by int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	buckets := make([]int, len(w.rows))
	for i := range w.rows {
		buckets[i] = w.rows[(i+by+len(w.rows))%len(w.rows)].bucket
	}
	for i := range w.rows {
		w.rows[i].bucket = buckets[i]
	}
}

// rehash gives each row another hash.
func (w *world) rehash(*process) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.rows {
		w.rows[i].bucket = w.rng.IntN(plan.Buckets)
	}
	return nil
}

// beside is a hash that leaves half of the rows in no bucket at all, as one would whose
// remainders may be negative.
func (w *world) beside(*process) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.rows {
		if w.rows[i].bucket >= plan.Buckets/2 {
			w.rows[i].bucket -= 2 * plan.Buckets
		}
	}
	return nil
}

// tied is a world with 100 rows of one instant, which go into slices of 20 by hash.
func tied(seed uint64) *world {
	w := newWorld(seed)
	w.cfg.Limits.Rows, w.cap = 20, 21
	for range 100 {
		w.add(w.now.Add(-5 * time.Hour))
	}
	return w
}

// hashedWorlds are windows that hash() divides, each in its own way.
var hashedWorlds = map[string]func(uint64) *world{
	"a bin too large": tied,
	"halved since it is refused": func(seed uint64) *world {
		w := tied(seed)
		w.cap = 13
		return w
	},
	"null rows, and two bins": func(seed uint64) *world {
		w := tied(seed)
		for range 40 {
			w.add(w.now.Add(-9 * time.Hour))
			w.add(time.Time{})
		}
		return w
	},
}

// Wherever another hash comes in, once or twice: each row is in ADX once under Success.
func TestScenario_R8_HashChangesInAWindow(t *testing.T) {
	for name, make := range hashedWorlds {
		t.Run(name, func(t *testing.T) {
			mended := 0
			for seed := range uint64(rounds.Of(1, 1, 20)) {
				for _, call := range []string{"count", "tally", "fetch", "void"} {
					for n := 1; ; n++ {
						w := make(100*seed + uint64(n))
						w.before(n, call, w.rehash)
						if (seed+uint64(n))%2 == 1 {
							w.before(n+3, "fetch", w.rehash) // after it is read again, if it is
						}
						w.run(10 * time.Minute)
						if w.ill[0].last > 0 {
							break // so many there are not
						}
						w.check(t, w.now.Add(-2*time.Hour))
						if w.count(key.Source, plan.Success) == 0 || w.count(key.Source, plan.Failed)+w.count(key.Source, plan.Gap) > 0 {
							t.Errorf("another hash before %s %d, seed %d:%s", call, n, seed, w.story())
						}
						if strings.Contains(w.story(), "stand in two") {
							mended++
						}
					}
				}
			}
			if mended < 5 {
				t.Errorf("%d runs were mended: did the hash change in their midst?", mended)
			}
		})
	}
}

// A process dies anywhere on the way, and another one ends the run.
func TestScenario_R8_KilledWhileItIsReadAgain(t *testing.T) {
	for _, call := range []string{"overlap", "void", "save ledger", "save state", "tally", "fetch", "enqueue", "deliver"} {
		for _, after := range []bool{false, true} {
			for _, n := range []int{1, 3, 7} {
				w := tied(120)
				w.before(3, "fetch", func(p *process) error {
					w.ill = append(w.ill, &mishap{call: call, after: after, skip: n - 1, last: 1, do: kill})
					return w.rehash(p)
				})
				w.run(30 * time.Minute)
				w.check(t, w.now.Add(-2*time.Hour))
				if w.count(key.Source, plan.Success) != 1 || !strings.Contains(w.last().Note, "stand in two") {
					t.Errorf("killed at %s %d, after it: %v:%s", call, n, after, w.story())
				}
			}
		}
	}
}

// Rows arrive or go while parts are fetched and while they are read again. That alone
// has nothing read again, and with another hash all that is there at the end is copied.
func TestScenario_R8_RowsComeAndGoAsWell(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*world)
	}{
		{"late rows", func(w *world) {
			for range 7 {
				w.add(w.now.Add(-5 * time.Hour).Truncate(time.Hour))
			}
		}},
		{"rows are deleted", func(w *world) { w.rows = slices.Delete(w.rows, 3, 9) }},
	} {
		for _, n := range []int{1, 3, 5, 7} {
			for _, hashed := range []bool{false, true} {
				w := newWorld(uint64(130 + n))
				w.cfg.Limits.Rows, w.cap = 40, 60
				for range 200 {
					w.add(w.now.Add(-5 * time.Hour).Truncate(time.Hour))
				}
				w.between(n, func() { tt.change(w) })
				if hashed {
					w.before(2, "fetch", w.rehash)
				}
				w.run(10 * time.Minute)
				again := strings.Contains(w.story(), "read again")
				if w.count(key.Source, plan.Success) != 1 || w.count(key.Source, plan.Gap) > 0 || again != hashed {
					t.Errorf("%s before fetch %d, another hash: %v:%s", tt.name, n, hashed, w.story())
				}
				for id, times := range w.arrived("") {
					if times != 1 {
						t.Errorf("%s before fetch %d: row %d is there %d times", tt.name, n, id, times)
					}
				}
				for _, r := range w.rows {
					if w.arrived("")[r.id] == 0 && (r.id < 200 || hashed && n < 7) {
						t.Errorf("%s before fetch %d, another hash %v: row %d is missing:%s", tt.name, n, hashed, r.id, w.story())
						break
					}
				}
			}
		}
	}
}

// A hash that is another one at each fetch can divide nothing: the run fails, each tick
// anew, and ends well once it stays.
func TestScenario_R8_HashNeverStays(t *testing.T) {
	w := tied(140)
	w.repeatedly(1, 0, "fetch", w.rehash)
	w.run(3*time.Hour + time.Minute)
	if w.count(key.Source, plan.Success) > 0 || w.count(key.Source, plan.Failed) < 2 || !strings.Contains(w.last().FailureReason, "again and again") {
		t.Fatalf("audit:%s", w.story())
	}
	if n := w.tried["fetch"]; n > 60 {
		t.Errorf("%d fetches in four ticks", n)
	}
	w.mend()
	w.run(2 * time.Hour)
	w.check(t, w.now.Add(-4*time.Hour))
	if w.count(key.Source, plan.Success) == 0 {
		t.Errorf("audit:%s", w.story())
	}
}

// A hash that leaves rows in no bucket doubles none: parts shrink, and a count of the
// whole, which needs no hash, tells that nothing is gone. Read again, they are all
// there where it was for once, and the run is a Gap where it stays so.
func TestScenario_R8_RowsInNoBucket(t *testing.T) {
	for n := 2; n <= 5; n++ {
		for _, stays := range []bool{false, true} {
			w := tied(uint64(150 + n))
			was := slices.Clone(w.rows)
			w.before(n, "fetch", w.beside)
			if !stays {
				w.before(1, "void", func(*process) error {
					w.mu.Lock()
					defer w.mu.Unlock()
					copy(w.rows, was)
					return nil
				})
			}
			w.run(10 * time.Minute)
			want := plan.Success
			if stays {
				want = plan.Gap
			} else {
				w.check(t, w.now.Add(-2*time.Hour))
			}
			if got := w.last(); got.Status != want || !strings.Contains(got.Note, "read again") {
				t.Errorf("from fetch %d on, stays: %v:%s", n, stays, w.story())
			}
		}
	}
}

// A run that hash() divides costs no call more than its parts, and one that it does not
// asks ADX nothing more.
func TestScenario_R8_CostsNoCall(t *testing.T) {
	w := tied(160)
	w.run(10 * time.Minute)
	got := w.last()
	if got.Status != plan.Success || w.calls != 2+w.tried["fetch"] || w.tried["overlap"] != 1 {
		t.Errorf("%d calls, %d fetches, %d questions:%s", w.calls, w.tried["fetch"], w.tried["overlap"], w.story())
	}
	w = newWorld(161)
	w.fill(300, 20)
	w.run(10 * time.Minute)
	if w.count(key.Source, plan.Success) != 1 || w.tried["overlap"] != 0 {
		t.Errorf("%d questions:%s", w.tried["overlap"], fmt.Sprint(w.story()))
	}
}
