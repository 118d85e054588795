package schedule_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/functions/schedule"
	"github.com/defender2adx/defender2adx/internal/host"
	"github.com/defender2adx/defender2adx/internal/plan"
)

type site struct {
	rows     []plan.Candidate
	rowsErr  error
	open     []plan.Key
	deaf     string // table whose wake-up cannot be sent
	depth    int    // wake-ups in the queue; negative: nobody knows
	asleep   int    // of those
	woken    []string
	rejected []string
}

func (s *site) Latest(context.Context) ([]plan.Candidate, error) { return s.rows, s.rowsErr }
func (s *site) Open(context.Context) ([]plan.Key, error)         { return s.open, nil }

func (s *site) Read(context.Context, plan.Key) (*plan.TableState, error) {
	return nil, errors.New("a table without Frequency needs no state")
}

func (s *site) Wake(_ context.Context, w plan.WakeUp, delay time.Duration) error {
	if w.Key.Source == s.deaf {
		return errors.New("queue is down")
	}
	if w.Trigger != "scheduled" || w.Again != 0 || delay != 0 {
		return errors.New("not a scheduled wake-up")
	}
	s.woken = append(s.woken, w.Key.Source)
	return nil
}

func (s *site) Backlog(context.Context) (plan.Backlog, error) {
	if s.depth < 0 {
		return plan.Backlog{}, errors.New("queue cannot be counted")
	}
	return plan.Backlog{All: s.depth, Ready: min(plan.MostReady, s.depth-s.asleep)}, nil
}

func (s *site) Reject(_ context.Context, row plan.Candidate, _ error) error {
	s.rejected = append(s.rejected, row.SourceTable)
	return nil
}

func TestFunction_Tick(t *testing.T) {
	bad := row("DeviceInfo", true)
	bad.LoadType = "Delta"
	lost, gone := row("L", true), plan.Key{Instance: "gone", Source: "L"}
	lost.Instance, lost.Problem = gone.Instance, errors.New("no setting names it")
	tests := []struct {
		name     string
		site     site
		woken    []string
		rejected []string
		fails    bool
	}{
		{"active tables only", site{rows: []plan.Candidate{row("A", true), row("B", false), row("C", true)}}, []string{"A", "C"}, nil, false},
		{"an open run whose row is gone goes on", site{rows: []plan.Candidate{row("A", true)}, open: []plan.Key{{Source: "Gone"}, {Source: "A"}}}, []string{"A", "Gone"}, nil, false},
		{"the run of a table that is off pauses", site{rows: []plan.Candidate{row("B", false)}, open: []plan.Key{{Source: "B"}}}, nil, nil, false},
		{"a faulty row is recorded and stops nobody", site{rows: []plan.Candidate{bad, row("A", true)}}, []string{"A"}, []string{"DeviceInfo"}, false},
		{"an instance that no setting names is recorded, its open run too", site{rows: []plan.Candidate{lost, row("A", true)}, open: []plan.Key{gone}}, []string{"A"}, []string{"L"}, false},
		{"a wake-up that is not sent stops nobody", site{rows: []plan.Candidate{row("A", true), row("B", true)}, deaf: "A"}, []string{"B"}, nil, true},
		{"one waits for each table", site{rows: []plan.Candidate{row("A", true), row("B", true), row("C", false)}, depth: 2}, []string{"A", "B"}, nil, false},
		{"more wait than there are tables", site{rows: []plan.Candidate{row("A", true), row("B", true), row("C", false)}, depth: 3}, nil, nil, false},
		{"a person's wake-ups that sleep keep nobody waiting", site{rows: []plan.Candidate{row("A", true), row("B", true)}, depth: 4, asleep: 3}, []string{"A", "B"}, nil, false},
		{"an open run counts as a table", site{rows: []plan.Candidate{row("A", true)}, open: []plan.Key{{Source: "Gone"}}, depth: 2}, []string{"A", "Gone"}, nil, false},
		{"a queue that nobody can count keeps nobody waiting", site{rows: []plan.Candidate{row("A", true)}, depth: -1}, []string{"A"}, nil, false},
		{"many wait, for what nobody can read", site{rowsErr: errors.New("ADX is stopped"), open: []plan.Key{{Source: "A"}}, depth: 9}, []string{"A"}, nil, true},
		{"open runs go on without a configuration", site{rowsErr: errors.New("ADX is stopped"), open: []plan.Key{{Source: "A"}}}, []string{"A"}, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &tt.site
			f := schedule.Function{Configuration: s, States: s, Waker: s, Auditor: s, Backlog: s.Backlog, Sweep: func(context.Context) (int, error) { return 0, nil }}
			sent, err := f.Tick(t.Context())
			if sent != len(tt.woken) || (err != nil) != tt.fails {
				t.Errorf("Tick = %d, %v; want %d wake-ups, failing %v", sent, err, len(tt.woken), tt.fails)
			}
			if diff := cmp.Diff(tt.woken, s.woken); diff != "" {
				t.Errorf("woken (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.rejected, s.rejected); diff != "" {
				t.Errorf("rejected (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFunction_ServeAnswersWhateverTheTimerSays(t *testing.T) {
	s := &site{rows: []plan.Candidate{row("A", true)}}
	f := schedule.Function{Configuration: s, States: s, Waker: s, Auditor: s, Backlog: s.Backlog, Sweep: func(context.Context) (int, error) { return 0, errors.New("no") }}
	for _, body := range []string{`{"Data":{"tick":{"IsPastDue":true}},"Metadata":{}}`, `{}`, `nonsense`} {
		if reply := f.Serve(t.Context(), host.Invocation{ID: "1", Function: "schedule", Body: []byte(body)}); reply.Redeliver {
			t.Errorf("%s: the tick counts as failed", body)
		}
	}
	if len(s.woken) != 3 {
		t.Errorf("woken %v", s.woken)
	}
}
