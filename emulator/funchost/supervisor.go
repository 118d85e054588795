package funchost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

// maxErrors is the number of handler errors, with no gap over the restart window
// between neighbours, at which the host gives up. Source: the real host.
const maxErrors = 3

// restartMe is the exit code by which a handler asks for a restart that is not
// counted as an error. Source: the real host.
const restartMe = 200

// supervisor keeps one handler process running by the real host's rules: exit 0
// leaves it dead, exit 200 restarts it for free, anything else restarts it at
// once, without back-off, until there were too many.
type supervisor struct {
	command        command
	stderrIsError  bool
	initialization time.Duration
	window         time.Duration // a quieter gap forgets the errors before it
	probe          *http.Client
	address        string
	log            *slog.Logger
	onLine         func(Line)
	emit           func(Event)

	mu       sync.Mutex
	current  *process
	ready    chan struct{} // closed once the handler answered; replaced at a restart
	stopping bool
	stopped  chan struct{} // closed when run has returned
	err      error         // what run returned; valid after stopped
}

// run starts the handler and restarts it until stop is called, the errors are
// too many, or it cannot be started.
func (s *supervisor) run(ctx context.Context) (err error) {
	defer func() {
		s.err = err
		close(s.stopped)
	}()
	var failures int
	var lastFailure time.Time
	for {
		p, err := s.start()
		if err != nil || p == nil {
			return err
		}
		started := time.Now()
		startErr := p.awaitAnswer(ctx, s.probe, s.address, s.initialization)
		if startErr == nil {
			s.emit(Event{Kind: HandlerReady, PID: p.pid, Duration: time.Since(started)})
			s.mu.Lock()
			close(s.ready)
			s.mu.Unlock()
		} else if !errors.Is(startErr, errExitedEarly) {
			_ = p.handle.Kill() // it may have gone by itself in the meantime
		}
		<-p.exited

		code := p.state.ExitCode()
		s.emit(Event{Kind: HandlerExited, PID: p.pid, ExitCode: code})
		if s.isStopping() {
			return nil
		}
		timedOut := startErr != nil && !errors.Is(startErr, errExitedEarly)
		switch {
		case p.forgiven.Load():
			s.log.Warn("restarting handler after a function timeout", "pid", p.pid)
		case timedOut:
			s.log.Error("handler did not start in time", "pid", p.pid, "err", startErr)
		case code == restartMe:
			s.log.Info("handler asked for a restart", "pid", p.pid)
		case code == 0 && startErr != nil:
			// The real host waits for it until the first invocation gives up, and
			// then stops; there is no use in that wait.
			return errors.New("handler exited with code 0 before it answered GET /")
		case code == 0:
			s.log.Error("handler exited with code 0: it is not restarted, and every further invocation fails", "pid", p.pid)
			<-ctx.Done()
			return nil
		default:
			s.log.Error("handler exited", "pid", p.pid, "state", p.exitText())
		}
		if timedOut || (code != restartMe && !p.forgiven.Load()) {
			now := time.Now()
			if failures > 0 && now.Sub(lastFailure) > s.window {
				failures = 0
			}
			failures, lastFailure = failures+1, now
			if failures >= maxErrors {
				return fmt.Errorf("handler failed %d times without a gap of %v: restart limit exceeded", failures, s.window)
			}
		}
	}
}

// start launches the handler anew, or returns nil when the host is stopping.
func (s *supervisor) start() (*process, error) {
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		return nil, nil
	}
	restart := s.current != nil
	if restart && isClosed(s.ready) {
		s.ready = make(chan struct{})
	}
	p, err := s.command.start(s.stderrIsError, s.onLine)
	if err == nil {
		s.current = p
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	s.emit(Event{Kind: HandlerStarted, PID: p.pid, Restart: restart})
	return p, nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (s *supervisor) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

// process returns the newest process, which may be dead, or nil.
func (s *supervisor) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

var (
	errNotReady = errors.New("handler is not ready")
	errStopped  = errors.New("host has stopped")
)

// awaitReady waits until the handler answers, for at most limit.
func (s *supervisor) awaitReady(ctx context.Context, limit time.Duration) error {
	s.mu.Lock()
	ready := s.ready
	s.mu.Unlock()
	if isClosed(ready) {
		return nil
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-ready:
		return nil
	case <-s.stopped:
		if s.err != nil {
			return s.err
		}
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return fmt.Errorf("%w after %v", errNotReady, limit)
	}
}

// sameInstant is how far apart two kills of one handler may be for the real host to
// start two in its place.
const sameInstant = 100 * time.Millisecond

// killAfterTimeout kills p, if it still runs, without counting its end. It reports
// whether another timeout did so in the same instant.
func (s *supervisor) killAfterTimeout(p *process) (twice bool) {
	if p == nil {
		return false
	}
	p.forgiven.Store(true)
	now := time.Now().UnixNano()
	if !p.killed.CompareAndSwap(0, now) {
		twice = time.Duration(now-p.killed.Load()) <= sameInstant
	}
	_ = p.handle.Kill() // gone already is as good
	return twice
}

// stop ends the handler: with a grace, SIGTERM first, then SIGKILL. It returns
// once the process is gone.
func (s *supervisor) stop(cancel context.CancelFunc, grace time.Duration) {
	s.mu.Lock()
	s.stopping = true
	p := s.current
	s.mu.Unlock()
	if p != nil {
		if grace > 0 && p.handle.Signal(syscall.SIGTERM) == nil {
			select {
			case <-p.exited:
			case <-time.After(grace):
			}
		}
		_ = p.handle.Kill() // gone already is as good
		<-p.exited
	}
	cancel()
	<-s.stopped
}

// signal sends sig to the handler. It returns os.ErrProcessDone if there is none.
func (s *supervisor) signal(sig os.Signal) error {
	if p := s.process(); p != nil {
		return p.handle.Signal(sig)
	}
	return os.ErrProcessDone
}
