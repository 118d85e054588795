package tenant

import "strings"

// What several tables tell of one thing must agree: an alert and its evidence, a
// message and its attachments. Such a thing is a number, and its facts follow from
// it.

// message makes a row one of message number n: its recipient is the message's.
func (x *row) message(n int) {
	x.thing = n
	x.user = &x.w.people[mix(x.w.seed^uint64(n))%uint64(len(x.w.people))]
}

// addStories adds the columns of alerts, mail, people and cloud applications.
func addStories(m map[string]maker) {
	of := func(n func(*row) int, facts ...string) maker {
		ready := make([]string, len(facts))
		for i, f := range facts {
			ready[i] = jsonText(f)
		}
		return func(b []byte, x *row) []byte { return append(b, ready[n(x)%len(ready)]...) }
	}
	thing := func(x *row) int { return x.thing }
	m["AlertId"] = func(b []byte, x *row) []byte {
		return append(number(append(b, `"da6387`...), 10_000_000+x.thing*7919), `_-1"`...)
	}
	m["BehaviorId"] = func(b []byte, x *row) []byte {
		return append(appendHex(append(b, `"bh`...), 24, x.w.seed^uint64(x.thing)<<9), '"')
	}
	m["TeamsMessageId"] = func(b []byte, x *row) []byte { return quotedGUID(b, x.w.seed^uint64(x.thing)<<21) }
	m["Title"] = of(thing, "Suspicious PowerShell command line", "Unusual sign-in – 未知の場所", "Mimikatz credential theft tool", "Malware was prevented", "Suspicious inbox rule")
	m["Severity"] = of(thing, "Low", "Medium", "High", "Informational", "Medium", "High", "Low")
	m["Category"] = of(thing, "Execution", "InitialAccess", "CredentialAccess", "Malware", "Persistence")
	m["ServiceSource"] = of(thing, "Microsoft Defender for Endpoint", "Microsoft Defender for Identity", "Microsoft Defender for Office 365")
	m["DetectionSource"] = of(thing, "EDR", "Antivirus", "Custom detection", "Microsoft Defender for Office 365")
	m["Subject"] = of(thing, "Invoice 2026-11", "Re: Angebot – Größe & Preis", "🎉 You won! Click <here>", "会議のご案内", "", "FW: \"urgent\"\ttransfer")
	m["EmailSubject"], m["MessageSubject"] = m["Subject"], m["Subject"]
	m["ThreatTypes"] = of(thing, "", "", "", "Phish", "", "Malware", "")
	m["ThreatNames"] = of(thing, "", "", "", "", "", "Trojan:Win32/Example.A!ml", "")
	m["DetectionMethods"] = of(thing, "", "", "", `{"Phish":["URL detonation reputation"]}`, "", `{"Malware":["File detonation"]}`, "")
	m["InternetMessageId"] = func(b []byte, x *row) []byte {
		return append(appendHex(append(b, `"<`...), 20, x.w.seed+uint64(x.thing)), `@mail.fabrikam.example>"`...)
	}
	m["NetworkMessageId"] = func(b []byte, x *row) []byte { return quotedGUID(b, x.w.seed^uint64(x.thing)<<20) }
	m["EmailClusterId"] = func(b []byte, x *row) []byte { return number(b, 2_000_000_000+x.thing%97*1_000_003) }
	m["EmailDirection"] = of(thing, "Inbound", "Outbound", "Intra-org", "Inbound")
	for _, prefix := range []string{"SenderMailFrom", "SenderFrom"} {
		m[prefix+"Address"] = of(thing, "news@fabrikam.example", "bücher@xn--bcher-kva.example", "info@adatum.example")
		m[prefix+"Domain"] = of(thing, "fabrikam.example", "xn--bcher-kva.example", "adatum.example")
	}
	m["SenderEmailAddress"] = m["SenderFromAddress"]
	m["SenderIPv6"] = text("", "", "2001:db8:51::25")
	m["EmailLanguage"], m["AttachmentCount"], m["UrlCount"] = text("en", "de", "ja", "cs", ""), upTo(4), upTo(9)
	mailboxes := func(b []byte, x *row) []byte {
		return append(append(append(b, '['), x.other.upnJSON...), ']')
	}
	m["To"], m["Cc"], m["OtherMailAddresses"] = mailboxes, raw("[]", "null"), raw("[]", `["home@example.org"]`)
	m["AuthenticationDetails"] = text(`{"SPF":"pass","DKIM":"pass","DMARC":"pass"}`, `{"SPF":"fail","DKIM":"none","DMARC":"fail"}`)

	personal := func(f func(*person) string) maker {
		return func(b []byte, x *row) []byte { return quoted(b, f(x.user)) }
	}
	m["GivenName"] = personal(func(p *person) string { first, _, _ := strings.Cut(p.display, " "); return first })
	m["Surname"] = personal(func(p *person) string { _, last, _ := strings.Cut(p.display, " "); return last })
	m["DistinguishedName"] = personal(func(p *person) string { return "CN=" + p.display + ",OU=" + p.department + ",DC=contoso,DC=example" })
	m["OnPremSid"] = personal(func(p *person) string { return p.sid })
	m["EmployeeId"] = personal(func(p *person) string { return "E" + p.sid[len(p.sid)-4:] })
	m["CompanyName"], m["Phone"], m["Address"] = text("Contoso"), text("+420 555 0100", "+49 30 5550 123", ""), text("Hlavní 1, Praha", "")
	m["Manager"] = func(b []byte, x *row) []byte { return append(b, x.other.displayJSON...) }
	m["RiskLevel"], m["RiskStatus"], m["BlastRadius"] = text("None", "Low", "Medium", "High"), text("None", "AtRisk", "Remediated"), text("Low", "Medium", "")
	m["CriticalityLevel"] = raw("0", "1", "2", "3", "null")
	m["DeletedDateTime"] = raw("null")
	m["AssignedRoles"], m["EligibleRoles"] = raw("[]", "[]", `["Global Reader"]`, `["Security Administrator","User Administrator"]`), raw("[]")
	m["GroupMembership"] = raw(`["All Employees"]`, `["All Employees","VPN Users","Büro Köln"]`)
	m["UserAccountControl"], m["Tags"] = raw("[]", `["PasswordNeverExpires"]`), raw("[]", `["Sensitive"]`, `["VIP 🦊"]`)
	m["SourceProviders"], m["PrivilegedEntraPimRoles"] = raw(`["ActiveDirectory","AzureActiveDirectory"]`, `["AzureActiveDirectory"]`), raw("[]")
	m["IPTags"], m["UserAgentTags"] = raw("[]", `["Known ranges"]`, "null"), raw("[]", `["Browser"]`, `["Outdated browser","Outdated operating system"]`)
	m["UncommonForUser"], m["LastSeenForUser"] = raw("[]", `["ISP","CountryCode"]`, "null"), raw(`{}`, `{"ISP":0,"ActionType":3}`, "null")
	m["ActivityObjects"] = raw(`[{"Type":"Task","Role":"Target object","Name":"MailItemsAccessed"}]`,
		`[{"ServiceObjectType":"Session ID","Type":"Structured object","Role":"Parameter"},{"Type":"File","Role":"Target object","Name":"Übersicht 📊.xlsx","Id":"01ABC"}]`)
	m["ErrorCode"] = raw("0", "0", "0", "50126", "53003")
}

