package app

import (
	"context"
	"os"
	"strconv"
	"time"

	"github.com/defender2adx/defender2adx/internal/sleep"
)

// wallClock takes the place of handler/app/clock.go in the chaos suite's handler. It is
// ahead of the machine's by the nanoseconds in the file that CHAOS_CLOCK names.
type wallClock struct{}

func (wallClock) Now() time.Time {
	text, err := os.ReadFile(os.Getenv("CHAOS_CLOCK"))
	ahead, err2 := strconv.ParseInt(string(text), 10, 64)
	if err != nil || err2 != nil {
		return time.Now()
	}
	return time.Now().Add(time.Duration(ahead))
}

func (wallClock) Sleep(ctx context.Context, d time.Duration) error { return sleep.For(ctx, d) }
