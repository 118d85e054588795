package state_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/state"
)

var errCut = errors.New("connection reset by peer")

// isWrite recognises the upload of a document, not a lease request.
func isWrite(req *http.Request) bool {
	return req.Method == http.MethodPut && !req.URL.Query().Has("comp")
}

// cut loses the answers of the next n requests that match.
func cut(n int, match func(*http.Request) bool) func(*http.Request, *http.Response) error {
	return func(req *http.Request, _ *http.Response) error {
		if n > 0 && match(req) {
			n--
			return errCut
		}
		return nil
	}
}

// refuse makes the next n matching requests look like 503, though they were done.
func refuse(n int, match func(*http.Request) bool) func(*http.Request, *http.Response) error {
	return func(req *http.Request, resp *http.Response) error {
		if n > 0 && match(req) {
			n--
			resp.StatusCode, resp.Status = http.StatusServiceUnavailable, "503 Server Busy"
		}
		return nil
	}
}

func TestSave_LostReplyOfADoneWriteIsSuccess(t *testing.T) {
	once := policy.RetryOptions{MaxRetries: -1}
	again := policy.RetryOptions{MaxRetries: 2, RetryDelay: time.Millisecond}
	tests := []struct {
		name  string
		retry policy.RetryOptions
		fault func(*http.Request, *http.Response) error
	}{
		{"connection cut", once, cut(1, isWrite)},
		{"503 after the fact", once, refuse(1, isWrite)},
		{"the SDK's repetition meets 412", again, cut(1, isWrite)},
		{"the SDK repeats after 503 and meets 412", again, refuse(1, isWrite)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := newAccount(t)
			h := acquire(t, a.store(func(c *state.Config) { c.Storage.Client.Retry = tt.retry }), deviceInfo)
			saveState(t, h, plan.TableState{Generation: 1})

			a.network.breakWith(tt.fault)
			saveState(t, h, plan.TableState{Generation: 2})
			a.network.mend()
			saveState(t, h, plan.TableState{Generation: 3}) // with the ETag that was taken over
			if got := h.State().Generation; got != 3 {
				t.Errorf("generation %d, want 3", got)
			}
		})
	}
}

func TestSaveLedger_LostReplyOfADoneWriteIsSuccess(t *testing.T) {
	a := newAccount(t)
	h := acquire(t, a.store(nil), deviceInfo)
	a.network.breakWith(cut(2, isWrite))
	saveLedger(t, h, plan.Ledger{RunID: "r", Calls: 1}) // creates
	saveLedger(t, h, plan.Ledger{RunID: "r", Calls: 2}) // replaces
	saveLedger(t, h, plan.Ledger{RunID: "r", Calls: 3})
	if l, err := h.Ledger(t.Context(), "r"); err != nil || l.Calls != 3 {
		t.Errorf("Ledger = %+v, %v", l, err)
	}
}

func TestSaveState_WriteThatNeverArrivedIsRepeated(t *testing.T) {
	a := newAccount(t)
	h := acquire(t, a.store(nil), deviceInfo)
	saveState(t, h, plan.TableState{Generation: 1})
	n := 2
	a.network.breakBefore(func(req *http.Request) error {
		if n > 0 && isWrite(req) {
			n--
			return errCut
		}
		return nil
	})
	saveState(t, h, plan.TableState{Generation: 2})
	if got, err := a.store(nil).Read(t.Context(), deviceInfo); err != nil || got.Generation != 2 {
		t.Errorf("Read = %+v, %v", got, err)
	}
	if n != 0 {
		t.Error("the network never failed")
	}
}

func TestSaveState_UnsettledOutcomeIsSettledByTheNextSave(t *testing.T) {
	a := newAccount(t)
	h := acquire(t, a.store(nil), deviceInfo)
	saveState(t, h, plan.TableState{Generation: 1})

	a.network.breakWith(cut(100, func(*http.Request) bool { return true }))
	err := h.SaveState(t.Context(), &plan.TableState{Generation: 2})
	if fault.KindOf(err) != fault.Retry || errors.Is(err, state.ErrFenced) {
		t.Errorf("save with everything cut: %v (%v)", err, fault.KindOf(err))
	}
	if h.Context().Err() != nil {
		t.Errorf("the lease is given up: %v", context.Cause(h.Context()))
	}
	a.network.mend()
	saveState(t, h, plan.TableState{Generation: 3})
}

func TestSaveState_CallerGoneDuringTheWriteIsStillSettled(t *testing.T) {
	a := newAccount(t)
	h := acquire(t, a.store(nil), deviceInfo)
	saveState(t, h, plan.TableState{Generation: 1})
	ctx, cancel := context.WithCancel(t.Context())
	a.network.breakWith(func(req *http.Request, _ *http.Response) error {
		if isWrite(req) {
			cancel()
			return context.Canceled
		}
		return nil
	})
	if err := h.SaveState(ctx, &plan.TableState{Generation: 2}); err != nil {
		t.Errorf("save whose caller left: %v", err)
	}
	a.network.mend()
	saveState(t, h, plan.TableState{Generation: 3})
}

func TestSaveState_LostReplyAfterTakeoverIsNoSuccess(t *testing.T) {
	a := newAccount(t)
	old := acquire(t, a.store(nil), deviceInfo)
	saveState(t, old, plan.TableState{Generation: 1})
	a.breakLease("state/default/DeviceInfo.json")
	heir := acquire(t, a.store(nil), deviceInfo)
	saveState(t, heir, plan.TableState{Generation: 2})
	a.network.breakWith(cut(1, isWrite))
	err := old.SaveState(t.Context(), &plan.TableState{Generation: 1})
	if !errors.Is(err, state.ErrFenced) || !strings.HasPrefix(err.Error(), "save state DeviceInfo: ") {
		t.Errorf("save with lost reply after takeover: %v", err)
	}
}
