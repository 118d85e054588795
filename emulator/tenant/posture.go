package tenant

import "github.com/defender2adx/defender2adx/emulator/engine"

// chooser gives the function that sets what a table lists: a table of states lists
// each thing once, by row number. Nil: rows are independent.
func chooser(table string) func(x *row) {
	perDevice := func(x *row) *device { return &x.w.devices[x.i%len(x.w.devices)] }
	switch table {
	case "DeviceTvmSoftwareInventory", "DeviceTvmSoftwareEvidenceBeta", "DeviceTvmBrowserExtensions", "DeviceTvmCertificateInfo", "DeviceTvmHardwareFirmware", "DeviceTvmInfoGathering":
		return func(x *row) {
			x.dev = perDevice(x)
			x.thing = x.i / len(x.w.devices)
			x.sw = &x.w.software[x.thing%len(x.w.software)]
		}
	case "DeviceTvmSoftwareVulnerabilities":
		return func(x *row) {
			x.dev = perDevice(x)
			x.thing = x.i / len(x.w.devices)
			x.cve = x.thing
			x.sw = &x.w.software[x.thing*7%len(x.w.software)]
		}
	case "DeviceTvmSecureConfigurationAssessment", "DeviceBaselineComplianceAssessment":
		return func(x *row) {
			x.dev = perDevice(x)
			x.config = x.i / len(x.w.devices)
			x.thing = x.config % 5
		}
	case "DeviceTvmSoftwareVulnerabilitiesKB":
		return func(x *row) { x.cve = x.i }
	case "DeviceTvmSecureConfigurationAssessmentKB", "DeviceBaselineComplianceAssessmentKB":
		return func(x *row) { x.config = x.i }
	case "DeviceInfo", "DeviceNetworkInfo":
		return func(x *row) { x.dev = perDevice(x) }
	case "AlertEvidence":
		return func(x *row) { x.thing = x.i / 5 }
	case "BehaviorEntities":
		return func(x *row) { x.thing = x.i / 3 }
	case "EmailEvents", "MessageEvents":
		return func(x *row) { x.message(x.i) }
	case "EmailUrlInfo", "MessageUrlInfo":
		return func(x *row) { x.message(x.i * 2) }
	case "EmailAttachmentInfo", "UrlClickEvents":
		return func(x *row) { x.message(x.i * 4) }
	case "EmailPostDeliveryEvents", "MessagePostDeliveryEvents":
		return func(x *row) { x.message(x.i * 8) }
	case "DeviceEvents":
		actions, _ := deviceEvents()
		return func(x *row) { x.thing = x.below(len(actions)) }
	case "IdentityInfo", "IdentityAccountInfo":
		return func(x *row) { x.user = &x.w.people[x.i%len(x.w.people)] }
	}
	return nil
}

