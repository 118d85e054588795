package plan

import (
	"strings"
	"time"
	"unicode"
)

const (
	// LongestDelay is the longest visibility delay of a wake-up; longer waits stand in
	// the table state. Source: DESIGN, "put off".
	LongestDelay = time.Hour
	// LongestWait is the longest wait that is believed when Defender asks for one.
	// Source: internal/defender.
	LongestWait = 24 * time.Hour
	// pendingMargin is how much later than it is due a wake-up is still taken for
	// pending: the host polls an idle queue once a minute, and may have other work.
	pendingMargin = 5 * time.Minute
	// saidKept bounds TableState.Said.
	saidKept = 8
	// causeKept bounds the text of a cause, in bytes.
	causeKept = 300
)

// Pending is the wake-up that waits in the queue because we sent it again.
type Pending struct {
	No  int64     `json:"No"`  // WakeUp.PutOff of it; numbers grow over the table's life
	Due time.Time `json:"Due"` // when it is delivered, by our clock; zero: it was
	// Failed: it was sent again after a failure. The timer's wake-up does not wait for
	// it but tries at once.
	Failed bool `json:"Failed,omitzero"`
}

// Waits reports whether a wake-up other than w is pending. One that did not come
// within a margin of its time was lost, and one that is due later than we ever delay
// one was written by a clock that was wrong: neither keeps others waiting.
func (p Pending) Waits(w WakeUp, now time.Time) bool {
	return !p.Due.IsZero() && p.No != w.PutOff && now.Before(p.Due.Add(pendingMargin)) && !p.Due.After(now.Add(LongestDelay+pendingMargin))
}

// Superfluous reports whether a wake-up may end at once, since another one that is
// pending will do its work. A person's never is.
func (p Pending) Superfluous(w WakeUp, now time.Time) bool {
	return w.Trigger == Scheduled && w.Failures == 0 && p.Waits(w, now) && !p.Failed
}

// Said is a cause that an audit row named.
type Said struct {
	Cause string    `json:"Cause"`
	At    time.Time `json:"At"`
}

// Gist is a text without what differs from one failure to the next although the
// cause is the same: words with a digit in them, which are numbers, instants and ids.
func Gist(text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '_' })
	kept := words[:0]
	for _, w := range words {
		if !strings.ContainsFunc(w, unicode.IsDigit) {
			kept = append(kept, w)
		}
	}
	return clip(strings.Join(kept, " "), causeKept)
}

// Say reports whether the cause is to be said: once in each period of UTC, an hour
// or a day. It remembers that it was.
func (s *TableState) Say(cause string, now time.Time, period time.Duration) bool {
	for i, said := range s.Said {
		if said.Cause != cause {
			continue
		}
		if said.At.Truncate(period).Equal(now.Truncate(period)) {
			return false
		}
		s.Said = append(s.Said[:i:i], s.Said[i+1:]...)
		break
	}
	s.Said = append(s.Said, Said{cause, now})
	if over := len(s.Said) - saidKept; over > 0 {
		s.Said = s.Said[over:]
	}
	return true
}

// Correct sets right what a clock that was wrong has left in the state: instants of
// the past that lie ahead of now are now, and instants to wait for that lie further
// ahead than we ever set one are forgotten. It does not touch what other clocks have
// written.
func (s *TableState) Correct(now time.Time) {
	for _, past := range []*time.Time{&s.LastEnded, &s.LastStarted, &s.ForeignSince} {
		if past.After(now) {
			*past = now
		}
	}
	if s.NotBefore.Sub(now) > LongestWait+pendingMargin {
		s.NotBefore = time.Time{}
	}
	if s.Pending.Due.Sub(now) > LongestDelay+pendingMargin {
		s.Pending.Due = time.Time{}
	}
}

// Correct sets right the instants of sends that a clock which was wrong has left in
// the ledger: those that lie ahead of now are now. All slices in doubt are taken for
// sent now then, since the order of the sends is not known any more: that costs one
// more grace time, and never sends a slice early.
//
// A run that began ahead of now began when Defender's clock said so at its plan, or now
// where that is not known: what ADX holds of it is looked for from then on.
func (l *Ledger) Correct(now time.Time) {
	if l.Started.After(now) {
		l.Started = now
		for _, planned := range []time.Time{l.SourceNow, l.SnapshotTime} {
			if !planned.IsZero() && planned.Before(l.Started) {
				l.Started = planned
			}
		}
	}
	wrong := l.ProbeSent.After(now)
	for i := range l.Slices {
		wrong = wrong || l.Slices[i].Sent.After(now)
	}
	if !wrong {
		return
	}
	if l.ProbeSent.After(now) {
		l.ProbeSent = now
	}
	for i := range l.Slices {
		if s := &l.Slices[i]; s.Sent.After(now) || s.State == Committing && s.Sends > 0 {
			s.Sent = now
		}
	}
}
