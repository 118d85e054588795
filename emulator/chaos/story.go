package chaos

import (
	"bytes"
	"strings"
	"sync"
	"time"
)

// told is how many lines of a schedule are kept for the story of its failure.
const told = 4000

// story keeps the last lines that a schedule wrote.
type story struct {
	began time.Time

	mu    sync.Mutex
	lines []string
}

// Write takes whole lines, as slog writes them.
func (s *story) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range bytes.Lines(p) {
		s.lines = append(s.lines, strings.TrimRight(string(line), "\n"))
	}
	if len(s.lines) > 2*told {
		s.lines = append([]string(nil), s.lines[len(s.lines)-told:]...)
	}
	return len(p), nil
}

// last returns the last n lines.
func (s *story) last(n int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines[max(0, len(s.lines)-n):]...)
}
