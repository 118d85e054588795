package tenant

import (
	"strconv"
	"strings"

	"github.com/defender2adx/defender2adx/internal/schema"
)

// fitting makes what mk writes fit the column's type: the same fact is a number in
// one table and a text in another, an object here and JSON inside a string there.
func fitting(mk maker, c schema.Column) maker {
	var fits func(first byte) bool
	var other maker
	switch c.Type {
	case "string":
		return func(b []byte, x *row) []byte {
			n := len(b)
			if b = mk(b, x); b[n] == '"' || b[n] == 'n' {
				return b
			}
			return quoted(b[:n], string(b[n:]))
		}
	case "guid":
		fits, other = func(first byte) bool { return first == '"' }, guid
	case "datetime":
		fits, other = func(first byte) bool { return first == '"' }, before(30)
	case "bool":
		fits, other = func(first byte) bool { return first == 't' || first == 'f' }, raw("true", "false")
	case "int":
		fits, other = numeric, upTo(100)
	case "long":
		fits, other = numeric, large(100_000)
	case "real":
		fits, other = numeric, fraction
	default:
		return mk
	}
	return func(b []byte, x *row) []byte {
		n := len(b)
		if b = mk(b, x); b[n] == 'n' || fits(b[n]) {
			return b
		}
		return other(b[:n], x)
	}
}

func numeric(first byte) bool { return first == '-' || first >= '0' && first <= '9' }

func fraction(b []byte, x *row) []byte {
	return strconv.AppendFloat(b, float64(x.below(1000))/100, 'f', -1, 64)
}

// eventTime is Timestamp. A few rows have none.
func eventTime(b []byte, x *row) []byte {
	if x.i%4999 == 4321 {
		return append(b, "null"...)
	}
	return stampText(b, x.at, x.decimals)
}

// guessed makes values for columns that nothing more is known of.
func guessed(c schema.Column) maker {
	switch c.Type {
	case "bool":
		return raw("true", "false", "false", "null")
	case "datetime":
		return before(300)
	case "int":
		return upTo(100)
	case "long":
		return large(100_000)
	case "real":
		return fraction
	case "guid":
		return guid
	case "dynamic":
		return details
	}
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.HasSuffix(c.Name, p) {
				return true
			}
		}
		return false
	}
	switch {
	case strings.HasPrefix(c.Name, "Is"):
		return text("true", "false")
	case strings.HasPrefix(c.Name, "Previous"), strings.HasPrefix(c.Name, "Original"), strings.HasPrefix(c.Name, "AppGuard"), strings.HasPrefix(c.Name, "Merged"):
		return sparse(guid)
	case has("SHA1", "Thumbprint", "Hash"):
		return hex(40)
	case has("SHA256", "Digest"):
		return hex(64)
	case has("MD5"):
		return hex(32)
	case has("ResourceId", "ResourceName", "ResourceID", "VmId", "FullResourceName"):
		return sparse(text("/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/rg-prod/providers/Microsoft.Compute/virtualMachines/vm-01"))
	case has("Id", "ID", "Guid", "Identifier"):
		return guid
	case has("IP", "IPAddress", "IpAddress", "IPv4"):
		return address
	case has("Upn", "Email", "EmailAddress", "FromAddress", "OwnerUpn"):
		return func(b []byte, x *row) []byte { return append(b, x.other.upnJSON...) }
	case has("DisplayName"):
		return func(b []byte, x *row) []byte { return append(b, x.other.displayJSON...) }
	case has("DeviceName", "HostName"):
		return sparse(func(b []byte, x *row) []byte { return append(b, x.peer.nameJSON...) })
	case has("Domain", "DomainName"):
		return text(domain, "fabrikam.example", "")
	case has("Url", "Uri"):
		return link
	case has("Time", "Date", "TimeStamp"):
		return before(300)
	case has("Count", "Size", "Port", "Duration"):
		return upTo(5000)
	case has("Version"):
		return text("1.0.0", "2.4.1", "10.0.19041.746", "")
	case has("Description", "Reason", "Rationale", "Instructions"):
		return sentence
	case has("Tags", "Ids", "Types", "Names", "Scopes", "Policies", "List", "Details"):
		return sparse(nested(labels))
	case has("Name"):
		return text("Contoso Portal", "Payroll – EMEA", "Build Farm", "Übersicht 📊", "")
	}
	return sparse(text("Standard", "Custom", "Unknown", "None"))
}

