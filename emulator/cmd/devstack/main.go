// Command devstack runs Defender2ADX on one machine without Azure.
//
//	devstack demo       the whole stack, one scheduled run, a closing comparison
//	devstack up         the whole stack until Ctrl-C
//	devstack emulators  the emulators and Azurite alone, for any client
//	devstack query      what the emulated ADX of a running stack answers
//	devstack token      a bearer token for it, for curl and other clients
//	devstack chaos      schedules of faults, each judged by content
//	devstack bench      calls, quota, memory, speed, start
//	devstack kql        all KQL of the repository through Microsoft's parser
//	devstack mutants    known bugs put in one at a time: would the tests notice?
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/stack"
	"github.com/defender2adx/defender2adx/emulator/tenant"
)

type commands struct {
	Demo      demoCommand      `cmd:"" help:"Run everything once and compare source and ADX row by row."`
	Up        upCommand        `cmd:"" help:"Run everything until Ctrl-C. HOST=func uses Core Tools on the PATH."`
	Emulators emulatorsCommand `cmd:"" help:"Run the emulators and Azurite alone until SIGTERM."`
	Query     queryCommand     `cmd:"" help:"Ask the ADX of a running stack (make start) and print the rows."`
	Token     tokenCommand     `cmd:"" help:"Print a bearer token for the ADX of a running stack."`
	Chaos     chaosCommand     `cmd:"" help:"Play schedules of faults over the product and judge them by content."`
	Bench     benchCommand     `cmd:"" help:"Measure the built handler against the emulators, one line a figure."`
	KQL       kqlCommand       `cmd:"" name:"kql" help:"Check all KQL of the repository with Microsoft's parser, or bind hunting queries."`
	Mutants   mutantsCommand   `cmd:"" help:"Put known bugs in, one at a time: the tests must catch each."`
}

// source says what the Defender emulator serves.
type source struct {
	Data  string  `help:"Folder of <Table>.jsonl files to serve as they stand, instead of the sample tenant." type:"existingdir"`
	Scale float64 `help:"Size of the sample tenant; 1 is about 300,000 rows." default:"1"`
	Seed  uint64  `help:"Seed of the sample tenant." default:"1"`
}

func (s source) tenant(now time.Time) (*tenant.Tenant, error) {
	var data *tenant.Tenant
	var err error
	if s.Data != "" {
		if data, err = tenant.Load(s.Data, tenant.LoadOptions{Now: now}); err != nil {
			return nil, err
		}
		skipped, err := tenant.Skipped(s.Data)
		if err != nil {
			return nil, err
		}
		if len(skipped) > 0 {
			fmt.Fprintf(os.Stderr, "devstack: only <Table>.jsonl files are served, one JSON object a line; skipped: %s\n", strings.Join(skipped, ", "))
		}
	} else {
		data, err = tenant.Generate(tenant.Options{Seed: s.Seed, Scale: s.Scale, Now: now})
	}
	if err != nil {
		return nil, err
	}
	data.Run(time.Now)
	return data, nil
}

// rows says how the Defender emulator serves them.
type rows struct {
	Whole bool `help:"Render rows by the answer's schema, all columns and their types, as Defender does; --no-whole serves rows as they stand." default:"true" negatable:""`
}

// app is where the built handler is.
type app struct {
	App string `help:"Folder of the built app (make build)." default:"build/app" type:"existingdir"`
}

func (a app) open() (stack.App, error) {
	// The host starts the handler from its own folder.
	root, err := filepath.Abs(a.App)
	if err != nil {
		return stack.App{}, err
	}
	built := stack.App{Root: root}
	return built, built.Check()
}

func main() {
	var cli commands
	parser := kong.Must(&cli, kong.Name("devstack"), kong.Description("Defender2ADX on one machine, without Azure."),
		kong.Vars{"notice": stack.NoticePath})
	command, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err = command.Run(&process{ctx})
	if err != nil && !errors.Is(err, errFailed) {
		sayOn(os.Stderr, "devstack: "+err.Error())
	}
	if err != nil {
		stop()
		os.Exit(1)
	}
}

// errFailed ends a command whose own output has said what failed.
var errFailed = errors.New("failed")

type process struct{ ctx context.Context }

type demoCommand struct {
	source
	app
	Timeout   time.Duration `help:"Give up after this long." default:"10m"`
	Instances int           `help:"Tenants that the app copies; of more than one, the last has a wrong client secret and must hold up no other." default:"1"`
}

