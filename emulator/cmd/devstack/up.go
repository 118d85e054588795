package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/emulator/funchost"
	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/stack"
	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/prose"
)

type upCommand struct {
	source
	app
	running
	rows
	Host string `help:"own: the local Functions host; func: Core Tools on the PATH." enum:"own,func," default:"own" env:"HOST"`

	Identity bool `help:"The handler signs in to storage with its managed identity and has no connection string."`
}

func (c upCommand) Run(p *process) error {
	app, err := c.open()
	if err != nil {
		return err
	}
	if c.Identity && c.Host == "func" {
		return errors.New("IDENTITY=1 needs the local Functions host: Core Tools hand their connection string to the handler")
	}
	given, err := stack.UserSettings(".", os.Environ())
	if err != nil {
		return err
	}
	data, err := c.tenant(time.Now())
	if err != nil {
		return err
	}
	e, err := stack.Start(p.ctx, stack.Options{
		Data: data, StorageByIdentity: c.Identity, Hunting: hunting.Options{Whole: c.Whole},
	})
	if err != nil {
		return err
	}
	remove, err := e.Describe().Post(c.Stack)
	if err != nil {
		return errors.Join(err, e.Close())
	}
	return errors.Join(c.serve(p.ctx, e, app, given), remove(), e.Close())
}

func (c upCommand) serve(ctx context.Context, e *stack.Emulators, app stack.App, given map[string]string) (err error) {
	out, err := e.Prepare(ctx, app, c.Data != "")
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, string(adx.Done)+" ") { // of what was made the sum is enough
			say(strings.TrimRight(line, "\n"))
		}
	}
	changes, kept := e.Honour(given)
	remove, err := e.PostSettings(stack.EnvPath, changes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if len(changes) > 0 {
		say("settings from the environment and local.settings.json: " + strings.Join(slices.Sorted(maps.Keys(changes)), ", "))
	}
	if len(kept) > 0 {
		say("settings not taken from there, the emulators are reached by their own: " + strings.Join(kept, ", "))
	}
	if c.Host == "func" {
		if err := c.explain(e, "http://127.0.0.1:7071"); err != nil { // the port of `func start`
			return err
		}
		fmt.Println("the timer waits for its hour; the tick above fires it now")
		return coreTools(ctx, e, app, changes)
	}
	host, err := e.StartHost(ctx, app, changes, funchost.Options{OnLine: func(l funchost.Line) { fmt.Println(readable(l.Text, stack.Width(os.Stdout))) }})
	if err != nil {
		return err
	}
	if err := errors.Join(c.explain(e, host.URL()), stack.Tick(ctx, host)); err != nil {
		return errors.Join(err, host.Stop(context.WithoutCancel(ctx)))
	}
	say("the timer was fired once: the tables arrive one after the other, as the quota allows, the first within a minute or so")
	select {
	case <-ctx.Done():
	case <-host.Done():
		return host.Wait()
	}
	stopping, done := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer done()
	return host.Stop(stopping)
}

// explain prints commands to paste; api is where the Functions host listens.
func (c upCommand) explain(e *stack.Emulators, api string) error {
	tables, err := e.Configured()
	if err != nil {
		return err
	}
	first := stack.Configured{Source: "DeviceInfo", Destination: "DeviceInfoRaw"}
	for _, t := range tables {
		if t.Active {
			first = t
			break
		}
	}
	fmt.Printf("\nrunning until Ctrl-C; to paste in another terminal:\n"+
		"  tables     curl %[1]s/api/tables\n  setup      curl %[1]s/api/setup\n"+
		"  tick       curl -X POST -H 'Content-Type: application/json' -d '{\"input\":\"\"}' %[1]s/admin/functions/schedule\n"+
		"  one table  curl -X POST %[1]s/api/tables/%[2]s/migrate\n  rows       %[3]s query '%[4]sVisible() | take 5'\n"+
		"  runs       %[3]s query 'MigrationAuditLog | project TableName, Status, RecordCount'\n  handler    %[6]s --env-file %[7]s tables --configured\n  Kusto      %[5]s\n\n",
		api, first.Source, self(), first.Destination, curlLine(e.Describe()), c.App+"/handler", stack.EnvPath)
	return nil
}

func say(line string) { sayOn(os.Stdout, line) }

// sayOn prints a line, folded where out is a narrower terminal.
func sayOn(out *os.File, line string) {
	if width := stack.Width(out); width > 0 {
		line = prose.Folded(line, width, "  ")
	}
	fmt.Fprintln(out, line)
}

// coreTools runs `func start` in the app's folder.
func coreTools(ctx context.Context, e *stack.Emulators, app stack.App, changes map[string]string) (err error) {
	if _, err := exec.LookPath("func"); err != nil {
		return errors.New("HOST=func: Azure Functions Core Tools (func) are not on the PATH")
	}
	cmd, remove, err := e.CoreTools(ctx, app, changes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 15 * time.Second
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("func start: %w", err)
	}
	return nil
}
