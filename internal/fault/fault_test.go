package fault_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
)

func TestKindOf_FindsTheKindInTheChain(t *testing.T) {
	cause := errors.New("cause")
	until := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	tests := []struct {
		name string
		err  error
		want fault.Kind
	}{
		{"no error", nil, fault.None},
		{"an error nobody classified is repeated", cause, fault.Retry},
		{"attached", fault.As(fault.Split, cause), fault.Split},
		{"wrapped above", fmt.Errorf("fetch: %w", fault.As(fault.Permanent, cause)), fault.Permanent},
		{"the outermost kind decides", fault.As(fault.Retry, fault.As(fault.Permanent, cause)), fault.Retry},
		{"wait", fault.WaitUntil(until, cause), fault.Wait},
		{"nil stays nil", fault.As(fault.Split, nil), fault.None},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := fault.KindOf(tt.err); got != tt.want {
				t.Errorf("KindOf(%v) = %v, want %v", tt.err, got, tt.want)
			}
		})
	}
}

func TestUntil_TellsAWaitInUTC(t *testing.T) {
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.FixedZone("", 3600))
	err := fmt.Errorf("count: %w", fault.WaitUntil(at, errors.New("429")))
	got, ok := fault.Until(err)
	if !ok || !got.Equal(at) || got.Location() != time.UTC {
		t.Errorf("Until(%v) = %v, %v; want %v in UTC", err, got, ok, at)
	}
	if _, ok := fault.Until(fault.As(fault.Retry, errors.New("x"))); ok {
		t.Error("Until of a Retry error reports a wait")
	}
}
