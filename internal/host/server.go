package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"
)

// portVariable holds the port that the host has chosen for the handler.
const portVariable = "FUNCTIONS_CUSTOMHANDLER_PORT"

// Listen takes the port that the host has handed out, on IPv4 loopback, which is
// where the host dials. Call it before anything slow: the host gives a new
// process thirty seconds to accept a connection. getenv is os.Getenv.
func Listen(ctx context.Context, getenv func(string) string) (net.Listener, error) {
	value := getenv(portVariable)
	if value == "" {
		return nil, fmt.Errorf("%s is not set: the handler is started by the Functions host, which sets it; to try it alone, set it to a free port", portVariable)
	}
	port, err := strconv.ParseUint(value, 10, 16)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("%s: want a port from 1 to 65535, got %.20q", portVariable, value)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.FormatUint(port, 10)))
	if err != nil {
		return nil, fmt.Errorf("listen on the port of %s: %w", portVariable, err)
	}
	return listener, nil
}

// headerTimeout ends a connection that sends no request: the host, on the same machine,
// sends its headers at once.
const headerTimeout = 10 * time.Second

// Server serves the host until it is told to stop.
type Server struct {
	// Handler serves everything but GET /.
	Handler http.Handler
	// Log gets a line for the start and each step of the end.
	Log *slog.Logger
	// DrainGrace is how long running invocations may go on after the order to
	// stop, before their contexts are cancelled. A checkpoint takes less; the host
	// itself kills the process ten seconds after it stops its listeners.
	DrainGrace time.Duration
	// CancelGrace is how long they may take to end after that.
	CancelGrace time.Duration
}

// Serve serves l until ctx is done and then drains: it takes no more work, lets
// running invocations end, cancels their contexts after DrainGrace and closes
// their connections after CancelGrace more.
//
// It returns nil only when ctx was done, that is when the process was told to
// stop. The host does not restart a process that exits with 0, so every other
// return must become another exit code.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	// Not derived from ctx: an order to stop must not cut off what is running.
	work, cancelWork := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancelWork(nil)
	server := &http.Server{
		Handler:           withPing(s.Handler),
		BaseContext:       func(net.Listener) context.Context { return work },
		ReadHeaderTimeout: headerTimeout,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
		// No write time-out, since invocations run for minutes and have a deadline
		// of their own. No idle time-out, since the host is the only client: closing
		// a connection just as it is used again would fail an invocation.
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	s.Log.InfoContext(ctx, "serving the functions host", "address", l.Addr().String())

	select {
	case err := <-served:
		_ = server.Close()
		return fmt.Errorf("serve the functions host on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}

	s.Log.Info("told to stop, draining", "cause", context.Cause(ctx).Error(), "grace_ms", s.DrainGrace.Milliseconds())
	if drain(server, s.DrainGrace) {
		return nil
	}
	s.Log.Warn("invocations still running, cancelling them", "grace_ms", s.CancelGrace.Milliseconds())
	cancelWork(errStopped)
	if drain(server, s.CancelGrace) {
		return nil
	}
	s.Log.Error("invocations still running, leaving them behind; their messages are delivered again")
	_ = server.Close()
	return nil
}

// errStopped is the cause of a context that the drain has cancelled.
var errStopped = errors.New("the process was told to stop")

// drain waits for the running requests, at most for grace, and says whether all
// of them ended. The listener is closed from the first call on.
func drain(server *http.Server, grace time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	return server.Shutdown(ctx) == nil
}

// withPing answers GET / by itself and at once. The host asks it to find out
// whether the process is up, holds every trigger back until it has an answer and
// stops altogether if none comes.
func withPing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			writeJSON(w, http.StatusOK, struct {
				Status string `json:"status"`
			}{"ok"})
			return
		}
		next.ServeHTTP(w, r)
	})
}
