// Package pipelinetest holds what internal/pipeline/contract.go promises, as tests.
// Every implementation of a port passes the same ones: the adapters on their
// emulators, and the stand-ins in memory which the pipeline's own tests trust.
//
// A test never sleeps for a fixed time: what comes in later is asked for until it is
// there, and Pause lets the implementation's own time go by in between.
package pipelinetest

import (
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
)

// patience is how long, by the machine's clock, a test waits for what must come.
// Generous, since it is spent by a failing test alone.
const patience = time.Minute

// until asks, letting time go by in between, until the answer is yes.
func until(t *testing.T, pause func(), what string, ask func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ask(); pause() {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// must ends the test at an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantKind compares an error's kind.
func wantKind(t *testing.T, what string, err error, kind fault.Kind) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Errorf("%s = %v; want an error of kind %v", what, err, kind)
	}
}
