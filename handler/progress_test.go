package main

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/vbauerster/mpb/v8"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// screen is what bars are drawn on while somebody looks.
type screen struct {
	mu    sync.Mutex
	drawn bytes.Buffer
}

func (s *screen) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drawn.Write(text)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drawn.String()
}

// Bars and the lines of their ends fit the terminal, and names that begin alike are told
// apart.
func TestBars_FitTheTerminal(t *testing.T) {
	keys := []plan.Key{{Source: "DeviceInfo"}, {Source: "DeviceTvmSecureConfigurationAssessment"}, {Source: "DeviceTvmSecureConfigurationAssessmentKB"},
		{Source: "api/machines/SecureConfigurationsAssessmentExport", Instance: "west"}}
	for _, width := range []int{45, 60, 80} {
		var out screen
		b := &bars{progress: mpb.New(mpb.WithOutput(&out), mpb.WithWidth(width), mpb.WithAutoRefresh()), width: width, of: map[plan.Key]*bar{}}
		for i, key := range keys {
			b.begun(key)
			b.moved(key, 2_000_000, int64(i)*700_000)
		}
		b.waits(keys[0], 55*time.Second, "no call is free")
		for deadline := time.Now().Add(time.Minute); strings.Count(out.String(), "[") < len(keys) || width >= 60 && !strings.Contains(out.String(), "no call is free"); {
			if time.Now().After(deadline) {
				t.Fatalf("%d columns: drew\n%s", width, out.String())
			}
			time.Sleep(10 * time.Millisecond)
		}
		for _, key := range keys {
			b.ended(key, outcome{Status: plan.Success, Rows: 2_000_000, Seconds: 1234.5})
		}
		b.close()
		text := strings.NewReplacer("\x1b[J", "\n", "\r", "").Replace(out.String())
		for line := range strings.Lines(text) {
			line = strings.TrimRight(line, "\n")
			if i := strings.LastIndex(line, "A\n"); i > 0 {
				line = line[i+1:]
			}
			if name := shown(keys[3]); utf8.RuneCountInString(line) > width && !strings.Contains(line, name) {
				t.Errorf("%d columns: %d: %q", width, utf8.RuneCountInString(line), line)
			}
		}
		if strings.Count(text, "Success") != len(keys) {
			t.Errorf("%d columns: drew\n%s", width, text)
		}
		name, _ := b.rooms()
		if one, two := gutted(keys[1].Source, name), gutted(keys[2].Source, name); one == two || utf8.RuneCountInString(one) != name {
			t.Errorf("%d columns: %q and %q", width, one, two)
		}
	}
}
