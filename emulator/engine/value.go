package engine

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Datetime counts 100 ns ticks since 0001-01-01, UTC.
type Datetime int64

// Timespan counts 100 ns ticks.
type Timespan int64

const (
	tick        Timespan = 1
	millisecond          = 10_000 * tick
	second               = 1000 * millisecond
	minute               = 60 * second
	hour                 = 60 * minute
	day                  = 24 * hour

	unixEpoch   Datetime = 621_355_968_000_000_000   // 1970-01-01
	maxDatetime Datetime = 3_155_378_975_999_999_999 // the last tick of year 9999
)

// FromTime drops what is finer than a tick.
func FromTime(t time.Time) Datetime {
	return unixEpoch + Datetime(t.Unix()*int64(second)+int64(t.Nanosecond()/100))
}

// Time gives the same instant in UTC.
func (d Datetime) Time() time.Time {
	n := int64(d - unixEpoch)
	s := n / int64(second)
	return time.Unix(s, (n-s*int64(second))*100).UTC()
}

// String gives RFC 3339 with seven digits and Z.
func (d Datetime) String() string { return string(d.append(nil)) }

func (d Datetime) append(dst []byte) []byte {
	return d.Time().AppendFormat(dst, "2006-01-02T15:04:05.0000000Z")
}

// String gives [-][d.]hh:mm:ss[.fffffff].
func (s Timespan) String() string {
	var b []byte
	n := uint64(s)
	if s < 0 {
		b, n = append(b, '-'), -n
	}
	if d := n / uint64(day); d > 0 {
		b = append(strconv.AppendUint(b, d, 10), '.')
	}
	two := func(v uint64) { b = append(b, byte('0'+v/10), byte('0'+v%10)) }
	two(n / uint64(hour) % 24)
	b = append(b, ':')
	two(n / uint64(minute) % 60)
	b = append(b, ':')
	two(n / uint64(second) % 60)
	if f := n % uint64(second); f > 0 {
		b = append(b, '.')
		b = append(b, pad(strconv.FormatUint(f, 10), 7)...)
	}
	return string(b)
}

func pad(s string, width int) string {
	if len(s) >= width {
		return s
	}
	return strings.Repeat("0", width-len(s)) + s
}

// RawJSON is the unparsed JSON text of a dynamic value. It is parsed only when a
// query looks into it; its bytes must not change.
type RawJSON []byte

// Bag is a property bag that keeps its keys in order.
type Bag struct {
	keys  []string
	vals  []any
	index map[string]int // only for large bags
}

// Len is the number of keys.
func (b *Bag) Len() int { return len(b.keys) }

// At gives the i-th key and its value.
func (b *Bag) At(i int) (string, any) { return b.keys[i], b.vals[i] }

// Get looks a key up.
func (b *Bag) Get(key string) (any, bool) {
	if i := b.find(key); i >= 0 {
		return b.vals[i], true
	}
	return nil, false
}

// Set adds a key or replaces its value in place.
func (b *Bag) Set(key string, v any) {
	if i := b.find(key); i >= 0 {
		b.vals[i] = v
		return
	}
	b.keys, b.vals = append(b.keys, key), append(b.vals, v)
	if b.index != nil {
		b.index[key] = len(b.keys) - 1
	} else if len(b.keys) > 12 {
		b.index = make(map[string]int, 2*len(b.keys))
		for i, k := range b.keys {
			b.index[k] = i
		}
	}
}

func (b *Bag) find(key string) int {
	if b.index != nil {
		if i, ok := b.index[key]; ok {
			return i
		}
		return -1
	}
	for i, k := range b.keys {
		if k == key {
			return i
		}
	}
	return -1
}

// parsed gives a dynamic value that can be looked into. Text that is no JSON
// stays a string.
func parsed(v any) any {
	raw, ok := v.(RawJSON)
	if !ok {
		return v
	}
	if p, err := ParseJSON(raw); err == nil {
		return p
	}
	return string(raw)
}

// FormatText gives the form tostring has: True and False for bool, seven digits
// for datetime, compact JSON for arrays and bags, "" for null.
func FormatText(t Type, v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case string:
		return x
	case bool:
		switch {
		case t == TypeDynamic:
			return strconv.FormatBool(x)
		case x:
			return "True"
		}
		return "False"
	case int64:
		return strconv.FormatInt(x, 10)
	case float64:
		if t == TypeDecimal {
			return string(appendDecimal(nil, x))
		}
		return string(appendReal(nil, x))
	case Datetime:
		return x.String()
	case Timespan:
		return x.String()
	case RawJSON:
		if len(x) > 0 && (x[0] == '{' || x[0] == '[') {
			return string(compactJSON(nil, x))
		}
		return FormatText(TypeDynamic, parsed(x))
	}
	return string(appendJSON(nil, v))
}

// appendDecimal writes digits without an exponent, however many.
func appendDecimal(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return appendReal(dst, f)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}

