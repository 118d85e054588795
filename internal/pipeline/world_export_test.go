package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/secret"
)

// exports is the world's one file export.
type exports struct {
	generated time.Time
	names     []string            // of the files of the newest generation
	files     map[string][]int    // rows of every file that there ever was, by name
	of        map[time.Time][]int // rows of every generation
	signedFor time.Duration
	silent    bool // no status of an ingestion is ever reported
	renamed   bool // the files of each generation have names of their own
	ids       int
	taken     []time.Time // calls
}

var exportKey = plan.Key{Source: "api/machines/SoftwareVulnerabilitiesExport"}

// newExportWorld returns a world with one table, an export of so many files, none of
// which has as many rows as another.
func newExportWorld(seed uint64, files int) *world {
	w := newWorld(seed)
	w.config = []plan.Row{{SourceTable: exportKey.Source, DestinationTable: "SoftwareVulnerabilitiesExportRaw", WatermarkColumn: "None", LoadType: "Snapshot", IsActive: true,
		LastRefreshedTime: time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC), Ingested: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}}
	w.exports = exports{files: map[string][]int{}, of: map[time.Time][]int{}, signedFor: time.Hour, renamed: true}
	w.generate(files)
	return w
}

// generate makes the export anew, now.
func (w *world) generate(files int) {
	e := &w.exports
	e.generated, e.names = w.now.Truncate(time.Second), nil
	for i := range files {
		name := fmt.Sprintf("/tvm-export/%s/part-%05d.json.gz", e.generated.Format("2006-01-02/150405"), i)
		if !e.renamed {
			name = fmt.Sprintf("/tvm-export/part-%05d.json.gz", i)
		}
		e.names, e.files[name] = append(e.names, name), nil
		for range i + 1 {
			e.files[name] = append(e.files[name], e.ids)
			e.of[e.generated] = append(e.of[e.generated], e.ids)
			e.ids++
		}
	}
}

// exporter is a process as it lists the files of exports.
type exporter struct{ *process }

func (exporter) API() string { return "mde" }

func (x exporter) Export(ctx context.Context, call plan.Caller, _ plan.Table) (out plan.Export, err error) {
	err = x.call(ctx, call, "export", func() error {
		out = plan.Export{Generated: x.exports.generated}
		for _, name := range x.exports.names {
			until := x.now.Add(x.exports.signedFor).UnixNano()
			out.Files = append(out.Files, plan.ExportFile{Name: name, URL: secret.New(fmt.Sprintf("https://files.example%s?sig=S3CRET&until=%d", name, until))})
		}
		return nil
	})
	return out, err
}

// exportQuota is the quota of exports: 5 calls a minute and 20 an hour.
type exportQuota struct{ *process }

func (q exportQuota) Take(context.Context, string, bool) error {
	return q.effect("take export", func() error {
		for _, limit := range []struct {
			calls int
			in    time.Duration
		}{{5, time.Minute}, {20, time.Hour}} {
			if n := len(q.exports.taken); n >= limit.calls {
				if at := q.exports.taken[n-limit.calls].Add(limit.in); at.After(q.now) {
					return fault.WaitUntil(at.Add(q.skew), errors.New("no call is free"))
				}
			}
		}
		q.exports.taken = append(q.exports.taken, q.now)
		return nil
	})
}

// held returns the rows of what an ingestion would take in; false where there is none,
// and refused where the address is signed no more.
func (w *world) held(in plan.Ingestion) (ids []int, there, refused bool) {
	if in.URL.IsZero() {
		_, there = w.staged[in.Blob.Path]
		return w.idsOf(in.Blob.Path), there, false
	}
	address, query, _ := strings.Cut(in.URL.Reveal(), "?")
	var until int64
	if _, err := fmt.Sscanf(query, "sig=S3CRET&until=%d", &until); err != nil {
		panic(err)
	}
	ids, there = w.exports.files[strings.TrimPrefix(address, "https://files.example")]
	return slices.Clone(ids), there, !w.now.Before(time.Unix(0, until))
}

// exportTruthful reports whether the run of a Success row has brought every row of its
// generation once.
func (w *world) exportTruthful(a plan.Audit) bool {
	return cmp.Equal(w.exports.of[a.WindowTo], w.rowsOfRun(a.RunID)) && a.RecordCount == int64(len(w.exports.of[a.WindowTo]))
}

// rowsOfRun are the rows of a run that readers see, sorted.
func (w *world) rowsOfRun(runID string) (ids []int) {
	for _, e := range w.extents {
		if e.runID == runID && !w.voids[fmt.Sprint(e.runID, e.slice)] && !w.voids[fmt.Sprint(e.runID, -1)] {
			ids = append(ids, e.ids...)
		}
	}
	slices.Sort(ids)
	return ids
}

// current fails unless the newest generation is shown, whole and once, by the last
// Success, no Success was untrue, and nothing that is kept or said holds an address.
func (w *world) current(t *testing.T) {
	t.Helper()
	w.truthfulExports(t)
	var last plan.Audit
	for _, a := range w.audits {
		if a.Status == plan.Success {
			last = a
		}
	}
	if !last.WindowTo.Equal(w.exports.generated) || !cmp.Equal(w.rowsOfRun(last.RunID), w.exports.of[w.exports.generated]) {
		t.Errorf("the newest export, of %s, is not there whole and once:%s", plan.Stamp(w.exports.generated), w.story())
	}
	if mark := w.newest(exportKey.Source).LastRefreshedTime; !mark.Equal(w.exports.generated) {
		t.Errorf("watermark %v, want %v", mark, w.exports.generated)
	}
}

// truthfulExports fails where a Success was untrue or a secret was kept or said, at
// any time.
func (w *world) truthfulExports(t *testing.T) {
	t.Helper()
	if w.falseOK > 0 {
		t.Errorf("%d untrue Success rows:%s", w.falseOK, w.story())
	}
	for _, m := range w.ill {
		if m.last > 0 {
			t.Errorf("no %s was struck: the scenario did not take place", m.call)
		}
	}
	kept := []string{w.story(), fmt.Sprintf("%+v", w.config)}
	for _, b := range w.ledgers {
		kept = append(kept, string(b.body))
	}
	for _, b := range w.states {
		kept = append(kept, string(b.body))
	}
	if text := strings.Join(kept, "\n"); strings.Contains(text, "S3CRET") || strings.Contains(text, "files.example") {
		t.Errorf("an address was kept or said:\n%s", text)
	}
}

// wakeExport delivers one wake-up for the export now.
func (w *world) wakeExport(trigger string) error {
	_, err := w.deliver(message{req: pipeline.Request{WakeUp: plan.WakeUp{Key: exportKey, Trigger: trigger}}})
	return err
}
