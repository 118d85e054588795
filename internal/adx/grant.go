package adx

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/internal/kql"
)

// Grant is a role in the database for somebody.
type Grant struct {
	Role      string // as commands spell it: viewers or ingestors
	Principal string // such as aadapp=<application id>;<tenant id> or aaduser=<user principal name>
	Why       string // kept beside the grant in ADX
}

// AppGrants are the roles that the app needs, and no more: it reads and appends.
// principal is the app's, as in Grant.
func AppGrants(principal string) []Grant {
	return []Grant{
		{"viewers", principal, "Defender2ADX reads its configuration and verifies rows"},
		{"ingestors", principal, "Defender2ADX ingests rows"},
	}
}

// grant gives the roles that are not there. Who has a role by another way, such as a
// group, gets it by name as well; giving one twice changes nothing.
func (s *setup) grant(ctx context.Context, grants []Grant) {
	type member struct {
		Role      string `kusto:"Role"`
		Principal string `kusto:"PrincipalFQN"`
	}
	database := kql.Name(s.client.database)
	if len(grants) == 0 {
		return
	}
	members, err := command[member](ctx, s.client, admins, ".show database "+database+" principals")
	if err != nil {
		s.add(failedStep("roles in the database", err))
		return
	}
	for _, g := range grants {
		step := Step{Name: "role " + g.Role + " for " + g.Principal, Outcome: Already}
		// The answer calls the role "Database D Viewer".
		role := strings.TrimSuffix(g.Role, "s")
		has := func(m member) bool {
			words := strings.Fields(m.Role)
			return strings.EqualFold(m.Principal, g.Principal) && len(words) > 0 && strings.EqualFold(words[len(words)-1], role)
		}
		if !slices.ContainsFunc(members, has) {
			step.Outcome, step.Detail = Done, "given"
			if err := s.runAll(ctx, []string{".add database " + database + " " + g.Role + " (" + kql.String(g.Principal) + ") " + kql.String(g.Why)}); err != nil {
				step = failedStep(step.Name, fmt.Errorf("give the role: %w", err))
			}
		}
		s.add(step)
	}
}
