package funchost

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// bench is a queue listener on fake queues, inside a synctest bubble.
type bench struct {
	*queueListener
	main, dead *fakeQueue
	stopFetch  context.CancelFunc
	stopWork   context.CancelFunc
	ended      chan struct{}

	mu     sync.Mutex
	seen   []string // texts in the order invoked
	active int
	most   int
	events []EventKind
}

// newBench begins to listen. invoke gets the decoded text and the number of the
// delivery.
func newBench(t *testing.T, main *fakeQueue, change func(*queueListener), invoke func(ctx context.Context, text string, dequeues int64) error) *bench {
	t.Helper()
	dead := &fakeQueue{start: time.Now()} // does not exist yet
	b := &bench{main: main, dead: dead, ended: make(chan struct{})}
	config := queueConfig{batchSize: 16, newBatchThreshold: 8, maxPolling: 2 * time.Second, maxDequeueCount: 5}
	l := newQueueListener("work", config, Timing{QueueLease: queueLease, QueueRenewal: queueLease / 2})
	l.queue, l.poison, l.log = main, dead, slog.New(slog.DiscardHandler)
	l.jitter = func() float64 { return 0.5 } // a factor of one
	l.emit = func(e Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events = append(b.events, e.Kind)
	}
	l.invoke = func(ctx context.Context, inv *Invocation, m message) error {
		b.mu.Lock()
		b.seen = append(b.seen, string(inv.Body))
		b.active++
		b.most = max(b.most, b.active)
		b.mu.Unlock()
		err := invoke(ctx, string(inv.Body), m.Dequeues)
		b.mu.Lock()
		b.active--
		b.mu.Unlock()
		return err
	}
	if change != nil {
		change(l)
	}
	b.queueListener = l
	var fetch, work context.Context
	fetch, b.stopFetch = context.WithCancel(t.Context())
	work, b.stopWork = context.WithCancel(t.Context())
	go func() {
		l.listen(fetch, work)
		close(b.ended)
	}()
	return b
}

func (b *bench) close() {
	b.stopFetch()
	b.stopWork()
	<-b.ended
}

func (b *bench) count(kind EventKind) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, k := range b.events {
		if k == kind {
			n++
		}
	}
	return n
}

var errWork = errors.New("work failed")

func succeed(context.Context, string, int64) error { return nil }
func fail(context.Context, string, int64) error    { return errWork }

func TestQueueListener_Outcomes(t *testing.T) {
	tests := []struct {
		name      string
		text      string
		dequeues  int64 // before the test
		change    func(*queueListener)
		invoke    func(context.Context, string, int64) error
		wantSeen  []string
		wantMain  []string
		wantDead  []string
		wantEvent EventKind
	}{
		{"success deletes", "a", 0, nil, succeed, []string{"a"}, nil, nil, MessageDeleted},
		{"base64 is decoded", "YQ==", 0, func(l *queueListener) { l.config.base64 = true }, succeed, []string{"a"}, nil, nil, MessageDeleted},
		{"text that is not base64 goes to poison raw and uninvoked", "{}", 0, func(l *queueListener) { l.config.base64 = true }, succeed, nil, nil, []string{"{}"}, MessagePoisoned},
		{"failure is tried to the limit, then poisoned", "a", 0, nil, fail, []string{"a", "a", "a", "a", "a"}, nil, []string{"a"}, MessagePoisoned},
		{"the last attempt may succeed", "a", 4, nil, succeed, []string{"a"}, nil, nil, MessageDeleted},
		{"over the limit goes to poison uninvoked", "a", 5, nil, succeed, nil, nil, []string{"a"}, MessagePoisoned},
		{"without poison queue the failed message stays hidden", "a", 4, func(l *queueListener) { l.poison = nil }, fail, []string{"a"}, []string{"a"}, nil, CompletionLost},
		{"a failed copy to poison leaves the message hidden", "a", 4, func(l *queueListener) {
			l.poison.(*fakeQueue).fail = func(string) error { return errors.New("storage is busy") }
		}, fail, []string{"a"}, []string{"a"}, nil, CompletionLost},
		{"a dropped completion leaves the message hidden", "a", 0, func(l *queueListener) {
			l.faults.Complete = func(Invocation, bool) Completion { return DropCompletion }
		}, succeed, []string{"a"}, []string{"a"}, nil, CompletionLost},
		{"a stale receipt is swallowed and the message comes again", "a", 0, func(l *queueListener) {
			l.faults.Complete = func(inv Invocation, _ bool) Completion {
				if inv.Dequeues == 1 {
					return StaleReceipt
				}
				return CompleteNormally
			}
		}, succeed, []string{"a", "a"}, nil, nil, CompletionLost},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newFakeQueue()
				q.add(tt.text, tt.dequeues)
				b := newBench(t, q, tt.change, tt.invoke)
				time.Sleep(time.Minute)
				b.close()
				if diff := cmp.Diff(tt.wantSeen, b.seen); diff != "" {
					t.Errorf("invocations (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.wantMain, b.main.texts()); diff != "" {
					t.Errorf("queue (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.wantDead, b.dead.texts()); diff != "" {
					t.Errorf("poison queue (-want +got):\n%s", diff)
				}
				if b.count(tt.wantEvent) == 0 {
					t.Errorf("events = %v, want one of %v", b.events, tt.wantEvent)
				}
			})
		})
	}
}

