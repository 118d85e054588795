package main

import (
	"fmt"
	"io"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/prose"
)

// display shows how tables get on. Its methods are called from several goroutines.
type display interface {
	begun(key plan.Key)
	moved(key plan.Key, planned, verified int64) // rows of all runs so far
	waits(key plan.Key, d time.Duration, reason string)
	ended(key plan.Key, o outcome)
	close()
}

// display draws bars on a terminal, and else writes lines; with JSON one object a
// table that ended.
func (p *process) display(o outputFlag) display {
	width := 0
	if p.terminal != nil {
		width = p.terminal()
	}
	switch {
	case o.json():
		return &lines{out: p.stdout, json: true}
	case width == 0:
		return &lines{out: p.stdout}
	default:
		return &bars{progress: mpb.New(mpb.WithOutput(p.stdout), mpb.WithWidth(min(width, columns))), width: min(width, columns), of: map[plan.Key]*bar{}}
	}
}

// lines are for logs and pipes.
type lines struct {
	mu   sync.Mutex
	out  io.Writer
	json bool
	said map[plan.Key]string // the last reason to wait, which is said once
}

func (l *lines) begun(plan.Key)               {}
func (l *lines) moved(plan.Key, int64, int64) {}
func (l *lines) close()                       {}

func (l *lines) waits(key plan.Key, d time.Duration, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.json || l.said[key] == reason {
		return
	}
	if l.said == nil {
		l.said = map[plan.Key]string{}
	}
	l.said[key] = reason
	fmt.Fprintln(l.out, folded(waiting(key, d, reason), "  "))
}

func (l *lines) ended(key plan.Key, o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.json {
		_ = printJSON(l.out, o) // nobody is left to tell when the pipe is gone
		return
	}
	fmt.Fprintln(l.out, o.line(key, columns))
}

func waiting(key plan.Key, d time.Duration, reason string) string {
	return fmt.Sprintf("%s waits %v: %s", shown(key), d.Round(time.Second), reason)
}

const (
	// nameWidth is what the longest names of the catalogue need beside the figures.
	nameWidth = 40
	// figuresWidth is what the figures of an end need.
	figuresWidth = 35
)

// line is how a table has ended, for a terminal of that width. A name that leaves no
// room for the figures has a line of its own.
func (o outcome) line(key plan.Key, width int) string {
	room, name := min(nameWidth, max(0, width-figuresWidth)), shown(key)
	if utf8.RuneCountInString(name) > room {
		name += fmt.Sprintf("\n%-*s", room, "")
	}
	text := fmt.Sprintf("%-*s %-11s %12s %6.1f s", room, name, o.Status, prose.Counted(o.Rows, "row"), o.Seconds)
	if o.Problem != "" {
		text += "\n" + folded("  "+o.Problem, "  ")
	}
	return text
}

// bars are for a terminal: one for each table in work; a table that ended becomes a
// line above them.
type bars struct {
	mu       sync.Mutex
	progress *mpb.Progress
	width    int
	of       map[plan.Key]*bar
}

type bar struct {
	*mpb.Bar
	mu     sync.Mutex
	until  time.Time // waits until then; zero: works
	reason string
}

// rooms are those of a name before its bar and of the words behind it; the bar needs 14
// columns between them.
func (b *bars) rooms() (name, says int) {
	name = max(12, min(30, b.width-42))
	return name, max(1, b.width-name-14)
}

func (b *bars) begun(key plan.Key) {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := &bar{}
	name, room := b.rooms()
	one.Bar = b.progress.AddBar(0, mpb.BarRemoveOnComplete(), mpb.BarWidth(12),
		mpb.PrependDecorators(decor.Name(fmt.Sprintf("%-*s ", name, gutted(shown(key), name)))),
		mpb.AppendDecorators(decor.Any(func(s decor.Statistics) string { return shortened(one.says(s), room) })))
	b.of[key] = one
}

// says is what stands behind the bar: rows, or why it waits.
func (b *bar) says(s decor.Statistics) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if left := time.Until(b.until); left > 0 {
		return fmt.Sprintf(" waits %v: %s", left.Round(time.Second), b.reason)
	}
	if s.Total <= 0 {
		return " counting"
	}
	return fmt.Sprintf(" %d of %s", s.Current, prose.Counted(s.Total, "row"))
}

func (b *bars) moved(key plan.Key, planned, verified int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if one := b.of[key]; one != nil {
		one.mu.Lock()
		one.until = time.Time{}
		one.mu.Unlock()
		one.SetTotal(planned, false)
		one.SetCurrent(verified)
	}
}

func (b *bars) waits(key plan.Key, d time.Duration, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if one := b.of[key]; one != nil {
		one.mu.Lock()
		defer one.mu.Unlock()
		one.until, one.reason = time.Now().Add(d), reason
	}
}

func (b *bars) ended(key plan.Key, o outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if one := b.of[key]; one != nil {
		one.Abort(true)
		delete(b.of, key)
	}
	fmt.Fprintln(b.progress, o.line(key, b.width))
}

// close waits until everything is drawn; the bars of tables that did not end go.
func (b *bars) close() {
	for _, one := range b.of {
		one.Abort(true)
	}
	b.progress.Wait()
}

// shortened cuts text after width characters.
func shortened(text string, width int) string {
	if utf8.RuneCountInString(text) <= width || width < 1 {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}

// gutted takes the middle out of a name that is longer than width: names of tables begin
// alike and differ at their ends.
func gutted(name string, width int) string {
	letters := []rune(name)
	if len(letters) <= width || width < 3 {
		return shortened(name, width)
	}
	head := (width - 1) / 3
	return string(letters[:head]) + "…" + string(letters[len(letters)-(width-1-head):])
}
