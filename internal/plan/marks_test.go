package plan_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/defender2adx/defender2adx/internal/plan"
)

const month = 30 * 24 * time.Hour

// turnTo reads "column load": T is Timestamp, N arrival, B a business date.
func turnTo(text string) plan.Table {
	t := plan.Table{Source: "X", Load: plan.Incr}
	for word := range strings.FieldsSeq(text) {
		switch word {
		case "T":
			t.WatermarkColumn = "Timestamp"
		case "B":
			t.WatermarkColumn = "InstallationTime"
		case "Snapshot":
			t.Load = plan.Snapshot
		}
	}
	return t
}

// Each story is of steps: a configuration; "!" before it where the user writes a
// watermark with it; "run N" ends a run at minute N of Defender's clock, its watermark
// ten minutes before (a snapshot's is N itself); "nulls N" were copied. Wanted are the
// filters of the next run, which begins at the watermark shown first.
func TestTableState_TurnsToAnotherColumn(t *testing.T) {
	for _, tc := range []struct{ story, want string }{
		{"N; run 100", "90:"},
		{"T; N", "0:"}, // nothing was copied yet
		{"T; run 100; T", "90:"},
		{"T; run 100; nulls 0; N", "0: T>90|null|a>100"}, // none was copied
		{"T; run 100; nulls 7; N", "0: T>90|a>100"},
		{"T; run 100; N", "0: T>90|null|a>100"}, // its null rows were never copied
		{"N; run 100; nulls 7; T", "0: N>90"},
		{"B; run 100; nulls 7; T", "0: B>90"},
		{"B; run 100; nulls 7; N", "0: B>90|a>100"},
		{"T; run 100; nulls 7; N; run 105", "95: T>90|a>100"},
		{"T; run 100; nulls 7; N; run 110", "100:"}, // all that is new arrived after the old column's last run
		{"T; run 100; nulls 7; N; run 200; nulls 7; T", "0: T>90|a>100 N>190"},
		{"T; run 100; nulls 7; N; run 200; nulls 7; T; run 300", "290: T>90|a>100 N>190"},
		{"T; run 100; nulls 7; N; run 200; nulls 7; T; run 300; nulls 7; N", "0: N>190 T>290|a>300"}, // one mark a column
		{"N; run 100; nulls 7; T; N", "0: N>90"},                                                     // turned back before a run
		{"N; run 100; nulls 7; T; run 200; nulls 7; N; run 210", "200:"},
		{"T; run 100; nulls 7; !N", "90:"},
		{"T; run 100; nulls 7; N; run 105; !N", "95:"},
		{"Snapshot; run 100; N", "90:"},
		{"Snapshot; run 100; T", "90:"},
		{"Snapshot; run 100; Snapshot T; N", "90:"},
		{"T; run 100; nulls 7; N; run 105; Snapshot; run 200; N", "190:"},
		{"T; run 100; nulls 7; N Snapshot; N", "0: T>90|a>100"}, // no snapshot came to its end
		{"T; run 100; nulls 7; T Snapshot; N Snapshot; N", "0: T>90|a>100"},
		{"N; run 100; nulls 7; N Snapshot; N", "90:"},
		{"T; run 100; N Snapshot", "0:"},
	} {
		s := &plan.TableState{Nulls: plan.NullsNotCopied}
		for step := range strings.SplitSeq(tc.story, "; ") {
			var n int
			switch {
			case strings.HasPrefix(step, "run "):
				scan(t, step, "run %d", &n)
				s.Watermark = at(n - 10)
				if s.Table.Load == plan.Snapshot {
					s.Watermark = at(n)
				}
				s.RunEnded(at(n), s.Table.Load == plan.Snapshot)
			case strings.HasPrefix(step, "nulls "):
				scan(t, step, "nulls %d", &s.Nulls)
			default:
				next := turnTo(strings.TrimPrefix(step, "!"))
				s.Turn(next, step[0] == '!', 10*time.Minute)
				s.Table = next
			}
		}
		if got := shown(s); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.story, got, tc.want)
		}
	}
}

func shown(s *plan.TableState) string {
	minutes := func(t time.Time) int { return int(t.Sub(day).Minutes()) }
	out := "0:"
	if !s.Watermark.IsZero() {
		out = fmt.Sprintf("%d:", minutes(s.Watermark))
	}
	for _, f := range s.Filters(s.Watermark) {
		out += fmt.Sprintf(" %s>%d", map[string]string{"": "N", "Timestamp": "T", "InstallationTime": "B"}[f.Column], minutes(f.After))
		if f.OrNull {
			out += "|null"
		}
		if !f.OrArrivedPast.IsZero() {
			out += fmt.Sprintf("|a>%d", minutes(f.OrArrivedPast))
		}
	}
	return out
}

