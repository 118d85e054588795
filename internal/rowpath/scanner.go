package rowpath

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// maxDepth is how deep values may be nested within one row.
const maxDepth = 512

// ErrTooLong is a single row, or another member of the answer, that is larger
// than any whole answer may be.
var ErrTooLong = fmt.Errorf("a value is longer than %d bytes", maxUnit)

// SyntaxError is a body that is not the JSON it has to be. Its text never
// quotes the body.
type SyntaxError struct {
	Offset int64 // bytes of the body before the fault
	Row    int64 // in which the fault lies, from 1; 0: between rows or outside of them
	Reason string
}

func (e *SyntaxError) Error() string {
	if e.Row > 0 {
		return fmt.Sprintf("malformed answer at byte %d, in row %d: %s", e.Offset, e.Row, e.Reason)
	}
	return fmt.Sprintf("malformed answer at byte %d: %s", e.Offset, e.Reason)
}

// Signature is the same for the same fault of the same row, wherever the row
// stands: when it comes again, the row itself cannot be read. A fault outside of
// the rows has none, since a proxy's page is one too.
func (e *SyntaxError) Signature() string {
	if e.Row == 0 {
		return ""
	}
	return "row: " + e.Reason
}

// errShort: the value may go on beyond the bytes at hand.
var errShort = errors.New("value continues")

// pad is how many zero bytes follow the bytes at hand. Sixteen let two
// words be loaded anywhere; a zero byte is valid nowhere in JSON, so one comparison
// finds both the end and a fault.
const pad = 16

// scanner reads a body through a buffer. A value is scanned in one go over
// contiguous bytes; when the buffer ends first, it is refilled and the value is
// scanned again from its start.
type scanner struct {
	src   io.Reader
	buf   []byte // len(buf)-pad is the capacity; buf[end:end+pad] is zero
	pos   int    // next byte
	end   int    // end of the bytes read
	base  int64  // offset of buf[0] in the body
	eof   bool
	open  [maxDepth]byte // brackets open around the current position
	inRow bool           // the value being scanned is a row
	// "@odata.type" is kept: of an object, not of a member beside it.
	keepTypes bool
	name      []byte // the last member name of the answer itself
	names     namePredictor
}

func (s *scanner) reset(src io.Reader, emptyIsNull func(string) bool) {
	if s.buf == nil {
		s.buf = make([]byte, bufferBytes+pad)
	}
	s.src, s.pos, s.end, s.base, s.eof = src, 0, 0, 0, false
	clear(s.buf[:pad])
	s.names.reset(emptyIsNull)
}

func (s *scanner) release() {
	s.src, s.names.emptyIsNull = nil, nil
	if len(s.buf) > keepBytes {
		s.buf = nil
	}
}

// fill moves the bytes from pos on to the front and reads until the buffer is
// full or the body ends. A buffer that is full already is doubled.
func (s *scanner) fill() error {
	if s.eof {
		return fmt.Errorf("answer ends after %d bytes: %w", s.base+int64(s.end), io.ErrUnexpectedEOF)
	}
	room := len(s.buf) - pad
	rest := s.buf[s.pos:s.end]
	if len(rest) == room {
		if room >= maxUnit {
			return ErrTooLong
		}
		s.buf = make([]byte, min(2*room, maxUnit)+pad)
		room = len(s.buf) - pad
	}
	copy(s.buf, rest)
	s.base += int64(s.pos)
	s.pos, s.end = 0, len(rest)
	for idle := 0; s.end < room && !s.eof; {
		n, err := s.src.Read(s.buf[s.end:room])
		s.end += n
		if n > 0 {
			idle = 0
		} else if idle++; idle > 100 && err == nil {
			err = io.ErrNoProgress
		}
		if err == io.EOF {
			s.eof = true
		} else if err != nil {
			return fmt.Errorf("read answer after %d bytes: %w", s.base+int64(s.end), err)
		}
	}
	clear(s.buf[s.end : s.end+pad])
	return nil
}

func (s *scanner) errorf(format string, args ...any) error {
	return s.errorAt(s.pos, fmt.Sprintf(format, args...))
}

func (s *scanner) errorAt(i int, reason string) error {
	return &SyntaxError{Offset: s.base + int64(i), Reason: reason}
}

