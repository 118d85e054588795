package adx_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/pipeline/pipelinetest"
)

// longLines writes n rows of more than size bytes as a blob holds them.
func longLines(n, size int) func(io.Writer) error {
	return func(w io.Writer) error {
		zw := gzip.NewWriter(w)
		for i := range n {
			if _, err := fmt.Fprintf(zw, `{"DeviceId":"d%d","Long":"%0*d"}`+"\n", i, size, i); err != nil {
				return err
			}
		}
		return zw.Close()
	}
}

// The cases share one storage account; each has a cluster of its own.
func TestSink_KeepsThePipelinesContract(t *testing.T) {
	const limit = 4 << 10
	bundle, lent := lentStorage(t, false)
	pipelinetest.Sink(t, func(t *testing.T) pipelinetest.SinkWorld {
		w := cloudOn(t, bundle, lent)
		w.provide(t, "DeviceInfoRaw", "DeviceEventsRaw")
		return pipelinetest.SinkWorld{
			SinkPorts:   w.client(t, "app"),
			Destination: "DeviceInfoRaw", Second: "DeviceEventsRaw", NoTable: "NoSuchRaw",
			Rows:  lines,
			Wide:  func(n int) func(io.Writer) error { return longLines(n, limit/2) },
			Limit: limit,
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
			Open:    func() pipeline.ControlTables { return w.client(t, "app") },
			Audits:  func() int { return int(w.count(t, "MigrationAuditLog")) },
			Changes: func() int { return int(w.count(t, "MigrationSchemaLog")) },
		}
	})
}
