package defender

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
)

// watchdog ends a call that the service leaves hanging. It bounds each wait for
// the service, not the whole call: a slow destination is nobody's fault.
type watchdog struct {
	cancel context.CancelFunc

	mu    sync.Mutex
	timer *time.Timer
	round int   // of the wait under way; a timer of an earlier one does nothing
	cause error // why the call was ended; nil if it was not
}

// newWatchdog returns the context that the watchdog ends.
func newWatchdog(parent context.Context) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancel(parent)
	return ctx, &watchdog{cancel: cancel}
}

// start ends the call unless rest comes within d.
func (w *watchdog) start(d time.Duration, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.round++
	round := w.round
	w.timer = time.AfterFunc(d, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.round == round && w.cause == nil {
			w.cause = fmt.Errorf("%s from the service for %s", what, d)
			w.cancel()
		}
	})
}

// rest ends the wait under way.
func (w *watchdog) rest() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.round++
	if w.timer != nil {
		w.timer.Stop()
	}
}

func (w *watchdog) stop() {
	w.rest()
	w.cancel()
}

func (w *watchdog) expired() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cause
}

// body returns a body of which each read is watched.
func (w *watchdog) body(body io.ReadCloser, idle time.Duration) io.ReadCloser {
	return &watchedBody{body, w, idle}
}

type watchedBody struct {
	io.ReadCloser
	watch *watchdog
	idle  time.Duration
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.watch.start(b.idle, "no bytes")
	defer b.watch.rest()
	return b.ReadCloser.Read(p)
}

// packedBuffer holds as many packed bytes as unpack to a few buffers of rows.
const packedBuffer = 64 << 10

// unpacked returns the body without its content encoding.
func unpacked(body io.ReadCloser, header http.Header) (io.ReadCloser, error) {
	switch encoding := strings.ToLower(strings.TrimSpace(header.Get("Content-Encoding"))); encoding {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
		gz, err := gzip.NewReader(bufio.NewReaderSize(body, packedBuffer))
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, fmt.Errorf("unpack answer: %w", err)
		}
		return struct {
			io.Reader
			io.Closer
		}{gz, body}, nil
	default:
		return nil, fmt.Errorf("unpack answer: content encoding %q was not asked for", clip(encoding, 40))
	}
}
