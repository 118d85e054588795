package plan

import (
	"strings"
	"testing"
	"time"
)

func TestRetention_IsADayToACentury(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"": 0, "  ": 0, "1d": day, "365d": 365 * day, "P365D": 365 * day, "PT48H": 2 * day, "1825.00:00:00": 1825 * day, " 30d ": 30 * day, "36500d": 36500 * day,
	} {
		if got, err := ParseRetention(text); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"0d", "12h", "0", "00:00:00", "-1d", "40000d", "a year", "P1Y"} {
		if got, err := ParseRetention(text); err == nil || !strings.Contains(err.Error(), "Retention") {
			t.Errorf("%q: %v, %v; want an error that names the column", text, got, err)
		}
	}
	row := Row{SourceTable: "DeviceInfo", DestinationTable: "DeviceInfoRaw", LoadType: "Full", Retention: "1h"}
	if _, err := row.Table(); err == nil {
		t.Error("a row with a faulty Retention passes")
	}
	row.Retention = "90d"
	table, err := row.Table()
	if err != nil || table.Row().Retention != "90d" {
		t.Errorf("a published row has Retention %q (%v)", table.Row().Retention, err)
	}
	if other := table; func() bool { other.Retention = ""; return other.Same(table) }() {
		t.Error("a changed Retention is no command")
	}
}
