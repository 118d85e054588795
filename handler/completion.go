package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
)

// completionCommand prints what has a shell ask this program, with the line so far in
// COMP_LINE, for what may follow.
type completionCommand struct {
	Shell string `placeholder:"bash|zsh|fish" help:"Shell that the lines are for. Default: that of SHELL."`
}

func (completionCommand) Help() string {
	return `The lines name this file, where it is now.

Example:

  handler completion --shell bash >> ~/.bashrc`
}

// shells are those that are served; zsh does it as bash, once told to.
var shells = map[string]func(program string) string{
	"bash": bashLines,
	"zsh": func(program string) string {
		return "autoload -U +X bashcompinit && bashcompinit\n" + bashLines(program)
	},
	"fish": func(program string) string {
		return "function __handler_may_follow\n" +
			"    set -lx COMP_LINE (commandline -cp)\n" +
			"    set -l begun (commandline -ct)\n" +
			"    if test -z \"$begun\"; and not string match -q '* ' -- \"$COMP_LINE\"\n" +
			"        set COMP_LINE \"$COMP_LINE \"\n" +
			"    end\n" +
			"    " + program + "\n" +
			"end\n" +
			"complete -c handler -f -a '(__handler_may_follow)'\n"
	},
}

func bashLines(program string) string { return "complete -C " + word(program) + " handler\n" }

func (c completionCommand) Run(p *process) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's file: %w", err)
	}
	name := cmp.Or(c.Shell, path.Base(p.getenv("SHELL")))
	lines, known := shells[name]
	if !known {
		return usageError{fmt.Errorf("--shell: want one of %s, got %q", strings.Join(slices.Sorted(maps.Keys(shells)), ", "), name)}
	}
	_, err = fmt.Fprint(p.stdout, lines(word(program)))
	return err
}

// plainPath is what a shell takes for one word.
var plainPath = regexp.MustCompile(`^[\w./-]+$`)

// word is text as a shell takes it for one word.
func word(text string) string {
	if plainPath.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
