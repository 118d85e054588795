package sleep_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/defender2adx/defender2adx/internal/sleep"
)

func TestFor_LastsItsTimeOrUntilTheContextEnds(t *testing.T) {
	for _, tt := range []struct {
		name        string
		d, end      time.Duration // end 0: the context lives on
		want        error
		wantElapsed time.Duration
	}{
		{"its time", time.Minute, 0, nil, time.Minute},
		{"no time", 0, 0, nil, 0},
		{"less than none", -time.Hour, 0, nil, 0},
		{"the context ends first", time.Minute, time.Second, context.DeadlineExceeded, time.Second},
		{"the context ends later", time.Minute, time.Hour, nil, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				if tt.end > 0 {
					ctx, cancel = context.WithTimeout(t.Context(), tt.end)
				}
				defer cancel()
				began := time.Now()
				if err := sleep.For(ctx, tt.d); !errors.Is(err, tt.want) {
					t.Errorf("For = %v, want %v", err, tt.want)
				}
				if took := time.Since(began); took != tt.wantElapsed {
					t.Errorf("took %v, want %v", took, tt.wantElapsed)
				}
			})
		})
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sleep.For(ended, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("For of no time with a context that has ended = %v", err)
	}
}
