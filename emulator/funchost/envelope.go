package funchost

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// envelope is the body of POST /<function>: the trigger's value by binding name,
// and metadata about it.
type envelope struct {
	Data     map[string]any `json:"Data"`
	Metadata metadata       `json:"Metadata"`
}

func (e envelope) encode() []byte { return encodeJSON(e) }

// byHand marks a run through the admin API: its input stands in the metadata under
// the binding's name.
func (e envelope) byHand(f *Function, input string) { e.Metadata.set(f.trigger.Name, quoted(input)) }

// encodeJSON writes v as the real host's serializer does: without escaping <, >
// and &. Only values built in this file are passed, so encoding cannot fail.
func encodeJSON(v any) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// quoted returns text as the host sends string values: as JSON inside a string.
func quoted(text string) string { return string(encodeJSON(strings.ToValidUTF8(text, "\uFFFD"))) }

// metadata compares keys without case. A key set again takes the new value and
// keeps its first spelling. Keys that end in "trigger" are never taken.
type metadata struct {
	values  map[string]any
	spelled map[string]string // lower case to first spelling
}

func newMetadata(function string, now time.Time) metadata {
	m := metadata{values: make(map[string]any), spelled: make(map[string]string)}
	m.set("sys", map[string]any{
		"MethodName": function,
		"UtcNow":     now.UTC().Format("2006-01-02T15:04:05.9999999Z"),
		"RandGuid":   uuid.NewString(),
	})
	return m
}

func (m metadata) set(key string, value any) {
	lower := strings.ToLower(key)
	if strings.HasSuffix(lower, "trigger") {
		return
	}
	if _, ok := m.spelled[lower]; !ok {
		m.spelled[lower] = key
	}
	m.values[m.spelled[lower]] = value
}

func (m metadata) MarshalJSON() ([]byte, error) { return encodeJSON(m.values), nil }

// setProperties copies the top-level properties of text, if it is a JSON object,
// over the metadata: arrays and nulls are left out, scalars become strings.
func (m metadata) setProperties(text []byte) {
	if !json.Valid(text) {
		return
	}
	var properties map[string]json.RawMessage
	if json.Unmarshal(text, &properties) != nil {
		return
	}
	keys := make([]string, 0, len(properties))
	for key := range properties {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		switch raw := properties[key]; raw[0] {
		case '[', 'n':
		case '{':
			var compact bytes.Buffer
			if json.Compact(&compact, raw) == nil {
				m.set(key, json.RawMessage(compact.Bytes()))
			}
		default:
			m.set(key, quoted(scalarText(raw)))
		}
	}
}

