package rowpath_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"github.com/defender2adx/defender2adx/emulator/sampledata"
	"github.com/defender2adx/defender2adx/internal/rowpath"
)

func TestCopy_WritesARowALine(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"rows in order", `{"results":[{"a":1},{"a":2}]}`, "{\"a\":1}\n{\"a\":2}\n"},
		{"no rows", `{"schema":[],"results":[]}`, ""},
		{"results null", `{"results":null}`, ""},
		{"results absent", `{"Stats":{"x":[1,2]}}`, ""},
		{"members in any order and case", `{"Results":[{"a":1}],"Stats":{},"Schema":null}`, "{\"a\":1}\n"},
		{"a member name with escapes", `{"\u0072esults":[{"a":1}]}`, "{\"a\":1}\n"},
		{"error null is none", `{"error":null,"results":[{}]}`, "{}\n"},
		{"white space between tokens goes", " { \"results\" : [ { \"a b\" : [ 1 ,\t2 ] ,\r\n \"c\" : { } , \"d\":[ ] } ] } \n", "{\"a b\":[1,2],\"c\":{},\"d\":[]}\n"},
		{"white space inside strings stays", `{"results":[{"a":" x  "}]}`, "{\"a\":\" x  \"}\n"},
		{"numbers stay as written", `{"results":[{"a":9007199254740993,"b":1.0,"c":-0,"d":1E+05,"e":0.10}]}`, "{\"a\":9007199254740993,\"b\":1.0,\"c\":-0,\"d\":1E+05,\"e\":0.10}\n"},
		{"escapes stay as written", `{"results":[{"a":"\u00e9\/\\\"\ud800 \u0000"}]}`, `{"a":"\u00e9\/\\\"\ud800 \u0000"}` + "\n"},
		{"invalid UTF-8 passes through", "{\"results\":[{\"a\":\"\xff\xc3\"}]}", "{\"a\":\"\xff\xc3\"}\n"},
		{"repeated members and order stay", `{"results":[{"b":1,"a":2,"b":3}]}`, "{\"b\":1,\"a\":2,\"b\":3}\n"},
		{"annotation first", `{"results":[{"a@odata.type":"x","a":1}]}`, "{\"a\":1}\n"},
		{"annotation in the middle", `{"results":[{"a":1,"b@odata.type":{"c":[1]},"b":2}]}`, "{\"a\":1,\"b\":2}\n"},
		{"annotation last", `{"results":[{"a":1,"@odata.type":"x"}]}`, "{\"a\":1}\n"},
		{"annotations only", `{"results":[{"@odata.type":"x","@odata.id":1}]}`, "{}\n"},
		{"annotations at every level", `{"results":[{"a":[{"@odata.type":"x","b":{"c":1,"@odata.type":"y"}}]}]}`, "{\"a\":[{\"b\":{\"c\":1}}]}\n"},
		{"annotations among white space", `{"results":[ { "@odata.type" : "x" , "a" : 1 , "b@odata.type" : 2 , "c" : 3 } ]}`, "{\"a\":1,\"c\":3}\n"},
		{"annotation inside an annotation", `{"results":[{"x@odata.y":{"@odata.z":{"q":1}},"a":1}]}`, "{\"a\":1}\n"},
		{"annotation with escapes in its name", `{"results":[{"\u0040odata.type":1,"a":1}]}`, "{\"a\":1}\n"},
		{"the same text in a value stays", `{"results":[{"a":"@odata.type"}]}`, "{\"a\":\"@odata.type\"}\n"},
		{"other names with @ stay", `{"results":[{"a@b":1}]}`, "{\"a@b\":1}\n"},
		{"a name that starts like the one before", `{"results":[{"ab":1,"c":2},{"a":1,"ab":2},{"ab":3,"c":4}]}`, "{\"ab\":1,\"c\":2}\n{\"a\":1,\"ab\":2}\n{\"ab\":3,\"c\":4}\n"},
		{"brackets and quotes inside strings", `{"results":[{"a":"}],{\"","b":"[,"}]}`, `{"a":"}],{\"","b":"[,"}` + "\n"},
		{"depth at the limit", `{"results":[{"a":` + strings.Repeat("[", 511) + strings.Repeat("]", 511) + `}]}`, `{"a":` + strings.Repeat("[", 511) + strings.Repeat("]", 511) + "}\n"},
		{"strings longer than a word", `{"results":[{"abcdefghijklmnop":"0123456789abcdef\"0123456789"}]}`, `{"abcdefghijklmnop":"0123456789abcdef\"0123456789"}` + "\n"},
	}
	readers := map[string]func(io.Reader) io.Reader{
		"at once":       func(r io.Reader) io.Reader { return r },
		"byte by byte":  iotest.OneByteReader,
		"end with data": iotest.DataErrReader,
	}
	for _, tt := range tests {
		for how, reader := range readers {
			t.Run(tt.name+", "+how, func(t *testing.T) {
				got, res, err := plain(reader(strings.NewReader(tt.body)), rowpath.Options{})
				if err != nil {
					t.Fatalf("Copy(%q): %v", tt.body, err)
				}
				if got != tt.want {
					t.Errorf("Copy(%q) = %q, want %q", tt.body, got, tt.want)
				}
				want := rowpath.Result{Rows: int64(strings.Count(tt.want, "\n")), Bytes: int64(len(tt.want))}
				if res.Rows != want.Rows || res.Bytes != want.Bytes {
					t.Errorf("Copy(%q) counts %d rows, %d bytes; want %d, %d", tt.body, res.Rows, res.Bytes, want.Rows, want.Bytes)
				}
			})
		}
	}
}