// more makes the tenants beside the first.
func (c demoCommand) more(now time.Time) (out []stack.Instance, err error) {
	for n := 2; n <= c.Instances; n++ {
		i := stack.Instance{Name: fmt.Sprintf("Tenant%d", n), Prefix: fmt.Sprintf("T%d_", n), Database: fmt.Sprintf("tenant%d", n), WrongSecret: n == c.Instances}
		size := c.source
		if size.Seed += uint64(n); i.WrongSecret {
			size.Data, size.Scale = "", 0.01 // nobody reads it
		}
		if i.Data, err = size.tenant(now); err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, nil
}

var errDifferent = errors.New("source and ADX differ")

func (c demoCommand) Run(p *process) (err error) {
	app, err := c.open()
	if err != nil {
		return err
	}
	data, err := c.tenant(time.Now())
	if err != nil {
		return err
	}
	more, err := c.more(time.Now())
	if err != nil {
		return err
	}
	e, err := stack.Start(p.ctx, stack.Options{Data: data, Instances: more, Hunting: hunting.Options{Limits: stack.Unhurried(), REST: stack.UnhurriedREST()}})
	if err != nil {
		return err
	}
	var display stack.Display = stack.Plain{Out: os.Stdout}
	if term.IsTerminal(int(os.Stdout.Fd())) {
		display = stack.NewTerminal(os.Stdout)
	}
	outcome, err := stack.Demo{App: app, Data: c.Data != "", Display: display, Timeout: c.Timeout}.Run(p.ctx, e)
	if err := errors.Join(err, e.Close()); err != nil {
		return err
	}
	start := "make start"
	if c.Data != "" {
		start += " DATA=" + quoted(c.Data)
	}
	fmt.Printf("to look around, in two terminals:\n  %s\n", start)
	if outcome.Arrived != "" {
		fmt.Printf("  %s query '%s | take 5'\n", self(), outcome.Arrived)
	}
	say(outcome.Line())
	if !outcome.OK() {
		return errDifferent
	}
	return nil
}

// quoted is text as a shell takes it for one word.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

type emulatorsCommand struct {
	source
	running
	rows
	JSON          bool          `help:"Print one line of JSON with every address, name and credential." name:"json"`
	IngestLatency time.Duration `help:"How long ADX takes over a blob." default:"1s"`
	Certificate   string        `help:"PEM file of a certificate with which the sample application may sign in, too." type:"existingfile"`
	LooseTies     bool          `help:"Give rows that a sort holds for equal in another order at each query."`
	Settings      string        `help:"Write the settings with which a handler works against them to this file, for handler --env-file. It goes when they end." type:"path"`
	PatchDays     bool          `help:"Each line on the standard input is a patch day: some vulnerabilities of the devices go, some come, some change. A line on the standard output says when it is over."`
}

func (c emulatorsCommand) Run(p *process) error {
	data, err := c.tenant(time.Now())
	if err != nil {
		return err
	}
	e, err := stack.Start(p.ctx, stack.Options{
		Data: data, IngestLatency: c.IngestLatency, LooseTies: c.LooseTies,
		Hunting: hunting.Options{Whole: c.Whole, Awkward: hunting.Awkward{LooseTies: c.LooseTies}},
	})
	if err != nil {
		return err
	}
	if c.Certificate != "" {
		if err := e.TrustCertificate(c.Certificate); err != nil {
			return errors.Join(err, e.Close())
		}
	}
	remove, err := e.Describe().Post(c.Stack)
	if err != nil {
		return errors.Join(err, e.Close())
	}
	if c.Settings != "" {
		removeSettings, err := e.PostSettings(c.Settings, nil)
		if err != nil {
			return errors.Join(err, remove(), e.Close())
		}
		removeNotice := remove
		remove = func() error { return errors.Join(removeSettings(), removeNotice()) }
	}
	d := e.Describe()
	if c.JSON {
		if err := json.NewEncoder(os.Stdout).Encode(d); err != nil {
			return errors.Join(err, remove(), e.Close())
		}
	} else {
		fmt.Printf("Graph and MDE  %s\nEntra ID       %s\nKey Vault      %s\nKusto          %s (database %s)\nstorage        %s\nCA             %s\nask Kusto      %s query 'print 1'\n(--json prints everything, credentials included; ends with Ctrl-C)\n",
			d.Graph, d.Authority, d.KeyVault, d.Kusto, d.Database, d.Blob, d.CAFile, self())
	}
	if c.PatchDays {
		go patchDays(data)
	}
	<-p.ctx.Done()
	return errors.Join(remove(), e.Close())
}

// patchDays lets one pass for each line that comes in, and says how it ended.
func patchDays(data *tenant.Tenant) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if err := data.PatchDay(); err != nil {
			fmt.Println("patch day failed:", err)
			continue
		}
		fmt.Println("patch day over")
	}
}
