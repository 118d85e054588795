// Command handler is the custom handler that the Azure Functions host starts.
// Without arguments it serves the host; `handler setup` prepares a database, and the
// other commands are for people, over the same adapters and promises.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/willabides/kongplete"
	"golang.org/x/term"

	"github.com/defender2adx/defender2adx/handler/app"
	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/host"
)

// version is set by the build.
var version = "dev"

// commands is the command line. Settings come from the environment, as they do
// under the host, and from a file.
type commands struct {
	Serve   serveCommand   `cmd:"" default:"1" help:"Serve the Functions host (what the host runs)."`
	Setup   setupCommand   `cmd:"" help:"Create tables, mappings, policies and views in ADX with your own rights."`
	SignIn  signInCommand  `cmd:"" name:"signin" help:"Sign in to Defender as the settings say, and show the rights of the token."`
	Import  importCommand  `cmd:"" help:"Print the settings for the Defender connections of a msticpyconfig.yaml."`
	Tables  tablesCommand  `cmd:"" help:"Show what the tenant offers and how each table stands."`
	Plan    planCommand    `cmd:"" help:"Say what the next run of tables will take; writes nothing."`
	Migrate migrateCommand `cmd:"" help:"Copy tables now, in this process."`
	On      onCommand      `cmd:"" help:"Switch tables on."`
	Off     offCommand     `cmd:"" help:"Switch tables off; an open run pauses."`
	Rewind  rewindCommand  `cmd:"" help:"Set a table's watermark back, so that rows are copied again."`
	Apply   applyCommand   `cmd:"" help:"Make the configuration what a file says."`
	Export  exportCommand  `cmd:"" help:"Write the configuration as a file."`
	Runs    runsCommand    `cmd:"" help:"Show how a table's runs ended."`
	Query   queryCommand   `cmd:"" help:"Ask Defender, or with --adx the database, in KQL."`
	Version versionCommand `cmd:"" help:"Print the version."`

	Completion completionCommand `cmd:"" help:"Print what makes your shell complete this command; put it into its start file."`

	EnvFile      string `type:"existingfile" placeholder:"FILE" help:"File with settings, NAME=value a line; they go over the environment."`
	PrintVersion bool   `name:"version" help:"Print the version."`
}

// process is what a command may touch of the outside.
type process struct {
	ctx            context.Context
	getenv         func(string) string
	environ        []string
	setenv         func(name, value string) error // nil: libraries that read the environment themselves are not told
	stdin          io.Reader
	stdout, stderr io.Writer
	// terminal is the width of stdout in columns where it is one; 0: it is none.
	terminal func() int
	exit     func(code int) // after help; nil ends the process
	asking   bool           // stdin is a terminal: a person can answer
}

// say tells the person at the terminal something beside what the command prints.
func (p *process) say(text string) { fmt.Fprintln(p.stderr, text) }

func main() {
	// The host and others share the instance's memory. What is large is pooled, so that
	// collecting twice as often costs little; GOGC in the environment goes over it.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(os.Args[1:], &process{
		ctx: ctx, getenv: os.Getenv, environ: os.Environ(), setenv: os.Setenv, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		terminal: func() int {
			width, _, err := term.GetSize(int(os.Stdout.Fd()))
			if err != nil {
				return 0
			}
			return width
		},
		asking: term.IsTerminal(int(os.Stdin.Fd())),
	})
	stop()
	if err != nil && !errors.Is(err, errSaid) {
		fmt.Fprintln(os.Stderr, "handler:", told(err))
	}
	os.Exit(exitCode(err))
}

// told is an error as a person reads it: with the hour, in UTC, from which on what it
// waits for is there, such as a call of a quota that the service uses.
func told(err error) string {
	if until, waits := fault.Until(err); waits {
		return err.Error() + "; try again at " + until.UTC().Format("15:04:05") + " UTC"
	}
	return err.Error()
}

func run(args []string, p *process) error {
	var cli commands
	parser, err := kong.New(&cli, kong.Name("handler"),
		kong.Description("Defender2ADX copies Microsoft Defender data into Azure Data Explorer. Settings are environment variables: see docs/config.md. Commands for people: docs/cli.md."),
		kong.Writers(p.stdout, p.stderr), kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: columns}))
	if err != nil {
		return err
	}
	kongplete.Complete(parser)
	if p.exit != nil {
		parser.Exit = p.exit
	}
	command, err := parser.Parse(args)
	if err != nil {
		return usageError{err}
	}
	if cli.PrintVersion {
		return cli.Version.Run(p)
	}
	if cli.EnvFile != "" {
		if err := p.readEnvFile(cli.EnvFile); err != nil {
			return err
		}
	}
	return command.Run(p)
}

type versionCommand struct {
	outputFlag
}

func (versionCommand) Help() string { return "Example:\n\n  handler version" }

func (c versionCommand) Run(p *process) error {
	if c.json() {
		return printJSON(p.stdout, struct {
			Version string `json:"version"`
		}{version})
	}
	_, err := fmt.Fprintln(p.stdout, version)
	return err
}

type serveCommand struct{}

func (serveCommand) Help() string {
	return `The host starts it, and says where to listen; it reads no flag.

Example:

  handler`
}

// The host kills the process ten seconds after it stops its listeners: both together
// leave two for the rest. A checkpoint takes less than the first; who is cancelled
// writes an audit row and gives its lease back in the second.
const (
	drainGrace  = 5 * time.Second
	cancelGrace = 3 * time.Second
)

// Run listens before it does anything else: the host gives a new process thirty
// seconds to answer. A port that cannot be had hides no faulty setting.
func (serveCommand) Run(p *process) error {
	// Nobody reads what an orphan writes, and it must not die of that before its
	// checkpoints.
	signal.Ignore(syscall.SIGPIPE)
	ctx := host.WithParent(p.ctx)
	listener, err := host.Listen(ctx, p.getenv)
	if listener != nil {
		defer listener.Close()
	}
	cfg, settingsErr := config.Read(p.getenv)
	warnings := config.Warnings(p.getenv, p.environ)
	if err = errors.Join(err, settingsErr); err != nil {
		return faultySettings(err, warnings)
	}
	log := newLogger(p, cfg.LogLevel)
	for _, warning := range warnings {
		log.Warn("settings", "warning", warning)
	}
	for _, i := range cfg.Instances {
		if i.Fault != nil {
			log.Error("settings of an instance, whose tables are not copied", "instance", i.Shown(), "error", i.Fault.Error())
		}
	}
	program, err := app.New(cfg, app.Options{Version: version, Log: log, Warnings: warnings})
	if err != nil {
		return settingsError{fmt.Errorf("settings:\n%w", err)}
	}
	defer func() {
		if err := program.Close(); err != nil {
			log.Warn("stop", "error", err.Error())
		}
	}()
	// Queues must exist before the host polls them; it never makes them itself.
	go program.Prepare(ctx)
	server := &host.Server{Handler: program.Router(), Log: log, DrainGrace: drainGrace, CancelGrace: cancelGrace}
	log.Info("started", "version", version, "app_id", cfg.Migration.AppID, "instances", cfg.InstanceNames())
	err = server.Serve(ctx, listener)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// faultySettings puts the warnings behind the faults: a setting that is not set
// may be one whose name is misspelled.
func faultySettings(err error, warnings []string) error {
	for _, w := range warnings {
		err = fmt.Errorf("%w\n%s", err, w)
	}
	return settingsError{fmt.Errorf("settings:\n%w", err)}
}

func newLogger(p *process, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	return host.NewLogger(p.stdout, p.stderr, l)
}
