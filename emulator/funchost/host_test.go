package funchost

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	queueFunction = `{"bindings": [{"type": "queueTrigger", "name": "job", "direction": "in", "queueName": "%JOBS%"}]}`
	timerFunction = `{"bindings": [{"type": "timerTrigger", "name": "tick", "direction": "in", "schedule": "0 0 0 1 1 *"}]}`
)

func webFunction(route string, more string) string {
	return `{"bindings": [{"type": "httpTrigger", "name": "req", "direction": "in", "route": "` + route + `"},
		{"type": "http", "name": "res", "direction": "out"}` + more + `]}`
}

// testApp is an app whose handler is the test binary. more adds to or replaces
// its files.
func testApp(t *testing.T, customHandler string, more map[string]string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	executable, _ := json.Marshal(self)
	files := map[string]string{
		"host.json": `{"version": "2.0", "customHandler": {"description": {"defaultExecutablePath": ` + string(executable) + `}` + customHandler + `},
			"extensionBundle": {"id": "b"}, "extensions": {"queues": {"batchSize": 4, "newBatchThreshold": 0}}}`,
	}
	maps.Copy(files, more)
	return writeApp(t, files)
}

// recorder keeps what a host reports and lets a test wait for it.
type recorder struct {
	mu     sync.Mutex
	events []Event
	lines  []Line
	news   chan struct{}
}

func newRecorder() *recorder { return &recorder{news: make(chan struct{}, 1)} }

func (r *recorder) note(add func()) {
	r.mu.Lock()
	add()
	r.mu.Unlock()
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// wait returns what find finds as soon as it finds something.
func wait[T any](t *testing.T, r *recorder, what string, find func() (T, bool)) T {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		r.mu.Lock()
		got, ok := find()
		r.mu.Unlock()
		if ok {
			return got
		}
		select {
		case <-r.news:
		case <-limit:
			t.Fatalf("no %s; events %v, lines %v", what, r.events, r.lines)
		}
	}
}

// event waits for the nth event of a kind, from 1.
func (r *recorder) event(t *testing.T, kind EventKind, nth int) Event {
	t.Helper()
	return wait(t, r, kind.String(), func() (Event, bool) {
		n := 0
		for _, e := range r.events {
			if e.Kind == kind {
				if n++; n == nth {
					return e, true
				}
			}
		}
		return Event{}, false
	})
}

// call waits for the nth call that the handler saw, from 1.
func (r *recorder) call(t *testing.T, nth int) seenCall {
	t.Helper()
	return wait(t, r, "call", func() (seenCall, bool) {
		n := 0
		for _, line := range r.lines {
			if text, ok := strings.CutPrefix(line.Text, seenPrefix); ok {
				if n++; n == nth {
					var call seenCall
					return call, json.Unmarshal([]byte(text), &call) == nil
				}
			}
		}
		return seenCall{}, false
	})
}

// startTest starts a host on an app of the test and stops it with the test.
func startTest(t *testing.T, opts Options) (*Host, *recorder) {
	t.Helper()
	h, r, err := tryStart(t, opts)
	if err != nil {
		t.Fatal(err)
	}
	return h, r
}

func tryStart(t *testing.T, opts Options) (*Host, *recorder, error) {
	r := newRecorder()
	opts.OnEvent = func(e Event) { r.note(func() { r.events = append(r.events, e) }) }
	opts.OnLine = func(l Line) { r.note(func() { r.lines = append(r.lines, l) }) }
	opts.Env = append(opts.Env, handlerVariable+"=1", "FUNCTIONS_WORKER_RUNTIME=custom")
	if opts.Timing.StopGrace == 0 {
		opts.Timing.StopGrace = 50 * time.Millisecond
	}
	h, err := Start(t.Context(), opts)
	if err == nil {
		t.Cleanup(func() {
			h.stopWith(nil)
			_ = h.Wait()
		})
	}
	return h, r, err
}

