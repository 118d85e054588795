// Package funchost runs an Azure Functions custom handler the way the Functions
// host v4 under Core Tools runs it: it reads host.json and function.json, keeps
// the handler process alive, polls queues, fires timers, serves HTTP, and speaks
// the host's wire format with all its quirks.
//
// It refuses, by name, what it does not imitate: language workers, other
// bindings, proxying mode, retry policies, identity-based connections, several
// instances of one app (it takes no lock for timers).
//
// Where the real host would only hang or wait, this one fails at once and says
// why. No handler process outlives its host, where the system allows that.
package funchost

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options say what to run and how. Only AppRoot is required.
type Options struct {
	// AppRoot is the folder with host.json and the function folders.
	AppRoot string

	// Env ("K=V") is laid over BaseEnv, and both over local.settings.json.
	// BaseEnv is the process's own environment if nil.
	Env, BaseEnv []string

	// HostOnly names settings that the host uses and the handler is not given, in any
	// letter case: in Azure the host's own access to storage is none of the handler's.
	HostOnly []string

	// Addr is where to listen for HTTP; 127.0.0.1:0 if empty.
	Addr string

	// Logger gets the host's own log; nothing is logged if nil.
	Logger *slog.Logger

	// OnLine gets every line that the handler writes, and the Logs of its
	// answers; Logger gets them if OnLine is nil. OnEvent gets what happens. Each is called by one goroutine at a
	// time and must return soon; it may not wait for the host.
	OnLine  func(Line)
	OnEvent func(Event)

	Timing Timing
	Faults Faults

	// AnnouncedBodies sends envelopes with their length, as under Core Tools; in Azure
	// they come chunked.
	AnnouncedBodies bool

	// ZonelessTimes leaves the offset off the times in a timer's status.
	ZonelessTimes bool
}

// Timing shortens waits. A zero field takes the real host's value.
type Timing struct {
	QueueLease      time.Duration // a fetched message stays hidden: 10 min; whole seconds, rounded up
	QueueRenewal    time.Duration // renewal of that: half of QueueLease
	QueuePolling    time.Duration // longest wait between polls: host.json
	QueueVisibility time.Duration // before a failed message shows again: host.json
	RestartWindow   time.Duration // gap that forgets handler errors: 30 min
	StopGrace       time.Duration // for running invocations at Stop: 10 s
	FunctionTimeout time.Duration // host.json
	TimeoutGrace    time.Duration // waited once before a timed-out handler is killed: 2 s
}

func (t Timing) withDefaults(cfg hostConfig) Timing {
	set := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	set(&t.QueueLease, queueLease)
	set(&t.QueueRenewal, t.QueueLease/2)
	set(&t.QueuePolling, cfg.queues.maxPolling)
	set(&t.QueueVisibility, cfg.queues.visibility)
	set(&t.RestartWindow, 30*time.Minute)
	set(&t.StopGrace, 10*time.Second)
	set(&t.FunctionTimeout, cfg.functionTimeout)
	set(&t.TimeoutGrace, 2*time.Second)
	return t
}

// Host is a running Functions host.
type Host struct {
	opts      Options
	timing    Timing
	config    hostConfig
	settings  settings
	functions []*Function
	byRoute   []*Function // enabled HTTP functions in the order to try
	handler   *supervisor
	client    *http.Client
	status    statusStore
	hostID    string
	wake      map[string]chan struct{} // by openQueue's key
	log       *slog.Logger
	started   time.Time

	listener net.Listener
	server   *http.Server

	fetch, work   context.Context // taking on work; finishing it
	cancelFetch   context.CancelFunc
	cancelWork    context.CancelFunc
	cancelHandler context.CancelFunc

	mu       sync.Mutex
	tasks    sync.WaitGroup // listeners and manual runs
	closed   bool           // no more tasks
	stats    Stats
	cause    error
	stopOnce sync.Once
	done     chan struct{}

	lineMu, eventMu sync.Mutex
}

// Start loads the app, starts the handler and the listeners, and returns once
// the handler answers. Listeners run from the beginning, as in the real host: an
// early invocation waits for the handler. A function that cannot be loaded does
// not keep the others from running; see Functions. When ctx ends the host stops.
func Start(ctx context.Context, opts Options) (*Host, error) {
	h, err := load(opts)
	if err != nil {
		return nil, err
	}
	if err := h.connectStorage(ctx); err != nil {
		return nil, err
	}
	if err := h.serve(); err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { h.stopWith(nil) })
	if err := h.handler.awaitReady(ctx, 4*h.handler.initialization); err != nil {
		h.stopWith(nil)
		<-h.done
		return nil, fmt.Errorf("start functions host: %w", err)
	}
	return h, nil
}

