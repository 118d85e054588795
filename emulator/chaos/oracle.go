package chaos

import (
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/defender2adx/defender2adx/emulator/engine"
	"github.com/defender2adx/defender2adx/emulator/stack"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// oracle judges a schedule: while it runs, each Success row and each published
// watermark at the moment it reaches the cluster; at the end, the content.
type oracle struct {
	world *world

	mu       sync.Mutex
	twins    map[string]string // destination by "run/slice"
	promised int               // rows and watermarks judged
	lies     []lie
	gaps     map[string]bool           // runs that ended with a Gap
	given    map[string]map[int64]bool // rows that a Gap has spoken of, by table
	silent   map[string]bool           // tables whose last run had no rows
}

// lie is a promise that was not true, of a run where it was one's.
type lie struct{ run, text string }

func newOracle(w *world) *oracle {
	return &oracle{world: w, twins: map[string]string{}, gaps: map[string]bool{}, given: map[string]map[int64]bool{}, silent: map[string]bool{}}
}

// twin notes a slice that the service takes in twice.
func (o *oracle) twin(destination, run, slice string) {
	n, _ := strconv.Atoi(slice) // six digits
	o.mu.Lock()
	defer o.mu.Unlock()
	o.twins[fmt.Sprintf("%s/%d", run, n)] = destination
}

func (o *oracle) lie(format string, args ...any) { o.lieOf("", format, args...) }

// lieOf notes what a run said and was not true.
func (o *oracle) lieOf(run, format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lies = append(o.lies, lie{run, fmt.Sprintf(format, args...)})
}

// quiet reports whether the table's last run found no rows.
func (o *oracle) quiet(source string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.silent[source]
}

// concede takes a Gap at its word: rows of its window that nobody can query are
// missing, and no later promise is about them. The same run's watermark came first.
func (o *oracle) concede(t *truth, run, to string) {
	mark, err := time.Parse(time.RFC3339Nano, to)
	if err != nil {
		o.lie("%s Gap: no time in %q", t.source, to)
		return
	}
	lacking, _ := o.faulty(t, mark)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gaps[run] = true
	if o.given[t.source] == nil {
		o.given[t.source] = map[int64]bool{}
	}
	maps.Copy(o.given[t.source], lacking)
}

var assignment = regexp.MustCompile(`\['(\w+)'\] = (?:"([^"]*)"|datetime\(([^)]*)\)|\w+\(([^)]*)\))`)

// command looks at a command that is about to run: what it says of a table must
// be true already.
func (o *oracle) command(text string) {
	audit := strings.HasPrefix(text, ".append ['MigrationAuditLog']")
	if !audit && !strings.HasPrefix(text, ".append ['MigrationConfiguration']") {
		return
	}
	_, rows, _ := strings.Cut(text, "<| ")
	for row := range strings.SplitSeq(rows, "), (print ") {
		says := map[string]string{}
		for _, m := range assignment.FindAllStringSubmatch(row, -1) {
			says[m[1]] = m[2] + m[3] + m[4]
		}
		o.row(audit, says)
	}
}

// row looks at one row of a command, of the audit log or of the configuration.
func (o *oracle) row(audit bool, says map[string]string) {
	t := o.world.source.tables[says["SourceTable"]]
	if t == nil || says["RunId"] == "" {
		return
	}
	if audit {
		switch {
		case says["Status"] == "Gap":
			o.concede(t, says["RunId"], says["WindowTo"])
			return
		case says["Status"] != "Success":
			return
		}
		o.mu.Lock()
		o.silent[t.source] = says["RecordCount"] == "0"
		o.mu.Unlock()
	}
	o.mu.Lock()
	o.promised++
	o.mu.Unlock()
	if t.whole() {
		if audit {
			o.judgeSnapshot(t, says["RunId"])
		}
		return
	}
	stamp, what := says["LastRefreshedTime"], "watermark"
	if audit {
		stamp, what = says["WindowTo"], "Success"
	}
	mark, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		o.lie("%s %s: no time in %q", t.source, what, stamp)
		return
	}
	lacks, twice := o.faulty(t, mark)
	if t.kind == listed && !o.steady(t, says["RunId"]) {
		clear(lacks) // a list that moves may hide a row from two readings
	}
	if len(lacks)+twice > 0 {
		o.lieOf(says["RunId"], "%s: %s up to %s of run %s, while %d rows were not queryable%s and %d were shown again", t.source, what, stamp, says["RunId"], len(lacks), o.example(t, lacks), twice)
	}
}

// example names one of the rows.
func (o *oracle) example(t *truth, rows map[int64]bool) string {
	s := o.world.source
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range rows {
		return fmt.Sprintf(" (such as %d, stamped %s)", id, t.marks[id].Format(time.RFC3339Nano))
	}
	return ""
}