// peek skips white space and returns the next byte without taking it.
func (s *scanner) peek() (byte, error) {
	for {
		for s.pos < s.end {
			b := s.buf[s.pos]
			if class[b] != space {
				return b, nil
			}
			s.pos++
		}
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
}

func (s *scanner) expect(want byte, reason string) error {
	b, err := s.peek()
	if err != nil {
		return err
	}
	if b != want {
		return s.errorf("%s", reason)
	}
	s.pos++
	return nil
}

// byteOrderMark may stand before the answer, where it has no business. Source:
// public reports about several of Microsoft's APIs.
const byteOrderMark = "\ufeff"

// skipMark skips a byte order mark. A body that is shorter is none of its business.
func (s *scanner) skipMark() error {
	if err := s.fill(); err != nil {
		return err
	}
	if bytes.HasPrefix(s.buf[:s.end], []byte(byteOrderMark)) {
		s.pos = len(byteOrderMark)
	}
	return nil
}

// finish checks that only white space is left.
func (s *scanner) finish() error {
	for {
		for ; s.pos < s.end; s.pos++ {
			if class[s.buf[s.pos]] != space {
				return s.errorf("something follows the answer")
			}
		}
		if s.eof {
			return nil
		}
		if err := s.fill(); err != nil {
			return err
		}
	}
}

// text takes a string and returns its meaning, valid until the next call.
func (s *scanner) text() ([]byte, error) {
	raw, err := s.value(s.name[:0])
	if err != nil {
		return nil, err
	}
	s.name = raw
	return plainText(raw), nil
}

// plainText returns what the raw string, quotes included, stands for.
func plainText(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return raw
	}
	return []byte(text)
}

// value takes the next value, white space around it not included, and appends
// it to out without white space and without members named "@odata.".
func (s *scanner) value(out []byte) ([]byte, error) {
	if _, err := s.peek(); err != nil {
		return out, err
	}
	for {
		s.names.at = rowStart
		next, res, err := s.scan(s.pos, out, 0)
		if err == nil {
			s.pos = next
			return res, nil
		}
		if !errors.Is(err, errShort) {
			return out, err
		}
		out = res[:len(out)]
		if err := s.fill(); err != nil {
			return out, err
		}
	}
}

// row takes the next value, which is a row: a bare {} in a column in which that is
// null becomes null.
func (s *scanner) row(out []byte) ([]byte, error) {
	s.inRow = s.names.emptyIsNull != nil
	out, err := s.value(out)
	s.inRow = false
	return out, err
}

