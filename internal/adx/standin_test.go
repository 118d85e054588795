package adx

import (
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// standIn answers the protocols that the client speaks, on one TLS address:
// Kusto, a blob container, an ingestion queue and a status table. What it says is
// the test's.
type standIn struct {
	*httptest.Server

	mu       sync.Mutex
	answer   func(kind, db, text string) reply // query or mgmt
	blob     func(w http.ResponseWriter, r *http.Request, body []byte) bool
	status   map[string]any   // merged into the status row
	options  []map[string]any // of requests, beside texts
	tokens   []string         // of requests
	refused  string           // a token answered with 401
	queue    int              // status of the queue's answer; 0 accepts
	texts    []string
	messages []map[string]any
	puts     []*http.Request
	bodies   map[string]string // by path and block
	sas      string

	statusReads int
}

// reply is one answer of Kusto.
type reply struct {
	code    int    // HTTP status; 0 is 200
	body    string // verbatim, for what is no result
	columns string // "Name:type, ..."
	rows    []string
	v2error string
}

func newStandIn(t *testing.T) *standIn {
	t.Helper()
	s := &standIn{bodies: map[string]string{}, sas: "sig=first"}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *standIn) client(t *testing.T, change ...func(*Config)) *Client {
	t.Helper()
	cfg := Config{ClusterURL: s.URL, Database: "db1", HTTP: s.Client(), App: "Test/1", AppID: "d2a"}
	for _, f := range change {
		f(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.staging.retry = policy.RetryOptions{MaxRetries: -1}
	t.Cleanup(func() { c.Close() })
	return c
}

func (s *standIn) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	switch path := r.URL.Path; {
	case path == "/v1/rest/auth/metadata":
		w.WriteHeader(http.StatusNotFound)
	case path == "/v1/rest/mgmt":
		s.kusto(w, r, "mgmt", body)
	case path == "/v2/rest/query":
		s.kusto(w, r, "query", body)
	case strings.HasPrefix(path, "/staging"):
		s.serveBlob(w, r, body)
	case path == "/queue/messages":
		s.serveQueue(w, body)
	case strings.HasPrefix(path, "/status"):
		s.serveStatus(w, r, body)
	default:
		http.Error(w, "no such address", http.StatusNotImplemented)
	}
}

func (s *standIn) kusto(w http.ResponseWriter, r *http.Request, kind string, body []byte) {
	var req struct {
		DB, CSL    string
		Properties struct{ Options map[string]any }
	}
	if err := json.Unmarshal(body, &req); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.tokens = append(s.tokens, token)
	if s.refused != "" && token == s.refused {
		s.mu.Unlock()
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.texts, s.options = append(s.texts, req.CSL), append(s.options, req.Properties.Options)
	sas, answer := s.sas, s.answer
	s.mu.Unlock()
	var a reply
	switch {
	case req.CSL == ".get kusto identity token" && answer == nil:
		a = reply{columns: "AuthorizationContext:string", rows: []string{`["auth"]`}}
	case req.CSL == ".get ingestion resources" && answer == nil:
		a = s.resources(sas)
	case answer != nil:
		a = answer(kind, req.DB, req.CSL)
	}
	if a.code != 0 || a.body != "" {
		w.Header().Set("Content-Type", "application/json")
		if a.code != 0 {
			w.WriteHeader(a.code)
		}
		_, _ = io.WriteString(w, a.body)
		return
	}
	if kind == "mgmt" {
		_, _ = io.WriteString(w, v1(a))
		return
	}
	_, _ = io.WriteString(w, v2(a))
}

func (s *standIn) resources(sas string) reply {
	return reply{columns: "ResourceTypeName:string, StorageRoot:string", rows: []string{
		fmt.Sprintf(`["TempStorage","%s/staging?%s"]`, s.URL, sas),
		fmt.Sprintf(`["SecuredReadyForAggregationQueue","%s/queue?sig=queue"]`, s.URL),
		fmt.Sprintf(`["IngestionsStatusTable","%s/status?sig=table"]`, s.URL),
	}}
}

// serveBlob keeps puts, unless the test's own hook has answered.
func (s *standIn) serveBlob(w http.ResponseWriter, r *http.Request, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts = append(s.puts, r)
	if s.blob != nil && s.blob(w, r, body) {
		return
	}
	if r.URL.Query().Get("sig") != strings.TrimPrefix(s.sas, "sig=") {
		storageError(w, http.StatusForbidden, "AuthenticationFailed")
		return
	}
	switch r.Method {
	case http.MethodPut:
		s.bodies[r.URL.Path+" "+r.URL.Query().Get("comp")] += string(body)
		w.WriteHeader(http.StatusCreated)
	case http.MethodHead:
		if _, ok := s.bodies[r.URL.Path+" "]; !ok {
			storageError(w, http.StatusNotFound, "BlobNotFound")
		}
	}
}

func storageError(w http.ResponseWriter, status int, code string) {
	w.Header().Set("x-ms-error-code", code)
	w.WriteHeader(status)
}

func (s *standIn) serveQueue(w http.ResponseWriter, body []byte) {
	var in struct{ MessageText string }
	text, err := []byte(nil), xml.Unmarshal(body, &in)
	if err == nil {
		text, err = base64.StdEncoding.DecodeString(in.MessageText)
	}
	var message map[string]any
	if err == nil {
		err = json.Unmarshal(text, &message)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	status := s.queue
	if status == 0 {
		s.messages = append(s.messages, message)
	}
	s.mu.Unlock()
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, `<?xml version="1.0" encoding="utf-8"?><QueueMessagesList><QueueMessage><MessageId>1</MessageId></QueueMessage></QueueMessagesList>`)
}

func (s *standIn) serveStatus(w http.ResponseWriter, r *http.Request, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodPost {
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(body)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.statusReads++
	_ = json.NewEncoder(w).Encode(s.status)
}

func columnsOf(list string) string {
	var out []string
	for _, c := range strings.Split(list, ",") {
		name, typ, _ := strings.Cut(strings.TrimSpace(c), ":")
		out = append(out, fmt.Sprintf(`{"ColumnName":%q,"ColumnType":%q,"DataType":%q}`, name, typ, typ))
	}
	return "[" + strings.Join(out, ",") + "]"
}

func v1(a reply) string {
	if a.columns == "" {
		a.columns = "ExtentId:string"
	}
	return fmt.Sprintf(`{"Tables":[{"TableName":"Table_0","Columns":%s,"Rows":[%s]}]}`, columnsOf(a.columns), strings.Join(a.rows, ","))
}

func v2(a reply) string {
	completion := fmt.Sprintf(`,{"FrameType":"TableCompletion","TableId":1,"RowCount":%d}`, len(a.rows))
	if a.v2error != "" {
		completion = `,{"FrameType":"TableCompletion","TableId":1,"RowCount":0,"OneApiErrors":[` + a.v2error + `]}`
	}
	return strings.Join([]string{
		`[{"FrameType":"DataSetHeader","IsProgressive":false,"Version":"v2.0","IsFragmented":true,"ErrorReportingPlacement":"EndOfTable"}`,
		`,{"FrameType":"DataTable","TableId":0,"TableKind":"QueryProperties","TableName":"@ExtendedProperties","Columns":[{"ColumnName":"TableId","ColumnType":"int"},{"ColumnName":"Key","ColumnType":"string"},{"ColumnName":"Value","ColumnType":"dynamic"}],"Rows":[]}`,
		`,{"FrameType":"TableHeader","TableId":1,"TableKind":"PrimaryResult","TableName":"PrimaryResult","Columns":` + columnsOf(a.columns) + `}`,
		`,{"FrameType":"TableFragment","TableFragmentType":"DataAppend","TableId":1,"Rows":[` + strings.Join(a.rows, ",") + `]}`,
		completion,
		`,{"FrameType":"DataTable","TableId":2,"TableKind":"QueryCompletionInformation","TableName":"QueryCompletionInformation","Columns":[{"ColumnName":"Timestamp","ColumnType":"datetime"}],"Rows":[]}`,
		`,{"FrameType":"DataSetCompletion","HasErrors":false,"Cancelled":false}`,
		`]`, ``,
	}, "\n")
}
