package tenant

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// alert is one alert of AlertInfo with its evidence.
type alert struct {
	record
	id       string
	incident int
	created  time.Time
	updated  time.Time
	evidence []record
}

const (
	firstIncident = 1000 // number of the first incident
	perIncident   = 3    // alerts of one
	stamp7        = "2006-01-02T15:04:05.0000000Z"
)

// allAlerts reads the alerts, each with the incident it belongs to.
func (t *Tenant) allAlerts() []alert {
	evidence := map[string][]record{}
	for _, r := range t.records("AlertEvidence") {
		evidence[r.text("AlertId")] = append(evidence[r.text("AlertId")], r)
	}
	seen := map[string]bool{}
	now := t.Now().UTC()
	var all []alert
	for _, r := range t.records("AlertInfo") {
		id := r.text("AlertId")
		at, err := time.Parse(time.RFC3339Nano, r.text("Timestamp"))
		if id == "" || seen[id] || err != nil {
			continue
		}
		seen[id] = true
		a := alert{record: r, id: id, incident: firstIncident + len(all)/perIncident, created: at.UTC(), evidence: evidence[id]}
		a.updated = a.created.Add(time.Duration(hashText(id) % uint64(2*24*time.Hour)))
		if a.updated.After(now) {
			a.updated = a.created
		}
		all = append(all, a)
	}
	return all
}

func (a alert) techniques() []string {
	var found []string
	if json.Unmarshal([]byte(a.text("AttackTechniques")), &found) != nil || found == nil {
		return []string{}
	}
	return found
}

// alerts are those of Defender for Endpoint. Source of the members: Defender for
// Endpoint, alert resource type.
func (t *Tenant) alerts() [][]byte {
	var rows [][]byte
	for _, a := range t.allAlerts() {
		if !strings.Contains(a.text("ServiceSource"), "Endpoint") {
			continue
		}
		evidence := list[json.RawMessage]()
		var machine, name any
		for _, e := range a.evidence {
			evidence = append(evidence, oldEvidence(a, e))
			if machine == nil && e.text("DeviceId") != "" {
				machine, name = e["DeviceId"], e["DeviceName"]
			}
		}
		created := a.created.Format(stamp7)
		rows = append(rows, object(
			"id", a.id, "incidentId", a.incident, "investigationId", nil, "assignedTo", nil, "severity", a.text("Severity"), "status", "New",
			"classification", nil, "determination", nil, "investigationState", "UnsupportedAlertType", "detectionSource", a.text("DetectionSource"),
			"detectorId", string(appendGUID(nil, hashText(a.text("Title")))), "category", a.text("Category"), "threatFamilyName", nil,
			"title", a.text("Title"), "description", "What happened: "+a.text("Title"), "alertCreationTime", created, "firstEventTime", created,
			"lastEventTime", created, "lastUpdateTime", a.updated.Format(stamp7), "resolvedTime", nil, "machineId", machine, "computerDnsName", name,
			"rbacGroupName", nil, "aadTenantId", string(appendGUID(nil, 1)), "threatName", nil, "mitreTechniques", a.techniques(),
			"relatedUser", nil, "comments", list[string](), "evidence", evidence))
	}
	return rows
}

func oldEvidence(a alert, e record) json.RawMessage {
	return object(
		"entityType", e.text("EntityType"), "evidenceCreationTime", a.created.Format(stamp7), "sha1", e.orNull("SHA1"), "sha256", e.orNull("SHA256"),
		"fileName", e.orNull("FileName"), "filePath", e.orNull("FolderPath"), "processId", nil, "processCommandLine", e.orNull("ProcessCommandLine"),
		"processCreationTime", nil, "parentProcessId", nil, "parentProcessCreationTime", nil, "parentProcessFileName", nil, "parentProcessFilePath", nil,
		"ipAddress", e.orNull("RemoteIP"), "url", e.orNull("RemoteUrl"), "registryKey", e.orNull("RegistryKey"), "registryHive", nil, "registryValueType", nil,
		"registryValue", e.orNull("RegistryValueData"), "accountName", e.orNull("AccountName"), "domainName", e.orNull("AccountDomain"),
		"userSid", e.orNull("AccountSid"), "aadUserId", e.orNull("AccountObjectId"), "userPrincipalName", e.orNull("AccountUpn"), "detectionStatus", nil)
}

