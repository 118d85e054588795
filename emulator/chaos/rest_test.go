package chaos

import (
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// restSchedule is a schedule of a hunting table, a list and an export.
func restSchedule(seed uint64) script {
	s := scriptOf(seed, false)
	s.budget = 20 * time.Second // as of every schedule with a list
	i := int(seed % 6)
	list := table{source: lists[i%len(lists)], kind: listed, rows: 200, largest: 20}
	of, _ := schema.SourceNamed(list.source)
	list.load, list.column = of.Loads[i/2%len(of.Loads)], of.Watermarks[0]
	if list.whole() {
		list.column = "None"
	}
	s.tables = []table{
		{source: "DeviceEvents", kind: arrival, load: "Incr", column: "None", rows: 400, largest: 20},
		list,
		{source: exports[i%2], kind: exported, load: "Snapshot", column: "None", rows: 300, largest: 20},
	}
	return s
}

// Lists by either API and of every load type, each with an export beside it.
func TestSchedules_WithListsAndExports(t *testing.T) {
	n := rounds.Of(0, 0, 6)
	if n == 0 {
		t.Skip("long: in the nightly round; one schedule of every round has a list and an export")
	}
	t.Parallel()
	for i := range n {
		s := restSchedule(601 + uint64(i))
		one, err := play(t.Context(), env(t), s, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !one.verdict.OK() && !one.stalled {
			t.Errorf("%s\n%s\n%s", s, strings.Join(one.verdict.Complaints, "\n"), strings.Join(one.logTail, "\n"))
		}
	}
}
