package mutants

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// testTimeout ends tests that a mutant made run for ever.
	testTimeout = 2 * time.Minute
	// overtime is left to a test binary for ending by itself after that.
	overtime = 20 * time.Second
)

// outcome is what became of a mutant.
type outcome string

const (
	caughtByTest    outcome = "caught"
	caughtByTimeout outcome = "timeout" // caught too: the tests did not end
	survived        outcome = "SURVIVED"
	broken          outcome = "ERROR" // says nothing about the tests
)

// verdict is the outcome of one mutant. detail names the failing test, the bug
// that went unnoticed, or the error.
type verdict struct {
	outcome outcome
	detail  string
	took    time.Duration
}

// bench builds and runs tests of one module, with and without a mutant.
type bench struct {
	root string // absolute
	dir  string // for binaries and changed files
}

func newBench(root, dir string) (*bench, error) {
	root, err := filepath.Abs(root)
	if err == nil {
		// The compiler knows files by their names without links.
		root, err = filepath.EvalSymlinks(root)
	}
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		return nil, fmt.Errorf("root of the module: %w", err)
	}
	return &bench{root: root, dir: dir}, nil
}

// try judges one mutant.
func (b *bench) try(ctx context.Context, m mutant) verdict {
	started := time.Now()
	end := func(o outcome, detail string) verdict { return verdict{o, detail, time.Since(started)} }
	changed, err := m.apply(b.root)
	if err != nil {
		return end(broken, err.Error())
	}
	dir, err := os.MkdirTemp(b.dir, "mutant-")
	if err != nil {
		return end(broken, err.Error())
	}
	defer os.RemoveAll(dir)
	overlay, err := writeOverlay(b.root, dir, changed)
	if err != nil {
		return end(broken, err.Error())
	}
	binary := filepath.Join(dir, "mutant.test")
	if err := b.build(ctx, m.tests.pkg, binary, "-overlay", overlay); err != nil {
		return end(broken, "does not compile: "+err.Error())
	}
	// What the tests build themselves has the bug, too.
	res, err := b.run(ctx, m.tests, binary, "GOFLAGS="+os.Getenv("GOFLAGS")+" '-overlay="+overlay+"'")
	switch {
	case err != nil:
		return end(broken, err.Error())
	case res.passed:
		return end(survived, m.bug)
	case res.timedOut:
		return end(caughtByTimeout, res.failed)
	default:
		return end(caughtByTest, res.failed)
	}
}

// sound returns an error for each suite that fails or skips a test in the
// unchanged code, or has none: only otherwise does a failure say something.
func (b *bench) sound(ctx context.Context, suites []suite) error {
	runs := map[string][]string{}
	for _, s := range suites {
		if !slices.Contains(runs[s.pkg], s.run) {
			runs[s.pkg] = append(runs[s.pkg], s.run)
		}
	}
	pkgs := slices.Sorted(maps.Keys(runs))
	errs := make([]error, len(pkgs))
	var g errgroup.Group
	g.SetLimit(together)
	for i, pkg := range pkgs {
		g.Go(func() error { errs[i] = b.passes(ctx, pkg, runs[pkg]); return nil })
	}
	_ = g.Wait() // errs holds them all
	return errors.Join(errs...)
}

func (b *bench) passes(ctx context.Context, pkg string, runs []string) error {
	binary := filepath.Join(b.dir, strings.ReplaceAll(pkg, "/", "-")+".test")
	if err := b.build(ctx, pkg, binary); err != nil {
		return fmt.Errorf("build tests of %s: %w", pkg, err)
	}
	for _, run := range runs {
		res, err := b.run(ctx, suite{pkg, run}, binary)
		switch {
		case err != nil:
			return fmt.Errorf("run tests of %s: %w", pkg, err)
		case !res.passed:
			return fmt.Errorf("%s: %s fails without any mutant:\n%s", pkg, res.failed, res.said)
		case res.skipped != "":
			return fmt.Errorf("%s: %s is skipped: `make test` installs what it needs", pkg, res.skipped)
		case !res.ran:
			return fmt.Errorf("%s: stale: no test matches %q", pkg, run)
		}
	}
	return nil
}

// build compiles the tests of a package into binary. Compiling apart from
// running tells a mutant that does not compile from one that is caught.
func (b *bench) build(ctx context.Context, pkg, binary string, flags ...string) error {
	args := append([]string{"test", "-c", "-vet=off", "-o", binary}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "./"+pkg)...)
	cmd.Dir = b.root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// rapidEnv makes property tests draw the same cases each time, more than by day,
// and leave nothing in the tree.
var rapidEnv = []string{"RAPID_SEED=1", "RAPID_CHECKS=500", "RAPID_SHRINKTIME=1s", "RAPID_NOFAILFILE=true"}

// result is what a run of a test binary tells.
type result struct {
	passed   bool
	timedOut bool
	ran      bool   // some test ran
	failed   string // the first failing test, or the one that ran at the end
	skipped  string // the first skipped test
	said     []byte // the end of what it printed
}

// run runs a suite from a binary as `go test -failfast` would, with variables
// over the environment.
func (b *bench) run(ctx context.Context, s suite, binary string, env ...string) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, testTimeout+overtime)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.v", "-test.failfast",
		"-test.run", s.run, "-test.timeout", testTimeout.String())
	cmd.Dir = filepath.Join(b.root, filepath.FromSlash(s.pkg))
	cmd.Env = slices.Concat(os.Environ(), rapidEnv, env)
	cmd.WaitDelay = time.Second // for what a test left behind with our pipe
	out, err := cmd.CombinedOutput()
	res := read(string(out))
	res.said = tail(out)
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState.Success():
		res.passed = true
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		res.timedOut = true
	case ctx.Err() != nil:
		return result{}, ctx.Err()
	case !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay):
		return result{}, err
	case res.failed == "":
		return result{}, fmt.Errorf("the tests ended without saying which failed: %w: %s", err, tail(out))
	}
	return res, nil
}

var (
	resultLine  = regexp.MustCompile(`(?m)^\s*--- (FAIL|SKIP|PASS): (\S+)`)
	runLine     = regexp.MustCompile(`(?m)^=== (?:RUN|CONT|NAME)\s+(\S+)`)
	panicLine   = regexp.MustCompile(`(?m)^(?:panic|fatal error): `)
	timeoutLine = regexp.MustCompile(`(?m)^panic: test timed out after `)
)

// read understands the output of a test binary run with -test.v. A panic ends
// the binary before it has named the test: then it is the one that ran last.
func read(out string) (res result) {
	for _, line := range resultLine.FindAllStringSubmatch(out, -1) {
		res.ran = true
		switch {
		case line[1] == "FAIL" && (res.failed == "" || strings.HasPrefix(line[2], res.failed+"/")):
			res.failed = line[2] // a test is followed by its subtests
		case line[1] == "SKIP" && res.skipped == "":
			res.skipped = line[2]
		}
	}
	res.timedOut = timeoutLine.MatchString(out)
	if runs := runLine.FindAllStringSubmatch(out, -1); res.failed == "" && len(runs) > 0 && panicLine.MatchString(out) {
		res.ran, res.failed = true, runs[len(runs)-1][1]
	}
	return res
}

// tail returns the end of an output, for an error.
func tail(out []byte) []byte {
	out = bytes.TrimSpace(out)
	return out[max(0, len(out)-2000):]
}
