// Package tables is the HTTP function over the configured tables: the list with
// their state, one table, and the order to migrate one now.
package tables

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/host"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// Configuration reads what is to be migrated.
type Configuration interface {
	// Latest returns the newest configuration row of every source and instance.
	Latest(ctx context.Context) ([]plan.Candidate, error)
}

// States reads what is known of tables and runs, without their leases.
type States interface {
	// Read returns the table's state, nil when it has none.
	Read(ctx context.Context, key plan.Key) (*plan.TableState, error)
	// ReadLedger returns a run's ledger, nil when there is none.
	ReadLedger(ctx context.Context, runID string) (*plan.Ledger, error)
}

// Instances knows the instances by name.
type Instances interface {
	// Resolve returns the key of the instance that a person names; the error lists
	// the names.
	Resolve(name string) (key string, err error)
}

// Function serves /api/tables. Every route takes ?instance=NAME.
type Function struct {
	Configuration Configuration
	Instances     Instances
	States        States
	Waker         pipeline.Waker
	Ticks         plan.Ticker
	LookBack      plan.LookBack
	Now           func() time.Time
}

// Routes returns the function's routes, to be mounted at /api/tables. Callers:
// people and scripts with a function key. GET changes nothing; a repeated POST
// sends a second wake-up, which finds the table in work or nothing to do.
func (f *Function) Routes() http.Handler {
	r := chi.NewRouter()
	r.Get("/", f.list)
	r.Get("/{table}", f.one)
	r.Post("/{table}/{verb}", func(w http.ResponseWriter, r *http.Request) {
		if !strings.EqualFold(chi.URLParam(r, "verb"), "migrate") { // the host ignores case
			unknown(w, r)
			return
		}
		f.migrate(w, r)
	})
	r.NotFound(unknown)
	r.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) {
		problem(w, http.StatusMethodNotAllowed, "want GET /api/tables, GET /api/tables/{table} or POST /api/tables/{table}/migrate")
	})
	return r
}

func unknown(w http.ResponseWriter, _ *http.Request) {
	problem(w, http.StatusNotFound, "no such address; see GET /api/tables and POST /api/tables/{table}/migrate")
}

// Table is a table as it is shown. Instants are UTC; absent ones are left out.
type Table struct {
	Instance        string     `json:"instance,omitempty"`
	Source          string     `json:"source"`
	Destination     string     `json:"destination"`
	WatermarkColumn string     `json:"watermarkColumn"`
	LoadType        string     `json:"loadType"`
	Active          bool       `json:"active"`
	Problem         string     `json:"problem,omitempty"` // why the row cannot be migrated
	Watermark       *time.Time `json:"watermark,omitempty"`
	NotBefore       *time.Time `json:"notBefore,omitempty"`
	LastRunStarted  *time.Time `json:"lastRunStarted,omitempty"`
	LastRunEnded    *time.Time `json:"lastRunEnded,omitempty"`
	LastRunRows     *int64     `json:"lastRunRows,omitempty"` // beside lastRunEnded
	Frequency       string     `json:"frequency,omitempty"`
	Retention       string     `json:"retention,omitempty"`
	Warning         string     `json:"warning,omitempty"` // what is odd about the row, though it is obeyed
	NextDue         *time.Time `json:"nextDue,omitempty"` // the tick of the next run; none for a table that is off
	Last            *Ending    `json:"last,omitempty"`
	Pending         *Command   `json:"pendingCommand,omitempty"`
	OpenRun         *Run       `json:"openRun,omitempty"`
}

// Ending is how the last attempt ended, a run or one that failed on its way.
type Ending struct {
	Status string    `json:"status"`
	At     time.Time `json:"at"`
	Error  string    `json:"error,omitempty"`
}

// Command is a row of the configuration that no run has taken up yet.
type Command struct {
	Arrived *time.Time `json:"arrived,omitempty"`
	Changes []string   `json:"changes,omitempty"`
}

// Run is the open run of a table; the list has its id and its beginning alone.
type Run struct {
	RunID    string     `json:"runId"`
	Started  *time.Time `json:"started,omitempty"`
	From     *time.Time `json:"windowFrom,omitempty"`
	To       *time.Time `json:"windowTo,omitempty"`
	Slices   int        `json:"slices"`
	Verified int        `json:"slicesVerified"`
	InFlight int        `json:"slicesCommitting"`
	Rows     int64      `json:"rowsVerified"`
	Calls    int        `json:"calls"`
	Attempts int        `json:"attempts"`
}

