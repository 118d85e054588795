package state_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/secret"
	"github.com/defender2adx/defender2adx/internal/state"
)

var deviceInfo = plan.Key{Source: "DeviceInfo"}

func acquire(t *testing.T, s *state.Store, key plan.Key) *state.TableLease {
	t.Helper()
	h, err := s.Acquire(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Release(context.Background()) })
	return h
}

func saveState(t *testing.T, h *state.TableLease, s plan.TableState) {
	t.Helper()
	if err := h.SaveState(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
}

func saveLedger(t *testing.T, h *state.TableLease, l plan.Ledger) {
	t.Helper()
	if err := h.SaveLedger(t.Context(), &l); err != nil {
		t.Fatal(err)
	}
}

func TestNew_RefusesLeasesAzureRefuses(t *testing.T) {
	for _, length := range []time.Duration{14 * time.Second, 61 * time.Second, 20500 * time.Millisecond, -1} {
		if _, err := state.New(state.Config{Lease: length}); err == nil || !strings.Contains(err.Error(), length.String()) {
			t.Errorf("New with a lease of %v: %v, want an error that names it", length, err)
		}
	}
}

func TestNew_SendsNothing(t *testing.T) {
	a := newAccount(t)
	a.store(nil)
	if n := a.network.requests.Load(); n != 0 {
		t.Errorf("%d requests sent", n)
	}
}

func TestAcquire_FirstTimeFindsNoState(t *testing.T) {
	a := newAccount(t)
	h := acquire(t, a.store(nil), deviceInfo)
	if got := h.State(); got != nil {
		t.Errorf("State() = %+v, want nil", got)
	}
	if left := time.Until(h.Deadline()); left <= 0 || left > 60*time.Second {
		t.Errorf("Deadline() lies %v ahead, want within the lease", left)
	}
	if list, err := a.store(nil).List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("List() = %v, %v; want none: nothing was saved", list, err)
	}
}

