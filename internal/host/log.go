package host

import (
	"context"
	"io"
	"log/slog"
	"regexp"
)

// NewLogger writes JSON lines so that the host, and Application Insights behind
// it, see their level: it takes a line on stdout for information, one on stderr
// for an error, and for a warning when it holds "warn" in any letter case.
func NewLogger(stdout, stderr io.Writer, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	return slog.New(rated{
		info: slog.NewJSONHandler(stdout, o), warn: slog.NewJSONHandler(stderr, o), fail: slog.NewJSONHandler(errorLines{stderr}, o),
	})
}

// rated gives a record to the handler of its level.
type rated struct{ info, warn, fail slog.Handler }

func (h rated) of(level slog.Level) slog.Handler {
	switch {
	case level >= slog.LevelError:
		return h.fail
	case level >= slog.LevelWarn:
		return h.warn
	}
	return h.info
}

func (h rated) Enabled(ctx context.Context, level slog.Level) bool {
	return h.of(level).Enabled(ctx, level)
}

func (h rated) Handle(ctx context.Context, r slog.Record) error { return h.of(r.Level).Handle(ctx, r) }

func (h rated) WithAttrs(attrs []slog.Attr) slog.Handler {
	return rated{h.info.WithAttrs(attrs), h.warn.WithAttrs(attrs), h.fail.WithAttrs(attrs)}
}

func (h rated) WithGroup(name string) slog.Handler {
	return rated{h.info.WithGroup(name), h.warn.WithGroup(name), h.fail.WithGroup(name)}
}

// errorLines keeps the host from taking an error that speaks of a warning for
// one: the letter is escaped, which changes nothing of the JSON that is read.
// slog writes each record in one call.
type errorLines struct{ w io.Writer }

var warning = regexp.MustCompile(`(?i)w(arn)`)

func (e errorLines) Write(line []byte) (int, error) {
	escaped := warning.ReplaceAllFunc(line, func(m []byte) []byte {
		if m[0] == 'W' {
			return append([]byte(`\u0057`), m[1:]...)
		}
		return append([]byte(`\u0077`), m[1:]...)
	})
	if _, err := e.w.Write(escaped); err != nil {
		return 0, err
	}
	return len(line), nil
}
