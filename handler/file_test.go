package main

import (
	"bytes"
	"cmp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/plan"
)

func TestParseMark_ReadsInstantsAndDurations(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"": beginning, "7d": now.AddDate(0, 0, -7), "PT6H": now.Add(-6 * time.Hour), "2026-11-19": time.Date(2026, 11, 19, 0, 0, 0, 0, time.UTC),
		"2026-11-19T06:00:00+02:00": time.Date(2026, 11, 19, 4, 0, 0, 0, time.UTC),
	} {
		if got, err := parseMark(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	if _, err := parseMark("yesterday", now); err == nil {
		t.Error("yesterday is no instant")
	}
}

// An answer in each form, with a member that the schema does not name, a null, and
// control characters.
func TestAnswer_HasThreeForms(t *testing.T) {
	lines := `{"Name":"a\tb","Count":2,"Extra":{"x":[1, 2]}}` + "\n" + `{"Count":null,"Name":"say \"hi\", \u001b[31m"}` + "\n"
	for form, want := range map[string]string{
		"json": `{"Name":"a\tb","Count":2,"Extra":{"x":[1,2]}}` + "\n" + `{"Name":"say \"hi\", \u001b[31m","Count":null}` + "\n",
		"csv":  "Name,Count,Extra\na\tb,2,\"{\"\"x\"\":[1, 2]}\"\n\"say \"\"hi\"\", \x1b[31m\",,\n",
		"text": "Name Count Extra a b 2 {\"x\":[1, 2]} say \"hi\", [31m 2 rows",
	} {
		a, err := readAnswer([]string{"Name", "Count"}, []byte(lines))
		var out bytes.Buffer
		if err == nil {
			err = a.print(&out, form)
		}
		got := out.String()
		if form == "text" {
			got = strings.Join(strings.Fields(got), " ")
		}
		if err != nil || got != want {
			t.Errorf("%s: %v\n%s", form, err, gocmp.Diff(want, got))
		}
	}
	if _, err := readAnswer(nil, []byte("hush\n")); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("no JSON: %v", err)
	}
}

func readText(t *testing.T, text string) (file, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tables.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return readFile(path)
}

func TestFile_SaysWhatDiffers(t *testing.T) {
	cfg := config.Config{Instances: []config.Instance{{}, {Name: "West"}}}
	instance := func(name string) (string, error) { i, err := cfg.Instance(name); return i.Key(), err }
	prefix := func(key string) string {
		if key == "west" {
			return "W_"
		}
		return ""
	}
	rows := []plan.Candidate{candidate("", "DeviceInfo", "DeviceInfoRaw"), candidate("", "Mine", "MineRaw"), candidate("west", "DeviceInfo", "W_DeviceInfoRaw"), candidate("west", "emailevents", "W_EmailEventsRaw")}
	for _, tt := range []struct{ name, text, want, refused string }{
		{"nothing", "", "", ""},
		{"as it stands", "tables: [{source: DeviceInfo}, {source: DeviceInfo, instance: WEST, destination: DeviceInfoRaw}]", "", ""},
		{"one column", "tables: [{source: DeviceInfo, frequency: 6h}]", "DeviceInfo Frequency=6h", ""},
		{"off", "tables: [{source: DeviceInfo, instance: west, active: false}]", "west/DeviceInfo IsActive=false", ""},
		{"how long rows stay", "tables: [{source: DeviceInfo, retention: 365d}]", "DeviceInfo Retention=365d", ""},
		{"no retention to speak of", "tables: [{source: DeviceInfo, retention: 1h}]", "", "Retention: want a day or more"},
		{"new, as recommended", "tables: [{source: EmailEvents, frequency: 1h}]", "EmailEvents new DestinationTable=EmailEventsRaw WatermarkColumn=None LastRefreshedTime=1900-01-01T00:00:00Z LoadType=Incr IsActive=true Frequency=1h", ""},
		{"a pattern, a skip list, and an exception", "skip: [Mine]\ntables: [{source: 'Min*', active: false}, {source: 'Device?nfo', frequency: 1d}, {source: DeviceInfo, frequency: 2d}]", "", "fits no table"},
		{"later goes over earlier", "tables: [{source: 'Min?', frequency: 1d}, {source: Mine, frequency: 2d, loadType: snapshot}]", "Mine LoadType=Snapshot Frequency=2d", ""},
		{"any letter case", "tables: [{source: deviceinfo, frequency: 6h}, {source: DEVICEINFO, retention: 30d}]", "DeviceInfo Frequency=6h Retention=30d", ""},
		{"a table of no catalogue", "tables: [{source: MINE, frequency: 6h}, {source: mineraw, retention: 30d}]", "Mine Frequency=6h Retention=30d", ""},
		{"a name of old", "tables: [{source: machineinfo, frequency: 6h}]", "DeviceInfo Frequency=6h", ""},
		{"a destination", "tables: [{source: DeviceInfoRaw, frequency: 6h}, {source: deviceinforaw, instance: west, frequency: 1h}]", "DeviceInfo Frequency=6h; west/DeviceInfo Frequency=1h", ""},
		{"new, by other names", "tables: [{source: miscevents}, {source: urlclickeventsRAW}, {source: Machines}]",
			"DeviceEvents new DestinationTable=DeviceEventsRaw WatermarkColumn=None LastRefreshedTime=1900-01-01T00:00:00Z LoadType=Incr IsActive=true; " +
				"UrlClickEvents new DestinationTable=UrlClickEventsRaw WatermarkColumn=None LastRefreshedTime=1900-01-01T00:00:00Z LoadType=Incr IsActive=true; " +
				"api/machines new DestinationTable=MachinesRaw WatermarkColumn=lastSeen LastRefreshedTime=1900-01-01T00:00:00Z LoadType=Incr IsActive=true", ""},
		{"a skip list goes over slashes and other names", "skip: ['*Export', '*Changes', machineinfo]\ntables: [{source: 'api/machines/*', frequency: 1d}, {source: 'Device?nfo', frequency: 1d}]", "", "fits no table"},
		{"a skip list by destination", "skip: [mineRAW]\ntables: [{source: 'Min?', frequency: 1d}]", "", "fits no table"},
		{"a pattern means a row once", "tables: [{source: 'EmailE*', instance: west, frequency: 1d}]", "west/emailevents Frequency=1d", ""},
		{"a load type", "tables: [{source: Mine, loadType: Sometimes}]", "", "LoadType"},
		{"an instance", "tables: [{source: Mine, instance: east}]", "", "default, West"},
		{"a name", "tables: [{source: 'a b'}]", "", "source"},
	} {
		f, err := readText(t, tt.text)
		if err != nil {
			t.Fatal(err)
		}
		changes, err := f.changes(rows, instance, prefix)
		if (err != nil) != (tt.refused != "") || err != nil && !strings.Contains(err.Error(), tt.refused) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.refused)
		}
		var got []string
		for _, c := range changes {
			line := shown(plan.Key{Instance: c.after.Instance, Source: c.after.SourceTable})
			if c.isNew {
				line += " new"
			}
			for _, x := range c.columns() {
				if x.After != "" {
					line += " " + x.Column + "=" + x.After
				}
			}
			if len(c.columns()) > 0 {
				got = append(got, line)
			}
		}
		if tt.refused == "" && strings.Join(got, "; ") != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if _, err := readText(t, "tables: [{source: Mine, laodType: Full}]"); err == nil || !strings.Contains(err.Error(), "laodType") {
		t.Errorf("a member that there is not: %v", err)
	}
}

