package tenant

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// maxMaterialized bounds the generated rows that Delete and Reorder take into
// memory.
const maxMaterialized = 2_000_000

// Append adds rows behind the others, all arriving at one instant; the zero time
// is a null ingestion time. Rows are JSON objects and are copied. A table that did
// not exist begins with them. Members that are no columns yet become columns.
func (t *Tenant) Append(name string, ingested time.Time, rows ...string) error {
	at := undated
	if !ingested.IsZero() {
		at = engine.FromTime(ingested)
	}
	texts := make([][]byte, len(rows))
	times := make([]engine.Datetime, len(rows))
	for i, row := range rows {
		texts[i], times[i] = bytes.TrimSpace([]byte(row)), at
		if err := checkRow(texts[i]); err != nil {
			return fmt.Errorf("append to %s: row %d: %w", name, i, err)
		}
	}
	t.mu.Lock()
	if t.tables[name] == nil {
		t.tables[name] = &table{name: name}
	}
	t.mu.Unlock()
	return t.change(name, func(tb *table) error {
		tb.cols = widened(tb.cols, texts)
		n := len(tb.segments)
		tb.segments = append(tb.segments[:n:n], newKept(texts, times))
		return nil
	})
}

// Delete removes the rows for which drop is true, and returns how many. drop gets
// a row's position and text. A generated table is held in memory from then on.
func (t *Tenant) Delete(name string, drop func(i int, row []byte) bool) (int, error) {
	gone := 0
	err := t.change(name, func(tb *table) error {
		texts, times, err := tb.materialize()
		if err != nil {
			return err
		}
		n := 0
		for i, row := range texts {
			if drop(i, row) {
				continue
			}
			texts[n], times[n] = row, times[i]
			n++
		}
		gone = len(texts) - n
		tb.segments = []segment{newKept(texts[:n], times[:n])}
		return nil
	})
	return gone, err
}

// Restamp gives all rows new ingestion times, in their order within the span that
// ends at at: the refresh of a snapshot. The zero time makes them null.
func (t *Tenant) Restamp(name string, at time.Time, span time.Duration) error {
	return t.change(name, func(tb *table) error {
		segments := make([]segment, len(tb.segments))
		total := 0
		for _, s := range tb.segments {
			total += s.len()
		}
		anew := spread(total, loadChunk, at, span, hashText(name))
		done := 0
		for k, s := range tb.segments {
			part := anew
			part.start += part.step * engine.Datetime(done/part.chunk)
			done += s.len()
			if m, ok := s.(*made); ok {
				again := *m
				again.arrival, again.null = part, at.IsZero()
				segments[k] = &again
				continue
			}
			times := part.times(s.len())
			if at.IsZero() {
				for i := range times {
					times[i] = undated
				}
			}
			segments[k] = newKept(s.(*kept).texts, times)
		}
		tb.segments = segments
		return nil
	})
}

// Reorder changes the order in which a scan meets the rows, which keep their
// ingestion times. A generated table is held in memory from then on.
func (t *Tenant) Reorder(name string, seed uint64) error {
	return t.change(name, func(tb *table) error {
		texts, times, err := tb.materialize()
		if err != nil {
			return err
		}
		rand.New(rand.NewPCG(seed, hashText(name))).Shuffle(len(texts), func(i, j int) {
			texts[i], texts[j] = texts[j], texts[i]
			times[i], times[j] = times[j], times[i]
		})
		tb.segments = []segment{newKept(texts, times)}
		return nil
	})
}

// materialize copies all rows into fresh slices.
func (tb *table) materialize() ([][]byte, []engine.Datetime, error) {
	total := 0
	for _, s := range tb.segments {
		if m, ok := s.(*made); ok && m.n > maxMaterialized {
			return nil, nil, fmt.Errorf("its %d generated rows are more than the %d that are taken into memory", m.n, maxMaterialized)
		}
		total += s.len()
	}
	texts := make([][]byte, 0, total)
	times := make([]engine.Datetime, 0, total)
	var buf []byte
	for _, s := range tb.segments {
		for i := range s.len() {
			row := s.row(i, buf)
			if !s.held() {
				buf, row = row, bytes.Clone(row)
			}
			at, ok := s.ingested(i)
			if !ok {
				at = undated
			}
			texts, times = append(texts, row), append(times, at)
		}
	}
	return texts, times, nil
}
