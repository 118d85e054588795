package tenant

import (
	"bytes"
	"iter"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// Export is a file export of Defender for Endpoint: the rows of one hunting table
// under the names that the export has for them, with what it tells more. Source:
// Defender for Endpoint, export assessment methods and properties per device.
type Export struct {
	Name   string // last segment of its path, such as SoftwareVulnerabilitiesExport
	Folder string // of its files
	Table  string // hunting table that carries the same data
	Role   string // app role

	fields []field
}

// field is one member of an export's row: a column of the hunting table, or made.
type field struct {
	name, column string
	make         func(b []byte, x *exported) []byte
}

// exported is one row on its way.
type exported struct {
	*Frozen
	seed  uint64              // of the row's own facts
	value func(string) []byte // JSON of a hunting column; null where the row lacks it
	moved bool                // as the row of a device that another group has now
}

// Exports lists the file exports.
func Exports() []Export {
	const software, vulnerability, baseline = "Software.Read.All", "Vulnerability.Read.All", "SecurityBaselinesAssessment.Read.All"
	device := func(more ...field) []field {
		return append([]field{
			{name: "deviceId", column: "DeviceId"}, {name: "rbacGroupId", make: groupID}, {name: "rbacGroupName", make: groupName},
			{name: "deviceName", make: deviceName},
		}, more...)
	}
	product := []field{
		{name: "softwareVendor", column: "SoftwareVendor"}, {name: "softwareName", column: "SoftwareName"}, {name: "softwareVersion", column: "SoftwareVersion"},
	}
	paths := []field{{name: "diskPaths", make: listOr("DiskPaths")}, {name: "registryPaths", make: listOr("RegistryPaths")}}
	join := func(parts ...[]field) (all []field) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	return []Export{
		{Name: "SoftwareInventoryExport", Folder: "SoftwareInventory", Table: "DeviceTvmSoftwareInventory", Role: software, fields: join(
			device(field{name: "osPlatform", column: "OSPlatform"}), product,
			[]field{{name: "numberOfWeaknesses", make: below(60)}}, paths,
			[]field{
				{name: "softwareFirstSeenTimestamp", make: pastStamp}, {name: "endOfSupportStatus", column: "EndOfSupportStatus"},
				{name: "endOfSupportDate", column: "EndOfSupportDate"},
			})},
		{Name: "SoftwareInventoryNonCpeExport", Folder: "NonCpeSoftwareInventory", Table: "DeviceTvmSoftwareEvidenceBeta", Role: software, fields: join(
			device(field{name: "osPlatform", make: platform}), product, paths, []field{{name: "softwareLastSeenTimestamp", make: recentStamp}})},
		{Name: "SoftwareVulnerabilitiesExport", Folder: "VaExport", Table: "DeviceTvmSoftwareVulnerabilities", Role: vulnerability, fields: weakness()},
		{Name: "SecureConfigurationsAssessmentExport", Folder: "ScaExport", Table: "DeviceTvmSecureConfigurationAssessment", Role: vulnerability, fields: device(
			field{name: "osPlatform", column: "OSPlatform"}, field{name: "osVersion", make: systemVersion}, field{name: "timestamp", make: spacedStamp("Timestamp")},
			field{name: "configurationId", column: "ConfigurationId"}, field{name: "configurationCategory", column: "ConfigurationCategory"},
			field{name: "configurationSubcategory", column: "ConfigurationSubcategory"}, field{name: "configurationImpact", column: "ConfigurationImpact"},
			field{name: "isCompliant", column: "IsCompliant"}, field{name: "isApplicable", column: "IsApplicable"},
			field{name: "isExpectedUserImpact", column: "IsExpectedUserImpact"}, field{name: "configurationName", make: prefixed("Setting ", "ConfigurationId")},
			field{name: "recommendationReference", make: prefixed("sca-_-", "ConfigurationId")})},
		{Name: "BaselineComplianceAssessmentExport", Folder: "BaselineAssessmentExport", Table: "DeviceBaselineComplianceAssessment", Role: baseline, fields: join(
			[]field{{name: "id", make: joined("DeviceId", "ProfileId", "ConfigurationId")}, {name: "configurationId", column: "ConfigurationId"}},
			device(field{name: "profileId", column: "ProfileId"}, field{name: "osPlatform", column: "OSPlatform"}, field{name: "osVersion", column: "OSVersion"},
				field{name: "isApplicable", column: "IsApplicable"}, field{name: "isCompliant", column: "IsCompliant"},
				field{name: "dataCollectionTimeOffset", make: generatedStamp}, field{name: "recommendedValue", make: listOr("RecommendedValue")},
				field{name: "currentValue", make: listOr("CurrentValue")}, field{name: "source", make: listOr("Source")}))},
		{Name: "certificateAssessmentExport", Folder: "CertificateAssessmentExport", Table: "DeviceTvmCertificateInfo", Role: vulnerability, fields: device(
			field{name: "thumbprint", column: "Thumbprint"}, field{name: "path", column: "Path"}, field{name: "signatureAlgorithm", column: "SignatureAlgorithm"},
			field{name: "keyLength", make: unquotedNumber("KeySize")}, field{name: "notAfter", column: "ExpirationDate"}, field{name: "notBefore", column: "IssueDate"},
			field{name: "subjectType", column: "SubjectType"}, field{name: "serialNumber", column: "SerialNumber"}, field{name: "subjectObject", column: "IssuedTo"},
			field{name: "issuerObject", column: "IssuedBy"}, field{name: "keyUsageArray", make: null}, field{name: "extendedKeyUsageArray", make: null},
			field{name: "isSelfSigned", make: sometimes})},
		// The page's own example is in this case. Source: Defender for Endpoint, export
		// browser extensions inventory.
		{Name: "browserextensionsinventoryExport", Folder: "BrowserExtensions", Table: "DeviceTvmBrowserExtensions", Role: software, fields: []field{
			{name: "DeviceId", column: "DeviceId"}, {name: "DeviceName", make: deviceName}, {name: "RbacGroupId", make: groupID}, {name: "RbacGroupName", make: groupName},
			{name: "InstallationTime", column: "InstallationTime"}, {name: "BrowserName", column: "BrowserName"}, {name: "ExtensionId", column: "ExtensionId"},
			{name: "ExtensionName", column: "ExtensionName"}, {name: "ExtensionDescription", column: "ExtensionDescription"},
			{name: "ExtensionVersion", column: "ExtensionVersion"}, {name: "ExtensionRisk", column: "ExtensionRisk"}, {name: "IsActivated", make: unquotedBool("IsActivated")},
			{name: "Permissions", make: permissions},
		}},
		{Name: "HardwareFirmwareInventoryExport", Folder: "HardwareFirmwareExport", Table: "DeviceTvmHardwareFirmware", Role: software, fields: device(
			field{name: "componentType", column: "ComponentType"}, field{name: "manufacturer", column: "Manufacturer"}, field{name: "componentName", column: "ComponentName"},
			field{name: "componentVersion", column: "ComponentVersion"}, field{name: "additionalFields", make: textOf("AdditionalFields")})},
	}
}

// weakness are the members of a vulnerability of one device, in the export and in
// the list of changes.
func weakness() []field {
	return []field{
		{name: "id", make: joined("DeviceId", "SoftwareName", "SoftwareVersion", "CveId")}, {name: "deviceId", column: "DeviceId"},
		{name: "rbacGroupId", make: groupID}, {name: "rbacGroupName", make: groupName},
		{name: "deviceName", make: deviceName}, {name: "osPlatform", column: "OSPlatform"}, {name: "osVersion", column: "OSVersion"},
		{name: "osArchitecture", column: "OSArchitecture"}, {name: "softwareVendor", column: "SoftwareVendor"}, {name: "softwareName", column: "SoftwareName"},
		{name: "softwareVersion", column: "SoftwareVersion"}, {name: "cveId", make: orNull("CveId")},
		{name: "vulnerabilitySeverityLevel", make: orNull("VulnerabilitySeverityLevel")}, {name: "cvssScore", make: score},
		{name: "recommendedSecurityUpdate", make: orNull("RecommendedSecurityUpdate")},
		{name: "recommendedSecurityUpdateId", make: orNull("RecommendedSecurityUpdateId")}, {name: "recommendedSecurityUpdateUrl", make: null},
		{name: "diskPaths", make: empty}, {name: "registryPaths", make: empty}, {name: "lastSeenTimestamp", make: recentStamp},
		{name: "firstSeenTimestamp", make: pastStamp}, {name: "exploitabilityLevel", make: exploit},
		{name: "recommendationReference", make: prefixed("va-_-", "SoftwareVendor", "SoftwareName")}, {name: "securityUpdateAvailable", make: sometimes},
	}
}

// Frozen is an export as it stands at one moment.
type Frozen struct {
	Export
	At time.Time // of the moment, by the tenant's clock

	segments []segment
	facts    map[string]deviceFacts
	scores   map[string]weaknessFacts
	slots    map[string]int
}

// Freeze takes an export's rows as they are now; false: there is no such export.
// The name is taken in any case, as the service does.
func (t *Tenant) Freeze(name string) (*Frozen, bool) {
	for _, e := range Exports() {
		if strings.EqualFold(e.Name, name) {
			return t.freeze(e), true
		}
	}
	return nil, false
}

func (t *Tenant) freeze(e Export) *Frozen {
	f := &Frozen{Export: e, At: t.Now().UTC(), facts: t.deviceFacts(), scores: t.weaknessFacts(), slots: map[string]int{}}
	f.segments, _ = t.snapshot(e.Table)
	for _, c := range t.Columns(e.Table) {
		f.slots[c.Name] = len(f.slots)
	}
	return f
}

// Len is the number of rows.
func (f *Frozen) Len() int {
	n := 0
	for _, s := range f.segments {
		n += s.len()
	}
	return n
}

// Rows yields the rows from one number to before another, as JSON texts that are
// good until the next one.
func (f *Frozen) Rows(from, to int) iter.Seq[[]byte] {
	return f.shaped(from, to, func([]byte) bool { return true }, false)
}

// RowsOf yields the rows of one device before a number as the file of another group
// has them.
func (f *Frozen) RowsOf(device string, to int) iter.Seq[[]byte] {
	return f.shaped(0, to, func(row []byte) bool { return deviceOf(row) == device }, true)
}

// FirstDevice is the device of the first row; "" where there is none.
func (f *Frozen) FirstDevice() string {
	var buf []byte
	for _, row := range f.raw(0, 1, &buf) {
		return deviceOf(row)
	}
	return ""
}

func deviceOf(row []byte) string {
	for key, value := range Members(row) {
		if string(key) == "DeviceId" {
			return string(inside(value))
		}
	}
	return ""
}

func (f *Frozen) shaped(from, to int, want func(row []byte) bool, moved bool) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		values := make([][]byte, len(f.slots))
		var buf, out []byte
		for i, row := range f.raw(from, to, &buf) {
			if !want(row) {
				continue
			}
			out = f.shape(out[:0], f.fields, row, values, i, moved)
			if !yield(out) {
				return
			}
		}
	}
}