func TestQueueListener_FailedMessageWaitsForVisibilityTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		start := time.Now()
		b := newBench(t, newFakeQueue("a"), func(l *queueListener) { l.config.visibility = time.Minute },
			func(_ context.Context, _ string, dequeues int64) error {
				at = append(at, time.Since(start).Truncate(10*time.Second))
				if dequeues < 3 {
					return errWork
				}
				return nil
			})
		time.Sleep(5 * time.Minute)
		b.close()
		if diff := cmp.Diff([]time.Duration{0, time.Minute, 2 * time.Minute}, at); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
	})
}

func TestQueueListener_LeaseIsRenewedWhileWorkRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue("a")
		b := newBench(t, q, nil, func(context.Context, string, int64) error {
			time.Sleep(22 * time.Minute)
			return nil
		})
		time.Sleep(time.Hour)
		b.close()
		if diff := cmp.Diff([]string{"5m0s", "10m0s", "15m0s", "20m0s"}, q.times("hide 10m0s")); diff != "" {
			t.Errorf("renewals (-want +got):\n%s", diff)
		}
		if got := q.texts(); got != nil || len(b.seen) != 1 {
			t.Errorf("queue %v after %d invocations, want it empty after one", got, len(b.seen))
		}
	})
}

func TestQueueListener_FailedRenewalIsTriedAgainSooner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue("a")
		failures := 2
		q.fail = func(call string) error {
			if call == "hide 10m0s" && failures > 0 {
				failures--
				return errors.New("storage is busy")
			}
			return nil
		}
		b := newBench(t, q, nil, func(context.Context, string, int64) error {
			time.Sleep(14 * time.Minute)
			return nil
		})
		time.Sleep(time.Hour)
		b.close()
		if diff := cmp.Diff([]string{"5m0s", "7m30s", "8m45s", "13m45s"}, q.times("hide 10m0s")); diff != "" {
			t.Errorf("renewals (-want +got):\n%s", diff)
		}
		if len(b.seen) != 1 {
			t.Errorf("%d invocations, want one: the lease was held", len(b.seen))
		}
	})
}

func TestQueueListener_RunsAtMostBatchPlusThreshold(t *testing.T) {
	tests := []struct {
		name             string
		batch, threshold int
		want             int
	}{
		{"one at a time", 1, 0, 1},
		{"batch and threshold", 4, 2, 6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newFakeQueue(slices.Repeat([]string{"a"}, 20)...)
				var n atomic.Int64
				b := newBench(t, q, func(l *queueListener) {
					l.config.batchSize, l.config.newBatchThreshold = tt.batch, tt.threshold
				}, func(context.Context, string, int64) error {
					time.Sleep(time.Duration(n.Add(1)) * time.Second) // so that they end one by one
					return nil
				})
				time.Sleep(20 * time.Minute)
				b.close()
				if b.most != tt.want || len(b.seen) != 20 {
					t.Errorf("%d at once of %d, want %d of 20", b.most, len(b.seen), tt.want)
				}
			})
		})
	}
}

func TestQueueListener_IdlePollingBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue()
		b := newBench(t, q, nil, succeed)
		time.Sleep(7 * time.Second)
		// 100 ms, then 100 + 100, 200, 400, 800 ms, then the cap of 2 s.
		want := []string{"0s", "100ms", "300ms", "600ms", "1.1s", "2s", "3.7s", "5.7s"}
		if diff := cmp.Diff(want, q.times("receive")); diff != "" {
			t.Errorf("polls (-want +got):\n%s", diff)
		}
		q.add("a", 0)
		time.Sleep(900 * time.Millisecond) // to 7.9 s: the poll at 7.7 s finds it and resets the wait
		if got := q.times("receive")[8:]; !slices.Equal(got, []string{"7.7s", "7.7s", "7.8s"}) {
			t.Errorf("polls after a message = %v", got)
		}
		b.close()
	})
}

