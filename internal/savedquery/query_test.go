package savedquery

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestParse_ReadsTheHead(t *testing.T) {
	const text = "\ufeff// Devices that\r\n// were seen: lately.\r\n// Load: Incr Seen\r\n// Key: Id\r\n// Columns: Id string, Seen datetime\r\n// Columns: N long\r\nlet a = 1d;\r\nT\r\n| where Seen > ago(a)\r\n"
	want := Query{
		Name: "seen", About: "Devices that were seen: lately.", Lets: "let a = 1d;\n", Result: "T\n| where Seen > ago(a)",
		Load: "Incr", Watermark: "Seen", Key: []string{"Id"}, Columns: []Column{{"Id", "string"}, {"Seen", "datetime"}, {"N", "long"}},
	}
	got := Parse("seen", text)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	if got.Source() != "query/seen" || got.View() != "QuerySeen" || got.Destination() != "QuerySeenRaw" {
		t.Errorf("names %s, %s, %s", got.Source(), got.View(), got.Destination())
	}
}

func TestParse_RefusesAHeadThatCannotBeMeant(t *testing.T) {
	tests := []struct{ name, file, text, want string }{
		{"name of the file", "two words", "T", "the name of the file wants"},
		{"no name", "", "T", "the name of the file wants"},
		{"load type", "q", "// Load: Full\nT", "Load: want Snapshot, or Incr and a column"},
		{"increments of nothing", "q", "// Load: Incr\nT", "Load: want Snapshot, or Incr and a column"},
		{"type", "q", "// Columns: A text\nT", `Columns: want a name and a KQL type each, got "A text"`},
		{"column without a type", "q", "// Columns: A\nT", "Columns: want a name"},
		{"column twice", "q", "// Columns: A int, A int\nT", "A stands twice"},
		{"key", "q", "// Key: B\n// Columns: A int\nT", `Key: "B" is no column`},
		{"watermark that is no time", "q", "// Load: Incr A\n// Columns: A string, B datetime, C datetime\nT", "A is no datetime column of the result; want B or C"},
		{"watermark of a result without times", "q", "// Load: Incr A\n// Columns: A string\nT", "which has none: use Snapshot"},
		{"text", "q", "T\n\nT", "line 2 is empty"},
	}
	for _, tt := range tests {
		if err := Parse(tt.file, tt.text).Err; err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "saved query "+tt.file) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

// What is shipped says of itself all that helps: what it answers, how it is best copied
// and what comes out. Among it are the kinds that other tools have built in.
func TestAll_IsWholeAndOfEveryKind(t *testing.T) {
	var names []string
	reads := ""
	for _, q := range All() {
		names = append(names, q.Name)
		reads += q.Lets + q.Result
		if q.Err != nil || q.About == "" || q.Load == "" || len(q.Columns) == 0 {
			t.Errorf("%s: error %v, about %q, load %q, %d columns", q.Name, q.Err, q.About, q.Load, len(q.Columns))
		}
		if q.Load == "Snapshot" && len(q.Key) == 0 {
			t.Errorf("%s: a snapshot without a key is torn by every change of a value", q.Name)
		}
		if got, saved, err := Named(q.Source()); !saved || err != nil || got.Name != q.Name {
			t.Errorf("Named(%s) = %s, %v, %v", q.Source(), got.Name, saved, err)
		}
	}
	want := []string{"AlertEntities", "EmailThreats", "ExploitableSoftware", "FailedLogons", "FileHashes", "HostLogons", "Hosts", "PublicConnections", "ScriptDownloads", "Users"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("saved queries (-want +got):\n%s", diff)
	}
	for _, table := range []string{"DeviceInfo", "IdentityInfo", "DeviceLogonEvents", "DeviceNetworkEvents", "DeviceFileEvents", "DeviceProcessEvents", "AlertInfo", "AlertEvidence", "EmailEvents", "DeviceTvmSoftwareVulnerabilities"} {
		if !strings.Contains(reads, table) {
			t.Errorf("no saved query reads %s", table)
		}
	}
}

func TestNamed_SaysWhatThereIs(t *testing.T) {
	if _, saved, err := Named("DeviceInfo"); saved || err != nil {
		t.Errorf("a hunting table: %v, %v", saved, err)
	}
	_, saved, err := Named("query/Nothing")
	if !saved || err == nil || !strings.Contains(err.Error(), "which has AlertEntities, ") || !strings.Contains(err.Error(), "queries/Nothing.kql") {
		t.Errorf("an unknown query: %v, %v", saved, err)
	}
	if _, _, err := Named("query/hosts"); err == nil || err.Error() != `"query/hosts" is written query/Hosts` {
		t.Errorf("another letter case: %v", err)
	}
}

// Queries beside the program add to those that are built in, and take the place of one
// of the same name. One at fault hides no other.
func TestMerged_OwnQueriesComeFirst(t *testing.T) {
	shipped := []Query{Parse("Hosts", "T"), Parse("Users", "U")}
	own := Read(fstest.MapFS{
		"hosts.kql": {Data: []byte("DeviceInfo")}, "Mine.kql": {Data: []byte("V")}, "Bad.kql": {Data: []byte(".drop table T")}, "notes.txt": {Data: []byte("x")},
	})
	var got []string
	for _, q := range merged(shipped, own) {
		text := q.Name + " " + q.Result
		if q.Err != nil {
			text = q.Name + " at fault"
		}
		got = append(got, text)
	}
	if want := []string{"Bad at fault", "Mine V", "Users U", "hosts DeviceInfo"}; !slices.Equal(got, want) {
		t.Errorf("queries %q, want %q", got, want)
	}
}
