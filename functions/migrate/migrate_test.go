package migrate_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/functions/migrate"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/host"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// part answers as the pipeline, the parser and the audit log would.
type part struct {
	migrate, parse, audit error
	migrated              []pipeline.Request
	audited               []string
}

func (p *part) Migrate(_ context.Context, req pipeline.Request) error {
	p.migrated = append(p.migrated, req)
	return p.migrate
}

func (p *part) Malformed(_ context.Context, cause error) error {
	p.audited = append(p.audited, cause.Error())
	return p.audit
}

func (p *part) read(text string) (plan.WakeUp, error) {
	return plan.WakeUp{Key: plan.Key{Source: text}, Trigger: plan.Scheduled}, p.parse
}

func (p *part) serve(t *testing.T, body string) host.Reply {
	t.Helper()
	f := migrate.Function{Pipeline: p, Parse: p.read, Auditor: p}
	return f.Serve(t.Context(), host.Invocation{ID: "i1", Function: "migrate", Body: []byte(body)})
}

const wakeup = `{"Data":{"wakeup":"\"DeviceInfo\""},"Metadata":{"DequeueCount":"2"}}`

// Whatever repeating may mend comes again; what only a person can mend does not,
// since the next tick wakes the table anyway.
func TestServe_AsksForRedeliveryOnlyWhereRepeatingMayHelp(t *testing.T) {
	cause := errors.New("cause")
	tests := []struct {
		name      string
		err       error
		redeliver bool
	}{
		{"done", nil, false},
		{"permanent", fault.As(fault.Permanent, cause), false},
		{"retry", fault.As(fault.Retry, cause), true},
		{"unavailable", fault.As(fault.Unavailable, cause), true},
		{"split", fault.As(fault.Split, cause), true},
		{"wait", fault.WaitUntil(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), cause), true},
		{"without a kind", cause, true},
		{"the context's end", context.DeadlineExceeded, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &part{migrate: tt.err}
			if got := p.serve(t, wakeup); got.Redeliver != tt.redeliver {
				t.Errorf("redeliver = %v, want %v", got.Redeliver, tt.redeliver)
			}
			if len(p.migrated) != 1 || p.migrated[0].Key.Source != "DeviceInfo" || p.migrated[0].AttemptID != "i1" {
				t.Errorf("the pipeline got %+v", p.migrated)
			}
		})
	}
}

// A message that nobody can read goes into the audit log and not round the queue.
func TestServe_AuditsAMalformedMessageAndIsDoneWithIt(t *testing.T) {
	tests := []struct {
		name      string
		part      part
		body      string
		redeliver bool
	}{
		{"no envelope", part{}, `[]`, false},
		{"no wake-up", part{parse: errors.New("want a wake-up")}, wakeup, false},
		{"no audit log either", part{parse: errors.New("want a wake-up"), audit: errors.New("ADX is away")}, wakeup, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.part.serve(t, tt.body)
			if got.Redeliver != tt.redeliver || len(tt.part.audited) != 1 || len(tt.part.migrated) != 0 {
				t.Errorf("redeliver = %v, audited %q, migrated %v; want redeliver = %v, one audit row and no work",
					got.Redeliver, tt.part.audited, tt.part.migrated, tt.redeliver)
			}
		})
	}
}
