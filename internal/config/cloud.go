package config

import (
	"net/url"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/internal/cloud"
)

const cloudSetting = "DEFENDER_CLOUD"

// witness is a setting that tells which cloud the tenant is in.
type witness struct {
	setting string
	clouds  []string
	closed  error   // there is no such cloud to copy from
	address *string // what the setting gives; nil for the cloud's own
}

// witnesses are the settings that do. A scope of Defender for Endpoint is none: what it
// has to be in the government clouds is not documented, and must be free.
func (s source) witnesses(d *Defender) (out []witness) {
	authority := authoritySetting
	if s.value(authority) == "" || strings.Contains(s.value(tenantSetting), "://") && s.own(tenantSetting) && !s.own(authority) {
		authority = tenantSetting
	}
	addresses := []witness{
		{setting: authority, address: &d.Authority}, {setting: "DEFENDER_BASE_URL", address: &d.BaseURL},
		{setting: "DEFENDER_BASE_URL_GRAPH", address: &d.Graph.BaseURL}, {setting: "DEFENDER_BASE_URL_MDE", address: &d.MDE.BaseURL},
		{setting: "DEFENDER_SCOPE_GRAPH", address: &d.Graph.Scope},
	}
	if d.API == "graph" {
		addresses = append(addresses, witness{setting: "DEFENDER_SCOPE", address: &d.Scope})
	}
	if s.value(cloudSetting) != "" && d.Cloud != "" {
		out = append(out, witness{setting: cloudSetting, clouds: []string{d.Cloud}})
	}
	for _, w := range addresses {
		u, err := url.Parse(*w.address)
		if err != nil || *w.address == "" {
			continue
		}
		if w.clouds, w.closed = cloud.OfHost(u.Hostname()); len(w.clouds) > 0 || w.closed != nil {
			out = append(out, w)
		}
	}
	return out
}

// place settles the cloud: as DEFENDER_CLOUD says, or by the addresses that are given,
// so that scopes and what else goes by the cloud fit them. Settings that are of two
// clouds are a fault; of a named instance what stands under its own name wins over what
// it would take from the settings without one.
func (s source) place(d *Defender) (errs []error) {
	var found []string // the clouds that all agree on; empty: any
	var by []witness
	agree := func(w witness) bool {
		return w.closed == nil && (len(found) == 0 || slices.ContainsFunc(found, func(c string) bool { return slices.Contains(w.clouds, c) }))
	}
	if s.value(cloudSetting) != "" && d.Cloud == "" {
		return nil // it is no cloud, as was said
	}
	named := false // DEFENDER_CLOUD counts
	all := s.witnesses(d)
	for _, own := range []bool{true, false} {
		settled := len(found) > 0
		for _, w := range all {
			switch {
			case s.own(w.setting) != own:
			case agree(w):
				if len(found) > 0 {
					w.clouds = slices.DeleteFunc(w.clouds, func(c string) bool { return !slices.Contains(found, c) })
				}
				found, by, named = w.clouds, append(by, w), named || w.address == nil
			case !own && settled && w.address != nil:
				*w.address = "" // that of another cloud, for other instances
			case !own && settled:
			case w.closed != nil:
				errs = append(errs, s.fault(w.setting, "%w", w.closed))
			default:
				other, _ := s.find(by[len(by)-1].setting)
				errs = append(errs, s.fault(w.setting, "is of the cloud %s and %s of %s: correct one of them", shownClouds(w.clouds), other, shownClouds(found)))
			}
		}
	}
	switch {
	case named:
	case len(found) > 0:
		d.Cloud, d.Region = found[0], ""
	default:
		d.Cloud, d.Region = cloud.Global, ""
	}
	return errs
}

// shownClouds are clouds as the documentation writes them.
func shownClouds(names []string) string {
	shown := make([]string, len(names))
	for i, name := range names {
		shown[i] = strings.Replace(name, "gcchigh", "gcc-high", 1)
	}
	return strings.Join(shown, " or ")
}

// clusterAuthority is where people sign in to the cluster; "" leaves it to
// AZURE_AUTHORITY_HOST, which the identity library reads.
func clusterAuthority(getenv func(string) string, cluster string) string {
	u, err := url.Parse(cluster)
	if err != nil || u.Host == "" || strings.TrimSpace(getenv("AZURE_AUTHORITY_HOST")) != "" {
		return ""
	}
	return cloud.AuthorityOfCluster(u.Hostname())
}
