package tenant_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/defender2adx/defender2adx/emulator/engine"
	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/emulator/tenant"
	"github.com/defender2adx/defender2adx/internal/schema"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func generate(t *testing.T, o tenant.Options) *tenant.Tenant {
	t.Helper()
	if o.Now.IsZero() {
		o.Now = now
	}
	tn, err := tenant.Generate(o)
	if err != nil {
		t.Fatal(err)
	}
	return tn
}

func TestGenerate_SameSeedSameBytes(t *testing.T) {
	sum := func(seed uint64) [32]byte {
		tn, h := generate(t, tenant.Options{Seed: seed, Scale: 0.02}), sha256.New()
		for _, name := range tn.TableNames() {
			for row := range tn.Rows(name) {
				h.Write(row)
			}
			src, _ := tn.Source(name, tenant.View{Bare: true, Columns: []string{}})
			for r := range src.Scan() {
				h.Write([]byte(r.Ingested.String()))
			}
		}
		return [32]byte(h.Sum(nil))
	}
	if first, second := sum(7), sum(7); first != second {
		t.Error("the same seed gave other bytes")
	}
	if sum(7) == sum(8) {
		t.Error("another seed gave the same bytes")
	}
}

func TestGenerate_FillsTablesAsATenantHasThem(t *testing.T) {
	tn := generate(t, tenant.Options{})
	total, filled, big := 0, 0, 0
	for _, known := range schema.Catalogue() {
		n := tn.Count(known.Name)
		total += n
		if n > 0 {
			filled++
		}
		if n > 200_000 {
			big++
		} else if n != 0 && (n < 50 || n > 20_000) {
			t.Errorf("%s has %d rows, want 50 to 20000", known.Name, n)
		}
		if strings.HasPrefix(known.Name, "DeviceTvm") && n == 0 {
			t.Errorf("%s is empty", known.Name)
		}
	}
	if len(tn.TableNames()) != 66 || filled < 32 || big != 1 || total < 300_000 || total > 350_000 {
		t.Errorf("%d tables, %d filled, %d above 200000 rows, %d rows in all", len(tn.TableNames()), filled, big, total)
	}
}

func TestGenerate_EveryValueFitsItsColumn(t *testing.T) {
	rounds.Long(t)
	tn := generate(t, tenant.Options{Seed: 3, Scale: 0.1, Lean: map[string]int{"DeviceEvents": 500, "AlertInfo": 500}})
	for _, known := range schema.Catalogue() {
		bad := 0
		for row := range tn.Rows(known.Name) {
			if !json.Valid(row) {
				t.Fatalf("%s: no JSON: %.300s", known.Name, row)
			}
			for key, text := range tenant.Members(row) {
				c, ok := known.Column(string(key))
				if !ok || !fits(t, c.Type, text) {
					t.Errorf("%s.%s (%s): %.80s does not fit", known.Name, key, c.Type, text)
					bad++
				}
			}
			if bad > 5 {
				break
			}
		}
	}
}

func fits(t *testing.T, typ string, text []byte) bool {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	if v == nil {
		return true
	}
	switch typ {
	case "dynamic":
		return true
	case "bool":
		_, ok := v.(bool)
		return ok
	case "int", "long", "real":
		n, ok := v.(json.Number)
		if !ok {
			return false
		}
		if typ == "real" {
			_, err := n.Float64()
			return err == nil
		}
		i, err := n.Int64()
		return err == nil && (typ == "long" || i >= math.MinInt32 && i <= math.MaxInt32)
	}
	s, ok := v.(string)
	switch typ {
	case "datetime":
		_, err := time.Parse(time.RFC3339Nano, s)
		return err == nil
	case "guid":
		_, err := uuid.Parse(s)
		return err == nil
	}
	return ok
}

func TestGenerate_HasTheAwkwardRows(t *testing.T) {
	tn := generate(t, tenant.Options{Seed: 1})
	seen := map[string]int{}
	decimals := map[int]bool{}
	ingested := map[engine.Datetime]int{}
	stamps := map[string]int{}
	src, _ := tn.Source("DeviceProcessEvents", tenant.View{})
	cols := src.Columns()
	for r := range src.Scan() {
		ingested[*r.Ingested]++
		row := string(r.Raw)
		if strings.Contains(row, "😀") {
			seen["above U+FFFF"]++
		}
		if len(row) > 6000 {
			seen["long"]++
		}
		for i, c := range cols {
			switch c.Name {
			case "Timestamp":
				at, ok := r.Values[i].(engine.Datetime)
				switch {
				case !ok:
					seen["no Timestamp"]++
				case *r.Ingested-at > 24*3600*10_000_000:
					seen["late"]++
				case at > *r.Ingested:
					t.Errorf("an event after its arrival: %s", row[:100])
				}
				_, text, _ := strings.Cut(row, `"Timestamp":"`)
				text, _, _ = strings.Cut(text, `"`)
				stamps[text]++
				_, f, _ := strings.Cut(text, ".")
				decimals[len(strings.TrimSuffix(f, "Z"))] = true
			case "ReportId", "LogonId":
				if n, _ := r.Values[i].(int64); n > 1<<53 {
					seen["beyond 2^53 "+c.Name]++
				}
			case "SHA256":
				if r.Values[i] == "" {
					seen["empty SHA256"]++
				}
			case "AdditionalFields":
				if s, _ := r.Values[i].(string); strings.HasPrefix(s, `{"`) && json.Valid([]byte(s)) {
					seen["JSON in a string"]++
				}
			}
		}
	}
	for _, what := range []string{"above U+FFFF", "long", "no Timestamp", "late", "beyond 2^53 ReportId", "beyond 2^53 LogonId", "empty SHA256", "JSON in a string"} {
		if seen[what] == 0 {
			t.Errorf("no row: %s", what)
		}
	}
	if len(decimals) != 8 {
		t.Errorf("decimals %v, want 0 to 7", decimals)
	}
	if len(ingested) == tn.Count("DeviceProcessEvents") || len(stamps) == tn.Count("DeviceProcessEvents") {
		t.Error("no two rows share an ingestion time, or a Timestamp")
	}

	future := 0
	src, _ = tn.Source("DeviceTvmBrowserExtensions", tenant.View{Columns: []string{"InstallationTime"}})
	for r := range src.Scan() {
		if at, ok := r.Values[9].(engine.Datetime); ok && at > engine.FromTime(now) {
			future++
		}
	}
	if future < 1 || future > 2 {
		t.Errorf("%d extensions installed in the future, want 1 or 2", future)
	}
}

