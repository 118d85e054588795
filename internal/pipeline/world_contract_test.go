package pipeline_test

import (
	"encoding/json"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/pipeline/pipelinetest"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/secret"
)

// The world in memory keeps what the adapters keep on their emulators: what the
// pipeline's tests find in it holds there, too.

func TestWorld_KeepsTheStoresContract(t *testing.T) {
	pipelinetest.Store(t, func(t *testing.T) pipelinetest.StoreWorld {
		w := newWorld(1)
		add := func(of func() *blob, name string, value any) {
			w.mu.Lock()
			defer w.mu.Unlock()
			var document map[string]any
			b := of()
			err := json.Unmarshal(b.body, &document)
			if err == nil {
				document[name] = value
				b.body, err = json.Marshal(document)
			}
			if err != nil {
				t.Fatal(err)
			}
			b.etag++
		}
		return pipelinetest.StoreWorld{
			Open: func() pipeline.Store { return &process{world: w} },
			Expire: func(k plan.Key) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.states[k].leased = time.Time{}
			},
			AddMember: func(k plan.Key, name string, value any) {
				add(func() *blob { return w.states[k] }, name, value)
			},
			AddToLedger: func(run, name string, value any) {
				add(func() *blob { return w.ledgers[run] }, name, value)
			},
			Now: (&process{world: w}).Now,
		}
	})
}

func TestWorld_KeepsTheQuotasContract(t *testing.T) {
	pipelinetest.Quota(t, func(t *testing.T) pipelinetest.QuotaWorld {
		w := newWorld(1)
		w.perMinute = 20
		p := &process{world: w}
		return pipelinetest.QuotaWorld{
			Open:  func() pipeline.Quota { return &process{world: w} },
			Limit: w.perMinute, Now: p.Now,
			Pass: func(d time.Duration) { _ = p.Sleep(t.Context(), d) },
		}
	})
}

func TestWorld_KeepsTheControlTablesContract(t *testing.T) {
	pipelinetest.ControlTables(t, func(t *testing.T) pipelinetest.ControlTablesWorld {
		w := newWorld(1)
		w.config = nil
		return pipelinetest.ControlTablesWorld{
			Open:   func() pipeline.ControlTables { return &process{world: w} },
			Audits: func() int { w.mu.Lock(); defer w.mu.Unlock(); return len(w.audits) },
			Changes: func() (n int) {
				w.mu.Lock()
				defer w.mu.Unlock()
				for _, c := range w.changes {
					n += len(c.Columns)
				}
				return n
			},
			DropChanges: func() { w.unlogged = true },
		}
	})
}

func TestWorld_KeepsTheSinksContract(t *testing.T) {
	pipelinetest.Sink(t, func(t *testing.T) pipelinetest.SinkWorld {
		w := newWorld(1)
		w.config, w.missing = nil, "NoSuchRaw"
		p := &process{world: w}
		next := 0
		write := func(n int) (ids []int, rows func(io.Writer) error) {
			for range n {
				ids = append(ids, next)
				next++
			}
			return ids, func(out io.Writer) error {
				for _, id := range ids {
					if _, err := fmt.Fprintln(out, id); err != nil {
						return err
					}
				}
				return nil
			}
		}
		w.exports.files = map[string][]int{}
		file := func(name string, until time.Time) secret.String {
			return secret.New(fmt.Sprintf("https://files.example/%s?sig=S3CRET&until=%d", name, until.UnixNano()))
		}
		wide := func(n int) func(io.Writer) error {
			ids, rows := write(n)
			for _, id := range ids {
				w.huge[id] = 1
			}
			return rows
		}
		return pipelinetest.SinkWorld{
			SinkPorts:   p,
			Destination: "DeviceInfoRaw", Second: "DeviceEventsRaw", NoTable: w.missing,
			Rows: func(n int) func(io.Writer) error { _, rows := write(n); return rows },
			Wide: wide, Oversized: wide,
			File: func(n int) secret.String {
				name := fmt.Sprint("/f", n)
				w.exports.files[name], _ = write(n)
				return file(name[1:], p.Now().Add(time.Hour))
			},
			Expired: file("f0", p.Now()), Gone: file("gone", p.Now().Add(time.Hour)),
			Fate: func(f pipelinetest.Fate) {
				end := map[pipelinetest.Fate]fate{pipelinetest.Partly: partial, pipelinetest.Faltering: faltering}[f]
				w.fate = func(plan.Ingestion) fate { return end }
			},
			Spoil: func() { w.trouble = map[string][]string{"DeviceInfoRaw": {"table DeviceInfoRaw lacks Slice"}} },
			Limit: 1 << 20,
			Twice: func(destination, run string, slice int) {
				w.mu.Lock()
				defer w.mu.Unlock()
				for _, e := range w.extents {
					if e.destination == destination && e.runID == run && e.slice == slice {
						e.at = w.now
						w.extents = append(w.extents, e)
						return
					}
				}
			},
			Now: p.Now, Pause: func() { _ = p.Sleep(t.Context(), time.Second) },
		}
	})
}
