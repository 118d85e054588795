package adx

import "testing"

// The service's answer is described in no page: a row for the column, or one for the
// table that lists its columns.
func TestReadEncoding_TakesEitherForm(t *testing.T) {
	const policy = `{"EncodingPolicyType":"BigObject32","MaxValueSize":33554432}`
	cases := []struct {
		name, text string
		own        bool
		want       encoding
		ok         bool
	}{
		{"the column's own row", policy, true, encoding{"BigObject32", 32 << 20}, true},
		{"a row of another column or of the table", policy, false, encoding{}, false},
		{"listed by name", `[{"ColumnName":"RunId","EncodingPolicyType":"Identifier","MaxValueSize":1},{"ColumnName":"Records","EncodingPolicyType":"BigObject32","MaxValueSize":33554432}]`, false, encoding{"BigObject32", 32 << 20}, true},
		{"under its name", `{"RunId":{"MaxValueSize":1},"Records":` + policy + `}`, false, encoding{"BigObject32", 32 << 20}, true},
		{"without a size", `{"EncodingPolicyType":"BigObjectIndexed32"}`, true, encoding{profile: "BigObjectIndexed32"}, true},
		{"the default by name", `{"EncodingPolicyType":"Null","MaxValueSize":1048576}`, true, encoding{"", 1 << 20}, true},
		{"none", `null`, true, encoding{}, false},
		{"no JSON", `BigObject32`, true, encoding{}, false},
		{"something else", `{"Policies":[1,"x",{"a":null}]}`, true, encoding{}, false},
	}
	for _, tc := range cases {
		if got, ok := readEncoding(tc.text, tc.own); got != tc.want || ok != tc.ok {
			t.Errorf("%s: got %+v, %v, want %+v, %v", tc.name, got, ok, tc.want, tc.ok)
		}
	}
}

func TestRowLimit_OfWhatCannotBeUnderstoodIsTheDefaults(t *testing.T) {
	for name, a := range map[string]struct {
		reply reply
		want  int64
		fails bool
	}{
		"refused":       {reply{code: 403, body: restError("Forbidden", "no", `,"@permanent":true`)}, 1 << 20, false},
		"empty":         {reply{columns: "EntityName:string, Policy:string, ChildEntities:string"}, 1 << 20, false},
		"no size":       {reply{columns: "EntityName:string, Policy:string, ChildEntities:string", rows: []string{`["[db].[T].[Records]","{\"EncodingPolicyType\":\"BigObjectIndexed32\"}",""]`}}, 32 << 20, false},
		"in a child":    {reply{columns: "EntityName:string, Policy:string, ChildEntities:string", rows: []string{`["T","null","{\"Records\":{\"MaxValueSize\":2097152}}"]`}}, 2 << 20, false},
		"not answering": {reply{code: 503, body: "busy"}, 0, true},
	} {
		s := newStandIn(t)
		s.answer = func(string, string, string) reply { return a.reply }
		got, err := s.client(t).RowLimit(t.Context(), "T")
		if got != a.want || (err != nil) != a.fails {
			t.Errorf("%s: got %d, %v; want %d", name, got, err, a.want)
		}
	}
}

func TestTaggedQuery_FindsTheWholeTag(t *testing.T) {
	const want = `['T'] | where extent_tags() has "ingest-by:a-1" and set_has_element(extent_tags(), "ingest-by:a-1") | take 1 | project Tagged = true`
	if got := taggedQuery("T", "a-1"); got != want {
		t.Errorf("got %s", got)
	}
}
