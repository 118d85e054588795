package funchost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// Line is one line that the handler wrote.
type Line struct {
	Level  slog.Level // as the real host rates it
	Stderr bool
	System bool // began with LanguageWorkerConsoleLog, which is cut off

	// Of lines from the Logs of an answer, not from the console:
	Function, InvocationID string

	Text string
}

// category is the log category that the real host files the line under.
func (l Line) category() string {
	switch {
	case l.Function != "":
		return "Function." + l.Function + ".User"
	case l.System:
		return "Worker.HttpWorkerProcess"
	}
	return "Host.Function.Console"
}

const systemLinePrefix = "LanguageWorkerConsoleLog"

// rateLine gives a line the level that the real host logs it at.
func rateLine(text string, stderr, stderrIsError bool) Line {
	line := Line{Level: slog.LevelInfo, Stderr: stderr, Text: text}
	if stderr {
		lower := strings.ToLower(text)
		switch {
		case strings.Contains(lower, "warn"):
			line.Level = slog.LevelWarn
		case stderrIsError, strings.Contains(lower, "error"), strings.Contains(lower, "fail"),
			strings.Contains(lower, "severe"), strings.Contains(lower, "unhandled exception"):
			line.Level = slog.LevelError
		}
	}
	line.Text, line.System = strings.CutPrefix(text, systemLinePrefix)
	return line
}

// lineWriter cuts what a process writes into lines.
type lineWriter struct {
	pending []byte
	line    func(string)
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.pending = append(w.pending, p...)
	for {
		end := bytes.IndexByte(w.pending, '\n')
		if end < 0 {
			return len(p), nil
		}
		w.line(strings.TrimSuffix(string(w.pending[:end]), "\r"))
		w.pending = w.pending[end+1:]
	}
}

func (w *lineWriter) flush() {
	if len(w.pending) > 0 {
		w.line(string(w.pending))
		w.pending = nil
	}
}

// command says how to start the handler.
type command struct {
	path        string
	arguments   []string
	dir         string
	environment []string // without the variables that differ per start
	appRoot     string
	port        int
}

// newCommand resolves the description in host.json. A relative executable is
// taken from the worker directory if it is there, else from the PATH; the
// working directory plays no part in that.
func newCommand(appRoot string, cfg handlerConfig, s settings, port int) (command, error) {
	within := func(base, path string) string {
		if filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(base, path)
	}
	c := command{appRoot: appRoot, port: port, environment: s.environ()}
	c.dir = within(appRoot, cfg.workingDirectory)
	workerDirectory := within(appRoot, cfg.workerDirectory)
	c.path = within(workerDirectory, cfg.executable)
	if _, err := os.Stat(c.path); err != nil {
		found, lookErr := exec.LookPath(cfg.executable)
		if lookErr != nil {
			return command{}, fmt.Errorf("find handler %s: neither in %s nor on the PATH", cfg.executable, workerDirectory)
		}
		c.path = found
	}
	// Arguments are joined with blanks and not quoted, so one that holds a blank
	// is split.
	expand := func(list []string) []string {
		text := strings.Join(list, " ")
		text = strings.ReplaceAll(text, "%FUNCTIONS_CUSTOMHANDLER_PORT%", strconv.Itoa(port))
		return strings.Fields(s.expand(text))
	}
	c.arguments = expand(cfg.arguments)
	if cfg.workerPath != "" {
		c.arguments = append(c.arguments, within(workerDirectory, cfg.workerPath))
	}
	c.arguments = append(c.arguments, expand(cfg.workerArguments)...)
	return c, nil
}

// environ returns the handler's environment for one start: all settings and the
// five variables of the custom handler contract.
func (c command) environ() []string {
	port, id := strconv.Itoa(c.port), uuid.NewString()
	return append(append([]string(nil), c.environment...),
		"FUNCTIONS_CUSTOMHANDLER_PORT="+port,
		"FUNCTIONS_CUSTOMHANDLER_WORKER_ID="+id,
		"FUNCTIONS_APP_ROOT_PATH="+c.appRoot,
		"FUNCTIONS_HTTPWORKER_PORT="+port,
		"FUNCTIONS_HTTPWORKER_ID="+id,
	)
}

// process is one running handler.
type process struct {
	pid      int
	handle   *os.Process
	exited   chan struct{}    // closed once the process is gone and its output read
	state    *os.ProcessState // valid after exited
	forgiven atomic.Bool      // killed by the host after a function timeout; the exit is not counted
	killed   atomic.Int64     // when, in nanoseconds since 1970; 0: not

	mu   sync.Mutex
	tail []string // last stderr lines
}

// tailLines is how many lines of stderr the crash message repeats. Source: the
// real host's worker process.
const tailLines = 3

// start launches the handler. Where the system can do it the handler dies with
// this process, which the real host on Linux does not arrange: here a killed
// host must leave nothing behind. That bond is to the thread that forked, so the
// thread is kept for the handler's whole life.
func (c command) start(stderrIsError bool, onLine func(Line)) (*process, error) {
	p := &process{exited: make(chan struct{})}
	cmd := exec.Command(c.path, c.arguments...)
	cmd.Dir = c.dir
	cmd.Env = c.environ()
	cmd.SysProcAttr = childAttributes()
	cmd.WaitDelay = time.Second // for a grandchild that keeps the pipes open
	stdout := &lineWriter{line: func(text string) { onLine(rateLine(text, false, stderrIsError)) }}
	stderr := &lineWriter{line: func(text string) {
		p.mu.Lock()
		p.tail = append(p.tail, text)
		p.tail = p.tail[max(0, len(p.tail)-tailLines):]
		p.mu.Unlock()
		onLine(rateLine(text, true, stderrIsError))
	}}
	cmd.Stdout, cmd.Stderr = stdout, stderr

	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		p.pid, p.handle = cmd.Process.Pid, cmd.Process
		started <- nil
		_ = cmd.Wait() // the exit state tells all that counts
		stdout.flush()
		stderr.flush()
		p.state = cmd.ProcessState
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start handler: %w", err)
	}
	return p, nil
}

// exitText describes the exit and the last lines of stderr. After exited only.
func (p *process) exitText() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := p.state.String()
	if len(p.tail) > 0 {
		text += ", last on stderr: " + strings.Join(p.tail, " | ")
	}
	return text
}

// probeInterval is the pause between two readiness probes. Source: the real host.
const probeInterval = 25 * time.Millisecond

var errExitedEarly = errors.New("handler exited before it answered")

// awaitAnswer asks GET / until the handler gives any HTTP answer. An error that
// is not about the connection counts as an answer too. The limit also bounds a
// handler that accepts the connection and stays silent; the real host would wait
// for that one without end.
func (p *process) awaitAnswer(ctx context.Context, client *http.Client, address string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err == nil {
			return resp.Body.Close()
		}
		var socket *net.OpError
		if ctx.Err() == nil && !errors.As(err, &socket) {
			return nil
		}
		select {
		case <-p.exited:
			return errExitedEarly
		case <-ctx.Done():
			return fmt.Errorf("handler did not answer GET / within %v", limit)
		case <-time.After(probeInterval):
		}
	}
}
