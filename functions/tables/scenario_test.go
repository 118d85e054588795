package tables_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/functions/tables"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// bench is a configuration of one table and a queue that may fail.
type bench struct {
	err  error
	sent []plan.Key
}

func (*bench) Latest(context.Context) ([]plan.Candidate, error) {
	return []plan.Candidate{{Row: plan.Row{SourceTable: "DeviceInfo", DestinationTable: "DeviceInfoRaw", LoadType: "Full", IsActive: true}}}, nil
}

func (*bench) Read(context.Context, plan.Key) (*plan.TableState, error) { return nil, nil }

func (*bench) ReadLedger(context.Context, string) (*plan.Ledger, error) { return nil, nil }

func (b *bench) Wake(_ context.Context, w plan.WakeUp, _ time.Duration) error {
	if b.err == nil {
		b.sent = append(b.sent, w.Key)
	}
	return b.err
}

// What is answered to a start agrees with what was done: accepted exactly when
// the wake-up stands in the queue.
func TestScenario_P18_AnswerAgreesWithWhatWasDone(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, http.StatusAccepted},
		{fault.As(fault.Retry, errors.New("storage is busy")), http.StatusServiceUnavailable},
		{fault.As(fault.Permanent, errors.New("no right to the queue")), http.StatusInternalServerError},
	} {
		b := &bench{err: tt.err}
		f := tables.Function{Configuration: b, States: b, Waker: b, Ticks: hourly, Now: noon}
		w := httptest.NewRecorder()
		f.Routes().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/DeviceInfo/migrate", nil))
		if w.Code != tt.want || (w.Code == http.StatusAccepted) != (len(b.sent) == 1) {
			t.Errorf("%v: answered %d %s with %d wake-ups sent, want %d", tt.err, w.Code, w.Body, len(b.sent), tt.want)
		}
	}
}

// Looking starts nothing.
func TestScenario_P17_GetStartsNothing(t *testing.T) {
	b := &bench{}
	f := tables.Function{Configuration: b, States: b, Waker: b, Ticks: hourly, Now: noon}
	for _, path := range []string{"/", "/DeviceInfo", "/DeviceInfo/migrate", "/DeviceInfo/terminate"} {
		f.Routes().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
	}
	if len(b.sent) != 0 {
		t.Errorf("a GET sent wake-ups for %v", b.sent)
	}
}
