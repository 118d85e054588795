package funchost

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// message is one delivery of a queue message. Text is as stored, not decoded.
type message struct {
	ID, Receipt, Text              string
	Dequeues                       int64
	Inserted, Expires, NextVisible time.Time
}

// messageQueue is one storage queue.
//
// Receive and hide times are counted by the service in whole seconds. A queue
// that does not exist gives errQueueMissing. A receipt that another delivery or
// hide has overtaken, or a message that is gone, gives errStale.
type messageQueue interface {
	Receive(ctx context.Context, most int, hide time.Duration) ([]message, error)
	// Hide makes the message visible again after d and returns its new receipt.
	Hide(ctx context.Context, m message, d time.Duration) (receipt string, err error)
	Delete(ctx context.Context, m message) error
	// Send creates the queue if it is missing.
	Send(ctx context.Context, text string) error
}

var (
	errQueueMissing = errors.New("queue does not exist")
	errStale        = errors.New("message is gone or its pop receipt is stale")
)

// Times of the queue extension that cannot be configured. Source: the storage
// queues extension of the WebJobs SDK.
const (
	queueLease    = 10 * time.Minute
	minPolling    = 100 * time.Millisecond
	minRenewRetry = time.Minute
)

// queueListener runs one queue function: it fetches a batch, starts all of it at
// once, and fetches again when no more than the threshold still run.
type queueListener struct {
	function  string
	config    queueConfig
	lease     time.Duration
	renewal   time.Duration
	queue     messageQueue
	poison    messageQueue // nil: the poison queue's name would be invalid
	wake      <-chan struct{}
	faults    Faults
	log       *slog.Logger
	emit      func(Event)
	invoke    func(context.Context, *Invocation, message) error
	jitter    func() float64 // in [0, 1)
	running   int
	runningMu sync.Mutex
	ended     chan struct{} // gets a value when an invocation ends
}

func newQueueListener(function string, config queueConfig, timing Timing) *queueListener {
	return &queueListener{
		function: function,
		config:   config,
		lease:    timing.QueueLease,
		renewal:  timing.QueueRenewal,
		jitter:   rand.Float64,
		ended:    make(chan struct{}, 1),
	}
}

// listen fetches until fetch is done, then waits for the running messages.
// Storage calls for these end with work: what they would have told is then lost
// and the message comes back when its lease ends.
func (l *queueListener) listen(fetch, work context.Context) {
	var group sync.WaitGroup
	defer group.Wait()
	empty := 0    // fetches in a row that found nothing
	problem := "" // of the last fetch; the same one is told once
	for fetch.Err() == nil {
		batch, err := l.queue.Receive(fetch, l.config.batchSize, l.lease)
		switch {
		case err == nil:
			problem = ""
		case fetch.Err() == nil && err.Error() != problem:
			problem = err.Error()
			l.log.Warn("polling the queue", "function", l.function, "err", err)
			l.emit(Event{Kind: QueueUnavailable, Invocation: Invocation{Function: l.function}, Err: err})
		}
		if len(batch) == 0 {
			l.idle(fetch, l.backoff(empty))
			empty++
			continue
		}
		empty = 0
		for _, m := range batch {
			l.addRunning(1)
			group.Go(func() {
				l.process(work, m)
				l.addRunning(-1)
			})
		}
		for l.addRunning(0) > l.config.newBatchThreshold && fetch.Err() == nil {
			select {
			case <-l.ended:
			case <-fetch.Done():
			}
		}
	}
}

func (l *queueListener) addRunning(n int) int {
	l.runningMu.Lock()
	defer l.runningMu.Unlock()
	l.running += n
	if n < 0 {
		select {
		case l.ended <- struct{}{}:
		default:
		}
	}
	return l.running
}

func (l *queueListener) idle(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.wake:
	case <-ctx.Done():
	}
}

// backoff is the wait after the given number of empty fetches before this one:
// 100 ms plus 100 ms times 2^n, that part within 20 % at random, up to the cap.
func (l *queueListener) backoff(empty int) time.Duration {
	wait := float64(minPolling)
	if empty > 0 {
		wait += float64(minPolling) * math.Pow(2, float64(empty-1)) * (0.8 + 0.4*l.jitter())
	}
	return time.Duration(min(wait, float64(l.config.maxPolling)))
}

