package kql_test

import (
	"strings"
	"testing"

	"github.com/defender2adx/defender2adx/internal/kql"
)

// unquote reads a literal as the engine does: backslash escapes, no raw line end
// and no unescaped mark inside.
func unquote(t *testing.T, literal string, mark byte) string {
	t.Helper()
	if len(literal) < 2 || literal[0] != mark || literal[len(literal)-1] != mark {
		t.Fatalf("%q is no literal in %c", literal, mark)
	}
	var b strings.Builder
	body := literal[1 : len(literal)-1]
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == mark || c == '\n' || c == '\r':
			t.Fatalf("%q ends early or spans lines", literal)
		case c != '\\':
			b.WriteByte(c)
		default:
			i++
			if i == len(body) {
				t.Fatalf("%q ends in an escape", literal)
			}
			switch body[i] {
			case 'n':
				b.WriteByte('\n')
			case 'r':
				b.WriteByte('\r')
			case 't':
				b.WriteByte('\t')
			case 'u':
				var r rune
				for _, h := range body[i+1 : i+5] {
					r = r*16 + rune(strings.IndexRune("0123456789abcdef", h))
				}
				b.WriteRune(r)
				i += 4
			case '\\', '\'', '"':
				b.WriteByte(body[i])
			default:
				t.Fatalf("%q has the escape \\%c", literal, body[i])
			}
		}
	}
	return b.String()
}

func FuzzString_ReadsBack(f *testing.F) {
	for _, s := range []string{"", "a", `C:\temp "x" 'y'`, "a\r\nb\x00", "😀", "a\xffb", "'] | take 1 //", "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want := string([]rune(text)) // invalid bytes become U+FFFD
		if got := unquote(t, kql.String(text), '"'); got != want {
			t.Errorf("String(%q) reads back as %q", text, got)
		}
		name := kql.Name(text)
		if got := unquote(t, strings.TrimSuffix(strings.TrimPrefix(name, "["), "]"), '\''); got != want {
			t.Errorf("Name(%q) reads back as %q", text, got)
		}
	})
}