func TestQueueListener_JitterStaysWithinAFifth(t *testing.T) {
	for _, jitter := range []float64{0, 0.999999} {
		l := &queueListener{config: queueConfig{maxPolling: time.Minute}, jitter: func() float64 { return jitter }}
		got := l.backoff(3)
		if low, high := 420*time.Millisecond, 580*time.Millisecond; got < low || got > high {
			t.Errorf("backoff(3) with jitter %v = %v, want %v to %v", jitter, got, low, high)
		}
	}
}

func TestQueueListener_MissingQueueIsToldOnceAndNeverCreated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue()
		q.exists = false
		b := newBench(t, q, nil, succeed)
		time.Sleep(30 * time.Second)
		q.mu.Lock()
		created := q.exists
		q.mu.Unlock()
		if created || b.count(QueueUnavailable) != 1 || len(q.times("receive")) > 21 {
			t.Errorf("exists %v, told %d times, polled %d times", created, b.count(QueueUnavailable), len(q.times("receive")))
		}
		q.mu.Lock()
		q.exists = true
		q.mu.Unlock()
		q.add("a", 0)
		time.Sleep(3 * time.Second)
		b.close()
		if !slices.Equal(b.seen, []string{"a"}) {
			t.Errorf("invocations = %v after the queue appeared", b.seen)
		}
	})
}

func TestQueueListener_WakeEndsTheIdleWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wake := make(chan struct{}, 1)
		b := newBench(t, newFakeQueue(), func(l *queueListener) { l.config.maxPolling, l.wake = time.Hour, wake }, succeed)
		time.Sleep(3 * time.Hour)
		b.main.add("a", 0)
		wake <- struct{}{}
		synctest.Wait()
		b.close()
		if !slices.Equal(b.seen, []string{"a"}) {
			t.Errorf("invocations = %v, want a at once", b.seen)
		}
	})
}

func TestQueueListener_DuplicateDeliveryRunsTwiceAndEndsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue("a")
		b := newBench(t, q, func(l *queueListener) {
			l.faults.Deliver = func(inv Invocation) Delivery {
				if inv.Dequeues == 1 {
					return DeliverTwice
				}
				return DeliverOnce
			}
		}, func(context.Context, string, int64) error {
			time.Sleep(20 * time.Second)
			return nil
		})
		time.Sleep(time.Hour)
		b.close()
		if b.most != 2 || len(b.seen) != 2 {
			t.Errorf("%d invocations, %d at once, want 2 and 2", len(b.seen), b.most)
		}
		if b.count(MessageDeleted) != 1 || b.count(CompletionLost) != 1 || q.texts() != nil {
			t.Errorf("events = %v, queue = %v, want one delete, one lost completion, nothing left", b.events, q.texts())
		}
	})
}

func TestQueueListener_StopWaitsForRunningMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue("a")
		b := newBench(t, q, nil, func(context.Context, string, int64) error {
			time.Sleep(8 * time.Second)
			return nil
		})
		synctest.Wait()
		b.stopFetch()
		q.add("late", 0)
		<-b.ended
		b.close()
		if !slices.Equal(q.texts(), []string{"late"}) {
			t.Errorf("queue = %v, want only the message that came after the stop", q.texts())
		}
	})
}

func TestQueueListener_CompletionAfterTheGraceIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newFakeQueue("a")
		b := newBench(t, q, nil, func(ctx context.Context, _ string, _ int64) error {
			<-ctx.Done()
			return errWork
		})
		synctest.Wait()
		b.close()
		if !slices.Equal(q.texts(), []string{"a"}) || q.messages[0].NextVisible != q.start.Add(queueLease) {
			t.Errorf("queue = %v, visible in %v, want a for the rest of its lease", q.texts(), q.messages[0].NextVisible.Sub(q.start))
		}
	})
}

func TestPoisonName_EndsOnce(t *testing.T) {
	long := "q123456789012345678901234567890123456789012345678901234567" // 58: with -poison 65
	for queue, want := range map[string]bool{"jobs": true, "jobs-poison": false, long: false, long[:56]: true} {
		if name, ok := poisonName(queue); ok != want || name != queue+"-poison" {
			t.Errorf("poisonName(%q) = %q, %v, want %v", queue, name, ok, want)
		}
	}
}
