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
