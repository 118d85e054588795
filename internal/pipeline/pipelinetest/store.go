package pipelinetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// longestLease is the longest that a lease may keep others waiting. Source: Lease Blob.
const longestLease = time.Minute

// StoreWorld is a new, empty storage.
type StoreWorld struct {
	// Open returns the store of one more process.
	Open func() pipeline.Store
	// Expire ends the lease of a table as if it had run out: the holder is not told.
	Expire func(plan.Key)
	// AddMember puts a member that no program knows yet into the table's stored state.
	AddMember func(k plan.Key, name string, value any)
	// AddToLedger does so with the stored ledger of a run.
	AddToLedger func(runID, name string, value any)
	// Now is the processes' clock.
	Now func() time.Time
}

// storeCase has two processes at one storage.
type storeCase struct {
	world StoreWorld
	a, b  pipeline.Store
}

// table is the one that most cases are about.
var table = plan.Key{Instance: "emea", Source: "DeviceInfo"}

// Store tests a pipeline.Store; open makes a storage of its own for each case.
func Store(t *testing.T, open func(t *testing.T) StoreWorld) {
	for _, c := range []struct {
		name string
		test func(*testing.T, storeCase)
	}{
		{"a new table has neither state nor ledger", storeIsEmpty},
		{"a table that another holds is a wait", storeHeldIsAWait},
		{"another table or instance is not held", storeHoldsOneTable},
		{"a saved state is loaded, by its holder and the next", storeKeepsState},
		{"State is a copy", storeStateIsACopy},
		{"unknown members do not keep a state from being read", storeReadsUnknownMembers},
		{"a state of a newer program is a wait, and free for it", storeNewerState},
		{"a ledger of a newer program is a wait", storeNewerLedger},
		{"a write after release is a retry and changes nothing", storeReleasedIsRetry},
		{"a holder that was overtaken is fenced", storeFences},
		{"a holder whose lease ran out is fenced before another wrote", storeFencesEarly},
		{"a ledger is saved again and again by its holder", storeKeepsLedger},
		{"a ledger that was not read is not written over", storeLedgerIsCompared},
		{"a ledger of an overtaken holder is fenced", storeFencesLedger},
		{"OpenLedger finds the table's newest open one", storeFindsOpenLedger},
		{"what a list has shown is kept until it is dropped", storeKeepsVersions},
		{"a deadline lies ahead while the lease is held", storeDeadline},
		{"a released lease is free at once and its context ends", storeReleases},
		{"the storage's clock is told", storeServiceNow},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := open(t)
			c.test(t, storeCase{w, w.Open(), w.Open()})
		})
	}
}

func acquire(t *testing.T, s pipeline.Store, k plan.Key) pipeline.TableLease {
	t.Helper()
	h, err := s.Acquire(t.Context(), k)
	if err != nil {
		t.Fatalf("Acquire %s: %v", k, err)
	}
	t.Cleanup(func() { _ = h.Release(context.WithoutCancel(t.Context())) })
	return h
}

func someState(k plan.Key, generation int64) *plan.TableState {
	s := &plan.TableState{
		Instance: k.Instance, Source: k.Source, Generation: generation, OpenRun: "app00120260304120000abcdefgh",
		Watermark: time.Date(2026, 3, 4, 12, 0, 0, 1234500, time.UTC), Nulls: plan.NullsUnknown, Seq: 3,
		Outbox: []plan.Outgoing{{Tag: "t1", Audit: &plan.Audit{Status: plan.Gap, RecordCount: 5}}},
	}
	s.Format = s.StoredFormat()
	return s
}

func someLedger(k plan.Key, run string) *plan.Ledger {
	l := &plan.Ledger{
		RunID: run, Instance: k.Instance, Next: 1,
		Table:  plan.Table{Instance: k.Instance, Source: k.Source, Destination: "DeviceInfoRaw", Load: plan.Full, Active: true},
		Window: plan.Window{From: time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 3, 5, 0, 0, 0, 100, time.UTC)},
	}
	l.Format = l.StoredFormat()
	l.Add(plan.Slice{No: 1, Part: plan.PartAll, Hi: plan.Buckets, Rows: 500})
	return l
}

func ended(l *plan.Ledger) *plan.Ledger {
	l.Status, l.Ended = string(plan.Success), time.Date(2026, 3, 5, 1, 0, 0, 0, time.UTC)
	return l
}

