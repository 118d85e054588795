package hunting_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/tenant"
)

func benchmark(b *testing.B, query string, rows int) {
	tn, err := tenant.Generate(tenant.Options{Now: now, Only: []string{"DeviceNetworkEvents"}, Lean: map[string]int{"DeviceNetworkEvents": 5_000_000}})
	if err != nil {
		b.Fatal(err)
	}
	s, err := hunting.New(hunting.Options{Tenant: tn, Limits: map[hunting.API]hunting.Limits{hunting.Graph: {Bytes: 50_000_000}}})
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(s)
	defer server.Close()
	bytes := int64(0)
	for b.Loop() {
		resp, err := http.Post(server.URL+graphPath, "application/json", strings.NewReader(body(query)))
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 {
			b.Fatal(resp.StatusCode, err)
		}
		bytes += n
	}
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
	b.SetBytes(bytes / int64(b.N))
}

// 5,000,000 rows in five days: 90,000 arrive in about two hours and ten minutes.
func BenchmarkQuery_Slice(b *testing.B) {
	to := now.Add(-48 * time.Hour)
	benchmark(b, "['DeviceNetworkEvents'] | where ingestion_time() > datetime("+to.Add(-130*time.Minute).Format(time.RFC3339)+") and ingestion_time() <= datetime("+to.Format(time.RFC3339)+")", 90_000)
}

func BenchmarkQuery_Count(b *testing.B) {
	benchmark(b, "['DeviceNetworkEvents'] | summarize Rows = count() by Bin = bin(ingestion_time() - 1tick, 1h)", 5_000_000)
}
