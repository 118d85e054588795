package config

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/internal/address"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/secret"
)

func text(to *string) func(string) error {
	return func(v string) error { *to = v; return nil }
}

var guidForm = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

func guid(to *string) func(string) error {
	return func(v string) error {
		if !guidForm.MatchString(v) {
			return errors.New("want an id such as 00000000-0000-0000-0000-000000000000, as the overview of Entra ID shows it")
		}
		*to = v
		return nil
	}
}

var applicationForm = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)

// application reads the client id of an application or of an identity.
func application(to *string) func(string) error {
	return func(v string) error {
		if !applicationForm.MatchString(v) {
			return fmt.Errorf("want the application (client) id, such as 00000000-0000-0000-0000-000000000000, got %s", secret.Quoted(v))
		}
		*to = v
		return nil
	}
}

// tenant reads a tenant's id, or takes it from a token URL, such as other programs ask
// for; its host is then the authority, unless that is set.
func tenant(d *Defender) func(string) error {
	return func(v string) error {
		if u, err := url.Parse(v); err == nil && u.Host != "" {
			id, rest, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
			authority := url.URL{Scheme: u.Scheme, Host: u.Host}
			if !strings.HasPrefix(rest, "oauth2/") || !address.Trusted(&authority) {
				return errors.New("want an id, or a token URL such as https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000/oauth2/v2.0/token")
			}
			d.Authority, v = authority.String(), id
		}
		return guid(&d.TenantID)(v)
	}
}

func oneOf(to *string, allowed ...string) func(string) error {
	return func(v string) error {
		low := strings.ToLower(v)
		if !slices.Contains(allowed, low) {
			return fmt.Errorf("want %s, got %s", strings.Join(allowed, ", "), secret.Quoted(v))
		}
		*to = low
		return nil
	}
}

// api resolves the names that the original script used.
func api(to *string) func(string) error {
	return func(v string) error {
		switch strings.ToLower(v) {
		case "graph", "m365dgraph":
			*to = "graph"
		case "mde", "mdatp", "m365d":
			*to = "mde"
		case "auto":
			*to = "auto"
		default:
			return fmt.Errorf("want graph, mde or auto (or M365DGraph, MDATP, M365D), got %s", secret.Quoted(v))
		}
		return nil
	}
}

func httpsURL(to *string) func(string) error {
	return func(v string) error {
		u, err := url.Parse(v)
		if err != nil || !address.Trusted(u) {
			return fmt.Errorf("want an https URL, got %s", secret.Quoted(v))
		}
		if u.RawQuery != "" || u.User != nil {
			return errors.New("want an https URL without user and query")
		}
		*to = strings.TrimRight(v, "/")
		return nil
	}
}

var scopeForm = regexp.MustCompile(`^[A-Za-z0-9.:/_-]{1,100}/\.default$`)

// scope reads what a token is asked for, which errors name.
func scope(to *string) func(string) error {
	return func(v string) error {
		if !scopeForm.MatchString(v) {
			return fmt.Errorf("want the scope of an API, such as https://graph.microsoft.com/.default, got %s", secret.Quoted(v))
		}
		*to = v
		return nil
	}
}

// graphVersions may end a pasted address of Graph.
var graphVersions = []string{"v1.0", "beta"}

// graphURL reads the address of Graph, with or without a version at its end. It is read
// after the setting of the version, and wins over it.
func graphURL(d *Defender) func(string) error {
	return func(v string) error {
		base := strings.TrimRight(v, "/")
		for _, version := range graphVersions {
			if cut, ok := strings.CutSuffix(base, "/"+version); ok {
				base, d.GraphVersion = cut, version
			}
		}
		return httpsURL(&d.Graph.BaseURL)(base)
	}
}

// mdeURL reads the address of Defender for Endpoint, with or without the /api that all
// of its calls begin with.
func mdeURL(to *string) func(string) error {
	return func(v string) error { return httpsURL(to)(strings.TrimSuffix(strings.TrimRight(v, "/"), "/api")) }
}