func TestGenerate_RefusesUnknownTables(t *testing.T) {
	for _, o := range []tenant.Options{{Only: []string{"Nope"}}, {Lean: map[string]int{"Nope": 1}}, {NullIngestion: []string{"Nope"}}, {Scale: -1}} {
		if _, err := tenant.Generate(o); err == nil {
			t.Errorf("%+v: want an error", o)
		}
	}
}

func BenchmarkRows_Lean(b *testing.B) {
	tn, err := tenant.Generate(tenant.Options{Now: now, Only: []string{"DeviceNetworkEvents"}, Lean: map[string]int{"DeviceNetworkEvents": 100_000}})
	if err != nil {
		b.Fatal(err)
	}
	bytes, rows := 0, 0
	for b.Loop() {
		for row := range tn.Rows("DeviceNetworkEvents") {
			bytes += len(row)
			rows++
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(bytes)/float64(rows), "bytes/row")
}

func BenchmarkRows_Full(b *testing.B) {
	tn, err := tenant.Generate(tenant.Options{Now: now, Only: []string{"DeviceProcessEvents"}})
	if err != nil {
		b.Fatal(err)
	}
	bytes, rows := 0, 0
	for b.Loop() {
		for row := range tn.Rows("DeviceProcessEvents") {
			bytes += len(row)
			rows++
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(bytes)/float64(rows), "bytes/row")
}

// What hangs together in a tenant hangs together here, so that joins find rows.
func TestGenerate_TablesReferToEachOther(t *testing.T) {
	tn := generate(t, tenant.Options{Seed: 2, Scale: 0.25})
	values := func(table, column string) map[string]bool {
		set := make(map[string]bool)
		for row := range tn.Rows(table) {
			for key, text := range tenant.Members(row) {
				if string(key) == column {
					set[string(text)] = true
				}
			}
		}
		return set
	}
	for _, tt := range []struct{ from, column, to string }{
		{"AlertEvidence", "AlertId", "AlertInfo"},
		{"BehaviorEntities", "BehaviorId", "BehaviorInfo"},
		{"EmailAttachmentInfo", "NetworkMessageId", "EmailEvents"},
		{"EmailUrlInfo", "NetworkMessageId", "EmailEvents"},
		{"DeviceTvmSoftwareVulnerabilities", "CveId", "DeviceTvmSoftwareVulnerabilitiesKB"},
		{"DeviceTvmSecureConfigurationAssessment", "ConfigurationId", "DeviceTvmSecureConfigurationAssessmentKB"},
		{"DeviceBaselineComplianceAssessment", "ProfileId", "DeviceBaselineComplianceProfiles"},
		{"DeviceNetworkEvents", "DeviceId", "DeviceInfo"},
	} {
		have := values(tt.to, tt.column)
		if len(have) == 0 {
			t.Errorf("%s has no %s", tt.to, tt.column)
		}
		for v := range values(tt.from, tt.column) {
			if !have[v] {
				t.Errorf("%s: %s %s is not in %s", tt.from, tt.column, v, tt.to)
				break
			}
		}
	}
	for _, snapshot := range []string{"DeviceTvmSoftwareInventory", "DeviceTvmSoftwareVulnerabilities", "DeviceTvmSoftwareVulnerabilitiesKB", "DeviceTvmSecureConfigurationAssessment",
		"DeviceTvmCertificateInfo", "DeviceBaselineComplianceAssessment", "DeviceBaselineComplianceProfiles", "DeviceBaselineComplianceAssessmentKB", "ExposureGraphNodes", "ExposureGraphEdges"} {
		known, _ := schema.Lookup(snapshot)
		seen := make(map[string]bool)
		for row := range tn.Rows(snapshot) {
			id := ""
			for key, text := range tenant.Members(row) {
				if slices.Contains(known.Key, string(key)) {
					id += string(text)
				}
			}
			if id != "" && seen[id] {
				t.Errorf("%s: %s occurs twice", snapshot, id)
				break
			}
			seen[id] = true
		}
	}
}