// deviceEvents lists what DeviceEvents tells, with the fields that each kind has.
func deviceEvents() (actions, fields []string) {
	for _, kind := range [][2]string{
		{"AntivirusDetection", `{"ThreatName":"Trojan:Win32/Example.A!ml","WasExecutingWhileDetected":false,"Action":"2","WasRemediated":true}`},
		{"AsrOfficeChildProcessBlocked", `{"IsAudit":false,"RuleId":"d4f940ab-401b-4efc-aadc-ad5f3c50688a"}`},
		{"PowerShellCommand", `{"Command":"Get-ChildItem \"C:\\Users\\Zoë\""}`},
		{"ScheduledTaskCreated", `{"TaskName":"\\Contoso\\Nächtlich","TaskContent":"<Task version=\"1.2\"/>"}`},
		{"UserAccountCreated", `{}`},
		{"PnpDeviceConnected", `{"ClassName":"DiskDrive","DeviceDescription":"Disk drive","VendorIds":["USBSTOR\\DiskExample"]}`},
		{"NamedPipeEvent", `{"PipeName":"\\Device\\NamedPipe\\lsass","FileOperation":"File opened"}`},
		{"DriverLoad", ``},
		{"LdapSearch", `{"SearchFilter":"(&(objectClass=user)(name=*))","AttributeList":["sAMAccountName"],"DistinguishedName":"DC=contoso,DC=example"}`},
		{"BrowserLaunchedToOpenUrl", ``},
		{"SmartScreenUrlWarning", `{"Experience":"Phishing","ActivityId":"00000000-0000-4000-8000-00000000000a"}`},
		{"OtherAlertRelatedActivity", `{"Description":"東京 🗼"}`},
	} {
		actions, fields = append(actions, jsonText(kind[0])), append(fields, jsonText(kind[1]))
	}
	return actions, fields
}
