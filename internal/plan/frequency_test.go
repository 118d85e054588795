package plan_test

import (
	"fmt"
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
		{"cron", "0 0 4 * * *", &ended, 2*time.Hour - 30*time.Minute},
		{"cron, at its very start", "0 0 2 * * *", &ended, 24*time.Hour - 30*time.Minute},
		{"cron, started a little early", "0 10 2 * * *", &ended, 24*time.Hour + 10*time.Minute - 30*time.Minute},
		{"cron of Sundays", "0 0 2 * * 0", &ended, 3*24*time.Hour - 30*time.Minute},
		{"shorter than a tick", "5m", &ended, -1},
		{"as long as a tick", "1h", &ended, -1},
		{"cron, only the end is known", "0 0 4 * * *", with(func(s *plan.TableState) { s.LastStarted, s.LastEnded = time.Time{}, started.Add(2*time.Hour) }), 26*time.Hour - 30*time.Minute},
		{"no state", "1d", nil, -1},
		{"no run yet", "1d", &plan.TableState{}, -1},
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

// Tables of one Frequency that began at one tick are spread over the period, each at
// times that stay: a day apart, however late the runs start, and the first time within
// a period after the first run, or rows that Defender holds no longer are lost.
func TestTable_DueFrom_SpreadsTablesOverThePeriod(t *testing.T) {
	began := time.Date(2026, 11, 26, 2, 4, 0, 0, time.UTC)
	for _, tt := range []struct {
		frequency string
		every     time.Duration
		most      int // tables due within one tick of all
	}{{"1d", 24 * time.Hour, 8}, {"PT6H", 6 * time.Hour, 18}, {"12:00:00", 12 * time.Hour, 12}, {"90m", 90 * time.Minute, 50}, {"28d", 28 * 24 * time.Hour, 4}} {
		at := map[time.Time]int{}
		own := map[time.Time]bool{}
		for n := range 60 {
			table := plan.Table{Source: fmt.Sprint("Table", n), Frequency: tt.frequency}
			state := plan.TableState{LastEnded: began} // the start is not known
			due := table.DueFrom(&state, began, time.Hour)
			if wait := due.Sub(began); wait <= 0 || wait > tt.every {
				t.Errorf("%s of %s: due %v after the first run", tt.frequency, table.Source, wait)
			}
			for range 3 {
				state.LastStarted = due.Add(time.Duration(n%7) * tt.every / 20)
				next := table.DueFrom(&state, state.LastStarted, time.Hour)
				if next.Sub(due) != tt.every {
					t.Errorf("%s of %s: due %v after the last time", tt.frequency, table.Source, next.Sub(due))
				}
				due = next
			}
			at[due.Truncate(time.Hour)]++
			own[due] = true
			other := table
			if other.Instance = "west"; other.DueFrom(&state, began, time.Hour).Equal(due) {
				t.Errorf("%s of %s: two instances have the same time", tt.frequency, table.Source)
			}
		}
		for hour, n := range at {
			if n > tt.most {
				t.Errorf("%s: %d of 60 tables are due at %v", tt.frequency, n, hour)
			}
		}
		if len(own) != 60 {
			t.Errorf("%s: %d times for 60 tables", tt.frequency, len(own))
		}
	}
}

func TestTable_FrequencyWarning(t *testing.T) {
	for frequency, warned := range map[string]bool{"": false, "5m": true, "59m": true, "1h": false, "1d": false, "29d": false, "0 * * * * *": false, "0 0 2 * * 0": false, "nonsense": false} {
		got := plan.Table{Frequency: frequency}.FrequencyWarning(time.Hour, 0)
		if (got != "") != warned || warned && !strings.Contains(got, frequency+" is shorter than the time between two ticks (1h0m0s)") {
			t.Errorf("%q: %q", frequency, got)
		}
	}
	for _, frequency := range []string{"30d", "0 0 2 1 * *", "0 0 2 * 1 *"} {
		if got := (plan.Table{Load: plan.Incr, Frequency: frequency}).FrequencyWarning(time.Hour, 0); !strings.Contains(got, "days pass between two runs, and Defender holds rows for 30 days") {
			t.Errorf("%s: %q", frequency, got)
		}
		if got := (plan.Table{Load: plan.Snapshot, Frequency: frequency}).FrequencyWarning(time.Hour, 0); got != "" {
			t.Errorf("%s of a snapshot: %q", frequency, got)
		}
	}
	for lookBack, most := range map[time.Duration]string{7 * 24 * time.Hour: "6 days", 24 * time.Hour: "23h12m0s", 90 * 24 * time.Hour: "87 days"} {
		for frequency, warned := range map[time.Duration]bool{lookBack: true, lookBack - lookBack/31: true, lookBack - lookBack/29: false} {
			got := plan.Table{Load: plan.Incr, Frequency: frequency.String()}.FrequencyWarning(time.Minute, lookBack)
			if (got != "") != warned || warned && !strings.HasSuffix(got, "choose at most "+most) {
				t.Errorf("%v, rows held for %v: %q", frequency, lookBack, got)
			}
		}
	}
	if got := (plan.Table{Frequency: "5m"}).FrequencyWarning(0, 0); got != "" {
		t.Errorf("a timer of which nothing is known: %q", got)
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
		{"at two each night", plan.Table{Frequency: "0 0 2 * * *"}, started, hourly, time.Date(2026, 11, 27, 2, 0, 0, 0, time.UTC)},
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

func TestTable_RunsPerDay(t *testing.T) {
	hourly := plan.Ticker(func(after time.Time) time.Time { return after.Truncate(time.Hour).Add(time.Hour) })
	now := time.Date(2026, 11, 20, 10, 20, 0, 0, time.UTC)
	for frequency, want := range map[string]float64{"": 24, "6h": 4, "1m": 24, "2d": 0.5, "0 30 2 * * *": 1} {
		if got := (plan.Table{Frequency: frequency}).RunsPerDay(now, hourly); got != want {
			t.Errorf("%q: %v a day, want %v", frequency, got, want)
		}
	}
	if got := (plan.Table{}).RunsPerDay(now, func(time.Time) time.Time { return time.Time{} }); got != 0 {
		t.Errorf("without a schedule: %v", got)
	}
}
