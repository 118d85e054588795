package host

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func env(port string) func(string) string {
	return func(name string) string {
		if name == "FUNCTIONS_CUSTOMHANDLER_PORT" {
			return port
		}
		return ""
	}
}

func TestListen_RefusesABadPortInTheOperatorsWords(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tests := []struct{ name, port, want string }{
		{"missing", "", "is not set"},
		{"not a number", "http", `want a port from 1 to 65535, got "http"`},
		{"zero", "0", "want a port"},
		{"too large", "65536", "want a port"},
		{"taken", strconv.Itoa(taken.Addr().(*net.TCPAddr).Port), "address already in use"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := Listen(t.Context(), env(tt.port))
			if err == nil {
				l.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "FUNCTIONS_CUSTOMHANDLER_PORT") {
				t.Errorf("port %q: got error %v, want one with %q", tt.port, err, tt.want)
			}
		})
	}
}

// started is a running server of a test.
type started struct {
	url  string
	stop context.CancelFunc
	done chan error
	l    net.Listener
}

func start(t *testing.T, s *Server) started {
	t.Helper()
	s.Log = slog.New(slog.DiscardHandler)
	l, err := Listen(t.Context(), env(freePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGTERM) // as main does
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(stop)
	return started{url: "http://" + l.Addr().String(), stop: stop, done: done, l: l}
}

func TestServer_AnswersThePingWhateverTheHandlerDoes(t *testing.T) {
	s := start(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" && r.Method == http.MethodGet {
			t.Error("the ping reached the handler")
		}
		w.WriteHeader(http.StatusTeapot)
	})})
	for path, want := range map[string]int{"/": 200, "/?x=1": 200, "/schedule": 418} {
		response, err := http.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("GET %s: got %d %s, want %d", path, response.StatusCode, body, want)
		}
	}
	s.stop()
	if err := <-s.done; err != nil {
		t.Errorf("Serve after the order to stop: %v", err)
	}
}

func TestServer_LostListenerIsAnError(t *testing.T) {
	s := start(t, &Server{Handler: http.NotFoundHandler()})
	s.l.Close()
	if err := <-s.done; err == nil || !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve without a listener: got %v, want an error", err)
	}
}

// blocking is a handler that says when it has begun, ends when its context does
// or on release, and reports the cause.
type blocking struct {
	begun   chan struct{}
	release chan struct{}
	cause   chan error
	deaf    bool // ignores its context
}

func newBlocking(deaf bool) *blocking {
	return &blocking{begun: make(chan struct{}), release: make(chan struct{}), cause: make(chan error, 1), deaf: deaf}
}

func (b *blocking) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	close(b.begun)
	cancelled := r.Context().Done()
	if b.deaf {
		cancelled = nil
	}
	select {
	case <-cancelled:
		b.cause <- context.Cause(r.Context())
	case <-b.release:
		b.cause <- nil
	}
	w.WriteHeader(http.StatusOK)
}

// post calls the handler in the background and reports the status, 0 on failure.
func post(url string) chan int {
	status := make(chan int, 1)
	go func() {
		response, err := http.Post(url+"/migrate", "application/json", strings.NewReader("{}"))
		if err != nil {
			status <- 0
			return
		}
		response.Body.Close()
		status <- response.StatusCode
	}()
	return status
}

func TestServer_LetsRunningWorkEndOnASignal(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows cannot send SIGTERM to a process")
	}
	work := newBlocking(false)
	s := start(t, &Server{Handler: work, DrainGrace: time.Minute, CancelGrace: time.Minute})
	status := post(s.url)
	<-work.begun
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// The signal has arrived when the port is closed: no more work is taken.
	for {
		conn, err := net.Dial("tcp4", s.l.Addr().String())
		if err != nil {
			break
		}
		conn.Close()
	}
	close(work.release)
	if err := <-s.done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if got, cause := <-status, <-work.cause; got != 200 || cause != nil {
		t.Errorf("running work: status %d, context ended by %v", got, cause)
	}
}

func TestServer_CancelsWorkThatOutlastsTheGrace(t *testing.T) {
	work := newBlocking(false)
	s := start(t, &Server{Handler: work, DrainGrace: time.Millisecond, CancelGrace: time.Minute})
	status := post(s.url)
	<-work.begun
	s.stop()
	if err := <-s.done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if got, cause := <-status, <-work.cause; got != 200 || !errors.Is(cause, errStopped) {
		t.Errorf("running work: status %d, context ended by %v", got, cause)
	}
}

func TestServer_StopsInSpiteOfWorkThatHangs(t *testing.T) {
	work := newBlocking(true)
	defer close(work.release)
	s := start(t, &Server{Handler: work, DrainGrace: time.Millisecond, CancelGrace: time.Millisecond})
	status := post(s.url)
	<-work.begun
	s.stop()
	if err := <-s.done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if got := <-status; got != 0 {
		t.Errorf("hanging work was answered with %d", got)
	}
}
