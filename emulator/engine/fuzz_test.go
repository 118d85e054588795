package engine

import (
	"context"
	"testing"
)

// fuelContext ends after a number of looks at it, so that a query that never ends
// does so in a test.
type fuelContext struct {
	context.Context
	left int
}

func (c *fuelContext) Err() error {
	if c.left--; c.left < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// FuzzRun_AnswersOrRefuses feeds texts to the whole evaluator: they are answered or
// refused, never more.
func FuzzRun_AnswersOrRefuses(f *testing.F) {
	for _, s := range semantics {
		f.Add("print " + s.expr)
	}
	for _, q := range []string{
		`let f = (a:long, b:long = 2) { let c = a + b; c * 2 }; range x from 1 to 2 step 1 | extend y = f(x)`,
		`DeviceInfo | summarize arg_max(ReportId, *), percentiles(ReportId, 5, 95) by bin(Timestamp, 1h), DeviceId | top 3 by ReportId desc nulls first`,
		`DeviceInfoRaw | mv-expand with_itemindex=i r = Records to typeof(string) limit 5 | evaluate bag_unpack(r, 'p_')`,
		`DeviceInfoRaw | mv-apply r = Records on (summarize n = count() | extend s = row_number()) | sort by n asc`,
		`union withsource=T kind=inner isfuzzy=true Odd*, (print x = 1) | join kind=fullouter hint.remote=left (Odd) on $left.N == $right.N and $left.T == $right.['a b']`,
		`declare query_parameters(p:long = 5); print p | invoke Keep('x')`,
		"print h@'x' ```y\nz``` | extend datetime(2026-01-01) | parse print_0 with * 'a' b:long * | render x with (a=b)",
		`Odd | project-reorder N | project-rename M = N | project-keep M* | getschema | as hint.materialized=true X | union X`,
		`datatable(a:dynamic, b:guid)[dynamic({'x': [1, {"y": datetime(2026-01-01)}]}), guid(74be27de-1e4e-49d9-b579-fe0b331d3642)] | where a.x[1].y has '2026'`,
		`print toscalar(Odd | count), materialize(Odd) | sort by prev(print_0) | lookup Odd on N`,
	} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return
		}
		res, err := Run(&fuelContext{t.Context(), 200}, Query{Text: text, Catalog: testCatalog(), Now: testNow, MaxRows: 1000})
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a text")
			}
			return
		}
		for _, r := range res.Rows {
			if len(r.Values) != len(res.Columns) {
				t.Fatalf("%d values in %d columns", len(r.Values), len(res.Columns))
			}
			for i, v := range r.Values {
				out := FormatJSON(nil, res.Columns[i].Type, v)
				if _, err := ParseJSON(out); err != nil {
					t.Errorf("column %s gives %q: %v", res.Columns[i].Name, out, err)
				}
			}
		}
	})
}

func FuzzParseJSON_ReadsItsOwnText(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5,-3e2,"x\u00e9\ud83d\ude00\n",true,null]}`, `[`, `"\ud800"`, `12345678901234567890`, `{"a":1,"a":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := ParseJSON(text)
		if err != nil {
			return
		}
		once := appendJSON(nil, v)
		again, err := ParseJSON(once)
		if err != nil {
			t.Fatalf("%q became %q: %v", text, once, err)
		}
		if twice := appendJSON(nil, again); string(twice) != string(once) {
			t.Errorf("%q became %q, then %q", text, once, twice)
		}
	})
}
