package compare_test

import (
	"slices"
	"testing"

	"github.com/defender2adx/defender2adx/emulator/compare"
)

func TestOf_ComparesByMeaning(t *testing.T) {
	equal := [][2]string{
		{`{"a":1,"b":[true,null]}`, ` { "b" : [ true , null ] , "a" : 1 } `},
		{`{"a":1.50}`, `{"a":1.5}`},
		{`{"a":1e2}`, `{"a":100.0}`},
		{`{"a":"\u00e9"}`, `{"a":"é"}`},
		{`9007199254740993`, `9007199254740993`},
		{`{"a":[1e400,-1E+400]}`, `{"a":["Infinity","-Infinity"]}`},
		{`1e-400`, `0.0`},
		{`123456789012345678901234567890`, `1.2345678901234568e+29`},
	}
	for _, p := range equal {
		a, errA := compare.Of([]byte(p[0]))
		b, errB := compare.Of([]byte(p[1]))
		if errA != nil || errB != nil || a != b {
			t.Errorf("%s and %s differ (%v, %v), want equal", p[0], p[1], errA, errB)
		}
	}
	different := [][2]string{
		{`{"a":null}`, `{}`},
		{`{"a":""}`, `{"a":null}`},
		{`{"a":1}`, `{"a":"1"}`},
		{`{"a":1}`, `{"a":1.0}`},
		{`9007199254740993`, `9007199254740992`},
		{`[1,2]`, `[2,1]`},
		{`{"a":"1,"}`, `{"a":"1"}`},
	}
	for _, p := range different {
		a, errA := compare.Of([]byte(p[0]))
		b, errB := compare.Of([]byte(p[1]))
		if errA != nil || errB != nil || a == b {
			t.Errorf("%s and %s are equal (%v, %v), want different", p[0], p[1], errA, errB)
		}
	}
	for _, bad := range []string{``, `{`, `{} {}`, `nul`} {
		if _, err := compare.Of([]byte(bad)); err == nil {
			t.Errorf("Of(%q) reads, want an error", bad)
		}
	}
}

// DeviceInfo has OSBuild as a number, LoggedOnUsers as a text and no New.
func TestCollect_AsTheHandlerPassesRows(t *testing.T) {
	for _, tt := range []struct {
		name, source, arrived string
		equal                 bool
	}{
		{"a null that Graph wrote as {}", `{"OSBuild":null}`, `{"OSBuild":null}`, true},
		{"a {} of the source in a number", `{"OSBuild":{}}`, `{"OSBuild":null}`, true},
		{"a null that was not restored", `{"OSBuild":null}`, `{"OSBuild":{}}`, false},
		{"null in an unknown column", `{"New":null}`, `{"New":{}}`, true},
		{"an empty object in an unknown column", `{"New":{}}`, `{"New":null}`, true},
		{"absent is not null", `{"New":null}`, `{}`, false},
		{"nested objects stay", `{"New":{"a":{}}}`, `{"New":{"a":null}}`, false},
		{"annotations go", `{"@odata.type":"x","OSBuild@odata.type":"#Int64","OSBuild":1,"New":[{"@odata.type":"y","a":1}]}`, `{"OSBuild":1,"New":[{"a":1}]}`, true},
		{"annotations that were stored", `{"OSBuild":1}`, `{"OSBuild@odata.type":"#Int64","OSBuild":1}`, false},
	} {
		source, errA := compare.CollectSource("DeviceInfo", slices.Values([][]byte{[]byte(tt.source)}))
		arrived, errB := compare.CollectArrived("DeviceInfo", slices.Values([][]byte{[]byte(tt.arrived)}))
		if got := compare.Compare(source, arrived).OK(); errA != nil || errB != nil || got != tt.equal {
			t.Errorf("%s: equal %v (%v, %v), want %v", tt.name, got, errA, errB, tt.equal)
		}
	}
}

func TestDifferences_NameRowAndMember(t *testing.T) {
	rows := func(texts ...string) (b [][]byte) {
		for _, s := range texts {
			b = append(b, []byte(s))
		}
		return b
	}
	source := rows(
		`{"DeviceId":"a","ReportId":1,"OSBuild":1,"OSVersion":"x"}`,
		`{"DeviceId":"b","ReportId":2,"OSBuild":1,"@odata.type":"left out"}`,
		`{"DeviceId":"c","ReportId":3,"OSBuild":5,"OSVersion":"y"}`,
		`{"DeviceId":"d","New":{"k":1},"Other":2}`,
	)
	arrived := rows(
		`{"DeviceId":"d","New":{"k":1},"Other":2}`,
		`{"DeviceId":"d","New":{"k":1},"Other":2}`,
		`{"OSBuild":1,"DeviceId":"b","ReportId":2}`,
		`{"DeviceId":"a","ReportId":1,"OSBuild":2,"OSVersion":"x"}`,
	)
	got, err := compare.Differences("DeviceInfo", slices.Values(source), slices.Values(arrived), 5)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, d := range got {
		said = append(said, d.String())
	}
	want := []string{
		"row 1 (ReportId=1, DeviceId=a): arrived with another OSBuild",
		"row 3 (ReportId=3, DeviceId=c): did not arrive",
		"row 2 (DeviceId=d): in ADX beyond what the source has",
	}
	if !slices.Equal(said, want) {
		t.Errorf("differences %q, want %q", said, want)
	}
	if got, err := compare.Differences("DeviceInfo", slices.Values(source), slices.Values(arrived), 1); err != nil || len(got) != 1 {
		t.Errorf("with a limit of 1: %v, %v", got, err)
	}
}

func TestCompare_TellsWhatDiffers(t *testing.T) {
	rows := func(texts ...string) compare.Rows {
		var b [][]byte
		for _, s := range texts {
			b = append(b, []byte(s))
		}
		r, err := compare.Collect(slices.Values(b))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	tests := []struct {
		name            string
		source, arrived compare.Rows
		want            compare.Result
	}{
		{"equal", rows(`1`, `1`, `2`), rows(`2`, `1`, `1`), compare.Result{Source: 3, Arrived: 3}},
		{"one of two equal rows is missing", rows(`1`, `1`), rows(`1`), compare.Result{Source: 2, Arrived: 1, Missing: 1}},
		{"a row twice", rows(`1`), rows(`1`, `1`), compare.Result{Source: 1, Arrived: 2, Repeated: 1}},
		{"a changed row counts twice", rows(`1`), rows(`2`), compare.Result{Source: 1, Arrived: 1, Missing: 1, Repeated: 1}},
	}
	for _, tt := range tests {
		if got := compare.Compare(tt.source, tt.arrived); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}
