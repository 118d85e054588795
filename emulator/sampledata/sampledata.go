// Package sampledata finds the published samples and recordings for the tests that
// read them. The repository does not hold them.
package sampledata

import (
	"os"
	"path/filepath"
	"testing"
)

// Path returns a file or folder of the samples. Where D2A_SHARED_DATA does not name
// their folder the test is skipped, and fails with D2A_REQUIRE=1.
func Path(t testing.TB, parts ...string) string {
	t.Helper()
	dir := os.Getenv("D2A_SHARED_DATA")
	if dir == "" {
		const text = "D2A_SHARED_DATA is not set: the published samples are not at hand"
		if os.Getenv("D2A_REQUIRE") == "1" {
			t.Fatal(text)
		}
		t.Skip("SKIPPED: " + text)
	}
	return filepath.Join(append([]string{dir}, parts...)...)
}
