package plan

import (
	"slices"
	"testing"
	"time"
)

func TestLooks_AreDueAnHourAndADayLater(t *testing.T) {
	end := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	s := &TableState{}
	s.Watch("a", end)
	s.Watch("b", end.Add(time.Hour))
	s.LastRun = "b"
	for _, step := range []struct {
		after time.Duration
		want  []string
		left  int
	}{
		{time.Minute, []string{"b"}, 2},
		{59 * time.Minute, nil, 2},
		{time.Hour, []string{"a"}, 2},
		{90 * time.Minute, nil, 2},
		{2 * time.Hour, []string{"b"}, 2},
		{24 * time.Hour, []string{"a"}, 1},
		{24 * time.Hour, nil, 1},
		{100 * time.Hour, []string{"b"}, 0},
	} {
		now := end.Add(step.after)
		if got := s.LooksDue(now); !slices.Equal(got, step.want) {
			t.Errorf("after %v: %v are due, want %v", step.after, got, step.want)
		}
		s.Looked(now, nil)
		if len(s.Looks) != step.left {
			t.Errorf("after %v: %d runs are watched, want %d", step.after, len(s.Looks), step.left)
		}
	}
}

func TestLooks_StayDueWhileTheyCannotBeMade(t *testing.T) {
	end := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	s := &TableState{}
	s.Watch("a", end)
	for _, after := range []time.Duration{time.Hour, 2 * time.Hour, 30 * time.Hour} {
		if got := s.LooksDue(end.Add(after)); !slices.Equal(got, []string{"a"}) {
			t.Errorf("after %v: %v are due, want a", after, got)
		}
		s.Looked(end.Add(after), []string{"a"})
	}
	if s.Looked(end.Add(8*24*time.Hour), []string{"a"}); len(s.Looks) > 0 {
		t.Errorf("watched for ever: %v", s.Looks)
	}
}

func TestLooks_AreBounded(t *testing.T) {
	s := &TableState{}
	for range maxLooks + 5 {
		s.Watch("run", time.Time{})
	}
	if len(s.Looks) != maxLooks {
		t.Errorf("%d runs are watched, want %d", len(s.Looks), maxLooks)
	}
}

func TestInDoubt_WhereASendMayHaveBeenTwo(t *testing.T) {
	for _, tc := range []struct {
		name  string
		slice LedgerSlice
		want  bool
	}{
		{"sent once", LedgerSlice{State: Verified, Blob: Blob{Rows: 1}, Sends: 1, SourceID: "x"}, false},
		{"sent once, unanswered", LedgerSlice{State: Verified, Blob: Blob{Rows: 1}, Sends: 1, SourceID: "x", Unanswered: true}, true},
		{"sent again", LedgerSlice{State: Verified, Blob: Blob{Rows: 1}, Sends: 2, SourceID: "x"}, true},
		{"reply lost", LedgerSlice{State: Verified, Blob: Blob{Rows: 1}, Sends: 1}, true},
		{"sent again, and the last send never queued", LedgerSlice{State: Verified, Blob: Blob{Rows: 1}, Sends: 1, SourceID: "x", Doubt: true}, true},
		{"without rows", LedgerSlice{State: Verified, Sends: 1}, false},
		{"hidden", LedgerSlice{State: Void, Blob: Blob{Rows: 1}, Sends: 2}, false},
	} {
		l := &Ledger{Slices: []LedgerSlice{tc.slice}}
		if got := l.InDoubt(); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}
