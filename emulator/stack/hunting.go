package stack

import (
	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/identity"
)

// startHunting serves the Defender APIs. Tokens for Graph are asked for under
// its public name: the scope is the cloud's, only the address is ours.
func (e *Emulators) startHunting(o Options) error {
	h := o.Hunting
	h.Verify, h.Tenant = e.Identity.Verify, e.Data
	var err error
	if e.Hunting, err = hunting.New(h); err != nil {
		return err
	}
	e.HuntingURL = e.serve(e.Hunting)
	e.Identity.RegisterResource(identity.AudienceGraph, e.HuntingURL)
	return nil
}

// Unhurried are limits that keep nobody waiting, for a demo or a test that is
// not about quota.
func Unhurried() map[hunting.API]hunting.Limits {
	out := map[hunting.API]hunting.Limits{}
	for _, api := range []hunting.API{hunting.Graph, hunting.MDE} {
		l := hunting.Defaults(api)
		l.CallsPerMinute, l.CallsPerHour = 1_000_000, 1_000_000
		out[api] = l
	}
	return out
}

// UnhurriedREST is Unhurried for lists and file exports.
func UnhurriedREST() hunting.REST {
	out := hunting.REST{Limits: map[hunting.Quota]hunting.Limits{}}
	for _, q := range []hunting.Quota{hunting.QuotaLists, hunting.QuotaAssessments, hunting.QuotaFiles, hunting.QuotaGraph} {
		out.Limits[q] = hunting.Limits{}
	}
	return out
}
