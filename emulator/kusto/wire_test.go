package kusto_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/emulator/kusto"
)

// ask sends a query as the viewer with request options, without an SDK.
func (c *cluster) ask(t *testing.T, path, database, csl, options string) (int, string) {
	t.Helper()
	return c.send(t, path, database, csl, `{"Options":`+options+`}`)
}

// frame is any frame of an answer.
type frame struct {
	FrameType, TableKind, ErrorReportingPlacement string
	IsFragmented, HasErrors                       bool
	Rows                                          []json.RawMessage
	OneApiErrors                                  []json.RawMessage
}

func framesOf(t *testing.T, body string) []frame {
	t.Helper()
	var frames []frame
	if err := json.Unmarshal([]byte(body), &frames); err != nil {
		t.Fatalf("%v in %.300s", err, body)
	}
	return frames
}

func kinds(frames []frame) string {
	var b strings.Builder
	for _, f := range frames {
		fmt.Fprintf(&b, "%s ", f.FrameType)
	}
	return strings.TrimSpace(b.String())
}

func TestQueryV2_FragmentsOnlyWhenAsked(t *testing.T) {
	c := start(t, kusto.Options{})
	const csl = "range n from 1 to 50000 step 1 | extend S = strcat('row ', n)"
	tests := []struct {
		name, options, frames string
		fragmented            bool
	}{
		{"by default one table", `{}`, "DataSetHeader DataTable DataTable DataTable DataSetCompletion", false},
		{"switched off", `{"results_v2_fragment_primary_tables":false}`, "DataSetHeader DataTable DataTable DataTable DataSetCompletion", false},
		{"asked for", `{"results_v2_fragment_primary_tables":true}`, "DataSetHeader DataTable TableHeader TableFragment", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, body := c.ask(t, "/v2/rest/query", "db", csl, test.options)
			frames := framesOf(t, body)
			if got := kinds(frames); !strings.HasPrefix(got, test.frames) || frames[0].IsFragmented != test.fragmented {
				t.Errorf("got %.200s fragmented=%v, want %s", got, frames[0].IsFragmented, test.frames)
			}
			rows := 0
			for _, f := range frames {
				if f.FrameType == "TableFragment" || f.TableKind == "PrimaryResult" {
					rows += len(f.Rows)
				}
			}
			if rows != 50_000 {
				t.Errorf("got %d rows, want 50000", rows)
			}
		})
	}
}

func TestQueryV2_PutsAnErrorWhereItWasAskedFor(t *testing.T) {
	c := start(t, kusto.Options{})
	tests := []struct {
		name, options           string
		inRows, atTable, atData int
	}{
		{"one table: among its rows", `{}`, 1, 0, 1},
		{"one table, end of the data set", `{"results_error_reporting_placement":"end_of_dataset"}`, 0, 0, 1},
		{"fragments: among their rows", `{"results_v2_fragment_primary_tables":true}`, 1, 0, 1},
		{"fragments, end of table", `{"results_v2_fragment_primary_tables":true,"results_error_reporting_placement":"end_of_table"}`, 0, 1, 1},
		{"fragments, end of the data set", `{"results_v2_fragment_primary_tables":true,"results_error_reporting_placement":"end_of_dataset"}`, 0, 0, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			options := strings.Replace(test.options, "{", `{"truncationmaxrecords":3,`, 1)
			_, body := c.ask(t, "/v2/rest/query", "db", "range n from 1 to 5 step 1", strings.Replace(options, ",}", "}", 1))
			var inRows, atTable, atData, rows int
			for _, f := range framesOf(t, body) {
				switch {
				case f.FrameType == "TableCompletion":
					atTable += len(f.OneApiErrors)
				case f.FrameType == "DataSetCompletion":
					atData += len(f.OneApiErrors)
				case f.FrameType == "TableFragment" || f.TableKind == "PrimaryResult":
					for _, row := range f.Rows {
						if strings.HasPrefix(string(row), `{"OneApiErrors"`) {
							inRows++
						} else {
							rows++
						}
					}
				}
			}
			if inRows != test.inRows || atTable != test.atTable || atData != test.atData || rows != 3 {
				t.Errorf("got rows=%d errors in rows=%d at table=%d at data set=%d, want 3 %d %d %d", rows, inRows, atTable, atData, test.inRows, test.atTable, test.atData)
			}
		})
	}
}

