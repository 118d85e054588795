package main

import (
	"fmt"
	"os"

	"github.com/defender2adx/defender2adx/emulator/kqlcheck"
	"github.com/defender2adx/defender2adx/internal/adx"
)

type kqlCommand struct {
	Hunting string `help:"File of hunting queries (JSON lines with id and query) to bind against the typed views." type:"existingfile"`
}

// Run checks from the repository's root.
func (c kqlCommand) Run(p *process) (err error) {
	checker, err := kqlcheck.Start(p.ctx, ".")
	if err != nil {
		return err
	}
	defer checker.Close()
	report := kqlcheck.Report{Out: os.Stdout}
	if c.Hunting != "" {
		if err := kqlcheck.Deploy(checker, &report, "setup", adx.Deployment(nil, adx.Options{})); err != nil {
			return err
		}
		bound, err := kqlcheck.HuntingFile(checker, os.Stdout, c.Hunting)
		if err != nil {
			return err
		}
		fmt.Printf("kql: hunting=%d bound=%d\n", bound.Queries, bound.Bound)
		if report.Errors > 0 || bound.Bound < bound.Queries {
			return errFailed
		}
		return nil
	}
	if err := kqlcheck.Repository(checker, &report, "."); err != nil {
		return err
	}
	fmt.Printf("kql: statements=%d errors=%d\n", report.Statements, report.Errors)
	if report.Errors > 0 {
		return errFailed
	}
	return nil
}
