package main

import (
	"os"

	"github.com/defender2adx/defender2adx/emulator/mutants"
)

type mutantsCommand struct {
	Only  string `help:"Only the mutants that have this text in their name."`
	List  bool   `help:"List the mutants and run nothing."`
	Stale bool   `help:"List the mutants that no longer fit the code and run nothing."`
	Root  string `help:"Root of the module." default:"." type:"existingdir"`
}

// Run is an error when a mutant was not caught.
func (c mutantsCommand) Run(p *process) error {
	ok, err := mutants.Run(p.ctx, mutants.Options(c), os.Stdout)
	if err == nil && !ok {
		err = errFailed
	}
	return err
}
