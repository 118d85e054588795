package chaos

import (
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/kusto"
	"github.com/defender2adx/defender2adx/emulator/stack"
)

// hook puts the faults into the emulators.
func (w *world) hook() {
	w.struck = time.Now()
	w.Hunting.SetFault(w.huntingFault)
	w.Cluster.SetFaults(kusto.Faults{
		Query: func(_, text string) error { return w.kustoFault("query", text) },
		Command: func(_, text string) error {
			// The oracle looks first: a command that is refused was meant all the same.
			w.oracle.command(text)
			return w.kustoFault("command", text)
		},
		Ingestion: w.verdict,
	})
}

// living changes the source between two calls, never under one: a query sees the
// tables of one moment, but the emulator fixes its now() before it reads them.
func (w *world) living(next http.Handler) http.Handler {
	var gate sync.RWMutex
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if r, ok := w.faults.inject("live", w.plan.live); ok {
			gate.Lock()
			err := w.source.live(r, true)
			gate.Unlock()
			if err != nil {
				w.log.Error("change the source", "error", err.Error())
			}
		}
		gate.RLock()
		defer gate.RUnlock()
		next.ServeHTTP(rw, req)
	})
}

// huntingFault spoils a call.
func (w *world) huntingFault(c hunting.Call) hunting.Fault {
	if c.List {
		if r, ok := w.faults.inject("list", w.plan.hunting); ok {
			name, f := w.listFault(r)
			w.faults.count("list or export: " + name)
			return f
		}
		return hunting.Fault{}
	}
	if r, ok := w.faults.inject("merge", w.plan.ingestion/10); ok {
		t := w.plan.tables[r.IntN(len(w.plan.tables))]
		w.faults.count("ADX: extents merged")
		if err := w.Cluster.MergeExtents(stack.Database, t.destination()); err != nil {
			w.log.Error("merge extents", "error", err.Error())
		}
	}
	counting := strings.Contains(c.Query, "summarize")
	f := w.wrong(c, counting)
	if !counting && f.Cut == nil && f.Refuse == hunting.Unharmed {
		f.Cut = &w.plan.rowLimit
	}
	if r, ok := w.faults.inject("hash", w.plan.lies.hash); ok && strings.Contains(c.Query, "hash(") {
		w.faults.count("hunting: another hash()")
		f.Hash = 1 + uint64(r.IntN(3))
	}
	if counting && f.Results == hunting.AsTheyAre && f.DropRow == 0 && f.Refuse == hunting.Unharmed {
		w.counted(c.Table)
	}
	return f
}

// wrong is what goes wrong with a call, if anything does.
func (w *world) wrong(c hunting.Call, counting bool) hunting.Fault {
	if r, ok := w.faults.inject("lie", w.plan.lies.hunting); ok {
		name, f := w.lie(r, c, counting)
		w.faults.count("hunting: " + name)
		return f
	}
	r, ok := w.faults.inject("hunting", w.plan.hunting)
	if ok {
		name, f := w.spoil(r, counting)
		w.faults.count("hunting: " + name)
		return f
	}
	return hunting.Fault{}
}

// spoil picks what goes wrong with a call. An answer to a count is never cut
// without a word: it is far below any limit.
func (w *world) spoil(r *rand.Rand, counting bool) (string, hunting.Fault) {
	soon, form := time.Second, hunting.RetrySeconds
	if !w.plan.hosted {
		soon = time.Duration(between(r, 1, 600)) * time.Second
		form = []hunting.RetryAfter{hunting.RetrySeconds, hunting.RetryNone, hunting.RetryDate}[r.IntN(3)]
	}
	throttle := func(kind hunting.Refusal) hunting.Fault {
		return hunting.Fault{Refuse: kind, RetryAfter: &form, Wait: soon}
	}
	suffix := [...]string{" with Retry-After", " without Retry-After", " with a date"}[form]
	switch r.IntN(16) {
	case 0:
		return "429 calls of a minute" + suffix, throttle(hunting.ThrottleMinute)
	case 1:
		return "429 calls of an hour" + suffix, throttle(hunting.ThrottleHour)
	case 2:
		return "429 processing resources" + suffix, throttle(hunting.ThrottleCPU)
	case 3:
		return "400 too large", hunting.Fault{Refuse: hunting.TooLarge}
	case 4:
		return "400 preempted", hunting.Fault{Refuse: hunting.Preempted}
	case 5:
		return "401 token expired", hunting.Fault{Refuse: hunting.ExpiredToken}
	case 6:
		return "500", hunting.Fault{Refuse: hunting.ServerError}
	case 7:
		return "502 page of HTML", hunting.Fault{Refuse: hunting.BadGateway}
	case 8:
		return "504", hunting.Fault{Refuse: hunting.GatewayTimeout}
	case 9:
		return "504 without a body", hunting.Fault{Refuse: hunting.EmptyTimeout}
	case 10:
		return "connection reset in mid-answer", hunting.Fault{ResetAt: 1 + r.Int64N(30_000)}
	case 11:
		return "answer ends in the middle", hunting.Fault{EndAt: 1 + r.Int64N(30_000)}
	case 12:
		return "hangs", hunting.Fault{Delay: pauseOf(r, 400*time.Millisecond)}
	case 13:
		if !w.plan.hosted && r.IntN(4) == 0 {
			return "hangs beyond every patience", hunting.Fault{Delay: 4 * time.Second}
		}
		return "slow drip", hunting.Fault{Drip: 5 * time.Millisecond, DripBytes: 2048}
	default:
		if counting {
			return "500", hunting.Fault{Refuse: hunting.ServerError}
		}
		n := r.IntN(w.plan.rowLimit)
		return "cut without a word", hunting.Fault{Cut: &n}
	}
}