// process runs one delivery of a message to its end.
func (l *queueListener) process(ctx context.Context, m message) {
	inv := Invocation{Function: l.function, MessageID: m.ID, Dequeues: m.Dequeues}
	body, ok := []byte(m.Text), true
	if l.config.base64 {
		body, ok = decodeBase64(m.Text)
	}
	if !ok {
		l.log.Warn("moving message to the poison queue: it is not base64 (see extensions.queues.messageEncoding)",
			"function", l.function, "message_id", m.ID)
		l.toPoison(ctx, inv, m, errors.New("message is not valid base64"))
		return
	}
	if m.Dequeues > l.config.maxDequeueCount {
		l.toPoison(ctx, inv, m, errors.New("message was handed out too often"))
		return
	}

	inv.ID, inv.Body = uuid.NewString(), body
	current := &lease{message: m}
	if l.faults.Deliver != nil && l.faults.Deliver(inv) == DeliverTwice {
		l.overtake(ctx, m)
	}
	renewCtx, stopRenewal := context.WithCancel(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() { l.renew(renewCtx, current) })
	err := l.invoke(ctx, &inv, m)
	stopRenewal()
	renewing.Wait()
	m = current.message

	if l.faults.Complete != nil {
		switch l.faults.Complete(inv, err == nil) {
		case DropCompletion:
			l.emit(Event{Kind: CompletionLost, Invocation: inv, Err: errors.New("dropped by a fault")})
			return
		case StaleReceipt:
			l.overtake(ctx, m)
		}
	}
	switch {
	case err == nil:
		l.complete(inv, m, MessageDeleted, l.queue.Delete(ctx, m))
	case m.Dequeues >= l.config.maxDequeueCount:
		l.toPoison(ctx, inv, m, err)
	default:
		_, hideErr := l.queue.Hide(ctx, m, l.config.visibility)
		l.complete(inv, m, MessageReleased, hideErr)
	}
}

// complete reports how the last storage call for a message went. A stale receipt
// is swallowed, so a double delivery passes in silence, as in the real host.
func (l *queueListener) complete(inv Invocation, m message, done EventKind, err error) {
	switch {
	case err == nil:
		l.emit(Event{Kind: done, Invocation: inv})
		return
	case errors.Is(err, errStale):
		l.log.Debug("message was completed elsewhere", "function", l.function, "message_id", m.ID)
	default:
		l.log.Error("completing message", "function", l.function, "message_id", m.ID, "err", err)
	}
	l.emit(Event{Kind: CompletionLost, Invocation: inv, Err: err})
}

// toPoison copies the body to the poison queue, then deletes the message. If the
// copy fails, or there is no poison queue, the message stays hidden for the rest
// of its lease.
func (l *queueListener) toPoison(ctx context.Context, inv Invocation, m message, cause error) {
	if l.poison == nil {
		l.emit(Event{Kind: CompletionLost, Invocation: inv, Err: errors.New("no poison queue can belong to this queue")})
		return
	}
	if err := l.poison.Send(ctx, m.Text); err != nil {
		l.complete(inv, m, MessageDeleted, err)
		return
	}
	l.emit(Event{Kind: MessagePoisoned, Invocation: inv, Err: cause})
	if err := l.queue.Delete(ctx, m); err != nil {
		l.complete(inv, m, MessageDeleted, err)
	}
}

// overtake makes m visible at once and forgets the new receipt, so that the one
// in m is stale.
func (l *queueListener) overtake(ctx context.Context, m message) {
	if _, err := l.queue.Hide(ctx, m, 0); err != nil {
		l.log.Warn("injecting a fault", "function", l.function, "message_id", m.ID, "err", err)
	}
}

// lease is a message whose receipt changes at every renewal. It belongs to renew
// while that runs, and to its starter afterwards.
type lease struct{ message message }

// renew hides the message anew until ctx ends. After a renewal that failed it
// tries again in half the time left of the lease, but not before minRenewRetry or
// the usual interval have passed. A stale receipt ends it: somebody else has
// the message now.
func (l *queueListener) renew(ctx context.Context, current *lease) {
	wait, ends := l.renewal, time.Now().Add(l.lease)
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		receipt, err := l.queue.Hide(ctx, current.message, l.lease)
		switch {
		case err == nil:
			current.message.Receipt = receipt
			wait, ends = l.renewal, time.Now().Add(l.lease)
		case ctx.Err() != nil || errors.Is(err, errStale):
			return
		default:
			l.log.Warn("renewing message", "function", l.function, "message_id", current.message.ID, "err", err)
			wait = max(time.Until(ends)/2, min(minRenewRetry, l.renewal))
		}
	}
}

// encodeMessage turns a message body into queue text.
func encodeMessage(body []byte, asBase64 bool) string {
	if asBase64 {
		return base64.StdEncoding.EncodeToString(body)
	}
	return string(body)
}

// poisonName returns the name of a queue's poison queue, or false if it has none.
func poisonName(queue string) (string, bool) {
	name := queue + "-poison"
	return name, !strings.HasSuffix(queue, "-poison") && validQueueName(name)
}
