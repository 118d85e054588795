package rowpath

import (
	"encoding/binary"
	"math/bits"
)

// The classes of a value's first byte, and of white space.
const (
	other = iota
	space
	digit
	letter
	opening
)

var class = [256]uint8{
	' ': space, '\t': space, '\n': space, '\r': space,
	'-': digit, '0': digit, '1': digit, '2': digit, '3': digit, '4': digit,
	'5': digit, '6': digit, '7': digit, '8': digit, '9': digit,
	't': letter, 'f': letter, 'n': letter,
	'{': opening, '[': opening,
}

func skipSpace(p []byte, i int) int {
	for class[p[i]] == space {
		i++
	}
	return i
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// stops looks at eight bytes at once: the lowest set bit of its result marks the
// first byte that is a quote, a backslash or below 0x20. Bits above it may be
// wrong.
func stops(w uint64) uint64 {
	q := w ^ ones*'"'
	b := w ^ ones*'\\'
	// The high bits of q and b are those of w.
	return ((q - ones) | (b - ones) | (w - ones*0x20)) &^ w & highs
}

// stringEnd returns the index after the quote that closes the string whose
// first character is p[i]. On a fault it returns where, and a reason.
func stringEnd(p []byte, i int) (int, string) {
	for {
		m := stops(binary.LittleEndian.Uint64(p[i:]))
		if m == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(m) >> 3
		switch p[i] {
		case '"':
			return i + 1, ""
		case '\\':
			i++
			switch p[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
				i++
			case 'u':
				for k := 1; k <= 4; k++ {
					if !hex(p[i+k]) {
						return i + k, "want four hexadecimal digits"
					}
				}
				i += 5
			default:
				return i, "unknown escape"
			}
		default:
			return i, "control character in a string"
		}
	}
}

func hex(b byte) bool { return b-'0' < 10 || b|0x20-'a' < 6 }

// numberEnd returns the index after the number at p[i], or a fault.
func numberEnd(p []byte, i int) (int, string) {
	const reason = "want a digit"
	if p[i] == '-' {
		i++
	}
	switch {
	case p[i] == '0':
		i++
	case p[i]-'1' < 9:
		for i++; p[i]-'0' < 10; i++ {
		}
	default:
		return i, reason
	}
	if p[i] == '.' {
		i++
		if p[i]-'0' > 9 {
			return i, reason
		}
		for i++; p[i]-'0' < 10; i++ {
		}
	}
	if p[i]|0x20 == 'e' {
		i++
		if p[i] == '+' || p[i] == '-' {
			i++
		}
		if p[i]-'0' > 9 {
			return i, reason
		}
		for i++; p[i]-'0' < 10; i++ {
		}
	}
	return i, ""
}

// The literals' last four letters as words.
const (
	wordTrue = 't' | 'r'<<8 | 'u'<<16 | 'e'<<24
	wordAlse = 'a' | 'l'<<8 | 's'<<16 | 'e'<<24
	wordNull = 'n' | 'u'<<8 | 'l'<<16 | 'l'<<24
)

// literalEnd returns the index after true, false or null at p[i], or a fault.
func literalEnd(p []byte, i int) (int, string) {
	switch w := binary.LittleEndian.Uint32(p[i:]); {
	case w == wordTrue, w == wordNull:
		return i + 4, ""
	case p[i] == 'f' && binary.LittleEndian.Uint32(p[i+1:]) == wordAlse:
		return i + 5, ""
	}
	// Slowly, for the place of the fault: the text may only end too early.
	word := "true"
	switch p[i] {
	case 'f':
		word = "false"
	case 'n':
		word = "null"
	}
	k := 0
	for p[i+k] == word[k] {
		k++
	}
	return i + k, "unknown literal"
}
