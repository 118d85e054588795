package blobstore

import (
	"fmt"
	"net/url"
	"strings"
)

// Escape makes any text one segment of a blob name or a metadata value: letters,
// digits, '-' and '_' stand for themselves, every other byte is %XX. It is
// stricter than url.PathEscape, because dots at the ends of segments and
// characters beyond ASCII are trouble in blob names. Unescape reverses it.
func Escape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if c := text[i]; c == '-' || c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// Unescape reverses Escape.
func Unescape(segment string) (string, error) { return url.PathUnescape(segment) }
