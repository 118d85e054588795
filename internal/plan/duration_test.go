package plan_test

import (
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
)

func TestParseDuration_ReadsWhatOperatorsKnow(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "100ms": 100 * time.Millisecond, "720h": 30 * day, "1.5h": 90 * time.Minute,
		"30d": 30 * day, "1d12h": 36 * time.Hour,
		"01:30:00": 90 * time.Minute, "1:30:00": 90 * time.Minute, "48:00:00": 2 * day, "1.12:00:00": 36 * time.Hour, "30.00:00:00": 30 * day,
		"00:00:00.25": 250 * time.Millisecond, "00:00:01.0000001": time.Second + 100*time.Nanosecond,
		"PT15M": 15 * time.Minute, "P30D": 30 * day, "P1DT12H": 36 * time.Hour, "P2W": 14 * day, "PT1.5S": 1500 * time.Millisecond, "PT0S": 0,
	} {
		if got, err := plan.ParseDuration(text); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "90", "soon", "-5m", "d", "1.5d", "5dd", "1d-2h", "01:30", "1:60:00", "-01:00:00", "P", "PT", "P1DT", "P1M", "P1Y", "pt15m", "15 m",
		"1d2", "200000d", "9223372036854775808d", "99999999999999999999:00:00", "P99999999W", "106751d24h",
	} {
		if got, err := plan.ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", text, got)
		}
	}
}
