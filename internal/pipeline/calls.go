package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
)

const (
	// placePatience is how long an invocation that has nothing in flight waits for a
	// place; longer, and the message waits instead. Long enough for one answer.
	placePatience = time.Minute
	// waitsInOneCall is how many short waits that the service asks for are slept
	// within one call; a service that goes on asking gets the message back.
	waitsInOneCall = 3
	// triesUnavailable is how often a call is made while the source is unavailable:
	// a passing fault is over by the third.
	triesUnavailable = 3
)

// calls hands out the process's calls to the source: at most so many are in
// flight over all tables, since each of them holds memory until its blob is
// committed. It is safe for concurrent use.
type calls struct {
	ready  func(context.Context) error // gets a token
	quota  Quota
	clock  Clock
	places places        // of the process
	nearby time.Duration // longest wait slept here
	pause  time.Duration // after an answer of kind Unavailable, with jitter
	again  time.Duration // delay of a wake-up that found no place
}

func newCalls(cfg Config, ready func(context.Context) error, quota Quota, clock Clock, places places) *calls {
	return &calls{
		ready: ready, quota: quota, clock: clock,
		places: places, nearby: cfg.Nearby, pause: cfg.Pause, again: cfg.Waiting,
	}
}

// of returns the calls of one attempt on one table. Urgent ones go first in the
// tenant's quota: a snapshot must be whole before its source changes, while
// events can wait.
func (c *calls) of(table string, urgent bool) *tableCalls {
	return &tableCalls{calls: c, table: table, urgent: urgent, open: func() bool { return true }, attempt: &attemptCalls{asking: make(chan struct{}, 1)}}
}

// tableCalls is the plan.Caller of one attempt.
type tableCalls struct {
	calls   *calls
	table   string
	urgent  bool
	open    func() bool // whether a call may still begin
	attempt *attemptCalls
}

// attemptCalls is what the calls of an attempt have in common. Its slices ask one at a
// time, so that tables take turns in the process as they do in the quota; how many are
// in flight at once only the places bound.
type attemptCalls struct {
	asking   chan struct{} // holds one token while somebody asks
	inFlight atomic.Int64
	made     atomic.Int64
	faults   sync.Map // signatures of faults met
}

// taken returns how many calls were made since it was last asked.
func (t *tableCalls) taken() int { return int(t.attempt.made.Swap(0)) }

// errClosed ends a call that was no longer wanted when its turn came.
var errClosed = errors.New("the call is no longer wanted")

// while returns calls that begin only as long as open says so; what finds it closed
// ends with errClosed and has taken nothing.
func (t *tableCalls) while(open func() bool) *tableCalls {
	gated := *t
	gated.open = open
	return &gated
}

// Do takes a place, a token and a call of the quota, in this order, and makes the
// call. A wait that the service asks for holds every other caller, too; short ones
// are slept here, without a place. Unavailable is tried again after a pause; what
// remains is for whoever asked. See plan.Caller.
func (t *tableCalls) Do(ctx context.Context, try func(context.Context) error) error {
	c := t.calls
	for tries := 1; ; tries++ {
		err := t.once(ctx, try)
		var pause time.Duration
		var refused *refusal
		if !errors.As(err, &refused) {
			return err
		}
		err = refused.error
		switch fault.KindOf(err) {
		case fault.Wait:
			until, _ := fault.Until(err)
			if holdErr := c.quota.PauseUntil(ctx, until); holdErr != nil {
				return errors.Join(err, holdErr)
			}
			pause = until.Sub(c.clock.Now())
			if pause > c.nearby || tries > waitsInOneCall {
				return err
			}
		case fault.Unavailable:
			if tries >= triesUnavailable || t.inData(err) {
				return err
			}
			// Half to one and a half pauses: tables that failed together come back apart.
			pause = c.pause/2 + time.Duration(float64(c.pause)*rand.Float64())
		default:
			return err
		}
		if sleepErr := c.clock.Sleep(ctx, pause); sleepErr != nil {
			return errors.Join(err, sleepErr)
		}
	}
}

// inData reports whether a fault that the attempt has met before comes again: it is
// in the rows, and no pause will mend it.
func (t *tableCalls) inData(err error) bool {
	signature := fault.Signature(err)
	if signature == "" {
		return false
	}
	_, before := t.attempt.faults.LoadOrStore(signature, true)
	return before
}

// refusal is an error of the call itself, not of what goes before it.
type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }

// once makes one try, and gives its place back.
func (t *tableCalls) once(ctx context.Context, try func(context.Context) error) error {
	leave, err := t.begin(ctx)
	if err != nil {
		return err
	}
	defer leave()
	t.attempt.made.Add(1)
	if err := try(ctx); err != nil {
		return &refusal{err}
	}
	return nil
}

// begin returns with a place, which leave gives back, and a call of the quota; or
// with nothing.
func (t *tableCalls) begin(ctx context.Context) (leave func(), err error) {
	select {
	case t.attempt.asking <- struct{}{}:
		defer func() { <-t.attempt.asking }()
	case <-ctx.Done():
		return nil, fault.As(fault.Retry, ctx.Err())
	}
	if leave, err = t.place(ctx); err != nil {
		return nil, err
	}
	err = errClosed
	if t.open() {
		if err = t.calls.ready(ctx); err == nil {
			err = t.calls.quota.Take(ctx, t.table, t.urgent)
		}
	}
	if err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

// place waits for one of the process's places; leave gives it back.
func (t *tableCalls) place(ctx context.Context) (leave func(), err error) {
	wait := ctx
	if t.attempt.inFlight.Load() == 0 {
		var done context.CancelFunc
		wait, done = context.WithTimeout(ctx, placePatience)
		defer done()
	}
	release, err := t.calls.places.acquire(wait)
	if err != nil {
		if ctx.Err() == nil {
			return nil, &snooze{delay: t.calls.again, reason: fmt.Sprintf("no call of the process became free within %v", placePatience)}
		}
		return nil, fault.As(fault.Retry, fmt.Errorf("wait for a call of the process: %w", ctx.Err()))
	}
	t.attempt.inFlight.Add(1)
	return func() {
		t.attempt.inFlight.Add(-1)
		release()
	}, nil
}
