package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// othersRows reports whether the table's runs copied another tenant than the settings
// name now.
func (m *migration) othersRows() bool {
	return m.cfg.Tenant != "" && m.state.Tenant != "" && m.state.Tenant != m.cfg.Tenant
}

// errOtherTenant is a fault that every tick finds again until a person decides: it is
// said once a day.
var errOtherTenant = errors.New("the settings name another tenant than was copied")

// checkTenant refuses to go on with what was copied of another tenant: its watermark
// would pass rows of this one, its open run would be of two.
func (m *migration) checkTenant() error {
	if !m.othersRows() {
		return nil
	}
	how := fmt.Sprintf(" (`handler rewind %s`)", m.req.Key.Source)
	if m.inForce.Load == plan.Snapshot {
		how = ""
	}
	return fault.As(fault.Permanent, fmt.Errorf(
		"%w: %s holds rows of %s, and the settings say %s: make that one an instance of its own (DEFENDER_INSTANCES), or set the old id again; to go on in this table append a configuration row with a LastRefreshedTime of your own to begin at%s, and the rows that are there stay",
		errOtherTenant, m.inForce.Destination, m.state.Tenant, m.cfg.Tenant, how))
}

// changeTenant begins anew with the tenant of the settings, as the user commands who
// writes a watermark after they have changed. What the open run of the other tenant has
// sent is hidden as a whole, since nobody can finish it.
func (m *migration) changeTenant(ctx context.Context) error {
	if m.state.OpenRun != "" {
		if err := m.ports.Ingester.Void(ctx, m.state.WritesTo(), m.state.OpenRun, -1); err != nil {
			return err
		}
		m.log.Warn("an open run is hidden: it is of another tenant", "run_id", m.state.OpenRun)
	}
	m.log.Info("another tenant is copied from now on", "tenant", m.cfg.Tenant)
	m.state.ChangeTenant(m.cfg.Tenant)
	return nil
}
