// Package savedquery reads the saved queries: KQL files whose answer is copied like a
// table. It knows where a statement ends and what the lines at the head of a file mean,
// and no more of the language: the service judges the rest.
package savedquery

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Prefix begins the SourceTable of a saved query.
const Prefix = "query/"

// extension is that of the files.
const extension = ".kql"

// Query is one saved query.
type Query struct {
	Name  string // of the file, without extension
	About string // what it answers, in a sentence or two
	// Lets are its let statements, each with semicolon and line end; Result gives the
	// rows. Both without comments.
	Lets, Result string

	Load      string   // recommended load type; "" where the file says none
	Watermark string   // recommended watermark column; "" for a snapshot
	Key       []string // columns that together identify a row; empty: only the whole row does
	Columns   []Column // of the result; empty where the file does not say

	Err error // why it cannot be copied
}

// Column is one of the result.
type Column struct {
	Name string
	Type string // KQL type
}

// Source is the query's SourceTable.
func (q Query) Source() string { return Prefix + q.Name }

// View is the name of its typed view, and its short name.
func (q Query) View() string {
	return "Query" + strings.ToUpper(q.Name[:min(1, len(q.Name))]) + q.Name[min(1, len(q.Name)):]
}

// Destination is its raw table.
func (q Query) Destination() string { return q.View() + "Raw" }

// Column returns the column of that exact name.
func (q Query) Column(name string) (Column, bool) {
	i := slices.IndexFunc(q.Columns, func(c Column) bool { return c.Name == name })
	if i < 0 {
		return Column{}, false
	}
	return q.Columns[i], true
}

var (
	plain = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)
	types = []string{"bool", "datetime", "dynamic", "guid", "int", "long", "real", "string"}
)

// Parse reads a query of that name. What is wrong with it is its Err.
func Parse(name, text string) Query {
	q := Query{Name: name}
	q.Err = q.read(strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n"))
	if q.Err != nil {
		q.Err = fmt.Errorf("saved query %s: %w", name, q.Err)
	}
	return q
}

func (q *Query) read(text string) error {
	if !plain.MatchString(q.Name) {
		return errors.New("the name of the file wants letters, digits and underscores, at most 64, starting with a letter")
	}
	p, err := split(text)
	if err != nil {
		return err
	}
	for _, let := range p.lets {
		q.Lets += let + ";\n"
	}
	q.Result = p.result
	return q.head(text)
}

// head reads the comment that begins the file: prose, and lines that begin with Load:,
// Key: or Columns:.
func (q *Query) head(text string) error {
	var about []string
	for line := range strings.Lines(strings.TrimSpace(text)) {
		said, comment := strings.CutPrefix(strings.TrimSpace(line), "//")
		if !comment {
			break
		}
		said = strings.TrimSpace(said)
		word, value, _ := strings.Cut(said, ":")
		var err error
		switch fields := strings.Fields(strings.ReplaceAll(value, ",", " ")); word {
		case "Load":
			err = q.recommend(fields)
		case "Key":
			q.Key = append(q.Key, fields...)
		case "Columns":
			err = q.columns(fields)
		default:
			about = append(about, said)
		}
		if err != nil {
			return err
		}
	}
	q.About = strings.TrimSpace(strings.Join(about, " "))
	return q.checkHead()
}

func (q *Query) recommend(words []string) error {
	switch {
	case len(words) == 1 && words[0] == "Snapshot":
		q.Load = words[0]
	case len(words) == 2 && words[0] == "Incr":
		q.Load, q.Watermark = words[0], words[1]
	default:
		return fmt.Errorf("Load: want Snapshot, or Incr and a column, got %q", strings.Join(words, " "))
	}
	return nil
}

// columns reads names and types in turn; a file may have several lines of them.
func (q *Query) columns(words []string) error {
	for pair := range slices.Chunk(words, 2) {
		if len(pair) < 2 || !plain.MatchString(pair[0]) || !slices.Contains(types, pair[1]) {
			return fmt.Errorf("Columns: want a name and a KQL type each, got %q", strings.Join(pair, " "))
		}
		if _, twice := q.Column(pair[0]); twice {
			return fmt.Errorf("Columns: %s stands twice", pair[0])
		}
		q.Columns = append(q.Columns, Column{pair[0], pair[1]})
	}
	return nil
}

func (q *Query) checkHead() error {
	for _, name := range q.Key {
		if _, known := q.Column(name); !plain.MatchString(name) || len(q.Columns) > 0 && !known {
			return fmt.Errorf("Key: %q is no column of the result", name)
		}
	}
	return q.CheckWatermark(q.Watermark)
}

// CheckWatermark refuses a column that is known to hold no instant; "" is none.
func (q Query) CheckWatermark(column string) error {
	if column == "" || len(q.Columns) == 0 {
		return nil
	}
	if c, _ := q.Column(column); c.Type == "datetime" {
		return nil
	}
	var allowed []string
	for _, c := range q.Columns {
		if c.Type == "datetime" {
			allowed = append(allowed, c.Name)
		}
	}
	if len(allowed) == 0 {
		return fmt.Errorf("%s is no datetime column of the result, which has none: use Snapshot", column)
	}
	return fmt.Errorf("%s is no datetime column of the result; want %s", column, strings.Join(allowed, " or "))
}

// Read reads all queries of a folder, which need not exist. What is wrong with one, also
// that it cannot be read, is its Err.
func Read(folder fs.FS) []Query {
	files, _ := fs.Glob(folder, "*"+extension) // it fails for a malformed pattern alone
	out := make([]Query, 0, len(files))
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), extension)
		text, err := fs.ReadFile(folder, file)
		if err != nil {
			out = append(out, Query{Name: name, Err: fmt.Errorf("saved query %s: %w", name, err)})
			continue
		}
		out = append(out, Parse(name, string(text)))
	}
	return out
}