// load reads the app without starting anything.
func load(opts Options) (*Host, error) {
	root, err := filepath.Abs(opts.AppRoot)
	if err != nil {
		return nil, fmt.Errorf("find app root: %w", err)
	}
	opts.AppRoot = root
	base := opts.BaseEnv
	if base == nil {
		base = os.Environ()
	}
	h := &Host{opts: opts, log: opts.Logger, done: make(chan struct{}), wake: make(map[string]chan struct{}), started: time.Now()}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if h.settings, err = readSettings(root, append(slices.Clone(base), opts.Env...)); err != nil {
		return nil, err
	}
	h.settings.set("AZURE_FUNCTIONS_ENVIRONMENT", "Development")
	h.settings.set("FUNCTIONS_CORETOOLS_ENVIRONMENT", "true")
	if runtime, ok := h.settings.lookup("FUNCTIONS_WORKER_RUNTIME"); !ok {
		h.log.Warn("FUNCTIONS_WORKER_RUNTIME is not set; want custom")
	} else if !strings.EqualFold(runtime, "custom") {
		return nil, fmt.Errorf("FUNCTIONS_WORKER_RUNTIME: want custom, got %q", runtime)
	}
	if h.config, err = readHostConfig(root, h.settings); err != nil {
		return nil, err
	}
	h.timing = opts.Timing.withDefaults(h.config)
	h.config.queues.maxPolling, h.config.queues.visibility = h.timing.QueuePolling, h.timing.QueueVisibility
	if h.functions, err = readFunctions(root, h.config, h.settings); err != nil {
		return nil, err
	}
	for _, f := range h.functions {
		switch {
		case f.Err != nil:
			h.log.Error("function is not loaded", "function", f.Name, "err", f.Err)
			h.emit(Event{Kind: FunctionRefused, Invocation: Invocation{Function: f.Name}, Err: f.Err})
		case f.Trigger == TriggerHTTP && !f.Disabled:
			h.byRoute = append(h.byRoute, f)
		}
	}
	slices.SortStableFunc(h.byRoute, func(a, b *Function) int {
		switch {
		case a.route.before(b.route):
			return -1
		case b.route.before(a.route):
			return 1
		}
		return 0
	})
	h.hostID = hostID(root, h.settings)
	return h, nil
}

// hostID names the host in its storage: a setting, else machine and app root.
func hostID(root string, s settings) string {
	if id, ok := s.lookup("AzureFunctionsWebHost__hostid"); ok {
		return strings.ToLower(id)
	}
	machine, err := os.Hostname()
	if err != nil {
		machine = "local"
	}
	hash := fnv.New32a()
	hash.Write([]byte(root))
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(machine))
	return fmt.Sprintf("%.20s-%d", name, hash.Sum32())
}

// connectStorage opens the host's own storage, which any trigger but HTTP needs.
func (h *Host) connectStorage(ctx context.Context) error {
	if !slices.ContainsFunc(h.functions, func(f *Function) bool { return f.Trigger == TriggerTimer || f.Trigger == TriggerQueue }) {
		return nil
	}
	connection, err := h.settings.connection("")
	if err != nil {
		return err
	}
	status, err := openStatus(connection, h.hostID)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	h.status = status
	return status.reachable(ctx)
}

// serve starts everything that runs.
func (h *Host) serve() error {
	addr := h.opts.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	port := h.config.handler.port
	if port == 0 {
		var err error
		if port, err = FreePort(); err != nil {
			return err
		}
	}
	command, err := newCommand(h.opts.AppRoot, h.config.handler, h.settings.without(h.opts.HostOnly), port)
	if err != nil {
		return err
	}
	h.fetch, h.cancelFetch = context.WithCancel(context.Background())
	h.work, h.cancelWork = context.WithCancel(context.Background())
	// Built before anything runs, so that a refusal leaves nothing behind.
	listeners, err := h.listeners()
	if err != nil {
		return err
	}
	if h.listener, err = net.Listen("tcp", addr); err != nil {
		return fmt.Errorf("listen for HTTP: %w", err)
	}
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64} // and no proxy
	h.client = &http.Client{Transport: transport}
	if h.timing.FunctionTimeout > 0 {
		h.client.Timeout = h.timing.FunctionTimeout + time.Minute
	}
	if h.config.handler.forwardHTTP {
		h.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	h.handler = &supervisor{
		command:        command,
		stderrIsError:  h.config.handler.stderrIsError,
		initialization: h.config.handler.initialization,
		window:         h.timing.RestartWindow,
		probe:          &http.Client{Transport: transport},
		address:        fmt.Sprintf("http://127.0.0.1:%d", port),
		log:            h.log,
		onLine:         h.line,
		emit:           h.emit,
		ready:          make(chan struct{}),
		stopped:        make(chan struct{}),
	}
	h.server = &http.Server{Handler: h.routes(), ReadHeaderTimeout: time.Minute}
	var handlerCtx context.Context
	handlerCtx, h.cancelHandler = context.WithCancel(context.Background())
	go func() {
		if err := h.handler.run(handlerCtx); err != nil {
			h.stopWith(err)
		}
	}()
	go h.server.Serve(h.listener) //nolint:errcheck // ends with Shutdown or Close
	for _, listen := range listeners {
		h.background(func() { listen(h.fetch, h.work) })
	}
	return nil
}

