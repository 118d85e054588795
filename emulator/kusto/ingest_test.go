package kusto_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-kusto-go/azkustodata"
	"github.com/Azure/azure-kusto-go/azkustoingest"
	"github.com/Azure/azure-kusto-go/azkustoingest/ingestoptions"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/azurite"
	"github.com/defender2adx/defender2adx/emulator/azurite/azuritetest"
	"github.com/defender2adx/defender2adx/emulator/certs"
	"github.com/defender2adx/defender2adx/emulator/kusto"
	"github.com/defender2adx/defender2adx/emulator/rounds"
)

// queued is a cluster with storage and an official ingest client.
type queued struct {
	*cluster
	storage kusto.Storage
	ingest  *azkustoingest.Ingestion
	bundle  *certs.Bundle
}

func startQueued(t *testing.T) *queued {
	t.Helper()
	a := azuritetest.Start(t, azurite.Options{})
	bundle, err := certs.New(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	front, err := azurite.NewTLSFront(a, bundle.TLS(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = front.Close() })
	storage, err := kusto.NewStorage(t.Context(), a, front, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := kusto.NewStorage(t.Context(), a, front, time.Now().Add(time.Hour)); err != nil || len(again.Containers) == 0 {
		t.Fatalf("made twice: %v", err)
	}
	c := startWith(t, bundle, kusto.Options{Storage: storage, Poll: 5 * time.Millisecond})
	if err := c.StartIngestion(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.StopIngestion)
	return &queued{c, storage, ingestClient(t, c, "app"), bundle}
}

func ingestClient(t *testing.T, c *cluster, principal string) *azkustoingest.Ingestion {
	t.Helper()
	client, err := azkustoingest.New(
		azkustodata.NewConnectionStringBuilder(c.url).WithTokenCredential(credential(principal)),
		azkustoingest.WithHttpClient(c.client), azkustoingest.WithoutEndpointCorrection(), azkustoingest.WithDefaultDatabase("db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// stage puts bytes into a staging container and gives the blob's signed address.
func (q *queued) stage(t *testing.T, name string, data []byte) string {
	t.Helper()
	container, signature, _ := strings.Cut(q.storage.Containers[0], "?")
	address := container + "/" + name + "?" + signature
	blob, err := blockblob.NewClientWithNoCredential(address, &blockblob.ClientOptions{ClientOptions: sdkOptions(q.client)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blob.UploadBuffer(t.Context(), data, nil); err != nil {
		t.Fatal(err)
	}
	return address
}

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// wait gives the final status, its error code and failure status.
func wait(t *testing.T, res *azkustoingest.Result) (status, code, failure string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := <-res.Wait(ctx, azkustoingest.WithImmediateFirst(), azkustoingest.WithInterval(10*time.Millisecond))
	if err == nil {
		return "Succeeded", "", ""
	}
	s, statusErr := azkustoingest.GetIngestionStatus(err)
	if statusErr != nil {
		t.Fatal(err)
	}
	kind, _ := azkustoingest.GetIngestionFailureStatus(err)
	// The SDK knows few codes; the text has them all.
	return string(s), err.Error(), string(kind)
}

const rowMapping = `[{"Column":"Records","Properties":{"Path":"$"}},{"Column":"RunId","Properties":{"ConstValue":"run1"}},` +
	`{"Column":"Slice","Properties":{"ConstValue":"3"}},{"Column":"At","Properties":{"ConstValue":"2026-11-20T00:00:00Z"}}]`

func (q *queued) rawTable(t *testing.T, name string) {
	t.Helper()
	q.manage(t, ".create table "+name+" (Records:dynamic, RunId:string, Slice:int, At:datetime)",
		".create table "+name+" ingestion json mapping 'all' '[{\"column\":\"Records\",\"path\":\"$\"}]'")
}

func TestQueuedIngestion_TakesBlobsIn(t *testing.T) {
	rounds.Long(t)
	q := startQueued(t)
	json := azkustoingest.FileFormat(azkustoingest.JSON)
	report := azkustoingest.ReportResultToTable()
	inline := azkustoingest.IngestionMapping(rowMapping, azkustoingest.JSON)

	t.Run("takes a blob by its address", func(t *testing.T) {
		q.rawTable(t, "ByURL")
		blob := q.stage(t, "byurl.json.gz", zipped(t, "{\"b\": 1, \"a\" : 1.50}\n{\"b\":2,\"b\":3,\"n\":12345678901234567890}\n"))
		res, err := q.ingest.FromFile(t.Context(), blob, azkustoingest.Table("ByURL"), json, inline, report,
			azkustoingest.RawDataSize(100), azkustoingest.Tags([]string{"ingest-by:s1", "drop-by:run1"}), azkustoingest.IfNotExists(`["s1"]`))
		if err != nil {
			t.Fatal(err)
		}
		if status, code, _ := wait(t, res); status != "Succeeded" {
			t.Fatalf("got %s %s", status, code)
		}
		got := q.mustQuery(t, "ByURL | extend tagged = extent_tags() has 'drop-by:run1'")
		want := `{"b":1,"a":1.5}|run1|3|2026-11-20T00:00:00Z|true` + "\n" + `{"b":3,"n":1.2345678901234567e+19}|run1|3|2026-11-20T00:00:00Z|true` + "\n"
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
		_, rows, err := q.Rows("db", "ByURL")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for r := range rows {
			n++
			if r.Values[1] != "run1" || r.Ingested == nil {
				t.Errorf("row %d: got %v", n, r.Values)
			}
		}
		if n != 2 {
			t.Errorf("the table has %d rows, want 2", n)
		}

		res, err = q.ingest.FromFile(t.Context(), blob, azkustoingest.Table("ByURL"), json, inline, report, azkustoingest.IfNotExists(`["s1"]`))
		if err != nil {
			t.Fatal(err)
		}
		status, text, failure := wait(t, res)
		if status != "Skipped" || !strings.Contains(text, "IngestByTagAlreadyExists") || failure != "Permanent" {
			t.Errorf("second time: got %s %s %s, want Skipped by tag", status, failure, text)
		}
		if n := q.Count("db", "ByURL"); n != 2 {
			t.Errorf("second time: %d rows, want 2", n)
		}
	})

	t.Run("takes what the client uploads", func(t *testing.T) {
		q.rawTable(t, "Reader")
		for _, options := range [][]azkustoingest.FileOption{
			{azkustoingest.CompressionType(ingestoptions.GZIP)},
			nil, // the SDK compresses
		} {
			var data io.Reader = strings.NewReader("{\"a\":1}\n{\"a\":2}")
			if options != nil {
				data = bytes.NewReader(zipped(t, "{\"a\":1}\n{\"a\":2}"))
			}
			res, err := q.ingest.FromReader(t.Context(), data, append(options, azkustoingest.Table("Reader"), report,
				azkustoingest.IngestionMappingRef("all", azkustoingest.MultiJSON))...)
			if err != nil {
				t.Fatal(err)
			}
			if status, text, _ := wait(t, res); status != "Succeeded" {
				t.Fatalf("got %s %s", status, text)
			}
		}
		if got, want := q.mustQuery(t, "Reader | summarize n = count(), s = sum(tolong(Records.a)), e = countif(isempty(RunId) and isnull(Slice))"), "4|6|4\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})

	t.Run("fails as the service does", func(t *testing.T) {
		q.rawTable(t, "Strict")
		good := q.stage(t, "good.json", []byte("{\"a\":1}"))
		gone := strings.Replace(good, "good.json", "gone.json", 1)
		packed := zipped(t, strings.Repeat("{\"a\":1}\n", 1000))
		unsigned, _, _ := strings.Cut(good, "?")
		multi := azkustoingest.FileFormat(azkustoingest.MultiJSON)
		tests := []struct {
			name, blob string
			code       string
			options    []azkustoingest.FileOption
		}{
			{"unknown table", good, "BadRequest_TableNotExist", []azkustoingest.FileOption{azkustoingest.Table("Nope"), json}},
			{"unknown database", good, "BadRequest_DatabaseNotExist", []azkustoingest.FileOption{azkustoingest.Database("nope"), json}},
			{"unknown mapping", good, "BadRequest_MappingReferenceWasNotFound", []azkustoingest.FileOption{azkustoingest.IngestionMappingRef("nope", azkustoingest.JSON)}},
			{"mapping of an unknown column", good, "BadRequest_InconsistentMapping", []azkustoingest.FileOption{azkustoingest.IngestionMapping(`[{"column":"X","path":"$"}]`, azkustoingest.JSON)}},
			{"mapping that is none", good, "BadRequest_InvalidMapping", []azkustoingest.FileOption{azkustoingest.IngestionMapping(`{}`, azkustoingest.JSON)}},
			{"gzip under another name", q.stage(t, "packed.json", packed), "BadRequest_NoRecordsOrWrongFormat", []azkustoingest.FileOption{json}},
			{"gzip under another name, multijson", q.stage(t, "packed2.json", packed), "BadRequest_InvalidBlob", []azkustoingest.FileOption{multi}},
			{"plain under a gzip name", q.stage(t, "plain.json.gz", []byte("{\"a\":1}")), "BadRequest_InvalidArchive", []azkustoingest.FileOption{json}},
			{"gzip cut off", q.stage(t, "cut.json.gz", packed[:len(packed)/2]), "BadRequest_InvalidArchive", []azkustoingest.FileOption{json}},
			{"empty blob", q.stage(t, "empty.json", nil), "BadRequest_EmptyBlob", []azkustoingest.FileOption{json}},
			{"gzip of nothing", q.stage(t, "nothing.json.gz", zipped(t, "")), "BadRequest_NoRecordsOrWrongFormat", []azkustoingest.FileOption{json}},
			{"malformed multijson", q.stage(t, "bad.json", []byte("{\"a\":1}\n{\"a\":")), "BadRequest_InvalidBlob", []azkustoingest.FileOption{multi}},
			{"tags that are no array", good, "BadRequest_CorruptedMessage", []azkustoingest.FileOption{json, azkustoingest.IfNotExists("s1")}},
			{"blob gone", gone, "Download_SourceNotFound", []azkustoingest.FileOption{json}},
			{"blob not signed for", unsigned, "Download_", []azkustoingest.FileOption{json}},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				res, err := q.ingest.FromFile(t.Context(), test.blob, append([]azkustoingest.FileOption{azkustoingest.Table("Strict"), report}, test.options...)...)
				if err != nil {
					t.Fatal(err)
				}
				status, text, failure := wait(t, res)
				if status != "Failed" || failure != "Permanent" {
					t.Errorf("got %s %s, want Failed Permanent: %s", status, failure, text)
				}
				if test.name == "unknown database" {
					return
				}
				source, _, _ := strings.Cut(test.blob, "?")
				got, err := q.mgmt(t, "monitor", ".show ingestion failures | where IngestionSourcePath startswith '"+source+"' | project ErrorCode, ShouldRetry, IngestionSourcePath")
				if err != nil || !strings.Contains(got, test.code) || !strings.Contains(got, "|false|") || strings.Contains(got, "sig=") {
					t.Errorf("listed as %q %v, want %s", got, err, test.code)
				}
			})
		}
		if n := q.Count("db", "Strict"); n != 0 {
			t.Errorf("%d rows, want none", n)
		}
	})

	t.Run("passes over malformed lines of json in silence", func(t *testing.T) {
		q.rawTable(t, "Lines")
		blob := q.stage(t, "lines.json", []byte("{\"a\":1}\n{\"a\":\n\n[1]\n{\"a\":2}"))
		res, err := q.ingest.FromFile(t.Context(), blob, azkustoingest.Table("Lines"), report, inline)
		if err != nil {
			t.Fatal(err)
		}
		if status, text, _ := wait(t, res); status != "Succeeded" || q.Count("db", "Lines") != 2 {
			t.Errorf("got %s %s and %d rows, want 2", status, text, q.Count("db", "Lines"))
		}
	})

	t.Run("tries again what may pass", func(t *testing.T) {
		q.rawTable(t, "Patient")
		packed := zipped(t, strings.Repeat("{\"a\":1}\n", 100))
		var mu sync.Mutex
		asked := make(map[string]int)
		blobs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			asked[r.URL.Path]++
			first := asked[r.URL.Path] == 1
			mu.Unlock()
			switch {
			case r.URL.Path == "/down.json.gz":
				w.WriteHeader(http.StatusServiceUnavailable)
			case r.URL.Path == "/cut.json.gz" && first:
				w.Header().Set("Content-Length", strconv.Itoa(len(packed)))
				_, _ = w.Write(packed[:len(packed)/2]) // the connection breaks here
			default:
				_, _ = w.Write(packed)
			}
		}))
		t.Cleanup(blobs.Close)
		for path, want := range map[string]string{"/cut.json.gz": "Succeeded", "/down.json.gz": "Failed"} {
			res, err := q.ingest.FromFile(t.Context(), blobs.URL+path+"?sig=secret", azkustoingest.Table("Patient"), inline, report)
			if err != nil {
				t.Fatal(err)
			}
			status, text, failure := wait(t, res)
			if status != want || want == "Failed" && failure != "Exhausted" {
				t.Errorf("%s: got %s %s, want %s: %s", path, status, failure, want, text)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff(map[string]int{"/cut.json.gz": 2, "/down.json.gz": 3}, asked); diff != "" || q.Count("db", "Patient") != 100 {
			t.Errorf("%d rows, want 100; requests (-want +got):\n%s", q.Count("db", "Patient"), diff)
		}
		failures := q.Failures("db")
		if last := failures[len(failures)-1]; last.Table != "Patient" || last.Source != blobs.URL+"/down.json.gz" || strings.Contains(last.Details, "secret") {
			t.Errorf("recorded %+v", last)
		}
	})

	t.Run("refuses a sender without the right", func(t *testing.T) {
		q.rawTable(t, "Rights")
		if _, err := ingestClient(t, q.cluster, "viewer").FromReader(t.Context(), strings.NewReader("{}"), azkustoingest.Table("Rights"), json); err == nil {
			t.Error("a viewer got the ingestion resources")
		}
		if err := q.Grant("db", "aadapp=late", kusto.Ingestor); err != nil {
			t.Fatal(err)
		}
		client := ingestClient(t, q.cluster, "late")
		send := func() (status, text string) {
			res, err := client.FromReader(t.Context(), strings.NewReader("{\"a\":1}"), azkustoingest.Table("Rights"), inline, report)
			if err != nil {
				t.Fatal(err)
			}
			status, text, _ = wait(t, res)
			return status, text
		}
		if status, text := send(); status != "Succeeded" {
			t.Errorf("got %s %s, want Succeeded", status, text)
		}
		if err := q.Revoke("db", "aadapp=late", kusto.Ingestor); err != nil {
			t.Fatal(err)
		}
		if status, _ := send(); status != "Failed" {
			t.Errorf("after the role was taken away: got %s, want Failed", status)
		}
	})

	t.Run("faults", func(t *testing.T) { faults(t, q) })
}

func faults(t *testing.T, q *queued) {
	var mu sync.Mutex
	verdicts := make(map[string]kusto.Verdict)
	q.SetFaults(kusto.Faults{Ingestion: func(d kusto.Delivery) kusto.Verdict {
		mu.Lock()
		defer mu.Unlock()
		return verdicts[d.Table]
	}})
	defer q.SetFaults(kusto.Faults{})

	const lines = "{\"a\":0}\n{\"a\":1}\n{\"a\":2}\n"
	send := func(t *testing.T, table string, v kusto.Verdict) *azkustoingest.Result {
		t.Helper()
		q.rawTable(t, table)
		mu.Lock()
		verdicts[table] = v
		mu.Unlock()
		res, err := q.ingest.FromFile(t.Context(), q.stage(t, table+".json", []byte(lines)), azkustoingest.Table(table), azkustoingest.ReportResultToTable(),
			azkustoingest.IngestionMapping(rowMapping, azkustoingest.JSON), azkustoingest.Tags([]string{"ingest-by:x"}), azkustoingest.IfNotExists(`["x"]`))
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	tests := []struct {
		name, table string
		verdict     kusto.Verdict
		status      string
		rows        int
	}{
		{"fails for good", "FailGood", kusto.Verdict{Fail: &kusto.Failed{Code: "BadRequest_X", Status: "Permanent"}}, "Failed", 0},
		{"fails for the moment", "FailNow", kusto.Verdict{Fail: &kusto.Failed{Code: "General_Y", Status: "Transient"}}, "Failed", 0},
		{"takes only some rows", "Partly", kusto.Verdict{Drop: func(row int) bool { return row == 1 }}, "PartiallySucceeded", 2},
		{"loses Records", "Nulls", kusto.Verdict{Null: func(row int) bool { return row > 0 }}, "Succeeded", 3},
		{"takes the blob in twice at once", "Twins", kusto.Verdict{Twin: true}, "Succeeded", 6},
		{"delivers the message twice", "Again", kusto.Verdict{Again: 1}, "Skipped", 3},
		{"delays", "Delayed", kusto.Verdict{Delay: 30 * time.Millisecond}, "Succeeded", 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, text, failure := wait(t, send(t, test.table, test.verdict))
			if status != test.status || q.Count("db", test.table) != test.rows {
				t.Errorf("got %s, %d rows, want %s, %d: %s", status, q.Count("db", test.table), test.status, test.rows, text)
			}
			if f := test.verdict.Fail; f != nil && failure != f.Status {
				t.Errorf("got failure %s, want %s", failure, f.Status)
			}
		})
	}
	if got := q.mustQuery(t, "Nulls | where isnull(Records) | count"); got != "2\n" {
		t.Errorf("null Records in %q rows, want 2", got)
	}

	t.Run("rows come later than the report", func(t *testing.T) {
		res := send(t, "Invisible", kusto.Verdict{Invisible: time.Hour})
		if status, text, _ := wait(t, res); status != "Succeeded" || q.Count("db", "Invisible") != 0 {
			t.Errorf("got %s with %d rows, want Succeeded with none yet: %s", status, q.Count("db", "Invisible"), text)
		}
	})

	t.Run("held until let go, or until stopped", func(t *testing.T) {
		let := make(chan struct{})
		res := send(t, "Held", kusto.Verdict{Hold: let})
		q.StopIngestion() // puts the message back
		if n := q.Count("db", "Held"); n != 0 {
			t.Errorf("%d rows while held", n)
		}
		if err := q.StartIngestion(); err != nil {
			t.Fatal(err)
		}
		close(let)
		if status, text, _ := wait(t, res); status != "Succeeded" || q.Count("db", "Held") != 3 {
			t.Errorf("got %s with %d rows: %s", status, q.Count("db", "Held"), text)
		}
	})

	t.Run("lost without a word", func(t *testing.T) {
		lost := make(chan string, 1)
		q.SetFaults(kusto.Faults{Ingestion: func(d kusto.Delivery) kusto.Verdict {
			lost <- d.Blob
			return kusto.Verdict{Lose: true}
		}})
		q.rawTable(t, "Lost")
		blob := q.stage(t, "lost.json", []byte(lines))
		if _, err := q.ingest.FromFile(t.Context(), blob, azkustoingest.Table("Lost"), azkustoingest.IngestionMapping(rowMapping, azkustoingest.JSON)); err != nil {
			t.Fatal(err)
		}
		if got := <-lost; !strings.HasSuffix(got, "/lost.json") {
			t.Errorf("the hook saw %q, want the unsigned address", got)
		}
		q.StopIngestion()
		if n := q.Count("db", "Lost"); n != 0 {
			t.Errorf("%d rows, want none", n)
		}
	})
}

func TestStorage_HidesItsSignatures(t *testing.T) {
	s := kusto.Storage{Containers: []string{"https://x/c?sig=secret"}, Queue: "https://x/q?sig=secret"}
	if text := s.String() + s.GoString(); strings.Contains(text, "secret") {
		t.Errorf("printed %q", text)
	}
}

type doer struct{ *http.Client }

func sdkOptions(client *http.Client) azcore.ClientOptions {
	return azcore.ClientOptions{Transport: doer{client}}
}
