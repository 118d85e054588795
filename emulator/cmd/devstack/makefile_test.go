package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/emulator/rounds"
)

// A folder of somebody's data may have any name.
func TestMake_PassesAFolderAsOneWord(t *testing.T) {
	rounds.Long(t)
	for _, target := range []string{"demo", "start"} {
		for data, word := range map[string]string{"/a b": "'/a b'", "/it's": `'/it'\''s'`, "/$x;y": "'/$x;y'"} {
			out, err := exec.CommandContext(t.Context(), "make", "-C", "../../..", "--dry-run", target, "DATA="+strings.ReplaceAll(data, "$", "$$")).CombinedOutput()
			if err != nil || !strings.Contains(string(out), " --data "+word) {
				t.Errorf("make %s DATA=%s: %v\n%s", target, data, err, out)
			}
		}
	}
}
