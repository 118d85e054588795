package queue

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/defender2adx/defender2adx/internal/blobstore/storedtest"
	"github.com/defender2adx/defender2adx/internal/plan"
)

func TestWakeUp_Text(t *testing.T) {
	tests := []struct {
		name string
		w    plan.WakeUp
		want string
	}{
		{"first time", plan.WakeUp{Key: plan.Key{Instance: "contoso", Source: "DeviceInfo"}, Trigger: plan.Scheduled},
			`{"instance":"contoso","table":"DeviceInfo","trigger":"scheduled"}`},
		{"put off before", plan.WakeUp{Key: plan.Key{Source: "api/machines"}, Trigger: plan.Manual, Again: 2},
			`{"instance":"","table":"machines","trigger":"manual","again":2}`},
		{"put back after failures", plan.WakeUp{Key: plan.Key{Source: "DeviceInfo"}, Trigger: plan.Scheduled, PutOff: 7, Failures: 3},
			`{"instance":"","table":"DeviceInfo","trigger":"scheduled","putOff":7,"failures":3}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Text(tt.w)
			if err != nil || got != tt.want {
				t.Errorf("Text: got %s, %v; want %s", got, err, tt.want)
			}
			back, err := ParseWakeUp(got)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.w, back); diff != "" {
				t.Errorf("ParseWakeUp(Text) (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseWakeUp_KnowsNamesOfOld(t *testing.T) {
	w, err := ParseWakeUp(`{"instance":"","table":"MachineInfo","trigger":"manual"}`)
	if err != nil || w.Key.Source != "DeviceInfo" {
		t.Errorf("got %+v, %v; want DeviceInfo", w, err)
	}
}

func TestWakeUp_Text_RefusesWhatCannotBeReadBack(t *testing.T) {
	tests := []struct {
		name string
		w    plan.WakeUp
		want string
	}{
		{"no table", plan.WakeUp{Trigger: plan.Manual}, "no table"},
		{"no trigger", plan.WakeUp{Key: plan.Key{Source: "T"}}, `trigger ""`},
		{"long table", plan.WakeUp{Key: plan.Key{Source: strings.Repeat("x", 1025)}, Trigger: plan.Manual}, "1025 bytes"},
		{"long instance", plan.WakeUp{Key: plan.Key{Instance: strings.Repeat("x", 1025), Source: "T"}, Trigger: plan.Manual}, "1025 bytes"},
		{"not UTF-8", plan.WakeUp{Key: plan.Key{Source: "T\xff"}, Trigger: plan.Manual}, "not UTF-8"},
		{"negative count", plan.WakeUp{Key: plan.Key{Source: "T"}, Trigger: plan.Manual, Again: -1}, "-1 times"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if text, err := Text(tt.w); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, %v; want an error with %q", text, err, tt.want)
			}
		})
	}
}

func TestWakeUp_EveryValidOneSurvivesTheQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := plan.WakeUp{
			Key: plan.Key{
				Instance: rapid.StringN(0, 20, 100).Draw(t, "instance"),
				Source:   rapid.StringN(1, 20, 100).Draw(t, "table"),
			},
			Trigger: rapid.SampledFrom([]string{plan.Scheduled, plan.Manual}).Draw(t, "trigger"),
			Again:   rapid.IntRange(0, 1000).Draw(t, "again"), PutOff: rapid.Int64Range(0, 1<<40).Draw(t, "put off"), Failures: rapid.IntRange(0, 1000).Draw(t, "failures"),
		}
		text, err := Text(w)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ParseWakeUp(text); err != nil || back != w {
			t.Fatalf("ParseWakeUp(%s): got %+v, %v", text, back, err)
		}
	})
}

// The host copies a message's members over the trigger's metadata without regard
// to case.
func TestWakeUp_MembersKeepClearOfQueueMetadata(t *testing.T) {
	text, err := Text(plan.WakeUp{Key: plan.Key{Instance: "i", Source: "t"}, Trigger: plan.Manual, Again: 1, PutOff: 1, Failures: 1})
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		t.Fatal(err)
	}
	for name := range members {
		for _, reserved := range []string{"DequeueCount", "ExpirationTime", "Id", "InsertionTime", "NextVisibleTime", "PopReceipt", "sys", "RetryContext"} {
			if strings.EqualFold(name, reserved) {
				t.Errorf("member %q replaces metadata %q", name, reserved)
			}
		}
	}
}

func TestParseWakeUp_Refuses(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"nothing", "", "not JSON at byte 0"},
		{"plain text", "DeviceInfo", "not JSON at byte 0"},
		{"cut", `{"table":"DeviceInfo"`, "not JSON at byte"},
		{"two documents", `{"table":"T","trigger":"manual"}{}`, "not JSON at byte"},
		{"null", "null", "null, want an object"},
		{"array", `["DeviceInfo"]`, "unexpected JSON array, want an object"},
		{"number as table", `{"table":7,"trigger":"manual"}`, "unexpected JSON number as table"},
		{"fraction as count", `{"table":"T","trigger":"manual","again":1.5}`, "unexpected JSON number as again"},
		{"no table", `{"instance":"i","trigger":"manual"}`, "no table"},
		{"unknown trigger", `{"table":"T","trigger":"hourly"}`, `trigger "hourly", want scheduled, manual or forced`},
		{"no trigger", `{"table":"T"}`, `trigger "", want`},
		{"member in another case", `{"Table":"T","trigger":"manual"}`, "no table"},
		{"repeated member", `{"table":"T","table":"U","trigger":"manual"}`, "repeated member"},
		{"not UTF-8", "{\"table\":\"T\xff\",\"trigger\":\"manual\"}", "not JSON at byte"},
		{"repeated member, spelled with an escape", `{"table":"T","t\u0061ble":"U","trigger":"manual"}`, "repeated member"},
		{"repeated member that is unknown", `{"table":"T","x":1,"x":2,"trigger":"manual"}`, "repeated member"},
		{"number as document", "1234567", "unexpected JSON number, want an object"},
		{"count beyond an integer", `{"table":"T","trigger":"manual","again":12345678901234567890}`, "unexpected JSON number as again"},
		{"too long", `{"table":"` + strings.Repeat("x", 5000) + `"}`, "over 4096 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, err := ParseWakeUp(tt.text)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ParseWakeUp(%q): got %+v, %v; want an error with %q", tt.text, w, err, tt.want)
			}
		})
	}
}

func TestParseWakeUp_QuotesTheBeginningOnly(t *testing.T) {
	beginning := strings.Repeat("é", shownRunes)
	for _, text := range []string{
		beginning + "confidential",
		`{"table":"T","trigger":"` + beginning + `confidential"}`,
		`{"table":"T","trigger":"manual","` + beginning + `confidential":1,"` + beginning + `confidential":2}`,
		`{"table":"` + beginning + `","table":"confidential"}`,
		`{"instance":"` + beginning + `","again":"confidential"}`,
		`{"table":{"` + beginning + `confidential":1}}`,
	} {
		_, err := ParseWakeUp(text)
		if err == nil || strings.Contains(err.Error(), "confidential") || len(err.Error()) > 300 {
			t.Errorf("ParseWakeUp(%q): got error %v", text, err)
		}
	}
}

func FuzzParseWakeUp_AgreesWithAStricterReader(f *testing.F) {
	f.Add(`{"instance":"contoso","table":"DeviceInfo","trigger":"scheduled","again":1}`)
	f.Add(`{"table":"T","trigger":"manual"} `)
	f.Add(`null`)
	f.Add(`{"table":"T","trigger":"manual","x":{"table":[1,1e400,"\ud800"]}}`)
	f.Add("{\"table\":\"\ufffd\",\"trigger\":\"manual\"}")
	f.Fuzz(func(t *testing.T, text string) {
		w, err := ParseWakeUp(text)
		// A stricter reader is the oracle: what it takes is taken alike.
		var want wire
		if len(text) <= maxWakeUpBytes && len(strings.TrimSpace(text)) > 0 && strings.TrimSpace(text)[0] == '{' &&
			jsonv2.Unmarshal([]byte(text), &want) == nil && want.validate() == nil {
			if got, err := parse(text); err != nil || got != want {
				t.Fatalf("%q is %+v, read as %+v, %v", text, want, got, err)
			}
		}
		if err != nil {
			return
		}
		again, err := Text(w)
		if err != nil {
			t.Fatalf("accepted %q but cannot write %+v: %v", text, w, err)
		}
		if back, err := ParseWakeUp(again); err != nil || back != w {
			t.Errorf("%+v came back as %+v, %v", w, back, err)
		}
	})
}

func TestWakeUp_EveryMemberIsNamed(t *testing.T) { storedtest.Named(t, wire{}) }

func TestParseWakeUp_ObeysOnesOfANewerProgram(t *testing.T) {
	text := `{"instance":"contoso","table":"DeviceInfo","priority":{"table":"U"},"trigger":"manual","again":1,"since":null}`
	want := plan.WakeUp{Key: plan.Key{Instance: "contoso", Source: "DeviceInfo"}, Trigger: plan.Manual, Again: 1}
	if got, err := ParseWakeUp(text); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

// In testdata stands what commit 868dea7 sent; it is obeyed for ever.
func TestParseWakeUp_SentOnesAreObeyed(t *testing.T) {
	for file, want := range map[string]plan.WakeUp{
		"wakeup-scheduled.json": {Key: plan.Key{Instance: "contoso", Source: "DeviceInfo"}, Trigger: plan.Scheduled},
		"wakeup-manual.json":    {Key: plan.Key{Source: "api/machines"}, Trigger: plan.Manual, Again: 2},
		"wakeup-forced.json":    {Key: plan.Key{Source: "DeviceInfo"}, Trigger: plan.Forced},
	} {
		text, err := os.ReadFile(filepath.Join("testdata", "868dea7", file))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseWakeUp(string(text)); err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", file, got, err, want)
		}
	}
}
