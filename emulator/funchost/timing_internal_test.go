package funchost

import (
	"testing"
	"time"
)

// What nobody sets is as the real host was seen to have it.
func TestTiming_IsThatOfTheRealHost(t *testing.T) {
	got := Timing{}.withDefaults(hostConfig{})
	for name, c := range map[string][2]time.Duration{
		"the grace of an invocation that is over its time, once": {got.TimeoutGrace, 2 * time.Second},
		"running invocations at the host's end":                  {got.StopGrace, 10 * time.Second},
		"the gap that forgets errors of the handler":             {got.RestartWindow, 30 * time.Minute},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: %v, want %v", name, c[0], c[1])
		}
	}
}
