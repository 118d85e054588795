package host

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const invocationID = "2a1c3c1e-0d0e-4d7e-9a55-0c3f5a3c7a11"

func newTestRunner(limits Limits) (*Runner, *bytes.Buffer) {
	var log bytes.Buffer
	return NewRunner(slog.New(slog.NewJSONHandler(&log, nil)), limits), &log
}

func envelopePost(body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/migrate", strings.NewReader(body))
	r.Header.Set(invocationHeader, invocationID)
	return r
}

// checkDocument fails unless the response is one that the host understands.
func checkDocument(t *testing.T, w *httptest.ResponseRecorder, status int, logs ...string) {
	t.Helper()
	if w.Code != status {
		t.Errorf("status: got %d, want %d", w.Code, status)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("content type: got %q", got)
	}
	want := `{"Outputs":{},"Logs":[],"ReturnValue":null}`
	if len(logs) > 0 {
		lines, _ := json.Marshal(logs)
		want = `{"Outputs":{},"Logs":` + string(lines) + `,"ReturnValue":null}`
	}
	if got := w.Body.String(); got != want {
		t.Errorf("body: got %s, want %s", got, want)
	}
}

func TestRunner_Envelope_AnswersByOutcome(t *testing.T) {
	tests := []struct {
		name  string
		reply Reply
		want  int
	}{
		{"done", Reply{}, 200},
		{"done with a log line", Reply{Logs: []string{"3 rows <moved>"}}, 200},
		{"redeliver", Reply{Redeliver: true}, 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			runner, _ := newTestRunner(Limits{})
			w := httptest.NewRecorder()
			var got Invocation
			runner.Envelope("migrate", func(_ context.Context, in Invocation) Reply {
				got = in
				return tt.reply
			}).ServeHTTP(w, envelopePost(`{"Data":{}}`))
			checkDocument(t, w, tt.want, tt.reply.Logs...)
			want := Invocation{ID: invocationID, Function: "migrate", Body: []byte(`{"Data":{}}`)}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("invocation (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRunner_Envelope_RefusesOthersThanTheHost(t *testing.T) {
	tests := []struct {
		name, method, id string
		want             int
	}{
		{"no invocation header", "POST", "", 403},
		{"overlong invocation header", "POST", strings.Repeat("a", 129), 403},
		{"not a post", "GET", invocationID, 405},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			runner, _ := newTestRunner(Limits{})
			r := httptest.NewRequest(tt.method, "/migrate", strings.NewReader("{}"))
			if tt.id != "" {
				r.Header.Set(invocationHeader, tt.id)
			}
			w := httptest.NewRecorder()
			runner.Envelope("migrate", func(context.Context, Invocation) Reply {
				t.Error("the function ran")
				return Reply{}
			}).ServeHTTP(w, r)
			checkDocument(t, w, tt.want)
		})
	}
}

func TestRunner_Envelope_BoundsTheBody(t *testing.T) {
	for size, want := range map[int]int{100: 200, 101: 500} {
		runner, _ := newTestRunner(Limits{BodyBytes: 100})
		w := httptest.NewRecorder()
		runner.Envelope("migrate", func(context.Context, Invocation) Reply { return Reply{} }).
			ServeHTTP(w, envelopePost(strings.Repeat("x", size)))
		checkDocument(t, w, want)
	}
}

func TestRunner_Envelope_AnswersAfterAPanicAndTellsNoContent(t *testing.T) {
	tests := []struct {
		name string
		f    func()
		want string // what the log says of the panic
	}{
		{"value", func() { panic("confidential row") }, `"panic":"string"`},
		{"runtime error", func() { var s []int; _ = s[len(s)+3] }, "index out of range"},
		{"goroutine ended", func() { runtime.Goexit() }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			runner, log := newTestRunner(Limits{})
			w := httptest.NewRecorder()
			runner.Envelope("migrate", func(context.Context, Invocation) Reply {
				tt.f()
				return Reply{}
			}).ServeHTTP(w, envelopePost(`{"body":"confidential row"}`))
			checkDocument(t, w, 500)
			if !strings.Contains(log.String(), tt.want) || strings.Contains(log.String(), "confidential") {
				t.Errorf("log: %s", log)
			}
			if tt.want != "" && !strings.Contains(log.String(), "runner_test.go") {
				t.Errorf("log has no stack: %s", log)
			}
		})
	}
}

func TestRunner_Envelope_EndsTheContextBeforeTheAnswerIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runner, _ := newTestRunner(Limits{AnswerWithin: 25 * time.Minute, Grace: 10 * time.Second})
		start := time.Now()
		w := httptest.NewRecorder()
		runner.Envelope("migrate", func(ctx context.Context, _ Invocation) Reply {
			<-ctx.Done()
			return Reply{Logs: []string{"put off"}}
		}).ServeHTTP(w, envelopePost(`{}`))
		checkDocument(t, w, 200, "put off")
		if got, want := time.Since(start), 25*time.Minute-10*time.Second; got != want {
			t.Errorf("context ended after %v, want %v", got, want)
		}
	})
}

func TestRunner_Envelope_AnswersForWorkThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runner, log := newTestRunner(Limits{AnswerWithin: 25 * time.Minute, Grace: 10 * time.Second})
		release := make(chan struct{})
		defer close(release)
		start := time.Now()
		w := httptest.NewRecorder()
		runner.Envelope("migrate", func(context.Context, Invocation) Reply {
			<-release
			return Reply{}
		}).ServeHTTP(w, envelopePost(`{}`))
		checkDocument(t, w, 500)
		if got := time.Since(start); got != 25*time.Minute {
			t.Errorf("answered after %v, want 25m", got)
		}
		if !strings.Contains(log.String(), "abandoned") || !strings.Contains(log.String(), invocationID) {
			t.Errorf("log: %s", log)
		}
	})
}

