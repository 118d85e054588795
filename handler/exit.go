package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/defender2adx/defender2adx/handler/app"
)

// Exit codes. docs/cli.md explains them.
const (
	exitFailed      = 1   // something that was tried failed
	exitUsage       = 2   // the command line is wrong
	exitSettings    = 3   // a setting is missing or faulty
	exitInterrupted = 130 // Ctrl-C or SIGTERM
)

// usageError is a command line that cannot be obeyed.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// settingsError is a fault of the settings.
type settingsError struct{ error }

func (e settingsError) Unwrap() error { return e.error }

// errSaid ends a command whose own output has said what failed.
var errSaid = errors.New("failed")

// said ends a command whose own output has said what failed, and why; the exit code is
// that of a faulty setting where one was the cause.
func said(causes ...error) error {
	var settings app.SettingsFault
	if errors.As(errors.Join(causes...), &settings) {
		return fmt.Errorf("%w (%w)", errSaid, settings)
	}
	return errSaid
}

func exitCode(err error) int {
	var usage usageError
	var settings settingsError
	var late app.SettingsFault
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage), errors.Is(err, app.ErrUnnamed):
		return exitUsage
	case errors.As(err, &settings), errors.As(err, &late):
		return exitSettings
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	default:
		return exitFailed
	}
}
