package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/defender2adx/defender2adx/functions/migrate"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/queue"
)

const (
	// maxDequeues is the host's maxDequeueCount.
	maxDequeues = 5
	// shortestWait is up to where a delay is kept; a longer one is divided by hurry,
	// down to it, and none is longer than longestWait. Messages that wait for a table
	// in work must not keep the machine from working.
	shortestWait = 150 * time.Millisecond
	hurry        = 25
	longestWait  = 600 * time.Millisecond
	// workers is how many messages are handled at a time.
	workers = 3
)

// localQueue is the queue of wake-ups with the host's side of it: redelivery,
// duplicates, lost deletes, poison. Delays are shortened.
type localQueue struct {
	world *world

	mu        sync.Mutex
	messages  []*message
	inWork    int
	processes []*process
	change    chan struct{} // signals a message or the end of a delivery
}

// message is one wake-up in the queue.
type message struct {
	text     string
	inserted time.Time
	visible  time.Time
	dequeues int
}

func newLocalQueue(w *world) *localQueue {
	return &localQueue{world: w, processes: make([]*process, w.plan.processes), change: make(chan struct{}, 1)}
}

// process returns the living process in a place, starting one where it is dead.
func (q *localQueue) process(i int) (*process, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if p := q.processes[i]; p != nil && !p.dead() {
		return p, nil
	}
	if old := q.processes[i]; old != nil {
		q.world.tasks.Go(old.stop)
	}
	p, err := q.world.newProcess(q, i)
	if err == nil {
		q.processes[i] = p
	}
	return p, err
}

func (q *localQueue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range q.processes {
		if p != nil {
			p.stop()
		}
	}
}

func (q *localQueue) put(text string, delay time.Duration) {
	q.requeue(&message{text: text, inserted: time.Now()}, delay)
}

func (q *localQueue) requeue(x *message, delay time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	x.visible = time.Now().Add(min(delay, max(shortestWait, delay/hurry), longestWait))
	q.messages = append(q.messages, x)
	q.signal()
}

func (q *localQueue) signal() {
	select {
	case q.change <- struct{}{}:
	default:
	}
}

// take returns the next message that shows, or how long until one does.
func (q *localQueue) take() (*message, time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	wait := 20 * time.Millisecond
	now := time.Now()
	for i, x := range q.messages {
		if until := x.visible.Sub(now); until > 0 {
			wait = min(wait, until)
			continue
		}
		q.messages = append(q.messages[:i:i], q.messages[i+1:]...)
		q.inWork++
		x.dequeues++
		return x, 0
	}
	return nil, wait
}

// idle reports whether nothing waits and nothing is handled.
func (q *localQueue) idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.messages) == 0 && q.inWork == 0
}

// serve hands messages out until ctx ends, and waits for those handed out.
func (q *localQueue) serve(ctx context.Context) {
	var g sync.WaitGroup
	for range workers {
		g.Go(func() {
			for ctx.Err() == nil {
				x, wait := q.take()
				if x == nil {
					time.Sleep(wait)
					continue
				}
				q.deliver(x)
				q.mu.Lock()
				q.inWork--
				q.mu.Unlock()
			}
		})
	}
	g.Wait()
}

// deliver is one invocation and what becomes of its message.
func (q *localQueue) deliver(x *message) {
	f, s := q.world.faults, q.world.plan
	r, odd := f.inject("queue", s.queue)
	what := 0
	if odd {
		what = 1 + r.IntN(3)
	}
	if what == 1 {
		f.count("queue: delivered twice")
		q.put(x.text, pauseOf(r, shortestWait))
	}
	place := 0
	if s.processes > 1 {
		place = f.roll("which process").IntN(s.processes)
	}
	p, err := q.process(place)
	if err != nil {
		q.world.log.Error("start a process", "error", err.Error())
		q.requeue(x, shortestWait)
		return
	}
	again := p.serve(x)
	switch {
	case p.dead():
		q.requeue(x, shortestWait)
	case again && x.dequeues >= maxDequeues:
		f.count("queue: poisoned")
		p.bury(x)
	case again:
		q.requeue(x, 30*time.Millisecond)
	case what == 2:
		f.count("queue: delete lost")
		q.requeue(x, pauseOf(r, shortestWait))
	case what == 3 && x.dequeues < maxDequeues:
		f.count("queue: delayed and handled again")
		q.requeue(x, shortestWait)
	}
}

// serve runs the migrate function on a message.
func (p *process) serve(x *message) (again bool) {
	limit := 2 * time.Minute
	if r, ok := p.world.faults.inject("timeout", p.world.plan.timeout); ok {
		p.world.faults.count("clock: functionTimeout")
		limit = pauseOf(r, 800*time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	if up, err := queue.ParseWakeUp(x.text); err == nil {
		defer p.working(up.Key.Source)()
	}
	return !p.call(ctx, "migrate", p.invocation(x))
}

func (p *process) bury(x *message) {
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	p.call(ctx, "deadletter", p.invocation(x))
}

func (p *process) invocation(x *message) []byte {
	// Strings and maps of strings always marshal.
	text, _ := json.Marshal(map[string]any{
		"Data":     map[string]string{migrate.Binding: x.text},
		"Metadata": map[string]string{"DequeueCount": fmt.Sprint(x.dequeues), "InsertionTime": x.inserted.UTC().Format(time.RFC3339)},
	})
	return text
}

// waker puts wake-ups into the local queue. A dead process sends none.
type waker struct {
	process *process
	local   *localQueue
}

func (w waker) Wake(ctx context.Context, up plan.WakeUp, delay time.Duration) error {
	if err := w.process.transport.ready(ctx); err != nil {
		return err
	}
	text, err := queue.Text(up)
	if err != nil {
		return err
	}
	f := w.process.world.faults
	killer, kill := f.inject("kill at a wake-up", w.process.world.plan.kill)
	if kill && len(w.process.tables()) > 0 && killer.IntN(2) == 0 {
		w.process.kill("before a wake-up")
		return errDead
	}
	w.local.put(text, delay)
	if kill && len(w.process.tables()) > 0 {
		w.process.kill("after a wake-up")
		return errDead
	}
	return nil
}

// suffix tells names apart; it decides nothing.
func suffix() string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	out := make([]byte, 6)
	for i := range out {
		out[i] = letters[rand.IntN(len(letters))]
	}
	return string(out)
}
