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
	// longestWait is what any visibility delay comes down to.
	longestWait = 150 * time.Millisecond
	// workers is how many messages are handled at a time.
	workers = 3
)

// mailbox is the queue of wake-ups with the host's side of it: redelivery,
// duplicates, lost deletes, poison. Delays are shortened.
type mailbox struct {
	world *world

	mu        sync.Mutex
	messages  []*message
	inWork    int
	processes []*process
	change    chan struct{} // signals mail or the end of a delivery
}

// message is one wake-up in the queue.
type message struct {
	text     string
	inserted time.Time
	visible  time.Time
	dequeues int
}

func newMailbox(w *world) *mailbox {
	return &mailbox{world: w, processes: make([]*process, w.plan.processes), change: make(chan struct{}, 1)}
}

// process returns the living process in a place, starting one where it is dead.
func (m *mailbox) process(i int) (*process, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.processes[i]; p != nil && !p.dead() {
		return p, nil
	}
	if old := m.processes[i]; old != nil {
		m.world.tasks.Go(old.stop)
	}
	p, err := m.world.newProcess(m, i)
	if err == nil {
		m.processes[i] = p
	}
	return p, err
}

func (m *mailbox) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.processes {
		if p != nil {
			p.stop()
		}
	}
}

func (m *mailbox) put(text string, delay time.Duration) {
	m.requeue(&message{text: text, inserted: time.Now()}, delay)
}

func (m *mailbox) requeue(x *message, delay time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	x.visible = time.Now().Add(min(delay, longestWait))
	m.messages = append(m.messages, x)
	m.signal()
}

func (m *mailbox) signal() {
	select {
	case m.change <- struct{}{}:
	default:
	}
}

// take returns the next message that shows, or how long until one does.
func (m *mailbox) take() (*message, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	wait := 20 * time.Millisecond
	now := time.Now()
	for i, x := range m.messages {
		if until := x.visible.Sub(now); until > 0 {
			wait = min(wait, until)
			continue
		}
		m.messages = append(m.messages[:i:i], m.messages[i+1:]...)
		m.inWork++
		x.dequeues++
		return x, 0
	}
	return nil, wait
}

// idle reports whether nothing waits and nothing is handled.
func (m *mailbox) idle() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.messages) == 0 && m.inWork == 0
}

// serve hands messages out until ctx ends, and waits for those handed out.
func (m *mailbox) serve(ctx context.Context) {
	var g sync.WaitGroup
	for range workers {
		g.Go(func() {
			for ctx.Err() == nil {
				x, wait := m.take()
				if x == nil {
					time.Sleep(wait)
					continue
				}
				m.deliver(x)
				m.mu.Lock()
				m.inWork--
				m.mu.Unlock()
			}
		})
	}
	g.Wait()
}

// deliver is one invocation and what becomes of its message.
func (m *mailbox) deliver(x *message) {
	d, s := m.world.dice, m.world.plan
	r, odd := d.strikes("queue", s.queue)
	what := 0
	if odd {
		what = 1 + r.IntN(3)
	}
	if what == 1 {
		d.count("queue: delivered twice")
		m.put(x.text, pauseOf(r, longestWait))
	}
	place := 0
	if s.processes > 1 {
		place = d.roll("which process").IntN(s.processes)
	}
	p, err := m.process(place)
	if err != nil {
		m.world.log.Error("start a process", "error", err.Error())
		m.requeue(x, longestWait)
		return
	}
	again := p.serve(x)
	switch {
	case p.dead():
		m.requeue(x, longestWait)
	case again && x.dequeues >= maxDequeues:
		d.count("queue: poisoned")
		p.bury(x)
	case again:
		m.requeue(x, 30*time.Millisecond)
	case what == 2:
		d.count("queue: delete lost")
		m.requeue(x, pauseOf(r, longestWait))
	case what == 3 && x.dequeues < maxDequeues:
		d.count("queue: delayed and handled again")
		m.requeue(x, longestWait)
	}
}

// serve runs the migrate function on a message.
func (p *process) serve(x *message) (again bool) {
	limit := 2 * time.Minute
	if r, ok := p.world.dice.strikes("timeout", p.world.plan.timeout); ok {
		p.world.dice.count("clock: functionTimeout")
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

// waker puts wake-ups into the mailbox. A dead process sends none.
type waker struct {
	process *process
	mail    *mailbox
}

func (w waker) Wake(ctx context.Context, up plan.WakeUp, delay time.Duration) error {
	if err := w.process.line.ready(ctx); err != nil {
		return err
	}
	text, err := queue.Text(up)
	if err != nil {
		return err
	}
	d := w.process.world.dice
	killer, kill := d.strikes("kill at a wake-up", w.process.world.plan.kill)
	if kill && len(w.process.tables()) > 0 && killer.IntN(2) == 0 {
		w.process.kill("before a wake-up")
		return errDead
	}
	w.mail.put(text, delay)
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
