// Package azurite runs the Azurite storage emulator as a child process and puts
// TLS in front of it.
//
// Azurite is the real thing for queues, blobs, tables and shared access
// signatures; nothing of its behaviour is copied or patched here. It serves
// plain http, so that a Functions host can share it; where an SDK insists on
// https (the Kusto SDK refuses http storage), a [Front] terminates TLS and hands
// every request on byte for byte, because signatures cover path and query.
//
// Azurite chooses its own ports, so no port is ever picked first and lost to
// another process before it is bound. The child never outlives Stop; on Linux it
// does not outlive this process either, however that ends.
package azurite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

const (
	// startTimeout bounds a start whose context has no nearer deadline. Azurite
	// listens after two to five seconds on a busy two-core machine.
	startTimeout = 90 * time.Second

	// stopGrace is how long an Azurite that keeps its data may take to save it
	// after SIGTERM before it is killed.
	stopGrace = 10 * time.Second
)

// Service names one of the three storage services.
type Service string

// The storage services. Azurite prints these names, capitalised, once each
// service listens.
const (
	Blob  Service = "blob"
	Queue Service = "queue"
	Table Service = "table"
)

// Services lists every storage service, in the order Azurite starts them.
func Services() []Service { return []Service{Blob, Queue, Table} }

// Options configure a start. The zero value is an in-memory Azurite with the
// well-known development account.
type Options struct {
	// Account is the account served. The zero value is DevelopmentAccount.
	Account Account

	// Spare is how many accounts are served beside it, for [Azurite.Spare]: a start
	// takes seconds, and accounts have nothing in common.
	Spare int

	// Dir keeps the data on disk, so that a later Start on the same Dir finds it.
	// Empty keeps everything in memory and writes no file at all.
	Dir string

	// NodeModules is the directory that holds the azurite package. Empty looks
	// for it as the function NodeModules does.
	NodeModules string

	// CertFile and KeyFile (PEM) make Azurite itself speak https and accept
	// Entra ID bearer tokens, which it refuses over http. It checks a token's
	// issuer, audience and lifetime, but not its signature nor any role.
	CertFile, KeyFile string
}

// Azurite is a running storage emulator. Its methods may be called from several
// goroutines.
type Azurite struct {
	account Account
	urls    map[Service]string
	cmd     *exec.Cmd
	out     *console
	keeps   bool
	exited  chan struct{} // closed once the process has been reaped
	exitErr error         // valid after exited
	stop    sync.Once

	mu    sync.Mutex
	spare []Account // not handed out yet
	lent  bool      // another's process, which is not ours to stop
}

// Start runs Azurite and returns once all three services listen on 127.0.0.1.
// ctx bounds the start, not the life of the process: call Stop. An Azurite that
// ends before it listens is an error that carries its last output. A missing
// installation is ErrNotInstalled.
func Start(ctx context.Context, opts Options) (*Azurite, error) {
	script, err := script(opts.NodeModules)
	if err != nil {
		return nil, err
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, fmt.Errorf("find node to run azurite: %w: %w; install Node 20 or later, then run `make node`", ErrNotInstalled, err)
	}
	account := opts.Account
	if account == (Account{}) {
		account = DevelopmentAccount()
	}
	if err := account.validate(); err != nil {
		return nil, err
	}

	a := &Azurite{
		account: account,
		out:     newConsole(),
		keeps:   opts.Dir != "",
		exited:  make(chan struct{}),
	}
	accounts := account.Name + ":" + account.Key
	for range opts.Spare {
		s := RandomAccount()
		a.spare = append(a.spare, s)
		accounts += ";" + s.Name + ":" + s.Key
	}
	a.cmd = command(node, script, accounts, opts)
	a.cmd.Stdout, a.cmd.Stderr = a.out, a.out

	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	started := make(chan error, 1)
	go a.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start azurite: %w", err)
	}
	select {
	case <-a.out.ready:
	case <-a.exited:
		return nil, fmt.Errorf("start azurite: ended before it listened (%w), last output:\n%s", a.exitErr, a.out.tail())
	case <-ctx.Done():
		a.kill()
		return nil, fmt.Errorf("start azurite: %w, last output:\n%s", ctx.Err(), a.out.tail())
	}
	a.urls = a.rootsOf(account)
	return a, nil
}

func (a *Azurite) rootsOf(account Account) map[Service]string {
	urls := make(map[Service]string, len(Services()))
	for service, root := range a.out.listening() {
		urls[service] = root + "/" + account.Name
	}
	return urls
}

// Spare returns the same process under one of its spare accounts, each once; nil where
// none is left. Its Stop does nothing.
func (a *Azurite) Spare() *Azurite {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.spare) == 0 {
		return nil
	}
	account := a.spare[0]
	a.spare = a.spare[1:]
	return &Azurite{account: account, urls: a.rootsOf(account), cmd: a.cmd, out: a.out, exited: a.exited, lent: true}
}

func command(node, script, accounts string, opts Options) *exec.Cmd {
	// Storage libraries newer than this Azurite ask for versions it has not heard of.
	args := []string{script, "--silent", "--disableTelemetry", "--skipApiVersionCheck"}
	for _, service := range Services() {
		args = append(args, "--"+string(service)+"Host", "127.0.0.1", "--"+string(service)+"Port", "0")
	}
	if opts.CertFile != "" {
		args = append(args, "--cert", opts.CertFile, "--key", opts.KeyFile, "--oauth", "basic")
	}
	// Azurite refuses the two together.
	if opts.Dir != "" {
		args = append(args, "--location", opts.Dir)
	} else {
		args = append(args, "--inMemoryPersistence")
	}
	cmd := exec.Command(node, args...)
	cmd.Dir = os.TempDir()
	// NODE_OPTIONS of a debugging session would make the child listen or wait.
	cmd.Env = append(os.Environ(), "NODE_OPTIONS=", "AZURITE_ACCOUNTS="+accounts)
	cmd.SysProcAttr = processAttributes()
	cmd.WaitDelay = time.Second
	return cmd
}

// run starts the child and reaps it. It keeps its OS thread from start to end:
// Linux sends the parent death signal when the *thread* that forked ends, and
// the Go runtime ends idle threads.
func (a *Azurite) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := a.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	err = a.cmd.Wait()
	if err == nil {
		err = errors.New("exit status 0")
	}
	a.exitErr = err
	close(a.exited)
}

// Account returns the account served.
func (a *Azurite) Account() Account { return a.account }

// URL returns a service's root with the account in the path and no trailing
// slash, such as http://127.0.0.1:33869/devstoreaccount1.
func (a *Azurite) URL(service Service) string { return a.urls[service] }

// ConnectionString names the account, its key and the three endpoints, in the
// form the SDKs and AzureWebJobsStorage take. It is a secret of the account.
func (a *Azurite) ConnectionString() string {
	return a.account.connectionString(a.URL)
}

// Exited is closed when the process has ended, whoever ended it.
func (a *Azurite) Exited() <-chan struct{} { return a.exited }

// Stop ends the process and returns when it is gone. In-memory data is lost at
// once; an Azurite with a Dir first gets time to save. It may be called twice.
func (a *Azurite) Stop() {
	if a.lent {
		return
	}
	a.stop.Do(func() {
		if a.keeps && a.cmd.Process.Signal(terminate) == nil {
			grace := time.NewTimer(stopGrace)
			defer grace.Stop()
			select {
			case <-a.exited:
			case <-grace.C:
			}
		}
		a.kill()
	})
}

func (a *Azurite) kill() {
	// An error means that the process has already ended, which is the aim.
	_ = a.cmd.Process.Kill()
	<-a.exited
}
