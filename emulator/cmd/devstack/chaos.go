package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/defender2adx/defender2adx/emulator/chaos"
	"github.com/defender2adx/defender2adx/emulator/stack"
)

type chaosCommand struct {
	N         int    `name:"n" default:"200" help:"Schedules to play."`
	Seed      uint64 `default:"1" help:"Seed of the first schedule; the others follow."`
	App       string `default:"build/app" help:"Built app folder, for schedules under the Functions host."`
	HostEvery int    `default:"20" help:"Every n-th seed runs under the Functions host; 0: none."`
	Instances int    `default:"0" help:"Instances of every schedule, 1 or 2; 0: two in every third."`
	Parallel  int    `default:"12" help:"Schedules at a time."`
	Verbose   bool   `help:"A line for each schedule."`
}

// Run plays the schedules; it is an error when one of them lost or repeated a row.
func (c chaosCommand) Run(p *process) (err error) {
	ctx := p.ctx
	// Servers complain there of the connections that faults break.
	log.SetOutput(io.Discard)
	app := stack.App{Root: c.App}
	if c.HostEvery > 0 {
		if err := app.Check(); err != nil {
			return err
		}
	}
	env, err := chaos.NewEnv(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, env.Close()) }()
	report, err := chaos.Run(ctx, env, chaos.Options{
		Schedules: c.N, Seed: c.Seed, HostEvery: c.HostEvery, Instances: c.Instances, App: app, Parallel: c.Parallel, Verbose: c.Verbose, Out: os.Stdout,
	})
	fmt.Print(report.Table())
	for _, f := range report.Failures {
		fmt.Printf("\nFAILED %s\n", f.Schedule)
		for _, complaint := range f.Verdict.Complaints {
			fmt.Println("  " + complaint)
		}
		if err := tell(f); err != nil {
			return err
		}
		fmt.Printf("replay: make chaos SEED=%d N=1\n", f.Seed)
	}
	fmt.Println(report.Line())
	if err == nil && !report.OK() {
		err = errFailed
	}
	return err
}

// tell prints the audit log of a schedule that failed, and keeps the rest of its
// log in a file.
func tell(f chaos.Failure) error {
	file, err := os.CreateTemp("", fmt.Sprintf("chaos-%d-*.log", f.Seed))
	if err != nil {
		return err
	}
	for _, line := range f.LogTail {
		if strings.HasPrefix(line, "audit ") {
			fmt.Println("  " + line)
		}
		fmt.Fprintln(file, line)
	}
	fmt.Println("log:", file.Name())
	return file.Close()
}
