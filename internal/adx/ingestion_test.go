package adx_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/azurite"
	"github.com/defender2adx/defender2adx/emulator/azurite/azuritetest"
	"github.com/defender2adx/defender2adx/emulator/certs"
	"github.com/defender2adx/defender2adx/emulator/kusto"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

func lines(n int) func(io.Writer) error {
	return func(w io.Writer) error {
		zw := gzip.NewWriter(w)
		for i := range n {
			if _, err := fmt.Fprintf(zw, `{"DeviceId":"d%d","N":%d}`+"\n", i, i); err != nil {
				return err
			}
		}
		return zw.Close()
	}
}

// until asks again until the answer is yes or the test's time is over.
func until(t *testing.T, what string, ask func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for tick := time.Tick(10 * time.Millisecond); !ask(); {
		select {
		case <-tick:
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, ctx.Err())
		}
	}
}

// newCloud is a world whose cluster ingests from a storage account of the test's own.
func newCloud(t *testing.T, narrow bool, change ...func(*kusto.Options)) (*world, kusto.Storage) {
	t.Helper()
	bundle, lent := lentStorage(t, narrow)
	return cloudOn(t, bundle, lent, change...), lent
}

// lentStorage is what a cluster lends, in a storage account of the test's own.
func lentStorage(t *testing.T, narrow bool) (*certs.Bundle, kusto.Storage) {
	t.Helper()
	bundle, err := certs.New(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	storage := azuritetest.Shared(t)
	front, err := azurite.NewTLSFront(storage, bundle.TLS(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { front.Close() })
	lend := kusto.NewStorage
	if narrow {
		lend = kusto.NewNarrowStorage
	}
	lent, err := lend(t.Context(), storage, front, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return bundle, lent
}

// cloudOn is a world whose cluster ingests from the storage until the test ends.
func cloudOn(t *testing.T, bundle *certs.Bundle, lent kusto.Storage, change ...func(*kusto.Options)) *world {
	t.Helper()
	w := newWorldWith(t, bundle, append(change, func(o *kusto.Options) { o.Storage = lent })...)
	if err := w.cluster.StartIngestion(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.cluster.StopIngestion)
	return w
}

func TestIngestion_EndToEnd(t *testing.T) {
	w, lent := newCloud(t, false)
	w.provide(t, "DeviceInfoRaw")
	app := w.client(t, "app")
	snapshot := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)

	send := func(t *testing.T, table, run string, slice int, b plan.Blob) string {
		t.Helper()
		ticket, err := app.Enqueue(t.Context(), plan.Ingestion{Destination: table, RunID: run, Slice: slice, SnapshotTime: snapshot, Blob: b})
		if err != nil {
			t.Fatal(err)
		}
		return ticket
	}
	landed := func(t *testing.T, run string, slice int) int64 {
		t.Helper()
		got, err := app.Landed(t.Context(), "DeviceInfoRaw", []string{run}, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		return got[run][slice].Rows
	}

	t.Run("rows arrive once though sent twice", func(t *testing.T) {
		b, err := app.Stage(t.Context(), "d2a1-000001.json.gz", lines(500))
		if err != nil {
			t.Fatal(err)
		}
		if state, err := app.BlobState(t.Context(), b); err != nil || state != plan.BlobThere {
			t.Errorf("Staged = %v, %v", state, err)
		}
		send(t, "DeviceInfoRaw", "d2a1", 1, b)
		until(t, "rows of the slice", func() bool { return landed(t, "d2a1", 1) == 500 })
		send(t, "DeviceInfoRaw", "d2a1", 1, b)
		// Something sent later shows that the second was dealt with.
		if err := app.Probe(t.Context(), "after1"); err != nil {
			t.Fatal(err)
		}
		until(t, "the probe", func() bool {
			there, err := app.Probed(t.Context(), "after1")
			return err == nil && there
		})
		if n := landed(t, "d2a1", 1); n != 500 {
			t.Errorf("%d rows, want 500", n)
		}
	})

	t.Run("a copy is named by the command that removes it", func(t *testing.T) {
		b, err := app.Stage(t.Context(), "d2a9-000001.json.gz", lines(30))
		if err != nil {
			t.Fatal(err)
		}
		w.cluster.SetFaults(kusto.Faults{Ingestion: func(kusto.Delivery) kusto.Verdict { return kusto.Verdict{Twin: true} }})
		send(t, "DeviceInfoRaw", "d2a9", 1, b)
		until(t, "both copies", func() bool { return landed(t, "d2a9", 1) == 60 })
		w.cluster.SetFaults(kusto.Faults{})
		command, err := app.Surplus(t.Context(), "DeviceInfoRaw", "d2a9", 1, 30)
		if err != nil {
			t.Fatal(err)
		}
		w.run(t, command)
		if n := landed(t, "d2a9", 1); n != 30 {
			t.Errorf("%d rows are left after %s", n, command)
		}
	})

	t.Run("a name is used once", func(t *testing.T) {
		_, err := app.Stage(t.Context(), "d2a1-000001.json.gz", lines(1))
		_, other := app.Stage(t.Context(), "d2a1-000001.json.gz", lines(1)) // containers take turns
		if err == nil && other == nil {
			t.Error("an existing blob was written again")
		}
	})

	t.Run("a large blob in blocks", func(t *testing.T) {
		body := bytes.Repeat([]byte{'x'}, 9<<20)
		b, err := app.Stage(t.Context(), "large.json.gz", func(w io.Writer) error { _, err := w.Write(body); return err })
		if err != nil {
			t.Fatal(err)
		}
		if state, err := app.BlobState(t.Context(), b); err != nil || state != plan.BlobThere {
			t.Errorf("Staged = %v, %v", state, err)
		}
	})

	t.Run("a failed producer leaves no blob", func(t *testing.T) {
		cause := fault.As(fault.Split, errors.New("cut"))
		if _, err := app.Stage(t.Context(), "cut.json.gz", func(w io.Writer) error {
			if err := lines(10)(w); err != nil {
				return err
			}
			return cause
		}); err != cause {
			t.Errorf("got %v", err)
		}
		for _, container := range lent.Containers {
			root, _, _ := strings.Cut(container, "?")
			if state, err := app.BlobState(t.Context(), plan.Blob{Path: root + "/cut.json.gz"}); err != nil || state != plan.BlobGone {
				t.Errorf("Staged = %v, %v", state, err)
			}
		}
	})

	t.Run("its status tells the failure", func(t *testing.T) {
		b, err := app.Stage(t.Context(), "nowhere.json.gz", lines(1))
		if err != nil {
			t.Fatal(err)
		}
		id := send(t, "NowhereRaw", "d2a2", 1, b)
		var status plan.IngestStatus
		until(t, "the failure", func() bool { status, _ = app.IngestStatus(t.Context(), id); return status.State == plan.IngestFailed })
		if reason := status.Reason; reason == "" || strings.Contains(reason, "sig=") {
			t.Errorf("reason %q", reason)
		}
	})
}
