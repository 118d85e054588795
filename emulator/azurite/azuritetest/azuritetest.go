// Package azuritetest starts Azurite for tests.
//
// Where node or its packages are missing the test is skipped with the remedy,
// unless D2A_REQUIRE is 1: then the absence is a failure, so that a build which
// must run these tests cannot pass without them. Any other trouble always fails.
package azuritetest

import (
	"errors"
	"os"
	"testing"

	"github.com/defender2adx/defender2adx/emulator/azurite"
)

// Start runs Azurite until the test ends. A start takes seconds: share one among
// the subtests of a package and give each its own container or queue.
func Start(tb testing.TB, opts azurite.Options) *azurite.Azurite {
	tb.Helper()
	a, err := azurite.Start(tb.Context(), opts)
	if err != nil {
		SkipNotInstalled(tb, err)
		tb.Fatal(err)
	}
	tb.Cleanup(a.Stop)
	return a
}

// SkipNotInstalled ends the test if err says that node or a node package is
// missing: as a skip, or as a failure where D2A_REQUIRE is 1.
func SkipNotInstalled(tb testing.TB, err error) {
	tb.Helper()
	if !errors.Is(err, azurite.ErrNotInstalled) {
		return
	}
	if os.Getenv("D2A_REQUIRE") == "1" {
		tb.Fatalf("D2A_REQUIRE=1: %v", err)
	}
	tb.Skipf("SKIPPED, storage is not tested: %v", err)
}