func wantSame[T any](t *testing.T, what string, got, want *T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", what, diff)
	}
}

func storeIsEmpty(t *testing.T, c storeCase) {
	h := acquire(t, c.a, table)
	if s := h.State(); s != nil {
		t.Errorf("State = %+v, want none", s)
	}
	if l, err := h.Ledger(t.Context(), "app00120260304120000abcdefgh"); l != nil || err != nil {
		t.Errorf("Ledger = %v, %v; want none", l, err)
	}
	if l, err := h.OpenLedger(t.Context()); l != nil || err != nil {
		t.Errorf("OpenLedger = %v, %v; want none", l, err)
	}
}

func storeHeldIsAWait(t *testing.T, c storeCase) {
	acquire(t, c.a, table)
	before := c.world.Now()
	h, err := c.b.Acquire(t.Context(), table)
	at, wait := fault.Until(err)
	if !wait {
		t.Fatalf("Acquire = %v, %v; want an error of kind Wait", h, err)
	}
	if h != nil {
		t.Errorf("Acquire returned a lease beside %v", err)
	}
	if latest := c.world.Now().Add(longestLease); at.Before(before) || at.After(latest) {
		t.Errorf("wait until %v; want between %v and %v", at, before, latest)
	}
}

func storeHoldsOneTable(t *testing.T, c storeCase) {
	acquire(t, c.a, table)
	acquire(t, c.b, plan.Key{Instance: table.Instance, Source: "DeviceEvents"})
	acquire(t, c.b, plan.Key{Source: table.Source})
}

func storeKeepsState(t *testing.T, c storeCase) {
	h := acquire(t, c.a, table)
	for generation := range int64(3) {
		s := someState(table, generation)
		must(t, h.SaveState(t.Context(), s))
		wantSame(t, "the holder's state", h.State(), s)
	}
	must(t, h.Release(t.Context()))
	wantSame(t, "the next one's state", acquire(t, c.b, table).State(), someState(table, 2))
	if s := acquire(t, c.b, plan.Key{Source: table.Source}).State(); s != nil {
		t.Errorf("state of the table in another instance = %+v, want none", s)
	}
}

func storeStateIsACopy(t *testing.T, c storeCase) {
	h := acquire(t, c.a, table)
	s := someState(table, 1)
	must(t, h.SaveState(t.Context(), s))
	s.Generation = 2
	s.Outbox[0].Tag = "changed"
	wantSame(t, "the state after the caller's copy changed", h.State(), someState(table, 1))
}

func storeReadsUnknownMembers(t *testing.T, c storeCase) {
	h := acquire(t, c.a, table)
	must(t, h.SaveState(t.Context(), someState(table, 1)))
	must(t, h.Release(t.Context()))
	c.world.AddMember(table, "SomethingLater", map[string]any{"Deep": []int{1, 2}})
	next := acquire(t, c.b, table)
	wantSame(t, "state", next.State(), someState(table, 1))
	must(t, next.SaveState(t.Context(), someState(table, 2)))
}

// newer is a format that no program of today writes.
const newer = 99

// wantNewer wants what a newer program alone can read to be waited for.
func wantNewer(t *testing.T, what string, err error) {
	t.Helper()
	wantKind(t, what, err, fault.Wait)
	if !errors.Is(err, fault.ErrNewer) {
		t.Errorf("%s = %v; want it marked as newer", what, err)
	}
}

func storeNewerState(t *testing.T, c storeCase) {
	h := acquire(t, c.a, table)
	must(t, h.SaveState(t.Context(), someState(table, 1)))
	must(t, h.Release(t.Context()))
	c.world.AddMember(table, "Format", newer)
	for _, s := range []pipeline.Store{c.a, c.b} { // no lease stays behind, which would be a wait, too
		_, err := s.Acquire(t.Context(), table)
		wantNewer(t, "Acquire", err)
	}
	c.world.AddMember(table, "Format", someState(table, 1).Format)
	wantSame(t, "the state", acquire(t, c.b, table).State(), someState(table, 1))
}

