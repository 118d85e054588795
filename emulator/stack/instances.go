package stack

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/identity"
	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// Instance is one more connection of the handler: settings DEFENDER_<NAME>_...
type Instance struct {
	Name string
	// Data is what its own tenant serves; nil: it is another application of the first
	// tenant, whose calls it shares.
	Data     *tenant.Tenant
	Database string // for its raw tables; "" is Database
	Prefix   string // before their names
	// WrongSecret puts a secret into the vault that the application does not have: the
	// instance is broken.
	WrongSecret bool
}

// connection is an instance as it runs.
type connection struct {
	Instance
	tenantID, clientID string
	secret             string // the application's own
	hunting            *hunting.Server
	url                string
}

// databases are those of the cluster, that of the control tables first.
func databases(o Options) []string {
	names := []string{Database}
	for _, i := range o.Instances {
		if i.Database != "" && !slices.Contains(names, i.Database) {
			names = append(names, i.Database)
		}
	}
	return names
}

// startInstances registers an application for each instance, and serves its tenant
// where it has one of its own, to that tenant's tokens alone.
func (e *Emulators) startInstances(o Options) error {
	for n, i := range o.Instances {
		c := &connection{Instance: i, tenantID: TenantID, clientID: fmt.Sprintf("1b6f3a52-0c9e-4a77-8f43-6d1c5e2ac%03d", n),
			hunting: e.Hunting, url: e.HuntingURL}
		if i.Data != nil {
			c.tenantID = fmt.Sprintf("7d2e0c1f-5b64-4c1e-9d0b-2f6a4be1d%03d", n)
			if err := e.Identity.AddTenant(c.tenantID, strings.ToLower(i.Name)+".example"); err != nil {
				return err
			}
			h := o.Hunting
			h.Tenant = i.Data
			h.Verify = func(authorization string, audiences ...string) (*identity.Claims, error) {
				claims, err := e.Identity.Verify(authorization, audiences...)
				if err == nil && claims.TenantID != c.tenantID {
					err = fmt.Errorf("%w: the token is of tenant %s", identity.ErrMalformed, claims.TenantID)
				}
				return claims, err
			}
			var err error
			if c.hunting, err = hunting.New(h); err != nil {
				return err
			}
			c.url = e.serve(c.hunting)
			e.Identity.RegisterResource(identity.AudienceGraph, c.url)
		}
		c.secret = rand.Text()
		if err := c.register(e.Identity); err != nil {
			return err
		}
		secret := c.secret
		if i.WrongSecret {
			secret = rand.Text()
		}
		if _, err := e.Vault.Set(c.secretName(), secret); err != nil {
			return err
		}
		e.instances = append(e.instances, c)
	}
	return nil
}

func (c *connection) register(with *identity.Server) error {
	return with.RegisterApplication(
		identity.Principal{Tenant: c.tenantID, ClientID: c.clientID, ObjectID: c.clientID, Roles: hunters()},
		identity.Secret{Value: c.secret, Expires: time.Now().AddDate(1, 0, 0)})
}

// RegisterInstances makes another token service know the applications of the
// instances; it knows their tenants already.
func (e *Emulators) RegisterInstances(with *identity.Server) error {
	var errs []error
	for _, c := range e.instances {
		errs = append(errs, c.register(with))
	}
	return errors.Join(errs...)
}

func (c *connection) secretName() string { return "defender-client-secret-" + strings.ToLower(c.Name) }

// instanceSettings adds what the handler needs for the instances.
func (e *Emulators) instanceSettings(settings map[string]string) {
	var names []string
	for _, c := range e.instances {
		names = append(names, c.Name)
		for setting, value := range map[string]string{
			"TENANT_ID": c.tenantID, "CLIENT_ID": c.clientID, "SECRET_NAME": c.secretName(), "BASE_URL": c.url,
			"DATABASE": c.Database, "TABLE_PREFIX": c.Prefix,
		} {
			if value != "" {
				settings["DEFENDER_"+strings.ToUpper(c.Name)+"_"+setting] = value
			}
		}
	}
	if len(names) > 0 {
		settings["DEFENDER_INSTANCES"] = strings.Join(names, ",")
	}
}

// instance finds a connection by its name in any letter case; nil is the default one.
func (e *Emulators) instance(name string) *connection {
	for _, c := range e.instances {
		if strings.EqualFold(c.Name, name) {
			return c
		}
	}
	return nil
}

// broken reports whether nothing of the instance can arrive.
func (e *Emulators) broken(instance string) bool {
	c := e.instance(instance)
	return c != nil && c.WrongSecret
}

// place is what an instance's table is compared with, and the database it is in.
func (e *Emulators) place(instance string) (data *tenant.Tenant, database string) {
	data, database = e.Data, Database
	if c := e.instance(instance); c != nil {
		if c.Data != nil {
			data = c.Data
		}
		if c.Database != "" {
			database = c.Database
		}
	}
	return data, database
}

// CopyConfiguration gives an instance the rows of the default one.
func (e *Emulators) CopyConfiguration(ctx context.Context, instance string) error {
	return wrap("write configuration", e.Command(ctx, ".set-or-append MigrationConfiguration <| MigrationConfiguration | where isempty(Instance)"+
		" | extend Instance = '"+instance+"'"))
}
