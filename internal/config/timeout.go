package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/secret"
)

const (
	// hostTimeout is functionTimeout in host.json. A test holds the two together.
	hostTimeout = 30 * time.Minute
	// functionTimeoutOverride is the app setting by which the host reads another
	// one. Source: Azure Functions, app settings reference.
	functionTimeoutOverride = "AzureFunctionsJobHost__functionTimeout"
)

// functionTimeout reads the host's time limit of an invocation. None, which is
// -1, and a longer one than that of host.json change nothing for us.
func functionTimeout(override string) (time.Duration, error) {
	override = strings.TrimSpace(override)
	if override == "" || override == "-1" {
		return hostTimeout, nil
	}
	d, err := plan.ParseDuration(override)
	if err != nil || d < time.Minute {
		return 0, fmt.Errorf("%s: want at least 00:01:00, or -1 for none, got %s", functionTimeoutOverride, secret.Quoted(override))
	}
	return min(d, hostTimeout), nil
}

// AnswerWithin is when the handler answers an invocation at the latest, even if
// its work hangs: two that reach the host's limit in one instant end the host.
// Five sixths of the limit, which are 25 minutes of 30.
func (c Config) AnswerWithin() time.Duration { return c.FunctionTimeout * 5 / 6 }
