package tenant

import (
	"maps"
	"slices"
)

// deviceFacts is what exports and lists tell of a device beyond their own table.
type deviceFacts struct {
	name, platform, version []byte // JSON
	group                   string
	groupID                 int
}

// weaknessFacts is what the knowledge base tells of a CVE.
type weaknessFacts struct {
	score   []byte // JSON
	exploit bool
}

// unassigned is the group of devices that no rule puts into another.
const unassigned = "UnassignedGroup"

// firstGroup is the number of the first group of a tenant's own; what number a
// group has is the service's affair.
const firstGroup = 39

// deviceFacts reads the devices of DeviceInfo; a later row wins.
func (t *Tenant) deviceFacts() map[string]deviceFacts {
	facts := map[string]deviceFacts{}
	groups := map[string]int{}
	for row := range t.Rows("DeviceInfo") {
		var id string
		d := deviceFacts{group: unassigned}
		for key, value := range Members(row) {
			switch string(key) {
			case "DeviceId":
				id = string(inside(value))
			case "DeviceName":
				d.name = slices.Clone(value)
			case "OSPlatform":
				d.platform = slices.Clone(value)
			case "OSVersion":
				d.version = slices.Clone(value)
			case "MachineGroup":
				if own := string(inside(value)); own != "" {
					d.group = own
				}
			}
		}
		if id != "" {
			facts[id] = d
			groups[d.group] = 0
		}
	}
	delete(groups, unassigned)
	for i, name := range slices.Sorted(maps.Keys(groups)) {
		groups[name] = firstGroup + i
	}
	for id, d := range facts {
		d.groupID = groups[d.group]
		facts[id] = d
	}
	return facts
}

// weaknessFacts reads the knowledge base of vulnerabilities.
func (t *Tenant) weaknessFacts() map[string]weaknessFacts {
	facts := map[string]weaknessFacts{}
	for row := range t.Rows("DeviceTvmSoftwareVulnerabilitiesKB") {
		var cve string
		var w weaknessFacts
		for key, value := range Members(row) {
			switch string(key) {
			case "CveId":
				cve = string(inside(value))
			case "CvssScore":
				w.score = slices.Clone(value)
			case "IsExploitAvailable":
				w.exploit = string(value) == "true"
			}
		}
		facts[cve] = w
	}
	return facts
}

func (x *exported) device() deviceFacts { return x.facts[string(inside(x.value("DeviceId")))] }

func or(b, value []byte) []byte {
	if value == nil {
		return append(b, "null"...)
	}
	return append(b, value...)
}

func deviceName(b []byte, x *exported) []byte {
	if v := x.value("DeviceName"); len(inside(v)) > 0 {
		return append(b, v...)
	}
	return or(b, x.device().name)
}

func platform(b []byte, x *exported) []byte      { return or(b, x.device().platform) }
func systemVersion(b []byte, x *exported) []byte { return or(b, x.device().version) }

func groupID(b []byte, x *exported) []byte {
	if x.moved {
		return number(b, firstGroup-1)
	}
	return number(b, x.device().groupID)
}

func groupName(b []byte, x *exported) []byte {
	name := x.device().group
	switch {
	case x.moved:
		name = "Moved"
	case name == "":
		name = unassigned
	}
	return quoted(b, name)
}

func score(b []byte, x *exported) []byte {
	return or(b, x.scores[string(inside(x.value("CveId")))].score)
}

func exploit(b []byte, x *exported) []byte {
	if x.scores[string(inside(x.value("CveId")))].exploit {
		return append(b, `"ExploitIsPublic"`...)
	}
	return append(b, `"NoExploit"`...)
}
