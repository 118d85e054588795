package funchost

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// fakeQueue is a messageQueue in memory. It honours visibility and pop receipts
// by time.Now, which synctest makes a clock of the test's own.
type fakeQueue struct {
	mu       sync.Mutex
	exists   bool
	serial   int
	messages []*message // Receipt is the one valid now
	fail     func(call string) error
	calls    []string // "receive 0", "hide 600", "delete", "send", each with the seconds since start
	start    time.Time
}

func newFakeQueue(texts ...string) *fakeQueue {
	q := &fakeQueue{exists: true, start: time.Now()}
	for _, text := range texts {
		q.add(text, 0)
	}
	return q
}

func (q *fakeQueue) add(text string, dequeues int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.serial++
	now := time.Now()
	q.messages = append(q.messages, &message{
		ID: "m" + strconv.Itoa(q.serial), Text: text, Dequeues: dequeues,
		Inserted: now, Expires: now.Add(7 * 24 * time.Hour), NextVisible: now,
	})
}

func (q *fakeQueue) begin(call string) error {
	q.calls = append(q.calls, fmt.Sprintf("%s @%s", call, time.Since(q.start)))
	if q.fail != nil {
		if err := q.fail(call); err != nil {
			return err
		}
	}
	if !q.exists && call != "send" {
		return errQueueMissing
	}
	return nil
}

func (q *fakeQueue) Receive(ctx context.Context, most int, hide time.Duration) ([]message, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.begin("receive"); err != nil {
		return nil, err
	}
	var batch []message
	for _, m := range q.messages {
		if len(batch) == most || ctx.Err() != nil {
			break
		}
		if m.NextVisible.After(time.Now()) {
			continue
		}
		q.serial++
		m.Dequeues++
		m.Receipt = "r" + strconv.Itoa(q.serial)
		m.NextVisible = time.Now().Add(hide)
		batch = append(batch, *m)
	}
	return batch, ctx.Err()
}

func (q *fakeQueue) find(m message) int {
	for i, stored := range q.messages {
		if stored.ID == m.ID && stored.Receipt == m.Receipt {
			return i
		}
	}
	return -1
}

func (q *fakeQueue) Hide(ctx context.Context, m message, d time.Duration) (string, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err := q.begin("hide " + d.String()); err != nil {
		return "", err
	}
	i := q.find(m)
	if i < 0 {
		return "", errStale
	}
	q.serial++
	q.messages[i].Receipt = "r" + strconv.Itoa(q.serial)
	q.messages[i].NextVisible = time.Now().Add(d)
	return q.messages[i].Receipt, nil
}

func (q *fakeQueue) Delete(ctx context.Context, m message) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := q.begin("delete"); err != nil {
		return err
	}
	i := q.find(m)
	if i < 0 {
		return errStale
	}
	q.messages = append(q.messages[:i], q.messages[i+1:]...)
	return nil
}

func (q *fakeQueue) Send(ctx context.Context, text string) error {
	q.mu.Lock()
	err := q.begin("send")
	q.exists = q.exists || err == nil
	q.mu.Unlock()
	if err != nil || ctx.Err() != nil {
		return err
	}
	q.add(text, 0)
	return nil
}

func (q *fakeQueue) texts() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var texts []string
	for _, m := range q.messages {
		texts = append(texts, m.Text)
	}
	return texts
}

// times returns when the calls of one kind happened.
func (q *fakeQueue) times(call string) []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var times []string
	for _, entry := range q.calls {
		if rest, ok := strings.CutPrefix(entry, call+" @"); ok {
			times = append(times, rest)
		}
	}
	return times
}
