package tenant

import (
	"fmt"
	"maps"
	"slices"
)

// machines are the devices of DeviceInfo as their latest rows tell. Source of the
// members: Defender for Endpoint, machine resource type; more as answers have them.
func (t *Tenant) machines() [][]byte {
	latest, first := map[string]record{}, map[string]string{}
	for _, r := range t.records("DeviceInfo") {
		id, at := r.text("DeviceId"), r.text("Timestamp")
		if id == "" {
			continue
		}
		if known, ok := latest[id]; !ok || known.text("Timestamp") <= at {
			latest[id] = r
		}
		if known, ok := first[id]; !ok || at < known {
			first[id] = at
		}
	}
	facts := t.deviceFacts()
	var rows [][]byte
	for _, id := range slices.Sorted(maps.Keys(latest)) {
		r, d, h := latest[id], facts[id], hashText(id)
		private := fmt.Sprintf("10.%d.%d.%d", 20+h%8, h>>8%250, 1+h>>16%250)
		group := d.group
		if group == "" {
			group = unassigned
		}
		rows = append(rows, object(
			"id", id, "mergedIntoMachineId", nil, "isPotentialDuplication", false, "isExcluded", r.is("IsExcluded"), "exclusionReason", r.orNull("ExclusionReason"),
			"computerDnsName", r.orNull("DeviceName"), "firstSeen", first[id], "lastSeen", r.text("Timestamp"), "osPlatform", r["OSPlatform"],
			"osVersion", nil, "osProcessor", "x64", "version", r["OSVersion"], "lastIpAddress", private, "lastExternalIpAddress", r.orNull("PublicIP"),
			"agentVersion", r.orNull("ClientVersion"), "osBuild", r["OSBuild"], "healthStatus", [...]string{"Active", "Active", "Active", "Inactive"}[h%4],
			"deviceValue", "Normal", "rbacGroupId", d.groupID, "rbacGroupName", group,
			"riskScore", [...]string{"None", "Low", "Medium", "High"}[h>>4%4], "exposureLevel", [...]string{"Low", "Medium", "High"}[h>>8%3],
			"isAadJoined", r.is("IsAzureADJoined"), "aadDeviceId", r.orNull("AadDeviceId"), "machineTags", list[string](), "defenderAvStatus", "Updated",
			"onboardingStatus", "Onboarded", "osArchitecture", r.orNull("OSArchitecture"), "managedBy", "Intune", "managedByStatus", "Success",
			"ipAddresses", []map[string]any{{"ipAddress": private, "macAddress": "0200" + fmt.Sprintf("%08X", uint32(h)), "type": "Ethernet", "operationalStatus": "Up"}},
			"vmMetadata", nil))
	}
	return rows
}
