package stack

import (
	"fmt"
	"io"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// Terminal draws a bar for each table in work; a table that ended becomes a line
// above the bars.
type Terminal struct {
	progress *mpb.Progress
	bars     map[string]*mpb.Bar
	once     sync.Once
}

// NewTerminal draws on out, which must be a terminal.
func NewTerminal(out io.Writer) *Terminal {
	return &Terminal{progress: mpb.New(mpb.WithOutput(out), mpb.WithWidth(60)), bars: map[string]*mpb.Bar{}}
}

// Say writes a line above the bars.
func (t *Terminal) Say(line string) { fmt.Fprintln(t.progress, line) }

// Planned begins or widens the table's bar.
func (t *Terminal) Planned(table string, rows int64) {
	if bar := t.bars[table]; bar != nil {
		bar.SetTotal(rows, false)
		return
	}
	t.bars[table] = t.progress.AddBar(max(rows, 1), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(fmt.Sprintf("%-42s ", table))),
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
	t.Say(e.line(table))
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