func link(b []byte, x *row) []byte {
	b = append(b, [...]string{`"https://portal.contoso.example/a?id=`, `"https://news.example/`, `"http://files.fabrikam.example/dl/`, `"https://xn--bcher-kva.example/ü/`}[x.below(4)]...)
	return append(appendHex(b, 12, x.next()), '"')
}

func sentence(b []byte, x *row) []byte {
	if x.once(300) { // long values occur
		b = append(b, '"')
		for range 400 + x.below(400) {
			b = append(b, "An update is available; it fixes what was found – siehe 参考 🛡. "...)
		}
		return append(b, '"')
	}
	return append(b, [...]string{
		`"Install the update."`, `"The setting differs from the baseline.\nReview it."`, `"Suspicious activity was observed on the device."`,
		`"Überprüfen Sie die Einstellung \"Lokale Anmeldung\"."`, `"\u26a0 Escaped: caf\u00e9, \ud83d\ude80"`,
	}[x.below(5)]...)
}

// labels is a small JSON array.
func labels(b []byte, x *row) []byte {
	return append(b, [...]string{`["prod"]`, `["prod","pci"]`, `[]`, `["Zürich","東京","🦊"]`}[x.below(4)]...)
}

// details is a nested JSON object.
func details(b []byte, x *row) []byte {
	switch x.below(8) {
	case 0:
		return append(b, "null"...)
	case 1:
		return append(b, "{}"...)
	case 2:
		return labels(b, x)
	}
	b = append(b, `{"Source":"`...)
	b = append(b, x.sw.vendor...)
	b = append(b, `","Count":`...)
	b = number(b, x.below(50))
	b = append(b, `,"Ratio":0.25,"Nested":{"Path":"C:\\Temp\\ü.txt","Flags":[true,false,null],"Big":`...)
	b = strconv.AppendUint(b, 1<<53+x.next()>>4|1, 10)
	b = append(b, `},"Labels":`...)
	return append(labels(b, x), '}')
}