// raw yields the hunting table's rows with their numbers.
func (f *Frozen) raw(from, to int, buf *[]byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		start := 0
		for _, s := range f.segments {
			for i := max(0, from-start); i < s.len() && start+i < to; i++ {
				row := s.row(i, *buf)
				if !s.held() {
					*buf = row
				}
				if !yield(start+i, row) {
					return
				}
			}
			start += s.len()
		}
	}
}

// shape appends a row under the export's names. values is room for the hunting
// table's columns.
func (f *Frozen) shape(b []byte, fields []field, row []byte, values [][]byte, number int, moved bool) []byte {
	clear(values)
	for key, value := range Members(row) {
		if at, known := f.slots[string(key)]; known {
			values[at] = value
		}
	}
	x := &exported{Frozen: f, seed: mix(hashText(f.Table) ^ uint64(number)), moved: moved, value: func(column string) []byte {
		if at, known := f.slots[column]; known && values[at] != nil {
			return values[at]
		}
		return nullText
	}}
	b = append(b, '{')
	for i, m := range fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), m.name...), '"', ':')
		if m.make != nil {
			b = m.make(b, x)
		} else {
			b = append(b, x.value(m.column)...)
		}
	}
	return append(b, '}')
}

var nullText = []byte("null")

// inside is what stands within the quotes of a JSON text; nothing for a null.
func inside(value []byte) []byte {
	if len(value) >= 2 && value[0] == '"' {
		return value[1 : len(value)-1]
	}
	return nil
}