func TestCopy_Malformed(t *testing.T) {
	bodies := map[string]string{
		"no object":                  `[{"a":1}]`,
		"HTML":                       `<html><title>502 Bad Gateway</title></html>`,
		"something after the end":    `{"results":[]} x`,
		"a second document":          `{"results":[]}{}`,
		"results no array":           `{"results":{"a":1}}`,
		"results twice":              `{"results":[],"Results":[]}`,
		"a row that is no object":    `{"results":[{"a":1},2]}`,
		"a null row":                 `{"results":[null]}`,
		"comma before the end":       `{"results":[{"a":1},]}`,
		"comma before a row's end":   `{"results":[{"a":1,}]}`,
		"comma before the first":     `{"results":[{,"a":1}]}`,
		"no comma":                   `{"results":[{"a":1 "b":2}]}`,
		"no colon":                   `{"results":[{"a" 1}]}`,
		"no colon in an annotation":  `{"results":[{"@odata.x" 1}]}`,
		"two commas in an array":     `{"results":[{"a":[1,,2]}]}`,
		"wrong bracket":              `{"results":[{"a":[1}]}`,
		"wrong bracket for object":   `{"results":[{"a":1]]}`,
		"unquoted name":              `{"results":[{a:1}]}`,
		"single quotes":              `{"results":[{'a':1}]}`,
		"bad literal":                `{"results":[{"a":trux}]}`,
		"literal too long":           `{"results":[{"a":nullx}]}`,
		"NaN":                        `{"results":[{"a":NaN}]}`,
		"leading zero":               `{"results":[{"a":01}]}`,
		"leading plus":               `{"results":[{"a":+1}]}`,
		"no digit after the point":   `{"results":[{"a":1.}]}`,
		"no digit after exponent":    `{"results":[{"a":1e}]}`,
		"lone minus":                 `{"results":[{"a":-}]}`,
		"unknown escape":             `{"results":[{"a":"\x41"}]}`,
		"short unicode escape":       `{"results":[{"a":"\u00g1"}]}`,
		"line end in a string":       "{\"results\":[{\"a\":\"x\ny\"}]}",
		"NUL in a string":            "{\"results\":[{\"a\":\"x\x00y\"}]}",
		"NUL between tokens":         "{\"results\":[{\"a\":\x001}]}",
		"nested too deeply":          `{"results":[{"a":` + strings.Repeat("[", 512) + strings.Repeat("]", 512) + `}]}`,
		"fault inside an annotation": `{"results":[{"@odata.x":[1,,2],"a":1}]}`,
		"fault in a skipped member":  `{"Stats":{"a":tru},"results":[]}`,
		"schema no list":             `{"schema":7,"results":[]}`,
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			_, _, err := plain(strings.NewReader(body), rowpath.Options{})
			var fault *rowpath.SyntaxError
			if !errors.As(err, &fault) {
				t.Errorf("Copy(%q) = %v, want a SyntaxError", body, err)
			}
		})
	}
}

// A body cut at any byte but inside the white space after its end must be told
// from a whole one.
func TestCopy_CutAnywhere(t *testing.T) {
	const body = `{"schema":[{"name":"a","type":"Int64"}],"results":[{"a@odata.type":"#Int64","a":12.5e3,"b":"x\u00e9"},{"a":true,"b":[null,{}]}],"n":12}`
	for n := range len(body) {
		_, _, err := plain(strings.NewReader(body[:n]), rowpath.Options{})
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("Copy(%q) = %v, want unexpected EOF", body[:n], err)
		}
	}
}