func TestOptions_AreObeyedOrRefused(t *testing.T) {
	c := start(t, kusto.Options{})
	const five = "range n from 1 to 5 step 1"
	tests := []struct {
		name, csl, options string
		status             int
		contains           string
	}{
		{"a row limit", five, `{"truncationmaxrecords":3}`, 200, "E_QUERY_RESULT_SET_TOO_LARGE"},
		{"a row limit in the text", "set truncationmaxrecords = 3;\n" + five, `{}`, 200, "record count limit 3"},
		{"a row limit that is lifted", "set notruncation;\n" + five, `{"truncationmaxrecords":3}`, 200, "[5]"},
		{"a byte limit", five, `{"truncationmaxsize":6}`, 200, "data size limit 6"},
		{"the first rows", five, `{"query_take_max_records":2}`, 200, "[[1],[2]]"},
		{"the first rows, below a limit they would break", five, `{"query_take_max_records":2,"truncationmaxrecords":3}`, 200, "[[1],[2]]"},
		{"the first rows in the text", "set query_take_max_records=2; " + five, `{}`, 200, "[[1],[2]]"},
		{"another now", "print now()", `{"query_now":"2020-02-03T04:05:06Z"}`, 200, `"2020-02-03T04:05:06.0000000Z"`},
		{"another now in the text", "set query_now=datetime(2020-02-03);print now()", `{}`, 200, `"2020-02-03T00:00:00.0000000Z"`},
		{"a time limit", "range n from 1 to 100000000 step 1 | where n < 0", `{"servertimeout":"00:00:00.05"}`, 200, "Request execution timed out"},
		{"a time limit in the text", "set servertimeout = 50ms; range n from 1 to 100000000 step 1 | where n < 0", `{}`, 200, "Request execution timed out"},
		{"what changes nothing here", five, `{"queryconsistency":"strongconsistency","request_app_name":"x","query_results_cache_max_age":"00:05:00"}`, 200, "[5]"},
		{"no number", five, `{"truncationmaxrecords":"many"}`, 400, "truncationmaxrecords"},
		{"no timespan", five, `{"servertimeout":"soon"}`, 400, "servertimeout"},
		{"no datetime", five, `{"query_now":"yesterday"}`, 400, "query_now"},
		{"beyond the local cluster", five, `{"query_datetimescope_from":"2020-01-01"}`, 400, "query_datetimescope_from"},
		{"beyond the local cluster, in the text", "set query_bin_auto_size=1h; " + five, `{}`, 400, "query_bin_auto_size"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, body := c.ask(t, "/v2/rest/query", "db", test.csl, test.options)
			if status != test.status || !strings.Contains(body, test.contains) {
				t.Errorf("got %d %.1200s, want %d containing %q", status, body, test.status, test.contains)
			}
		})
	}
}

func TestQuery_NeedsNoDatabaseOfItsOwn(t *testing.T) {
	c := start(t, kusto.Options{})
	c.manage(t, ".create table T (A:string)")
	for _, database := range []string{"NetDefaultDB", ""} {
		for _, path := range []string{"/v1/rest/query", "/v2/rest/query"} {
			if status, body := c.ask(t, path, database, "T | count", `{}`); status != http.StatusOK || !strings.Contains(body, "[[0]]") {
				t.Errorf("%s in database %q: got %d %s", path, database, status, body)
			}
		}
	}
}

func TestMetadata_TellsWhereToSignIn(t *testing.T) {
	get := func(c *cluster) (int, string) {
		res, err := c.client.Get(c.url + "/v1/rest/auth/metadata")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	if status, body := get(start(t, kusto.Options{})); status != http.StatusNotFound || body != "" {
		t.Errorf("without an authority: got %d %q, want an empty 404", status, body)
	}
	status, body := get(start(t, kusto.Options{Authority: "https://127.0.0.1:1"}))
	if status != http.StatusOK || !strings.Contains(body, `"LoginEndpoint":"https://127.0.0.1:1"`) || !strings.Contains(body, `"KustoServiceResourceId":"https://kusto.kusto.windows.net"`) {
		t.Errorf("with one: got %d %s", status, body)
	}
}