func get(t *testing.T, method, url, contentType, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

var webApp = map[string]string{"run/function.json": webFunction("run/{id?}", "")}

func TestHost_ProcessEnvironment(t *testing.T) {
	files := maps.Clone(webApp)
	files["local.settings.json"] = `{"Values": {"TEST_FILE": "file", "TEST_BOTH": "file"}}`
	files["data/x"] = ""
	root := testApp(t, "", files)
	text, _ := os.ReadFile(filepath.Join(root, "host.json"))
	text = []byte(strings.Replace(string(text), `"description": {`, `"description": {"workingDirectory": "data", `, 1))
	if err := os.WriteFile(filepath.Join(root, "host.json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	h, r := startTest(t, Options{AppRoot: root, Env: []string{"TEST_BOTH=env"}})
	if err := h.Invoke(t.Context(), "RUN", ""); err != nil {
		t.Fatal(err)
	}
	call := r.call(t, 1)
	env := call.Env
	if env["FUNCTIONS_CUSTOMHANDLER_PORT"] != env["FUNCTIONS_HTTPWORKER_PORT"] || env["FUNCTIONS_CUSTOMHANDLER_WORKER_ID"] != env["FUNCTIONS_HTTPWORKER_ID"] {
		t.Errorf("port and id differ from their legacy aliases: %v", env)
	}
	if len(env["FUNCTIONS_CUSTOMHANDLER_WORKER_ID"]) != 36 || call.Host != "127.0.0.1:"+env["FUNCTIONS_CUSTOMHANDLER_PORT"] {
		t.Errorf("worker id or port: %v, host %s", env, call.Host)
	}
	if env["FUNCTIONS_APP_ROOT_PATH"] != root || env["TEST_FILE"] != "file" || env["TEST_BOTH"] != "env" {
		t.Errorf("app root or settings: %v", env)
	}
	if want, _ := filepath.EvalSymlinks(filepath.Join(root, "data")); call.Dir != want {
		t.Errorf("working directory = %s, want %s", call.Dir, want)
	}
}

func TestHost_EnvelopeMode(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		h, r := startTest(t, Options{AppRoot: testApp(t, "", webApp), AnnouncedBodies: !chunked})
		status, body := get(t, "POST", h.URL()+"/api/run/7?q=1", "text/plain", `say {"Outputs": {"res": {"statusCode": 202, "body": "done"}}, "Logs": ["one", "two"]}`)
		if status != 202 || body != "done" {
			t.Errorf("answer = %d %q, want 202 done", status, body)
		}
		call := r.call(t, 1)
		if call.Method != "POST" || call.Path != "/run" || (call.Length < 0) != chunked {
			t.Errorf("handler saw %s %s, length %d, chunked %v", call.Method, call.Path, call.Length, chunked)
		}
		started := r.event(t, InvocationStarted, 1)
		got := map[string]string{}
		for _, name := range []string{"Content-Type", "User-Agent", "X-Azure-Functions-Hostversion", "X-Azure-Functions-Invocationid"} {
			got[name] = call.Header.Get(name)
		}
		want := map[string]string{
			"Content-Type": "application/json; charset=utf-8", "User-Agent": "Azure-Functions-Host/" + hostVersion,
			"X-Azure-Functions-Hostversion": hostVersion, "X-Azure-Functions-Invocationid": started.Invocation.ID,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("headers (-want +got):\n%s", diff)
		}
		logs := wait(t, r, "logs", func() ([]string, bool) {
			var texts []string
			for _, line := range r.lines {
				if line.InvocationID == started.Invocation.ID {
					texts = append(texts, line.Text)
				}
			}
			return texts, len(texts) == 2
		})
		if !slices.Equal(logs, []string{"one", "two"}) {
			t.Errorf("logs = %v", logs)
		}
		for body, want := range map[string]int{"fail": 500, "empty": 500, "sniffed": 500, "fine": 204} {
			if status, _ := get(t, "POST", h.URL()+"/api/run", "", body); status != want {
				t.Errorf("%s: status = %d, want %d", body, status, want)
			}
		}
	}
}

func TestHost_ForwardingMode(t *testing.T) {
	h, r := startTest(t, Options{AppRoot: testApp(t, `, "enableForwardingHttpRequest": true`, map[string]string{
		"run/function.json":   webFunction("run/{verb}", ""),
		"mixed/function.json": webFunction("mixed", `, {"type": "queue", "name": "out", "direction": "out", "queueName": "q-out"}`),
	}), Env: []string{"AzureWebJobsStorage=UseDevelopmentStorage=true"}})

	req, _ := http.NewRequest("PUT", h.URL()+"/api/run/teapot?a=b%20c", strings.NewReader("body"))
	req.Host, req.Header = "app.example", http.Header{"User-Agent": {"curl/8"}, "X-Mine": {"1", "2"}}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 418 || string(body) != "short and stout" || resp.Header.Get("X-Tea") != "yes" {
		t.Errorf("answer = %d %q %v", resp.StatusCode, body, resp.Header)
	}
	call := r.call(t, 1)
	if call.Method != "PUT" || call.Path != "/api/run/teapot?a=b%20c" || call.Host != "app.example" || call.Body != "body" {
		t.Errorf("handler saw %s %s on %s with %q", call.Method, call.Path, call.Host, call.Body)
	}
	if got := call.Header.Get("User-Agent"); got != "curl/8 Azure-Functions-Host/"+hostVersion || !slices.Equal(call.Header["X-Mine"], []string{"1", "2"}) {
		t.Errorf("headers = %v", call.Header)
	}
	if got := r.event(t, InvocationSucceeded, 1); got.Invocation.ID != call.Header.Get("X-Azure-Functions-InvocationId") {
		t.Errorf("invocation %s succeeded, header %v", got.Invocation.ID, call.Header)
	}

	chunked, _ := http.NewRequest("POST", h.URL()+"/api/run/x", struct{ io.Reader }{strings.NewReader("lost")})
	resp, err = http.DefaultClient.Do(chunked)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusInternalServerError {
		t.Errorf("a chunked body: status = %d, want the host's 500", resp.StatusCode)
	}
	if status, _ := get(t, "GET", h.URL()+"/api/run/redirect", "", ""); status != http.StatusFound {
		t.Errorf("redirect: status = %d, want it passed on", status)
	}
	if status, _ := get(t, "POST", h.URL()+"/api/mixed", "text/plain", "fine"); status != 204 {
		t.Errorf("mixed outputs: status = %d", status)
	}
	if call := r.call(t, 3); call.Path != "/mixed" {
		t.Errorf("a function with a second output was called at %s, want the envelope", call.Path)
	}
	for _, path := range []string{"/run/teapot", "/api/other", "/", "/admin/nothing"} {
		if status, _ := get(t, "GET", h.URL()+path, "", ""); status != 404 {
			t.Errorf("%s: status = %d, want 404", path, status)
		}
	}
}

func TestHost_ErrorOfAForwardedCallHidesTheQuery(t *testing.T) {
	h, r := startTest(t, Options{AppRoot: testApp(t, `, "enableForwardingHttpRequest": true`, webApp)})
	if status, _ := get(t, "GET", h.URL()+"/api/run/exit?code=s3cret", "", ""); status != 500 {
		t.Errorf("status = %d, want 500: the handler died in the call", status)
	}
	if e := r.event(t, InvocationFailed, 1); strings.Contains(e.Err.Error(), "s3cret") {
		t.Errorf("error shows the query: %v", e.Err)
	}
}

func TestHost_DisabledAndWrongMethodAre404(t *testing.T) {
	get1 := strings.Replace(webFunction("one", ""), `"route"`, `"methods": ["get"], "route"`, 1)
	h, _ := startTest(t, Options{AppRoot: testApp(t, "", map[string]string{"one/function.json": get1, "two/function.json": webFunction("two", "")}),
		Env: []string{"AzureWebJobs.two.Disabled=true"}})
	for request, want := range map[string]int{"GET /api/one": 204, "POST /api/one": 404, "GET /api/two": 404} {
		method, path, _ := strings.Cut(request, " ")
		if status, _ := get(t, method, h.URL()+path, "", ""); status != want {
			t.Errorf("%s: status = %d, want %d", request, status, want)
		}
	}
}

func TestHost_AdminAPI(t *testing.T) {
	files := maps.Clone(webApp)
	files["broken/function.json"] = "{"
	h, r := startTest(t, Options{AppRoot: testApp(t, "", files)})
	tests := []struct {
		method, path, contentType, body string
		want                            int
	}{
		{"POST", "/admin/functions/Run", "application/json", `{"input": "fine"}`, 202},
		{"POST", "/admin/functions/nope", "application/json", `{"input": ""}`, 404},
		{"POST", "/admin/functions/broken", "application/json", `{"input": ""}`, 404},
		{"POST", "/admin/functions/run", "application/json", "", 400},
		{"POST", "/admin/functions/run", "application/json", "null", 400},
		{"POST", "/admin/functions/run", "text/plain", `{"input": ""}`, 415},
		{"GET", "/admin/functions/run", "", "", 200},
	}
	for _, tt := range tests {
		if status, _ := get(t, tt.method, h.URL()+tt.path, tt.contentType, tt.body); status != tt.want {
			t.Errorf("%s %s %q: status = %d, want %d", tt.method, tt.path, tt.body, status, tt.want)
		}
	}
	if e := r.event(t, InvocationSucceeded, 1); !e.Invocation.Manual || e.Invocation.Function != "run" {
		t.Errorf("invocation = %+v, want a manual one of run", e.Invocation)
	}
	var functions []struct{ Name string }
	_, text := get(t, "GET", h.URL()+"/admin/functions", "", "")
	if err := json.Unmarshal([]byte(text), &functions); err != nil || len(functions) != 1 || functions[0].Name != "run" {
		t.Errorf("functions = %s, %v", text, err)
	}
	var status struct{ State, Version string }
	_, text = get(t, "GET", h.URL()+"/admin/host/status", "", "")
	if err := json.Unmarshal([]byte(text), &status); err != nil || status.State != "Running" || status.Version != hostVersion {
		t.Errorf("status = %s, %v", text, err)
	}
	var loaded []string
	for _, f := range h.Functions() {
		if f.Err == nil {
			loaded = append(loaded, f.Name)
		}
	}
	if !slices.Equal(loaded, []string{"run"}) || len(h.Functions()) != 2 {
		t.Errorf("Functions: loaded %v of %d, want run of two", loaded, len(h.Functions()))
	}
	if e := r.event(t, FunctionRefused, 1); e.Invocation.Function != "broken" || e.Err == nil {
		t.Errorf("refused = %+v", e)
	}
}