// faulty returns the rows up to a watermark that nobody could query now, but for
// those of a Gap, and counts those shown more than once, other than by the service's
// own doing.
func (o *oracle) faulty(t *truth, mark time.Time) (lacks map[int64]bool, twice int) {
	s := o.world.source
	s.mu.Lock()
	due := map[int64]bool{}
	for id, at := range t.marks {
		if !at.After(mark) {
			due[id] = true
		}
	}
	s.mu.Unlock()
	o.mu.Lock()
	for id := range o.given[t.source] {
		delete(due, id)
	}
	o.mu.Unlock()
	shown := map[int64]bool{}
	nulls := 0 // which rows these were nobody knows; judgeNulls holds them against what was said
	if err := o.scan(t.destination(), func(r copied) {
		id, ok := idOf(r.record)
		if !r.void && r.record == nil {
			nulls++
		}
		if r.void || !ok {
			return
		}
		delete(due, id)
		if shown[id] && !o.isTwin(r) {
			twice++
		}
		shown[id] = true
	}); err != nil {
		o.lie("%s: %v", t.source, err)
	}
	for id := range due {
		if nulls == 0 {
			break
		}
		delete(due, id)
		nulls--
	}
	return due, twice
}

func (o *oracle) isTwin(r copied) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.twins[fmt.Sprintf("%s/%d", r.run, r.slice)] != ""
}

// steady reports whether a list stood still while a run read it.
func (o *oracle) steady(t *truth, run string) bool {
	w := o.world
	began := plan.RunIDTime(run).Add(-w.plan.skew - time.Duration(w.hours.Load())*time.Hour)
	s := w.source
	s.mu.Lock()
	defer s.mu.Unlock()
	return w.plan.lies.jump == 0 && !w.plan.rest.shift && t.stirred.Before(began)
}

// judgeSnapshot holds a whole copy against what the table has been.
func (o *oracle) judgeSnapshot(t *truth, run string) {
	var got fingerprint
	nulls := int64(0)
	seen := map[int64]bool{}
	twice, strange := 0, 0
	if err := o.scan(t.destination(), func(r copied) {
		id, ok := idOf(r.record)
		switch {
		case r.void || r.run != run:
		case r.record == nil:
			nulls++
		case ok && !seen[id]:
			seen[id] = true
			got.add(id)
		case t.kind == listed && ok && !o.isTwin(r):
			twice++
		}
	}); err != nil {
		o.lie("%s: %v", t.source, err)
	}
	steady := o.steady(t, run)
	s := o.world.source
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.kind == listed {
		for id := range seen {
			if _, now := t.marks[id]; !now && t.expired[id] == "" {
				strange++
			}
		}
		if twice+strange > 0 {
			o.lie("%s: Success of list %s with %d rows again and %d that it never had", t.source, run, twice, strange)
		}
		if !steady {
			return // what two readings of a list that moves have shown is no version of it
		}
	}
	for i := len(t.versions) - 1; i >= 0; i-- {
		if v := t.versions[i].sum; v == got || nulls > 0 && v.rows == got.rows+nulls {
			return
		}
	}
	o.lie("%s: Success of snapshot %s with %d rows, which the table never was", t.source, run, got.rows)
}

// copied is one row of a raw table.
type copied struct {
	run      string
	slice    int64
	record   []byte
	void     bool
	ingested engine.Datetime
}

func (o *oracle) scan(destination string, f func(copied)) error {
	void := map[string]bool{}
	if err := o.rows("MigrationVoidSlices", func(get func(string) any, _ engine.Record) {
		void[fmt.Sprint(get("RunId"), "/", get("Slice"))] = get("Hidden") != false // the newest row decides
	}); err != nil {
		return err
	}
	return o.rows(destination, func(get func(string) any, r engine.Record) {
		c := copied{}
		c.run, _ = get("RunId").(string)
		c.slice, _ = get("Slice").(int64)
		c.record, _ = get("Records").(engine.RawJSON)
		c.void = void[fmt.Sprint(c.run, "/", c.slice)] || void[c.run+"/-1"]
		if r.Ingested != nil {
			c.ingested = *r.Ingested
		}
		f(c)
	})
}

func (o *oracle) rows(table string, f func(get func(string) any, r engine.Record)) error {
	columns, rows, err := o.world.Cluster.Rows(stack.Database, table)
	if err != nil {
		return err
	}
	at := map[string]int{}
	for i, c := range columns {
		at[c.Name] = i
	}
	for r := range rows {
		f(func(name string) any { return r.Values[at[name]] }, r)
	}
	return nil
}

// ended returns the runs that an audit row speaks of as over.
func (o *oracle) ended() (map[string]bool, error) {
	runs := map[string]bool{}
	err := o.audited(func(status, _, run string) {
		if ends(status) {
			runs[run] = true
		}
	})
	return runs, err
}

// succeeded returns the tables with a Success of a run that is not one of those
// before.
func (o *oracle) succeeded(before map[string]bool) (map[string]bool, error) {
	tables := map[string]bool{}
	err := o.audited(func(status, source, run string) {
		if status == "Success" && !before[run] {
			tables[source] = true
		}
	})
	return tables, err
}

func (o *oracle) audited(f func(status, source, run string)) error {
	return o.rows("MigrationAuditLog", func(get func(string) any, _ engine.Record) {
		status, _ := get("Status").(string)
		source, _ := get("SourceTable").(string)
		run, _ := get("RunId").(string)
		f(status, source, run)
	})
}
