package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/sampledata"
)

// oracleCase is a query of the public documentation with the answer Microsoft's
// own emulator gave.
type oracleCase struct {
	ID       string `json:"id"`
	KQL      string `json:"kql"`
	Expected struct {
		Columns []string          `json:"columns"`
		Types   []string          `json:"column_types"`
		Rows    [][]jsonRawNumber `json:"rows"`
	} `json:"expected"`
}

type jsonRawNumber = json.RawMessage

// differs lists accepted queries whose answer is not the recorded one, and why.
var differs = map[string]string{}

// maxRefused is how many queries of the file may be refused; it may only shrink.
const maxRefused = 208

// free matches what gives another answer each time, or is free to choose.
var free = regexp.MustCompile(`\b(now|ago|rand|new_guid|dcount|dcountif|percentiles?|hll|tdigest|cursor_current)\s*\(|\|\s*(sample|take)\b`)

func TestDocumentation_AnswersAgree(t *testing.T) {
	f, err := os.Open(sampledata.Path(t, "kql-oracle", "docs-answers.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	reasons := map[string]int{}
	var accepted, right, chance, refused int
	seen := map[string]bool{}
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 8<<20)
	for sc.Scan() {
		var c oracleCase
		if err := json.Unmarshal(sc.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		seen[c.ID] = true
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		res, err := Run(ctx, Query{Text: c.KQL, Now: time.Date(2026, 8, 2, 12, 0, 0, 0, time.UTC), MaxRows: 2_000_000})
		cancel()
		var unknown *UnsupportedError
		if errors.As(err, &unknown) {
			refused++
			reasons[unknown.Construct]++
			continue
		}
		accepted++
		if err == nil && free.MatchString(c.KQL) {
			chance++
			continue
		}
		var diff string
		if err != nil {
			diff = err.Error()
		} else {
			diff = c.compare(res)
		}
		reason, listed := differs[c.ID]
		switch {
		case diff == "" && listed:
			t.Errorf("%s: answered as recorded, but listed as %q", c.ID, reason)
		case diff == "":
			right++
		case !listed:
			t.Errorf("%s: %s\n%s", c.ID, diff, c.KQL)
		}
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	for id := range differs {
		if !seen[id] {
			t.Errorf("%s is listed but not in the file", id)
		}
	}
	t.Logf("%d accepted: %d right, %d of free choice, %d listed; %d refused", accepted, right, chance, len(differs), refused)
	for _, r := range slices.SortedFunc(maps.Keys(reasons), func(a, b string) int { return reasons[b]*1000 - reasons[a]*1000 + strings.Compare(a, b) }) {
		t.Logf("refused %3d: %s", reasons[r], r)
	}
	if refused > maxRefused {
		t.Errorf("%d queries refused, at most %d may be", refused, maxRefused)
	}
}

// compare gives the first difference, "" if there is none. Rows are compared as a
// set unless the query ends in a sort.
func (c *oracleCase) compare(res *Result) string {
	var names, types []string
	for _, col := range res.Columns {
		names, types = append(names, col.Name), append(types, col.Type.WireName())
	}
	if !slices.Equal(names, c.Expected.Columns) {
		return fmt.Sprintf("columns %q, want %q", names, c.Expected.Columns)
	}
	if !slices.Equal(types, c.Expected.Types) {
		return fmt.Sprintf("types %q, want %q", types, c.Expected.Types)
	}
	if len(res.Rows) != len(c.Expected.Rows) {
		return fmt.Sprintf("%d rows, want %d", len(res.Rows), len(c.Expected.Rows))
	}
	got, want := make([][]any, len(res.Rows)), make([][]any, len(res.Rows))
	for i, r := range res.Rows {
		for k, v := range r.Values {
			p, err := ParseJSON(FormatJSON(nil, res.Columns[k].Type, v))
			if err != nil {
				return err.Error()
			}
			got[i] = append(got[i], plain(p))
			w, err := ParseJSON(c.Expected.Rows[i][k])
			if err != nil {
				return err.Error()
			}
			want[i] = append(want[i], plain(w))
		}
	}
	if i := strings.LastIndex(c.KQL, "|"); i < 0 || !regexp.MustCompile(`^\|\s*(sort|order|top)\b`).MatchString(c.KQL[i:]) {
		slices.SortFunc(got, bySpelling)
		slices.SortFunc(want, bySpelling)
	}
	for i := range got {
		if !alike(got[i], want[i]) {
			return fmt.Sprintf("row %d: %v, want %v", i, got[i], want[i])
		}
	}
	return ""
}

func bySpelling(a, b []any) int {
	return strings.Compare(string(appendJSON(nil, []any(a))), string(appendJSON(nil, []any(b))))
}

// plain gives bags in key order and datetimes with seven digits.
func plain(v any) any {
	switch x := sortedKeys(v).(type) {
	case string:
		if len(x) >= 20 && len(x) <= 28 && x[10] == 'T' {
			if d, ok := ParseDatetime(x); ok {
				return d.String()
			}
		}
		return x
	case []any:
		for i := range x {
			x[i] = plain(x[i])
		}
		return x
	case *Bag:
		for i := range x.vals {
			x.vals[i] = plain(x.vals[i])
		}
		return x
	default:
		return x
	}
}

func alike(a, b any) bool {
	if list, ok := a.([]any); ok {
		other, ok := b.([]any)
		if !ok || len(list) != len(other) {
			return false
		}
		for i := range list {
			if !alike(list[i], other[i]) {
				return false
			}
		}
		return true
	}
	if bag, ok := a.(*Bag); ok {
		other, ok := b.(*Bag)
		if !ok || !slices.Equal(bag.keys, other.keys) {
			return false
		}
		return alike(bag.vals, other.vals)
	}
	f, isF := a.(float64)
	g, isG := b.(float64)
	if isF && isG {
		return f == g || math.Abs(f-g) <= 1e-9*math.Max(math.Abs(f), math.Abs(g))
	}
	return a == b
}
