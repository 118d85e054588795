package plan_test

import (
	"fmt"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// A slice of which only a part arrives is hidden, and its blob sent under a number
// of its own.
func ExampleLedger() {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	l := &plan.Ledger{Next: 1}
	l.Add(plan.Slice{No: 1, Part: plan.PartAll, Hi: plan.Buckets, Rows: 500})
	show := func(step string, err error) {
		fmt.Print(step, ":")
		for _, s := range l.Slices {
			fmt.Print(" ", s.No, " ", s.State)
		}
		fmt.Println(" done", l.Done(), err)
	}
	show("freeze", l.Freeze(1, plan.Blob{Path: "a", Rows: 500}, 0, now))
	fmt.Println(l.Slice(1).Verdict(plan.Landed{Rows: 180}))
	show("condemn", l.Condemn(1, 180))
	no, err := l.Replace(1, now, false)
	show("replace", err)
	show("verify", l.Verify(no, 500))
	show("verify", l.Verify(1, 500))
	// Output:
	// freeze: 1 committing done false <nil>
	// partial
	// condemn: 1 voiding done false <nil>
	// replace: 1 void 2 committing done false <nil>
	// verify: 1 void 2 verified done true <nil>
	// verify: 1 void 2 verified done true internal error: verify slice 1, which is void
}

// The user's row came in while a run was open whose own row came after it: it is the
// command all the same, and must be published again to show in the view.
func ExampleJudge() {
	noon := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	ours := plan.Row{SourceTable: "DeviceInfo", DestinationTable: "DeviceInfoRaw", LoadType: "Incr", IsActive: true,
		LastRefreshedTime: noon, RunID: "app00120260304120000abcdefgh", Generation: 7, Ingested: noon.Add(2 * time.Minute)}
	published, err := ours.Table()
	if err != nil {
		fmt.Println(err)
		return
	}
	state := &plan.TableState{Source: "DeviceInfo", Table: published, Command: noon}
	state.Publish(published)
	user := plan.Row{SourceTable: "DeviceInfo", DestinationTable: "DeviceInfoRaw", LoadType: "Incr", IsActive: false,
		Ingested: noon.Add(time.Minute)}
	j, err := plan.Judge(state, []plan.Row{user, ours}, noon.Add(time.Hour))
	fmt.Println(j.Command.Active, j.Hidden, plan.Stamp(j.Seen), err)
	// Output: false true 2026-03-04T12:02:00.0000000Z <nil>
}

// The first slice of a table is fetched alone; its rows were narrower than assumed,
// so the rest is packed into larger slices.
func ExampleRowWidth() {
	w := plan.NewRowWidth(plan.Limits{Rows: 95_000, Bytes: 40_000_000}, 0)
	fmt.Println("alone:", w.Learning(), "rows a slice:", w.PackTarget(1_000_000))
	w.Observe(13_000, 6_500_000)
	if w.Learn(true) {
		fmt.Println("bytes a row:", w.Width(), "again:", w.Repack(make([]plan.Slice, 70)), "rows a slice:", w.Target())
	}
	// Output:
	// alone: true rows a slice: 13333
	// bytes a row: 500 again: true rows a slice: 80000
}
