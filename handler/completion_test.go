package main

import (
	"os/exec"
	"strings"
	"testing"
)

// The lines are for the shell that is named, else for that of SHELL, and bash takes them,
// wherever the program lies.
func TestCompletion_IsForTheShellThatIsMeant(t *testing.T) {
	for _, tt := range []struct {
		shell, args, begins string
		code                int
	}{
		{"/bin/bash", "", "complete -C /", 0},
		{"/usr/bin/zsh", "", "autoload -U +X bashcompinit && bashcompinit\ncomplete -C /", 0},
		{"/bin/bash", "--shell fish", "function __handler_may_follow\n", 0},
		{"/bin/sh", "", "", exitUsage},
		{"", "", "", exitUsage},
		{"/bin/bash", "--shell tcsh", "", exitUsage},
	} {
		out, err := runWith(t, map[string]string{"SHELL": tt.shell}, append([]string{"completion"}, strings.Fields(tt.args)...)...)
		if exitCode(err) != tt.code || !strings.HasPrefix(out, tt.begins) || err != nil && !strings.Contains(err.Error(), "want one of bash, fish, zsh") {
			t.Errorf("SHELL=%s %s: %v\n%s", tt.shell, tt.args, err, out)
		}
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	for _, program := range []string{"/opt/d2a/handler", "/home/ana's tools/hand ler"} {
		cmd := exec.CommandContext(t.Context(), bash, "-c", bashLines(word(program))+`eval "set -- $(complete -p handler)"; eval "set -- $3"; printf %s "$1"`)
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != program {
			t.Errorf("%s: %v, bash would run %q", program, err, out)
		}
	}
}
