package pipeline_test

import (
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// The probe is an ingestion like any other: where ADX loses it, another one says
// whether the slice may be sent again.
func TestMigrate_AProbeThatIsLostIsFollowedByAnother(t *testing.T) {
	w := large(8, 9_000, 20) // one slice: nothing of the run is sent later
	sent := 0
	w.fate = func(plan.Ingestion) (f fate) {
		if sent++; sent == 1 {
			return lost
		}
		return f
	}
	probes := 0
	w.ill = append(w.ill, &mishap{call: "probe", after: true, last: 1, do: func(p *process) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		probes += len(p.probes)
		clear(p.probes)
		return nil
	}})
	w.run(3 * time.Hour)
	w.whole(t, w.now.Add(-5*time.Hour))
	if probes != 1 || len(w.probes) == 0 {
		t.Errorf("%d probes lost and %d arrived; the test wants one lost and one more", probes, len(w.probes))
	}
}