func (f *Function) list(w http.ResponseWriter, r *http.Request) {
	rows, ok := f.rows(w, r)
	if !ok {
		return
	}
	out := make([]Table, 0, len(rows))
	for _, row := range rows {
		t, err := f.Show(r.Context(), row, false)
		if err != nil {
			unavailable(w, r, err)
			return
		}
		out = append(out, t)
	}
	answer(w, http.StatusOK, map[string]any{"tables": out})
}

func (f *Function) one(w http.ResponseWriter, r *http.Request) {
	row, ok := f.find(w, r)
	if !ok {
		return
	}
	t, err := f.Show(r.Context(), row, true)
	if err != nil {
		unavailable(w, r, err)
		return
	}
	answer(w, http.StatusOK, t)
}

func (f *Function) migrate(w http.ResponseWriter, r *http.Request) {
	row, ok := f.find(w, r)
	if !ok {
		return
	}
	if _, err := row.Table(); err != nil {
		problem(w, http.StatusUnprocessableEntity, "MigrationConfiguration: "+err.Error())
		return
	}
	trigger := plan.Manual
	switch force := r.URL.Query().Get("force"); {
	case force == "true" && !row.IsActive:
		trigger = plan.Forced
	case !row.IsActive:
		problem(w, http.StatusConflict, row.SourceTable+" is switched off (IsActive=false); add ?force=true to migrate it all the same")
		return
	}
	if err := f.Waker.Wake(r.Context(), plan.WakeUp{Key: row.Key(), Trigger: trigger}, 0); err != nil {
		unavailable(w, r, err)
		return
	}
	status := "/api/tables/" + row.Key().Short().Source
	body := map[string]string{"table": row.SourceTable}
	if row.Instance != "" {
		status += "?" + url.Values{instanceParameter: {row.Instance}}.Encode()
		body["instance"] = row.Instance
	}
	body["status"] = status
	w.Header().Set("Location", status)
	answer(w, http.StatusAccepted, body)
}

const instanceParameter = "instance"

// rows are the configured tables; those of one instance where the request names it.
func (f *Function) rows(w http.ResponseWriter, r *http.Request) ([]plan.Candidate, bool) {
	key, named := "", r.URL.Query().Has(instanceParameter)
	if named {
		var err error
		if key, err = f.Instances.Resolve(r.URL.Query().Get(instanceParameter)); err != nil {
			problem(w, http.StatusNotFound, err.Error())
			return nil, false
		}
	}
	rows, err := f.Configuration.Latest(r.Context())
	if err != nil {
		unavailable(w, r, fmt.Errorf("read configuration: %w", err))
		return nil, false
	}
	if named {
		rows = slices.DeleteFunc(rows, func(row plan.Candidate) bool { return row.Instance != key })
	}
	return rows, true
}

// find looks a table up by its source name, or by its destination. Where several
// instances have one of that name the request must say which.
func (f *Function) find(w http.ResponseWriter, r *http.Request) (plan.Candidate, bool) {
	name := chi.URLParam(r, "table")
	if plain, err := url.PathUnescape(name); err == nil {
		name = plain // a full name's slash is written %2F
	}
	rows, ok := f.rows(w, r)
	if !ok {
		return plan.Candidate{}, false
	}
	found := Named(rows, name)
	switch len(found) {
	case 0:
		problem(w, http.StatusNotFound, fmt.Sprintf("no table %q in MigrationConfiguration; GET /api/tables lists them", name))
		return plan.Candidate{}, false
	case 1:
		return found[0], true
	default:
		problem(w, http.StatusConflict, fmt.Sprintf("table %q is copied for the instances %s: add ?instance= with one of them", name, InstancesOf(found)))
		return plan.Candidate{}, false
	}
}