func null(b []byte, _ *exported) []byte  { return append(b, "null"...) }
func empty(b []byte, _ *exported) []byte { return append(b, "[]"...) }

func orNull(column string) func([]byte, *exported) []byte {
	return func(b []byte, x *exported) []byte {
		if v := x.value(column); len(inside(v)) > 0 {
			return append(b, v...)
		}
		return append(b, "null"...)
	}
}

func listOr(column string) func([]byte, *exported) []byte {
	return func(b []byte, x *exported) []byte {
		if v := x.value(column); v[0] == '[' {
			return append(b, v...)
		}
		return append(b, "[]"...)
	}
}

// textOf writes an object as JSON within a string.
func textOf(column string) func([]byte, *exported) []byte {
	return func(b []byte, x *exported) []byte {
		v := x.value(column)
		if v[0] == '"' || v[0] == 'n' {
			return append(b, v...)
		}
		return engine.FormatJSON(b, engine.TypeString, string(v))
	}
}

func unquotedNumber(column string) func([]byte, *exported) []byte {
	return func(b []byte, x *exported) []byte {
		if v := inside(x.value(column)); len(v) > 0 {
			return append(b, v...)
		}
		return append(b, '0')
	}
}

func unquotedBool(column string) func([]byte, *exported) []byte {
	return func(b []byte, x *exported) []byte {
		v := x.value(column)
		if bytes.EqualFold(inside(v), []byte("true")) || string(v) == "true" {
			return append(b, "true"...)
		}
		return append(b, "false"...)
	}
}

