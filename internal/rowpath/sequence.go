package rowpath

const (
	// maxNames and maxName bound what is remembered; the widest hunting table has
	// less than a hundred columns, the longest name less than a hundred letters.
	maxNames = 512
	maxName  = 256
)

// sequence remembers the member names of a row in the order in which they came.
// Rows of one answer nearly always have the same names in the same order, so
// the next name is found by comparing it with the one expected rather than by
// scanning it. A wrong expectation costs one comparison.
type sequence struct {
	next  int
	names []memberName
}

// memberName is a complete, valid member name.
type memberName struct {
	raw  []byte // with quotes and colon, without white space between
	drop bool   // it is an annotation
}

// expected returns the name that stood here in an earlier row; nil if none.
func (q *sequence) expected() *memberName {
	if q.next < len(q.names) {
		return &q.names[q.next]
	}
	return nil
}

// learn remembers the name for this place, unless it is too long or white space
// stands before its colon.
func (q *sequence) learn(raw []byte, drop bool) {
	if len(raw) > maxName || q.next >= maxNames || raw[len(raw)-2] != '"' {
		return
	}
	if q.next == len(q.names) {
		q.names = append(q.names, memberName{})
	}
	known := &q.names[q.next]
	known.raw, known.drop = append(known.raw[:0], raw...), drop
	q.next++
}
