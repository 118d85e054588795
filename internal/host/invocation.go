package host

import (
	"context"
	"log/slog"
)

// Invocation is one call of a function by a trigger.
type Invocation struct {
	ID       string // as the host names it in its own log
	Function string // folder name of the function
	Body     []byte // the envelope, to be decoded by DecodeQueue or DecodeTimer
}

// Func is the work of a function with an envelope. Its context ends early enough
// for an answer; a Func that goes on regardless is answered for and left behind.
type Func func(ctx context.Context, in Invocation) Reply

type contextKey int

const (
	loggerKey contextKey = iota
	invocationKey
)

// Logger returns the logger of the invocation, which carries invocation_id and
// function, or one that discards everything outside of an invocation.
func Logger(ctx context.Context) *slog.Logger {
	if l, ok := ctx.Value(loggerKey).(*slog.Logger); ok {
		return l
	}
	return slog.New(slog.DiscardHandler)
}

// WithLogger returns a context whose Logger is l, for work that knows more about
// itself than the invocation does.
func WithLogger(ctx context.Context, l *slog.Logger) context.Context {
	return context.WithValue(ctx, loggerKey, l)
}

// InvocationID returns the host's id of the invocation, "" outside of one.
func InvocationID(ctx context.Context) string {
	id, _ := ctx.Value(invocationKey).(string)
	return id
}