func appendReal(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	a := math.Abs(f)
	if a != 0 && (a < 1e-5 || a >= 1e15) {
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	n := len(dst)
	dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
	for _, c := range dst[n:] {
		if c == '.' {
			return dst
		}
	}
	return append(dst, '.', '0')
}

// toLong, toReal, ... convert any value the way the functions of that name do:
// what does not convert is null (ok false).
func toLong(v any) (int64, bool) {
	switch x := v.(type) {
	case int64:
		return x, true
	case float64:
		switch {
		case math.IsNaN(x):
			return 0, false
		case x >= math.MaxInt64:
			return math.MaxInt64, true
		case x <= math.MinInt64:
			return math.MinInt64, true
		}
		return int64(x), true
	case bool:
		if x {
			return 1, true
		}
		return 0, true
	case Datetime:
		return int64(x), true
	case Timespan:
		return int64(x), true
	case string:
		s := strings.TrimSpace(x)
		if len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') {
			n, err := strconv.ParseUint(s[2:], 16, 64)
			return int64(n), err == nil
		}
		n, err := strconv.ParseInt(s, 10, 64)
		return n, err == nil
	case RawJSON:
		return toLong(parsed(x))
	}
	return 0, false
}

func toInt(v any) (int64, bool) {
	if f, ok := v.(float64); ok {
		switch {
		case f >= math.MaxInt32:
			return math.MaxInt32, true
		case f <= math.MinInt32:
			return math.MinInt32, true
		}
	}
	n, ok := toLong(v)
	switch v.(type) {
	case string, RawJSON:
		if n != int64(int32(n)) {
			return 0, false
		}
	}
	return int64(int32(n)), ok
}

func toReal(v any) (float64, bool) {
	switch x := v.(type) {
	case float64:
		return x, true
	case int64:
		return float64(x), true
	case bool:
		if x {
			return 1, true
		}
		return 0, true
	case Datetime:
		return float64(x), true
	case Timespan:
		return float64(x), true
	case string:
		s := strings.TrimSpace(x)
		switch s {
		case "NaN":
			return math.NaN(), true
		case "Infinity", "+Infinity":
			return math.Inf(1), true
		case "-Infinity":
			return math.Inf(-1), true
		}
		if strings.ContainsAny(s, "xXpP_nN") {
			n, ok := toLong(s)
			return float64(n), ok
		}
		f, err := strconv.ParseFloat(s, 64)
		return f, err == nil
	case RawJSON:
		return toReal(parsed(x))
	}
	return 0, false
}

func toBool(v any) (bool, bool) {
	switch x := v.(type) {
	case bool:
		return x, true
	case int64:
		return x != 0, true
	case float64:
		return x != 0, true
	case string:
		switch strings.ToLower(strings.TrimSpace(x)) {
		case "true":
			return true, true
		case "false":
			return false, true
		}
		if n, ok := toLong(x); ok {
			return n != 0, true
		}
	case RawJSON:
		return toBool(parsed(x))
	}
	return false, false
}

func toDatetime(v any) (Datetime, bool) {
	switch x := v.(type) {
	case Datetime:
		return x, true
	case int64:
		return Datetime(x), x >= 0 && Datetime(x) <= maxDatetime
	case string:
		return ParseDatetime(x)
	case RawJSON:
		return toDatetime(parsed(x))
	}
	return 0, false
}

func toTimespan(v any) (Timespan, bool) {
	switch x := v.(type) {
	case Timespan:
		return x, true
	case int64:
		return Timespan(x), true
	case string:
		return ParseTimespan(x)
	case RawJSON:
		return toTimespan(parsed(x))
	}
	return 0, false
}

func toGUID(v any) (string, bool) {
	s, ok := parsed(v).(string)
	if !ok {
		return "", false
	}
	s = strings.ToLower(strings.Trim(strings.TrimSpace(s), "{}"))
	if s = strings.ReplaceAll(s, "-", ""); len(s) != 32 { // dashes may stand anywhere
		return "", false
	}
	for _, c := range []byte(s) {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return "", false
		}
	}
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:], true
}

// Convert gives v, a value of type from, as a value of type to; null where the
// two do not fit. A string is never null: it becomes "".
func Convert(v any, from, to Type) any {
	if to == TypeString {
		return FormatText(from, v)
	}
	if v == nil || from == to {
		return v
	}
	switch to {
	case TypeDynamic:
		return v
	case TypeBool:
		return orNull(toBool(v))
	case TypeInt:
		return orNull(toInt(v))
	case TypeLong:
		return orNull(toLong(v))
	case TypeReal, TypeDecimal:
		return orNull(toReal(v))
	case TypeDatetime:
		return orNull(toDatetime(v))
	case TypeTimespan:
		return orNull(toTimespan(v))
	case TypeGUID:
		return orNull(toGUID(v))
	}
	return nil
}

func orNull[T any](v T, ok bool) any {
	if !ok {
		return nil
	}
	return v
}
