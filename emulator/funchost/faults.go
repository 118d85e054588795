package funchost

import (
	"context"
	"time"
)

// Faults are called where a real host can break, so that a test can make it
// break there. Nil funcs do nothing. They are called from many goroutines; the
// invocation waits for them.
type Faults struct {
	// BeforeCall runs right before the handler is called. Killing the handler
	// here loses the call; killing it from elsewhere hits it in mid-work.
	BeforeCall func(context.Context, Invocation)

	// AfterCall runs when the handler has answered, before outputs are written
	// and the message is completed. The error it returns replaces err, which is
	// nil for a success.
	AfterCall func(ctx context.Context, inv Invocation, err error) error

	// Deliver decides how a queue message is handed out.
	Deliver func(Invocation) Delivery

	// Complete decides what becomes of a queue message after its invocation.
	Complete func(inv Invocation, succeeded bool) Completion

	// TermGrace makes Stop send SIGTERM and wait this long before SIGKILL, as
	// was seen on Flex Consumption at scale-in. Zero sends SIGKILL only, as the
	// host itself does.
	TermGrace time.Duration
}

// Delivery is how a message is handed out.
type Delivery int

const (
	DeliverOnce  Delivery = iota
	DeliverTwice          // the message shows again at once, while this invocation runs with a receipt that is stale
)

// Completion is what is done to a message after its invocation.
type Completion int

const (
	CompleteNormally Completion = iota
	DropCompletion              // neither deleted nor released, as if the host had died: the message shows again when the lease ends
	StaleReceipt                // completed with a receipt that another delivery has overtaken; the message shows again at once
)