func TestCopy_ErrorInAnswer(t *testing.T) {
	_, _, err := plain(strings.NewReader(`{"results":[{"a":1}],"error":{"code":"X","message":"too much","innerError":{}}}`), rowpath.Options{})
	var answer *rowpath.AnswerError
	if !errors.As(err, &answer) || answer.Code != "X" || answer.Message != "too much" {
		t.Errorf("Copy = %v, want the error in the answer", err)
	}
}

func TestCopy_ReadAndWriteErrorsDiffer(t *testing.T) {
	broken := errors.New("connection reset")
	_, _, err := plain(io.MultiReader(strings.NewReader(`{"results":[{"a":1},`), iotest.ErrReader(broken)), rowpath.Options{})
	var write *rowpath.WriteError
	if !errors.Is(err, broken) || errors.As(err, &write) {
		t.Errorf("Copy from a broken source = %v, want its error and no WriteError", err)
	}
	_, err = rowpath.Copy(brokenWriter{broken}, strings.NewReader(`{"results":[{"a":1}]}`), rowpath.Options{})
	if !errors.As(err, &write) || !errors.Is(err, broken) {
		t.Errorf("Copy to a broken destination = %v, want a WriteError", err)
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func TestCopy_SchemaInEitherCase(t *testing.T) {
	want := []rowpath.Column{{Name: "A", Type: "DateTime"}, {Name: "B", Type: "SByte"}}
	for _, body := range []string{
		`{"schema":[{"name":"A","type":"DateTime"},{"name":"B","type":"SByte"}],"results":[]}`,
		`{"Results":[],"Schema":[{"Name":"A","Type":"DateTime"},{"Type":"SByte","Name":"B","x":[1]}]}`,
	} {
		_, res, err := plain(strings.NewReader(body), rowpath.Options{})
		if err != nil {
			t.Fatalf("Copy(%q): %v", body, err)
		}
		if diff := cmp.Diff(want, res.Columns); diff != "" {
			t.Errorf("Copy(%q) columns (-want +got):\n%s", body, diff)
		}
	}
}

func TestCopy_Capped(t *testing.T) {
	for rows, want := range map[int]bool{2: false, 3: true, 4: true} {
		body := `{"results":[{}` + strings.Repeat(",{}", rows-1) + `]}`
		_, res, err := plain(strings.NewReader(body), rowpath.Options{MaxRows: 3})
		if err != nil || res.Capped != want || res.Rows != int64(rows) {
			t.Errorf("Copy of %d rows with a cap of 3 = %+v, %v; want capped %v", rows, res, err, want)
		}
	}
}

func TestCopy_CutsLongRows(t *testing.T) {
	long := strings.Repeat("x", 100)
	tests := []struct {
		name, row, want string
		limit           int
	}{
		{"exactly at the limit", `{"a":"` + long + `"}`, `{"a":"` + long + `"}`, 108},
		{"the longest text is cut first", `{"a":"` + long + `","b":"yy"}`, `{"a":"` + long[:65] + `","b":"yy","_truncated":true}`, 100},
		{"the next longest when that is not enough", `{"a":"aaaaaaaaaaaaaaa","b":"bbbbbbbbbbbbbbbbb"}`, `{"a":"aaaaa","b":"","_truncated":true}`, 38},
		{"texts at any depth", `{"a":[{"b":"` + long + `"}],"c":1}`, `{"a":[{"b":"` + long[:10] + `"}],"c":1,"_truncated":true}`, 50},
		{"never a name", `{"` + long + `":"yyyyyyyyyyyyyyyyyyyyyyyyy"}`, `{"` + long + `":"yyyyy","_truncated":true}`, 130},
		{"not inside a character", `{"a":"` + strings.Repeat("é", 20) + `"}`, `{"a":"` + strings.Repeat("é", 7) + `","_truncated":true}`, 41},
		{"not inside an escape", `{"a":"` + strings.Repeat(`\u00e9`, 10) + `"}`, `{"a":"\u00e9\u00e9","_truncated":true}`, 43},
		{"not between surrogates", `{"a":"` + strings.Repeat(`\ud83d\ude00`, 10) + `"}`, `{"a":"\ud83d\ude00","_truncated":true}`, 49},
		{"a lone surrogate is one escape", `{"a":"` + strings.Repeat(`\ud83d`, 10) + `"}`, `{"a":"\ud83d\ud83d","_truncated":true}`, 43},
		{"not after a backslash", `{"a":"` + strings.Repeat(`\\`, 20) + `"}`, `{"a":"\\\\","_truncated":true}`, 31},
		{"a member without long texts becomes null", `{"a":[` + strings.Repeat("1,", 50) + `1],"b":2}`, `{"a":null,"b":2,"_truncated":true}`, 60},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := `{"results":[{"k":1},` + tt.row + `,{"k":2}]}`
			got, res, err := plain(strings.NewReader(body), rowpath.Options{RowLimit: tt.limit})
			if err != nil {
				t.Fatal(err)
			}
			want := "{\"k\":1}\n" + tt.want + "\n{\"k\":2}\n"
			if got != want {
				t.Errorf("Copy(%q, limit %d)\n got %s\nwant %s", tt.row, tt.limit, got, want)
			}
			cut := int64(0)
			if tt.row != tt.want {
				cut = 1
			}
			if res.Cut != cut || res.Bytes != int64(len(want)) || len(tt.want) > tt.limit {
				t.Errorf("Copy(%q, limit %d) = %+v, want %d cut and %d bytes", tt.row, tt.limit, res, cut, len(want))
			}
		})
	}
	if _, _, err := plain(strings.NewReader(`{"results":[{"a":1,"b":2}]}`), rowpath.Options{RowLimit: 10}); err == nil {
		t.Error("a row that cannot be cut to the limit is no error")
	}
}

