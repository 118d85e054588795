package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/defender2adx/defender2adx/functions/migrate"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/host"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// failing is a pipeline that ends with an error.
type failing struct{ err error }

func (f failing) Migrate(context.Context, pipeline.Request) error { return f.err }

func (failing) Malformed(context.Context, error) error { return nil }

// A failure is a failure to the host, too: only what a person must mend counts as
// dealt with, and then the host's own log tells the reason.
func TestScenario_P19_FailureIsNoCompletion(t *testing.T) {
	for _, tt := range []struct {
		err             error
		redeliver, says bool
	}{
		{nil, false, false},
		{errors.New("connection reset"), true, false},
		{fault.As(fault.Permanent, errors.New("403 forbidden")), false, true},
	} {
		f := migrate.Function{Pipeline: failing{tt.err}, Auditor: failing{}, Parse: func(string) (plan.WakeUp, error) {
			return plan.WakeUp{Key: plan.Key{Source: "DeviceInfo"}}, nil
		}}
		reply := f.Serve(t.Context(), host.Invocation{ID: "i", Function: "migrate", Body: []byte(`{"Data":{"wakeup":"\"x\""},"Metadata":{}}`)})
		if reply.Redeliver != tt.redeliver {
			t.Errorf("%v: redelivery %v, want %v", tt.err, reply.Redeliver, tt.redeliver)
		}
		if says := len(reply.Logs) > 0 && fmt.Sprint(reply.Logs) == fmt.Sprintf("[DeviceInfo: %v]", tt.err); says != tt.says {
			t.Errorf("%v: the host's log gets %q", tt.err, reply.Logs)
		}
	}
}
