package rowpath

import (
	"cmp"
	"fmt"
	"slices"
	"unicode/utf8"
)

const mark = `"_truncated":true`

// span is a part of a row: row[from:to].
type span struct{ from, to int }

func (s span) size() int { return s.to - s.from }

// edit replaces a part of a row.
type edit struct {
	span
	with string
}

// cutRow returns a copy of the row, an object without white space, that is
// marked and no longer than limit: its longest text values are cut, and if that
// is not enough its largest members become null. It is rare and not fast.
func cutRow(row []byte, limit int) ([]byte, error) {
	need := len(row) + len(mark) + len(",") - limit
	texts, members := spans(row)
	edits, saved := cutTexts(row, texts, need)
	if saved < need {
		edits, saved = dropMembers(members, need)
	}
	if saved < need {
		return nil, fmt.Errorf("a row of %d bytes cannot be cut to %d", len(row), limit)
	}
	slices.SortFunc(edits, func(a, b edit) int { return cmp.Compare(a.from, b.from) })
	out := make([]byte, 0, limit)
	at := 0
	for _, e := range edits {
		out = append(append(out, row[at:e.from]...), e.with...)
		at = e.to
	}
	out = append(out, row[at:len(row)-1]...)
	if out[len(out)-1] != '{' {
		out = append(out, ',')
	}
	return append(out, mark+"}"...), nil
}

// cutTexts shortens the longest texts until need bytes are saved or all are empty.
func cutTexts(row []byte, texts []span, need int) (edits []edit, saved int) {
	byLength(texts)
	for _, t := range texts {
		if saved >= need {
			break
		}
		end := t.from + whole(row[t.from:t.to], t.size()-(need-saved))
		edits = append(edits, edit{span: span{end, t.to}})
		saved += t.to - end
	}
	return edits, saved
}

// dropMembers turns the largest members into null until need bytes are saved.
func dropMembers(members []span, need int) (edits []edit, saved int) {
	const null = "null"
	byLength(members)
	for _, m := range members {
		if saved >= need || m.size() <= len(null) {
			break
		}
		edits = append(edits, edit{span: m, with: null})
		saved += m.size() - len(null)
	}
	return edits, saved
}

// byLength sorts the longest first and equals by position.
func byLength(s []span) {
	slices.SortFunc(s, func(a, b span) int {
		return cmp.Or(cmp.Compare(b.size(), a.size()), cmp.Compare(a.from, b.from))
	})
}

// whole returns the length of the longest prefix of a text, as it stands between
// its quotes, that has at most n bytes and ends neither inside a character nor
// inside an escape nor between the halves of a surrogate pair.
func whole(text []byte, n int) int {
	end := 0
	for end < len(text) {
		step := 1
		switch {
		case text[end] == '\\' && text[end+1] == 'u':
			step = 6
			if highSurrogate(text[end:]) && len(text) >= end+12 && text[end+6] == '\\' && text[end+7] == 'u' {
				step = 12
			}
		case text[end] == '\\':
			step = 2
		case text[end] >= utf8.RuneSelf:
			_, step = utf8.DecodeRune(text[end:])
		}
		if end+step > n {
			break
		}
		end += step
	}
	return end
}

// highSurrogate reports whether the escape \uXXXX at the start is D800 to DBFF.
func highSurrogate(escape []byte) bool {
	return escape[2]|0x20 == 'd' && (escape[3] == '8' || escape[3] == '9' || escape[3]|0x20 == 'a' || escape[3]|0x20 == 'b')
}

// spans returns the text values of a row at any depth, without their quotes,
// and the values of its own members. The row is valid and without white space,
// so that a string is a name exactly if a colon follows.
func spans(row []byte) (texts, members []span) {
	depth, start := 0, 0
	for i := 0; i < len(row); i++ {
		switch row[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 && start > 0 {
				members = append(members, span{start, i})
			}
		case ',':
			if depth == 1 {
				members = append(members, span{start, i})
			}
		case '"':
			from := i + 1
			for i++; row[i] != '"'; i++ {
				if row[i] == '\\' {
					i++
				}
			}
			if row[i+1] != ':' {
				texts = append(texts, span{from, i})
			} else if depth == 1 {
				start = i + 2
			}
		}
	}
	return texts, members
}
