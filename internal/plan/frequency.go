package plan

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/internal/ncrontab"
)

// Frequency says how often a table's runs are due. The zero value is every tick.
type Frequency struct {
	every time.Duration      // between the starts of two runs; 0 where cron says it
	cron  *ncrontab.Schedule // of six fields, in UTC; nil where every says it
}

// ParseFrequency reads the configuration's column: nothing, a duration as
// ParseDuration reads it, or six cron fields in UTC. The error is in the operator's
// words.
func ParseFrequency(text string) (Frequency, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Frequency{}, nil
	}
	if every, err := ParseDuration(text); err == nil {
		if every <= 0 {
			return Frequency{}, fmt.Errorf("Frequency: want longer than zero, or nothing for every tick, got %q", clip(text, 80))
		}
		return Frequency{every: every}, nil
	}
	// A time span of the host's is none here: its 24:00:00 is 24 days.
	if cron, err := ncrontab.Parse(text); len(strings.Fields(text)) == 6 {
		if err == nil && cron.Next(time.Time{}).Year() == 9999 {
			err = errors.New("never: no such day exists")
		}
		if err != nil {
			return Frequency{}, fmt.Errorf("Frequency %q: %w", clip(text, 80), err)
		}
		return Frequency{cron: &cron}, nil
	}
	return Frequency{}, fmt.Errorf("Frequency: want %s, or six cron fields such as 0 30 2 * * *, or nothing for every tick, got %q", DurationForms, clip(text, 80))
}

// next returns the instant from which on a run is due, for a table whose last run
// started then, by a timer that ticks so often: half a tick before its time, so that a
// tick a little early or a start a little late skips no turn. Zero is always due: no
// frequency, one shorter than a tick, or no run yet. tick 0 is a timer of which nothing
// is known.
//
// The times of a duration are the table's own, offset after every multiple of it since
// 1970: what began at one tick is spread over the period, and stays where it is. The
// next one is never more than a period after the start: of a period near that for which
// Defender holds rows, more would lose some.
func (f Frequency) next(started time.Time, tick, offset time.Duration) time.Time {
	switch {
	case started.IsZero() || f.cron == nil && f.every <= tick:
		return time.Time{}
	case f.cron != nil:
		// A run that started within half a tick before its time was that time's.
		return f.cron.Next(started.Add(tick / 2)).Add(-tick / 2)
	}
	after := started.Add(tick / 2)
	passed := (time.Duration(after.UnixNano()) - offset) % f.every
	return after.Add(f.every - passed - tick/2)
}

// held is for how long Defender holds rows, where the settings say nothing else. Source:
// advanced hunting, data freshness.
const held = 30 * 24 * time.Hour

// heldMargin is the share of that time which a run may be late: a day of thirty.
const heldMargin = 30

// longest returns the longest time between two runs; 0 for every tick. Of a cron it is
// that of its first 62 times: those of one month twice, or one a month for five years.
func (f Frequency) longest() time.Duration {
	longest := f.every
	if f.cron != nil {
		at := f.cron.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
		for range 62 {
			next := f.cron.Next(at)
			longest, at = max(longest, next.Sub(at)), next
		}
	}
	return longest
}

// offset is where in its period a table's times are: the same for ever, and another for
// each table of each instance.
func (f Frequency) offset(table Key) time.Duration {
	if f.every <= 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(table.String()))
	return time.Duration(h.Sum64() % uint64(f.every))
}

// FrequencyWarning tells what is odd about the table's Frequency under a timer that
// ticks so often, where rows are held for lookBack, 0: as long as Defender does; ""
// when nothing is.
func (t Table) FrequencyWarning(tick, lookBack time.Duration) string {
	f, err := ParseFrequency(t.Frequency)
	lookBack = cmp.Or(lookBack, held)
	most := lookBack - lookBack/heldMargin
	switch {
	case err == nil && t.Load != Snapshot && f.longest() > most:
		return fmt.Sprintf("Frequency %s lets up to %s pass between two runs, and Defender holds rows for %s (DEFENDER_LOOKBACK): what a late run finds gone is lost; choose at most %s",
			clip(t.Frequency, 80), inWords(f.longest()), inWords(lookBack), inWords(most))
	case err != nil || f.every == 0 || f.every >= tick:
		return ""
	}
	return fmt.Sprintf("Frequency %s is shorter than the time between two ticks (%v): the table is copied at every tick; see MIGRATION_SCHEDULE", clip(t.Frequency, 80), tick)
}

// LookBack returns for how long an instance's source holds rows; 0 where that is not
// known. Nil knows of none.
type LookBack func(instance string) time.Duration

// Of is the function, or 0 of none.
func (l LookBack) Of(instance string) time.Duration {
	if l == nil {
		return 0
	}
	return l(instance)
}

// inWords writes a time as whole days where it has two or more, else as Go does.
func inWords(d time.Duration) string {
	if days := d / (24 * time.Hour); days > 1 {
		return fmt.Sprintf("%d days", days)
	}
	return d.String()
}

// DueFrom returns the instant from which on a scheduled run of the table is due; zero:
// at once. An open run and windows left to copy are always due, and so is a table
// whose last start lies ahead of now, by a clock that was wrong. state may be nil.
func (t Table) DueFrom(state *TableState, now time.Time, tick time.Duration) time.Time {
	f, err := ParseFrequency(t.Frequency)
	if err != nil || state == nil || state.OpenRun != "" || state.More || state.Started().After(now) {
		return time.Time{}
	}
	return f.next(state.Started(), tick, f.offset(Key{Instance: t.Instance, Source: t.Source}))
}

// Started returns when the last run started that ended; where an older program kept
// only its end, or the state was rebuilt, the end. Zero: none has ended.
func (s *TableState) Started() time.Time {
	if s.LastStarted.IsZero() {
		return s.LastEnded
	}
	return s.LastStarted
}

// Ticker returns when the timer ticks next after an instant; zero where the schedule
// does not say. Nil is a timer of which nothing is known.
type Ticker func(after time.Time) time.Time

// Length returns the time between the next two ticks after an instant; 0 where that
// is not known.
func (t Ticker) Length(after time.Time) time.Duration {
	if t == nil {
		return 0
	}
	first := t(after)
	if first.IsZero() {
		return 0
	}
	return max(0, t(first).Sub(first))
}

// NextDue returns the first tick after now at which a run of the table is due; zero
// where the schedule does not say. state may be nil.
func (t Table) NextDue(state *TableState, now time.Time, ticks Ticker) time.Time {
	if ticks == nil {
		return time.Time{}
	}
	from := t.DueFrom(state, now, ticks.Length(now))
	if from.After(now) {
		now = from.Add(-1) // a tick at that very instant counts
	}
	return ticks(now)
}

// RunsPerDay returns how often a day a run of the table is due, by its frequency and
// the timer as they are after now; 0 where the schedule does not say. No run comes
// more often than the timer ticks.
func (t Table) RunsPerDay(now time.Time, ticks Ticker) float64 {
	between := ticks.Length(now)
	if between <= 0 {
		return 0
	}
	if f, err := ParseFrequency(t.Frequency); err == nil {
		between = max(between, f.every)
		if f.cron != nil {
			first := f.cron.Next(now.UTC())
			between = max(between, f.cron.Next(first).Sub(first))
		}
	}
	return float64(24*time.Hour) / float64(between)
}