// Rows around and beyond the size of the buffers, wherever the buffers end.
func TestCopy_RowsLargerThanTheBuffer(t *testing.T) {
	var body, want strings.Builder
	body.WriteString(`{"results": [`)
	for i, n := range []int{1, 40_000, 131_000, 131_072, 131_080, 5, 1_500_000, 7, 300_000} {
		if i > 0 {
			body.WriteString(" , ")
		}
		text := strings.Repeat("é", n/2)
		fmt.Fprintf(&body, `{ "n": %d, "text@odata.type": "%s", "text": "%s" }`, n, text, text)
		fmt.Fprintf(&want, "{\"n\":%d,\"text\":\"%s\"}\n", n, text)
	}
	body.WriteString("]}")
	got, res, err := plain(strings.NewReader(body.String()), rowpath.Options{})
	if err != nil || got != want.String() || res.Rows != 9 {
		t.Errorf("Copy of large rows: %d rows, %d bytes, %v; want 9 rows, %d bytes", res.Rows, len(got), err, want.Len())
	}
}

func TestCopy_GzipHoldsTheSameRows(t *testing.T) {
	body := answer(2_000, annotatedRow)
	want, wantRes, err := plain(bytes.NewReader(body), rowpath.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	res, err := rowpath.Copy(&packed, bytes.NewReader(body), rowpath.Options{})
	if err != nil {
		t.Fatal(err)
	}
	gz, err := gzip.NewReader(&packed)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(gz)
	if err != nil || string(got) != want {
		t.Errorf("gzip of rows: %v, %d bytes unpacked, want %d", err, len(got), len(want))
	}
	if diff := cmp.Diff(wantRes, res); diff != "" {
		t.Errorf("results differ (-plain +gzip):\n%s", diff)
	}
}

func TestCopy_MemoryDoesNotGrowWithTheAnswer(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 30 MB")
	}
	allocated := func(rows int) float64 {
		body := answer(rows, narrowRow)
		copyOnce := func() {
			if _, err := rowpath.Copy(io.Discard, bytes.NewReader(body), rowpath.Options{Plain: true}); err != nil {
				t.Fatal(err)
			}
		}
		copyOnce()
		return testing.AllocsPerRun(5, copyOnce)
	}
	// Pooled buffers may be dropped in between, so the bound is loose; a single
	// allocation a row would exceed it a hundredfold.
	if few, many := allocated(100), allocated(20_000); many > few+200 {
		t.Errorf("20,000 rows took %.0f allocations, 100 rows %.0f", many, few)
	}
}

func TestCopy_PublishedAnswers(t *testing.T) {
	dir := sampledata.Path(t, "api-responses")
	var files []string
	for _, pattern := range []string{"graph-runhuntingquery-200*", "mde-advancedqueries-run-200*", "m365d-advancedhunting-run-200*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern+".json"))
		if err != nil || len(found) == 0 {
			t.Fatalf("no published answer matches %s: %v", pattern, err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, body)
			got, res, err := plain(bytes.NewReader(body), rowpath.Options{})
			if err != nil || len(res.Columns) == 0 || strings.Contains(got, "@odata.") {
				t.Errorf("Copy(%s) = %d columns, %v; rows %s", filepath.Base(file), len(res.Columns), err, got)
			}
		})
	}
}

// plain copies without gzip.
func plain(src io.Reader, opt rowpath.Options) (string, rowpath.Result, error) {
	var out bytes.Buffer
	opt.Plain = true
	res, err := rowpath.Copy(&out, src, opt)
	return out.String(), res, err
}
