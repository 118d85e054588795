// Package rounds says how often a test repeats what it shows: a round before a change
// lands stays short, the nightly one plays every test at its full length.
package rounds

import (
	"os"
	"testing"
)

// Long marks a test that go test -short, the quick round, leaves out.
func Long(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("long: not with -short")
	}
}

// Of returns how many rounds a test plays: short with go test -short, night in the
// nightly round (make test NIGHT=1, which sets D2A_NIGHT), usual otherwise.
func Of(short, usual, night int) int {
	switch {
	case os.Getenv("D2A_NIGHT") == "1":
		return night
	case testing.Short():
		return short
	}
	return usual
}