func TestTableState_TurnSaysWhatItMeans(t *testing.T) {
	for _, tc := range []struct {
		name  string
		state plan.TableState
		next  string
		want  []string // words of the note
		nulls int64
	}{
		{"a column", plan.TableState{Table: turnTo("T"), Watermark: at(90), Nulls: 7}, "N", []string{"Timestamp up to 2026-11-01T01:30", "ingestion_time() now", "7 rows in which it is null"}, plan.NullsNotCopied},
		{"a snapshot", plan.TableState{Table: turnTo("Snapshot"), Watermark: at(90)}, "N", []string{"from 2026-11-01T01:20", "SnapshotTime"}, plan.NullsUnknown},
		{"nothing", plan.TableState{Table: turnTo("T"), Watermark: at(90), Nulls: 7}, "T", nil, 7},
		{"the first configuration", plan.TableState{Watermark: at(90), Nulls: plan.NullsUnknown}, "N", nil, plan.NullsUnknown},
	} {
		note := tc.state.Turn(turnTo(tc.next), false, 10*time.Minute)
		for _, w := range tc.want {
			if !strings.Contains(note, w) {
				t.Errorf("%s: %q lacks %q", tc.name, note, w)
			}
		}
		if tc.want == nil && note != "" || tc.state.Nulls != tc.nulls {
			t.Errorf("%s: %q, %d null rows", tc.name, note, tc.state.Nulls)
		}
	}
	old := plan.TableState{Table: turnTo("T"), Watermark: at(90), LastEnded: at(100)}
	old.Turn(turnTo("N"), false, 0)
	if got := old.Marks.Older[0].Ended; !got.Equal(at(100)) {
		t.Errorf("a state of before there were marks: ended %v", got)
	}
}

func TestTableState_RetiresMarksOfWhichNoRowIsHeld(t *testing.T) {
	for _, tc := range []struct {
		name string
		mark plan.Mark
		kept bool
	}{
		{"young", plan.Mark{Through: day, Ended: day}, true},
		{"just held", plan.Mark{Through: day.Add(-month)}, true},
		{"no longer held", plan.Mark{Through: day.Add(-month - plan.Tick)}, false},
		{"its rows arrived later", plan.Mark{Column: "Timestamp", Through: day.Add(-month - time.Hour), Ended: day.Add(-month)}, true},
		{"a date in the future", plan.Mark{Column: "Timestamp", Through: day.Add(time.Hour), Ended: day.Add(-month - time.Hour)}, true},
		{"a business date", plan.Mark{Column: "InstallationTime", Through: day.Add(-2 * month), Ended: day.Add(-2 * month)}, true},
	} {
		s := &plan.TableState{Marks: plan.Marks{Older: []plan.Mark{tc.mark}}}
		if s.RetireMarks(day, month); (len(s.Marks.Older) == 1) != tc.kept {
			t.Errorf("%s: kept %v", tc.name, !tc.kept)
		}
	}
}

// A table is copied by event time, by arrival, by one again and the other, with rows
// that come late, dated ahead, dated nothing, and at the very instants of the
// watermarks: no row is copied twice, and none is missing but those that were late
// for an event column while it was in force.
func TestFilters_CopyEveryRowOnceWhateverTheColumn(t *testing.T) {
	type event struct {
		arrival, stamp int // minutes; a stamp of 0 is null
		copied         int
		late           bool // an event column passed it by
	}
	rapid.Check(t, func(t *rapid.T) {
		const settle = 10
		s := &plan.TableState{Nulls: plan.NullsNotCopied}
		var rows []*event
		now := 100
		columns := rapid.SliceOfN(rapid.SampledFrom([]string{"T", "N"}), 1, 8).Draw(t, "columns")
		for _, column := range append(columns, "N", "N") {
			for range rapid.IntRange(0, 5).Draw(t, "rows") {
				e := &event{arrival: now - rapid.IntRange(0, 9).Draw(t, "arrived ago")}
				if d := rapid.IntRange(-30, 40).Draw(t, "late"); d < 40 {
					e.stamp = e.arrival - d
				}
				rows = append(rows, e)
			}
			next := turnTo(column)
			s.Turn(next, false, settle*time.Minute)
			s.Table = next
			from, to := s.Watermark, at(now-settle)
			filters := s.Filters(from)
			nulls := int64(0)
			for _, e := range rows {
				value := func(column string) time.Time {
					if column == "" {
						return at(e.arrival)
					}
					return at(e.stamp)
				}
				selected := true
				for _, f := range filters {
					v := value(f.Column)
					selected = selected && (!v.IsZero() && v.After(f.After) || f.OrNull && v.IsZero() || !f.OrArrivedPast.IsZero() && at(e.arrival).After(f.OrArrivedPast))
				}
				v := value(next.WatermarkColumn)
				null := v.IsZero() && selected && s.NullsLeft()
				if null {
					nulls++
				}
				if null || selected && !v.IsZero() && v.After(from) && !v.After(to) {
					e.copied++
				}
				if e.copied == 0 && column == "T" && (v.IsZero() && !s.NullsLeft() || !v.IsZero() && !v.After(from)) {
					e.late = true // null rows that come after the first run are late as well
				}
				if e.copied > 1 {
					t.Fatalf("the row of %d, dated %d, was copied twice", e.arrival, e.stamp)
				}
			}
			s.NullsEnded(nulls)
			s.Watermark = to
			s.RunEnded(at(now), false)
			now += rapid.IntRange(10, 40).Draw(t, "pause")
		}
		for _, e := range rows {
			if e.copied == 0 && !e.late && e.arrival <= int(s.Watermark.Sub(day).Minutes()) {
				t.Fatalf("the row of %d, dated %d, is missing; %s", e.arrival, e.stamp, cmp.Diff(plan.Marks{}, s.Marks))
			}
		}
	})
}