// Named returns the rows that a person means by a table's name, one of each instance:
// by the source's name, of today or of old, or its short name, where none has that by the
// destination's; in any letter case.
func Named(rows []plan.Candidate, name string) []plan.Candidate {
	source := plan.TodaysName(name)
	for _, is := range []func(plan.Candidate) bool{
		func(row plan.Candidate) bool { return strings.EqualFold(row.SourceTable, source) },
		func(row plan.Candidate) bool { return strings.EqualFold(row.Key().Short().Source, source) },
		func(row plan.Candidate) bool { return strings.EqualFold(row.DestinationTable, name) },
	} {
		var found []plan.Candidate
		for _, row := range rows {
			known := slices.ContainsFunc(found, func(f plan.Candidate) bool { return f.Instance == row.Instance })
			if is(row) && !known {
				found = append(found, row)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// InstancesOf lists the rows' instances for people.
func InstancesOf(rows []plan.Candidate) string {
	names := make([]string, len(rows))
	for i, row := range rows {
		names[i] = plan.ShownInstance(row.Instance)
	}
	return strings.Join(names, ", ")
}

// Show reads what is known of a configured table; withRun tells of its open run what
// the run's ledger says.
func (f *Function) Show(ctx context.Context, row plan.Candidate, withRun bool) (Table, error) {
	out := Table{
		Instance: row.Instance, Source: row.SourceTable, Destination: row.DestinationTable,
		WatermarkColumn: row.WatermarkColumn, LoadType: row.LoadType, Active: row.IsActive,
		Watermark: instant(row.LastRefreshedTime),
	}
	out.Frequency, out.Retention = row.Frequency, row.Retention
	table, problem := row.Table()
	if problem != nil {
		out.Problem = problem.Error()
	}
	state, err := f.States.Read(ctx, row.Key())
	if err != nil {
		return out, err
	}
	if now := f.Now(); table.Active {
		out.NextDue = instant(table.NextDue(state, now, f.Ticks))
		out.Warning = table.FrequencyWarning(f.Ticks.Length(now), f.LookBack.Of(table.Instance))
	}
	if state == nil {
		return out, nil
	}
	out.Watermark, out.NotBefore = instant(state.Watermark), instant(state.NotBefore)
	if !state.LastEnded.IsZero() {
		out.LastRunStarted, out.LastRunEnded, out.LastRunRows = instant(state.LastStarted), instant(state.LastEnded), &state.LastRows
	}
	if state.Last.Status != "" {
		out.Last = &Ending{Status: string(state.Last.Status), At: state.Last.At, Error: state.Last.Reason}
	}
	if changes := state.Waiting(table); problem == nil && len(changes) > 0 {
		out.Pending = &Command{Arrived: instant(table.Ingested), Changes: changes}
	}
	if state.OpenRun == "" {
		return out, nil
	}
	out.OpenRun = &Run{RunID: state.OpenRun, Started: instant(plan.RunIDTime(state.OpenRun))}
	if !withRun {
		return out, nil
	}
	ledger, err := f.States.ReadLedger(ctx, state.OpenRun)
	if err != nil || ledger == nil {
		return out, err
	}
	*out.OpenRun = Run{
		RunID: ledger.RunID, Started: instant(ledger.Started), From: instant(ledger.Window.From), To: instant(ledger.Window.To),
		Slices: len(ledger.Slices) - ledger.Count(plan.Retired) - ledger.Count(plan.Void), Verified: ledger.Count(plan.Verified),
		InFlight: ledger.Count(plan.Committing), Rows: ledger.Rows(), Calls: ledger.Calls, Attempts: ledger.Attempts,
	}
	return out, nil
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// unavailable answers for a part of ours that did not: 503 where trying again may
// help, 500 where somebody has to act. The text names the remedy.
func unavailable(w http.ResponseWriter, r *http.Request, err error) {
	host.Logger(r.Context()).Error("tables", "error", err.Error())
	status := http.StatusServiceUnavailable
	if fault.KindOf(err) == fault.Permanent {
		status = http.StatusInternalServerError
	}
	if errors.Is(err, context.Canceled) {
		status = http.StatusServiceUnavailable
	}
	problem(w, status, err.Error())
}

func problem(w http.ResponseWriter, status int, text string) {
	answer(w, status, map[string]string{"error": text})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	// Nobody is left to tell when the connection is gone.
	_ = enc.Encode(body)
}