func integer(to *int, low, high int) func(string) error {
	return func(v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < low || n > high {
			return fmt.Errorf("want a whole number from %d to %d, got %s", low, high, secret.Quoted(v))
		}
		*to = n
		return nil
	}
}

func integer64(to *int64, low, high int64) func(string) error {
	return func(v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < low || n > high {
			return fmt.Errorf("want a whole number from %d to %d, got %s", low, high, secret.Quoted(v))
		}
		*to = n
		return nil
	}
}

func fraction(to *float64, high float64) func(string) error {
	return func(v string) error {
		f, err := strconv.ParseFloat(v, 64)
		if err != nil || !(f >= 0 && f <= high) {
			return fmt.Errorf("want a number from 0 to %v, got %s", high, secret.Quoted(v))
		}
		*to = f
		return nil
	}
}

func duration(to *time.Duration, low, high time.Duration) func(string) error {
	return func(v string) error {
		d, err := plan.ParseDuration(v)
		if err != nil || d < low || d > high {
			return fmt.Errorf("want %s, from %v to %v, got %s", plan.DurationForms, low, high, secret.Quoted(v))
		}
		*to = d
		return nil
	}
}

var tablePrefixForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,31}$`)

func tablePrefix(to *string) func(string) error {
	return func(v string) error {
		if !tablePrefixForm.MatchString(v) {
			return fmt.Errorf("want letters, digits and underscores, at most 32, the first no digit, got %s", secret.Quoted(v))
		}
		*to = v
		return nil
	}
}

// databaseForm is what a database may be called. Source: Kusto, entity names; Azure and
// Fabric allow 260 characters.
var databaseForm = regexp.MustCompile(`^[\p{L}\p{N}_]([\p{L}\p{N}_. -]{0,258}[\p{L}\p{N}_])?$`)

func database(to *string) func(string) error {
	return func(v string) error {
		if !databaseForm.MatchString(v) {
			return fmt.Errorf("want the name of a database: letters, digits, underscores, and within it blanks, dots and hyphens, got %s", secret.Quoted(v))
		}
		*to = v
		return nil
	}
}

var queue = regexp.MustCompile(`^[a-z0-9](-?[a-z0-9])*$`)

// queueName leaves room for "-poison": Azure allows 63 characters.
func queueName(to *string) func(string) error {
	return func(v string) error {
		if len(v) < 3 || len(v) > 56 || !queue.MatchString(v) {
			return fmt.Errorf("want 3 to 56 lower-case letters, digits and single hyphens, got %s", secret.Quoted(v))
		}
		*to = v
		return nil
	}
}

var containerName = regexp.MustCompile(`^[a-z0-9](-?[a-z0-9]){2,62}$`)

func container(to *string) func(string) error {
	return func(v string) error {
		if !containerName.MatchString(v) {
			return fmt.Errorf("want 3 to 63 lower-case letters, digits and single hyphens, got %s", secret.Quoted(v))
		}
		*to = v
		return nil
	}
}

// schedule checks what the Functions host will read, as it reads it.
func schedule(to *string) func(string) error {
	return func(v string) error {
		if err := scheduleFault(v); err != nil {
			return fmt.Errorf("the Functions host refuses this schedule and would never tick: %w; \"0 0 * * * *\" is every hour", err)
		}
		*to = v
		return nil
	}
}

func appID(to *string) func(string) error {
	return func(v string) error {
		if *to = v; plan.CheckAppID(v) != nil {
			return fmt.Errorf("want %d lower-case letters and digits, got %s", plan.AppIDLength, secret.Quoted(v))
		}
		return nil
	}
}

var accountName = regexp.MustCompile(`^[a-z0-9]{3,24}$`)

func account(s *Storage) func(string) error {
	return func(v string) error {
		if !accountName.MatchString(v) {
			return fmt.Errorf("want 3 to 24 lower-case letters and digits, got %s", secret.Quoted(v))
		}
		s.BlobServiceURL = "https://" + v + ".blob.core.windows.net"
		s.QueueServiceURL = "https://" + v + ".queue.core.windows.net"
		return nil
	}
}