// joined writes columns with a line between them, as the exports name their rows.
func joined(columns ...string) func([]byte, *exported) []byte {
	return func(b []byte, x *exported) []byte {
		b = append(b, '"')
		for i, c := range columns {
			if i > 0 {
				b = append(b, '_')
			}
			b = append(b, inside(x.value(c))...)
		}
		return append(b, '"')
	}
}

func prefixed(prefix string, columns ...string) func([]byte, *exported) []byte {
	return func(b []byte, x *exported) []byte {
		b = append(append(b, '"'), prefix...)
		for i, c := range columns {
			if i > 0 {
				b = append(b, "-_-"...)
			}
			b = append(b, inside(x.value(c))...)
		}
		return append(b, '"')
	}
}

func below(n uint64) func([]byte, *exported) []byte {
	return func(b []byte, x *exported) []byte { return number(b, int(x.seed%n)) }
}

func sometimes(b []byte, x *exported) []byte {
	if x.seed%9 == 0 {
		return append(b, "true"...)
	}
	return append(b, "false"...)
}

func permissions(b []byte, x *exported) []byte {
	if x.seed%3 == 0 {
		return append(b, "[]"...)
	}
	return append(b, `[{"Id":"tabs","IsRequired":true,"Risk":"High"},{"Id":"https://*/*","IsRequired":false,"Risk":"Medium"}]`...)
}

// The stamps of exports have a blank between day and time and no zone; they are UTC.
const spaced = "2006-01-02 15:04:05"

func quotedStamp(b []byte, at time.Time, layout string) []byte {
	return append(at.UTC().AppendFormat(append(b, '"'), layout), '"')
}

func pastStamp(b []byte, x *exported) []byte {
	return quotedStamp(b, time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(x.seed%uint64(200*24*3600))*time.Second), spaced)
}

func recentStamp(b []byte, x *exported) []byte {
	return quotedStamp(b, x.At.Add(-time.Duration(x.seed%(24*3600))*time.Second), spaced)
}

func generatedStamp(b []byte, x *exported) []byte {
	return quotedStamp(b, x.At, "2006-01-02T15:04:05.000Z")
}

func spacedStamp(column string) func([]byte, *exported) []byte {
	return func(b []byte, x *exported) []byte {
		at, err := time.Parse(time.RFC3339Nano, string(inside(x.value(column))))
		if err != nil {
			return append(b, "null"...)
		}
		return quotedStamp(b, at, "2006-01-02 15:04:05.000")
	}
}
