package rowpath

import (
	"bytes"
	"encoding/binary"
	"slices"
)

const (
	// maxNames and maxName bound what is remembered; the widest hunting table has
	// less than a hundred columns, the longest name less than a hundred letters.
	maxNames = 512
	maxName  = 256
)

// The first entries of a namePredictor are no names.
const (
	rowStart = iota
	unknown  // a name that is not remembered
	firstName
)

// namePredictor remembers the member names of an answer and which one followed which.
// Rows of one answer nearly always have the same names in the same order, or one
// of a few orders, so the next name is found by comparing it with the ones
// expected rather than by scanning it. A wrong expectation costs a few comparisons.
type namePredictor struct {
	at    int // the last name
	names []memberName
	known map[nameAt]int

	emptyIsNull func(name string) bool // nil: in no column
}

// nameAt is a raw name at a depth of nesting: what follows "@odata.type" differs.
type nameAt struct {
	depth int
	raw   string
}

// memberName is a complete, valid member name.
type memberName struct {
	raw  []byte    // with quotes and colon, without white space between
	word [2]uint64 // its first bytes
	mask [2]uint64 // which of them count
	drop bool      // it is an annotation
	// A bare {} is null in the column of this name.
	nullable bool
	value    []byte // of an annotation when it was first seen, with the comma behind; nil if it was no short string
	next     [4]int // the names that followed it, the last one first; 0 none

	// Of an annotation with a value: both and the name that first followed, which is
	// no annotation, so that one comparison finds all three; nil until then.
	joined []byte
	joins  int // that name
}

// reset forgets all names: those of another table would only be in the way.
func (q *namePredictor) reset(emptyIsNull func(string) bool) {
	q.emptyIsNull = emptyIsNull
	if q.known == nil {
		q.known = make(map[nameAt]int)
	}
	clear(q.known)
	q.names = append(q.names[:0], make([]memberName, firstName)...)
	q.at = rowStart
}

// alternative returns the name that p begins with if it is one of the less likely ones
// expected here; nil if not.
func (q *namePredictor) alternative(p []byte) *memberName {
	last := &q.names[q.at]
	for k := 1; k < len(last.next) && last.next[k] > 0; k++ {
		if n := &q.names[last.next[k]]; n.begins(p) {
			q.observe(last.next[k])
			return n
		}
	}
	return nil
}

// find looks a scanned name up that was not expected here, and expects it from
// now on.
func (q *namePredictor) find(raw []byte, depth int) *memberName {
	i, found := q.known[nameAt{depth, string(raw)}]
	if !found {
		return nil
	}
	q.observe(i)
	return &q.names[i]
}

// learn remembers a new name, unless it is too long or white space stands before
// its colon.
func (q *namePredictor) learn(raw []byte, depth int, drop bool) {
	i := len(q.names)
	if len(raw) > maxName || i > maxNames || raw[len(raw)-2] != '"' {
		q.at = unknown
		q.names[unknown].nullable = q.isNullable(raw)
		return
	}
	name := newMemberName(raw, drop)
	name.nullable = !drop && q.isNullable(raw)
	q.names = append(q.names, name)
	q.known[nameAt{depth, string(raw)}] = i
	q.observe(i)
}

// isNullable asks about a raw name, its colon included.
func (q *namePredictor) isNullable(raw []byte) bool {
	if q.emptyIsNull == nil {
		return false
	}
	return q.emptyIsNull(string(plainText(bytes.TrimRight(raw, ": \t\r\n"))))
}

// learnValue remembers the value of the annotation whose name came last.
func (q *namePredictor) learnValue(value []byte) {
	if n := &q.names[q.at]; n.drop && n.value == nil && len(value) <= maxName {
		n.value = bytes.Clone(value)
	}
}

// observe notes that name i came after the last one.
func (q *namePredictor) observe(i int) {
	next := &q.names[q.at].next
	k := 0
	for k < len(next)-1 && next[k] != i {
		k++
	}
	copy(next[1:k+1], next[:k])
	next[0] = i
	if last := &q.names[q.at]; last.value != nil && last.joined == nil && !q.names[i].drop {
		last.joined, last.joins = slices.Concat(last.raw, last.value, q.names[i].raw), i
	}
	q.at = i
}

func newMemberName(raw []byte, drop bool) memberName {
	n := memberName{raw: bytes.Clone(raw), drop: drop}
	for i, b := range raw[:min(len(raw), 16)] {
		n.word[i/8] |= uint64(b) << (i % 8 * 8)
		n.mask[i/8] |= 0xff << (i % 8 * 8)
	}
	return n
}

// begins reports whether p, which has at least 16 bytes, begins with the name.
// Most names are compared in two words.
func (n *memberName) begins(p []byte) bool {
	return binary.LittleEndian.Uint64(p)&n.mask[0] == n.word[0] &&
		binary.LittleEndian.Uint64(p[8:])&n.mask[1] == n.word[1] &&
		(len(n.raw) <= 16 || bytes.HasPrefix(p[16:], n.raw[16:]))
}