func TestRunner_Envelope_AnswersForABodyThatNeverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runner, _ := newTestRunner(Limits{AnswerWithin: time.Minute, Grace: time.Second})
		reader, writer := io.Pipe()
		defer writer.Close()
		r := httptest.NewRequest(http.MethodPost, "/migrate", reader)
		r.Header.Set(invocationHeader, invocationID)
		w := httptest.NewRecorder()
		runner.Envelope("migrate", func(context.Context, Invocation) Reply { return Reply{} }).ServeHTTP(w, r)
		checkDocument(t, w, 500)
	})
}

func TestRunner_Envelope_AnswersAGraceAfterItsContextIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runner, _ := newTestRunner(Limits{AnswerWithin: 25 * time.Minute, Grace: 10 * time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // as when the process drains
		defer cancel()
		release := make(chan struct{})
		defer close(release)
		start := time.Now()
		w := httptest.NewRecorder()
		runner.Envelope("migrate", func(context.Context, Invocation) Reply {
			<-release
			return Reply{}
		}).ServeHTTP(w, envelopePost(`{}`).WithContext(ctx))
		checkDocument(t, w, 500)
		if got := time.Since(start); got != 70*time.Second {
			t.Errorf("answered after %v, want 1m10s", got)
		}
	})
}

func TestRunner_LoggerNamesFunctionAndInvocation(t *testing.T) {
	runner, log := newTestRunner(Limits{})
	var id string
	runner.Envelope("migrate", func(ctx context.Context, _ Invocation) Reply {
		Logger(ctx).Info("slice done")
		id = InvocationID(ctx)
		return Reply{}
	}).ServeHTTP(httptest.NewRecorder(), envelopePost(`{}`))
	var line map[string]any
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatalf("log %s: %v", log, err)
	}
	if line["function"] != "migrate" || line["invocation_id"] != invocationID || id != invocationID {
		t.Errorf("log line %v, id %q", line, id)
	}
}

func TestLogger_IsSilentOutsideOfAnInvocation(t *testing.T) {
	if Logger(t.Context()).Enabled(t.Context(), slog.LevelError) {
		t.Error("a logger without an invocation writes somewhere")
	}
	if got := InvocationID(t.Context()); got != "" {
		t.Errorf("InvocationID: got %q", got)
	}
}

func TestRunner_Forwarded_PassesTheResponseOn(t *testing.T) {
	runner, _ := newTestRunner(Limits{})
	w := httptest.NewRecorder()
	runner.Forwarded("status", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, "<p>"+r.URL.Path)
	})).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/status", nil))
	if w.Code != 202 || w.Header().Get("Content-Type") != "text/html" || w.Body.String() != "<p>/api/status" {
		t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
}

func TestRunner_Forwarded_AnswersJSONForBrokenAndHangingWork(t *testing.T) {
	release := make(chan struct{})
	tests := []struct {
		name string
		f    http.HandlerFunc
		want string
	}{
		{"panics", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half a page")
			panic("confidential")
		}, "the function broke off"},
		{"hangs", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half a page")
			<-release
		}, "the function did not end in time"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release = make(chan struct{})
				defer close(release)
				runner, _ := newTestRunner(Limits{})
				r := httptest.NewRequest(http.MethodGet, "/api/status", nil)
				r.Header.Set(invocationHeader, invocationID)
				start := time.Now()
				w := httptest.NewRecorder()
				runner.Forwarded("status", tt.f).ServeHTTP(w, r)
				want := `{"error":"` + tt.want + `","invocation_id":"` + invocationID + `"}`
				if w.Code != 500 || w.Header().Get("Content-Type") != "application/json" || w.Body.String() != want {
					t.Errorf("got %d %v %s, want %s", w.Code, w.Header(), w.Body, want)
				}
				if took := time.Since(start); took > 200*time.Second {
					t.Errorf("answered after %v", took)
				}
			})
		})
	}
}

// The host writes all of a body before it reads an answer: one that is too large is
// read to its end and refused in JSON, and the connection stays usable.
func TestRunner_Forwarded_BoundsTheBody(t *testing.T) {
	runner, _ := newTestRunner(Limits{})
	served := 0
	server := httptest.NewServer(runner.Forwarded("tables", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served++
		_, _ = io.Copy(w, r.Body)
	})))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for _, tt := range []struct {
		bytes, status int
		says          string
	}{
		{3, http.StatusOK, "xxx"},
		{50 << 20, http.StatusRequestEntityTooLarge, `{"error":"the body is over 1048576 bytes; no call of this app needs one"}`},
		{0, http.StatusOK, ""},
	} {
		request := fmt.Sprintf("POST /api/tables HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", tt.bytes, strings.Repeat("x", tt.bytes))
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatalf("write %d bytes: %v", tt.bytes, err)
		}
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatalf("%d bytes: %v", tt.bytes, err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != tt.status || strings.TrimSpace(string(body)) != tt.says {
			t.Errorf("%d bytes: %d %s, %v; want %d %s", tt.bytes, resp.StatusCode, body, err, tt.status, tt.says)
		}
	}
	if served != 2 {
		t.Errorf("the function saw %d requests, want 2", served)
	}
}
