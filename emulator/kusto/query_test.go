package kusto_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-kusto-go/azkustodata"
	azkql "github.com/Azure/azure-kusto-go/azkustodata/kql"
	"github.com/Azure/azure-kusto-go/azkustodata/query"
	v2 "github.com/Azure/azure-kusto-go/azkustodata/query/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/defender2adx/defender2adx/emulator/kusto"
)

func TestQuery_GivesEveryColumnTypeToTheOfficialClient(t *testing.T) {
	c := start(t, kusto.Options{})
	c.manage(t,
		".create table Types (B:bool, I:int, L:long, R:real, S:string, D:datetime, T:timespan, G:guid, J:dynamic)",
		`.set-or-append Types <| print true, int(-3), 9007199254740993, 2.5, "a\"b\n😀", datetime(2026-11-01T02:03:04.1234567Z), 1d+2h, `+
			`guid(74be27de-1e4e-49d9-b579-fe0b331d3642), dynamic({"b":1,"a":[null,2.0]})`,
		`.set-or-append Types <| print bool(null), int(null), long(null), real(null), '', datetime(null), timespan(null), guid(null), dynamic(null)`)

	type row struct {
		B *bool
		I *int32
		L *int64
		R *float64
		S string
		D *time.Time
		T *time.Duration
		G *uuid.UUID
		J map[string]any
	}
	table, err := c.query(t, "viewer", "Types")
	if err != nil {
		t.Fatal(err)
	}
	got, err := query.ToStructs[row](table)
	if err != nil {
		t.Fatal(err)
	}
	b, i, l, r, span := true, int32(-3), int64(9007199254740993), 2.5, 26*time.Hour
	at, id := time.Date(2026, 11, 1, 2, 3, 4, 123456700, time.UTC), uuid.MustParse("74be27de-1e4e-49d9-b579-fe0b331d3642")
	want := []row{
		{&b, &i, &l, &r, "a\"b\n😀", &at, &span, &id, map[string]any{"b": 1.0, "a": []any{nil, 2.0}}},
		{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestQuery_BindsParameters(t *testing.T) {
	c := start(t, kusto.Options{})
	parameters := azkql.NewParameters().AddString("name", `it's "x"`).AddLong("n", 5)
	got, err := c.query(t, "viewer", "print a = name, b = n + 1", azkustodata.QueryParameters(parameters))
	if err != nil {
		t.Fatal(err)
	}
	if want := "it's \"x\"|6\n"; text(got) != want {
		t.Errorf("got %q, want %q", text(got), want)
	}
}

func TestQuery_StreamsLargeResults(t *testing.T) {
	c := start(t, kusto.Options{})
	table, err := c.query(t, "viewer", "range n from 1 to 100000 step 1")
	if err != nil {
		t.Fatal(err)
	}
	if got := len(table.Rows()); got != 100_000 {
		t.Errorf("got %d rows, want 100000", got)
	}
}

func TestQuery_RefusesAsTheServiceDoes(t *testing.T) {
	c := start(t, kusto.Options{})
	c.manage(t, ".create table T (A:string)")
	tests := []struct {
		name, database, query string
		status                int
		code                  string
		contains              string
	}{
		{"unknown table", "db", "Nowhere | count", 400, "General_BadRequest", "cannot be processed: Semantic error: SEM0100"},
		{"unknown column", "db", "T | where Nope == 1", 400, "General_BadRequest", "named 'Nope'"},
		{"unreadable text", "db", "T | where (", 400, "General_BadRequest", "cannot be processed: Syntax error"},
		{"beyond the local cluster", "db", "T | make-graph A --> A with T on A", 400, "BadRequest_NotSupported", "make-graph"},
		{"unknown database", "elsewhere", "T", 400, "BadRequest_EntityNotFound", "elsewhere"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := c.as(t, "viewer").Query(t.Context(), test.database, statement(test.query))
			status, code, permanent, text := refused(t, err)
			if status != test.status || !permanent || code != test.code || !strings.Contains(text, test.contains) {
				t.Errorf("got %d %s permanent=%v %q, want %d %s containing %q", status, code, permanent, text, test.status, test.code, test.contains)
			}
		})
	}
}

func TestQuery_RefusesOversizedResults(t *testing.T) {
	c := start(t, kusto.Options{})
	const many = "range n from 1 to 500001 step 1 | project a = 1"
	_, err := c.query(t, "viewer", many)
	var oneAPI *v2.OneApiError
	if !errors.As(err, &oneAPI) || !strings.Contains(oneAPI.ErrorMessage.Description, "E_QUERY_RESULT_SET_TOO_LARGE") {
		t.Errorf("got %v, want E_QUERY_RESULT_SET_TOO_LARGE", err)
	}
	if status, got := c.ask(t, "/v2/rest/query", "db", "set notruncation;\n"+many, `{"results_v2_fragment_primary_tables":true}`); status != http.StatusOK || !strings.Contains(got, `"RowCount":500001}`) {
		t.Errorf("with notruncation: got %d and %d bytes, want 500001 rows", status, len(got))
	}
}

func TestQuery_NeedsAToken(t *testing.T) {
	c := start(t, kusto.Options{})
	for _, header := range []string{"", "Bearer nonsense", "Basic dTpw"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+"/v2/rest/query", strings.NewReader(`{"db":"db","csl":"print 1"}`))
		if err != nil {
			t.Fatal(err)
		}
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		res, err := c.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized || res.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("Authorization %q: got %d %q, want 401 with a challenge", header, res.StatusCode, res.Header.Get("WWW-Authenticate"))
		}
	}
}

