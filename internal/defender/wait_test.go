package defender

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAt_ReadsHeaderAndMessage(t *testing.T) {
	now := time.Date(2026, 3, 1, 10, 7, 30, 0, time.UTC)
	tests := []struct {
		name, header, message string
		want                  time.Duration
	}{
		{"header in seconds", "17", "in 00:12:34", 17 * time.Second},
		{"header as a date", "Sun, 01 Mar 2026 10:09:00 GMT", "", 90 * time.Second},
		{"header in the past", "Sun, 01 Mar 2026 10:00:00 GMT", "", time.Second},
		{"header of zero", "0", "", time.Second},
		{"header beyond belief", "999999999999999999999", "", 24 * time.Hour},
		{"header that is neither", "soon", "again in 8 seconds.", 8 * time.Second},
		{"time span", "", "You can run queries again in 00:12:34.", 12*time.Minute + 34*time.Second},
		{"time span with days", "", "again in 1.00:00:00", 24 * time.Hour},
		{"seconds before the quota's window", "", "Maximum allowed 30 per 00:01:00 for the key. You can send requests again in 8 seconds.", 8 * time.Second},
		{"seconds at the end", "", "Please retry after 30 seconds.", 30 * time.Second},
		{"one second", "", "in 1 second", time.Second},
		{"minutes", "", "Try again in 5 minutes", 5 * time.Minute},
		{"the quota's window of a minute", "", "API calls quota exceeded! maximum allowed 45 per 00:01:00", time.Minute},
		{"the quota's window of an hour", "", "API calls quota exceeded! maximum allowed 1500 per 01:00:00", time.Hour},
		{"processor time until the next cycle", "", "You have exceeded processing resources allocated to this tenant.", 7*time.Minute + 30*time.Second},
	}
	wait := func(h http.Header, message string) time.Duration {
		at, ok := retryAt(h, message, now, true)
		if !ok {
			t.Errorf("a throttle without a wait: %q", message)
		}
		return at.Sub(now)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := wait(http.Header{"Retry-After": {tt.header}}, tt.message)
			if got != tt.want {
				t.Errorf("wait of %q, %q = %v, want %v", tt.header, tt.message, got, tt.want)
			}
		})
	}
	for range 20 {
		got := wait(nil, "Please retry again later.")
		if got < defaultWait || got > defaultWait+defaultJitter {
			t.Errorf("wait that nobody stated = %v, want %v to %v", got, defaultWait, defaultWait+defaultJitter)
		}
	}
}

func FuzzRetryAt_StaysWithinADay(f *testing.F) {
	f.Add("10", "in 00:12:34")
	f.Add("Sun, 01 Mar 2026 10:09:00 GMT", "again in 8 seconds")
	f.Add("NaN", "1500 per 99:99:99")
	f.Add("-1e300", "in 999.999:99:99 999999 hours cpu")
	now := time.Date(2026, 3, 1, 10, 7, 30, 0, time.UTC)
	f.Fuzz(func(t *testing.T, header, message string) {
		at, _ := retryAt(http.Header{"Retry-After": {header}}, message, now, len(message)%2 == 0)
		got := at.Sub(now)
		if got < time.Second || got > 24*time.Hour {
			t.Errorf("wait of %q, %q = %v, want a second to a day", header, message, got)
		}
	})
}
