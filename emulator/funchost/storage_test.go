package funchost

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/azurite"
	"github.com/defender2adx/defender2adx/emulator/azurite/azuritetest"
	"github.com/defender2adx/defender2adx/emulator/rounds"
)

// testQueue is what every messageQueue has to do. missing and present open a
// queue of that state.
func testQueue(t *testing.T, missing, present func(t *testing.T) messageQueue) {
	ctx := t.Context()
	receive := func(t *testing.T, q messageQueue, most int) []message {
		t.Helper()
		batch, err := q.Receive(ctx, most, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return batch
	}
	t.Run("a missing queue is told apart", func(t *testing.T) {
		if _, err := missing(t).Receive(ctx, 1, time.Minute); !errors.Is(err, errQueueMissing) {
			t.Errorf("error = %v, want errQueueMissing", err)
		}
	})
	t.Run("send creates the queue", func(t *testing.T) {
		q := missing(t)
		if err := q.Send(ctx, "<a>&"); err != nil {
			t.Fatal(err)
		}
		got := receive(t, q, 1)
		if len(got) != 1 || got[0].Text != "<a>&" || got[0].Dequeues != 1 || got[0].ID == "" || got[0].Receipt == "" {
			t.Fatalf("messages = %+v", got)
		}
		if got[0].Inserted.IsZero() || !got[0].Expires.After(got[0].Inserted) || !got[0].NextVisible.After(got[0].Inserted) {
			t.Errorf("times = %+v", got[0])
		}
	})
	t.Run("a batch has at most so many, and they are hidden then", func(t *testing.T) {
		q := present(t)
		for i := range 3 {
			if err := q.Send(ctx, fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		if got := []int{len(receive(t, q, 2)), len(receive(t, q, 32)), len(receive(t, q, 32))}; !slices.Equal(got, []int{2, 1, 0}) {
			t.Errorf("batches = %v, want 2, 1, 0", got)
		}
	})
	t.Run("hiding changes the receipt and keeps the text", func(t *testing.T) {
		q := present(t)
		if err := q.Send(ctx, "text"); err != nil {
			t.Fatal(err)
		}
		first := receive(t, q, 1)[0]
		receipt, err := q.Hide(ctx, first, time.Hour)
		if err != nil || receipt == first.Receipt {
			t.Fatalf("receipt %q after %q, %v", receipt, first.Receipt, err)
		}
		if err := q.Delete(ctx, first); !errors.Is(err, errStale) {
			t.Errorf("delete with the old receipt = %v, want errStale", err)
		}
		renewed := first
		renewed.Receipt = receipt
		if _, err := q.Hide(ctx, renewed, 0); err != nil {
			t.Fatal(err)
		}
		second := receive(t, q, 1)
		if len(second) != 1 || second[0].Text != "text" || second[0].Dequeues != 2 {
			t.Fatalf("messages = %+v, want the same again", second)
		}
		if _, err := q.Hide(ctx, renewed, 0); !errors.Is(err, errStale) {
			t.Errorf("hide with an overtaken receipt = %v, want errStale", err)
		}
		if err := q.Delete(ctx, second[0]); err != nil {
			t.Fatal(err)
		}
		if err := q.Delete(ctx, second[0]); !errors.Is(err, errStale) {
			t.Errorf("second delete = %v, want errStale", err)
		}
	})
}

func TestFakeQueue_Contract(t *testing.T) {
	testQueue(t,
		func(*testing.T) messageQueue { return &fakeQueue{start: time.Now()} },
		func(*testing.T) messageQueue { return newFakeQueue() })
}

func TestAzureQueue_OnAzurite(t *testing.T) {
	rounds.Long(t)
	storage := azuritetest.Start(t, azurite.Options{})
	connection := storage.ConnectionString()
	serial := 0
	open := func(t *testing.T, create bool) (azureQueue, string) {
		t.Helper()
		serial++
		name := fmt.Sprintf("jobs-%d", serial)
		q, err := openQueue(connection, name)
		if err != nil {
			t.Fatal(err)
		}
		if create {
			if _, err := q.client.Create(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		return q, name
	}
	t.Run("queue", func(t *testing.T) {
		testQueue(t,
			func(t *testing.T) messageQueue { q, _ := open(t, false); return q },
			func(t *testing.T) messageQueue { q, _ := open(t, true); return q })
	})
	t.Run("timer status", func(t *testing.T) { testStatus(t, connection) })
	t.Run("timer function", func(t *testing.T) { testTimerFunction(t, connection) })
	t.Run("queue function", func(t *testing.T) {
		b := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
		tests := []struct {
			name       string
			messages   []string
			faults     func(host func() *Host) Faults
			wantEvents map[EventKind]int
			wantPoison []string
		}{
			{"done and deleted", []string{b("fine"), b("say {}"), b("fine")}, nil,
				map[EventKind]int{InvocationSucceeded: 3, MessageDeleted: 3}, nil},
			{"retried until it works", []string{b("failonce")}, nil,
				map[EventKind]int{InvocationFailed: 1, MessageReleased: 1, MessageDeleted: 1}, nil},
			{"failed to the limit", []string{b("fail")}, nil,
				map[EventKind]int{InvocationFailed: 5, MessageReleased: 4, MessagePoisoned: 1}, []string{b("fail")}},
			{"an empty answer fails", []string{b("empty")}, nil,
				map[EventKind]int{InvocationFailed: 5, MessagePoisoned: 1}, []string{b("empty")}},
			{"not base64", []string{"{}"}, nil,
				map[EventKind]int{MessagePoisoned: 1}, []string{"{}"}},
			{"handler killed before the call", []string{b("fine")}, func(host func() *Host) Faults {
				once := make(chan struct{}, 1)
				once <- struct{}{}
				return Faults{BeforeCall: func(context.Context, Invocation) {
					select {
					case <-once:
						p := host().handler.process()
						_ = host().KillHandler(syscall.SIGKILL)
						<-p.exited
					default:
					}
				}}
			}, map[EventKind]int{HandlerStarted: 2, MessageDeleted: 1}, nil},
			{"completion dropped: back after the lease", []string{b("fine")}, func(func() *Host) Faults {
				return Faults{Complete: func(inv Invocation, _ bool) Completion {
					if inv.Dequeues == 1 {
						return DropCompletion
					}
					return CompleteNormally
				}}
			}, map[EventKind]int{InvocationSucceeded: 2, CompletionLost: 1, MessageDeleted: 1}, nil},
			{"delivered twice", []string{b("fine")}, func(func() *Host) Faults {
				return Faults{Deliver: func(inv Invocation) Delivery {
					if inv.Dequeues == 1 {
						return DeliverTwice
					}
					return DeliverOnce
				}}
			}, map[EventKind]int{InvocationSucceeded: 2, MessageDeleted: 1}, nil},
			{"overtaken at the end", []string{b("fine")}, func(func() *Host) Faults {
				return Faults{Complete: func(inv Invocation, _ bool) Completion {
					if inv.Dequeues == 1 {
						return StaleReceipt
					}
					return CompleteNormally
				}}
			}, map[EventKind]int{InvocationSucceeded: 2, CompletionLost: 1, MessageDeleted: 1}, nil},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				q, name := open(t, true)
				for _, text := range tt.messages {
					if err := q.Send(t.Context(), text); err != nil {
						t.Fatal(err)
					}
				}
				var h *Host
				started := make(chan struct{})
				opts := Options{
					AppRoot: testApp(t, "", map[string]string{"work/function.json": queueFunction}),
					Env:     []string{"AzureWebJobsStorage=" + connection, "JOBS=" + name},
					Timing:  Timing{QueueLease: 2 * time.Second, QueuePolling: 50 * time.Millisecond, RestartWindow: time.Nanosecond},
				}
				if tt.faults != nil {
					opts.Faults = tt.faults(func() *Host { <-started; return h })
				}
				var r *recorder
				h, r = startTest(t, opts)
				close(started)
				for kind, n := range tt.wantEvents {
					r.event(t, kind, n)
				}
				if err := h.Stop(t.Context()); err != nil {
					t.Fatal(err)
				}
				if left := receiveAll(t, q); left != nil {
					t.Errorf("left in the queue: %v", left)
				}
				poison, err := openQueue(connection, name+"-poison")
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.wantPoison, receiveAll(t, poison)); diff != "" {
					t.Errorf("poison queue (-want +got):\n%s", diff)
				}
			})
		}
	})
	t.Run("a queue that does not exist is not created, and served once it is", func(t *testing.T) {
		q, name := open(t, false)
		_, r := startTest(t, Options{
			AppRoot: testApp(t, "", map[string]string{"work/function.json": queueFunction}),
			Env:     []string{"AzureWebJobsStorage=" + connection, "JOBS=" + name},
			Timing:  Timing{QueuePolling: 50 * time.Millisecond},
		})
		if e := r.event(t, QueueUnavailable, 1); !errors.Is(e.Err, errQueueMissing) {
			t.Errorf("error = %v", e.Err)
		}
		if _, err := q.Receive(t.Context(), 1, time.Second); !errors.Is(err, errQueueMissing) {
			t.Errorf("queue: %v, want it missing", err)
		}
		if err := q.Send(t.Context(), "ZmluZQ=="); err != nil {
			t.Fatal(err)
		}
		r.event(t, MessageDeleted, 1)
	})
	t.Run("a message still running at the stop stays hidden", func(t *testing.T) {
		q, name := open(t, true)
		if err := q.Send(t.Context(), base64.StdEncoding.EncodeToString([]byte("hang"))); err != nil {
			t.Fatal(err)
		}
		h, r := startTest(t, Options{
			AppRoot: testApp(t, "", map[string]string{"work/function.json": queueFunction}),
			Env:     []string{"AzureWebJobsStorage=" + connection, "JOBS=" + name},
		})
		r.call(t, 1)
		if err := h.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.event(t, CompletionLost, 1)
		if got := receiveAll(t, q); got != nil {
			t.Errorf("visible after the stop: %v, want it hidden for its lease", got)
		}
	})
	t.Run("an output message wakes the listener", func(t *testing.T) {
		_, name := open(t, true)
		h, r := startTest(t, Options{
			AppRoot: testApp(t, "", map[string]string{
				"work/function.json": queueFunction,
				"send/function.json": webFunction("send", `, {"type": "queue", "name": "msgs", "direction": "out", "queueName": "%JOBS%"}`),
			}),
			Env:    []string{"AzureWebJobsStorage=" + connection, "JOBS=" + name},
			Timing: Timing{QueuePolling: time.Hour},
		})
		if err := h.Invoke(t.Context(), "send", `say {"Outputs": {"msgs": ["fine", {"to": "you"}]}}`); err != nil {
			t.Fatal(err)
		}
		r.event(t, MessageDeleted, 2)
	})
	t.Run("manual run of a queue function", func(t *testing.T) {
		_, name := open(t, true)
		h, r := startTest(t, Options{
			AppRoot: testApp(t, "", map[string]string{"work/function.json": queueFunction}),
			Env:     []string{"AzureWebJobsStorage=" + connection, "JOBS=" + name},
		})
		if err := h.Invoke(t.Context(), "work", "fail"); err == nil {
			t.Error("no error")
		}
		var got struct{ Metadata map[string]any }
		if err := json.Unmarshal([]byte(r.call(t, 1).Body), &got); err != nil {
			t.Fatal(err)
		}
		if got.Metadata["DequeueCount"] != "0" || got.Metadata["Id"] != nil || !strings.HasPrefix(fmt.Sprint(got.Metadata["ExpirationTime"]), "9999") {
			t.Errorf("metadata = %v", got.Metadata)
		}
		if s := h.Stats(); s.Poisoned != 0 || s.Invocations != 1 {
			t.Errorf("stats = %+v", s)
		}
	})
}

func receiveAll(t *testing.T, q messageQueue) []string {
	t.Helper()
	batch, err := q.Receive(t.Context(), 32, time.Hour)
	if err != nil && !errors.Is(err, errQueueMissing) {
		t.Fatal(err)
	}
	var texts []string
	for _, m := range batch {
		texts = append(texts, m.Text)
	}
	return texts
}

func testStatus(t *testing.T, connection string) {
	store, err := openStatus(connection, "contract")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := store.Load(t.Context(), "tick"); got != nil || err != nil {
		t.Errorf("first load = %v, %v, want nothing", got, err)
	}
	for day := 1; day < 3; day++ {
		want := scheduleStatus{Next: time.Date(2026, 3, day, 1, 2, 3, 456789100, time.UTC)}
		if err := store.Save(t.Context(), "tick", want); err != nil {
			t.Fatal(err)
		}
		got, err := store.Load(t.Context(), "tick")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	}
}

// testTimerFunction starts a host whose timer missed its tick while none ran.
func testTimerFunction(t *testing.T, connection string) {
	store, err := openStatus(connection, "timers")
	if err != nil {
		t.Fatal(err)
	}
	missed := scheduleStatus{
		Last: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), Next: time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC),
		LastUpdated: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	if err := store.Save(t.Context(), "tick", missed); err != nil {
		t.Fatal(err)
	}
	h, r := startTest(t, Options{
		AppRoot: testApp(t, "", map[string]string{"tick/function.json": timerFunction}),
		Env:     []string{"AzureWebJobsStorage=" + connection, "AzureFunctionsWebHost__hostid=timers"},
		Timing:  Timing{StopGrace: time.Minute},
	})
	type info struct {
		ScheduleStatus map[string]string
		IsPastDue      bool
	}
	tick := func(nth int) info {
		var body struct{ Data struct{ Tick info } }
		if err := json.Unmarshal([]byte(r.call(t, nth).Body), &body); err != nil {
			t.Fatal(err)
		}
		return body.Data.Tick
	}
	if got := tick(1); !got.IsPastDue || got.ScheduleStatus["Next"] != "2021-01-01T00:00:00+00:00" {
		t.Errorf("first tick = %+v, want past due since 2021", got)
	}
	r.event(t, InvocationSucceeded, 1)
	if err := h.Invoke(t.Context(), "tick", ""); err != nil {
		t.Fatal(err)
	}
	if got := tick(2); got.IsPastDue {
		t.Errorf("manual tick = %+v, want it not past due", got)
	}
	if err := h.Stop(t.Context()); err != nil { // waits for the status to be written
		t.Fatal(err)
	}
	status, err := store.Load(t.Context(), "tick")
	if err != nil {
		t.Fatal(err)
	}
	first := r.event(t, InvocationStarted, 1).Time
	if status.Last.After(first) || first.Sub(status.Last) > time.Minute || !status.Next.After(time.Now()) {
		t.Errorf("status = %+v, want the run of %v and a tick to come", status, first)
	}
}
