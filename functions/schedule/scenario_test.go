package schedule_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/functions/schedule"
	"github.com/defender2adx/defender2adx/internal/host"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// bench holds the configuration, the open runs and what a tick did.
type bench struct {
	rows     []plan.Row
	open     []plan.Key
	stuck    string // the table whose wake-up cannot be sent
	woken    []string
	rejected []string
}

func (b *bench) Latest(context.Context) ([]plan.Row, error) { return b.rows, nil }
func (b *bench) Open(context.Context) ([]plan.Key, error)   { return b.open, nil }
func (b *bench) Sweep(context.Context) (int, error)         { return 0, nil }
func (b *bench) Reject(_ context.Context, r plan.Row, _ error) error {
	b.rejected = append(b.rejected, r.SourceTable)
	return nil
}

func (b *bench) Wake(_ context.Context, w plan.WakeUp, _ time.Duration) error {
	if w.Key.Source == b.stuck {
		return errors.New("storage is busy")
	}
	b.woken = append(b.woken, w.Key.Source)
	return nil
}

func (b *bench) serve(t *testing.T) host.Reply {
	f := schedule.Function{Configuration: b, States: b, Waker: b, Auditor: b, Sweep: b.Sweep}
	return f.Serve(t.Context(), host.Invocation{ID: "i", Function: "schedule", Body: []byte(`{"Data":{"tick":{}},"Metadata":{}}`)})
}

func row(source string, active bool) plan.Row {
	return plan.Row{SourceTable: source, DestinationTable: source + "Raw", LoadType: "Full", IsActive: active}
}

// Nobody has to start anything: the host's timer does, by a setting.
func TestScenario_P24_TimerWakesEveryActiveTable(t *testing.T) {
	var function struct {
		Bindings []struct{ Type, Direction, Name, Schedule string }
	}
	text, err := os.ReadFile("function.json")
	if err == nil {
		err = json.Unmarshal(text, &function)
	}
	if err != nil {
		t.Fatal(err)
	}
	b := function.Bindings
	if len(b) != 1 || b[0].Type != "timerTrigger" || b[0].Name != schedule.Binding || b[0].Schedule != "%MIGRATION_SCHEDULE%" {
		t.Errorf("bindings %+v", b)
	}
	w := &bench{rows: []plan.Row{row("DeviceInfo", true), row("DeviceEvents", false), row("DeviceLogonEvents", true)}}
	if reply := w.serve(t); reply.Redeliver {
		t.Error("the tick failed")
	}
	if diff := cmp.Diff([]string{"DeviceInfo", "DeviceLogonEvents"}, w.woken); diff != "" {
		t.Errorf("woken (-want +got):\n%s", diff)
	}
}

// One malformed row, or one table whose wake-up cannot be sent, keeps no other
// table from its turn.
func TestScenario_O24_OneMalformedRow(t *testing.T) {
	bad := row("DeviceEvents", true)
	bad.LastRefreshedTimeInString = "2026-13-45"
	w := &bench{rows: []plan.Row{bad, row("DeviceInfo", true), row("DeviceLogonEvents", true), row("DeviceProcessEvents", true)}, stuck: "DeviceInfo"}
	if reply := w.serve(t); !reply.Redeliver {
		t.Error("a wake-up that could not be sent is no failure")
	}
	if diff := cmp.Diff([]string{"DeviceLogonEvents", "DeviceProcessEvents"}, w.woken); diff != "" {
		t.Errorf("woken (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"DeviceEvents"}, w.rejected); diff != "" {
		t.Errorf("rejected with an audit row (-want +got):\n%s", diff)
	}
}
