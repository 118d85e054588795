package hunting

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// timespan is Graph's second parameter: a range of the tables' time column, both
// ends included. The zero value is none.
type timespan struct{ from, to engine.Datetime }

func (t timespan) set() bool { return t != timespan{} }

// holds reports whether a row of that time is in the range. A row without a time
// is not.
func (t timespan) holds(v any) bool {
	at, ok := v.(engine.Datetime)
	return ok && at >= t.from && at <= t.to
}

var duration = regexp.MustCompile(`^P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$`)

// parseTimespan reads P30D, start/end, P30D/end, start/P30D, or a start. Source:
// Graph, security: runHuntingQuery.
func parseTimespan(text string, now time.Time) (timespan, error) {
	if text == "" {
		return timespan{}, nil
	}
	left, right, both := strings.Cut(text, "/")
	length, isLength := parseDuration(left)
	start, isStart := engine.ParseDatetime(left)
	if !both {
		switch {
		case isLength:
			return timespan{engine.FromTime(now.Add(-length)), engine.FromTime(now)}, nil
		case isStart:
			return timespan{start, engine.FromTime(now)}, nil
		}
		return timespan{}, fmt.Errorf("invalid timespan %q", text)
	}
	span, isSpan := parseDuration(right)
	end, isEnd := engine.ParseDatetime(right)
	switch {
	case isLength && isEnd:
		return timespan{engine.FromTime(end.Time().Add(-length)), end}, nil
	case isStart && isEnd:
		return timespan{start, end}, nil
	case isStart && isSpan:
		return timespan{start, engine.FromTime(start.Time().Add(span))}, nil
	}
	return timespan{}, fmt.Errorf("invalid timespan %q", text)
}

func parseDuration(text string) (time.Duration, bool) {
	m := duration.FindStringSubmatch(text)
	if m == nil || text == "P" || strings.HasSuffix(text, "T") {
		return 0, false
	}
	var d time.Duration
	for i, unit := range []time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour, time.Minute, time.Second} {
		if m[i+1] == "" {
			continue
		}
		n, err := strconv.ParseInt(m[i+1], 10, 32)
		if err != nil {
			return 0, false
		}
		d += time.Duration(n) * unit
	}
	return d, true
}
