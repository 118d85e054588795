package tenant

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// vulnerabilities are the CVEs of the knowledge base with the number of devices that
// have them. Source of the members: Defender for Endpoint, vulnerability resource type.
func (t *Tenant) vulnerabilities() [][]byte {
	exposed := map[string]map[string]bool{}
	for _, r := range t.records("DeviceTvmSoftwareVulnerabilities") {
		cve := r.text("CveId")
		if exposed[cve] == nil {
			exposed[cve] = map[string]bool{}
		}
		exposed[cve][r.text("DeviceId")] = true
	}
	var rows [][]byte
	for _, r := range t.records("DeviceTvmSoftwareVulnerabilitiesKB") {
		id := r.text("CveId")
		rows = append(rows, object(
			"id", id, "name", id, "description", r.text("VulnerabilityDescription"), "severity", r.text("VulnerabilitySeverityLevel"), "cvssV3", r["CvssScore"],
			"exposedMachines", len(exposed[id]), "publishedOn", r.orNull("PublishedDate"), "updatedOn", r.orNull("LastModifiedTime"),
			"publicExploit", r.is("IsExploitAvailable"), "exploitVerified", false, "exploitInKit", false, "exploitTypes", list[string](), "exploitUris", list[string]()))
	}
	return rows
}

// product is what the tables tell of one piece of software.
type product struct {
	vendor, name string
	devices      map[string]bool
	exposed      map[string]bool
	cves         map[string]bool
}

func (t *Tenant) products() []*product {
	found := map[string]*product{}
	of := func(r record) *product {
		key := r.text("SoftwareVendor") + "-_-" + r.text("SoftwareName")
		if found[key] == nil {
			found[key] = &product{vendor: r.text("SoftwareVendor"), name: r.text("SoftwareName"),
				devices: map[string]bool{}, exposed: map[string]bool{}, cves: map[string]bool{}}
		}
		return found[key]
	}
	for _, r := range t.records("DeviceTvmSoftwareInventory") {
		of(r).devices[r.text("DeviceId")] = true
	}
	for _, r := range t.records("DeviceTvmSoftwareVulnerabilities") {
		p := of(r)
		p.devices[r.text("DeviceId")], p.exposed[r.text("DeviceId")], p.cves[r.text("CveId")] = true, true, true
	}
	var all []*product
	for _, key := range slices.Sorted(maps.Keys(found)) {
		all = append(all, found[key])
	}
	return all
}

// softwareList is the software of all devices. Source of the members: Defender for
// Endpoint, software resource type.
func (t *Tenant) softwareList() [][]byte {
	var rows [][]byte
	for _, p := range t.products() {
		rows = append(rows, object(
			"id", p.vendor+"-_-"+p.name, "name", p.name, "vendor", p.vendor, "weaknesses", len(p.cves), "publicExploit", len(p.cves)%3 == 1,
			"activeAlert", false, "exposedMachines", len(p.exposed), "impactScore", float64(len(p.exposed))*0.13))
	}
	return rows
}

// recommendations are one for each software that has vulnerabilities. Source of the
// members: Defender for Endpoint, recommendation resource type.
func (t *Tenant) recommendations() [][]byte {
	var rows [][]byte
	for _, p := range t.products() {
		if len(p.cves) == 0 {
			continue
		}
		rows = append(rows, object(
			"id", "va-_-"+p.vendor+"-_-"+p.name, "productName", p.name, "recommendationName", "Update "+strings.ReplaceAll(p.name, "_", " "),
			"weaknesses", len(p.cves), "vendor", p.vendor, "recommendedVersion", "", "recommendationCategory", "Application", "subCategory", "",
			"severityScore", 0.0, "publicExploit", len(p.cves)%3 == 1, "activeAlert", false, "associatedThreats", list[string](), "remediationType", "Update",
			"status", "Active", "configScoreImpact", 0.0, "exposureImpact", float64(len(p.exposed))*0.37, "totalMachineCount", len(p.devices),
			"exposedMachinesCount", len(p.exposed), "nonProductivityImpactedAssets", 0, "relatedComponent", p.name))
	}
	return rows
}

// maxIndicators is how many of the files that alerts name are on the list.
const maxIndicators = 40

// indicators are files of the alerts' evidence that somebody blocked. Source of the
// members: Defender for Endpoint, indicator resource type.
func (t *Tenant) indicators() [][]byte {
	seen := map[string]bool{}
	var rows [][]byte
	for _, r := range t.records("AlertEvidence") {
		sha1 := r.text("SHA1")
		if sha1 == "" || seen[sha1] || len(rows) == maxIndicators {
			continue
		}
		seen[sha1] = true
		rows = append(rows, object(
			"id", strconv.Itoa(995+len(rows)), "indicatorValue", sha1, "indicatorType", "FileSha1", "action", "Alert", "application", nil,
			"source", "analyst@"+domain, "sourceType", "User", "title", "Seen in an alert: "+r.text("FileName"), "creationTimeDateTimeUtc", r.orNull("Timestamp"),
			"createdBy", "analyst@"+domain, "expirationTime", nil, "lastUpdateTime", r.orNull("Timestamp"), "lastUpdatedBy", nil, "severity", "Informational",
			"description", "", "recommendedActions", "", "rbacGroupNames", list[string]()))
	}
	return rows
}

// ExposureScore is the exposure of all devices from 0 to 100: the mean severity of what
// they have. 0 where nothing is known.
func (t *Tenant) ExposureScore() float64 {
	weight := map[string]float64{"Low": 10, "Medium": 35, "High": 70, "Critical": 100}
	sum, n := 0.0, 0
	for _, r := range t.records("DeviceTvmSoftwareVulnerabilitiesKB") {
		if w, ok := weight[r.text("VulnerabilitySeverityLevel")]; ok {
			sum, n = sum+w, n+1
		}
	}
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}