func TestQuery_ThrottlesAndFailsOnRequest(t *testing.T) {
	c := start(t, kusto.Options{})
	for _, want := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		c.SetFaults(kusto.Faults{Query: func(string, string) error { return kusto.Throttled(want) }})
		_, err := c.query(t, "viewer", "print 1")
		if status, _, permanent, _ := refused(t, err); status != want || permanent {
			t.Errorf("got %d permanent=%v, want %d and not permanent", status, permanent, want)
		}
	}
	c.SetFaults(kusto.Faults{Query: func(string, string) error {
		return &kusto.Error{Code: "Internal", Message: "m", Text: "lost a node", Late: true}
	}})
	_, err := c.query(t, "viewer", "print 1")
	var oneAPI *v2.OneApiError
	if !errors.As(err, &oneAPI) || oneAPI.ErrorMessage.IsPermanent || oneAPI.ErrorMessage.Description != "lost a node" {
		t.Errorf("got %v, want a late OneApiError that is not permanent", err)
	}
	c.SetFaults(kusto.Faults{Command: func(string, string) error { return kusto.Throttled(429) }})
	if _, err := c.mgmt(t, "viewer", ".show tables"); err == nil {
		t.Error("command passed, want 429")
	}
}

func TestStreamingIngestion_IsRefusedByName(t *testing.T) {
	c := start(t, kusto.Options{})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+"/v1/rest/ingest/db/T?streamFormat=Json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer token-of-app")
	res, err := c.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("got %d, want 400", res.StatusCode)
	}
}

func TestQueryV1_AnswersInOneTable(t *testing.T) {
	c := start(t, kusto.Options{})
	status, got := c.post(t, "/v1/rest/query", "declare query_parameters(n:long); print a = n, b = dynamic([1])")
	want := `{"Tables":[{"TableName":"Table_0","Columns":[{"ColumnName":"a","DataType":"Int64","ColumnType":"long"},` +
		`{"ColumnName":"b","DataType":"Object","ColumnType":"dynamic"}],"Rows":[[2,[1]]]}]}`
	if status != http.StatusOK || got != want {
		t.Errorf("got %d %s, want %s", status, got, want)
	}
	if status, got := c.post(t, "/v1/rest/query", ".show version"); status != http.StatusOK || !strings.Contains(got, "ServiceType") {
		t.Errorf("command on the query endpoint: got %d %s", status, got)
	}
	c.SetFaults(kusto.Faults{Command: func(string, string) error { return &kusto.Error{Code: "X", Text: "broke", Late: true} }})
	if status, got := c.post(t, "/v1/rest/mgmt", ".show version"); status != http.StatusOK || got != `{"Tables":[],"Exceptions":["X: broke"]}` {
		t.Errorf("late fault: got %d %s", status, got)
	}
}

func TestQuery_RefusesResultsOfTooManyBytes(t *testing.T) {
	c := start(t, kusto.Options{})
	c.manage(t, ".create table T (S:string)", ".ingest inline into table T <|\n"+strings.Repeat("x", 1<<20))
	const large = "range n from 1 to 70 step 1 | extend k = 1 | join kind=inner (T | extend k = 1) on k | project S"
	status, got := c.post(t, "/v2/rest/query", large)
	if status != http.StatusOK || !strings.Contains(got, `"OneApiErrors":[{"error":{"code":"LimitsExceeded"`) || !strings.Contains(got, "data size limit") {
		t.Errorf("got %d and %d bytes, want the data size limit", status, len(got))
	}
}
