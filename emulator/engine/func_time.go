package engine

import (
	"fmt"
	"math"
	"strings"
	"time"
)

func addTime(m map[string]builtin) {
	dt := func(min, max int, takes string, f func(a []any) any) builtin {
		return builtin{min: min, max: max, types: takes, typ: TypeDatetime, call: f}
	}
	// Starts of periods; the ends are one tick before the next start.
	for name, start := range map[string]func(t time.Time, by int) time.Time{
		"day": func(t time.Time, by int) time.Time {
			return time.Date(t.Year(), t.Month(), t.Day()+by, 0, 0, 0, 0, time.UTC)
		},
		"week": func(t time.Time, by int) time.Time {
			return time.Date(t.Year(), t.Month(), t.Day()-int(t.Weekday())+7*by, 0, 0, 0, 0, time.UTC)
		},
		"month": func(t time.Time, by int) time.Time {
			return time.Date(t.Year(), t.Month()+time.Month(by), 1, 0, 0, 0, 0, time.UTC)
		},
		"year": func(t time.Time, by int) time.Time { return time.Date(t.Year()+by, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		period := func(a []any, add int64, back Datetime) any {
			d, ok := toDatetime(a[0])
			by := whole(arg(a, 1), 0) + add
			if !ok || by > 1e6 || by < -1e6 {
				return nil
			}
			return inRange(FromTime(start(d.Time(), int(by))) - back)
		}
		m["startof"+name] = dt(1, 2, "d n", func(a []any) any { return period(a, 0, 0) })
		m["endof"+name] = dt(1, 2, "d n", func(a []any) any { return period(a, 1, 1) })
	}
	for name, f := range map[string]func(t time.Time) int64{
		"getyear": func(t time.Time) int64 { return int64(t.Year()) }, "getmonth": func(t time.Time) int64 { return int64(t.Month()) },
		"monthofyear": func(t time.Time) int64 { return int64(t.Month()) }, "dayofmonth": func(t time.Time) int64 { return int64(t.Day()) },
		"dayofyear": func(t time.Time) int64 { return int64(t.YearDay()) }, "hourofday": func(t time.Time) int64 { return int64(t.Hour()) },
		"week_of_year": func(t time.Time) int64 { _, w := t.ISOWeek(); return int64(w) },
	} {
		m[name] = builtin{min: 1, max: 1, types: "d", typ: TypeLong, call: func(a []any) any {
			d, ok := toDatetime(a[0])
			return orNull(f(d.Time()), ok)
		}}
	}
	m["dayofweek"] = builtin{min: 1, max: 1, types: "d", typ: TypeTimespan, call: func(a []any) any {
		d, ok := toDatetime(a[0])
		return orNull(Timespan(d.Time().Weekday())*day, ok)
	}}
	m["datetime_add"] = dt(3, 3, "s n d", func(a []any) any {
		d, ok := toDatetime(a[2])
		n, ok2 := toLong(a[1])
		if !ok || !ok2 {
			return nil
		}
		return addParts(strings.ToLower(text(a[0])), n, d)
	})
	inWeeks := func(args []*expr) bool {
		return args[0].konst && strings.EqualFold(text(args[0].eval(nil)), "week")
	}
	m["datetime_diff"] = builtin{min: 3, max: 3, types: "s d d", result: func(args []*expr) Type {
		if inWeeks(args) {
			return TypeReal // of all units this one
		}
		return TypeLong
	}, call: func(a []any) any {
		p, ok := toDatetime(a[1])
		q, ok2 := toDatetime(a[2])
		if !ok || !ok2 {
			return nil
		}
		return diffParts(strings.ToLower(text(a[0])), p, q)
	}}
	m["datetime_part"] = builtin{min: 2, max: 2, types: "s d", typ: TypeLong, call: func(a []any) any {
		d, ok := toDatetime(a[1])
		if !ok {
			return nil
		}
		return part(strings.ToLower(text(a[0])), d)
	}}
	m["make_datetime"] = dt(1, 7, "", makeDatetime)
	m["make_timespan"] = builtin{min: 2, max: 4, types: "n", typ: TypeTimespan, call: func(a []any) any {
		units := []Timespan{hour, minute, second}
		if len(a) == 4 {
			units = []Timespan{day, hour, minute, second}
		}
		var t Timespan
		for i, v := range a {
			f, ok := toReal(v)
			if !ok || math.Abs(f) > 1e7 {
				return nil
			}
			t += scaled(f, units[i])
		}
		return t
	}}
	for name, unit := range map[string]Timespan{"seconds": second, "milliseconds": millisecond, "microseconds": 10, "nanoseconds": 0} {
		m["unixtime_"+name+"_todatetime"] = dt(1, 1, "n", func(a []any) any {
			f, ok := toReal(a[0])
			if !ok || math.Abs(f)*float64(unit) > 3e18 {
				return nil
			}
			if n, isLong := a[0].(int64); isLong {
				if unit == 0 {
					return inRange(unixEpoch + Datetime(n/100))
				}
				return inRange(unixEpoch + Datetime(Timespan(n)*unit))
			}
			if unit == 0 {
				return inRange(unixEpoch + Datetime(f/100))
			}
			return inRange(unixEpoch + Datetime(scaled(f, unit)))
		})
	}
	m["format_datetime"] = builtin{min: 2, max: 2, types: "d s", typ: TypeString, call: func(a []any) any {
		d, ok := toDatetime(a[0])
		if !ok {
			return ""
		}
		return formatDatetime(d, text(a[1]))
	}}
	m["format_timespan"] = builtin{min: 2, max: 2, types: "t s", typ: TypeString, call: func(a []any) any {
		t, ok := toTimespan(a[0])
		if !ok {
			return ""
		}
		return formatTimespan(t, text(a[1]))
	}}
}

func inRange(d Datetime) any { return orNull(d, d >= 0 && d <= maxDatetime) }

// fixedUnit gives the length of the parts that have one.
func fixedUnit(name string) Timespan {
	switch name {
	case "week":
		return 7 * day
	case "day":
		return day
	case "hour":
		return hour
	case "minute":
		return minute
	case "second":
		return second
	case "millisecond":
		return millisecond
	case "microsecond":
		return 10
	}
	return 0
}

func addParts(name string, n int64, d Datetime) any {
	if unit := fixedUnit(name); unit != 0 {
		if n > math.MaxInt64/int64(unit)/2 || n < math.MinInt64/int64(unit)/2 {
			return nil
		}
		return inRange(d + Datetime(Timespan(n)*unit))
	}
	switch name {
	case "nanosecond":
		return inRange(d + Datetime(n/100))
	case "year":
		n *= 12
	case "quarter":
		n *= 3
	case "month":
	default:
		return nil
	}
	if n > 120_000 || n < -120_000 {
		return nil
	}
	t := d.Time()
	first := time.Date(t.Year(), t.Month()+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	if first.Year() < 1 || first.Year() > 9999 {
		return nil
	}
	on := min(t.Day(), daysIn(first.Year(), int(first.Month())))
	return dateTicks(first.Year(), int(first.Month()), on) + d%Datetime(day)
}

// diffParts counts the boundaries between q and p.
func diffParts(name string, p, q Datetime) any {
	a, b := p.Time(), q.Time()
	switch name {
	case "year":
		return int64(a.Year() - b.Year())
	case "quarter":
		return int64((a.Year()-b.Year())*4 + (int(a.Month())-1)/3 - (int(b.Month())-1)/3)
	case "month":
		return int64((a.Year()-b.Year())*12 + int(a.Month()) - int(b.Month()))
	case "week":
		const sunday = Datetime(6 * day) // 0001-01-01 was a Monday
		return float64((p-sunday+Datetime(700*day))/Datetime(7*day) - (q-sunday+Datetime(700*day))/Datetime(7*day))
	case "nanosecond":
		return int64(p-q) * 100
	}
	if unit := Datetime(fixedUnit(name)); unit != 0 {
		return int64(p/unit - q/unit)
	}
	return nil
}

func part(name string, d Datetime) any {
	t := d.Time()
	frac := int64(d % Datetime(second))
	switch strings.ReplaceAll(name, "_", "") {
	case "year":
		return int64(t.Year())
	case "quarter":
		return int64(t.Month()-1)/3 + 1
	case "month":
		return int64(t.Month())
	case "weekofyear", "week":
		_, w := t.ISOWeek()
		return int64(w)
	case "day":
		return int64(t.Day())
	case "dayofyear":
		return int64(t.YearDay())
	case "hour":
		return int64(t.Hour())
	case "minute":
		return int64(t.Minute())
	case "second":
		return int64(t.Second())
	case "millisecond":
		return frac / int64(millisecond)
	case "microsecond":
		return frac / 10
	case "nanosecond":
		return frac * 100
	}
	return nil
}

func makeDatetime(a []any) any {
	if len(a) == 1 {
		return orNull(toDatetime(a[0]))
	}
	v := [6]int64{1, 1, 1, 0, 0, 0}
	for i := 0; i < len(a) && i < 5; i++ {
		n, ok := toLong(a[i])
		if !ok {
			return nil
		}
		v[i] = n
	}
	sec := 0.0
	if len(a) > 5 {
		f, ok := toReal(a[5])
		if !ok {
			return nil
		}
		sec = f
	}
	if v[0] < 1 || v[0] > 9999 || v[1] < 1 || v[1] > 12 || v[2] < 1 || v[2] > int64(daysIn(int(v[0]), int(v[1]))) ||
		v[3] < 0 || v[3] > 23 || v[4] < 0 || v[4] > 59 || !(sec >= 0 && sec < 60) {
		return nil
	}
	return dateTicks(int(v[0]), int(v[1]), int(v[2])) + Datetime(Timespan(v[3])*hour+Timespan(v[4])*minute+scaled(sec, second))
}

// letters splits a format into runs of the same letter and other characters.
func letters(format string, known string, give func(c byte, n int) string) string {
	var b strings.Builder
	for i := 0; i < len(format); {
		c := format[i]
		n := 1
		for i+n < len(format) && format[i+n] == c {
			n++
		}
		if strings.IndexByte(known, c) >= 0 {
			b.WriteString(give(c, n))
		} else {
			b.WriteString(format[i : i+n])
		}
		i += n
	}
	return b.String()
}

func fraction(ticks int64, n int, trim bool) string {
	s := pad(fmt.Sprint(ticks), 7)[:min(n, 7)]
	if trim {
		s = strings.TrimRight(s, "0")
	}
	return s
}

func formatDatetime(d Datetime, format string) string {
	t := d.Time()
	return letters(format, "yMdHhmsfFt", func(c byte, n int) string {
		var v int
		switch c {
		case 'y':
			if n <= 2 {
				v = t.Year() % 100
			} else {
				v = t.Year()
			}
		case 'M':
			v = int(t.Month())
		case 'd':
			v = t.Day()
		case 'H':
			v = t.Hour()
		case 'h':
			if v = t.Hour() % 12; v == 0 {
				v = 12
			}
		case 'm':
			v = t.Minute()
		case 's':
			v = t.Second()
		case 't':
			return t.Format("PM")
		default:
			return fraction(int64(d%Datetime(second)), n, c == 'F')
		}
		return pad(fmt.Sprint(v), n)
	})
}

func formatTimespan(t Timespan, format string) string {
	sign := ""
	if t < 0 {
		sign, t = "-", -t
	}
	return sign + letters(format, "dHhmsfF", func(c byte, n int) string {
		var v Timespan
		switch c {
		case 'd':
			v = t / day
		case 'H', 'h':
			v = t / hour % 24
		case 'm':
			v = t / minute % 60
		case 's':
			v = t / second % 60
		default:
			return fraction(int64(t%second), n, c == 'F')
		}
		return pad(fmt.Sprint(int64(v)), n)
	})
}
