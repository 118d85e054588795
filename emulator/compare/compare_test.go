package compare_test

import (
	"slices"
	"testing"

	"github.com/defender2adx/defender2adx/emulator/compare"
)

func TestOf(t *testing.T) {
	equal := [][2]string{
		{`{"a":1,"b":[true,null]}`, ` { "b" : [ true , null ] , "a" : 1 } `},
		{`{"a":1.50}`, `{"a":1.5}`},
		{`{"a":1e2}`, `{"a":100.0}`},
		{`{"a":"\u00e9"}`, `{"a":"é"}`},
		{`9007199254740993`, `9007199254740993`},
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

func TestCompare(t *testing.T) {
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
