// Package answers makes the response bodies that the row path is measured with,
// and the two ways it is measured against: the floor, which looks at no byte, and
// the plain way, which decodes every row. The bodies are what the hunting
// emulator serves of its sample tenant, the same at each call.
package answers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	stdgzip "compress/gzip"

	"github.com/klauspost/compress/gzip"

	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// Answer is one response body as it comes over the wire.
type Answer struct {
	Name   string // narrow, wide or annotated
	Packed []byte // gzip, as the service sends it
	Size   int64  // unpacked
}

// shapes are the kinds of rows: few columns as in the vulnerability tables, many
// and long ones as in process events, and nested objects with Graph's
// annotations beside longs, arrays and within objects.
var shapes = []struct {
	name, table string
	annotate    bool
	scale       float64
}{
	{"narrow", "DeviceTvmSoftwareVulnerabilities", false, 2.5},
	{"wide", "DeviceProcessEvents", false, 0.5},
	{"annotated", "ExposureGraphNodes", true, 25},
}

// All returns an answer of about size bytes for each shape of row.
func All(size int64) ([]Answer, error) {
	var all []Answer
	for _, s := range shapes {
		data, err := tenant.Generate(tenant.Options{Seed: 1, Scale: s.scale, Only: []string{s.table}})
		if err != nil {
			return nil, err
		}
		body, err := serve(data, s.table, s.annotate)
		if err != nil {
			return nil, fmt.Errorf("make the %s answer: %w", s.name, err)
		}
		body = cut(body, size)
		packed, err := pack(body)
		if err != nil {
			return nil, err
		}
		all = append(all, Answer{Name: s.name, Packed: packed, Size: int64(len(body))})
	}
	return all, nil
}

func serve(data *tenant.Tenant, table string, annotate bool) ([]byte, error) {
	limits := hunting.Defaults(hunting.Graph)
	limits.Rows, limits.Bytes = 10_000_000, 0
	server, err := hunting.New(hunting.Options{Tenant: data, Awkward: hunting.Awkward{Annotate: annotate},
		Limits: map[hunting.API]hunting.Limits{hunting.Graph: limits}, LookBack: 100 * 365 * 24 * time.Hour})
	if err != nil {
		return nil, err
	}
	reply := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodPost, "/v1.0/security/runHuntingQuery", strings.NewReader(`{"Query":"`+table+`"}`))
	request.Header.Set("Content-Type", "application/json")
	server.ServeHTTP(reply, request)
	if reply.Code != http.StatusOK {
		return nil, fmt.Errorf("status %d: %.300s", reply.Code, reply.Body.String())
	}
	return reply.Body.Bytes(), nil
}

// cut keeps as many rows of a compact answer as fit size. A row ends where the
// next one begins.
func cut(body []byte, size int64) []byte {
	if int64(len(body)) <= size {
		return body
	}
	first := bytes.Index(body, []byte(`"results":[{`)) + len(`"results":[`)
	name, _, _ := bytes.Cut(body[first:], []byte(":"))
	begin := append([]byte("},"), name...) // a row's first member
	end := bytes.LastIndex(body[:size], begin)
	return append(body[:end+1:end+1], "]}"...)
}

func pack(body []byte) ([]byte, error) {
	var out bytes.Buffer
	gz := stdgzip.NewWriter(&out)
	if _, err := gz.Write(body); err != nil {
		return nil, err
	}
	if err := gz.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Floor moves the same bytes through gunzip and gzip at the row path's level,
// and does nothing else.
func Floor(dst io.Writer, packed io.Reader) error {
	in, err := gzip.NewReader(packed)
	if err != nil {
		return err
	}
	out, err := gzip.NewWriterLevel(dst, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{in}, make([]byte, 128<<10)); err != nil {
		return err
	}
	return out.Close()
}

// Plain is what one would write first: the answer decoded into maps, each row
// encoded, packed by the standard library at its default level.
func Plain(dst io.Writer, packed io.Reader) error {
	in, err := stdgzip.NewReader(packed)
	if err != nil {
		return err
	}
	var body struct {
		Results []map[string]any `json:"results"`
	}
	if err := json.NewDecoder(in).Decode(&body); err != nil {
		return err
	}
	out := stdgzip.NewWriter(dst)
	for _, row := range body.Results {
		line, err := json.Marshal(row)
		if err != nil {
			return err
		}
		if _, err := out.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return out.Close()
}