// What is exported is what stands.
func TestFile_ExportedChangesNothing(t *testing.T) {
	rows := []plan.Candidate{candidate("", "DeviceInfo", "DeviceInfoRaw"), candidate("west", "DeviceInfo", "W_Info")}
	rows[1].IsActive, rows[1].Frequency, rows[1].WatermarkColumn, rows[1].LoadType, rows[1].Retention = false, "1d", "Timestamp", "Snapshot", "P365D"
	prefix := func(key string) string { return map[string]string{"west": "W_"}[key] }
	key := func(name string) (string, error) { return strings.ReplaceAll(name, "default", ""), nil }
	for _, several := range []bool{false, true} {
		f := exported(rows, prefix, several)
		if named := f.Tables[0].Instance == "default"; named != several {
			t.Errorf("several instances %v: the default one is called %q", several, f.Tables[0].Instance)
		}
		changes, err := f.changes(rows, key, prefix)
		if err != nil || len(changes) != 2 {
			t.Fatalf("%d changes, %v", len(changes), err)
		}
		for _, c := range changes {
			if diff := c.columns(); len(diff) > 0 {
				t.Errorf("%s: %+v", c.after.SourceTable, diff)
			}
		}
	}
}

// With --instance the file is of one instance: entries of others are left out, and those
// that name none are of it.
func TestFile_IsOfTheInstanceMeant(t *testing.T) {
	cfg := config.Config{Instances: []config.Instance{{}, {Name: "West"}}}
	f, err := readText(t, "tables: [{source: A}, {source: B, instance: WEST}, {source: C, instance: default}, {source: D, instance: east}]")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		instance, want string
		entries        int
		refused        string
	}{
		{"west", "A B", 3, ""},
		{"default", "A C", 3, ""},
		{"west", "", 4, "east"},
	} {
		from := f
		from.Tables = f.Tables[:tt.entries]
		left, err := from.of(tt.instance, func(name string) (string, error) {
			i, err := cfg.Instance(cmp.Or(name, tt.instance))
			return i.Key(), err
		})
		var got []string
		for _, entry := range left.Tables {
			got = append(got, entry.Source)
		}
		if (err != nil) != (tt.refused != "") || err != nil && !strings.Contains(err.Error(), tt.refused) {
			t.Errorf("--instance %s: %v, want %q", tt.instance, err, tt.refused)
		}
		if tt.refused == "" && strings.Join(got, " ") != tt.want {
			t.Errorf("--instance %s: %q, want %q", tt.instance, got, tt.want)
		}
	}
}
