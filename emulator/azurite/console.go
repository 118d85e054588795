package azurite

import (
	"bytes"
	"maps"
	"regexp"
	"strings"
	"sync"
)

// tailLines is how much of Azurite's output an error repeats.
const tailLines = 30

// listenLine is what Azurite prints once a service has bound its port.
var listenLine = regexp.MustCompile(`^Azurite (Blob|Queue|Table) service is successfully listening at (https?://\S+)$`)

// console takes the child's output: it remembers the last lines and learns the
// addresses. Ready is closed when all services have announced theirs.
type console struct {
	ready chan struct{}

	mu      sync.Mutex
	partial []byte
	lines   []string
	urls    map[Service]string
}

func newConsole() *console {
	return &console{ready: make(chan struct{}), urls: make(map[Service]string)}
}

// Write implements io.Writer; it never fails.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.partial = append(c.partial, p...)
	for {
		i := bytes.IndexByte(c.partial, '\n')
		if i < 0 {
			return len(p), nil
		}
		c.line(strings.TrimRight(string(c.partial[:i]), "\r"))
		c.partial = c.partial[i+1:]
	}
}

func (c *console) line(line string) {
	c.lines = append(c.lines, line)
	if len(c.lines) > tailLines {
		c.lines = c.lines[len(c.lines)-tailLines:]
	}
	m := listenLine.FindStringSubmatch(line)
	if m == nil {
		return
	}
	before := len(c.urls)
	c.urls[Service(strings.ToLower(m[1]))] = m[2]
	if before < len(c.urls) && len(c.urls) == len(Services()) {
		close(c.ready)
	}
}

// listening returns the root URL of every service announced so far.
func (c *console) listening() map[Service]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.urls)
}

// tail returns the last lines, an unfinished one included.
func (c *console) tail() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := append([]string(nil), c.lines...)
	if len(c.partial) > 0 {
		lines = append(lines, string(c.partial))
	}
	if len(lines) == 0 {
		return "(none)"
	}
	return strings.Join(lines, "\n")
}
