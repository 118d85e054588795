package engine

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// semantics are the traps of the language: expressions, each with the answer the
// service gives, printed as one row.
var semantics = []struct{ topic, expr, want string }{
	{"nulls", `isnull(''), isempty('')`, `false,true`},
	{"nulls", `long(null) == 1, long(null) != 1, string(null)`, ``},
	{"nulls", `long(null) == 1, long(null) != 1, long(null) == long(null)`, `false,true,null`},
	{"nulls", `long(null) < 1, long(null) + 1, not(bool(null))`, `null,null,null`},
	{"nulls", `bool(null) and false, bool(null) or true, bool(null) and true`, `false,true,null`},
	{"nulls", `long(null) in (1, 2), long(null) !in (1, 2)`, `false,true`},
	{"nulls", `dynamic(null) has 'a', dynamic(null) !has 'a', dynamic(null) == ''`, `false,true,true`},

	{"arithmetic", `-7/2, 1/0, 1.0/0`, `-3,null,"Infinity"`},
	{"arithmetic", `-7 % 3, 7 % 3, 5 % 0`, `2,1,null`},
	{"arithmetic", `1 + 1.5, 7/2.0, 1h/30m`, `2.5,3.5,2.0`},
	{"arithmetic", `gettype(1), gettype(int(1) + int(1)), gettype(int(1) + 1), gettype(1 + 1.0), gettype(decimal(1) + 1)`, `"long","int","long","real","decimal"`},
	{"arithmetic", `datetime(2026-01-02) - datetime(2026-01-01), datetime(2026-01-01) + 36h, 2 * 90s`, `"1.00:00:00","2026-01-02T12:00:00.0000000Z","00:03:00"`},
	{"arithmetic", `datetime(2026-01-01) - 1tick, now() - 3600s`, `"2025-12-31T23:59:59.9999999Z","2026-11-21T11:00:00.0000000Z"`},
	{"arithmetic", `bin(datetime(2026-01-01 13:59), 1h), bin(7, 3), bin(-7, 3), bin(5.5, 2), floor(7.9, 1.0)`, `"2026-01-01T13:00:00.0000000Z",6,-9,4.0,7.0`},

	{"conversions", `tolong('5.7'), tolong('1e3'), tolong(''), tolong('0x10'), tolong(5.7)`, `null,null,null,16,5`},
	{"conversions", `toint(9999999999), toint('9999999999'), toint(1e10)`, `1410065407,null,2147483647`},
	{"conversions", `tolong(1d), todouble('1.5'), tobool('true'), tobool('x')`, `864000000000,1.5,true,null`},
	{"conversions", `todatetime('2022/12/02'), todatetime('12-02-2022'), todatetime('13-01-2022')`, `"2022-12-02T00:00:00.0000000Z","2022-12-02T00:00:00.0000000Z",null`},
	{"conversions", `todatetime('2 Dec 2022'), todatetime('20221202'), todatetime('2022-12-02T10:00:00+02:00')`, `"2022-12-02T00:00:00.0000000Z","2022-12-02T00:00:00.0000000Z","2022-12-02T08:00:00.0000000Z"`},
	{"conversions", `todatetime('Fri, 02 Dec 2022 01:02:03 GMT'), todatetime('2022-12-02T01:02:03.12345678Z'), todatetime('x')`, `"2022-12-02T01:02:03.0000000Z","2022-12-02T01:02:03.1234567Z",null`},
	{"conversions", `totimespan('1.02:03:04.5'), totimespan('00:10'), timespan(null)`, `"1.02:03:04.5000000","00:10:00",null`},
	{"conversions", `toguid('74BE27DE1E4E49D9B579FE0B331D3642'), toguid('x')`, `"74be27de-1e4e-49d9-b579-fe0b331d3642",null`},

	{"text forms", `tostring(true), tostring(dynamic(true)), tostring(long(null)), tostring(1.0)`, `"True","true","","1.0"`},
	{"text forms", `tostring(datetime(2020-01-02T03:04:05.6)), tostring(90m), tostring(1.02:03:04.5)`, ``},
	{"text forms", `tostring(datetime(2020-01-02T03:04:05.6)), tostring(90m), tostring(time(1.02:03:04.5))`, `"2020-01-02T03:04:05.6000000Z","01:30:00","1.02:03:04.5000000"`},
	{"text forms", `tostring(dynamic("a")), tostring(dynamic([1, "b"])), tostring(dynamic({"a" : 1.0}))`, `"a","[1,\"b\"]","{\"a\":1.0}"`},
	{"text forms", `strcat('a', 1, true, 2.5, 1h), hash_md5(''), hash_sha256('')`, `"a1True2.501:00:00","",""`},

	{"hash", `hash('World'), hash('World', 100), hash(datetime(2015-01-01))`, `1846988464401551951,51,1380966698541616202`},
	{"hash", `hash_xxhash64('World'), hash('', 2) >= 0`, `1846988464401551951,true`},

	{"has", `'a_b' has 'a', 'a-b' has 'B', 'abc' has 'ab', 'abc' has ''`, `true,true,false,true`},
	{"has", `'x.y' has '.', 'née' has 'n', 'drop-by:run-10' has 'drop-by:run-1', 'drop-by:run-1-b' has 'drop-by:run-1'`, `true,false,false,true`},
	{"has", `'a_B' has_cs 'b', 'abc def' hasprefix 'de', 'abc def' hassuffix 'BC', 'ab' has_any ('x', 'AB'), 'a b' has_all ('a', 'c')`, `false,true,true,true,false`},
	{"text operators", `'Abc' =~ 'aBC', 'Abc' !~ 'abc', 'Abc' contains 'BC', 'Abc' contains_cs 'BC', 'Abc' !contains 'x'`, `true,false,true,false,true`},
	{"text operators", `'Abc' startswith 'aB', 'Abc' startswith_cs 'aB', 'Abc' endswith 'BC', 'Abc' !endswith 'BC', 'abc' matches regex '^a.c$'`, `true,false,true,false,true`},
	{"text operators", `'b' in ('a', 'b'), 'B' in ('b'), 'B' in~ ('b'), 2 in (dynamic([1, 2])), 'B' !in~ ('b')`, `true,false,true,true,false`},
	{"ranges", `5 between (1 .. 5), 5 !between (1 .. 4), datetime(2026-01-02) between (datetime(2026-01-01) .. 1d)`, `true,true,true`},

	{"comparison", `datetime(2026-01-01) == '2026-01-01', 1 == 1.0, guid(74be27de-1e4e-49d9-b579-fe0b331d3642) == '74be27de-1e4e-49d9-b579-fe0b331d3642'`, `true,true,true`},
	{"comparison", `dynamic(1) == 1, dynamic("a") == 'a', dynamic({"a":2}).a > 1, dynamic([1]) == '[1]'`, `true,true,true,true`},

	{"dynamics", `dynamic({"a":[1,2,3]}).a[-1], dynamic({"a":1}).b, dynamic([1])[5], dynamic({"a b":1})['a b']`, `3,null,null,1`},
	{"dynamics", `parse_json('nope'), parse_json('[1, 2.0]'), gettype(parse_json('1.0')), gettype(dynamic({})), gettype(dynamic(null))`, `"nope",[1,2.0],"double","dictionary","null"`},
	{"dynamics", `isempty(dynamic([])), array_index_of(dynamic([1, 2]), 3), parse_json('12345678901234567')`, `false,-1,12345678901234567`},
	{"dynamics", `bag_merge(dynamic({"a":1}), dynamic({"a":2,"b":3})), bag_keys(dynamic({"z":1,"a":2})), pack_array(1, 'a', true)`, `{"a":1,"b":3},["z","a"],[1,"a",true]`},
	{"dynamics", `set_union(dynamic([1]), dynamic([2, 1])), set_difference(dynamic([1, 2]), dynamic([2])), set_has_element(dynamic(['a']), 'a')`, `[1,2],[1],true`},

	{"sizes", `estimate_data_size(true), estimate_data_size(int(1), 1), estimate_data_size('né'), estimate_data_size(dynamic([1]))`, `1,12,3,3`},
	{"literals", `1tick, 3600s, 1.5h, 100ms, 2 min`, ``},
	{"literals", `1tick, 3600s, 1.5h, 100ms, 2min`, `"00:00:00.0000001","01:00:00","01:30:00","00:00:00.1000000","00:02:00"`},
	{"literals", `'a' "b", @'c\d''e', h'f', 0x1F, 1e3, real(nan), long(-5)`, `"ab","c\\d'e","f",31,1000.0,"NaN",-5`},
	{"choice", `iff(1 > 2, 'a', 'b'), case(false, 1, true, 2, 3), coalesce(long(null), 5), min_of(3, 1, 2), max_of(int(null), int(2))`, `"b",2,5,1,2`},
	{"choice", `iff(bool(null), 1, 2), iff(true, datetime(null), now()), iif(false, 1, 2.5)`, `2,null,2.5`},
	{"text functions", `substring('hello', 1, 3), split('a,b', ','), toupper('a'), strlen('né'), trim(' ', '  a '), replace_regex('a1', @'(\d)', @'<\1>')`, `"ell",["a","b"],"A",2,"a","a<1>"`},
	{"time functions", `startofday(now()), startofweek(datetime(2026-11-21)), endofmonth(datetime(2026-02-03)), dayofweek(datetime(2026-11-21)), datetime_diff('day', now(), ago(2d))`, `"2026-11-21T00:00:00.0000000Z","2026-11-15T00:00:00.0000000Z","2026-02-28T23:59:59.9999999Z","6.00:00:00",2`},
	{"time functions", `format_datetime(datetime(2026-01-02 03:04:05.06), 'yyyy-MM-dd HH:mm:ss.fff'), unixtime_seconds_todatetime(1), make_datetime(2026, 1, 2)`, `"2026-01-02 03:04:05.060","1970-01-01T00:00:01.0000000Z","2026-01-02T00:00:00.0000000Z"`},
	{"bag paths", `bag_has_key(dynamic({"a":{"b c":1}}), "$.a['b c']"), bag_has_key(dynamic({"a":{"b":1}}), '$.a.x'), bag_has_key(dynamic({"a":1}), '$.a.b'), bag_has_key(dynamic({"$.a":1}), '$.a'), bag_has_key(dynamic({"a":[1]}), '$.a[0]')`, `true,false,false,false,false`},
	{"bag paths", `bag_set_key(dynamic({"k":1,"a":{"b":1,"c":2}}), '$.a.b', 'x'), bag_set_key(dynamic({"k":1}), '$.a.b', 2), bag_set_key(dynamic({"k":1}), 'a.b', 2)`, `{"k":1,"a":{"b":"x","c":2}},{"k":1,"a":{"b":2}},{"k":1,"a.b":2}`},
	{"bag paths", `bag_remove_keys(dynamic({"a":{"b":1,"c":2},"d":3}), dynamic(['$.a.b', 'd']))`, `{"a":{"c":2}}`},
	{"bag_zip", `bag_zip(dynamic(['a', 1, 'b']), dynamic([1, 2])), bag_zip(dynamic(5), dynamic([1]))`, `{"a":1,"b":null},null`},
	{"types of results", `gettype(sign(-3)), sign(-2.5), gettype(datetime_diff('week', now(), ago(15d))), datetime_diff('WEEK', now(), ago(15d)), gettype(datetime_diff('day', now(), now()))`, `"real",-1.0,"real",2.0,"long"`},
	{"range", `range(1h, 3h), range(datetime(2026-01-01), datetime(2026-01-01 01:30)), range(1, 3)`, `["01:00:00","02:00:00","03:00:00"],["2026-01-01T00:00:00.0000000Z","2026-01-01T01:00:00.0000000Z"],[1,2,3]`},
	{"toguid", `toguid('74be27de1e4e-49d9b579fe0b-331d3642'), toguid('74be27de-1e4e-49d9-b579-fe0b331d364')`, `"74be27de-1e4e-49d9-b579-fe0b331d3642",null`},
	{"decimals", `decimal(1), decimal(1.5), todecimal('100000000000000000000'), todecimal('0.0000001'), tostring(decimal(1e20))`, `"1","1.5","100000000000000000000","0.0000001","100000000000000000000"`},
	{"network", `ipv4_is_private('10.1.2.3'), ipv4_is_in_range('192.168.1.6', '192.168.1.1/24')`, `true,true`},
}