func storeNewerLedger(t *testing.T, c storeCase) {
	const run = "app00120260304120000abcdefgh"
	h := acquire(t, c.a, table)
	must(t, h.SaveLedger(t.Context(), someLedger(table, run)))
	c.world.AddToLedger(run, "Format", newer)
	_, err := h.Ledger(t.Context(), run)
	wantNewer(t, "Ledger", err)
}

func storeReleasedIsRetry(t *testing.T, c storeCase) {
	h := acquire(t, c.a, table)
	must(t, h.SaveState(t.Context(), someState(table, 1)))
	must(t, h.Release(t.Context()))
	wantKind(t, "SaveState", h.SaveState(t.Context(), someState(table, 2)), fault.Retry)
	wantKind(t, "SaveLedger", h.SaveLedger(t.Context(), someLedger(table, "app00120260304120000abcdefgh")), fault.Retry)
	next := acquire(t, c.b, table)
	wantSame(t, "state", next.State(), someState(table, 1))
	if l, err := next.Ledger(t.Context(), "app00120260304120000abcdefgh"); l != nil || err != nil {
		t.Errorf("Ledger = %v, %v; want none", l, err)
	}
}

func storeFences(t *testing.T, c storeCase) {
	old := acquire(t, c.a, table)
	must(t, old.SaveState(t.Context(), someState(table, 1)))
	c.world.Expire(table)
	next := acquire(t, c.b, table)
	must(t, next.SaveState(t.Context(), someState(table, 2)))
	wantKind(t, "SaveState of the overtaken", old.SaveState(t.Context(), someState(table, 7)), fault.Retry)
	if old.Context().Err() == nil {
		t.Error("the context of the overtaken lives on")
	}
	must(t, next.SaveState(t.Context(), someState(table, 3)))
	must(t, next.Release(t.Context()))
	wantSame(t, "state", acquire(t, c.a, table).State(), someState(table, 3))
}

func storeFencesEarly(t *testing.T, c storeCase) {
	old := acquire(t, c.a, table)
	must(t, old.SaveState(t.Context(), someState(table, 1)))
	c.world.Expire(table)
	next := acquire(t, c.b, table)
	wantKind(t, "SaveState of the overtaken", old.SaveState(t.Context(), someState(table, 7)), fault.Retry)
	wantSame(t, "state of the successor", next.State(), someState(table, 1))
	must(t, next.SaveState(t.Context(), someState(table, 2)))
}

func storeKeepsLedger(t *testing.T, c storeCase) {
	const run = "app00120260304120000abcdefgh"
	h := acquire(t, c.a, table)
	l := someLedger(table, run)
	for range 3 {
		l.Calls++
		must(t, h.SaveLedger(t.Context(), l))
	}
	must(t, h.Release(t.Context()))
	next := acquire(t, c.b, table)
	got, err := next.Ledger(t.Context(), run)
	must(t, err)
	wantSame(t, "ledger", got, l)
	got.Calls++
	must(t, next.SaveLedger(t.Context(), got))
	if other, err := next.Ledger(t.Context(), "app00120260304120001abcdefgh"); other != nil || err != nil {
		t.Errorf("Ledger of another run = %v, %v; want none", other, err)
	}
}

func storeLedgerIsCompared(t *testing.T, c storeCase) {
	const run = "app00120260304120000abcdefgh"
	h := acquire(t, c.a, table)
	must(t, h.SaveLedger(t.Context(), someLedger(table, run)))
	must(t, h.Release(t.Context()))
	next := acquire(t, c.b, table)
	other := someLedger(table, run)
	other.Calls = 9
	wantKind(t, "SaveLedger over one not read", next.SaveLedger(t.Context(), other), fault.Retry)
	got, err := next.Ledger(t.Context(), run)
	must(t, err)
	wantSame(t, "ledger", got, someLedger(table, run))
	must(t, next.SaveLedger(t.Context(), other))
}

func storeFencesLedger(t *testing.T, c storeCase) {
	const run = "app00120260304120000abcdefgh"
	old := acquire(t, c.a, table)
	must(t, old.SaveLedger(t.Context(), someLedger(table, run)))
	c.world.Expire(table)
	next := acquire(t, c.b, table)
	l, err := next.Ledger(t.Context(), run)
	must(t, err)
	l.Calls = 1
	must(t, next.SaveLedger(t.Context(), l))
	stale := someLedger(table, run)
	stale.Calls = 9
	wantKind(t, "SaveLedger of the overtaken", old.SaveLedger(t.Context(), stale), fault.Retry)
	l.Calls = 2
	must(t, next.SaveLedger(t.Context(), l))
}

