package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
)

func TestTable_DueFrom(t *testing.T) {
	started := time.Date(2026, 11, 26, 2, 0, 0, 0, time.UTC)
	now := started.Add(10 * time.Hour)
	ended := plan.TableState{LastStarted: started, LastEnded: started.Add(time.Hour)}
	with := func(change func(*plan.TableState)) *plan.TableState { s := ended; change(&s); return &s }
	tests := []struct {
		name, frequency string
		state           *plan.TableState
		want            time.Duration // after the start; -1: at once
	}{
		{"nothing", "", &ended, -1},
		{"a timespan of Kusto", "1d", &ended, 24*time.Hour - 30*time.Minute},
		{"a duration of ISO 8601", "PT6H", &ended, 6*time.Hour - 30*time.Minute},
		{"a clock's form", "12:00:00", &ended, 12*time.Hour - 30*time.Minute},
		{"cron", "0 0 4 * * *", &ended, 2*time.Hour - 30*time.Minute},
		{"cron, at its very start", "0 0 2 * * *", &ended, 24*time.Hour - 30*time.Minute},
		{"cron, started a little early", "0 10 2 * * *", &ended, 24*time.Hour + 10*time.Minute - 30*time.Minute},
		{"cron of Sundays", "0 0 2 * * 0", &ended, 3*24*time.Hour - 30*time.Minute},
		{"no state", "1d", nil, -1},
		{"no run yet", "1d", &plan.TableState{}, -1},
		{"only the end is known", "1d", with(func(s *plan.TableState) { s.LastStarted = time.Time{} }), 25*time.Hour - 30*time.Minute},
		{"an open run", "1d", with(func(s *plan.TableState) { s.OpenRun = "r" }), -1},
		{"windows left", "1d", with(func(s *plan.TableState) { s.More = true }), -1},
		{"a start ahead of our clock", "1d", with(func(s *plan.TableState) { s.LastStarted = now.Add(time.Hour) }), -1},
	}
	for _, tt := range tests {
		want := started.Add(tt.want)
		if tt.want < 0 {
			want = time.Time{}
		}
		if got := (plan.Table{Frequency: tt.frequency}).DueFrom(tt.state, now, time.Hour); !got.Equal(want) {
			t.Errorf("%s: due from %v, want %v", tt.name, got, want)
		}
	}
}

func TestTable_NextDue(t *testing.T) {
	hourly := plan.Ticker(func(after time.Time) time.Time { return after.Truncate(time.Hour).Add(time.Hour) })
	started := time.Date(2026, 11, 26, 2, 5, 0, 0, time.UTC)
	now := started.Add(25 * time.Minute)
	daily := plan.Table{Frequency: "1d"}
	tests := []struct {
		name  string
		table plan.Table
		start time.Time
		ticks plan.Ticker
		want  time.Time
	}{
		{"every tick", plan.Table{}, started, hourly, time.Date(2026, 11, 26, 3, 0, 0, 0, time.UTC)},
		{"once a day", daily, started, hourly, time.Date(2026, 11, 27, 2, 0, 0, 0, time.UTC)},
		{"at the very tick", daily, started.Add(25 * time.Minute), hourly, time.Date(2026, 11, 27, 2, 0, 0, 0, time.UTC)},
		{"due long ago", daily, started.AddDate(0, 0, -7), hourly, time.Date(2026, 11, 26, 3, 0, 0, 0, time.UTC)},
		{"no timer", daily, started, nil, time.Time{}},
		{"a schedule that says nothing", daily, started, func(time.Time) time.Time { return time.Time{} }, time.Time{}},
	}
	for _, tt := range tests {
		if got := tt.table.NextDue(&plan.TableState{LastStarted: tt.start}, now, tt.ticks); !got.Equal(tt.want) {
			t.Errorf("%s: next due %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestRow_TableRejectsAFrequencyThatIsNone(t *testing.T) {
	for frequency, says := range map[string]string{
		"daily": "six cron fields", "0s": "longer than zero", "-1d": "six cron fields", "0 0 2 * * 7": "weekday", "0 0 2 31 2 *": "never",
		"0 2 * * *": "six cron fields", "": "", " ": "", "1d": "", "P1D": "", "0 0 2 * * *": "", "1.00:00:00": "", "90m": "",
	} {
		_, err := plan.Row{SourceTable: "A", DestinationTable: "ARaw", LoadType: "Full", Frequency: frequency}.Table()
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), "Frequency") || !strings.Contains(err.Error(), says)) {
			t.Errorf("%q: %v, want %q", frequency, err, says)
		}
	}
}
