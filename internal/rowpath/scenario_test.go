package rowpath_test

import (
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/defender2adx/defender2adx/internal/rowpath"
)

// All of an array is kept, at any depth.
func TestScenario_A2_ArraysStayWhole(t *testing.T) {
	const row = `{"diskPaths":["C:\\a","C:\\b","C:\\c"],"registryPaths":[],"evidence":[{"paths":["x","y"]},{"paths":[]}]}`
	got, res, err := plain(strings.NewReader(`{"results":[`+row+`]}`), rowpath.Options{})
	if err != nil || res.Rows != 1 || got != row+"\n" {
		t.Errorf("Copy = %q, %v; want the row as it was", got, err)
	}
}

// Nothing has to be known of a table's columns: those of another shape, and new
// ones, arrive with the others.
func TestScenario_A3_UnknownColumnsArrive(t *testing.T) {
	for _, row := range []string{
		`{"DeviceId":"d","SoftwareName":"s","CveId":"CVE-2026-1","VulnerabilitySeverityLevel":"High","CveTags":["x"]}`,
		`{"id":"m-CVE-2026-1","cveId":"CVE-2026-1","machineId":"m","fixingKbId":null,"productName":"p","severity":"High"}`,
		`{"DeviceId":"d","AColumnOfNextYear":{"Nested":[1,2]}}`,
	} {
		body := `{"schema":[{"name":"DeviceId","type":"String"}],"results":[` + row + `]}`
		if got, _, err := plain(strings.NewReader(body), rowpath.Options{}); err != nil || got != row+"\n" {
			t.Errorf("Copy = %q, %v; want %s", got, err, row)
		}
	}
}

// endless is an answer of n wide rows that exists nowhere as a whole.
func endless(n int, row string) io.Reader {
	readers := make([]io.Reader, 0, 2*n+2)
	readers = append(readers, strings.NewReader(`{"results":[`), strings.NewReader(row))
	for range n - 1 {
		readers = append(readers, strings.NewReader(","), strings.NewReader(row))
	}
	return io.MultiReader(append(readers, strings.NewReader("]}"))...)
}

// Forty answers are copied at once in memory that does not depend on
// their size.
func TestScenario_P22_FortyWideAnswers(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 60 MB")
	}
	row := `{"AdditionalFields":"` + strings.Repeat("wide ", 20_000) + `"}`
	const rows = 15
	allocated := func(copies, rows int) uint64 {
		answers := make([]io.Reader, copies)
		for i := range answers {
			answers[i] = endless(rows, row)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var all sync.WaitGroup
		for _, answer := range answers {
			all.Go(func() {
				if res, err := rowpath.Copy(io.Discard, answer, rowpath.Options{Plain: true}); err != nil || res.Rows != int64(rows) {
					t.Errorf("%d rows, %v", res.Rows, err)
				}
			})
		}
		all.Wait()
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	allocated(1, rows)
	// All that was ever allocated, garbage included, is far below one answer each.
	if got, limit := allocated(40, rows), uint64(30<<20); got > limit {
		t.Errorf("40 answers of %d MB took %d KB, want at most %d", rows*len(row)>>20, got>>10, limit>>10)
	}
}
