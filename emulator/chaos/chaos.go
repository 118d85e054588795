// Package chaos proves that every row arrives once, whatever breaks: it plays
// schedules of faults over the product's real adapters and the emulators, and
// judges them by content.
//
// A schedule is a function of a seed: tables and rows, which faults are injected at
// which boundary and how often, a number of ticks. Then the faults stop, and
// within a bounded number of ticks everything must be well without anybody's
// help. What is decided is decided by the seed; the order in which goroutines
// meet the decisions is not, so a replay is alike and not the same.
//
// Most schedules run the adapters inside this process, with killed processes cut
// off from everything at a random request. Some run the built handler under the
// local Functions host and send real signals.
package chaos

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/defender2adx/defender2adx/emulator/stack"
)

// Options of a run of the simulator.
type Options struct {
	Schedules int
	Seed      uint64 // of the first schedule; the others follow
	HostEvery int    // every n-th schedule runs under the Functions host; 0: none
	HostOnly  bool   // all do
	Instances int    // of every schedule, 1 or 2; 0: two in every third and in every second under the host
	App       stack.App
	Parallel  int // schedules at a time; zero is 8
	Verbose   bool
	Out       io.Writer

	jumping func() (stack.App, error) // the app whose handler has a clock that jumps, built once
}

// Report is the outcome of a run.
type Report struct {
	Schedules, Hosted, Failed, Stalled int
	Shared, HostedShared               int // with two instances; of them under the host
	Kills                              int
	Faults                             map[string]int
	Total                              Verdict
	Took                               time.Duration
	Failures                           []Failure
}

// Failure is a schedule that went wrong.
type Failure struct {
	Seed     uint64
	Hosted   bool
	Schedule string
	Verdict  Verdict
	LogTail  []string
}

// OK reports whether nothing went wrong, and whether enough could be judged.
func (r Report) OK() bool { return r.Failed == 0 && r.Stalled*10 <= r.Schedules }

// Line is the run's last line.
func (r Report) Line() string {
	faults := 0
	for _, n := range r.Faults {
		faults += n
	}
	return fmt.Sprintf("chaos: schedules=%d faults=%d kills=%d rows=%d missing=%d repeated=%d false_success=%d stuck=%d",
		r.Schedules, faults, r.Kills, r.Total.Rows, r.Total.Missing, r.Total.Repeated, r.Total.FalseSuccess, r.Total.Stuck)
}

