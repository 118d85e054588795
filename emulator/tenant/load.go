package tenant

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// LoadOptions say when loaded rows arrived.
type LoadOptions struct {
	// Now is where the clock stands. Zero: at the newest event of the data, and if
	// that names no time, at 2026-01-01.
	Now time.Time
	// Span is the time over which the rows arrived, in their order; zero is five
	// days.
	Span time.Duration
	// Lag is how long before Now the last row arrived; zero is two hours.
	Lag time.Duration
	// NullIngestion makes all ingestion times null.
	NullIngestion bool
}

// loadChunk is how many neighbouring rows of a file share an ingestion time.
const loadChunk = 7

// Load reads every <Table>.jsonl of a directory: one JSON object a line, UTF-8, the
// first perhaps after a byte order mark; blank lines are skipped. A table of the
// catalogue has the catalogue's columns, and after them those its rows add; any
// other table has the columns its rows show. A line that is no JSON object is an
// error with its file and number.
func Load(dir string, o LoadOptions) (*Tenant, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	var files []string
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".jsonl" {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	if len(files) == 0 {
		skipped, err := Skipped(dir)
		if err != nil {
			return nil, err
		}
		if len(skipped) > 0 {
			return nil, fmt.Errorf("load %s: it holds no .jsonl file, one JSON object a line; what it holds is not read: %s", dir, strings.Join(skipped, ", "))
		}
		return nil, fmt.Errorf("load %s: it holds no .jsonl file", dir)
	}
	t := New(o.Now)
	var newest engine.Datetime
	lines := make(map[string][][]byte, len(files))
	for _, file := range files {
		rows, err := readLines(file)
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		lines[name] = rows
		tb := t.tables[name]
		if tb == nil {
			tb = &table{name: name}
			t.tables[name] = tb
		}
		tb.cols = widened(tb.cols, rows)
		newest = max(newest, newestEvent(tb, rows))
	}
	if o.Now.IsZero() {
		if t.clock.at = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); newest > 0 {
			t.clock.at = newest.Time()
		}
	}
	if o.Span <= 0 {
		o.Span = 5 * 24 * time.Hour
	}
	if o.Lag <= 0 {
		o.Lag = 2 * time.Hour
	}
	for name, rows := range lines {
		times := spread(len(rows), loadChunk, t.clock.at.Add(-o.Lag), o.Span, hashText(name)).times(len(rows))
		if o.NullIngestion {
			for i := range times {
				times[i] = undated
			}
		}
		t.tables[name].segments = []segment{newKept(rows, times)}
	}
	return t, nil
}

// Skipped names the files of a directory that Load does not read, sorted; hidden
// ones are left out.
func Skipped(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); !e.IsDir() && filepath.Ext(name) != ".jsonl" && !strings.HasPrefix(name, ".") {
			names = append(names, name)
		}
	}
	return names, nil
}

// readLines gives a file's rows; they share the file's memory.
func readLines(file string) ([][]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read rows: %w", err)
	}
	text = bytes.TrimPrefix(text, []byte("\uFEFF"))
	var rows [][]byte
	n := 0
	for line := range bytes.Lines(text) {
		n++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if err := checkRow(line); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, n, err)
		}
		rows = append(rows, line[:len(line):len(line)])
	}
	return rows, nil
}

func checkRow(row []byte) error {
	if len(row) == 0 || row[0] != '{' || !json.Valid(row) {
		return fmt.Errorf("want a JSON object, got %d bytes of something else", len(row))
	}
	return nil
}

func newestEvent(tb *table, rows [][]byte) engine.Datetime {
	column := timeColumn(tb.name, tb.cols)
	if column == "" {
		return 0
	}
	var newest engine.Datetime
	for _, row := range rows {
		for key, text := range Members(row) {
			if string(key) != column {
				continue
			}
			if at, ok := value(text, engine.TypeDatetime, true).(engine.Datetime); ok {
				newest = max(newest, at)
			}
			break
		}
	}
	return newest
}

func hashText(s string) uint64 {
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}
