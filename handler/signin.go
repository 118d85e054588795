package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/handler/app"
	"github.com/defender2adx/defender2adx/internal/config"
)

// signInCommand gets one token for the hunting API, as the app would, or as a person:
// a browser or a code is asked for at this terminal only.
type signInCommand struct {
	outputFlag
	Instance string `placeholder:"NAME" help:"Instance to sign in as; default: the one without a name."`
}

// signedIn is a token as JSON tells of it.
type signedIn struct {
	Instance   string    `json:"instance,omitempty"`
	Tenant     string    `json:"tenant"`
	As         string    `json:"as"`
	Credential string    `json:"credential"`
	Scope      string    `json:"scope"`
	Ends       time.Time `json:"ends"`
	Rights     []string  `json:"rights"`
	Missing    string    `json:"missing,omitempty"`
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
	tenant, kind := instance.Defender.TenantID, instance.Defender.Credential.Kind
	if c.json() {
		err = printJSON(p.stdout, signedIn{instance.Key(), tenant, signed.As, kind, signed.Scope, signed.Ends.UTC(), append([]string{}, signed.Rights...), signed.Missing})
	} else {
		_, err = fmt.Fprintf(p.stdout, "signed in to tenant %s as %s by %s\nfor %s until %s\nrights: %s\n",
			tenant, signed.As, kind, signed.Scope, signed.Ends.UTC().Format(time.RFC3339), cmp.Or(strings.Join(signed.Rights, ", "), "none"))
	}
	if err != nil {
		return err
	}
	if signed.Missing != "" {
		return errors.New("the token does not allow hunting: " + signed.Missing)
	}
	return nil
}
