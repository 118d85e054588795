package kusto

import (
	"fmt"
	"slices"
	"strings"
)

// Role is a role on a database.
type Role string

// The roles. Admin includes the others.
const (
	Admin    Role = "Admin"
	User     Role = "User"
	Viewer   Role = "Viewer"
	Ingestor Role = "Ingestor"
	Monitor  Role = "Monitor"
)

func roles() []Role { return []Role{Admin, User, Viewer, Ingestor, Monitor} }

// grant is one principal's membership of a role.
type grant struct {
	principal string // as it was written
	note      string
}

// principalKey makes principals comparable: without case, tenant or display name.
func principalKey(principal string) string {
	id, _, _ := strings.Cut(principal, ";")
	return strings.ToLower(strings.TrimSpace(id))
}

// Grant gives a principal roles on a database, as .add database does.
func (c *Cluster) Grant(databaseName, principal string, roles ...Role) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	db, err := c.database(databaseName)
	if err != nil {
		return fmt.Errorf("grant on %s: %w", databaseName, err)
	}
	for _, role := range roles {
		db.grant(role, grant{principal: principal})
	}
	return nil
}

// Revoke takes roles away, as .drop database does.
func (c *Cluster) Revoke(databaseName, principal string, roles ...Role) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	db, err := c.database(databaseName)
	if err != nil {
		return fmt.Errorf("revoke on %s: %w", databaseName, err)
	}
	for _, role := range roles {
		delete(db.roles[role], principalKey(principal))
	}
	return nil
}

func (db *database) grant(role Role, g grant) {
	if db.roles[role] == nil {
		db.roles[role] = make(map[string]grant)
	}
	db.roles[role][principalKey(g.principal)] = g
}

// caller is who asks. An open cluster's caller may do everything.
type caller struct {
	principal string
	open      bool
}

// has reports whether the caller holds one of the roles, or Admin.
func (who caller) has(db *database, wanted ...Role) bool {
	if who.open {
		return true
	}
	key := principalKey(who.principal)
	for _, role := range append([]Role{Admin}, wanted...) {
		if _, ok := db.roles[role][key]; ok {
			return true
		}
	}
	return false
}

// memberOf tells whether the caller is a principal or a member of it.
func (c *Cluster) memberOf(who caller) func(principal string) bool {
	return func(principal string) bool {
		key := principalKey(principal)
		if who.open || key == principalKey(who.principal) {
			return true
		}
		for group, members := range c.opts.Groups {
			if principalKey(group) == key && slices.ContainsFunc(members, func(m string) bool { return principalKey(m) == principalKey(who.principal) }) {
				return true
			}
		}
		return false
	}
}

func (who caller) mayRead(db *database) bool { return who.has(db, Viewer, User) }