func TestScalars_AnswerAsTheService(t *testing.T) {
	for _, tt := range semantics {
		got := show(t, "print "+tt.expr)
		if tt.want == "" { // not KQL
			if !strings.HasPrefix(got, "Syntax error") && !strings.HasSuffix(got, "not supported by this evaluator") {
				t.Errorf("%s: print %s\nwant an error, got %s", tt.topic, tt.expr, got)
			}
			continue
		}
		_, row, _ := strings.Cut(got, "; ")
		if row != tt.want {
			t.Errorf("%s: print %s\ngot  %s\nwant %s", tt.topic, tt.expr, got, tt.want)
		}
	}
}

func TestRefusals_NameWhatTheServiceWouldTake(t *testing.T) {
	tests := []struct{ query, want string }{
		{`print ['1a'] = 3 | project 1a`, "the name '1a', which begins with a digit, at line 1, column 28 is not supported by this evaluator"},
		{`print long(1 000)`, "the literal 'long(1 000)', which holds blanks, at line 1, column 7 is not supported by this evaluator"},
		{`print bag_zip(dynamic(['a']), 5)`, "Semantic error"},
	}
	for _, tt := range tests {
		if got := show(t, tt.query); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s\ngot  %s\nwant %s", tt.query, got, tt.want)
		}
	}
}

