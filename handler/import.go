package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/defender2adx/defender2adx/internal/msticpy"
)

// importCommand turns the Defender connections of a msticpyconfig.yaml into settings.
// It changes nothing and prints no secret.
type importCommand struct {
	outputFlag
	File  string `arg:"" help:"The msticpyconfig.yaml."`
	Vault string `placeholder:"NAME" help:"Key Vault for the secrets, by name or URL; default: the one that the file names."`
}

func (importCommand) Help() string {
	return `Prints settings, and the commands that store the secrets, for you to look through;
changes nothing and prints no secret.

Example:

  handler import msticpyconfig.yaml > imported.env`
}

// Run prints the settings; what the file does not say is an error after them.
func (c importCommand) Run(p *process) error {
	in, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer in.Close()
	file, err := msticpy.Read(in)
	if err != nil {
		return err
	}
	options := msticpy.Options{Path: c.File, Vault: c.Vault, Getenv: p.getenv}
	if c.json() {
		var lines []msticpy.Line
		lines, err = msticpy.Lines(file, options)
		err = errors.Join(err, printJSON(p.stdout, lines...))
	} else {
		err = msticpy.Write(p.stdout, file, options)
	}
	if err != nil {
		return fmt.Errorf("the settings are not complete:\n%w", err)
	}
	return nil
}
