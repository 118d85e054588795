package pipeline

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// attempt is one invocation's work on a table, as audit rows tell of it.
type attempt struct {
	req     Request
	api     func() string // in use; one that moves to another tells which
	started time.Time
}

// audit completes an audit row with what is known of the attempt.
func (a attempt) audit(now time.Time, row plan.Audit) plan.Audit {
	row.Timestamp, row.Instance, row.SourceTable = now, a.req.Key.Instance, a.req.Key.Source
	row.AttemptID, row.API, row.Duration = a.req.AttemptID, a.api(), now.Sub(a.started)
	return row
}

// servedBy notes which API serves the run, beside the one that did before: a run may
// outlive the older.
func servedBy(l *plan.Ledger, api string) {
	switch {
	case l.API == "":
		l.API = api
	case !slices.Contains(strings.Split(l.API, ", "), api):
		l.API += ", " + api
	}
}

// ofRun completes an audit row with what is known of a run.
func ofRun(row plan.Audit, l *plan.Ledger) plan.Audit {
	row.TableName = l.Table.Destination
	row.RunID, row.API = l.RunID, l.API
	row.WindowFrom, row.WindowTo = l.Window.From, l.Window.To
	if !l.SnapshotTime.IsZero() { // a moment, by which readers know a snapshot and its age
		row.WindowFrom, row.WindowTo = l.SnapshotTime, l.SnapshotTime
	}
	row.RecordCount, row.Slices, row.Calls, row.Bytes = l.Rows(), l.Count(plan.Verified), l.Calls, l.Bytes
	row.Note = strings.Join(l.Notes, "; ")
	if row.Status != plan.Failed {
		row.Duration = row.Timestamp.Sub(l.Started)
	}
	return row
}

// outboxKept bounds the rows that wait for an ADX that does not take them, and so
// the state. Configuration rows always stay; the oldest rows of failures go first.
const outboxKept = 50

// outbox is what must be said in ADX. A row stands in the table's state first,
// under a tag of its own, so that a kill neither loses nor doubles it.
type outbox struct {
	control ControlTables
	lease   TableLease
	state   *plan.TableState
	appID   string
	log     *slog.Logger
}

// addAudit puts an audit row into the state, which the caller saves.
func (o *outbox) addAudit(row plan.Audit) {
	o.state.Ended(row)
	o.add(plan.Outgoing{Audit: &row})
	for len(o.state.Outbox) > outboxKept {
		i := slices.IndexFunc(o.state.Outbox, func(o plan.Outgoing) bool { return o.Audit != nil && o.Audit.Status == plan.Failed })
		if i < 0 {
			break
		}
		o.state.Outbox = slices.Delete(o.state.Outbox, i, i+1)
	}
}

// publish puts the configuration row with the watermark into the state, which the
// caller saves: the user's columns as they are in force, and the run that
// publishes them.
func (o *outbox) publish(watermark time.Time, runID string) {
	t := o.state.Table
	t.LastRefreshed, t.Generation, t.RunID = watermark, o.state.Generation, runID
	o.state.Publish(t)
	row := t.Row()
	o.add(plan.Outgoing{Config: &row})
}

// add numbers and names a row. Generation and Seq never repeat while the state
// lives; the random part covers a rebuilt state.
func (o *outbox) add(row plan.Outgoing) {
	o.state.Seq++
	row.Tag = fmt.Sprintf("%s%sg%ds%dr%s", o.appID, alphanumeric(o.state.Source), o.state.Generation, o.state.Seq, randomID(6))
	o.state.Outbox = append(o.state.Outbox, row)
}

// undelivered is the error of a row that ADX did not take and that stands in the
// outbox, or of what was to be written down after one was taken: no attempt has failed
// by it that an audit row would tell of, since how the run ended is said.
type undelivered struct{ error }

func (u *undelivered) Unwrap() error { return u.error }

// flush delivers what stands in the outbox, in order. A row is taken out after
// ADX took it; delivering it again under its tag adds nothing.
func (o *outbox) flush(ctx context.Context) error {
	var errs error
	sent := 0
	for _, row := range o.state.Outbox {
		err := o.control.Deliver(ctx, row)
		if row.Schema != nil && fault.KindOf(err) == fault.Permanent {
			// Most likely the table is not there yet. Nothing depends on it: the columns
			// are compared anew with the next run.
			o.log.Warn("columns that changed could not be recorded: run `handler setup`", "error", err.Error())
			o.state.Schema, err = nil, nil
		}
		if err != nil {
			errs = errors.Join(errs, &undelivered{err})
			break
		}
		sent++
	}
	if sent > 0 {
		o.state.Outbox = slices.Clone(o.state.Outbox[sent:])
		if err := o.lease.SaveState(ctx, o.state); err != nil {
			return errors.Join(errs, &undelivered{err})
		}
	}
	return errs
}

// looseTag names a row that stands in no state: repeating it writes a second one.
func looseTag() string { return "x" + randomID(24) }

func alphanumeric(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, s)
}

// randomID returns n lower-case letters and digits, at most 26.
func randomID(n int) string { return strings.ToLower(rand.Text())[:n] }