// kustoFault refuses a query or a command.
func (w *world) kustoFault(kind, text string) error {
	if strings.HasPrefix(text, ".get kusto identity token") {
		return nil
	}
	r, ok := w.faults.inject("kusto "+kind, w.plan.kusto)
	if !ok {
		return nil
	}
	switch r.IntN(5) {
	case 0:
		w.faults.count("ADX: " + kind + " throttled, 429")
		return kusto.Throttled(429)
	case 1:
		w.faults.count("ADX: " + kind + " throttled, 503")
		return kusto.Throttled(503)
	case 2:
		w.faults.count("ADX: " + kind + " failed after it began to answer")
		return &kusto.Error{Status: 200, Code: "LimitsExceeded", Message: "Query execution lacks memory resources", Text: "a fault", Late: true}
	case 3:
		w.faults.count("ADX: " + kind + " refused for good")
		return &kusto.Error{Status: 400, Code: "General_BadRequest", Message: "Request is invalid and cannot be executed.", Text: "a fault", Permanent: true}
	default:
		w.faults.count("ADX: " + kind + " failed, 500")
		return &kusto.Error{Status: 500, Code: "Internal service error", Message: "Request aborted due to an internal service error.", Text: "a fault"}
	}
}

var sliceTag = regexp.MustCompile(`^ingest-by:([0-9A-Za-z]+)s([0-9]{6})$`)

// verdict decides what becomes of an ingestion.
func (w *world) verdict(d kusto.Delivery) kusto.Verdict {
	if w.plan.outage && !w.faults.calm() {
		w.faults.count("ingestion: failed for good, as all do")
		return kusto.Verdict{Fail: &kusto.Failed{Code: "BadRequest_DatabaseNotExist", Details: "an outage", Status: "Permanent"}}
	}
	r, ok := w.faults.inject("ingestion", w.plan.ingestion)
	if !ok {
		return kusto.Verdict{}
	}
	name, v := w.misfortune(r)
	if w.plan.exports(d.Table) {
		v = ofFile(v)
	}
	for _, tag := range d.Tags {
		m := sliceTag.FindStringSubmatch(tag)
		if m != nil && v.Twin {
			w.oracle.twin(d.Table, m[1], m[2])
		}
	}
	w.faults.count("ingestion: " + name)
	return v
}

func (w *world) misfortune(r *rand.Rand) (string, kusto.Verdict) {
	some := func(of int) func(int) bool {
		at := r.IntN(of)
		return func(row int) bool { return row%of == at }
	}
	failed := func(status string) *kusto.Failed {
		return &kusto.Failed{Code: "BadRequest_NoRecordsOrWrongFormat", Details: "a fault", Status: status}
	}
	switch r.IntN(16) {
	case 14, 15:
		return blunder(r, some)
	case 0, 1, 2:
		return "delayed", kusto.Verdict{Delay: pauseOf(r, 800*time.Millisecond)}
	case 3:
		return "delayed beyond the grace time", kusto.Verdict{Delay: w.plan.grace + pauseOf(r, time.Second)}
	case 4:
		return "failed for good", kusto.Verdict{Fail: failed("Permanent")}
	case 5:
		return "failed after its own retries", kusto.Verdict{Fail: failed("Exhausted")}
	case 6:
		return "rows dropped", kusto.Verdict{Drop: some(between(r, 2, 50))}
	case 7:
		return "null Records", kusto.Verdict{Null: some(between(r, 2, 50))}
	case 8:
		return "lost", kusto.Verdict{Lose: true}
	case 9:
		return "twins", kusto.Verdict{Twin: true}
	case 10:
		return "handled again", kusto.Verdict{Again: between(r, 1, 2)}
	case 11:
		return "visible late", kusto.Verdict{Invisible: pauseOf(r, time.Second)}
	case 12:
		return "visible after the grace time", kusto.Verdict{Invisible: w.plan.grace + pauseOf(r, time.Second)}
	default:
		return "never reported", kusto.Verdict{Unreported: true}
	}
}
