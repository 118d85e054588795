package funchost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
)

// hostVersion is the host that Core Tools 4.14.0 carries.
const hostVersion = "4.1052.200.0"

const userAgent = "Azure-Functions-Host/" + hostVersion

// ErrFunctionTimeout says that an invocation ran into functionTimeout. The
// handler process has been killed by the time it is returned.
var ErrFunctionTimeout = errors.New("functionTimeout reached, handler killed")

// ErrTwoTimeouts ends the host: two invocations ran into functionTimeout in one
// instant. The real host then starts two handlers on one port, counts the loser's exits
// as errors and stops. Source: seen on host 4.1037, three times of three.
var ErrTwoTimeouts = errors.New("two invocations reached functionTimeout in one instant: the host has stopped")

// reply is what came back from the handler: a result in envelope mode, an answer
// in forwarding mode.
type reply struct {
	result result
	answer httpAnswer
}

// invoke sees one invocation through: it waits for the handler, calls it, and on
// success runs finish, which writes the outputs. perform gets a context that no
// timeout and no stop cancels: all that the handler ever sees of those is its
// own end.
func (h *Host) invoke(ctx context.Context, inv *Invocation, perform func(context.Context) (reply, error), finish func(reply) error) (err error) {
	began := time.Now()
	h.emit(Event{Kind: InvocationStarted, Invocation: *inv})
	log := h.log.With("function", inv.Function, "invocation_id", inv.ID)
	log.Info("executing")
	defer func() {
		took := time.Since(began)
		if err != nil {
			log.Error("executed", "succeeded", false, "dur_ms", took.Milliseconds(), "err", err)
			h.emit(Event{Kind: InvocationFailed, Invocation: *inv, Duration: took, Err: err})
			return
		}
		log.Info("executed", "succeeded", true, "dur_ms", took.Milliseconds())
		h.emit(Event{Kind: InvocationSucceeded, Invocation: *inv, Duration: took})
	}()

	// An early invocation waits four times the initialization time, then the host
	// gives up. Source: the real host's dispatcher.
	if err := h.handler.awaitReady(ctx, 4*h.handler.initialization); err != nil {
		if errors.Is(err, errNotReady) {
			h.stopWith(fmt.Errorf("invoke %s: %w", inv.Function, err))
		}
		return err
	}
	if h.opts.Faults.BeforeCall != nil {
		h.opts.Faults.BeforeCall(ctx, *inv)
	}
	answer, err := h.perform(ctx, inv, perform)
	if h.opts.Faults.AfterCall != nil {
		err = h.opts.Faults.AfterCall(ctx, *inv, err)
	}
	if err != nil {
		return err
	}
	for _, line := range answer.result.Logs {
		h.line(Line{Text: line, Function: inv.Function, InvocationID: inv.ID})
	}
	return finish(answer)
}

// perform calls the handler under functionTimeout. At the limit the invocation
// has failed; after a grace the handler is killed, and all other invocations
// with it, and only then does perform return.
func (h *Host) perform(ctx context.Context, inv *Invocation, perform func(context.Context) (reply, error)) (reply, error) {
	type outcome struct {
		reply reply
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		answer, err := perform(context.WithoutCancel(ctx))
		done <- outcome{answer, err}
	}()
	var limit <-chan time.Time
	if h.timing.FunctionTimeout > 0 {
		timer := time.NewTimer(h.timing.FunctionTimeout)
		defer timer.Stop()
		limit = timer.C
	}
	select {
	case out := <-done:
		return out.reply, out.err
	case <-limit:
	}
	victim := h.handler.process()
	h.emit(Event{Kind: InvocationTimedOut, Invocation: *inv})
	h.log.Error("function timed out: the handler will be killed", "function", inv.Function, "invocation_id", inv.ID, "limit", h.timing.FunctionTimeout)
	grace := time.NewTimer(h.timing.TimeoutGrace)
	defer grace.Stop()
	select {
	case <-grace.C:
	case <-ctx.Done():
	}
	if h.handler.killAfterTimeout(victim) {
		h.stopWith(ErrTwoTimeouts)
	}
	return reply{}, ErrFunctionTimeout
}

// postEnvelope returns the call of a function in envelope mode.
func (h *Host) postEnvelope(f *Function, inv *Invocation, e envelope) func(context.Context) (reply, error) {
	return func(ctx context.Context) (reply, error) {
		body := e.encode()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.handler.address+"/"+f.Name, bytes.NewReader(body))
		if err != nil {
			return reply{}, err
		}
		if !h.opts.AnnouncedBodies {
			req.ContentLength = -1
		}
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
		req.Header.Set("User-Agent", userAgent)
		setInvocationHeaders(req.Header, inv.ID)
		resp, err := h.client.Do(req)
		if err != nil {
			return reply{}, fmt.Errorf("call handler: %w", withoutURL(err))
		}
		defer resp.Body.Close()
		answer, err := readResult(resp)
		return reply{result: answer}, err
	}
}

// withoutURL takes the address off a client's error: its query may hold a key.
func withoutURL(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		return outer.Err
	}
	return err
}

func setInvocationHeaders(header http.Header, invocationID string) {
	header.Set("X-Azure-Functions-InvocationId", invocationID)
	header.Set("X-Azure-Functions-HostVersion", hostVersion)
}

// writeQueueOutputs sends what a result says for the function's queue outputs.
// Queues are created if missing, and listeners of this host are woken.
func (h *Host) writeQueueOutputs(ctx context.Context, f *Function, r result) error {
	for _, b := range f.outputs {
		value, ok := r.output(b.Name)
		if !ok || !b.is("queue") {
			continue
		}
		queue, key, err := h.openQueue(b.Connection, b.QueueName)
		if err != nil {
			return err
		}
		for _, text := range queueTexts(value, b.binary()) {
			if err := queue.Send(ctx, encodeMessage(text, h.config.queues.base64)); err != nil {
				return fmt.Errorf("write output %s: %w", b.Name, err)
			}
		}
		select {
		case h.wake[key] <- struct{}{}:
		default: // nobody listens, or is awake already
		}
	}
	return nil
}

// invokeQueue runs a queue function for a message whose body is decoded.
func (h *Host) invokeQueue(ctx context.Context, f *Function, inv *Invocation, m message) error {
	e := queueEnvelope(f, m, inv.Body, time.Now())
	if inv.Manual {
		e.byHand(f, string(inv.Body))
	}
	return h.invoke(ctx, inv,
		h.postEnvelope(f, inv, e),
		func(r reply) error { return h.writeQueueOutputs(ctx, f, r.result) })
}

// invokeTimer runs a timer function.
func (h *Host) invokeTimer(ctx context.Context, f *Function, manual bool, status *scheduleStatus, pastDue bool) error {
	inv := &Invocation{ID: uuid.NewString(), Function: f.Name, Manual: manual}
	e := timerEnvelope(f, status, pastDue, h.opts.ZonelessTimes, time.Now())
	if manual {
		e.byHand(f, "")
	}
	return h.invoke(ctx, inv,
		h.postEnvelope(f, inv, e),
		func(r reply) error { return h.writeQueueOutputs(ctx, f, r.result) })
}
