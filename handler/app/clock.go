package app

import (
	"context"
	"time"

	"github.com/defender2adx/defender2adx/internal/sleep"
)

// wallClock is the machine's clock, the only one that the product asks. The chaos
// suite builds a handler in which this file is another one, whose clock jumps.
type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

func (wallClock) Sleep(ctx context.Context, d time.Duration) error { return sleep.For(ctx, d) }
