package rowpath_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/rowpath"
)

// Whatever is expected of the next name, what stands there counts.
func TestCopy_NamesThatAreNotTheOnesExpected(t *testing.T) {
	long := strings.Repeat("x", 300)
	var many []string
	for i := range 1200 {
		many = append(many, fmt.Sprintf(`{"name%d":%d}`, i%700, i))
	}
	const noted = `"a@odata.type":"#Int64",`
	tests := []struct {
		name string
		rows []string
		want []string // nil: rows
	}{
		{"orders that take turns", []string{`{"a":1,"b":2,"c":3}`, `{"b":2,"a":1,"c":3}`, `{"c":3,"b":2}`, `{"a":1,"b":2,"c":3}`, `{"b":2,"a":1,"c":3}`, `{}`}, nil},
		{"a name that begins like another", []string{`{"ab":1}`, `{"a":1}`, `{"abc":1}`, `{"ab":1}`}, nil},
		{"names of sixteen bytes and around", []string{`{"abcdefghijkl":1,"abcdefghijklm":2,"abcdefghijklmn":3,"abcdefghijklmno":4}`,
			`{"abcdefghijkl":1,"abcdefghijklm":2,"abcdefghijklmX":3,"abcdefghijklmnX":4}`}, nil},
		{"more names than are remembered, and a very long one", append(many, `{"`+long+`":1}`, `{"`+long+`":2}`), nil},
		{"the same name at two depths", []string{`{"a":{"a":1,"b":2},"b":3}`, `{"a":{"b":1,"a":2},"b":{"a":3}}`}, nil},
		{"white space before the colon", []string{`{"a" :1,"b":2}`, `{"a":1,"b" : 2}`, `{"a" :1}`}, []string{`{"a":1,"b":2}`, `{"a":1,"b":2}`, `{"a":1}`}},
		{"an annotation whose value changes", []string{`{` + noted + `"a":1}`, `{"a@odata.type":"#Int64X","a":1}`, `{"a@odata.type":{"b":[1]},"a":1}`, `{` + noted + `"a":1}`},
			[]string{`{"a":1}`, `{"a":1}`, `{"a":1}`, `{"a":1}`}},
		{"an annotation between, at the end and alone", []string{`{"b":1,` + noted + `"a":1}`, `{"b":1,"a@odata.type":"#Int64"}`, `{"a@odata.type":"#Int64"}`, `{"b":1,` + noted + `"a":1}`},
			[]string{`{"b":1,"a":1}`, `{"b":1}`, `{}`, `{"b":1,"a":1}`}},
		{"another name after an annotation, and white space", []string{`{` + noted + `"a":1}`, `{` + noted + `"ab":2}`, `{` + noted + `"b":3,` + noted + `"a": 4}`, `{` + noted + `"a":{` + noted + `"a":[5]}}`, `{` + noted + ` "a":6}`},
			[]string{`{"a":1}`, `{"ab":2}`, `{"b":3,"a":4}`, `{"a":{"a":[5]}}`, `{"a":6}`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.want
			if want == nil {
				want = tt.rows
			}
			var out bytes.Buffer
			body := `{"results":[` + strings.Join(tt.rows, ",") + `]}`
			if _, err := rowpath.Copy(&out, strings.NewReader(body), rowpath.Options{Plain: true}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// An expected annotation does not make a comma before a bracket valid.
func TestCopy_NothingAfterAnExpectedAnnotation(t *testing.T) {
	const noted = `"a@odata.type":"#Int64",`
	for _, row := range []string{`{` + noted + `}`, `{` + noted + `,"a":1}`, `{` + noted + `1}`} {
		body := `{"results":[{` + noted + `"a":1},` + row + `]}`
		var out bytes.Buffer
		if _, err := rowpath.Copy(&out, strings.NewReader(body), rowpath.Options{Plain: true}); err == nil {
			t.Errorf("%s: no error", row)
		}
	}
}
