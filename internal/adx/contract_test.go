package adx_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/certs"
	"github.com/defender2adx/defender2adx/emulator/kusto"
	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/pipeline/pipelinetest"
	"github.com/defender2adx/defender2adx/internal/secret"
)

// longLines writes n rows of more than size bytes as a blob holds them.
func longLines(n, size int) func(io.Writer) error {
	return func(w io.Writer) error {
		zw := gzip.NewWriter(w)
		for i := range n {
			if _, err := fmt.Fprintf(zw, `{"DeviceId":"d%d","Long":"%s"}`+"\n", i, strings.Repeat("0", size)); err != nil {
				return err
			}
		}
		return zw.Close()
	}
}

// filesElsewhere is a storage account of files with names f<rows>.json.gz, other than
// the one that ADX lends, and returns the address of its root.
func filesElsewhere(t *testing.T, bundle *certs.Bundle) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var rows int
		if _, err := fmt.Sscanf(r.URL.Path, "/f%d.json.gz", &rows); err != nil {
			w.WriteHeader(http.StatusNotFound)
		} else if r.URL.Query().Get("sig") != "G00D" {
			w.WriteHeader(http.StatusForbidden)
		} else if err := lines(rows)(w); err != nil {
			t.Error(err)
		}
	}))
	server.TLS = bundle.TLS()
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// The cases share one storage account; each has a cluster of its own.
func TestSink_KeepsThePipelinesContract(t *testing.T) {
	rounds.Long(t)
	const limit = 4 << 10
	bundle, lent := lentStorage(t, false)
	elsewhere := filesElsewhere(t, bundle)
	at := func(name, signature string) secret.String {
		return secret.New(elsewhere + name + ".json.gz?sig=" + signature)
	}
	fates := map[pipelinetest.Fate]kusto.Verdict{
		pipelinetest.Partly:    {Drop: func(row int) bool { return row > 0 }},
		pipelinetest.Faltering: {Fail: &kusto.Failed{Code: "Download_UnknownError", Details: "the storage service answered 503", Status: "Transient"}},
	}
	pipelinetest.Sink(t, func(t *testing.T) pipelinetest.SinkWorld {
		w := cloudOn(t, bundle, lent)
		w.provide(t, "DeviceInfoRaw", "DeviceEventsRaw")
		return pipelinetest.SinkWorld{
			SinkPorts:   w.client(t, "app"),
			Destination: "DeviceInfoRaw", Second: "DeviceEventsRaw", NoTable: "NoSuchRaw",
			Rows:  lines,
			Wide:  func(n int) func(io.Writer) error { return longLines(n, limit/2) },
			Limit: limit,
			Oversized: func(n int) func(io.Writer) error {
				// It keeps 2 MB, less than the 32 MB that the table is made with.
				w.run(t, ".alter column DeviceInfoRaw.Records policy encoding type = 'BigObject'")
				return longLines(n, 2<<20)
			},
			File:    func(n int) secret.String { return at(fmt.Sprint("/f", n), "G00D") },
			Expired: at("/f3", "3XPIRED"), Gone: at("/gone", "G00D"),
			Fate: func(f pipelinetest.Fate) {
				w.cluster.SetFaults(kusto.Faults{Ingestion: func(kusto.Delivery) kusto.Verdict { return fates[f] }})
			},
			Spoil: func() {
				w.run(t, ".drop table DeviceInfoRaw", ".create table DeviceInfoRaw (Records:dynamic, RunId:string)")
			},
			Twice: func(destination, run string, slice int) {
				w.run(t, fmt.Sprintf(".append %s <| %s | where RunId == '%s' and Slice == %d", destination, destination, run, slice))
			},
			Now: time.Now, Pause: func() { time.Sleep(10 * time.Millisecond) },
		}
	})
}

func TestControlTables_KeepThePipelinesContract(t *testing.T) {
	pipelinetest.ControlTables(t, func(t *testing.T) pipelinetest.ControlTablesWorld {
		w := newWorld(t)
		w.provide(t, "DeviceInfoRaw")
		return pipelinetest.ControlTablesWorld{
			Open:        func() pipeline.ControlTables { return w.client(t, "app") },
			Audits:      func() int { return int(w.count(t, "MigrationAuditLog")) },
			Changes:     func() int { return int(w.count(t, "MigrationSchemaLog")) },
			DropChanges: func() { w.run(t, ".drop table MigrationSchemaLog") },
		}
	})
}
