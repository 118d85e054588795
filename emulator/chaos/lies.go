package chaos

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/kusto"
)

// lies are how the services of a schedule contradict their documentation, or one
// page of it, without looking broken.
type lies struct {
	// ADX, for the whole schedule; see kusto.Options.
	skippedAsFailed bool
	refuseTags      bool
	narrow          bool          // signatures of staging containers that may not read
	capacity        int           // ingestions at a time; 0: no bound
	stale           time.Duration // of queries that ask for nothing better
	loose           bool          // no order among equals, in hunting as well

	// Hunting, for the whole schedule; see hunting.Limits and hunting.Awkward.
	branches       int   // 0: no limit
	request        int64 // bytes; 0: the usual limit
	plainNulls     bool
	pascalSchema   bool
	noEmptyResults bool

	dark              place // what is out of reach for a while; "": nothing
	darkFrom, darkFor time.Duration

	// Chances of a hunting answer that lies, of a query whose hash() is another one, of a
	// good token refused by ADX, of a sign-in refused by Entra for reasons of its own, of
	// a clock that jumps.
	hunting, hash, token, signIn, jump float64
}

// liesOf draws a schedule's lies. They have a source of their own, so that what
// else a seed means does not depend on them.
func liesOf(seed uint64, hosted bool) lies {
	r := rand.New(rand.NewPCG(seed, 0x11e5))
	one := func(in int) bool { return r.IntN(in) == 0 }
	chance := func(most float64) float64 {
		if one(2) {
			return 0
		}
		return most * (0.2 + 0.8*r.Float64())
	}
	l := lies{
		skippedAsFailed: one(2), refuseTags: one(2), narrow: one(4), loose: one(2),
		plainNulls: one(2), pascalSchema: one(4), noEmptyResults: one(3),
	}
	if one(3) {
		l.capacity = between(r, 1, 4)
	}
	if one(3) {
		l.stale = time.Duration(between(r, 200, 1500)) * time.Millisecond
	}
	if one(3) {
		l.branches = between(r, 8, 60)
	}
	if one(3) {
		l.request = int64(between(r, 16, 64)) << 10
	}
	if one(4) {
		l.dark = []place{toDefender, toKusto, toElsewhere, toState, toStaging, toQueue}[r.IntN(6)]
		l.darkFrom, l.darkFor = time.Duration(r.IntN(1500))*time.Millisecond, time.Duration(between(r, 1000, 4000))*time.Millisecond
	}
	l.hunting, l.token, l.signIn = chance(0.15), chance(0.05), chance(0.3)
	if one(3) {
		l.jump = 0.01 * (0.2 + 0.8*r.Float64())
	}
	if one(3) { // drawn last: what else a seed means does not depend on it
		l.hash = 0.2 * (0.2 + 0.8*r.Float64())
	}
	if hosted {
		l.dark = "" // acts on the transport of a process inside this one
	}
	return l
}

// String names what is drawn.
func (l lies) String() string {
	var b strings.Builder
	for _, s := range []struct {
		name string
		on   bool
	}{
		{"skipped-as-failed", l.skippedAsFailed}, {"refuse-tags", l.refuseTags}, {"narrow", l.narrow}, {"loose", l.loose},
		{"plain-nulls", l.plainNulls}, {"pascal-schema", l.pascalSchema}, {"no-empty-results", l.noEmptyResults},
	} {
		if s.on {
			b.WriteString(s.name + " ")
		}
	}
	if l.dark != "" {
		fmt.Fprintf(&b, "dark=%s/%v+%v ", l.dark, l.darkFrom, l.darkFor)
	}
	fmt.Fprintf(&b, "capacity=%d stale=%v branches=%d request=%d lies=%.2f hash=%.2f token=%.3f signin=%.2f jump=%.4f",
		l.capacity, l.stale, l.branches, l.request, l.hunting, l.hash, l.token, l.signIn, l.jump)
	return b.String()
}

