// Command mutants asks whether the tests would notice: it puts known bugs into
// the code, one at a time, and runs the tests that must fail.
//
//	mutants              every mutant
//	mutants --only ties  the mutants with "ties" in their name
//	mutants --list       what there is
//
// The working tree is never touched: a changed file lies in a temporary folder
// and reaches the compiler by `go test -overlay`. A mutant that no longer fits
// the code, does not compile, or is judged by tests that fail or are skipped
// without it, is an error and never counts as caught. The last line is
// "mutants: caught=N/N"; the exit status is 0 only if all were caught.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"golang.org/x/sync/errgroup"
)

// together is how many tests run at a time.
const together = 2

type options struct {
	Only string `help:"Only the mutants that have this text in their name."`
	List bool   `help:"List the mutants and run nothing."`
	Root string `help:"Root of the module." default:"." type:"existingdir"`
}

func main() {
	var opt options
	kong.Parse(&opt, kong.Name("mutants"), kong.Description("Known bugs, put in one at a time: would the tests notice?"))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ok, err := run(ctx, opt, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run tries the chosen mutants and reports whether every one was caught.
func run(ctx context.Context, opt options, out io.Writer) (caughtAll bool, err error) {
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
