package chaos

import (
	"bytes"
	"strings"
	"sync"
)

// kept is how many lines of a schedule are kept to explain its failure.
const kept = 4000

// logTail keeps the last lines that a schedule wrote.
type logTail struct {
	mu    sync.Mutex
	lines []string
}

// Write takes whole lines, as slog writes them.
func (t *logTail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for line := range bytes.Lines(p) {
		t.lines = append(t.lines, strings.TrimRight(string(line), "\n"))
	}
	if len(t.lines) > 2*kept {
		t.lines = append([]string(nil), t.lines[len(t.lines)-kept:]...)
	}
	return len(p), nil
}

// last returns the last n lines.
func (t *logTail) last(n int) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.lines[max(0, len(t.lines)-n):]...)
}
