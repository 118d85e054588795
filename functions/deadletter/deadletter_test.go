package deadletter_test

import (
	"context"
	"errors"
	"testing"

	"github.com/defender2adx/defender2adx/functions/deadletter"
	"github.com/defender2adx/defender2adx/internal/host"
	"github.com/defender2adx/defender2adx/internal/plan"
)

type log struct {
	err  error
	said []string
}

func (l *log) GivenUp(_ context.Context, w plan.WakeUp) error {
	l.said = append(l.said, "given up "+w.Key.Source)
	return l.err
}

func (l *log) Malformed(context.Context, error) error {
	l.said = append(l.said, "malformed")
	return l.err
}

func TestFunction_Serve(t *testing.T) {
	parse := func(text string) (plan.WakeUp, error) {
		if text != "good" {
			return plan.WakeUp{}, errors.New("no wake-up")
		}
		return plan.WakeUp{Key: plan.Key{Source: "DeviceInfo"}}, nil
	}
	tests := []struct {
		name, body, said string
		err              error
		redeliver        bool
	}{
		{"a wake-up", `{"Data":{"wakeup":"\"good\""},"Metadata":{}}`, "given up DeviceInfo", nil, false},
		{"anything else", `{"Data":{"wakeup":"\"bad\""},"Metadata":{}}`, "malformed", nil, false},
		{"no envelope", `[]`, "malformed", nil, false},
		{"the audit log is down", `{"Data":{"wakeup":"\"good\""},"Metadata":{}}`, "given up DeviceInfo", errors.New("ADX is stopped"), true},
	}
	for _, tt := range tests {
		l := &log{err: tt.err}
		f := deadletter.Function{Parse: parse, Auditor: l}
		reply := f.Serve(t.Context(), host.Invocation{ID: "1", Function: "deadletter", Body: []byte(tt.body)})
		if reply.Redeliver != tt.redeliver || len(l.said) != 1 || l.said[0] != tt.said {
			t.Errorf("%s: redeliver %v, said %v; want %v, %q", tt.name, reply.Redeliver, l.said, tt.redeliver, tt.said)
		}
	}
}