// scan does the work of value over the bytes at hand, starting at i with depth
// brackets open. Valid bytes are collected as runs buf[from:i], so that a row
// without anything to leave out is appended in one piece.
func (s *scanner) scan(i int, out []byte, depth int) (int, []byte, error) {
	var (
		p      = s.buf[:s.end+pad]
		base   = depth
		from   = i
		start  int  // of the last member name
		drop   bool // it is an annotation
		err    error
		reason string
	)

value:
	if p[i] == '"' { // as most are
		i++
		for { // stringEnd for a string without escapes, spelled out for speed
			m := stops(binary.LittleEndian.Uint64(p[i:]))
			if m == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(m) >> 3
			break
		}
		if p[i] == '"' {
			i++
			goto after
		}
		if i, reason = stringEnd(p, i); reason != "" {
			goto fault
		}
		goto after
	}
	switch class[p[i]] {
	case space:
		out, i = gap(out, p, from, i)
		from = i
		goto value
	case digit:
		i, reason = numberEnd(p, i)
		if reason != "" {
			goto fault
		}
		if depth == 0 && i >= s.end { // more digits may follow
			return i, out, errShort
		}
	case letter:
		i, reason = literalEnd(p, i)
		if reason != "" {
			goto fault
		}
	case opening:
		if depth == maxDepth {
			reason = "nested too deeply"
			goto fault
		}
		s.open[depth] = p[i]
		depth++
		i++
		if class[p[i]] == space {
			out, i = gap(out, p, from, i)
			from = i
		}
		if s.open[depth-1] == '{' {
			if p[i] == '}' {
				i++
				depth--
				if depth == 1 && base == 0 && s.inRow && s.names.names[s.names.at].nullable {
					out = append(out, p[from:i]...)
					out = append(out[:len(out)-len("{}")], "null"...)
					from = i
				}
				break
			}
			goto name
		}
		if p[i] == ']' {
			i++
			depth--
			break
		}
		goto value
	default:
		reason = "want a value"
		goto fault
	}

after: // a value has ended
	if depth == base {
		return i, append(out, p[from:i]...), nil
	}
	if p[i] == ',' && p[i+1] == '"' && s.open[depth-1] == '{' { // as between nearly all members
		i++
		goto name
	}
	if class[p[i]] == space {
		out, i = gap(out, p, from, i)
		from = i
	}
	switch {
	case p[i] == ',':
		i++
		if s.open[depth-1] == '[' {
			goto value
		}
		if class[p[i]] == space {
			out, i = gap(out, p, from, i)
			from = i
		}
		goto name
	case p[i] == s.open[depth-1]+2: // } is two above {, ] is two above [
		i++
		depth--
		goto after
	}
	reason = "want a comma or a closing bracket"
	goto fault

name:
	start = i
	{
		// The name expected stands here nearly always.
		q := &s.names
		next := q.names[q.at].next[0]
		known := &q.names[next]
		if known.joined != nil && bytes.HasPrefix(p[i:], known.joined) {
			out = append(out, p[from:i]...)
			from = i + len(known.raw) + len(known.value)
			i += len(known.joined)
			q.at = known.joins
			goto value
		}
		if next > 0 && known.begins(p[i:]) {
			q.at = next
		} else {
			known = q.alternative(p[i:])
		}
		if known != nil {
			i += len(known.raw)
			if !known.drop {
				goto value
			}
			if n := len(known.value); n > 0 && bytes.HasPrefix(p[i:], known.value) {
				i += n
				out = append(out, p[from:start]...)
				from = i
				goto name
			}
			goto annotation
		}
	}
	if class[p[i]] == space { // after an annotation that was found in one piece
		out, i = gap(out, p, from, i)
		from = i
		goto name
	}
	if p[i] != '"' {
		reason = "want a member name"
		goto fault
	}
	if i, reason = stringEnd(p, i+1); reason != "" {
		goto fault
	}
	if p[i] == ':' {
		if known := s.names.find(p[start:i+1], depth); known != nil {
			i++
			if !known.drop {
				goto value
			}
			goto annotation
		}
	}
	if drop = s.dropped(p[start:i]); class[p[i]] == space && !drop {
		out, i = gap(out, p, from, i)
		from = i
	} else {
		i = skipSpace(p, i)
	}
	if p[i] != ':' {
		reason = "want a colon after a member name"
		goto fault
	}
	i++
	s.names.learn(p[start:i], depth, drop)
	if !drop {
		goto value
	}

annotation: // the run ends before its name and the comma before that
	out = append(out, p[from:start]...)
	if out[len(out)-1] == ',' {
		out = out[:len(out)-1]
	}
	if i = skipSpace(p, i); p[i] == '"' {
		start = i
		if i, reason = stringEnd(p, i+1); reason != "" {
			goto fault
		}
		if p[i] == ',' && p[i+1] == '"' {
			s.names.learnValue(p[start : i+1])
		}
	} else if i, _, err = s.scan(i, out, depth); err != nil { // what it appends lies beyond len(out)
		return i, out, err
	}
	i = skipSpace(p, i)
	from = i
	if p[i] == ',' && out[len(out)-1] == '{' {
		i = skipSpace(p, i+1)
		from = i
		goto name
	}
	goto after

fault:
	if i >= s.end {
		return i, out, errShort
	}
	return i, out, s.errorAt(i, reason)
}

// dropped reports whether a member of a raw name is left out.
func (s *scanner) dropped(raw []byte) bool {
	return annotated(raw) && !(s.keepTypes && string(plainText(raw)) == "@odata.type")
}

// annotated reports whether a raw name contains "@odata.", also when it is
// written with escapes.
func annotated(raw []byte) bool {
	if bytes.IndexByte(raw, '@') < 0 && bytes.IndexByte(raw, '\\') < 0 {
		return false
	}
	return bytes.Contains(plainText(raw), []byte("@odata."))
}

// gap appends the run p[from:i] and returns the index after the white space
// that ends it.
func gap(out, p []byte, from, i int) ([]byte, int) {
	return append(out, p[from:i]...), skipSpace(p, i)
}
