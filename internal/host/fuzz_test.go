package host

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"
)

// FuzzDecode_AnswersOrRefuses feeds every decoder arbitrary bodies: none may panic, and
// what one accepts is JSON that holds the binding.
func FuzzDecode_AnswersOrRefuses(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	if err != nil || len(files) == 0 {
		f.Fatalf("samples: %v, %v", files, err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, binding := range []string{"wake", "tick", "req"} {
			f.Add(body, binding)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, binding string) {
		_, queueErr := DecodeQueue(body, binding)
		_, timerErr := DecodeTimer(body, binding)
		if !json.Valid(body) && (queueErr == nil || timerErr == nil) {
			t.Errorf("accepted a body that is not JSON: %q", body)
		}
	})
}

// FuzzDecodeQueue_TextSurvives checks that a message's text survives the host's
// double encoding whatever it holds.
func FuzzDecodeQueue_TextSurvives(f *testing.F) {
	for _, text := range []string{"", "hello", `"hello"`, `{"a":[1,"\u00e9"]}`, `"\"x\""`, "a\nb\\", "😀"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			t.Skip("the host delivers text in UTF-8 only")
		}
		once, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(map[string]any{"Data": map[string]string{"wake": string(once)}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeQueue(body, "wake")
		if err != nil || got.Text != text {
			t.Errorf("DecodeQueue(%s): got %q, %v; want %q", body, got.Text, err, text)
		}
	})
}