func storeFindsOpenLedger(t *testing.T, c storeCase) {
	const older, open, newer = "app00120260304110000abcdefgh", "app00120260304120000abcdefgh", "app00120260304130000abcdefgh"
	elsewhere := plan.Key{Source: table.Source}
	another := plan.Key{Instance: table.Instance, Source: "DeviceEvents"}
	for _, k := range []plan.Key{elsewhere, another} {
		h := acquire(t, c.a, k)
		must(t, h.SaveLedger(t.Context(), someLedger(k, "app00120260304140000"+map[plan.Key]string{elsewhere: "aaaaaaaa", another: "bbbbbbbb"}[k])))
	}
	h := acquire(t, c.a, table)
	must(t, h.SaveLedger(t.Context(), someLedger(table, older)))
	must(t, h.SaveLedger(t.Context(), someLedger(table, open)))
	must(t, h.SaveLedger(t.Context(), ended(someLedger(table, newer))))
	must(t, h.Release(t.Context()))

	next := acquire(t, c.b, table)
	l, err := next.OpenLedger(t.Context())
	must(t, err)
	wantSame(t, "open ledger", l, someLedger(table, open))
	// It counts as read.
	must(t, next.SaveLedger(t.Context(), ended(l)))
	l, err = next.OpenLedger(t.Context())
	must(t, err)
	wantSame(t, "open ledger after that ended", l, someLedger(table, older))
}

func storeKeepsVersions(t *testing.T, c storeCase) {
	const name = "app00120260304120000abcdefgh-7-abcdefgh"
	h := acquire(t, c.a, table)
	if shown, err := h.Versions(t.Context(), name); shown != nil || err != nil {
		t.Errorf("Versions = %v, %v; want none", shown, err)
	}
	var shown plan.Versions
	shown.Add(plan.Version{1, 2, 3}, time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC))
	must(t, h.SaveVersions(t.Context(), name, &shown))
	must(t, h.Release(t.Context()))
	if err := h.SaveVersions(t.Context(), name+"2", &shown); fault.KindOf(err) != fault.Retry {
		t.Errorf("SaveVersions after release: %v, want a retry", err)
	}
	if err := h.DropVersions(t.Context(), name); fault.KindOf(err) != fault.Retry {
		t.Errorf("DropVersions after release: %v, want a retry", err)
	}
	next := acquire(t, c.b, table)
	got, err := next.Versions(t.Context(), name)
	must(t, err)
	if got == nil || got.Len() != 1 || !got.Has(plan.Version{1, 2, 3}) {
		t.Errorf("the next one's versions are %d, want what was saved", got.Len())
	}
	must(t, next.DropVersions(t.Context(), name))
	must(t, next.DropVersions(t.Context(), name))
	if shown, err := next.Versions(t.Context(), name); shown != nil || err != nil {
		t.Errorf("Versions after the drop = %v, %v; want none", shown, err)
	}
}

func storeDeadline(t *testing.T, c storeCase) {
	h := acquire(t, c.a, table)
	now := c.world.Now()
	if d := h.Deadline(); !d.After(now) || d.After(c.world.Now().Add(longestLease)) {
		t.Errorf("Deadline = %v at %v; want at most %v later", d, now, longestLease)
	}
	must(t, h.Release(t.Context()))
	if d := h.Deadline(); d.After(now) {
		t.Errorf("Deadline after release = %v; want the past", d)
	}
}

func storeReleases(t *testing.T, c storeCase) {
	h := acquire(t, c.a, table)
	if err := h.Context().Err(); err != nil {
		t.Errorf("context of a held lease: %v", err)
	}
	must(t, h.Release(t.Context()))
	if h.Context().Err() == nil {
		t.Error("the context outlives the lease")
	}
	acquire(t, c.b, table)
}

func storeServiceNow(t *testing.T, c storeCase) {
	h := acquire(t, c.a, table)
	if now := h.ServiceNow(); now.IsZero() || now.Sub(c.world.Now()).Abs() > time.Minute {
		t.Errorf("ServiceNow = %v at %v", now, c.world.Now())
	}
}