// The ports that handlers listen on. No system hands them out by itself, as it does with
// those above (from 32768 on Linux, from 49152 elsewhere): between the moment when a free
// one is found and that at which a handler, or its successor, listens, nobody takes it.
const (
	lowestPort = 20_000
	ports      = 10_000
	portsToTry = 100
)

// FreePort finds one that is free now.
func FreePort() (port int, err error) {
	for range portsToTry {
		port = lowestPort + rand.IntN(ports)
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}

// background runs a task that Stop waits for. It returns false once the host is
// stopping.
func (h *Host) background(task func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.tasks.Go(task)
	return true
}

func (h *Host) function(name string) *Function {
	for _, f := range h.functions {
		if f.Err == nil && strings.EqualFold(f.Name, name) {
			return f
		}
	}
	return nil
}

func (h *Host) line(l Line) {
	h.lineMu.Lock()
	defer h.lineMu.Unlock()
	if h.opts.OnLine != nil {
		h.opts.OnLine(l)
	} else {
		h.log.Log(context.Background(), l.Level, l.Text, "category", l.category())
	}
}

func (h *Host) emit(e Event) {
	e.Time = time.Now()
	h.mu.Lock()
	h.stats.count(e)
	h.mu.Unlock()
	h.eventMu.Lock()
	defer h.eventMu.Unlock()
	if h.opts.OnEvent != nil {
		h.opts.OnEvent(e)
	}
}

// URL returns the address of the HTTP functions and the admin API, without a
// trailing slash.
func (h *Host) URL() string { return "http://" + h.listener.Addr().String() }

// Functions returns the functions found, those that are not loaded included.
func (h *Host) Functions() []*Function { return slices.Clone(h.functions) }

// Stats returns the counts so far.
func (h *Host) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stats
}

// HandlerPID returns the process id of the newest handler process.
func (h *Host) HandlerPID() int {
	if p := h.handler.process(); p != nil {
		return p.pid
	}
	return 0
}

// KillHandler sends a signal to the handler. Its end is judged by the exit code,
// as any other. A handler that is gone gives os.ErrProcessDone.
func (h *Host) KillHandler(sig os.Signal) error { return h.handler.signal(sig) }

// FreezeHandler stops the handler in mid-work (SIGSTOP) until ThawHandler.
func (h *Host) FreezeHandler() error {
	if p := h.handler.process(); p != nil {
		return freezeProcess(p.handle)
	}
	return os.ErrProcessDone
}

// ThawHandler lets a frozen handler go on (SIGCONT).
func (h *Host) ThawHandler() error {
	if p := h.handler.process(); p != nil {
		return thawProcess(p.handle)
	}
	return os.ErrProcessDone
}

// Stop ends the host: listeners first, which wait for running invocations; after
// StopGrace the handler is killed, and what was still running is lost. It
// returns ctx's error if that ends first, while the host goes on stopping.
func (h *Host) Stop(ctx context.Context) error {
	h.stopWith(nil)
	select {
	case <-h.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Done is closed when the host has stopped.
func (h *Host) Done() <-chan struct{} { return h.done }

// Wait blocks until the host has stopped. It returns why, if the host gave up by
// itself, and nil after Stop.
func (h *Host) Wait() error {
	<-h.done
	return h.cause
}

// stopWith begins to stop the host, without waiting for it.
func (h *Host) stopWith(cause error) {
	h.stopOnce.Do(func() {
		h.cause = cause
		if cause != nil {
			h.log.Error("host stops", "err", cause)
		}
		go h.shutdown()
	})
}

func (h *Host) shutdown() {
	defer close(h.done)
	h.cancelFetch()
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()

	grace, cancel := context.WithTimeout(context.Background(), h.timing.StopGrace)
	defer cancel()
	idle := make(chan struct{})
	go func() {
		_ = h.server.Shutdown(grace) // Close below ends what Shutdown could not
		h.tasks.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-grace.Done():
	}
	// Before the kill: what fails by it must not be reported to storage, as the
	// real host is gone by then.
	h.cancelWork()
	h.handler.stop(h.cancelHandler, h.opts.Faults.TermGrace)
	_ = h.server.Close()
	<-idle
	h.client.CloseIdleConnections()
}