func TestAcquire_StateSurvivesRelease(t *testing.T) {
	a := newAccount(t)
	want := plan.TableState{
		Generation: 7, Watermark: time.Date(2026, 11, 21, 10, 0, 0, 123456700, time.UTC), OpenRun: "app20261121100000abcdefgh",
		Width: 1234.5, Nulls: -1, Table: plan.Table{Source: "DeviceInfo", Destination: "DeviceInfo", Load: plan.Full, Active: true},
		Published: []plan.Table{{Generation: 6, RunID: "r"}},
		Outbox:    []plan.Outgoing{{Tag: "t", Audit: &plan.Audit{Status: plan.Success, Duration: time.Second}}},
		Seq:       3,
	}
	h := acquire(t, a.store(nil), deviceInfo)
	saveState(t, h, want)
	saveState(t, h, want)
	if err := h.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	want.Format, want.Source = 1, "DeviceInfo"
	if diff := cmp.Diff(want, *h.State()); diff != "" {
		t.Errorf("the state kept by the holder (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, *acquire(t, a.store(nil), deviceInfo).State()); diff != "" {
		t.Errorf("the state as loaded (-want +got):\n%s", diff)
	}
	read, err := a.store(nil).Read(t.Context(), deviceInfo)
	if diff := cmp.Diff(&want, read); diff != "" || err != nil {
		t.Errorf("Read: %v (-want +got):\n%s", err, diff)
	}
}

func TestAcquire_HeldByAnotherWaitsOneLease(t *testing.T) {
	a := newAccount(t)
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	first := acquire(t, a.store(nil), deviceInfo)
	second := a.store(func(c *state.Config) {
		c.Lease = 20 * time.Second
		c.Clock = func() time.Time { return now }
	})
	_, err := second.Acquire(t.Context(), deviceInfo)
	if until, ok := fault.Until(err); !errors.Is(err, state.ErrHeld) || !ok || !until.Equal(now.Add(20*time.Second)) {
		t.Fatalf("Acquire of a held table: %v until %v", err, until)
	}
	acquire(t, second, plan.Key{Instance: "b", Source: "DeviceInfo"})
	if err := first.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	acquire(t, second, deviceInfo)
}

func TestSaveState_AfterTakeoverIsFenced(t *testing.T) {
	a := newAccount(t)
	old := acquire(t, a.store(nil), deviceInfo)
	saveState(t, old, plan.TableState{Generation: 1})
	a.breakLease("state/default/DeviceInfo.json")
	heir := acquire(t, a.store(nil), deviceInfo)
	saveState(t, heir, plan.TableState{Generation: 2})

	err := old.SaveState(t.Context(), &plan.TableState{Generation: 1, OpenRun: "stale"})
	if !errors.Is(err, state.ErrFenced) || fault.KindOf(err) != fault.Retry {
		t.Errorf("save by the old holder: %v (%v), want ErrFenced of kind retry", err, fault.KindOf(err))
	}
	if cause := context.Cause(old.Context()); !errors.Is(cause, state.ErrFenced) {
		t.Errorf("the old holder's context ends with %v, want ErrFenced", cause)
	}
	if !old.Deadline().IsZero() {
		t.Errorf("the old holder still has a deadline: %v", old.Deadline())
	}
	if err := old.SaveLedger(t.Context(), &plan.Ledger{RunID: "r"}); !errors.Is(err, state.ErrFenced) {
		t.Errorf("ledger saved by the old holder: %v", err)
	}
	saveState(t, heir, plan.TableState{Generation: 3})
}

func TestSaveState_WithoutLeaseIsLost(t *testing.T) {
	a := newAccount(t)
	h := acquire(t, a.store(nil), deviceInfo)
	saveState(t, h, plan.TableState{Generation: 1})
	a.breakLease("state/default/DeviceInfo.json")
	err := h.SaveState(t.Context(), &plan.TableState{Generation: 2})
	if !errors.Is(err, state.ErrLeaseLost) || fault.KindOf(err) != fault.Retry {
		t.Errorf("save after the lease ended: %v (%v)", err, fault.KindOf(err))
	}
	if cause := context.Cause(h.Context()); !errors.Is(cause, state.ErrLeaseLost) {
		t.Errorf("context ends with %v", cause)
	}
	if got := h.State().Generation; got != 1 {
		t.Errorf("State() shows generation %d, which was never saved", got)
	}
}

func TestRelease_EndsContextAndWrites(t *testing.T) {
	a := newAccount(t)
	h := acquire(t, a.store(nil), deviceInfo)
	for range 2 {
		if err := h.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if h.Context().Err() == nil {
		t.Error("the context goes on")
	}
	if err := h.SaveState(t.Context(), &plan.TableState{}); !errors.Is(err, state.ErrLeaseLost) || fault.KindOf(err) != fault.Retry {
		t.Errorf("save after release: %v", err)
	}
}

func TestAcquire_UnreadableStateSaysWhatToDo(t *testing.T) {
	a := newAccount(t)
	acquire(t, a.store(nil), deviceInfo) // makes the container
	put := func(source, body string) {
		_, err := a.raw().NewBlockBlobClient("state/default/"+source+".json").Upload(t.Context(), streaming.NopCloser(bytes.NewReader([]byte(body))), nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct{ name, source, body, want string }{
		{"no format", "None", `{}`, "delete the blob"},
		{"no JSON", "Torn", `{"Format":1,`, "delete the blob"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			put(tt.source, tt.body)
			for range 2 { // the lease must not be left behind
				_, err := a.store(nil).Acquire(t.Context(), plan.Key{Source: tt.source})
				if err == nil || fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("Acquire: %v (%v), want a permanent error with %q", err, fault.KindOf(err), tt.want)
				}
			}
		})
	}
}

func TestList_TellsEveryTableByMetadata(t *testing.T) {
	a := newAccount(t)
	s := a.store(nil)
	mark := time.Date(2026, 11, 21, 10, 0, 0, 100, time.UTC)
	keys := []plan.Key{
		{Source: "DeviceInfo"}, {Instance: "default", Source: "DeviceInfo"},
		{Source: "api/machines"}, {Instance: "Contoso – Süd/1.", Source: "DeviceInfo"}, {Instance: "..", Source: ".."},
	}
	var want []state.Summary
	for i, key := range keys {
		h := acquire(t, s, key)
		saveState(t, h, plan.TableState{OpenRun: "old", Watermark: mark})
		sum := state.Summary{Key: key}
		if i%2 == 0 {
			sum.OpenRun, sum.Watermark, sum.NotBefore, sum.TableLease = "run", mark, mark.Add(time.Hour), true
		}
		saveState(t, h, plan.TableState{OpenRun: sum.OpenRun, Watermark: sum.Watermark, NotBefore: sum.NotBefore})
		if !sum.TableLease {
			if err := h.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		want = append(want, sum)
	}
	before := a.network.requests.Load()
	got, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	diff := cmp.Diff(want, got, cmpopts.IgnoreFields(state.Summary{}, "Modified"),
		cmpopts.SortSlices(func(a, b state.Summary) bool { return a.Key.String() < b.Key.String() }))
	if diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
	for _, sum := range got {
		if sum.Modified.IsZero() {
			t.Errorf("%v: no time of the last save", sum.Key)
		}
	}
	if n := a.network.requests.Load() - before; n != 1 {
		t.Errorf("List took %d requests", n)
	}
}

func TestReads_OfNothing(t *testing.T) {
	a := newAccount(t)
	s := a.store(nil)
	if got, err := s.Read(t.Context(), deviceInfo); got != nil || err != nil {
		t.Errorf("Read = %v, %v", got, err)
	}
	if got, err := s.ReadLedger(t.Context(), "r"); got != nil || err != nil {
		t.Errorf("ReadLedger = %v, %v", got, err)
	}
	if got, err := s.List(t.Context()); len(got) != 0 || err != nil {
		t.Errorf("List = %v, %v", got, err)
	}
	if n, err := s.Sweep(t.Context(), time.Now()); n != 0 || err != nil {
		t.Errorf("Sweep = %v, %v", n, err)
	}
}

func TestErrors_ShowNoRequest(t *testing.T) {
	a := newAccount(t)
	const sas = "sv=2024-08-04&ss=b&srt=sco&sp=rwdlac&se=2020-01-01T00:00:00Z&sig=c2VjcmV0c2VjcmV0"
	signed := a.store(func(c *state.Config) {
		c.Storage.ConnectionString = secret.New("BlobEndpoint=" + emulator.URL("blob") + ";SharedAccessSignature=" + sas)
	})
	_, err := signed.Acquire(t.Context(), deviceInfo)
	if fault.KindOf(err) != fault.Permanent || !strings.Contains(err.Error(), "AzureWebJobsStorage") {
		t.Errorf("refused signature: %v (%v), want a permanent error with the remedy", err, fault.KindOf(err))
	}
	checkQuiet(t, err)

	unreachable := a.store(func(c *state.Config) {
		c.Storage.ConnectionString = secret.New("BlobEndpoint=http://127.0.0.1:1/x;SharedAccessSignature=" + sas)
	})
	_, err = unreachable.Acquire(t.Context(), deviceInfo)
	if fault.KindOf(err) != fault.Retry {
		t.Errorf("unreachable: %v (%v)", err, fault.KindOf(err))
	}
	checkQuiet(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = a.store(nil).Acquire(ctx, deviceInfo)
	if !errors.Is(err, context.Canceled) || fault.KindOf(err) != fault.Retry {
		t.Errorf("cancelled: %v (%v)", err, fault.KindOf(err))
	}

	_, err = state.New(state.Config{})
	if err == nil {
		t.Error("New without storage succeeds")
	}
}

func checkQuiet(t *testing.T, err error) {
	t.Helper()
	for _, word := range []string{"sig=", "c2VjcmV0", "http://", http.MethodPut} {
		if strings.Contains(err.Error(), word) {
			t.Errorf("error %q contains %q", err, word)
		}
	}
}
