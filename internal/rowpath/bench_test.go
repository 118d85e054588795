package rowpath_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/defender2adx/defender2adx/internal/rowpath"
)

// BenchmarkCopy reads gzip answers and reports, within one run and of the same
// bytes, how Copy compares with the floor (gunzip and gzip at the same level,
// nothing looked at) and with decoding each row by encoding/json.
//
//	floor-share  throughput of Copy over that of the floor; 1 is the floor itself
//	times-json   throughput of Copy over that of encoding/json
func BenchmarkCopy(b *testing.B) {
	shapes := []struct {
		name string
		body []byte
	}{
		{"narrow", answer(20_000, narrowRow)},
		{"wide", answer(4_000, wideRow)},
		{"annotated", answer(8_000, annotatedRow)},
	}
	for _, shape := range shapes {
		packed := pack(b, shape.body)
		b.Run(shape.name, func(b *testing.B) {
			b.SetBytes(int64(len(shape.body)))
			b.ReportAllocs()
			var ours, floor, library time.Duration
			var best [3]time.Duration
			for range b.N {
				for i, way := range []func(io.Writer, io.Reader) error{copyAnswer, copyBytes, copyDecoded} {
					if i > 0 {
						b.StopTimer()
					}
					start := time.Now()
					gz, err := gzip.NewReader(bytes.NewReader(packed))
					if err == nil {
						err = way(io.Discard, gz)
					}
					took := time.Since(start)
					if err != nil {
						b.Fatal(err)
					}
					if best[i] == 0 || took < best[i] {
						best[i] = took
					}
				}
				b.StartTimer()
			}
			ours, floor, library = best[0], best[1], best[2]
			b.ReportMetric(float64(floor)/float64(ours), "floor-share")
			b.ReportMetric(float64(library)/float64(ours), "times-json")
		})
	}
}

func copyAnswer(dst io.Writer, src io.Reader) error {
	_, err := rowpath.Copy(dst, src, rowpath.Options{})
	return err
}

func copyBytes(dst io.Writer, src io.Reader) error {
	gz, err := gzip.NewWriterLevel(dst, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := io.CopyBuffer(gz, struct{ io.Reader }{src}, make([]byte, 128<<10)); err != nil {
		return err
	}
	return gz.Close()
}

// copyDecoded is the plain way: the whole answer decoded, each row encoded.
func copyDecoded(dst io.Writer, src io.Reader) error {
	var body struct{ Results []map[string]any }
	decoder := json.NewDecoder(src)
	decoder.UseNumber()
	if err := decoder.Decode(&body); err != nil {
		return err
	}
	gz, err := gzip.NewWriterLevel(dst, gzip.BestSpeed)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(gz)
	for _, row := range body.Results {
		if err := encoder.Encode(row); err != nil {
			return err
		}
	}
	return gz.Close()
}

func pack(tb testing.TB, body []byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	gz := gzip.NewWriter(&out)
	if _, err := gz.Write(body); err != nil {
		tb.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// answer returns a compact answer of n rows, the same at each call.
func answer(n int, row func(*strings.Builder, *rand.Rand)) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	b.WriteString(`{"schema":[{"name":"Timestamp","type":"DateTime"}],"results":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		row(&b, r)
	}
	b.WriteString("]}")
	return []byte(b.String())
}

// narrowRow is a row like those of DeviceTvmSoftwareVulnerabilities.
func narrowRow(b *strings.Builder, r *rand.Rand) {
	software := r.IntN(400)
	fmt.Fprintf(b, `{"DeviceId":"%016x%024x","DeviceName":"host-%04d.contoso.example","OSPlatform":"Windows11","OSVersion":"10.0.22631.%d",`+
		`"OSArchitecture":"x64","SoftwareVendor":"vendor%d","SoftwareName":"product_%d","SoftwareVersion":"%d.%d.%d.0","CveId":"CVE-20%02d-%d",`+
		`"VulnerabilitySeverityLevel":"%s","RecommendedSecurityUpdate":"","RecommendedSecurityUpdateId":"","CveTags":[],"CveMitigationStatus":""}`,
		r.Uint64(), r.Uint64(), r.IntN(3000), r.IntN(4000), software/10, software, r.IntN(20), r.IntN(10), r.IntN(900),
		r.IntN(10)+15, r.IntN(40000), []string{"Low", "Medium", "High", "Critical"}[r.IntN(4)])
}

// wideRow is a row like those of DeviceProcessEvents.
func wideRow(b *strings.Builder, r *rand.Rand) {
	fmt.Fprintf(b, `{"Timestamp":"2026-03-%02dT%02d:%02d:%02d.%07dZ","DeviceId":"%016x%024x","DeviceName":"host-%04d.contoso.example","ActionType":"ProcessCreated",`,
		r.IntN(28)+1, r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1e7), r.Uint64(), r.Uint64(), r.IntN(3000))
	fmt.Fprintf(b, `"ProcessCommandLine":"\"C:\\Program Files\\Vendor %d\\agent.exe\" --run %x --config \"C:\\ProgramData\\agent\\%d.json\"","ReportId":%d,"IsAdmin":true,"Parent":null`,
		r.IntN(50), r.Uint64(), r.IntN(9999), r.IntN(1e6))
	for i := range 18 {
		fmt.Fprintf(b, `,"InitiatingProcess%02dSHA256":"%016x%016x%016x%016x","InitiatingProcess%02dId":%d,"InitiatingProcess%02dFileName":"svchost%d.exe"`,
			i, r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64(), i, r.IntN(30000), i, r.IntN(20))
	}
	b.WriteString(`,"AdditionalFields":"{\"Bag\":[1,2,3],\"Text\":\"f\u00fcr alle\"}"}`)
}

// annotatedRow is a row like those of ExposureGraphNodes from Graph.
func annotatedRow(b *strings.Builder, r *rand.Rand) {
	fmt.Fprintf(b, `{"NodeId":"%032x","NodeLabel":"device","NodeName":"host-%04d","Categories@odata.type":"#Collection(String)","Categories":["device","compute"],`+
		`"NodeProperties":{"@odata.type":"#microsoft.graph.security.dynamicColumnValue","rawData":{"@odata.type":"#microsoft.graph.security.dynamicColumnValue",`+
		`"tags@odata.type":"#Collection(String)","tags":["a%d","b"],"exposureScore":%d,"isExpired":false,"lastSeen":"2026-03-01T00:00:00Z","deviceId":"%016x"}},`+
		`"EntityIds@odata.type":"#Collection(microsoft.graph.security.dynamicColumnValue)","EntityIds":[{"@odata.type":"#microsoft.graph.security.dynamicColumnValue","type":"DeviceInventoryId","id":"%016x"}]}`,
		r.Uint64(), r.IntN(3000), r.IntN(100), r.IntN(100), r.Uint64(), r.Uint64())
}
