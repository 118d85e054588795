package adx_test

import (
	"errors"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/kusto"
	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/plan"
)

func stage(t *testing.T, c *adx.Client, name string, rows int) plan.Blob {
	t.Helper()
	b, err := c.Stage(t.Context(), name, lines(rows))
	if err != nil {
		t.Fatal(err)
	}
	b.Rows = int64(rows)
	return b
}

func enqueue(t *testing.T, c *adx.Client, run string, slice int, b plan.Blob) string {
	t.Helper()
	ticket, err := c.Enqueue(t.Context(), plan.Ingestion{Destination: "DeviceInfoRaw", RunID: run, Slice: slice, Blob: b})
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

func rowsOf(t *testing.T, c *adx.Client, run string, slice int) int64 {
	t.Helper()
	landed, err := c.Landed(t.Context(), "DeviceInfoRaw", []string{run}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return landed[run][slice].Rows
}

// A blob sent again is skipped for its tag. Whether the service calls that skipped
// or failed, it is a success whose rows are there.
func TestScenario_L17_SkippedOrFailed(t *testing.T) {
	for name, asFailed := range map[string]bool{"skipped": false, "failed": true} {
		t.Run(name, func(t *testing.T) {
			w, _ := newCloud(t, false, func(o *kusto.Options) { o.SkippedAsFailed, o.RefuseKnownTags = asFailed, asFailed })
			w.provide(t, "DeviceInfoRaw")
			app := w.client(t, "app")
			b := stage(t, app, "d2a1-000001.json.gz", 20)
			enqueue(t, app, "d2a1", 1, b)
			until(t, "rows", func() bool { return rowsOf(t, app, "d2a1", 1) == 20 })
			ticket := enqueue(t, app, "d2a1", 1, b)
			var status plan.IngestStatus
			until(t, "the second report", func() bool {
				var err error
				status, err = app.IngestStatus(t.Context(), ticket)
				return err == nil && status.State != plan.IngestUnknown
			})
			if status.State != plan.IngestSucceeded || status.Code != "Skipped_IngestByTagAlreadyExists" {
				t.Errorf("got %+v", status)
			}
			if n := rowsOf(t, app, "d2a1", 1); n != 20 {
				t.Errorf("%d rows, want 20", n)
			}
			audit := plan.Audit{TableName: "T", Status: plan.Success}
			for range 2 {
				if err := app.Deliver(t.Context(), plan.Outgoing{Tag: "audit-1", Audit: &audit}); err != nil {
					t.Fatal(err)
				}
			}
			if n := w.cluster.Count("db1", "MigrationAuditLog"); n != 1 {
				t.Errorf("%d audit rows, want 1", n)
			}
			// A dash ends a term: the look for a tag must not find a longer one.
			if err := app.Deliver(t.Context(), plan.Outgoing{Tag: "audit", Audit: &audit}); err != nil {
				t.Fatal(err)
			}
			if n := w.cluster.Count("db1", "MigrationAuditLog"); n != 2 {
				t.Errorf("%d audit rows after one of another tag, want 2", n)
			}
		})
	}
}

// Under a signature that may not read, rows arrive all the same, and whether the
// blob is there cannot be told.
func TestScenario_L18_NarrowSignatures(t *testing.T) {
	w, _ := newCloud(t, true)
	w.provide(t, "DeviceInfoRaw")
	app := w.client(t, "app")
	b := stage(t, app, "d2a1-000001.json.gz", 7)
	if state, err := app.BlobState(t.Context(), b); err != nil || state != plan.BlobUntold {
		t.Errorf("got %s, %v", state, err)
	}
	enqueue(t, app, "d2a1", 1, b)
	until(t, "rows", func() bool { return rowsOf(t, app, "d2a1", 1) == 7 })
}

// What became of an ingestion is read by another process from its id alone.
func TestScenario_L20_StatusByAnotherProcess(t *testing.T) {
	w, _ := newCloud(t, false)
	w.provide(t, "DeviceInfoRaw")
	app := w.client(t, "app")
	b := stage(t, app, "d2a1-000001.json.gz", 3)
	good := enqueue(t, app, "d2a1", 1, b)
	ticket, err := app.Enqueue(t.Context(), plan.Ingestion{Destination: "NowhereRaw", RunID: "d2a1", Slice: 2, Blob: b})
	if err != nil {
		t.Fatal(err)
	}
	other := w.client(t, "app")
	read := func(id string) (status plan.IngestStatus) {
		until(t, "a report", func() bool {
			var err error
			status, err = other.IngestStatus(t.Context(), id)
			return err == nil && status.State != plan.IngestUnknown
		})
		return status
	}
	if got := read(good); got.State != plan.IngestSucceeded {
		t.Errorf("a good one: %+v", got)
	}
	if got := read(ticket); got.State != plan.IngestFailed || !got.Permanent || got.Code != "BadRequest_TableNotExist" {
		t.Errorf("one without a table: %+v", got)
	}
	got, err := other.IngestStatus(t.Context(), "2444c08c-0000-4000-8000-000000000000")
	if err != nil || got.State != plan.IngestUnknown {
		t.Errorf("one that nobody sent: %+v, %v", got, err)
	}
}

// An append is refused while a queued ingestion has the only place, and goes
// through when that has ended.
func TestScenario_L16_QueuedAndDirectShareTheCapacity(t *testing.T) {
	w := newWorld(t, func(o *kusto.Options) { o.IngestionCapacity = 1 })
	w.provide(t, "DeviceInfoRaw")
	release := w.cluster.Occupy()
	refused := make(chan struct{}, 16)
	w.cluster.SetFaults(kusto.Faults{Command: func(_, text string) error {
		if text[:7] == ".append" {
			refused <- struct{}{}
		}
		return nil
	}})
	done := make(chan error, 1)
	go func() {
		done <- w.client(t, "app").Deliver(t.Context(), plan.Outgoing{Tag: "a1", Audit: &plan.Audit{TableName: "T"}})
	}()
	<-refused
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := w.cluster.Count("db1", "MigrationAuditLog"); n != 1 {
		t.Errorf("%d audit rows, want 1", n)
	}
}

// On a cluster whose reads lag by an hour our questions see what is there now.
func TestScenario_L11_StaleReads(t *testing.T) {
	w := newWorld(t, func(o *kusto.Options) { o.StaleReads = time.Hour })
	w.provide(t, "DeviceInfoRaw")
	w.run(t, `.append DeviceInfoRaw <| print dynamic({}), "d2a1", int(1), datetime(null)`)
	app := w.client(t, "app")
	landed, err1 := app.Landed(t.Context(), "DeviceInfoRaw", []string{"d2a1"}, time.Time{})
	other, err2 := app.Foreign(t.Context(), "DeviceInfoRaw", "other", time.Time{})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if landed["d2a1"][1].Rows != 1 || other != "d2a1" {
		t.Errorf("landed %v, foreign %q; want one row of d2a1", landed, other)
	}
	if n := w.count(t, "DeviceInfoRaw"); n != 0 {
		t.Errorf("a query that asks for nothing sees %d rows: the cluster does not lag", n)
	}
}
