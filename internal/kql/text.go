// Package kql writes the parts of Kusto query text that are not constant: names
// and literals. It holds the only quoting rules in the product; everything else
// in a query is constant text. It neither parses nor sends queries.
package kql

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Name returns name as a bracketed, quoted identifier: ['DeviceInfo']. Quoting
// is unconditional, so keywords and leading digits need no special case.
func Name(name string) string { return "[" + quote(name, '\'') + "]" }

// String returns text as a string literal in double quotes. Characters outside
// ASCII are written as they are: KQL source is UTF-8, and escapes above U+FFFF
// do not exist. Invalid UTF-8 becomes U+FFFD.
func String(text string) string { return quote(text, '"') }

// Strings returns string literals with a comma between two, for the operator in.
func Strings(texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = String(t)
	}
	return strings.Join(quoted, ", ")
}

func quote(text string, mark byte) string {
	var b strings.Builder
	b.Grow(len(text) + 2)
	b.WriteByte(mark)
	for _, r := range text {
		switch {
		case r == rune(mark) || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029':
			fmt.Fprintf(&b, `\u%04x`, r)
		case r == utf8.RuneError:
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte(mark)
	return b.String()
}

// Datetime returns t as a UTC datetime literal on Kusto's 100 ns tick; a finer
// remainder is cut. The zero time.Time is datetime(null).
func Datetime(t time.Time) string {
	if t.IsZero() {
		return "datetime(null)"
	}
	return "datetime(" + t.UTC().Format("2006-01-02T15:04:05.0000000Z") + ")"
}

// Seconds returns d as a timespan literal in whole seconds, rounded up.
func Seconds(d time.Duration) string {
	s := int64((d + time.Second - 1) / time.Second)
	return strconv.FormatInt(s, 10) + "s"
}

// Long returns n as a long literal.
func Long(n int64) string { return "long(" + strconv.FormatInt(n, 10) + ")" }