func lowerFirst(s string) string {
	if s == "" {
		return "unknown"
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// serviceSources are Graph's names of what AlertInfo spells out.
var serviceSources = map[string]string{
	"Microsoft Defender for Endpoint": "microsoftDefenderForEndpoint", "Microsoft Defender for Identity": "microsoftDefenderForIdentity",
	"Microsoft Defender for Office 365": "microsoftDefenderForOffice365", "Microsoft Defender for Cloud Apps": "microsoftDefenderForCloudApps",
}

func (a alert) service() string {
	if s := serviceSources[a.text("ServiceSource")]; s != "" {
		return s
	}
	return "unknownFutureValue"
}

// graphAlerts are the alerts of all products, last changed first. Source of the
// members: Graph, alert resource type of microsoft.graph.security.
func (t *Tenant) graphAlerts() [][]byte {
	all := t.allAlerts()
	slices.SortStableFunc(all, func(a, b alert) int { return b.updated.Compare(a.updated) })
	var rows [][]byte
	for _, a := range all {
		evidence := list[json.RawMessage]()
		for _, e := range a.evidence {
			evidence = append(evidence, graphEvidence(a, e))
		}
		created, id := a.created.Format(stamp7), strconv.Itoa(a.incident)
		rows = append(rows, object(
			"id", a.id, "providerAlertId", a.id, "incidentId", id, "status", "new", "severity", lowerFirst(a.text("Severity")), "classification", nil,
			"determination", nil, "serviceSource", a.service(), "detectionSource", "unknownFutureValue", "productName", a.text("ServiceSource"),
			"detectorId", string(appendGUID(nil, hashText(a.text("Title")))), "tenantId", string(appendGUID(nil, 1)), "title", a.text("Title"),
			"description", "What happened: "+a.text("Title"), "recommendedActions", "", "category", a.text("Category"), "assignedTo", nil,
			"alertWebUrl", "https://security.microsoft.com/alerts/"+a.id, "incidentWebUrl", "https://security.microsoft.com/incidents/"+id,
			"actorDisplayName", nil, "threatDisplayName", nil, "threatFamilyName", nil, "mitreTechniques", a.techniques(), "createdDateTime", created,
			"lastUpdateDateTime", a.updated.Format(stamp7), "resolvedDateTime", nil, "firstActivityDateTime", created, "lastActivityDateTime", created,
			"systemTags", list[string](), "alertPolicyId", nil, "additionalData", nil, "comments", list[string](), "evidence", evidence))
	}
	return rows
}

func graphEvidence(a alert, e record) json.RawMessage {
	common := []any{
		"createdDateTime", a.created.Format(stamp7), "verdict", "unknown", "remediationStatus", "none", "remediationStatusDetails", nil,
		"roles", list[string](), "detailedRoles", list[string](), "tags", list[string](),
	}
	kind, own := "ipEvidence", []any{"ipAddress", e.orNull("RemoteIP"), "countryLetterCode", nil}
	switch e.text("EntityType") {
	case "Machine":
		kind, own = "deviceEvidence", []any{"mdeDeviceId", e.orNull("DeviceId"), "deviceDnsName", e.orNull("DeviceName"), "azureAdDeviceId", nil}
	case "User":
		kind, own = "userEvidence", []any{"userAccount", map[string]any{"accountName": e["AccountName"], "domainName": e["AccountDomain"],
			"userSid": e["AccountSid"], "azureAdUserId": e["AccountObjectId"], "userPrincipalName": e["AccountUpn"]}}
	case "Process":
		kind, own = "processEvidence", []any{"processId", nil, "processCommandLine", e.orNull("ProcessCommandLine"), "mdeDeviceId", e.orNull("DeviceId")}
	case "File":
		kind, own = "fileEvidence", []any{"fileDetails", map[string]any{"fileName": e["FileName"], "filePath": e["FolderPath"], "sha1": e["SHA1"], "sha256": e["SHA256"]}}
	}
	return object(append(append([]any{"@odata.type", "#microsoft.graph.security." + kind}, common...), own...)...)
}

// incidents are groups of alerts, last changed first. Source of the members: Graph,
// incident resource type of microsoft.graph.security.
func (t *Tenant) incidents() [][]byte {
	type incident struct {
		first   alert
		updated time.Time
	}
	var all []incident
	for _, a := range t.allAlerts() {
		if n := len(all); n > 0 && all[n-1].first.incident == a.incident {
			if a.updated.After(all[n-1].updated) {
				all[n-1].updated = a.updated
			}
			continue
		}
		all = append(all, incident{a, a.updated})
	}
	slices.SortStableFunc(all, func(a, b incident) int { return b.updated.Compare(a.updated) })
	var rows [][]byte
	for _, i := range all {
		id, a := strconv.Itoa(i.first.incident), i.first
		rows = append(rows, object(
			"id", id, "tenantId", string(appendGUID(nil, 1)), "status", "active", "incidentWebUrl", "https://security.microsoft.com/incidents/"+id,
			"redirectIncidentId", nil, "displayName", a.text("Title")+" on several assets", "createdDateTime", a.created.Format(stamp7),
			"lastUpdateDateTime", i.updated.Format(stamp7), "assignedTo", nil, "classification", "unknown", "determination", "unknown",
			"severity", lowerFirst(a.text("Severity")), "customTags", list[string](), "systemTags", list[string](), "description", a.text("Title"),
			"lastModifiedBy", "Microsoft 365 Defender-AlertCorrelation", "resolvingComment", nil, "summary", nil, "comments", list[string]()))
	}
	return rows
}
