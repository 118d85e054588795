package host

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/textproto"
	"net/url"
)

// HTTPRequest is what an HTTP trigger delivers in an envelope, that is without
// request forwarding. URL, Query and Header may hold a function key: the value
// prints and logs its method only.
type HTTPRequest struct {
	Method string
	URL    string            // as the caller wrote it
	Query  url.Values        // several values of one name arrive as one, joined with commas
	Header http.Header       // canonical names
	Params map[string]string // route values; an absent optional one is ""
	Body   string            // base64 for octet-stream and multipart; "" when the caller sent chunks
}

// String returns the method: everything else may carry a key.
func (r HTTPRequest) String() string { return r.Method + " request" }

// GoString is String.
func (r HTTPRequest) GoString() string { return r.String() }

// LogValue is String.
func (r HTTPRequest) LogValue() slog.Value { return slog.StringValue(r.String()) }

// DecodeHTTP reads the body of an HTTP trigger's invocation. binding is the
// trigger's name in function.json.
func DecodeHTTP(body []byte, binding string) (HTTPRequest, error) {
	e, err := decodeEnvelope(body)
	if err != nil {
		return HTTPRequest{}, err
	}
	value, err := e.binding(binding)
	if err != nil {
		return HTTPRequest{}, err
	}
	var wire struct {
		Method, URL string
		Query, Body json.RawMessage
		Headers     members
		Params      map[string]*string
	}
	if err := json.Unmarshal(object(value), &wire); err != nil {
		return HTTPRequest{}, fmt.Errorf("decode HTTP request %q: %w", binding, withoutContent(err))
	}
	request := HTTPRequest{
		Method: wire.Method,
		URL:    wire.URL,
		Query:  query(wire.Query),
		Header: http.Header{},
		Params: map[string]string{},
	}
	for name, value := range wire.Headers {
		key := textproto.CanonicalMIMEHeaderKey(name)
		request.Header[key] = append(request.Header[key], list(value)...)
	}
	for name, value := range wire.Params {
		if value != nil {
			request.Params[name] = *value
		} else {
			request.Params[name] = ""
		}
	}
	if isString(wire.Body) {
		// One level only: a body is never encoded twice, and may itself be a JSON string.
		if err := json.Unmarshal(wire.Body, &request.Body); err != nil {
			return HTTPRequest{}, fmt.Errorf("decode HTTP request %q: body: %w", binding, withoutContent(err))
		}
	}
	return request, nil
}

// query reads the query from an object, or from a string as hosts before the end
// of 2020 sent it.
func query(value json.RawMessage) url.Values {
	var object map[string]string
	if json.Unmarshal(value, &object) == nil {
		values := url.Values{}
		for name, v := range object {
			values.Set(name, v)
		}
		return values
	}
	var raw string
	if json.Unmarshal(value, &raw) == nil {
		if len(raw) > 0 && raw[0] == '?' {
			raw = raw[1:]
		}
		if values, err := url.ParseQuery(raw); err == nil {
			return values
		}
	}
	return url.Values{}
}

// list reads an array of strings or a single one.
func list(value json.RawMessage) []string {
	var several []string
	if json.Unmarshal(value, &several) == nil {
		return several
	}
	var one string
	if json.Unmarshal(value, &one) == nil {
		return []string{one}
	}
	return nil
}
