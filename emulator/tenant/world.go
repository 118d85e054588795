package tenant

import (
	"fmt"
	"math"
	"strings"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// world is the company whose tenant is generated. It is read-only once made, and
// its texts are JSON already where their names end in JSON.
type world struct {
	seed     uint64
	now      engine.Datetime
	tenant   string
	devices  []device
	people   []person
	programs []program
	software []software
}

type device struct {
	id, name       string
	idJSON         string
	nameJSON       string
	platform       string
	version        string
	osVersion      string
	address        string // private
	public         string
	owner          int
	architecture   string
	azureDeviceID  string
	group, machine string
}

type person struct {
	name, upn, sid, objectID, display string
	nameJSON, upnJSON, sidJSON        string
	objectIDJSON, displayJSON         string
	department, title                 string
}

type program struct {
	file, folder, sha1, sha256, md5, company, product, version, command string
	size                                                                int
	fileJSON, pathJSON, sha1JSON, sha256JSON, md5JSON                   string
	companyJSON, productJSON, versionJSON, commandJSON                  string
}

type software struct {
	vendor, name, version string
	endOfSupport          bool
}

func newWorld(o Options) *world {
	w := &world{seed: mix(o.Seed), now: engine.FromTime(o.Now)}
	w.tenant = string(appendGUID(nil, w.seed+1))
	grow := func(n int) int { return max(8, int(float64(n)*math.Sqrt(min(o.Scale, 100)))) }
	w.makePeople(grow(90))
	w.makeDevices(grow(120))
	w.makePrograms()
	w.makeSoftware()
	return w
}

const domain = "contoso.example"

func (w *world) makePeople(n int) {
	first := []string{"Anna", "Bruno", "Chiara", "Daniel", "Žofie", "Ólafur", "Grace", "李", "Ines", "Jürgen", "Kavya", "Łukasz", "Mónica", "Noah", "Zoë"}
	last := []string{"Novák", "Müller", "García", "Okafor", "Smith", "小龍", "Jørgensen", "O'Brien", "Tanaka", "Иванов", "Dubois", "Rossi \U00010437", "Fox 🦊"}
	departments := []string{"Finance", "Engineering", "Sales", "Human Resources", "Operations", "Legal", "IT"}
	titles := []string{"Analyst", "Engineer", "Manager", "Director", "Administrator", "Assistant"}
	for i := range n {
		h := mix(w.seed ^ uint64(i)<<8 ^ 0x70656f)
		login := fmt.Sprintf("%s%03d", [...]string{"anna", "bruno", "chiara", "daniel", "zofie", "olafur", "grace", "li", "ines", "juergen", "kavya", "lukasz", "monica", "noah", "zoe"}[i%15], i)
		p := person{
			name:       login,
			upn:        login + "@" + domain,
			sid:        fmt.Sprintf("S-1-5-21-1004336348-1177238915-682003330-%d", 1100+i),
			objectID:   string(appendGUID(nil, h)),
			display:    first[i%len(first)] + " " + last[int(h%uint64(len(last)))],
			department: departments[int(h>>8%uint64(len(departments)))],
			title:      titles[int(h>>16%uint64(len(titles)))],
		}
		p.nameJSON, p.upnJSON, p.sidJSON = jsonText(p.name), jsonText(p.upn), jsonText(p.sid)
		p.objectIDJSON, p.displayJSON = jsonText(p.objectID), jsonText(p.display)
		w.people = append(w.people, p)
	}
}

func (w *world) makeDevices(n int) {
	kinds := []struct{ prefix, platform, version, osVersion, architecture string }{
		{"lap", "Windows11", "24H2", "10.0.26100.4351", "64-bit"},
		{"lap", "Windows10", "22H2", "10.0.19045.5965", "64-bit"},
		{"srv", "WindowsServer2022", "21H2", "10.0.20348.3807", "64-bit"},
		{"lnx", "Linux", "22.4", "22.4", "64-bit"},
		{"mac", "macOS", "15.5", "15.5", "ARM64"},
		{"lap", "Windows11", "23H2", "10.0.22631.5472", "ARM64"},
	}
	for i := range n {
		h := mix(w.seed ^ uint64(i)<<8 ^ 0x646576)
		k := kinds[i%len(kinds)]
		d := device{
			id:            hexText(40, h),
			name:          fmt.Sprintf("%s-%04d.%s", k.prefix, i, domain),
			platform:      k.platform,
			version:       k.version,
			osVersion:     k.osVersion,
			architecture:  k.architecture,
			address:       fmt.Sprintf("10.%d.%d.%d", 20+i/6000, i/24%250, 10+i%24),
			public:        string(publicAddress(nil, i%90+1)),
			owner:         int(h >> 4 % uint64(len(w.people))),
			azureDeviceID: string(appendGUID(nil, h+9)),
			group:         [...]string{"Clients", "Servers", "Clients EU", ""}[i%4],
			machine:       string(appendGUID(nil, h+17)),
		}
		d.idJSON, d.nameJSON = jsonText(d.id), jsonText(d.name)
		w.devices = append(w.devices, d)
	}
}

func (w *world) makePrograms() {
	list := []struct{ file, folder, company, product, command string }{
		{"svchost.exe", `C:\Windows\System32`, "Microsoft Corporation", "Microsoft® Windows® Operating System", `svchost.exe -k netsvcs -p -s Schedule`},
		{"powershell.exe", `C:\Windows\System32\WindowsPowerShell\v1.0`, "Microsoft Corporation", "Microsoft® Windows® Operating System", `"powershell.exe" -NoProfile -ExecutionPolicy Bypass -Command "Get-ChildItem 'C:\Users' | ? { $_.Name -match \"a|b\" }"`},
		{"cmd.exe", `C:\Windows\System32`, "Microsoft Corporation", "Microsoft® Windows® Operating System", `cmd.exe /c "echo ok > C:\Temp\naïve – 日本.txt & type C:\Temp\😀.log"`},
		{"explorer.exe", `C:\Windows`, "Microsoft Corporation", "Microsoft® Windows® Operating System", `explorer.exe`},
		{"msedge.exe", `C:\Program Files (x86)\Microsoft\Edge\Application`, "Microsoft Corporation", "Microsoft Edge", `"msedge.exe" --type=renderer --lang=en-GB`},
		{"chrome.exe", `C:\Program Files\Google\Chrome\Application`, "Google LLC", "Google Chrome", `"chrome.exe" --profile-directory="Profile 1"`},
		{"outlook.exe", `C:\Program Files\Microsoft Office\root\Office16`, "Microsoft Corporation", "Microsoft Outlook", `"OUTLOOK.EXE" /recycle`},
		{"winword.exe", `C:\Program Files\Microsoft Office\root\Office16`, "Microsoft Corporation", "Microsoft Word", `"WINWORD.EXE" /n "C:\Users\Zoë\Übersicht 📊 2026.docx"`},
		{"MsMpEng.exe", `C:\ProgramData\Microsoft\Windows Defender\Platform\4.18.25060.7-0`, "Microsoft Corporation", "Microsoft® Windows® Operating System", `MsMpEng.exe`},
		{"python3.11", `/usr/bin`, "", "", `/usr/bin/python3 -c 'import os; print("tab:\t")'`},
		{"bash", `/usr/bin`, "", "", `bash -lc "tail -n 5 /var/log/syslog"`},
		{"sshd", `/usr/sbin`, "", "", `sshd: admin [priv]`},
		{"Safari", `/Applications/Safari.app/Contents/MacOS`, "Apple Inc.", "Safari", `/Applications/Safari.app/Contents/MacOS/Safari`},
		{"java.exe", `C:\Program Files\Java\jre-21\bin`, "Eclipse Adoptium", "OpenJDK Platform 21", `"java.exe" -Xmx2g -jar C:\apps\svc.jar`},
		{"7z.exe", `C:\Program Files\7-Zip`, "Igor Pavlov", "7-Zip", `7z.exe a -p***** out.7z C:\Data\*`},
		{"rundll32.exe", `C:\Windows\System32`, "Microsoft Corporation", "Microsoft® Windows® Operating System", `rundll32.exe shell32.dll,Control_RunDLL`},
	}
	for i, l := range list {
		h := mix(w.seed ^ uint64(i)<<8 ^ 0x707267)
		p := program{
			file: l.file, folder: l.folder, company: l.company, product: l.product, command: l.command,
			sha1: hexText(40, h), sha256: hexText(64, h+3), md5: hexText(32, h+7),
			version: fmt.Sprintf("%d.%d.%d.%d", 1+h%16, h>>4%10, h>>8%3000, h>>20%100),
			size:    10_000 + int(h>>24%9_000_000),
		}
		separator := `\`
		if strings.HasPrefix(l.folder, "/") {
			separator = "/"
		}
		p.fileJSON, p.pathJSON = jsonText(p.file), jsonText(p.folder+separator+p.file)
		p.sha1JSON, p.sha256JSON, p.md5JSON = jsonText(p.sha1), jsonText(p.sha256), jsonText(p.md5)
		p.companyJSON, p.productJSON, p.versionJSON = jsonText(p.company), jsonText(p.product), jsonText(p.version)
		p.commandJSON = jsonText(p.command)
		w.programs = append(w.programs, p)
	}
}

func (w *world) makeSoftware() {
	list := []struct{ vendor, name string }{
		{"microsoft", "windows_11"}, {"microsoft", "edge_chromium-based"}, {"microsoft", "office"}, {"microsoft", "teams"},
		{"microsoft", ".net_framework"}, {"google", "chrome"}, {"mozilla", "firefox"}, {"adobe", "acrobat_reader_dc"},
		{"7-zip", "7-zip"}, {"oracle", "jre"}, {"openssl", "openssl"}, {"openssl", "libssl3_for_linux"}, {"python", "python"},
		{"videolan", "vlc_media_player"}, {"notepad-plus-plus", "notepad++"}, {"zoom", "zoom"}, {"git-scm", "git"},
		{"apache", "log4j"}, {"nodejs", "node.js"}, {"citrix", "workspace"}, {"vmware", "tools"}, {"putty", "putty"},
		{"winscp", "winscp"}, {"curl", "curl"}, {"canonical", "ubuntu_linux"}, {"apple", "macos"}, {"gnu", "bash_for_linux"},
		{"slack", "slack"}, {"docker", "docker_desktop"}, {"wireshark", "wireshark"}, {"irfanview", "irfanview"}, {"paint.net", "paint.net"},
	}
	for i, l := range list {
		for k := range 3 {
			h := mix(w.seed ^ uint64(i)<<8 ^ uint64(k) ^ 0x737766)
			w.software = append(w.software, software{
				vendor: l.vendor, name: l.name, endOfSupport: h%7 == 0,
				version: fmt.Sprintf("%d.%d.%d.%d", 1+h%120, h>>8%10, h>>16%7000, h>>32%200),
			})
		}
	}
}

func jsonText(s string) string { return string(quoted(nil, s)) }
