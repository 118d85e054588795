package kusto

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"

	"github.com/defender2adx/defender2adx/internal/sleep"
)

const (
	// visibility hides a message while it is handled. A message held for longer
	// comes again and is left alone then.
	visibility = 10 * time.Minute

	// receiveBatch is the most messages that one call receives. Source: Azure
	// Storage REST, Get Messages.
	receiveBatch = 32
)

// drain is the loop that empties the queue.
type drain struct {
	mu       sync.Mutex
	stop     context.CancelFunc // nil while stopped
	handlers *sync.WaitGroup
}

// StartIngestion begins to take in what the queue holds. A second call changes
// nothing.
func (c *Cluster) StartIngestion() error {
	c.drain.mu.Lock()
	defer c.drain.mu.Unlock()
	if c.drain.stop != nil {
		return nil
	}
	queue, err := azqueue.NewQueueClientWithNoCredential(c.opts.Storage.Queue, &azqueue.ClientOptions{ClientOptions: c.storageOptions()})
	if err != nil || c.opts.Storage.Queue == "" {
		return errors.New("start ingestion: the cluster's storage has no queue address")
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.drain.stop, c.drain.handlers = cancel, new(sync.WaitGroup)
	handlers := c.drain.handlers
	handlers.Go(func() { c.receive(ctx, queue, handlers) })
	return nil
}

// StopIngestion leaves the queue alone and returns when nothing is under way any
// more. What was held, delayed or being downloaded goes back to the queue.
func (c *Cluster) StopIngestion() {
	c.drain.mu.Lock()
	defer c.drain.mu.Unlock()
	if c.drain.stop == nil {
		return
	}
	c.drain.stop()
	c.drain.handlers.Wait()
	c.drain.stop = nil
}

// receive polls until ctx ends.
func (c *Cluster) receive(ctx context.Context, queue *azqueue.QueueClient, handlers *sync.WaitGroup) {
	workers := make(chan struct{}, c.opts.Workers)
	count, hidden := int32(receiveBatch), int32(visibility/time.Second)
	var mu sync.Mutex
	inFlight := make(map[string]bool)
	for ctx.Err() == nil {
		// Not cut short by a stop: what the queue has handed out would stay hidden.
		asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
		res, err := queue.DequeueMessages(asking, &azqueue.DequeueMessagesOptions{NumberOfMessages: &count, VisibilityTimeout: &hidden})
		cancel()
		if err != nil || len(res.Messages) == 0 {
			_ = sleep.For(ctx, c.opts.Poll) // the loop looks at ctx
			continue
		}
		for _, received := range res.Messages {
			id := *received.MessageID
			mu.Lock()
			known := inFlight[id]
			inFlight[id] = true
			mu.Unlock()
			if known {
				continue
			}
			handlers.Go(func() {
				done := c.handle(ctx, received, workers)
				c.settle(ctx, queue, received, done)
				mu.Lock()
				delete(inFlight, id)
				mu.Unlock()
			})
		}
	}
}

// settleTimeout bounds what is still asked and said of messages after
// StopIngestion.
const settleTimeout = 5 * time.Second

// settle deletes a message that is done and shows another one again at once. If
// storage refuses, the message comes again when its visibility ends.
func (c *Cluster) settle(ctx context.Context, queue *azqueue.QueueClient, received *azqueue.DequeuedMessage, done bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if done {
		_, _ = queue.DeleteMessage(ctx, *received.MessageID, *received.PopReceipt, nil)
		return
	}
	now := int32(0)
	_, _ = queue.UpdateMessage(ctx, *received.MessageID, *received.PopReceipt, *received.MessageText,
		&azqueue.UpdateMessageOptions{VisibilityTimeout: &now})
}

// handle brings one message to its end, and reports whether it got there before
// ctx ended. A message that cannot be read is dropped, as the service does with
// what is not its own.
func (c *Cluster) handle(ctx context.Context, received *azqueue.DequeuedMessage, workers chan struct{}) (done bool) {
	if ctx.Err() != nil {
		return false
	}
	m, err := decodeMessage(*received.MessageText)
	if err != nil {
		return true
	}
	tags, _ := tagList("tags", m.AdditionalProperties.Tags) // a bad list is refused later
	var v Verdict
	if hook := c.currentFaults().Ingestion; hook != nil {
		v = hook(Delivery{
			Database: m.DatabaseName, Table: m.TableName, Blob: unsigned(m.BlobPath), Tags: tags,
			Attempt: int(*received.DequeueCount),
		})
	}
	if v.Lose {
		return true
	}
	if sleep.For(ctx, c.opts.Latency) != nil || sleep.For(ctx, v.Delay) != nil {
		return false
	}
	if v.Hold != nil {
		select {
		case <-v.Hold:
		case <-ctx.Done():
			return false
		}
	}
	workers <- struct{}{}
	defer func() { <-workers }()
	release, ok := c.awaitSlot(ctx)
	if !ok {
		return false
	}
	defer release()

	var twin sync.WaitGroup
	if v.Twin {
		twin.Go(func() { c.takeIn(ctx, m, v, false) })
	}
	o := c.takeIn(ctx, m, v, !v.Twin)
	twin.Wait()
	for range v.Again {
		o = c.takeIn(ctx, m, v, true)
	}
	if o.status == "Failed" && ctx.Err() != nil {
		return false // given up, not failed
	}
	if !v.Unreported {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
		defer cancel()
		// A status that cannot be written stays Pending, as at the service.
		_ = c.report(ctx, m, o)
	}
	return true
}

func decodeMessage(text string) (*message, error) {
	plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, errors.New("decode ingestion message: not base64")
	}
	m := new(message)
	if err := json.Unmarshal(plain, m); err != nil {
		return nil, fmt.Errorf("decode ingestion message (%d bytes): not the JSON of an ingestion", len(plain))
	}
	return m, nil
}
