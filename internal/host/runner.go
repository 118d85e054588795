package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"
)

// invocationHeader marks a request as the host's own. Its absence means that
// somebody else on the machine, or a forwarded path, reached an envelope route.
const invocationHeader = "X-Azure-Functions-InvocationId"

// maxInvocationID bounds the header; the host sends a GUID of 36 characters.
const maxInvocationID = 128

// maxDiscarded bounds what is read of a body that is too large, in bytes: above the
// 210 MB that the platform passes on.
const maxDiscarded = 256 << 20

// Limits bound an invocation. Zero fields take the defaults.
type Limits struct {
	// AnswerWithin is the latest instant, counted from the arrival, at which a
	// timer or queue invocation is answered, even if its work hangs. It must lie
	// below the host's functionTimeout, at which it kills the process and every
	// other invocation with it. Default ForwardedWithin.
	AnswerWithin time.Duration
	// ForwardedWithin is the same for a forwarded HTTP request. Default 200 s, since
	// the platform's front end gives up after 230 s.
	ForwardedWithin time.Duration
	// Grace is the end of those times that the work does not get: its context is
	// done that much earlier, and it is waited for that long when the context is
	// done for any other reason. Default 15 s, never more than half of the time.
	Grace time.Duration
	// BodyBytes bounds the body of a request. Default 1 MiB.
	BodyBytes int64
}

func (l Limits) withDefaults() Limits {
	if l.ForwardedWithin <= 0 {
		l.ForwardedWithin = 200 * time.Second
	}
	if l.AnswerWithin <= 0 {
		l.AnswerWithin = l.ForwardedWithin
	}
	if l.Grace <= 0 {
		l.Grace = 15 * time.Second
	}
	if l.BodyBytes <= 0 {
		l.BodyBytes = maxEnvelopeBytes
	}
	return l
}

// Runner runs invocations: it guards them against panics and hanging work, and
// gives them a logger.
type Runner struct {
	log    *slog.Logger
	limits Limits
}

// NewRunner returns a Runner that logs to log.
func NewRunner(log *slog.Logger, limits Limits) *Runner {
	return &Runner{log: log, limits: limits.withDefaults()}
}

// Envelope serves one timer or queue function, at POST /<function>. A request
// without the host's invocation header is refused with 403.
func (r *Runner) Envelope(function string, f Func) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		id := req.Header.Get(invocationHeader)
		switch {
		case id == "" || len(id) > maxInvocationID:
			Reply{}.write(w, http.StatusForbidden)
			return
		case req.Method != http.MethodPost:
			w.Header().Set("Allow", http.MethodPost)
			Reply{}.write(w, http.StatusMethodNotAllowed)
			return
		}
		work := func(ctx context.Context) Reply {
			body, err := io.ReadAll(io.LimitReader(req.Body, r.limits.BodyBytes+1))
			if err == nil && int64(len(body)) > r.limits.BodyBytes {
				err = fmt.Errorf("body over %d bytes", r.limits.BodyBytes)
			}
			if err != nil {
				Logger(ctx).ErrorContext(ctx, "read invocation", "error", err)
				return Reply{Redeliver: true}
			}
			return f(ctx, Invocation{ID: id, Function: function, Body: body})
		}
		ctx := r.enter(req.Context(), function, id)
		reply, err := guard(ctx, r.limits.AnswerWithin, r.limits.Grace, work)
		if err != nil {
			reply = Reply{Redeliver: true}
		}
		reply.Write(w)
	})
}

// Forwarded serves an HTTP function whose requests the host forwards unchanged.
// The response of next is held back until next returns, so that a late or
// panicking one becomes a 500 with a JSON body; the host would buffer it anyway.
func (r *Runner) Forwarded(function string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		id := req.Header.Get(invocationHeader)
		if len(id) > maxInvocationID {
			id = ""
		}
		work := func(ctx context.Context) *bufferedResponse {
			held := newBufferedResponse()
			body, err := io.ReadAll(io.LimitReader(req.Body, r.limits.BodyBytes+1))
			switch {
			case err != nil:
				Logger(ctx).WarnContext(ctx, "read request", "error", err.Error())
				Problem(held, http.StatusBadRequest, "the body could not be read to its end")
				return held
			case int64(len(body)) > r.limits.BodyBytes:
				// The host reads no answer before it has written all it has.
				if _, err := io.Copy(io.Discard, io.LimitReader(req.Body, maxDiscarded)); err != nil {
					Logger(ctx).WarnContext(ctx, "read request", "error", err.Error())
				}
				Problem(held, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is over %d bytes; no call of this app needs one", r.limits.BodyBytes))
				return held
			}
			req := req.WithContext(ctx)
			req.Body = io.NopCloser(bytes.NewReader(body))
			next.ServeHTTP(held, req)
			return held
		}
		ctx := r.enter(req.Context(), function, id)
		held, err := guard(ctx, r.limits.ForwardedWithin, r.limits.Grace, work)
		if err != nil {
			writeJSON(w, http.StatusInternalServerError, struct {
				Error        string `json:"error"`
				InvocationID string `json:"invocation_id"`
			}{err.Error(), id})
			return
		}
		held.send(w)
	})
}

// enter puts the logger and the id of an invocation into its context.
func (r *Runner) enter(ctx context.Context, function, id string) context.Context {
	ctx = WithLogger(ctx, r.log.With("function", function, "invocation_id", id))
	return context.WithValue(ctx, invocationKey, id)
}

var (
	errBroken    = errors.New("the function broke off")
	errAbandoned = errors.New("the function did not end in time")
)

// guard runs work and returns its result, or an error after a panic or when the
// work has not returned a grace after its context was done. The context is done
// at within less grace. Work that goes on is abandoned with its goroutine: there
// is no other way to answer for it.
func guard[T any](ctx context.Context, within, grace time.Duration, work func(context.Context) T) (T, error) {
	log := Logger(ctx)
	start := time.Now()
	grace = min(grace, within/2)
	ctx, cancel := context.WithTimeout(ctx, within-grace)
	defer cancel()

	type outcome struct {
		result T
		err    error
	}
	done := make(chan outcome, 1) // room for one, so that abandoned work can end
	go func() {
		out := outcome{err: errBroken} // stands if work leaves by runtime.Goexit
		defer func() {
			if p := recover(); p != nil {
				log.Error("panic in function", "panic", describePanic(p), "stack", string(debug.Stack()))
			}
			done <- out
		}()
		result := work(ctx)
		out = outcome{result: result}
	}()

	select {
	case out := <-done:
		return out.result, out.err
	case <-ctx.Done():
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case out := <-done:
		return out.result, out.err
	case <-timer.C:
		log.Error("function abandoned: it goes on after the end of its context",
			"cause", context.Cause(ctx), "dur_ms", time.Since(start).Milliseconds())
		var none T
		return none, errAbandoned
	}
}

// describePanic names a panic without what it may carry: the text of a runtime
// error speaks of types and indices only, any other value is shown by its type.
func describePanic(p any) string {
	if err, ok := p.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("%T", p)
}
