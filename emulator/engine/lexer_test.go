package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLexer_ReadsCommands(t *testing.T) {
	lx := NewLexer(`.create-merge table ['odd name'] (A:string, ['b c']:long) with (folder = 'x') // end`)
	for _, want := range []string{".", "create", "-", "merge", "table"} {
		if tok, err := lx.Next(); err != nil || !tok.Is(want) {
			t.Fatalf("got %+v, %v, want %q", tok, err, want)
		}
	}
	name, err := lx.Name()
	if err != nil || name != "odd name" {
		t.Fatalf("got name %q, %v", name, err)
	}
	cols, err := lx.ParseSchema()
	if diff := cmp.Diff([]Column{{"A", TypeString}, {"b c", TypeLong}}, cols); diff != "" || err != nil {
		t.Fatalf("schema: %v %s", err, diff)
	}
	for _, want := range []string{"with", "(", "folder", "="} {
		if tok, err := lx.Next(); err != nil || !tok.Is(want) {
			t.Fatalf("got %+v, %v, want %q", tok, err, want)
		}
	}
	if tok, err := lx.Next(); err != nil || tok.Kind != TokenLiteral || tok.Value != "x" || tok.Line != 1 {
		t.Fatalf("got %+v, %v", tok, err)
	}
	if tok, err := lx.Next(); err != nil || !tok.Is(")") {
		t.Fatalf("got %+v, %v", tok, err)
	}
	if tok, err := lx.Next(); err != nil || tok.Kind != TokenEOF {
		t.Fatalf("got %+v, %v, want the end", tok, err)
	}
}

func TestParseLiteral_ReadsEachType(t *testing.T) {
	tests := []struct {
		text string
		typ  Type
		want any
	}{
		{`long(5)`, TypeLong, int64(5)},
		{`-3`, TypeLong, int64(-3)},
		{`'a\'b'`, TypeString, "a'b"},
		{`datetime(2026-11-01T00:00:00.0000001Z)`, TypeDatetime, *at("2026-11-01") + 1},
		{`datetime(null)`, TypeDatetime, nil},
		{`1h`, TypeTimespan, Timespan(36_000_000_000)},
		{`dynamic([1,'x'])`, TypeDynamic, []any{int64(1), "x"}},
		{`true`, TypeBool, true},
		{`int(7)`, TypeInt, int64(7)},
	}
	for _, tt := range tests {
		typ, v, err := ParseLiteral(tt.text)
		if err != nil || typ != tt.typ {
			t.Errorf("%s: type %s, %v; want %s", tt.text, typ, err, tt.typ)
		}
		if diff := cmp.Diff(tt.want, v); diff != "" {
			t.Errorf("%s: %s", tt.text, diff)
		}
	}
	for _, text := range []string{``, `x`, `1 2`, `long(`, `-'a'`, `datetime(tomorrow)`, `5x`} {
		if _, v, err := ParseLiteral(text); err == nil {
			t.Errorf("%q is read as %v", text, v)
		}
	}
}

func TestDatetime_SurvivesTime(t *testing.T) {
	for _, text := range []string{"0001-01-01T00:00:00.0000000Z", "1969-12-31T23:59:59.9999999Z", "2026-11-21T10:00:00.1234567Z", "9999-12-31T23:59:59.9999999Z"} {
		d, ok := ParseDatetime(text)
		if !ok || FromTime(d.Time()) != d || d.String() != text {
			t.Errorf("%s became %s (%d), read: %v", text, d, d, ok)
		}
	}
}

func TestFormatJSON_WritesEachType(t *testing.T) {
	tests := []struct {
		typ  Type
		v    any
		want string
	}{
		{TypeString, nil, `""`}, {TypeLong, nil, `null`}, {TypeDynamic, nil, `null`},
		{TypeReal, 4.0, `4.0`}, {TypeReal, 1e20, `1e+20`}, {TypeDecimal, 1.5, `"1.5"`},
		{TypeBool, true, `true`}, {TypeTimespan, Timespan(-1), `"-00:00:00.0000001"`},
		{TypeDynamic, RawJSON(`{"a": [1, "x y"]}`), `{"a":[1,"x y"]}`},
		{TypeString, "\x01\n\"é\u2028", `"\u0001\n\"é` + "\u2028" + `"`},
	}
	for _, tt := range tests {
		if got := string(FormatJSON(nil, tt.typ, tt.v)); got != tt.want {
			t.Errorf("%s %v: got %s, want %s", tt.typ, tt.v, got, tt.want)
		}
	}
}
