package funchost

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// ErrWouldHang says that the handler answered 2xx with an empty or null body. The
// real host never completes such an invocation: it hangs until functionTimeout
// and then kills the handler. This host fails it at once.
var ErrWouldHang = errors.New("handler answered with an empty or null body; the real host would hang until functionTimeout and then kill the handler (send at least {})")

// StatusError is a handler's answer outside of 2xx.
type StatusError struct{ Code int }

func (e *StatusError) Error() string {
	return fmt.Sprintf("response status code does not indicate success: %d (%s)", e.Code, http.StatusText(e.Code))
}

// result is what a handler may say about an invocation.
type result struct {
	Outputs     map[string]json.RawMessage
	Logs        []string
	ReturnValue json.RawMessage
}

// readResult checks the answer to an envelope as the real host does.
func readResult(resp *http.Response) (result, error) {
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return result{}, &StatusError{resp.StatusCode}
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return result{}, fmt.Errorf("read response: %w", err)
	}
	if trimmed := bytes.TrimSpace(body); len(trimmed) == 0 || string(trimmed) == "null" {
		return result{}, ErrWouldHang
	}
	header := resp.Header.Get("Content-Type")
	kind, _, err := mime.ParseMediaType(header)
	if err != nil || (kind != "application/json" && kind != "text/json") {
		return result{}, fmt.Errorf("no media type formatter for content type %q: the handler must answer application/json", header)
	}
	var answer result
	if err := json.Unmarshal(body, &answer); err != nil {
		return result{}, fmt.Errorf("parse response (%d bytes): want a JSON object with Outputs, Logs and ReturnValue: %w", len(body), err)
	}
	return answer, nil
}

// output returns the value of an out binding: from Outputs, else from an object
// ReturnValue; for $return the ReturnValue itself. Names are compared without
// case. Null counts as absent.
func (r result) output(name string) (json.RawMessage, bool) {
	values := r.Outputs
	if name == "$return" {
		values = map[string]json.RawMessage{name: r.ReturnValue}
	}
	for key, value := range values {
		if strings.EqualFold(key, name) && present(value) {
			return value, true
		}
	}
	var spread map[string]json.RawMessage
	if name != "$return" && json.Unmarshal(r.ReturnValue, &spread) == nil {
		for key, value := range spread {
			if strings.EqualFold(key, name) && present(value) {
				return value, true
			}
		}
	}
	return nil, false
}

func present(value json.RawMessage) bool { return len(value) > 0 && string(value) != "null" }

// queueTexts returns the messages that the value of a queue output stands for: an
// array gives one each, anything else one. A string that is valid base64 is
// decoded unless the binding is binary; so the real host corrupts text that only
// looks like base64 (azure-functions-host issue 8352).
func queueTexts(value json.RawMessage, binary bool) [][]byte {
	value = bytes.TrimSpace(value)
	var list []json.RawMessage
	if value[0] == '[' && json.Unmarshal(value, &list) == nil {
		var texts [][]byte
		for _, item := range list {
			if present(item) {
				texts = append(texts, []byte(itemText(item)))
			}
		}
		return texts
	}
	text := itemText(value)
	if value[0] == '"' && !binary {
		if decoded, ok := decodeBase64(text); ok {
			return [][]byte{decoded}
		}
	}
	return [][]byte{[]byte(text)}
}

// itemText returns a JSON string's text, and any other value as compact JSON.
func itemText(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text
	}
	var compact bytes.Buffer
	_ = json.Compact(&compact, value) // value is part of a decoded document
	return compact.String()
}

// decodeBase64 decodes padded base64, white space ignored, as .NET does.
func decodeBase64(text string) ([]byte, bool) {
	text = strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "").Replace(text)
	decoded, err := base64.StdEncoding.DecodeString(text)
	return decoded, err == nil
}

// httpAnswer is a complete answer to the caller of an HTTP function.
type httpAnswer struct {
	status int
	header http.Header
	body   []byte
}

func (a httpAnswer) writeTo(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // a caller that went away is not the host's concern
}

// httpOutput turns the value of an http output into an answer. An http output
// (but not $return) must be an object. If it lacks body, its status and headers
// are ignored and the object itself is the body.
func httpOutput(name string, value json.RawMessage) (httpAnswer, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(value, &object); err != nil {
		if name != "$return" {
			return httpAnswer{}, fmt.Errorf("read http output %s: want a JSON object", name)
		}
		return httpAnswer{http.StatusOK, http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, []byte(itemText(value))}, nil
	}
	fields := make(map[string]json.RawMessage)
	for key, field := range object {
		if present(field) {
			fields[strings.ToLower(key)] = field
		}
	}
	answer := httpAnswer{status: http.StatusOK, header: make(http.Header)}
	body, ok := fields["body"]
	if !ok {
		answer.header.Set("Content-Type", "application/json; charset=utf-8")
		answer.body = []byte(itemText(value))
		return answer, nil
	}
	for _, key := range []string{"status", "statuscode"} {
		if field, ok := fields[key]; ok {
			status, err := strconv.Atoi(itemText(field))
			if err != nil || status < 100 || status > 999 {
				return httpAnswer{}, fmt.Errorf("read http output %s: %s is no HTTP status", name, key)
			}
			answer.status = status
		}
	}
	if field, ok := fields["headers"]; ok {
		var headers map[string]json.RawMessage
		if err := json.Unmarshal(field, &headers); err != nil {
			return httpAnswer{}, fmt.Errorf("read http output %s: headers is no object", name)
		}
		for key, field := range headers {
			answer.header.Set(key, itemText(field))
		}
	}
	if answer.header.Get("Content-Type") == "" {
		kind := "application/json; charset=utf-8"
		if body[0] == '"' {
			kind = "text/plain; charset=utf-8"
		}
		answer.header.Set("Content-Type", kind)
	}
	answer.body = []byte(itemText(body))
	return answer, nil
}