// Run plays the schedules in an environment.
func Run(ctx context.Context, e *Env, o Options) (Report, error) {
	began := time.Now()
	report := Report{Faults: map[string]int{}}
	var mu sync.Mutex
	var firstErr error
	if o.Parallel <= 0 {
		o.Parallel = 8
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dir, err := os.MkdirTemp("", "chaos-clock")
	if err != nil {
		return report, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // of the system's own folder for such
	o.jumping = sync.OnceValues(func() (stack.App, error) { return withClock(ctx, o.App, dir) })
	seats := make(chan struct{}, o.Parallel)
	var wait sync.WaitGroup
	for i := range o.Schedules {
		select {
		case seats <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		seed := o.Seed + uint64(i)
		wait.Go(func() {
			defer func() { <-seats }()
			s := o.script(seed)
			one, err := play(ctx, e, s, o)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				if ctx.Err() == nil {
					firstErr = fmt.Errorf("seed %d: %w", seed, err)
					cancel()
				}
				return
			}
			report.add(one)
			o.progress(report, one)
		})
	}
	wait.Wait()
	report.Took = time.Since(began)
	if firstErr == nil {
		firstErr = ctx.Err()
	}
	return report, firstErr
}

// script is the schedule of a seed as the options want it.
func (o Options) script(seed uint64) script {
	hosted := o.HostOnly || o.HostEvery > 0 && seed%uint64(o.HostEvery) == 0
	s := scriptOf(seed, hosted)
	alternate := hosted && !o.HostOnly && seed/uint64(o.HostEvery)%2 == 1
	if o.Instances == 2 || o.Instances == 0 && (seed%3 == 0 || alternate) {
		s = s.shared()
	}
	return s
}

// played is one schedule's outcome.
type played struct {
	plan    script
	verdict Verdict
	faults  map[string]int
	stalled bool
	took    time.Duration
	logTail []string
}

// patience bounds one schedule: what hangs is a failure.
const patience = 6 * time.Minute

func play(ctx context.Context, e *Env, s script, o Options) (played, error) {
	began := time.Now()
	out := played{plan: s}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	w, err := newWorld(ctx, e, s)
	if err != nil {
		return out, err
	}
	defer w.close()
	if s.hosted {
		app := o.App
		if s.lies.jump > 0 {
			app, err = o.jumping()
		}
		if err == nil {
			out.verdict, err = w.runHosted(ctx, app)
		}
	} else {
		out.verdict, err = w.runInProcess(ctx)
	}
	if err != nil {
		return out, fmt.Errorf("%s: %w\n%s", s, err, strings.Join(w.logTail.last(40), "\n"))
	}
	out.faults = w.faults.done()
	if n := w.Hunting.Stats().Expired; n > 0 {
		out.faults["export: address no longer good"] = int(n)
	}
	out.took = time.Since(began)
	out.stalled = w.source.stalled >= settle
	if !out.verdict.OK() {
		out.logTail = w.tell()
	}
	return out, nil
}

// tell is the audit log and the last lines of a schedule that failed.
func (w *world) tell() []string {
	var out []string
	audits, err := w.Audits()
	if err != nil {
		out = append(out, err.Error())
	}
	for _, a := range audits {
		out = append(out, fmt.Sprintf("audit %-8s %s run=%s rows=%d %s %s", a.Status, a.SourceTable, a.RunID, a.RecordCount, a.FailureReason, a.Note))
	}
	return append(out, w.logTail.last(kept)...)
}

func (r *Report) add(p played) {
	r.Schedules++
	if p.plan.hosted {
		r.Hosted++
	}
	if p.plan.instances() > 1 {
		r.Shared++
		if p.plan.hosted {
			r.HostedShared++
		}
	}
	for name, n := range p.faults {
		r.Faults[name] += n
		if strings.HasPrefix(name, "process: killed") {
			r.Kills += n
		}
	}
	v := p.verdict
	r.Total.Rows += v.Rows
	r.Total.Runs += v.Runs
	r.Total.Promises += v.Promises
	r.Total.Surplus += v.Surplus
	r.Total.Nulls += v.Nulls
	r.Total.Reported += v.Reported
	if p.stalled {
		// The machine stood still for longer than rows may take to show: what is
		// missing may have come too late. What is repeated or stuck has no excuse.
		r.Stalled++
		if v.Repeated == 0 && v.Stuck == 0 {
			return
		}
		v.Missing, v.FalseSuccess = 0, 0
	}
	r.Total.Missing += v.Missing
	r.Total.Repeated += v.Repeated
	r.Total.FalseSuccess += v.FalseSuccess
	r.Total.Stuck += v.Stuck
	if !v.OK() {
		r.Failed++
		r.Failures = append(r.Failures, Failure{p.plan.seed, p.plan.hosted, p.plan.String(), v, p.logTail})
	}
}

func (o Options) progress(r Report, p played) {
	switch {
	case o.Out == nil:
	case !p.verdict.OK() && (!p.stalled || p.verdict.Repeated+p.verdict.Stuck > 0):
		fmt.Fprintf(o.Out, "FAILED %s\n", p.plan)
		for _, c := range p.verdict.Complaints {
			fmt.Fprintf(o.Out, "  %s\n", c)
		}
	case o.Verbose:
		fmt.Fprintf(o.Out, "ok in %.1fs: %s\n", p.took.Seconds(), p.plan)
	case r.Schedules%10 == 0 || r.Schedules == o.Schedules:
		fmt.Fprintf(o.Out, "%d of %d schedules, %d rows, %d kills, %d failed\n", r.Schedules, o.Schedules, r.Total.Rows, r.Kills, r.Failed)
	}
}

// Table lists the faults by kind.
func (r Report) Table() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.Faults)) {
		fmt.Fprintf(&b, "%8d  %s\n", r.Faults[name], name)
	}
	fmt.Fprintf(&b, "%d schedules (%d under the Functions host, %d with two instances, %d of them under the host, %d undecided because the machine stood still), %d runs ended with success, %d promises judged, %d rows, %d null in ADX, surplus %d (%d removed by the command of a Surplus row), %.0f s\n",
		r.Schedules, r.Hosted, r.Shared, r.HostedShared, r.Stalled, r.Total.Runs, r.Total.Promises, r.Total.Rows, r.Total.Nulls, r.Total.Surplus, r.Total.Reported, r.Took.Seconds())
	return b.String()
}
