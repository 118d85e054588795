package defender_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// A 404 ends a list only where the API says so with it: what it shows otherwise is an
// address without a list, and taken for an end it would move a watermark over rows.
func TestScenario_Y4_NotFoundIsNothing(t *testing.T) {
	const none, over = `{"error":{"code":"ResourceNotFound","message":"none"}}`, `{"error":{"code":"NotFound","message":"This API has been retired."}}`
	linked := func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"value":[%s],"@odata.nextLink":"http://%s/api/machines?$skiptoken=x"}`, machine("a", 1), r.Host)
	}
	shown := &plan.Versions{}
	shown.Add(plan.Version{1}, now)
	for _, tt := range []struct {
		name, source string
		known        *plan.Versions
		script       []http.HandlerFunc
		want         fault.Kind // 0: the end of the list
		says         string
	}{
		{"where it is documented", "api/machines", shown, []http.HandlerFunc{status(404, none)}, 0, ""},
		{"after a read that had rows", "api/machines", nil, []http.HandlerFunc{listOf(machine("a", 1)), status(404, none)}, 0, ""},
		{"a link that has run out", "api/machines", nil, []http.HandlerFunc{linked, status(404, none)}, fault.Unavailable, "no longer knows the page"},
		{"a link of the second read", "api/machines", nil, []http.HandlerFunc{listOf(machine("a", 1)), linked, status(404, "")}, fault.Unavailable, "no longer knows the page"},
		{"an API that is over", "api/machines", nil, []http.HandlerFunc{status(404, over)}, fault.Permanent, "no longer offers this source"},
		{"another list, with a code", "api/indicators", nil, []http.HandlerFunc{status(404, none)}, 0, ""},
		{"another list, which had rows", "api/alerts", shown, []http.HandlerFunc{status(404, none)}, fault.Permanent, "check cloud and base URL"},
		{"another list, which had rows a moment ago", "api/indicators", nil, []http.HandlerFunc{listOf(`{"id":"1"}`), status(404, none)}, fault.Permanent, "check cloud"},
		{"another list, without a word", "api/Software", nil, []http.HandlerFunc{status(404, "")}, fault.Permanent, "check cloud"},
		{"a list of Graph", "security/incidents", nil, []http.HandlerFunc{status(404, none)}, fault.Permanent, "check cloud"},
		{"a list that is one row", "api/exposureScore", nil, []http.HandlerFunc{status(404, over)}, fault.Permanent, "retired"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bucket := "rest-mde"
			if strings.HasPrefix(tt.source, "security/") {
				bucket = "rest-graph"
			}
			l, _, _ := startLists(t, bucket, tt.script...)
			_, _, err := readList(t, l, plan.ListQuery{Table: plan.Table{Source: tt.source}, Reads: 2, Known: tt.known})
			if tt.want == 0 && err != nil || tt.want != 0 && (err == nil || fault.KindOf(err) != tt.want || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("%v; want kind %v that says %q", err, tt.want, tt.says)
			}
		})
	}
}
