package ncrontab_test

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/sampledata"
	"github.com/defender2adx/defender2adx/internal/ncrontab"
)

// base is the instant from which the recorded occurrences were computed.
var base = time.Date(2026, 1, 14, 10, 7, 3, 0, time.UTC)

func TestParse_ReadsAsTheHostWasSeenTo(t *testing.T) {
	file, err := os.Open(sampledata.Path(t, "host", "schedules.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	read, refused := 0, 0
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var seen struct {
			Expression string
			Accepted   bool
			Kind       string
			Next       []time.Time
		}
		if err := json.Unmarshal(lines.Bytes(), &seen); err != nil {
			t.Fatal(err)
		}
		read++
		s, err := ncrontab.Parse(seen.Expression)
		if (err == nil) != seen.Accepted {
			t.Errorf("%q: got %v, want accepted=%v", seen.Expression, err, seen.Accepted)
			continue
		}
		if !seen.Accepted {
			refused++
			continue
		}
		if s.Span() != (seen.Kind == "timespan") {
			t.Errorf("%q: span=%v, want %s", seen.Expression, s.Span(), seen.Kind)
		}
		at := base
		for i, want := range seen.Next {
			if at = s.Next(at); !at.Equal(want) {
				t.Errorf("%q: occurrence %d is %s, want %s", seen.Expression, i, at, want)
				break
			}
		}
	}
	if err := lines.Err(); err != nil || read == 0 || refused == 0 {
		t.Fatalf("read %d expressions, %d refused: %v", read, refused, err)
	}
}

func TestParse_OddSpellings(t *testing.T) {
	tests := []struct {
		text string
		next string // after 2026-01-14T10:07:03Z; empty: refused
	}{
		{"0 0 * * * *", "2026-01-14T11:00:00Z"},
		{"0 0 0 29 2 *", "2028-02-29T00:00:00Z"},
		{"0 30 22 * * mon-fri", "2026-01-14T22:30:00Z"},
		{"3 7 10 14 1 *", "2027-01-14T10:07:03Z"},
		{"4 7 10 14 1 *", "2026-01-14T10:07:04Z"},
		{"0 */0 * * * *", "2026-01-14T10:08:00Z"},
		{"0 0 0 * * sat-sun", "2026-01-15T00:00:00Z"},
		{"5", "2026-01-19T10:07:03Z"},
		{"0 0 0 13 * fri", "2026-02-13T00:00:00Z"},
		{"0 0 * * * 7", ""},
		{"0 0 0 L * *", ""},
		{"0 0 0 ? * *", ""},
		{"@daily", ""},
		{"0\t0 0 * * *", ""},
		{"0 0 24 * * *", ""},
		{"0 -5 * * * *", ""},
		{"0 5,,7 * * * *", ""},
		{"every hour", ""},
		{"25:00", ""},
		{"", ""},
	}
	for _, tt := range tests {
		s, err := ncrontab.Parse(tt.text)
		got := ""
		if err == nil {
			got = s.Next(base).Format(time.RFC3339)
		}
		if got != tt.next {
			t.Errorf("%q: got %q (%v), want %q", tt.text, got, err, tt.next)
		}
	}
}

func TestWarning_NamesWhatIsOdd(t *testing.T) {
	for text, want := range map[string]string{
		"0 0 * * * *":     "",
		"0 */5 * * * *":   "",
		"0 0 0 29 2 *":    "",
		"0 0 0 31 2 *":    "never fires",
		"0 0 0 30 FEB *":  "never fires",
		"* 0 * * * *":     "more than once a minute",
		"*/30 * * * * *":  "more than once a minute",
		"00:00:30":        "more than once a minute",
		"00:00:00":        "without a pause",
		"-00:05:00":       "without a pause",
		"00:05:00":        "Premium or Dedicated",
		"0 0 0 1,15 * ma": "refused",
	} {
		s, err := ncrontab.Parse(text)
		if err != nil {
			if want != "refused" {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		if got := s.Warning(); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
