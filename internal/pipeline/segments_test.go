package pipeline_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// The adapter names the service and the cause, the pipeline the step and the thing:
// no part of an error stands in it twice, neither in the audit log nor in the answer
// to the host.
func TestMigrate_ErrorsSayItOnce(t *testing.T) {
	fates := map[string]fate{"void": partial, "staged": partial, "status": lost, "probe": lost, "probed": lost, "trouble": unseen}
	for _, call := range []string{"acquire", "save state", "list ledgers", "rows", "unknown", "foreign", "count", "fetch", "stage", "take",
		"save ledger", "enqueue", "landed", "staged", "status", "probe", "probed", "trouble", "void", "row limit", "recut", "deliver"} {
		for _, kind := range []fault.Kind{fault.Permanent, fault.Retry} {
			t.Run(call+" "+kind.String(), func(t *testing.T) {
				w := newWorld(313)
				w.fill(60, 10)
				if call == "row limit" || call == "recut" {
					w.huge[w.rows[20].id] = 1
				}
				if end := fates[call]; end != well {
					w.fate = func(plan.Ingestion) fate { return end }
				}
				struck := false
				w.repeatedly(1, 0, call, func(*process) error {
					struck = true
					return fault.As(kind, errors.New("Service: the cause"))
				})
				var said []string
				if err := w.wake(plan.Scheduled); err != nil {
					said = append(said, err.Error())
				}
				w.run(2 * hour)
				if !struck {
					t.Fatalf("no %s was struck: the scenario did not take place", call)
				}
				for _, a := range w.audits {
					said = append(said, a.FailureReason)
				}
				if kind == fault.Permanent && !strings.Contains(strings.Join(said, "\n"), "Service: the cause") {
					t.Errorf("nobody says the cause: %q", said)
				}
				for _, text := range said {
					met := map[string]bool{}
					for part := range strings.SplitSeq(text, ": ") {
						if met[part] {
							t.Errorf("%q says %q twice", text, part)
						}
						met[part] = true
					}
				}
			})
		}
	}
}
