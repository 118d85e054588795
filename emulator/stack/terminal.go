package stack

import (
	"cmp"
	"fmt"
	"os"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/defender2adx/defender2adx/internal/prose"
)

// Terminal draws a bar for each table in work; a table that ended becomes a line
// above the bars.
type Terminal struct {
	width    func() int // columns, now
	progress *mpb.Progress
	bars     map[string]*mpb.Bar
	once     sync.Once
}

// Width is how many columns a terminal has now; 0 where out is none.
func Width(out *os.File) int {
	columns, _, err := term.GetSize(int(out.Fd()))
	if err != nil {
		return 0
	}
	return columns
}

// NewTerminal draws on out, which must be a terminal.
func NewTerminal(out *os.File) *Terminal {
	width := func() int { return cmp.Or(Width(out), PlainWidth) }
	return &Terminal{width: width, progress: mpb.New(mpb.WithOutput(out)), bars: map[string]*mpb.Bar{}}
}

// Say writes a line above the bars, folded where the terminal is narrower.
func (t *Terminal) Say(line string) { fmt.Fprintln(t.progress, prose.Folded(line, t.width(), "  ")) }

// Planned begins or widens the table's bar.
func (t *Terminal) Planned(table string, rows int64) {
	if bar := t.bars[table]; bar != nil {
		bar.SetTotal(rows, false)
		return
	}
	width := t.width()
	name := min(nameWidth, width/2)
	t.bars[table] = t.progress.AddBar(max(rows, 1), mpb.BarRemoveOnComplete(), mpb.BarWidth(max(8, width/5)),
		mpb.PrependDecorators(decor.Name(fmt.Sprintf("%-*s ", name, shortened(table, name)))),
		mpb.AppendDecorators(decor.CountersNoUnit("%d / %d rows"), decor.Elapsed(decor.ET_STYLE_MMSS, decor.WCSyncSpace)))
}

// Moved advances the table's bar.
func (t *Terminal) Moved(table string, rows int64) {
	if bar := t.bars[table]; bar != nil {
		bar.IncrInt64(rows)
	}
}

// Ended replaces the bar by the table's line.
func (t *Terminal) Ended(table string, e Ended) {
	if bar := t.bars[table]; bar != nil {
		bar.Abort(true)
		delete(t.bars, table)
	}
	line := e.line(table, t.width())
	if e.Problem != "" {
		line = prose.Folded(line, t.width(), "  ")
	}
	fmt.Fprintln(t.progress, line)
}

// Close waits until everything is drawn.
func (t *Terminal) Close() {
	t.once.Do(func() {
		for _, bar := range t.bars {
			bar.Abort(true)
		}
		t.progress.Wait()
	})
}
