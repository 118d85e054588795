package host

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/emulator/sampledata"
)

func TestDecode_ReadsWhatTheRealHostSent(t *testing.T) {
	text, err := os.ReadFile(sampledata.Path(t, "host", "envelopes.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	read := map[string]int{}
	for line := range strings.Lines(string(text)) {
		var call struct{ Path, Body string }
		if err := json.Unmarshal([]byte(line), &call); err != nil {
			t.Fatal(err)
		}
		switch call.Path {
		case "/qf":
			m, err := DecodeQueue([]byte(call.Body), "job")
			if err != nil || m.Text == "" || m.Inserted.IsZero() {
				t.Errorf("queue: %+v, %v from %s", m, err, call.Body)
			}
		case "/tf":
			if _, err := DecodeTimer([]byte(call.Body), "tick"); err != nil {
				t.Errorf("timer: %v from %s", err, call.Body)
			}
		}
		read[call.Path]++
	}
	if read["/qf"] == 0 || read["/tf"] == 0 {
		t.Errorf("read %v, want calls of both triggers", read)
	}
}