// addPosture adds the columns of vulnerability management and baselines.
func addPosture(m map[string]maker) {
	m["SoftwareVendor"] = func(b []byte, x *row) []byte { return quoted(b, x.sw.vendor) }
	m["SoftwareName"] = func(b []byte, x *row) []byte { return quoted(b, x.sw.name) }
	m["SoftwareVersion"] = func(b []byte, x *row) []byte { return quoted(b, x.sw.version) }
	m["ProductCodeCpe"] = func(b []byte, x *row) []byte {
		return quoted(b, "cpe:2.3:a:"+x.sw.vendor+":"+x.sw.name+":"+x.sw.version+":*:*:*:*:*:*:*")
	}
	m["EndOfSupportStatus"] = func(b []byte, x *row) []byte {
		if x.sw.endOfSupport {
			return append(b, `"EOS Version"`...)
		}
		return append(b, `""`...)
	}
	m["EndOfSupportDate"] = func(b []byte, x *row) []byte {
		if x.sw.endOfSupport {
			return append(b, `"2025-10-14T00:00:00Z"`...)
		}
		return append(b, "null"...)
	}
	m["CveId"] = func(b []byte, x *row) []byte {
		b = append(b, `"CVE-20`...)
		b = append(number(b, 19+x.cve%7), '-')
		return append(number(b, 10_000+x.cve*37), '"')
	}
	severity := [...]string{`"Low"`, `"Medium"`, `"High"`, `"Critical"`}
	m["VulnerabilitySeverityLevel"] = func(b []byte, x *row) []byte { return append(b, severity[x.cve%4]...) }
	m["CvssScore"] = func(b []byte, x *row) []byte {
		return append(number(b, 2+x.cve%4*2), [...]string{".1", ".5", "", ".9"}[x.cve%3]...)
	}
	m["CvssVector"] = text("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "CVSS:3.1/AV:L/AC:H/PR:L/UI:R/S:U/C:L/I:N/A:N")
	m["EpssScore"] = raw("0.00043", "0.97", "1e-05", "null")
	m["CveSupportability"] = text("Supported", "Not Supported")
	m["CveTags"] = raw(`[]`, `["ZeroDay"]`, `["NoSecurityUpdate"]`, "null")
	m["CveMitigationStatus"] = text("", "Mitigated")
	m["RecommendedSecurityUpdate"] = text("July 2026 Security Updates", "")
	m["RecommendedSecurityUpdateId"] = text("5062553", "")
	m["AffectedSoftware"] = raw(`["microsoft:windows_11","microsoft:windows_10"]`, `["openssl:openssl"]`, `[]`)
	m["VulnerabilityDescription"] = sentence
	m["ConfigurationId"] = func(b []byte, x *row) []byte { return append(number(append(b, `"scid-`...), x.config+1), '"') }
	m["ConfigurationCategory"] = func(b []byte, x *row) []byte {
		return append(b, [...]string{`"Security controls"`, `"Accounts"`, `"Network"`, `"OS"`}[x.config%4]...)
	}
	m["ConfigurationSubcategory"] = func(b []byte, x *row) []byte {
		return append(b, [...]string{`"Antivirus"`, `"Password policy"`, `"Firewall"`, `""`}[x.config%4]...)
	}
	m["ConfigurationImpact"] = func(b []byte, x *row) []byte {
		return append(number(b, 1+x.config%9), [...]string{"", ".5"}[x.config%2]...)
	}
	m["ConfigurationName"] = func(b []byte, x *row) []byte {
		return append(number(append(b, `"Turn on protection `...), x.config+1), '"')
	}
	m["Context"] = raw("null", `[["C:\\Windows","2"],["Ω","3"]]`, `[]`)
	m["BenchmarkProfileLevels"] = raw(`["L1"]`, `["L1","L2"]`)
	m["ConfigurationBenchmarks"] = raw(`{"CIS":["1.1.1"],"STIG":[]}`, "null")
	m["RecommendedValue"] = raw(`["1"]`, `["Enabled","Audit"]`)
	m["CurrentValue"] = raw(`["0"]`, `[]`, `["Disabled"]`)
	m["Source"] = raw(`["HKLM\\SOFTWARE\\Policies"]`, `["secpol"]`)
	m["ProfileId"] = func(b []byte, x *row) []byte { return quotedGUID(b, x.w.seed^uint64(x.thing)<<33) }
	m["RegistryPaths"] = raw(`[]`, `["HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\{23170F69-40C1-2702-2201-000001000000}"]`)
	m["DiskPaths"] = raw(`["c:\\program files\\app\\app.exe"]`, `["/usr/bin/ünï","/opt/a","/opt/b"]`, `[]`)
	m["BrowserName"] = text("chrome", "edge", "firefox")
	m["ExtensionId"] = func(b []byte, x *row) []byte { return append(appendHex(append(b, '"'), 32, uint64(x.thing)), '"') }
	m["ExtensionRisk"], m["PermissionRisk"] = text("Low", "Medium", "High", "Unknown"), text("Low", "High")
	m["Thumbprint"] = func(b []byte, x *row) []byte {
		return append(appendHex(append(b, '"'), 40, uint64(x.thing)^x.w.seed), '"')
	}
	m["Path"] = text("localmachine/my", "localmachine/root")
	m["IssuedTo"] = raw(`{"CommonName":"contoso.example","Organization":"Contoso","Country":"CZ"}`, `{"CommonName":"*.contoso.example"}`)
	m["IssuedBy"] = raw(`{"CommonName":"Contoso Root CA 2"}`)
	m["SignatureAlgorithm"], m["KeySize"] = text("sha256RSA", "sha1RSA", "sha384ECDSA"), text("2048", "4096", "384")
	m["ComponentType"] = text("Bios", "Hardware", "Processor")
}

// ownColumns are columns that mean something else, or something more, in one table.
func ownColumns(table string) map[string]maker {
	action := func(choices ...string) map[string]maker { return map[string]maker{"ActionType": text(choices...)} }
	switch table {
	case "DeviceProcessEvents":
		return action("ProcessCreated", "ProcessCreated", "OpenProcess")
	case "DeviceFileEvents":
		return action("FileCreated", "FileModified", "FileDeleted", "FileRenamed")
	case "DeviceRegistryEvents":
		return action("RegistryValueSet", "RegistryKeyCreated", "RegistryKeyDeleted", "RegistryValueDeleted")
	case "DeviceImageLoadEvents":
		return action("ImageLoaded")
	case "DeviceNetworkEvents":
		return action("ConnectionSuccess", "ConnectionSuccess", "ConnectionFailed", "InboundConnectionAccepted", "ListeningConnectionCreated", "DnsConnectionInspected")
	case "DeviceLogonEvents":
		m := action("LogonSuccess", "LogonSuccess", "LogonFailed", "LogonAttempted")
		m["LogonType"] = text("Interactive", "Network", "RemoteInteractive", "Service")
		return m
	case "DeviceEvents":
		actions, fields := deviceEvents()
		return map[string]maker{
			"ActionType":       func(b []byte, x *row) []byte { return append(b, actions[x.thing%len(actions)]...) },
			"AdditionalFields": func(b []byte, x *row) []byte { return append(b, fields[x.thing%len(fields)]...) },
		}
	case "IdentityLogonEvents":
		return action("LogonSuccess", "LogonSuccess", "LogonFailed")
	case "IdentityQueryEvents":
		return action("DNS query", "LDAP query", "SAMR query")
	case "IdentityDirectoryEvents":
		return action("Group Membership changed", "Account Password changed", "Directory Services replication", "Account Disabled changed")
	case "EmailPostDeliveryEvents", "MessagePostDeliveryEvents":
		return action("Phish ZAP", "Malware ZAP", "Manual Remediation")
	case "UrlClickEvents":
		return action("ClickAllowed", "ClickBlocked", "UrlScanInProgress")
	case "CloudAppEvents":
		m := action("FileAccessed", "MailItemsAccessed", "Add member to role.", "Update user.", "UserLoggedIn")
		m["ApplicationId"] = raw("20892", "20893", "11161")
		return m
	case "AlertEvidence", "BehaviorEntities":
		return map[string]maker{"EntityType": text("Machine", "User", "Process", "File", "Ip"), "EvidenceRole": text("Impacted", "Related")}
	case "DeviceTvmBrowserExtensions":
		return map[string]maker{"InstallationTime": installed}
	case "DeviceBaselineComplianceProfiles":
		return map[string]maker{
			"OSPlatform": raw(`["Windows10","Windows11"]`, `["WindowsServer2022"]`),
			"LastUpdatedOn": func(b []byte, x *row) []byte {
				return stampText(b, x.arrived-engine.Datetime(x.i%50+1)*tickDay, 7)
			},
		}
	case "ExposureGraphNodes":
		return map[string]maker{
			"NodeId":    func(b []byte, x *row) []byte { return append(appendHex(append(b, '"'), 32, uint64(x.i)^x.w.seed), '"') },
			"NodeLabel": text("device", "user", "microsoft.compute/virtualmachines", "group"), "NodeName": func(b []byte, x *row) []byte { return append(b, x.dev.nameJSON...) },
			"Categories": raw(`["device","compute"]`, `["identity"]`),
			"NodeProperties": func(b []byte, x *row) []byte {
				return append(details(append(b, `{"rawData":`...), x), `,"isActive":true}`...)
			},
		}
	case "ExposureGraphEdges":
		node := func(b []byte, x *row) []byte {
			return append(appendHex(append(b, '"'), 32, uint64(x.below(1200))^x.w.seed), '"')
		}
		return map[string]maker{
			"EdgeId": func(b []byte, x *row) []byte {
				return append(appendHex(append(b, '"'), 32, ^uint64(x.i)^x.w.seed), '"')
			},
			"SourceNodeId": node, "TargetNodeId": node, "EdgeLabel": text("has permissions to", "can authenticate as", "contains"),
		}
	}
	return nil
}

// installed is when a browser extension was installed: years ago, unknown, and for
// two extensions on a device whose clock is wrong, in the future.
func installed(b []byte, x *row) []byte {
	switch {
	case x.i == 3 || x.i == 40:
		return stampText(b, x.w.now+400*tickDay, 7)
	case x.once(20):
		return append(b, "null"...)
	}
	return before(900)(b, x)
}