func TestSort_TiesComeInAnotherOrderOnRequest(t *testing.T) {
	order := func(ties uint64) string {
		res, err := Run(t.Context(), Query{Text: "range n from 1 to 30 step 1 | extend k = n % 2 | sort by k asc | project n", Now: testNow, Ties: ties})
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range res.Rows {
			if odd := r.Values[0].(int64)%2 == 1; odd != (i >= 15) {
				t.Fatalf("ties %d: row %d is %v, want even numbers first", ties, i, r.Values)
			}
		}
		return shown(res)
	}
	first, second := [2]string{order(0), order(1)}, [2]string{order(0), order(1)}
	if first != second {
		t.Error("one number gives two orders")
	}
	if order(0) == order(1) || order(1) == order(2) {
		t.Error("two numbers give one order")
	}
}

func TestOperators_AnswerAsTheService(t *testing.T) {
	const three = `datatable(k:string, v:long, d:dynamic)['a', 1, dynamic([1,2]), 'b', long(null), dynamic({"x":1,"y":2}), 'a', 3, dynamic([])] | `
	const joined = `let L = datatable(k:string, v:long)['a', 1, 'a', 2, 'b', 3]; let R = datatable(k:string, w:long)['a', 10, 'c', 30]; L `
	tests := []struct{ topic, query, want string }{
		{"where keeps null for !=", three + `where v != 1 | project k`, `k:string; "b"; "a"`},
		{"sort is descending, null last", three + `sort by v | project v`, `v:long; 3; 1; null`},
		{"ascending has null first", three + `order by v asc | project v`, `v:long; null; 1; 3`},
		{"nulls placed", three + `sort by v desc nulls first | project v`, `v:long; null; 3; 1`},
		{"top", three + `top 1 by v | project v`, `v:long; 3`},
		{"auto-names", three + `summarize count(), countif(v > 1), sum(v), avg(v), dcount(k), make_list(v), make_set(k), max(v + 1), take_any(k)`,
			`count_:long countif_:long sum_v:long avg_v:real dcount_k:long list_v:dynamic set_k:dynamic max_:long k:string; 3,1,4,2.0,2,[1,3],["a","b"],4,"a"`},
		{"repeated names", three + `summarize sum(v), sum(v)`, `sum_v:long sum_v1:long; 4,4`},
		{"key names", three + `summarize n = count() by tostring(d.x), bin(v, 2), strlen(k), v % 2`, `d_x:string v:long strlen_k:long Column1:long n:long; "",0,1,1,1; "1",null,1,null,1; "",2,1,1,1`},
		{"expression over aggregates", three + `summarize p = round(100.0 * countif(k == 'a') / count(), 1), avg(v) + 1`, `p:real Column1:real; 66.7,3.0`},
		{"percentile names", three + `summarize percentile(v, 50), percentiles(v, 5, 99.9)`, `percentile_v_50:long percentile_v_5:long percentile_v_99_9:long; 1,1,3`},
		{"empty input without by", three + `where false | summarize count(), sum(v), dcount(k), min(v), avg(v), make_list(v), arg_max(v, k)`,
			`count_:long sum_v:long dcount_k:long min_v:long avg_v:real list_v:dynamic v:long k:string; 0,0,0,null,"NaN",[],null,""`},
		{"empty input with by", three + `where false | summarize count() by k`, `k:string count_:long`},
		{"union of one name and several types", `union (print x=1), (print x='a'), (print x=1.5)`, `x_long:long x_string:string x_real:real; 1,"",null; null,"a",null; null,"",1.5`},
		{"union with a third column of one name", `union (print x=1), (print x='a'), (print x_long=7)`, `x_long:long x_string:string x_long1:long; 1,"",null; null,"a",null; null,"",7`},
		{"union where the name came first", `union (print x_long=7), (print x=1), (print x='a')`, `x_long:long x_long1:long x_string:string; 7,null,""; null,1,""; null,null,"a"`},
		{"null is a group", three + `summarize count() by v`, `v:long count_:long; 1,1; null,1; 3,1`},
		{"arg_max of everything", three + `summarize arg_max(v, *) by k | project-away d`, `k:string v:long; "a",3; "b",null`},
		{"arg_max renamed", three + `summarize m = arg_max(v, k)`, `m:long k:string; 3,"a"`},
		{"make_set of arrays", three + `summarize make_set(d)`, `set_d:dynamic; [1,2,{"x":1,"y":2}]`},
		{"extend replaces in place", three + `extend k = strlen(k), w = k | project-away d | take 1`, `k:long v:long w:string; 1,1,"a"`},
		{"innerunique by default", joined + `| join R on k`, `k:string v:long k1:string w:long; "a",1,"a",10`},
		{"inner", joined + `| join kind=inner R on k`, `k:string v:long k1:string w:long; "a",1,"a",10; "a",2,"a",10`},
		{"leftouter", joined + `| join kind=leftouter R on $left.k == $right.k`, `k:string v:long k1:string w:long; "a",1,"a",10; "a",2,"a",10; "b",3,"",null`},
		{"fullouter", joined + `| join kind=fullouter R on k | count`, `Count:long; 4`},
		{"leftsemi", joined + `| join kind=leftsemi R on k`, `k:string v:long; "a",1; "a",2`},
		{"leftanti", joined + `| join kind=leftanti R on k`, `k:string v:long; "b",3`},
		{"rightanti", joined + `| join kind=rightanti R on k`, `k:string w:long; "c",30`},
		{"lookup", joined + `| lookup R on k`, `k:string v:long w:long; "a",1,10; "a",2,10; "b",3,null`},
		{"union by name", joined + `| union R | project k, v, w`, `k:string v:long w:long; "a",1,null; "a",2,null; "b",3,null; "a",null,10; "c",null,30`},
		{"union kind=inner", joined + `| union kind=inner R | count`, `Count:long; 5`},
		{"union with types", `union (print x = 1), (print x = 'a')`, `x_long:long x_string:string; 1,""; null,"a"`},
		{"union sources", `union withsource=s (print x = 1), (print x = 2 | as Two)`, `s:string x:long; "union_arg0",1; "Two",2`},
		{"mv-expand", three + `mv-expand d | project k, d`, `k:string d:dynamic; "a",1; "a",2; "b",{"x":1}; "b",{"y":2}`},
		{"mv-expand of null", `print d = dynamic(null), x = 1 | mv-expand d`, `d:dynamic x:long; null,1`},
		{"mv-expand in step", `print a = dynamic([1,2]), b = dynamic(['x']) | mv-expand a to typeof(long), b to typeof(string)`, `a:long b:string; 1,"x"; 2,""`},
		{"mv-expand of a path", `print d = dynamic({"l":[1]}) | mv-expand d.l`, `d:dynamic d_l:dynamic; {"l":[1]},1`},
		{"mv-expand numbered", `print d = dynamic(['a','b']) | mv-expand with_itemindex=i d limit 1`, `d:dynamic i:long; "a",0`},
		{"mv-apply", three + `mv-apply e = d to typeof(long) on (summarize s = sum(e)) | project k, s`, `k:string s:long; "a",3; "b",0; "a",0`},
		{"bag_unpack", `datatable(n:long, d:dynamic)[1, dynamic({"b":1,"a":"x"}), 2, dynamic({"b":2.5})] | evaluate bag_unpack(d)`, `n:long a:string b:real; 1,"x",1.0; 2,"",2.5`},
		{"bag_unpack with a prefix", `print d = dynamic({"a":1}) | evaluate bag_unpack(d, 'p_')`, `p_a:long; 1`},
		{"bag_unpack onto a column", `print a = 1, d = dynamic({"a":1}) | evaluate bag_unpack(d)`, `Semantic error: SEM0244: 'evaluate' operator: bag_unpack(): column 'a' exists already`},
		{"distinct", three + `distinct k`, `k:string; "a"; "b"`},
		{"rename", three + `project-rename z = k | project-keep z | take 1`, `z:string; "a"`},
		{"reorder", three + `project-reorder v, k | take 1`, `v:long k:string d:dynamic; 1,"a",[1,2]`},
		{"wildcard that matches nothing", three + `project-away x*`, `Semantic error: SEM0100: 'project-away' operator: Failed to resolve scalar expression named 'x*'`},
		{"prev and next", `range x from 1 to 3 step 1 | extend p = prev(x), n = next(x, 1, 0)`, `x:long p:long n:long; 1,null,2; 2,1,3; 3,2,0`},
		{"running sum", `range x from 1 to 3 step 1 | extend s = row_cumsum(x)`, `x:long s:long; 1,1; 2,3; 3,6`},
		{"let function", `let f = (a:long, b:long = 2) { let c = a + b; c * 2 }; range x from 1 to 2 step 1 | extend y = f(x)`, `x:long y:long; 1,6; 2,8`},
		{"tabular let function", `let f = (T:(x:long), least:long) { T | where x >= least }; f((range x from 1 to 3 step 1), 3)`, `x:long; 3`},
		{"let shadows what it is made of", `let Odd = Odd | where isnotnull(N); Odd | count`, `Count:long; 1`},
		{"materialize", `let T = materialize(range x from 1 to 2 step 1); union T, T | summarize sum(x)`, `sum_x:long; 6`},
		{"as", `range x from 1 to 2 step 1 | as T | where x > 1 | union T | summarize sum(x)`, `sum_x:long; 5`},
		{"render is dropped", `print x = 1 | render timechart with (title='a (b)', xcolumn=x)`, `x:long; 1`},
		{"count", `range x from 1 to 0 step 1 | count`, `Count:long; 0`},
		{"ranges of time", `range t from datetime(2026-01-01) to datetime(2026-01-02) step 1d`, `t:datetime; "2026-01-01T00:00:00.0000000Z"; "2026-01-02T00:00:00.0000000Z"`},
		{"parse", `print s = 'id=5, at=x end' | parse s with 'id=' id:long ', at=' when ' ' *`, `s:string id:long when:string; "id=5, at=x end",5,"x"`},
		{"keywords as names", `datatable(count:long, by:string, ['time']:long)[1, 'x', 2] | where count == 1 | project count, ['by'], ['time']`, `count:long by:string time:long; 1,"x",2`},
		{"comments", "print 1 // one\n| extend x = 2 // two", `print_0:long x:long; 1,2`},
	}
	for _, tt := range tests {
		t.Run(tt.topic, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, show(t, tt.query)); diff != "" {
				t.Errorf("%s\n(-want +got)\n%s", tt.query, diff)
			}
		})
	}
}
