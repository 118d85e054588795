package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/emulator/bench"
	"github.com/defender2adx/defender2adx/emulator/stack"
)

// benchCommand prints one line a figure: bench: name=<name> case=<case> key=value ...
// docs/performance.md says what the figures mean.
type benchCommand struct {
	App   string   `help:"Folder of the built app (make build)." default:"build/app" type:"existingdir"`
	Short bool     `help:"Only check that every measurement works."`
	Only  []string `help:"Names of the measurements to run; all of them otherwise."`
	Case  string   `help:"The one case to run of quota or memory."`
}

func (c benchCommand) Run(p *process) error {
	// The emulators hold whole tables in memory; half as much garbage is enough.
	debug.SetGCPercent(50)
	root, err := filepath.Abs(c.App)
	if err != nil {
		return err
	}
	app := stack.App{Root: root}
	if err := app.Check(); err != nil {
		return err
	}
	var names []string
	for _, m := range bench.All() {
		names = append(names, m.Name)
	}
	for _, name := range c.Only {
		if !slices.Contains(names, name) {
			return fmt.Errorf("no measurement %q: want %s", name, strings.Join(names, ", "))
		}
	}
	b := &bench.Bench{App: app, Out: os.Stdout, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Short: c.Short, Case: c.Case}
	for _, m := range bench.All() {
		if len(c.Only) > 0 && !slices.Contains(c.Only, m.Name) {
			continue
		}
		if err := b.Measure(p.ctx, m); err != nil {
			return err
		}
	}
	return nil
}
