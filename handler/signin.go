package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/defender2adx/defender2adx/handler/app"
	"github.com/defender2adx/defender2adx/internal/config"
)

// signInCommand gets one token for the hunting API, as the app would, or as a person:
// a browser or a code is asked for at this terminal only.
type signInCommand struct {
	Instance string `placeholder:"NAME" help:"Instance to sign in as; default: the one without a name."`
}

func (signInCommand) Help() string {
	return `Gets one token as the settings say and prints whose it is, until when and which rights
it has; a right that is missing is an error.

Example:

  handler signin --instance west`
}

// Run prints whose token it is and what it allows. A right that is missing is an error.
func (c signInCommand) Run(p *process) error {
	cfg, instance, err := config.ReadInstance(p.getenv, c.Instance)
	if _, unknown := cfg.Instance(c.Instance); c.Instance != "" && unknown != nil {
		return usageError{fmt.Errorf("--instance: %w", unknown)}
	}
	if err != nil {
		return faultySettings(err, config.Unknown(p.environ))
	}
	signed, err := app.SignIn(p.ctx, cfg, instance, app.Options{Version: version, Say: p.say})
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "signed in to tenant %s as %s by %s\nfor %s until %s\nrights: %s\n",
		instance.Defender.TenantID, signed.As, instance.Defender.Credential.Kind, signed.Scope, signed.Ends.UTC().Format(time.RFC3339), signed.Rights)
	if signed.Missing != "" {
		return errors.New("the token does not allow hunting: " + signed.Missing)
	}
	return nil
}