// count notes the kinds that last for a whole schedule.
func (l lies) count(f *faults) {
	for name, on := range map[string]bool{
		"ADX: skipped reported as Failed": l.skippedAsFailed, "ADX: known tag refused": l.refuseTags,
		"ADX: signatures without read": l.narrow, "ADX: few ingestions at a time": l.capacity > 0,
		"ADX: stale reads": l.stale > 0, "hunting: ties in any order": l.loose,
		"hunting: few branches in a union": l.branches > 0, "hunting: small requests": l.request > 0,
		"hunting: plain nulls": l.plainNulls, "hunting: schema in Pascal case": l.pascalSchema, "hunting: no results where there are none": l.noEmptyResults,
	} {
		if on {
			f.count(name)
		}
	}
}

// lie spoils an answer so that it still looks like one.
func (w *world) lie(r *rand.Rand, c hunting.Call, counting bool) (string, hunting.Fault) {
	soon := time.Second
	if !w.plan.hosted {
		soon = time.Duration(between(r, 1, 600)) * time.Second
	}
	if what := r.IntN(12); what < 6 && (!counting || w.mayMiscount(c.Table)) {
		switch what {
		case 0:
			return "200 with empty results", hunting.Fault{Results: hunting.EmptyResults}
		case 1:
			return "200 with null results", hunting.Fault{Results: hunting.NullResults}
		case 2:
			return "200 without results", hunting.Fault{Results: hunting.NoResults}
		default:
			return "a line is missing", hunting.Fault{DropRow: between(r, 1, 5)}
		}
	}
	switch r.IntN(9) {
	case 0, 1:
		return "byte order mark", hunting.Fault{ByteOrderMark: true}
	case 2:
		return "portal: timeout", hunting.Fault{Refuse: hunting.QueryTimeout}
	case 3:
		return "portal: result limit", hunting.Fault{Refuse: hunting.ResultLimit}
	case 4:
		return "portal: resources", hunting.Fault{Refuse: hunting.ResourcesConsumed}
	case 5:
		return "portal: unexpected error", hunting.Fault{Refuse: hunting.UnexpectedError}
	case 6:
		return "portal: a wait is stated", hunting.Fault{Refuse: hunting.WaitStated, Wait: soon}
	case 7:
		return "AF10001", hunting.Fault{Refuse: hunting.MissingPermission}
	default:
		return "too complex", hunting.Fault{Refuse: hunting.TooComplex}
	}
}

// mayMiscount reports whether a count of the table may lie now, and takes note that
// it does: the handler takes a second count for the truth, and believes at once that
// a table which was quiet still is.
func (w *world) mayMiscount(source string) bool {
	if w.oracle.quiet(source) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.miscounted[source] {
		return false
	}
	w.miscounted[source] = true
	return true
}

// counted notes an honest count.
func (w *world) counted(source string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.miscounted, source)
}

// darkNow reports whether a place is out of reach.
func (w *world) darkNow(at place) bool {
	l := w.plan.lies
	if l.dark != at || w.faults.calm() {
		return false
	}
	since := time.Since(w.struck) - l.darkFrom
	if since < 0 || since > l.darkFor {
		return false
	}
	w.faults.count("outage: " + string(at))
	return true
}

// trouble is Entra's own, by the number of its code.
func (w *world) trouble() int {
	r, ok := w.faults.inject("sign-in", w.plan.lies.signIn)
	if !ok {
		return 0
	}
	w.faults.count("sign-in: Entra's own trouble")
	return []int{90033, 50196}[r.IntN(2)]
}

// refusedToken refuses a token that is good.
func (w *world) refusedToken() error {
	if _, ok := w.faults.inject("token", w.plan.lies.token); !ok {
		return nil
	}
	w.faults.count("ADX: good token refused")
	return errRefusedToken
}

// blunder is what becomes of an ingestion that is spoiled in more than one way.
func blunder(r *rand.Rand, some func(of int) func(int) bool) (string, kusto.Verdict) {
	v := kusto.Verdict{Drop: some(between(r, 2, 50))}
	switch r.IntN(3) {
	case 0:
		v.Again = 1
		return "rows dropped and handled again", v
	case 1:
		v.Null = some(between(r, 2, 50))
		return "rows dropped and null Records", v
	default:
		v.Unreported = true
		return "rows dropped and never reported", v
	}
}