var isoTime = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?$`)

// scalarText renders a JSON string, number or boolean as .NET's ToString does:
// True and False, whole doubles without a point, ISO times in the invariant form.
func scalarText(raw json.RawMessage) string {
	switch raw[0] {
	case 't':
		return "True"
	case 'f':
		return "False"
	case '"':
		var text string
		_ = json.Unmarshal(raw, &text) // raw is valid JSON that begins with a quote
		if m := isoTime.FindStringSubmatch(text); m != nil {
			layout := "2006-01-02T15:04:05"
			if m[2] != "" {
				layout += "Z07:00"
			}
			if t, err := time.Parse(layout, text); err == nil {
				return t.UTC().Format("01/02/2006 15:04:05")
			}
		}
		return text
	}
	if !bytes.ContainsAny(raw, ".eE") {
		return string(raw)
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return string(raw)
	}
	if math.Abs(f) < 1e15 && (f == 0 || math.Abs(f) >= 1e-5) {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return strconv.FormatFloat(f, 'E', -1, 64)
}

// endOfTime stands for an expiry or a next-visible time that a message lacks.
var endOfTime = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// metadataTime renders a message's time: whole seconds, with an offset.
func metadataTime(t time.Time) string {
	if t.IsZero() {
		t = endOfTime
	}
	return t.UTC().Format("2006-01-02T15:04:05-07:00")
}

// queueEnvelope wraps a message whose text is already decoded. A manual run has
// a message without ID and PopReceipt and with DequeueCount 0.
func queueEnvelope(f *Function, msg message, body []byte, now time.Time) envelope {
	m := newMetadata(f.Name, now)
	m.set("DequeueCount", strconv.FormatInt(msg.Dequeues, 10))
	m.set("InsertionTime", metadataTime(msg.Inserted))
	m.set("ExpirationTime", metadataTime(msg.Expires))
	m.set("NextVisibleTime", metadataTime(msg.NextVisible))
	if msg.ID != "" {
		m.set("Id", quoted(msg.ID))
		m.set("PopReceipt", quoted(msg.Receipt))
	} else { // null, and so left out; but a property of the message takes the spelling
		m.spelled["id"], m.spelled["popreceipt"] = "Id", "PopReceipt"
	}
	if f.trigger.binary() {
		return envelope{map[string]any{f.trigger.Name: base64.StdEncoding.EncodeToString(body)}, m}
	}
	m.setProperties(body)
	return envelope{map[string]any{f.trigger.Name: quoted(string(body))}, m}
}

// timerEnvelope wraps a tick. status is nil when the function is not monitored.
// zoneless leaves the offset off, as the real host does for a status that it has
// read back from storage (azure-functions-host issue 7391).
func timerEnvelope(f *Function, status *scheduleStatus, pastDue, zoneless bool, now time.Time) envelope {
	layout := "2006-01-02T15:04:05.9999999-07:00"
	if zoneless {
		layout = "2006-01-02T15:04:05.9999999"
	}
	var times any
	if status != nil {
		times = map[string]string{
			"Last":        status.Last.UTC().Format(layout),
			"Next":        status.Next.UTC().Format(layout),
			"LastUpdated": status.LastUpdated.UTC().Format(layout),
		}
	}
	info := map[string]any{
		"Schedule":       map[string]bool{"AdjustForDST": true},
		"ScheduleStatus": times,
		"IsPastDue":      pastDue,
	}
	return envelope{map[string]any{f.trigger.Name: info}, newMetadata(f.Name, now)}
}

// httpEnvelope wraps a request. The body is read only if its length was
// announced: the real host drops chunked bodies.
func httpEnvelope(f *Function, r *http.Request, params map[string]string, now time.Time) (envelope, error) {
	m := newMetadata(f.Name, now)
	query := make(map[string]string)
	for name, values := range r.URL.Query() {
		query[name] = strings.Join(values, ",")
	}
	headers := make(map[string][]string)
	flatHeaders := make(map[string]string)
	for name, values := range r.Header {
		headers[name] = values
		flatHeaders[name] = strings.Join(values, ",")
	}
	headers["Host"], flatHeaders["Host"] = []string{r.Host}, r.Host
	routeValues := make(map[string]any)
	for _, segment := range f.route {
		if segment.name == "" {
			continue
		}
		routeValues[segment.name] = nil
		if value, ok := params[segment.name]; ok {
			routeValues[segment.name] = value
		}
	}
	request := map[string]any{
		"Url":     "http://" + r.Host + r.URL.RequestURI(),
		"Method":  r.Method,
		"Query":   query,
		"Headers": headers,
		"Params":  routeValues,
		"Identities": []any{map[string]any{
			"AuthenticationType": "WebJobsAuthLevel",
			"IsAuthenticated":    true,
			"Claims":             []any{},
		}},
	}
	m.set("Query", query)
	m.set("Headers", flatHeaders)
	for name, value := range query {
		m.set(name, quoted(value))
	}
	for name, value := range params {
		m.set(name, quoted(value))
	}
	if r.ContentLength > 0 {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return envelope{}, err
		}
		kind := strings.ToLower(r.Header.Get("Content-Type"))
		if strings.HasPrefix(kind, "application/octet-stream") || strings.HasPrefix(kind, "multipart/") || !utf8.Valid(body) {
			request["Body"] = base64.StdEncoding.EncodeToString(body)
		} else {
			request["Body"] = string(body)
			m.setProperties(body)
		}
	}
	return envelope{map[string]any{f.trigger.Name: request}, m}, nil
}
