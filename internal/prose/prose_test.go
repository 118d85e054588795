package prose

import (
	"strings"
	"testing"
)

func TestFolded_KeepsEveryWord(t *testing.T) {
	const text = "Failed: one two three four five a-word-that-is-longer-than-the-line six"
	got := Folded(text, 20, "  ")
	if strings.Join(strings.Fields(got), " ") != text {
		t.Errorf("words were lost: %q", got)
	}
	for line := range strings.Lines(got) {
		if line = strings.TrimRight(line, "\n"); len(line) > 20 && strings.Contains(strings.TrimSpace(line), " ") {
			t.Errorf("a line of %d columns could be broken: %q", len(line), line)
		}
	}
}
