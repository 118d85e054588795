package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func sample(t testing.TB, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestDecodeQueue_ReadsWhatTheHostSends(t *testing.T) {
	ten := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	never := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	tests := []struct {
		name string
		want QueueMessage
	}{
		{"queue_object.json", QueueMessage{
			Text:         `{"instance":"contoso","table":"DeviceInfo","trigger":"scheduled"}`,
			DequeueCount: 2, Inserted: ten, Expires: time.Date(2026, 3, 9, 10, 0, 0, 0, time.UTC),
		}},
		{"queue_metadata_overwritten.json", QueueMessage{
			Text:     `{"id":"business","dequeueCount":"many","sys":"mine"}`,
			Inserted: ten, Expires: never,
		}},
		{"queue_manual.json", QueueMessage{Text: "hello", Inserted: ten, Expires: never}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := DecodeQueue(sample(t, tt.name), "wake")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("DecodeQueue (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeQueue_TextIsFreedOfOneExtraLevelOnly(t *testing.T) {
	tests := []struct{ name, value, want string }{
		{"text, encoded twice", `"\"hello\""`, "hello"},
		{"text, encoded once", `"hello"`, "hello"},
		{"JSON string as the message itself", `"\"\\\"hello\\\"\""`, `"hello"`},
		{"object text, encoded twice", `"\"{\\\"a\\\": 1}\""`, `{"a": 1}`},
		{"object text, encoded once", `"{\"a\": 1}"`, `{"a": 1}`},
		{"object, not encoded", `{"a": 1}`, `{"a": 1}`},
		{"array text keeps its spacing", `"\"[1,  2]\""`, `[1,  2]`},
		{"text that begins like a JSON string", `"\"open"`, `"open`},
		{"number text", `"\"12\""`, "12"},
		{"number, not encoded", `12`, "12"},
		{"null as the message itself", `"null"`, "null"},
		{"empty text", `"\"\""`, ""},
		{"characters beyond the basic plane", `"\"\\ud83d\\ude00\""`, "😀"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := DecodeQueue([]byte(`{"Data":{"wake":`+tt.value+`}}`), "wake")
			if err != nil {
				t.Fatal(err)
			}
			if got.Text != tt.want {
				t.Errorf("text of %s: got %q, want %q", tt.value, got.Text, tt.want)
			}
		})
	}
}

func TestDecodeQueue_ReadsDequeueCountInEveryForm(t *testing.T) {
	for value, want := range map[string]int{
		`3`: 3, `"3"`: 3, `"\"3\""`: 3, `" 3 "`: 3,
		`null`: 0, `"null"`: 0, `"x"`: 0, `{}`: 0, `3.5`: 0, `99999999999999999999`: 0,
	} {
		body := fmt.Sprintf(`{"Data":{"wake":"x"},"Metadata":{"dequeuecount":%s}}`, value)
		got, err := DecodeQueue([]byte(body), "wake")
		if err != nil {
			t.Fatalf("%s: %v", value, err)
		}
		if got.DequeueCount != want {
			t.Errorf("DequeueCount of %s: got %d, want %d", value, got.DequeueCount, want)
		}
	}
}

func TestDecodeQueue_MetadataInAnOddShapeDoesNotFail(t *testing.T) {
	for _, metadata := range []string{`null`, `"text"`, `[1]`, `7`, `{"InsertionTime":{}}`} {
		got, err := DecodeQueue([]byte(`{"Data":{"wake":"x"},"Metadata":`+metadata+`}`), "wake")
		if err != nil || got.Text != "x" {
			t.Errorf("metadata %s: got %+v, %v", metadata, got, err)
		}
	}
}

func TestDecode_RefusesWithoutQuotingTheBody(t *testing.T) {
	const content = "confidential"
	tests := []struct{ name, body, want string }{
		{"nothing", ``, "not JSON at byte 0"},
		{"cut", `{"Data":{"wake":"` + content, "not JSON"},
		{"not JSON", content, "not JSON at byte 1"},
		{"array", `["` + content + `"]`, "unexpected JSON array"},
		{"null", `null`, `no binding "wake"`},
		{"other binding", `{"Data":{"` + content + `":1}}`, `no binding "wake" among the 1`},
		{"data is text", `{"Data":"` + content + `"}`, `no binding "wake"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, queueErr := DecodeQueue([]byte(tt.body), "wake")
			_, timerErr := DecodeTimer([]byte(tt.body), "wake")
			for _, err := range []error{queueErr, timerErr} {
				if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), content) {
					t.Errorf("body %q: got error %v, want one with %q", tt.body, err, tt.want)
				}
			}
		})
	}
}

func TestDecodeTimer_ReadsWhatTheHostSends(t *testing.T) {
	ten := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	updated := time.Date(2026, 3, 2, 9, 55, 0, 3100000, time.UTC)
	tests := []struct {
		name string
		want Timer
	}{
		{"timer.json", Timer{Last: updated, Next: ten, LastUpdated: updated}},
		{"timer_first_run.json", Timer{IsPastDue: true, Next: ten, LastUpdated: updated}},
		{"timer_unmonitored.json", Timer{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := DecodeTimer(sample(t, tt.name), "tick")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("DecodeTimer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeTimer_AcceptsNullAndTextForms(t *testing.T) {
	for value, want := range map[string]Timer{
		`null`:                                  {},
		`"null"`:                                {},
		`""`:                                    {},
		`{}`:                                    {},
		`"{\"isPastDue\":\"True\"}"`:            {IsPastDue: true},
		`"\"{\\\"IsPastDue\\\":true}\""`:        {IsPastDue: true},
		`{"ScheduleStatus":"null"}`:             {},
		`{"ScheduleStatus":{"Last":"no time"}}`: {},
	} {
		got, err := DecodeTimer([]byte(`{"Data":{"tick":`+value+`}}`), "tick")
		if err != nil || got != want {
			t.Errorf("timer %s: got %+v, %v; want %+v", value, got, err, want)
		}
	}
}