// commonColumns makes the columns that mean the same in every table.
func commonColumns() map[string]maker {
	dev := func(f func(*device) string) maker {
		return func(b []byte, x *row) []byte { return quoted(b, f(x.dev)) }
	}
	user := func(f func(*person) string) maker {
		return func(b []byte, x *row) []byte { return append(b, f(x.user)...) }
	}
	m := map[string]maker{
		"Timestamp":  eventTime,
		"DeviceId":   func(b []byte, x *row) []byte { return append(b, x.dev.idJSON...) },
		"DeviceName": func(b []byte, x *row) []byte { return append(b, x.dev.nameJSON...) },
		"OSPlatform": dev(func(d *device) string { return d.platform }), "OSVersion": dev(func(d *device) string { return d.osVersion }),
		"OSVersionInfo": dev(func(d *device) string { return d.version }), "OSArchitecture": dev(func(d *device) string { return d.architecture }),
		"OSBuild": raw("26100", "19045", "20348", "22631", "null"), "PublicIP": dev(func(d *device) string { return d.public }),
		"LocalIP": dev(func(d *device) string { return d.address }), "AadDeviceId": dev(func(d *device) string { return d.azureDeviceID }),
		"EntraIdDeviceId": dev(func(d *device) string { return d.azureDeviceID }), "MachineGroup": dev(func(d *device) string { return d.group }),
		"HardwareUuid": dev(func(d *device) string { return d.machine }), "MacAddress": macAddress,
		"DestinationDeviceName": func(b []byte, x *row) []byte { return append(b, x.peer.nameJSON...) },
		"IPAddress":             address, "RemoteIP": address, "RemotePort": raw("443", "80", "445", "3389", "53", "null"), "Port": raw("443", "389", "88"),
		"LocalPort": upTo(65_000), "RemoteUrl": sparse(link), "Url": link, "Protocol": text("Tcp", "Udp", "Kerberos", "Ntlm"),
		"ReportId": reportID, "LogonId": large(9_000_000), "InitiatingProcessLogonId": large(9_000_000), "SessionId": large(16),
		"ProcessId": upTo(30_000), "ProcessUniqueId": large(1 << 40), "InitiatingProcessUniqueId": large(1 << 40),
		"InitiatingProcessId": upTo(30_000), "InitiatingProcessParentId": upTo(30_000),
		"InitiatingProcessSessionId": upTo(8), "CreatedProcessSessionId": upTo(8),
		"AccountName": user(func(p *person) string { return p.nameJSON }), "AccountUpn": user(func(p *person) string { return p.upnJSON }),
		"AccountSid": user(func(p *person) string { return p.sidJSON }), "AccountObjectId": user(func(p *person) string { return p.objectIDJSON }),
		"AccountDisplayName": user(func(p *person) string { return p.displayJSON }), "AccountDomain": text("contoso", "contoso", "nt authority"),
		"InitiatingProcessAccountName": user(func(p *person) string { return p.nameJSON }), "InitiatingProcessAccountUpn": user(func(p *person) string { return p.upnJSON }),
		"InitiatingProcessAccountSid": user(func(p *person) string { return p.sidJSON }), "InitiatingProcessAccountObjectId": user(func(p *person) string { return p.objectIDJSON }),
		"InitiatingProcessAccountDomain": text("contoso", "contoso", "nt authority", ""),
		"Department":                     func(b []byte, x *row) []byte { return quoted(b, x.user.department) }, "JobTitle": func(b []byte, x *row) []byte { return quoted(b, x.user.title) },
		"EmailAddress": user(func(p *person) string { return p.upnJSON }), "RecipientEmailAddress": user(func(p *person) string { return p.upnJSON }),
		"RecipientObjectId": user(func(p *person) string { return p.objectIDJSON }),
		"Country":           text("DE", "CZ", "US", "JP", "BR", ""),
		"CountryCode":       text("DE", "CZ", "US", "JP", "BR"), "City": text("Prague", "München", "São Paulo", "東京", ""), "State": text("Bavaria", "Prague", ""),
		"Location": text("Prague", "Remote", ""), "Latitude": text("50.0755", "48.1351", ""), "Longitude": text("14.4378", "11.5820", ""), "ISP": text("Example Net", ""), "Isp": text("Example Net", ""),
		"UserAgent": text("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0 Safari/537.36", "curl/8.14.1", ""),
		"Browser":   text("Edge 138", "Chrome 138", "Firefox 140", ""), "DeviceType": text("Workstation", "Server", "Laptop", "Mobile"),
		"Application": text("Office 365 SharePoint Online", "Microsoft Exchange Online", "Contoso Portal", "Azure Portal"),
		"ActionType":  text("Observed"), "AdditionalFields": details,
		"Categories":       nested(raw(`["Execution"]`, `["CredentialAccess","LateralMovement"]`)),
		"AttackTechniques": text(`["PowerShell (T1059.001)"]`, `["OS Credential Dumping (T1003)","Pass the Hash (T1550.002)"]`, ""),
		"RegistryKey":      text(`HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Run`, `HKEY_CURRENT_USER\Software\Contoso\日本`), "RegistryValueName": text("Updater", "", "Path"), "RegistryValueType": text("String", "Dword", "Binary"),
		"RegistryValueData": commandLine(func(x *row) *program { return x.proc }),
		"LoggedOnUsers": nested(func(b []byte, x *row) []byte {
			return append(quoted(append(b, `[{"UserName":`...), x.user.name), `,"DomainName":"contoso","Sid":""}]`...)
		}),
		"ConnectedNetworks": text(`[{"Name":"contoso.example","Category":"DomainAuthenticated"}]`, ""),
		"IPAddresses": nested(func(b []byte, x *row) []byte {
			return append(quoted(append(b, `[{"IPAddress":`...), x.dev.address), `,"SubnetPrefix":24,"AddressType":"Private"}]`...)
		}),
		"DnsAddresses": text(`["10.0.0.53","2001:db8::53"]`), "DefaultGateways": text(`["10.0.0.1"]`),
		"TenantId":        func(b []byte, x *row) []byte { return quoted(b, x.w.tenant) },
		"OAuthAppId":      guid,
		"FileType":        text("docx", "pdf", "exe", "zip", ""),
		"ConfidenceLevel": raw(`{"Phish":"Normal","Spam":"High"}`, `{}`, "null"), "DeliveryAction": text("Delivered", "Junked", "Blocked"), "DeliveryLocation": text("Inbox/folder", "Junk folder", "Quarantine"),
	}
	addPrograms(m)
	addPosture(m)
	addStories(m)
	return m
}

