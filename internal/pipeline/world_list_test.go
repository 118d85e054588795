package pipeline_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// machines is the list that the world knows.
const machines = "api/machines"

var machinesKey = plan.Key{Source: machines}

// listing is a list of things that live while they are read: each has one version at a
// time, which is a number, and the order shifts.
type listing struct {
	things []version // in the order of the list
	page   int       // rows a page
	churn  float64   // chance at each page that the list changes
	next   int       // number of the next version

	// frozen are the versions that the last whole reading for a slice has shown in both
	// of its reads, by RunId and number.
	frozen map[part]map[int]bool
	clock  time.Duration // the service's clock is ahead by
	source string        // "": machines

	each  time.Duration // between two calls at least; 0: as hunting calls
	calls []time.Time   // that were granted

	reading, together int           // readings at one time, now and at most
	latest            time.Duration // after the start of an invocation that a reading began
}

// part is a slice of a list's run.
type part struct {
	run string
	no  int
}

// name is the SourceTable.
func (l *listing) name() string { return cmp.Or(l.source, machines) }

type version struct {
	no int
	at time.Time
}

// listWorld is a world with a list of n things, and nothing else to copy.
func listWorld(seed uint64, n int, load string) *world {
	w := newWorld(seed)
	w.list = &listing{page: 7, frozen: map[part]map[int]bool{}}
	w.versions = map[string][]byte{}
	row := &w.config[0]
	row.SourceTable, row.DestinationTable, row.LoadType, row.WatermarkColumn = machines, "MachinesRaw", load, "lastSeen"
	for range n {
		w.list.things = append(w.list.things, w.list.version(w.now.Add(-time.Duration(w.rng.IntN(100*60))*time.Minute)))
	}
	return w
}

func (l *listing) version(at time.Time) version {
	l.next++
	return version{l.next, plan.Ticks(at)}
}

// live changes the list by chance: a thing reports and moves, one is retired, one comes.
func (w *world) live() {
	l := w.list
	if w.rng.Float64() >= l.churn {
		return
	}
	switch i := w.rng.IntN(max(1, len(l.things))); w.rng.IntN(4) {
	case 0:
		l.things = append(l.things, l.version(w.now.Add(-time.Minute)))
	case 1:
		if len(l.things) > 0 {
			l.things = slices.Delete(l.things, i, i+1) // those after it move up
		}
	case 2:
		l.things = slices.Insert(l.things, i, l.version(w.now.Add(-30*time.Hour))) // it reports late
	default:
		if len(l.things) > 0 {
			l.things = slices.Delete(l.things, i, i+1)
			l.things = append(l.things, l.version(w.now))
		}
	}
}

// listQuota is the quota of the list's API, whose calls are evenly spaced and waited for.
type listQuota struct{ *process }

func (q listQuota) Take(ctx context.Context, table string, urgent bool) error {
	l := q.list
	if l == nil || l.each == 0 {
		return q.process.Take(ctx, table, urgent)
	}
	if n := len(l.calls); n > 0 {
		if err := q.Sleep(ctx, max(0, l.calls[n-1].Add(l.each).Sub(q.now))); err != nil {
			return err
		}
	}
	return q.effect("take", func() error {
		l.calls = append(l.calls, q.now)
		return nil
	})
}

// lister reads the world's list as the adapter does.
type lister struct{ *process }

func (l lister) Serves(source string) bool {
	return l.list != nil && source == l.list.name()
}
func (l lister) API() string { return "mde" }

func (l lister) Read(ctx context.Context, call plan.Caller, q plan.ListQuery, stage pipeline.Stage) (plan.ListAnswer, error) {
	var out plan.ListAnswer
	l.mu.Lock()
	l.list.reading++
	l.list.together = max(l.list.together, l.list.reading)
	l.list.latest = max(l.list.latest, l.now.Sub(l.delivered))
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.list.reading--
	}()
	err := stage(ctx, func(w io.Writer) error {
		out = plan.ListAnswer{Shown: &plan.Versions{}}
		reads := make([]map[int]bool, q.Reads)
		for i := range reads {
			reads[i] = map[int]bool{}
			if err := l.once(ctx, call, q, w, &out, reads[i]); err != nil {
				return err
			}
		}
		both := reads[0]
		for no := range both {
			if !reads[len(reads)-1][no] {
				delete(both, no)
			}
		}
		var of part
		if _, err := fmt.Sscanf(strings.ReplaceAll(l.staging, "-", " "), "%s %d", &of.run, &of.no); err == nil { // not of a forecast
			l.list.frozen[of] = both
		}
		return nil
	})
	return out, err
}

func (l lister) once(ctx context.Context, call plan.Caller, q plan.ListQuery, w io.Writer, out *plan.ListAnswer, shown map[int]bool) error {
	var things []version
	for skip, more := 0, true; more; skip += l.list.page {
		err := call.Do(ctx, func(context.Context) error {
			return l.chances("page", func() error {
				out.Pages++
				if out.Now.IsZero() {
					out.Now = l.now.Add(l.list.clock).Truncate(time.Second)
				}
				if things == nil || l.list.churn > 0 {
					things = slices.DeleteFunc(slices.Clone(l.list.things), func(v version) bool { return v.at.Before(q.From) || !q.To.IsZero() && !v.at.Before(q.To) })
				}
				page := things[min(skip, len(things)):min(skip+l.list.page, len(things))]
				more = len(page) == l.list.page
				for i, v := range page {
					if i == l.list.page/2 && l.rng.Float64() < l.chaos {
						return fault.As(fault.Unavailable, errors.New("the page breaks off"))
					}
					shown[v.no] = true
					var hash plan.Version
					binary.BigEndian.PutUint64(hash[:], uint64(v.no))
					if !out.Shown.Add(hash, v.at) || q.Known.Has(hash) {
						continue
					}
					n, err := fmt.Fprintf(w, "%d\n", v.no)
					if err != nil {
						return err
					}
					out.Rows++
					out.Bytes += int64(n)
				}
				l.live()
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (h *held) SaveVersions(_ context.Context, name string, shown *plan.Versions) error {
	body, err := shown.MarshalBinary()
	if err != nil {
		return err
	}
	return h.p.effect("save versions", func() error {
		if err := h.over(); err != nil {
			return err
		}
		if h.p.versions == nil {
			h.p.versions = map[string][]byte{}
		}
		h.p.versions[name] = body
		return nil
	})
}

func (h *held) Versions(ctx context.Context, name string) (*plan.Versions, error) {
	return h.p.Versions(ctx, name)
}

func (h *held) DropVersions(_ context.Context, name string) error {
	return h.p.effect("drop versions", func() error {
		if err := h.over(); err != nil {
			return err
		}
		delete(h.p.versions, name)
		return nil
	})
}

func (p *process) Versions(_ context.Context, name string) (shown *plan.Versions, err error) {
	err = p.effect("read versions", func() error {
		body, ok := p.versions[name]
		if !ok {
			return nil
		}
		shown = &plan.Versions{}
		return shown.UnmarshalBinary(body)
	})
	return shown, err
}
