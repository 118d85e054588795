// Package mutants asks whether the tests would notice: it puts known bugs into
// the code, one at a time, and runs the tests that must fail.
//
// The working tree is never touched: a changed file lies in a temporary folder
// and reaches the compiler by `go test -overlay`. A mutant that no longer fits
// the code, does not compile, or is judged by tests that fail or are skipped
// without it, is an error and never counts as caught.
package mutants

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sync/errgroup"
)

// together is how many tests run at a time.
const together = 2

// Options choose mutants.
type Options struct {
	Only  string // only those with this text in their name
	List  bool   // list them and run nothing
	Stale bool   // list those that no longer fit the code, and run nothing
	Root  string // of the module
}

// Run tries the chosen mutants and reports whether every one was caught. The
// last line it writes is "mutants: caught=N/N".
func Run(ctx context.Context, opt Options, out io.Writer) (caughtAll bool, err error) {
	var chosen []mutant
	for _, m := range catalogue() {
		if strings.Contains(m.name, opt.Only) {
			chosen = append(chosen, m)
		}
	}
	if len(chosen) == 0 {
		return false, fmt.Errorf("no mutant has %q in its name", opt.Only)
	}
	if opt.List {
		for _, m := range chosen {
			fmt.Fprintf(out, "%-34s %s\n", m.name, m.bug)
		}
		return true, nil
	}
	if opt.Stale {
		return listStale(opt.Root, chosen, out), nil
	}
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	bench, err := newBench(opt.Root, dir)
	if err != nil {
		return false, err
	}
	suites := make([]suite, len(chosen))
	for i, m := range chosen {
		suites[i] = m.tests
	}
	if err := bench.sound(ctx, suites); err != nil {
		fmt.Fprintf(out, "no mutant was tried:\n%v\nmutants: caught=0/%d\n", err, len(chosen))
		return false, nil
	}

	var g errgroup.Group
	g.SetLimit(together)
	verdicts := make([]chan verdict, len(chosen)) // printed in order, as they come
	for i := range verdicts {
		verdicts[i] = make(chan verdict, 1)
	}
	printed := make(chan int)
	go func() {
		caught := 0
		for i, m := range chosen {
			v := <-verdicts[i]
			fmt.Fprintf(out, "%-8s %-34s %6.1fs  %s\n", v.outcome, m.name, v.took.Seconds(), v.detail)
			if v.outcome == caughtByTest || v.outcome == caughtByTimeout {
				caught++
			}
		}
		printed <- caught
	}()
	for i, m := range chosen {
		g.Go(func() error { verdicts[i] <- bench.try(ctx, m); return nil })
	}
	_ = g.Wait() // verdicts carry the errors
	caught := <-printed
	fmt.Fprintf(out, "mutants: caught=%d/%d\n", caught, len(chosen))
	return caught == len(chosen), nil
}

// listStale names the mutants whose text the code no longer holds and reports
// whether there are none.
func listStale(root string, chosen []mutant, out io.Writer) bool {
	stale := 0
	for _, m := range chosen {
		if _, err := m.apply(root); err != nil {
			stale++
			fmt.Fprintf(out, "%-34s %v\n", m.name, err)
		}
	}
	fmt.Fprintf(out, "mutants: stale=%d/%d\n", stale, len(chosen))
	return stale == 0
}