// addPrograms adds the columns of files and processes.
func addPrograms(m map[string]maker) {
	proc := func(x *row) *program { return x.proc }
	ini := func(x *row) *program { return x.ini }
	for _, side := range []struct {
		prefix string
		of     func(*row) *program
	}{{"", proc}, {"InitiatingProcess", ini}} {
		of := side.of
		put := func(name string, f func(*program) string) {
			m[side.prefix+name] = func(b []byte, x *row) []byte { return append(b, f(of(x))...) }
		}
		put("FileName", func(p *program) string { return p.fileJSON })
		put("FolderPath", func(p *program) string { return p.pathJSON })
		put("SHA1", func(p *program) string { return p.sha1JSON })
		put("MD5", func(p *program) string { return p.md5JSON })
		m[side.prefix+"SHA256"] = func(b []byte, x *row) []byte {
			if x.once(3) { // often empty where SHA1 is not
				return append(b, `""`...)
			}
			return append(b, of(x).sha256JSON...)
		}
		m[side.prefix+"FileSize"] = func(b []byte, x *row) []byte { return number(b, of(x).size) }
		info := side.prefix + "VersionInfo"
		if side.prefix == "" {
			info = "ProcessVersionInfo"
		}
		for name, f := range map[string]func(*program) string{
			"CompanyName": func(p *program) string { return p.companyJSON }, "ProductName": func(p *program) string { return p.productJSON },
			"ProductVersion": func(p *program) string { return p.versionJSON }, "InternalFileName": func(p *program) string { return p.fileJSON },
			"OriginalFileName": func(p *program) string { return p.fileJSON }, "FileDescription": func(p *program) string { return p.productJSON },
		} {
			m[info+name] = func(b []byte, x *row) []byte { return append(b, f(of(x))...) }
		}
	}
	m["ProcessCommandLine"], m["InitiatingProcessCommandLine"] = commandLine(proc), commandLine(ini)
	m["InitiatingProcessParentFileName"] = func(b []byte, x *row) []byte { return append(b, x.parent.fileJSON...) }
	for _, name := range []string{"ProcessCreationTime", "InitiatingProcessCreationTime", "InitiatingProcessParentCreationTime"} {
		m[name] = before(2)
	}
	for _, prefix := range []string{"Process", "InitiatingProcess"} {
		m[prefix+"IntegrityLevel"] = text("System", "Medium", "High", "Low", "")
		m[prefix+"TokenElevation"] = text("TokenElevationTypeDefault", "TokenElevationTypeLimited", "None")
		m[prefix+"RemoteSessionDeviceName"], m[prefix+"RemoteSessionIP"] = text(""), text("")
	}
}

// commandLine writes a program's command line; one in 700 is longer than most
// fields of other systems may be.
func commandLine(of func(*row) *program) maker {
	return func(b []byte, x *row) []byte {
		p := of(x)
		if !x.once(700) {
			return append(b, p.commandJSON...)
		}
		b = append(b, p.commandJSON[:len(p.commandJSON)-1]...)
		b = append(b, " -EncodedCommand "...)
		return append(appendHex(b, 4000+x.below(20_000), x.next()), '"')
	}
}

func reportID(b []byte, x *row) []byte {
	if x.i%997 == 5 {
		return strconv.AppendUint(b, 1<<53+uint64(x.i)<<1|1, 10)
	}
	return number(b, 1+x.i%100_000)
}

func macAddress(b []byte, x *row) []byte {
	h := hashText(x.dev.name)
	b = append(b, `"02`...)
	for i := range 5 {
		b = appendHex(append(b, '-'), 2, h+uint64(i))
	}
	return append(b, '"')
}
