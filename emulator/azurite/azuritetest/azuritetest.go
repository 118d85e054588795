// Package azuritetest starts Azurite for tests.
//
// Where node or its packages are missing the test is skipped with the remedy,
// unless D2A_REQUIRE is 1: then the absence is a failure, so that a build which
// must run these tests cannot pass without them. Any other trouble always fails.
package azuritetest

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/defender2adx/defender2adx/emulator/azurite"
)

// Start runs Azurite until the test ends. A start takes seconds: a test that
// does not change how Azurite runs takes Shared.
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

// one is the Azurite that the tests of a package share.
var one = sync.OnceValues(func() (*azurite.Azurite, error) {
	return azurite.Start(context.Background(), azurite.Options{Spare: 256})
})

var begun atomic.Bool

// Shared returns an account of its own in an Azurite that all tests of the package
// share. The package's TestMain runs Main.
func Shared(tb testing.TB) *azurite.Azurite {
	tb.Helper()
	begun.Store(true)
	a, err := one()
	if err != nil {
		SkipNotInstalled(tb, err)
		tb.Fatal(err)
	}
	own := a.Spare()
	if own == nil {
		tb.Fatal("all accounts of the shared Azurite are taken")
	}
	return own
}

// Main runs the tests of a package that uses Shared, and ends what they shared.
func Main(m *testing.M) (code int) {
	code = m.Run()
	if begun.Load() {
		if a, err := one(); err == nil {
			a.Stop()
		}
	}
	return code
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
