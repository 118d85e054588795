package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/handler/app"
	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/credential"
)

// setupCommand prepares a database. It needs the ADX_ settings only and signs in
// as ADX_CREDENTIAL says, usually azure-cli: with a person's own rights.
type setupCommand struct {
	outputFlag
	Load     string   `enum:"none,original,recommended" default:"none" help:"Configuration to append for sources that have no row yet: none, original or recommended."`
	Index    []string `placeholder:"TABLE" help:"Destination tables whose rows are to be indexed at the price of 1 MB a row, where the cluster does not index larger ones."`
	Instance string   `placeholder:"NAME" help:"Prepare what this instance needs alone; one of DEFENDER_INSTANCES, or default for that of the settings without a name. Without it: all."`
	Grant    []string `placeholder:"APP;TENANT" sep:"none" help:"Give the app's identity its roles in the database, viewers and ingestors: its application (client) id and its tenant id."`
	Reader   []string `placeholder:"USER" sep:"none" help:"Give a person the role viewers: the user principal name, such as user@example.com."`
	Prefix   string   `name:"view-prefix" placeholder:"PREFIX" help:"Begin the names of the typed views with this, where tables have the names of the hunting tables."`
	Typed    []string `placeholder:"TABLE" help:"Views that get a table of columns, each indexed, which ADX fills from the raw table: DeviceProcessEvents. Those that have one keep it."`
	Streamed bool     `name:"union-streamed" help:"Where a table has the name of a hunting table, such as the Streaming API's, make a view of its rows and ours, each event once."`
	Verbose  bool     `help:"Print what was there already, too, as JSON always does."`
}

func (setupCommand) Help() string {
	return `Makes what is missing and leaves what is there. Without --load no configuration is
appended: nothing is copied before you switch tables on.

Example:

  handler setup --load recommended`
}

var (
	grantForm  = regexp.MustCompile(`^([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12});([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$`)
	readerForm = regexp.MustCompile(`^[^\s@;,"'=\\]+@[^\s@;,"'=\\]+\.[^\s@;,"'=\\]+$`)
)

// grants are the roles that the command line asks for.
func (c setupCommand) grants() (out []adx.Grant, err error) {
	for _, text := range c.Grant {
		if !grantForm.MatchString(text) {
			return nil, fmt.Errorf("--grant: want the application id and the tenant id of the app's identity as '<id>;<id>', got %q", text)
		}
		out = append(out, adx.AppGrants("aadapp="+text)...)
	}
	for _, text := range c.Reader {
		if !readerForm.MatchString(text) {
			return nil, fmt.Errorf("--reader: want a user principal name such as user@example.com, got %q", text)
		}
		out = append(out, adx.Grant{Role: "viewers", Principal: "aaduser=" + text, Why: "reads Defender2ADX data"})
	}
	return out, nil
}

// Run makes what is missing and prints one line a step. A step that failed is an
// error, after all steps were tried.
func (c setupCommand) Run(p *process) error {
	grants, err := c.grants()
	if err != nil {
		return usageError{err}
	}
	cfg, err := config.ReadADX(p.getenv)
	warnings := config.SetupWarnings(p.getenv, p.environ)
	if err != nil {
		return faultySettings(err, warnings)
	}
	for _, warning := range warnings {
		p.say("handler: settings: " + warning)
	}
	if c.Instance != "" {
		i, err := cfg.Instance(c.Instance)
		if err != nil {
			return usageError{fmt.Errorf("--instance: %w", err)}
		}
		cfg.Instances = []config.Instance{i}
	}
	// A faulty instance holds up no other.
	var errs []error
	cfg.Instances = slices.DeleteFunc(cfg.Instances, func(i config.Instance) bool {
		if i.Fault != nil {
			errs = append(errs, settingsError{fmt.Errorf("settings of instance %s, of which nothing was made:\n%w", i.Shown(), i.Fault)})
		}
		return i.Fault != nil
	})
	if len(cfg.Instances) == 0 {
		return errors.Join(errs...)
	}
	loadFor, err := cfg.Instance(c.Instance)
	if c.Load != "none" && err != nil {
		return usageError{fmt.Errorf("--load needs --instance: %w", err)}
	}
	own := app.OwnIdentity(cfg)
	own.Say = p.say
	self, err := credential.New(own)
	if err != nil {
		return settingsError{fmt.Errorf("settings:\nADX_CREDENTIAL: %w", err)}
	}
	targets, err := app.SetupTargets(cfg, self, app.Options{Version: version})
	if err != nil {
		return settingsError{fmt.Errorf("settings:\n%w", err)}
	}
	for i, target := range targets {
		target.Options.Grants = grants
		errs = append(errs, c.prepare(p, target, loadFor.Key(), i == 0), target.Client.Close())
	}
	if !c.json() {
		fmt.Fprintf(p.stdout, "looked at: %s; not at: %s\n", strings.Join(adx.LookedAt, ", "), strings.Join(adx.NotLookedAt, ", "))
	}
	return errors.Join(errs...)
}

// prepared is a step as JSON tells of it.
type prepared struct {
	Database string      `json:"database"`
	Step     string      `json:"step"`
	Outcome  adx.Outcome `json:"outcome"`
	Detail   string      `json:"detail,omitempty"`
	Remedy   string      `json:"remedy,omitempty"`
}

// show prints a step.
func (c setupCommand) show(p *process, database string, s adx.Step) {
	switch {
	case c.json():
		_ = printJSON(p.stdout, prepared{database, s.Name, s.Outcome, s.Detail, s.Remedy}) // what is made counts, not who hears of it
		return
	case s.Outcome == adx.Already && !c.Verbose:
		return
	}
	fmt.Fprintf(p.stdout, "%-13s %s", s.Outcome, s.Name)
	if s.Detail != "" {
		fmt.Fprintf(p.stdout, ": %s", s.Detail)
	}
	if s.Remedy != "" {
		fmt.Fprintf(p.stdout, "\n%-13s %s", "", "-> "+s.Remedy)
	}
	fmt.Fprintln(p.stdout)
}

// prepare makes what is missing in one database; first is that of the control tables,
// which gets the configuration of an instance.
func (c setupCommand) prepare(p *process, target app.Target, instance string, first bool) error {
	load := c.Load
	if load == "none" {
		load = adx.LoadNothing
	}
	counts := map[adx.Outcome]int{}
	options := target.Options
	options.Load, options.Instance, options.ViewPrefix = load, instance, c.Prefix
	if first {
		options.Index = c.Index
	}
	options.Typed, options.Streamed = c.Typed, c.Streamed
	options.Report = func(s adx.Step) {
		counts[s.Outcome]++
		c.show(p, target.Database, s)
	}
	_, err := target.Client.Setup(p.ctx, options)
	if !c.json() {
		fmt.Fprintf(p.stdout, "setup of %s: %d done, %d already there, %d failed\n",
			target.Database, counts[adx.Done], counts[adx.Already], counts[adx.Failed])
	}
	if err == nil && counts[adx.Failed] > 0 {
		err = errors.New("some steps failed; what they need is said above")
	}
	return err
}
