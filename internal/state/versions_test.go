package state_test

import (
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// Records of what lists have shown go when nothing can name them any more: neither a
// state nor the ledger of an open run.
func TestSweep_DeletesOldRecordsOfLists(t *testing.T) {
	a := newAccount(t)
	s := a.store(nil)
	h := acquire(t, s, plan.Key{Source: "api/machines"})
	saveState(t, h, plan.TableState{OpenRun: "app2", Shown: "app1-3-x"})
	var shown plan.Versions
	shown.Add(plan.Version{1}, time.Now())
	for _, name := range []string{"app1-3-x", "app2-4-y", "app0-1-z"} {
		if err := h.SaveVersions(t.Context(), name, &shown); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		olderThan time.Time
		left      int
	}{{time.Now().Add(-time.Hour), 3}, {time.Now().Add(time.Hour), 2}} {
		if n, err := s.Sweep(t.Context(), tt.olderThan); n != 0 || err != nil {
			t.Errorf("Sweep = %d, %v; want no ledger", n, err)
		}
		left := 0
		for _, name := range []string{"app1-3-x", "app2-4-y", "app0-1-z"} {
			if v, err := s.Versions(t.Context(), name); err != nil {
				t.Error(err)
			} else if v != nil {
				left++
			}
		}
		if left != tt.left {
			t.Errorf("older than %v: %d records are left, want %d", tt.olderThan, left, tt.left)
		}
	}
	saveState(t, h, plan.TableState{})
}
