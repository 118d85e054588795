package hunting

import (
	"slices"
	"strings"
	"sync"

	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// properties lists what a $filter may name, of each kind.
func properties(texts, dates, numbers string) map[string]kind {
	all := map[string]kind{}
	for list, k := range map[string]kind{texts: textKind, dates: dateKind, numbers: numberKind} {
		for _, name := range strings.Fields(list) {
			all[name] = k
		}
	}
	return all
}

// routes are the REST calls by their path in lower case. Sources: Defender for Endpoint
// and Graph, the page of each list; that of Graph names no most rows of a page, and
// these are as seen.
var routes = sync.OnceValue(func() map[string]route {
	all := map[string]route{}
	mde := func(path string, q Quota, name string, serve func(*call, REST) (*document, *refusal), roles ...string) {
		all[strings.ToLower(path)] = route{name: name, api: MDE, quota: q, roles: roles, serve: serve}
	}
	graph := func(path, name, role string, l listing) {
		for _, version := range []string{"/v1.0", "/beta"} {
			all[version+path] = route{name: name, api: Graph, quota: QuotaGraph, roles: []string{role, strings.Replace(role, ".Read.", ".ReadWrite.", 1)}, serve: l.serve}
		}
	}
	mde("/api/machines", QuotaLists, tenant.Machines, listing{
		name: tenant.Machines, context: "Machines", most: 10_000, empty: true,
		filters: properties("computerDnsName id version deviceValue aadDeviceId exposureLevel onboardingStatus lastIpAddress healthStatus osPlatform riskScore",
			"lastSeen", "rbacGroupId"),
	}.serve, "Machine.Read.All", "Machine.ReadWrite.All")
	mde("/api/alerts", QuotaLists, tenant.Alerts, listing{
		name: tenant.Alerts, context: "Alerts", most: 10_000, expand: "evidence",
		filters: properties("id assignedTo detectionSource status severity category", "alertCreationTime lastUpdateTime lastEventTime", "incidentId investigationId"),
	}.serve, "Alert.Read.All", "Alert.ReadWrite.All")
	mde("/api/vulnerabilities", QuotaLists, tenant.Vulnerabilities, listing{
		name: tenant.Vulnerabilities, context: "Vulnerabilities", most: 8000, links: true, filters: properties("id name severity", "publishedOn updatedOn", "exposedMachines"),
	}.serve, "Vulnerability.Read.All")
	mde("/api/recommendations", QuotaLists, tenant.Recommendations, listing{
		name: tenant.Recommendations, context: "Recommendations", most: 8000, links: true, filters: properties("id productName vendor status remediationType", "", ""),
	}.serve, "SecurityRecommendation.Read.All")
	mde("/api/Software", QuotaLists, tenant.Software, listing{
		name: tenant.Software, context: "Software", most: 8000, links: true, filters: properties("id name vendor", "", ""),
	}.serve, "Software.Read.All")
	mde("/api/indicators", QuotaLists, tenant.Indicators, listing{
		name: tenant.Indicators, context: "Indicators", most: 10_000,
		filters: properties("indicatorValue indicatorType action severity createdBy title application", "creationTimeDateTimeUtc expirationTime", ""),
	}.serve, "Ti.Read.All", "Ti.ReadWrite", "Ti.ReadWrite.All")
	mde("/api/exposureScore", QuotaLists, "exposurescore", exposureScore, "Score.Read.All")
	mde("/api/machines/SoftwareVulnerabilityChangesByMachine", QuotaAssessments, tenant.Changes, changes, "Vulnerability.Read.All")
	graph("/security/alerts_v2", tenant.AlertsV2, "SecurityAlert.Read.All", listing{
		name: tenant.AlertsV2, context: "security/alerts_v2", most: 1000, links: true, capped: true,
		filters: properties("assignedTo classification determination severity serviceSource status", "createdDateTime lastUpdateDateTime", ""),
	})
	graph("/security/incidents", tenant.Incidents, "SecurityIncident.Read.All", listing{
		name: tenant.Incidents, context: "security/incidents", most: 50, links: true, capped: true,
		filters: properties("assignedTo classification determination severity status", "createdDateTime lastUpdateDateTime", ""),
	})
	for _, e := range tenant.Exports() {
		all["/api/machines/"+strings.ToLower(e.Name)] = exportRoute(e)
	}
	return all
})

// Roles lists the app roles with which every list and file export of an API may be
// read, one for each.
func Roles(api API) []string {
	var roles []string
	for _, r := range routes() {
		if r.api == api {
			roles = append(roles, r.roles[0])
		}
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}
