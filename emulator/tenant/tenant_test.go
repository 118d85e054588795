package tenant_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/engine"
	"github.com/defender2adx/defender2adx/emulator/sampledata"
	"github.com/defender2adx/defender2adx/emulator/tenant"
)

func load(t *testing.T, o tenant.LoadOptions, files map[string]string) (*tenant.Tenant, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return tenant.Load(dir, o)
}

func rowsOf(tn *tenant.Tenant, table string) []string {
	var all []string
	for row := range tn.Rows(table) {
		all = append(all, string(row))
	}
	return all
}

func TestLoad_KeepsRowsByteForByte(t *testing.T) {
	tn, err := load(t, tenant.LoadOptions{}, map[string]string{
		"AlertInfo.jsonl": "\uFEFF" + `{ "AlertId" : "\u00e9😀" ,"Timestamp":"2024-07-04 22:35:00.746663+00:00","N":1.50}` + "\r\n\n  \n" + `{"AlertId":null}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`{ "AlertId" : "\u00e9😀" ,"Timestamp":"2024-07-04 22:35:00.746663+00:00","N":1.50}`, `{"AlertId":null}`}
	if diff := cmp.Diff(rowsOf(tn, "AlertInfo"), want); diff != "" {
		t.Error(diff)
	}
	if got := tn.Now(); !got.Equal(time.Date(2024, 7, 4, 22, 35, 0, 746663000, time.UTC)) {
		t.Errorf("the clock stands at %s", got)
	}
	cols := tn.Columns("AlertInfo")
	if last := cols[len(cols)-1]; last != (engine.Column{Name: "N", Type: engine.TypeReal}) {
		t.Errorf("last column %v", last)
	}
	if n := tn.Count("DeviceInfo"); n != 0 || tn.Columns("DeviceInfo") == nil {
		t.Errorf("DeviceInfo: %d rows, columns %v", n, tn.Columns("DeviceInfo"))
	}
}

func TestLoad_RefusesLinesThatAreNoObjects(t *testing.T) {
	for _, line := range []string{`[1]`, `{"a":`, `text`, `{"a":1} {"b":2}`} {
		_, err := load(t, tenant.LoadOptions{}, map[string]string{"T.jsonl": "{}\n\n" + line + "\n"})
		if err == nil || !strings.Contains(err.Error(), "T.jsonl:3") {
			t.Errorf("%s: %v", line, err)
		}
	}
	if _, err := tenant.Load(t.TempDir(), tenant.LoadOptions{}); err == nil {
		t.Error("an empty directory: want an error")
	}
}

func TestLoad_InfersColumns(t *testing.T) {
	tn, err := load(t, tenant.LoadOptions{}, map[string]string{"Custom.jsonl": `
		{"s":"x","b":true,"n":1,"r":1,"t":"2020-12-30 14:17:26","d":{"a":1},"m":1,"e":"","z":null,"u":"7/4/2024 10:05:00 PM"}
		{"s":"2020-01-01 10:00:00","b":null,"n":9007199254740993,"r":2.5,"t":"","d":[],"m":"x","late":1,"u":null}`})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range tn.Columns("Custom") {
		got = append(got, c.Name+":"+c.Type.String())
	}
	want := "s:string b:bool n:long r:real t:datetime d:dynamic m:dynamic e:string z:string u:datetime late:long"
	if diff := cmp.Diff(strings.Join(got, " "), want); diff != "" {
		t.Error(diff)
	}
	src, _ := tn.Source("Custom", tenant.View{})
	var values []string
	for r := range src.Scan() {
		for i, c := range src.Columns() {
			values = append(values, string(engine.FormatJSON(nil, c.Type, r.Values[i])))
		}
	}
	wantValues := []string{
		`"x"`, "true", "1", "1.0", `"2020-12-30T14:17:26.0000000Z"`, `{"a":1}`, "1", `""`, `""`, `"2024-07-04T22:05:00.0000000Z"`, "null",
		`"2020-01-01 10:00:00"`, "null", "9007199254740993", "2.5", "null", "[]", `"x"`, `""`, `""`, "null", "1",
	}
	if diff := cmp.Diff(values, wantValues); diff != "" {
		t.Error(diff)
	}
}

func TestLoad_SpreadsArrivalsBeforeTheClock(t *testing.T) {
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, "{\"AlertId\":\"%d\"}\n", i)
	}
	for _, null := range []bool{false, true} {
		tn, err := load(t, tenant.LoadOptions{Now: now, NullIngestion: null}, map[string]string{"AlertInfo.jsonl": text.String()})
		if err != nil {
			t.Fatal(err)
		}
		src, _ := tn.Source("AlertInfo", tenant.View{})
		var last engine.Datetime
		ties := 0
		for r := range src.Scan() {
			if null {
				if r.Ingested != nil {
					t.Fatal("want null ingestion times")
				}
				continue
			}
			at := *r.Ingested
			if at < last || at.Time().Before(now.AddDate(0, 0, -6)) || at.Time().After(now.Add(-2*time.Hour)) {
				t.Fatalf("arrived at %s after %s", at, last)
			}
			if at == last {
				ties++
			}
			last = at
		}
		if !null && (ties == 0 || ties > 990) {
			t.Errorf("%d ties", ties)
		}
	}
}

func TestSamples_AreServedAsTheyStand(t *testing.T) {
	dir := sampledata.Path(t, "defender-samples")
	tn, err := tenant.Load(dir, tenant.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	total := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		table := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		src, _ := tn.Source(table, tenant.View{})
		var got bytes.Buffer
		for r := range src.Scan() {
			got.Write(r.Raw)
			got.WriteByte('\n')
			total++
		}
		if !bytes.Equal(got.Bytes(), text) {
			t.Errorf("%s differs", table)
		}
	}
	if total != 1632 {
		t.Errorf("%d records, want 1632", total)
	}
}

// A view must give exactly the rows and values that the whole table gives there.
func TestSource_ViewNarrowsWithoutLoss(t *testing.T) {
	tn := generate(t, tenant.Options{Scale: 0.05, Only: []string{"DeviceEvents"}})
	if err := tn.Append("DeviceEvents", now.Add(-48*time.Hour), `{"ReportId":1}`, `{"ReportId":2}`); err != nil {
		t.Fatal(err)
	}
	if err := tn.Append("DeviceEvents", time.Time{}, `{"ReportId":3}`); err != nil {
		t.Fatal(err)
	}
	after, upTo := engine.FromTime(now.Add(-72*time.Hour)), engine.FromTime(now.Add(-30*time.Hour))
	all, _ := tn.Source("DeviceEvents", tenant.View{})
	view, _ := tn.Source("DeviceEvents", tenant.View{After: after, UpTo: upTo, Columns: []string{"ReportId", "AdditionalFields"}})
	render := func(r engine.Record) string {
		s := fmt.Sprintf("%s %v", r.Raw, r.Ingested)
		for i, c := range all.Columns() {
			if c.Name == "ReportId" || c.Name == "AdditionalFields" {
				s += fmt.Sprint(r.Values[i])
			}
		}
		return s
	}
	var want, got []string
	for r := range all.Scan() {
		if r.Ingested == nil || *r.Ingested > after && *r.Ingested <= upTo {
			want = append(want, render(r))
		}
	}
	for r := range view.Scan() {
		got = append(got, render(r))
	}
	if len(want) < 50 || len(want) == tn.Count("DeviceEvents") {
		t.Fatalf("%d rows are no test", len(want))
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Error(diff)
	}
}

func TestTenant_Mutations(t *testing.T) {
	tn := generate(t, tenant.Options{Scale: 0.1, Only: []string{"DeviceTvmBrowserExtensions"}})
	const table = "DeviceTvmBrowserExtensions"
	before := rowsOf(tn, table)
	held, _ := tn.Source(table, tenant.View{}) // sees the table as it is now

	if err := tn.Append(table, now, `{"DeviceId":"new","Rating":4.5}`); err != nil {
		t.Fatal(err)
	}
	if err := tn.Append(table, now, `[]`); err == nil {
		t.Error("append of an array: want an error")
	}
	if cols := tn.Columns(table); cols[len(cols)-1].Name != "Rating" {
		t.Errorf("columns %v", cols)
	}
	gone, err := tn.Delete(table, func(i int, row []byte) bool { return i < 10 })
	if gone != 10 || err != nil {
		t.Errorf("deleted %d, %v", gone, err)
	}
	want := append(append([]string(nil), before[10:]...), `{"DeviceId":"new","Rating":4.5}`)
	if diff := cmp.Diff(rowsOf(tn, table), want); diff != "" {
		t.Error(diff)
	}

	stamp := now.Add(3 * time.Hour)
	if err := tn.Restamp(table, stamp, time.Minute); err != nil {
		t.Fatal(err)
	}
	src, _ := tn.Source(table, tenant.View{After: engine.FromTime(stamp.Add(-time.Minute)), UpTo: engine.FromTime(stamp)})
	n := 0
	for range src.Scan() {
		n++
	}
	if n != len(want) {
		t.Errorf("%d of %d rows are restamped", n, len(want))
	}

	if err := tn.Reorder(table, 5); err != nil {
		t.Fatal(err)
	}
	mixed := rowsOf(tn, table)
	if cmp.Equal(mixed, want) {
		t.Error("the order is the same")
	}
	if diff := cmp.Diff(count(mixed), count(want)); diff != "" {
		t.Error(diff)
	}

	var still []string
	for r := range held.Scan() {
		still = append(still, string(r.Raw))
	}
	if diff := cmp.Diff(still, before); diff != "" {
		t.Errorf("an open scan changed: %s", diff)
	}
	if err := tn.Restamp("Nope", now, 0); err == nil {
		t.Error("restamp of an unknown table: want an error")
	}
}

func count(rows []string) map[string]int {
	m := make(map[string]int)
	for _, r := range rows {
		m[r]++
	}
	return m
}

func TestTenant_IsSafeUnderConcurrency(t *testing.T) {
	tn := generate(t, tenant.Options{Scale: 0.02, Only: []string{"AlertInfo", "DeviceEvents"}})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for k := range 20 {
				row := fmt.Sprintf(`{"AlertId":"%d-%d","x%d":1}`, i, k, k)
				if err := tn.Append("AlertInfo", now, row); err != nil {
					t.Error(err)
				}
				_ = tn.Restamp("DeviceEvents", now, time.Second)
				_, _ = tn.Delete("DeviceEvents", func(n int, _ []byte) bool { return n == 0 })
			}
		})
		wg.Go(func() {
			for range 20 {
				src, _ := tn.Source("AlertInfo", tenant.View{})
				for range src.Scan() {
				}
				_ = rowsOf(tn, "DeviceEvents")
				_ = tn.Now()
			}
		})
	}
	wg.Wait()
	if n := tn.Count("AlertInfo"); n != 5+80 {
		t.Errorf("%d rows, want 85", n)
	}
	if n := tn.Count("DeviceEvents"); n != 140-80 {
		t.Errorf("%d rows, want 60", n)
	}
}

func TestTenant_Clock(t *testing.T) {
	tn := tenant.New(now)
	machine := time.Unix(0, 0)
	tn.Run(func() time.Time { return machine })
	machine = machine.Add(90 * time.Second)
	if got := tn.Now(); !got.Equal(now.Add(90 * time.Second)) {
		t.Errorf("running: %s", got)
	}
	tn.Advance(time.Hour)
	if got := tn.Now(); !got.Equal(now.Add(time.Hour + 90*time.Second)) {
		t.Errorf("advanced: %s", got)
	}
	tn.Stand(now)
	machine = machine.Add(time.Hour)
	if got := tn.Now(); !got.Equal(now) {
		t.Errorf("standing: %s", got)
	}
}

func TestLoad_NamesWhatItSkips(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "with a blank [and more]")
	write := func(name, text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write("DeviceInfo.json", "[]")
	write(".hidden", "")
	if _, err := tenant.Load(dir, tenant.LoadOptions{}); err == nil || !strings.Contains(err.Error(), "DeviceInfo.json") || strings.Contains(err.Error(), "hidden") {
		t.Errorf("a folder of .json alone: %v, want an error that names the file", err)
	}
	write("DeviceEvents.jsonl", `{"DeviceId":"a"}`)
	tn, err := tenant.Load(dir, tenant.LoadOptions{})
	if err != nil || tn.Count("DeviceEvents") != 1 {
		t.Fatalf("a folder with a blank and brackets in its path: %v", err)
	}
	if skipped, err := tenant.Skipped(dir); err != nil || !slices.Equal(skipped, []string{"DeviceInfo.json"}) {
		t.Errorf("skipped %q, %v", skipped, err)
	}
}
