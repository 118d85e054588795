// Command bench measures the built handler against the emulators and prints one
// line a figure: bench: name=<name> case=<case> key=value ...
// docs/performance.md says what the figures mean.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/defender2adx/defender2adx/internal/emulator/bench"
	"github.com/defender2adx/defender2adx/internal/emulator/stack"
)

type commands struct {
	App   string   `help:"Folder of the built app (make build)." default:"build/app" type:"existingdir"`
	Short bool     `help:"Only check that every measurement works."`
	Only  []string `help:"Names of the measurements to run; all of them otherwise."`
}

func main() {
	var cli commands
	parser := kong.Must(&cli, kong.Name("bench"), kong.Description("Benchmarks of Defender2ADX on one machine."), kong.UsageOnError())
	_, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parser.FatalIfErrorf(run(ctx, cli))
}

func run(ctx context.Context, cli commands) error {
	// The emulators hold whole tables in memory; half as much garbage is enough.
	debug.SetGCPercent(50)
	root, err := filepath.Abs(cli.App)
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
	for _, name := range cli.Only {
		if !slices.Contains(names, name) {
			return fmt.Errorf("no measurement %q: want %s", name, strings.Join(names, ", "))
		}
	}
	b := &bench.Bench{App: app, Out: os.Stdout, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Short: cli.Short}
	for _, m := range bench.All() {
		if len(cli.Only) > 0 && !slices.Contains(cli.Only, m.Name) {
			continue
		}
		if err := m.Run(ctx, b); err != nil {
			return fmt.Errorf("measure %s: %w", m.Name, err)
		}
	}
	return nil
}
