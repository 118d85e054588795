package app

import (
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// A watermark that the table has seen already is no command: the nearest before it is.
func TestFreeMark_IsOneThatTheTableHasNotSeen(t *testing.T) {
	at := time.Date(2026, 11, 20, 6, 0, 0, 0, time.UTC)
	rows := []plan.Row{{LastRefreshedTime: at, RunID: "ours"}, {LastRefreshedTime: at.Add(-plan.Tick)}}
	state := &plan.TableState{Table: plan.Table{LastRefreshed: at.Add(-2 * plan.Tick)}}
	for _, tt := range []struct {
		mark, want time.Time
	}{
		{at, at.Add(-3 * plan.Tick)},
		{at.Add(time.Second), at.Add(time.Second)},
	} {
		if got := freeMark(tt.mark, rows, state); !got.Equal(tt.want) {
			t.Errorf("%v: %v, want %v", tt.mark, got, tt.want)
		}
	}
	if got := freeMark(at, nil, nil); !got.Equal(at) {
		t.Errorf("of a table without rows: %v", got)
	}
}
