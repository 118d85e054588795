package tenant

import "time"

// The table whose state a patch day changes.
const vulnerabilitiesTable = "DeviceTvmSoftwareVulnerabilities"

// PatchDay lets the devices' vulnerabilities become what a day of updates leaves: of
// every four rows one is gone, one in eight has another severity, and one in sixteen
// is a new CVE of software that was updated. Which ones follows from their order alone.
// All rows that stay arrive anew, now.
func (t *Tenant) PatchDay() error {
	now := t.Now()
	var added []string
	if _, err := t.Delete(vulnerabilitiesTable, func(i int, row []byte) bool {
		switch {
		case i%16 == 0:
			added = append(added, string(WithMember(row, "CveId", []byte(`"CVE-2026-90001"`))))
		case i%8 == 1:
			added = append(added, string(WithMember(row, "VulnerabilitySeverityLevel", []byte(`"`+rescored(row)+`"`))))
			return true
		}
		return i%4 == 0
	}); err != nil {
		return err
	}
	if err := t.Append(vulnerabilitiesTable, now, added...); err != nil {
		return err
	}
	return t.Restamp(vulnerabilitiesTable, now, time.Second)
}

// rescored is another severity than the row's.
func rescored(row []byte) string {
	for key, value := range Members(row) {
		if string(key) == "VulnerabilitySeverityLevel" && string(value) == `"Critical"` {
			return "High"
		}
	}
	return "Critical"
}
