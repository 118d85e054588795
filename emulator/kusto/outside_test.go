package kusto_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/Azure/azure-kusto-go/azkustoingest"

	"github.com/defender2adx/defender2adx/emulator/kusto"
	"github.com/defender2adx/defender2adx/emulator/rounds"
)

// A file that lies with somebody else, under a signature of theirs, is read by the
// cluster itself, from the address as it was given.
func TestQueuedIngestion_TakesFilesOfOthers(t *testing.T) {
	rounds.Long(t)
	q := startQueued(t)
	q.rawTable(t, "Export")
	var asked []string
	storage := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RawQuery)
		switch {
		case !strings.Contains(r.URL.RawQuery, "sig=good%2Bone"):
			w.Header().Set("x-ms-error-code", "AuthenticationFailed")
			w.WriteHeader(http.StatusForbidden)
		case strings.Contains(r.URL.Path, "gone"):
			w.WriteHeader(http.StatusNotFound)
		case strings.HasSuffix(r.URL.Path, ".json.gz"):
			_, _ = w.Write(zipped(t, "{\"id\":\"a\",\"n\":1}\n{\"id\":\"b\",\"n\":2}\n{\"id\":\"c\",\"n\":3}\n"))
		}
	}))
	storage.TLS = q.bundle.TLS()
	storage.StartTLS()
	t.Cleanup(storage.Close)
	file := storage.URL + "/tvm-export/2026-11-21/1101/VaExport/json/OrgId=1/_RbacGroupId=39/part-00393-a.c000.json.gz"

	ingest := func(address string, format azkustoingest.DataFormat, tag string) (status, text, failure string) {
		t.Helper()
		res, err := q.ingest.FromFile(t.Context(), address, azkustoingest.Table("Export"), azkustoingest.FileFormat(format),
			azkustoingest.IngestionMapping(rowMapping, format), azkustoingest.ReportResultToTable(),
			azkustoingest.Tags([]string{"ingest-by:" + tag}), azkustoingest.IfNotExists(`["`+tag+`"]`))
		if err != nil {
			t.Fatal(err)
		}
		return wait(t, res)
	}
	for _, format := range []azkustoingest.DataFormat{azkustoingest.JSON, azkustoingest.MultiJSON} {
		if status, text, _ := ingest(file+"?se=2026&sig=good%2Bone", format, "g1"+format.String()); status != "Succeeded" {
			t.Fatalf("%s: %s %s", format, status, text)
		}
		got := q.mustQuery(t, "Export | where extent_tags() has 'g1"+format.String()+"' | summarize n = count(), s = sum(tolong(Records.n)), r = max(RunId)")
		if got != "3|6|run1\n" {
			t.Errorf("%s: got %q", format, got)
		}
	}
	for name, c := range map[string]struct{ address, code string }{
		"an expired signature": {file + "?se=2020&sig=old", "Download_Forbidden"},
		"no signature":         {file, "Download_Forbidden"},
		"a file that is gone":  {strings.Replace(file, "part", "gone", 1) + "?sig=good%2Bone", "Download_SourceNotFound"},
	} {
		status, text, failure := ingest(c.address, azkustoingest.MultiJSON, strings.ReplaceAll(name, " ", "-"))
		if status != "Failed" || failure != "Permanent" || !strings.Contains(text, c.code) {
			t.Errorf("%s: %s %s %s, want Failed, Permanent, %s", name, status, failure, text, c.code)
		}
		if strings.Contains(text, "sig=") {
			t.Errorf("%s: the reason holds the signature: %s", name, text)
		}
	}
	failures, err := q.mgmt(t, "monitor", ".show ingestion failures | where Table == 'Export' | project IngestionSourcePath, Details")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(failures, "sig=") || strings.Count(failures, "VaExport") < 3 {
		t.Errorf("listed as %s", failures)
	}

	q.SetFaults(kusto.Faults{Ingestion: func(kusto.Delivery) kusto.Verdict {
		return kusto.Verdict{Drop: func(row int) bool { return row == 1 }}
	}})
	if status, text, _ := ingest(file+"?sig=good%2Bone", azkustoingest.MultiJSON, "part"); status != "PartiallySucceeded" {
		t.Errorf("a file of which a row is lost: %s %s", status, text)
	}
	if got := q.mustQuery(t, "Export | where extent_tags() has 'ingest-by:part' | count"); got != "2\n" {
		t.Errorf("of a file of which a row is lost there are %s", got)
	}
	for _, query := range asked {
		if query != "" && !strings.Contains(query, "sig=") {
			t.Errorf("the file was asked for with %q", query)
		}
	}
}
