package pipelinetest

import (
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/pipeline"
)

// QuotaWorld is a tenant of which no call was made yet.
type QuotaWorld struct {
	// Open returns the quota of one more process; all have one tenant.
	Open func() pipeline.Quota
	// Limit is how many calls the tenant allows in a minute, at most 200.
	Limit int
	// Now is the processes' clock, and Pass lets time go by.
	Now  func() time.Time
	Pass func(time.Duration)
}

// clockSlack is by how much an instant may be off: the storage tells whole seconds.
const clockSlack = 2 * time.Second

// Quota tests a pipeline.Quota; open makes a tenant of its own for each case.
func Quota(t *testing.T, open func(t *testing.T) QuotaWorld) {
	for _, c := range []struct {
		name string
		test func(*testing.T, QuotaWorld)
	}{
		{"a first call is free at once", func(t *testing.T, w QuotaWorld) {
			before := w.Now()
			must(t, w.Open().Take(t.Context(), "DeviceInfo", false))
			if d := w.Now().Sub(before); d > clockSlack {
				t.Errorf("the first call waited %v", d)
			}
		}},
		{"a call beyond the limit is a wait with its instant", quotaSpent},
		{"the limit is all processes' together", quotaShared},
		{"an urgent call goes before those that wait", quotaUrgent},
		{"whoever was told an instant is not overtaken by one who comes later", quotaTurns},
		{"a pause holds every table and process, urgent ones too", quotaPauses},
		{"a pause is never shortened", quotaPauseStays},
		{"calls go on after a pause", quotaGoesOn},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// spend takes calls of DeviceInfo until it must wait.
func spend(t *testing.T, w QuotaWorld, from ...pipeline.Quota) (at time.Time) {
	t.Helper()
	for begin, calls := w.Now(), 0; ; calls++ {
		err := from[calls%len(from)].Take(t.Context(), "DeviceInfo", false)
		at, wait := fault.Until(err)
		if wait {
			return at
		}
		must(t, err)
		if calls > w.Limit && w.Now().Sub(begin) < time.Minute {
			t.Fatalf("%d calls within %v; the limit is %d a minute", calls+1, w.Now().Sub(begin), w.Limit)
		}
		if w.Now().Sub(begin) >= time.Minute {
			t.Fatalf("%d calls in a minute of taking without a pause, and no wait", calls+1)
		}
	}
}

func quotaSpent(t *testing.T, w QuotaWorld) {
	q := w.Open()
	at := spend(t, w, q)
	now := w.Now()
	if !at.After(now) || at.After(now.Add(2*time.Minute)) {
		t.Errorf("wait until %v at %v; want an instant of the next minutes", at, now)
	}
	w.Pass(at.Sub(now))
	must(t, q.Take(t.Context(), "DeviceInfo", false))
}

func quotaShared(t *testing.T, w QuotaWorld) {
	a, b := w.Open(), w.Open()
	spend(t, w, a)
	if _, wait := fault.Until(b.Take(t.Context(), "DeviceEvents", false)); !wait {
		t.Error("another process has a call although all are spent")
	}
}

// told wants a take to be refused and returns the instant to ask again at.
func told(t *testing.T, q pipeline.Quota, table string, urgent bool) time.Time {
	t.Helper()
	at, wait := fault.Until(q.Take(t.Context(), table, urgent))
	if !wait {
		t.Fatalf("%s has a call although all are spent", table)
	}
	return at
}

func quotaUrgent(t *testing.T, w QuotaWorld) {
	a, b := w.Open(), w.Open()
	spend(t, w, a)
	var last time.Time
	for _, table := range []string{"DeviceEvents", "DeviceLogonEvents", "DeviceFileEvents"} {
		last = told(t, a, table, false)
	}
	at := told(t, b, "DeviceTvmSoftwareInventory", true)
	if !at.Before(last) {
		t.Errorf("an urgent call may come at %v, behind those that waited before it until %v", at, last)
	}
	w.Pass(at.Sub(w.Now()))
	must(t, b.Take(t.Context(), "DeviceTvmSoftwareInventory", true))
}

func quotaTurns(t *testing.T, w QuotaWorld) {
	a, b := w.Open(), w.Open()
	spend(t, w, a)
	first := told(t, a, "DeviceEvents", false)
	second := told(t, b, "DeviceLogonEvents", false)
	if !second.After(first) {
		t.Errorf("one who came later may ask at %v, and the first at %v", second, first)
	}
	// Each asks again when it was told to, the later one before the other.
	for range 10 {
		w.Pass(max(0, first.Sub(w.Now())))
		if !second.After(w.Now()) {
			second = told(t, b, "DeviceLogonEvents", false)
		}
		err := a.Take(t.Context(), "DeviceEvents", false)
		if err == nil {
			return
		}
		var wait bool
		if first, wait = fault.Until(err); !wait {
			t.Fatal(err)
		}
	}
	t.Error("ten times the first was told to ask again")
}

// pausedUntil wants a take to be refused until an instant, as exactly as clocks are.
func pausedUntil(t *testing.T, what string, err error, want time.Time) {
	t.Helper()
	if at, wait := fault.Until(err); !wait || at.Before(want.Add(-clockSlack)) {
		t.Errorf("%s = %v (until %v); want a wait until %v or later", what, err, at, want)
	}
}

func quotaPauses(t *testing.T, w QuotaWorld) {
	a, b := w.Open(), w.Open()
	until := w.Now().Add(10 * time.Minute)
	must(t, a.PauseUntil(t.Context(), until))
	pausedUntil(t, "Take of who paused", a.Take(t.Context(), "DeviceInfo", false), until)
	pausedUntil(t, "Take of another process", b.Take(t.Context(), "DeviceInfo", false), until)
	pausedUntil(t, "an urgent Take of another table", b.Take(t.Context(), "DeviceEvents", true), until)
}

func quotaPauseStays(t *testing.T, w QuotaWorld) {
	a, b := w.Open(), w.Open()
	until := w.Now().Add(10 * time.Minute)
	must(t, a.PauseUntil(t.Context(), until))
	must(t, b.PauseUntil(t.Context(), until.Add(-5*time.Minute)))
	pausedUntil(t, "Take", b.Take(t.Context(), "DeviceInfo", true), until)
	must(t, b.PauseUntil(t.Context(), until.Add(5*time.Minute)))
	pausedUntil(t, "Take after a longer one", a.Take(t.Context(), "DeviceInfo", true), until.Add(5*time.Minute))
}

func quotaGoesOn(t *testing.T, w QuotaWorld) {
	q := w.Open()
	must(t, q.PauseUntil(t.Context(), w.Now().Add(10*time.Minute)))
	at, wait := fault.Until(q.Take(t.Context(), "DeviceInfo", false))
	if !wait {
		t.Fatal("a pause holds nobody")
	}
	w.Pass(at.Sub(w.Now()))
	must(t, q.Take(t.Context(), "DeviceInfo", false))
}
