package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/kusto"
	"github.com/defender2adx/defender2adx/emulator/tenant"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// rest is how lists and file exports of a schedule behave while the faults last.
type rest struct {
	pageRows  int           // of a page of a list
	fileRows  int           // of a file
	shift     bool          // lists move while they are read
	twins     bool          // rows come again on the next page
	signature time.Duration // how long the addresses of files are good; 0: an hour
}

// restOf draws what a schedule has of lists and exports, and their tables, from a source
// of its own, so that what else a seed means does not depend on it. One under the
// Functions host, of which there are few, has both.
func restOf(seed uint64, hosted bool, tables []table) (rest, []table) {
	r := rand.New(rand.NewPCG(seed, 0x7e57))
	one := func(in int) bool { return r.IntN(in) == 0 }
	o := rest{pageRows: between(r, 20, 150), fileRows: between(r, 40, 200), shift: one(3), twins: one(3)}
	if one(2) {
		o.signature = time.Duration(between(r, 50, 600)) * time.Millisecond
	}
	if hosted {
		o.signature *= 20 // a process of its own is slower
	}
	if one(3) || hosted {
		name := lists[r.IntN(len(lists))]
		s, _ := schema.SourceNamed(name)
		t := table{source: name, kind: listed, load: s.Loads[r.IntN(len(s.Loads))], column: s.Watermarks[0], rows: between(r, 50, 500), largest: 20}
		if t.whole() {
			t.column = "None"
		}
		tables = append(tables, t)
	}
	if one(3) || hosted {
		tables = append(tables, table{source: exports[r.IntN(len(exports))], kind: exported, load: "Snapshot", column: "None", rows: between(r, 100, 900), largest: 20})
	}
	return o, tables
}

// The lists and exports of schedules. Neither hunting table behind an export is one of
// a schedule's.
var (
	lists   = []string{"api/machines", "security/alerts_v2", changes}
	exports = []string{"api/machines/HardwareFirmwareInventoryExport", "api/machines/certificateAssessmentExport"}
)

// changes is a list that only grows: what happened stays as it is.
const changes = "api/machines/SoftwareVulnerabilityChangesByMachine"

// String describes what is drawn.
func (o rest) String() string {
	return fmt.Sprintf("pages=%d files=%d shift=%v twins=%v signature=%v | ", o.pageRows, o.fileRows, o.shift, o.twins, o.signature)
}

// switches are those of the emulator, in peace without faults. Calls are limited by
// neither side: what a limit does is seen with hunting tables.
func (o rest) switches(calm bool) hunting.REST {
	out := hunting.REST{
		PageRows: o.pageRows, FileRows: o.fileRows,
		Limits: map[hunting.Quota]hunting.Limits{hunting.QuotaLists: {}, hunting.QuotaGraph: {}, hunting.QuotaAssessments: {}, hunting.QuotaFiles: {}},
	}
	if !calm {
		out.Shift, out.Twins, out.SignatureLife = o.shift, o.twins, o.signature
	}
	return out
}

// listFault picks what goes wrong with a call of a list or an export.
func (w *world) listFault(r *rand.Rand) (string, hunting.Fault) {
	soon, form := time.Second, hunting.RetrySeconds
	if !w.plan.hosted {
		soon = time.Duration(between(r, 1, 600)) * time.Second
		form = []hunting.RetryAfter{hunting.RetrySeconds, hunting.RetryNone, hunting.RetryDate}[r.IntN(3)]
	}
	switch r.IntN(10) {
	case 0:
		return "429 calls of a minute", hunting.Fault{Refuse: hunting.ThrottleMinute, RetryAfter: &form, Wait: soon}
	case 1:
		return "429 calls of an hour", hunting.Fault{Refuse: hunting.ThrottleHour, RetryAfter: &form, Wait: soon}
	case 2:
		return "401 token expired", hunting.Fault{Refuse: hunting.ExpiredToken}
	case 3:
		return "500", hunting.Fault{Refuse: hunting.ServerError}
	case 4:
		return "502 page of HTML", hunting.Fault{Refuse: hunting.BadGateway}
	case 5:
		return "504 without a body", hunting.Fault{Refuse: hunting.EmptyTimeout}
	case 6:
		return "connection reset in mid-answer", hunting.Fault{ResetAt: 1 + r.Int64N(2000)}
	case 7:
		return "answer ends in the middle", hunting.Fault{EndAt: 1 + r.Int64N(2000)}
	case 8:
		return "hangs", hunting.Fault{Delay: pauseOf(r, 400*time.Millisecond)}
	default:
		return "byte order mark", hunting.Fault{ByteOrderMark: true}
	}
}

// ofFile leaves out of an ingestion's misfortune what nobody could notice where the rows
// of a file are known to nobody: rows that go without a word, or are null, and a file
// that is taken in twice at one moment.
func ofFile(v kusto.Verdict) kusto.Verdict {
	v.Twin, v.Null = false, nil
	if v.Drop != nil {
		v.Unreported, v.Again = false, 0
	}
	return v
}

// exports reports whether a raw table is that of a file export.
func (s script) exports(destination string) bool {
	return slices.ContainsFunc(s.tables, func(t table) bool { return t.kind == exported && t.destination() == destination })
}

// entity is a row of a list: of one id, in the version that the row's number stands for.
func entity(r *rand.Rand, t *truth, id string, number int64, at time.Time) string {
	stamp := at.Format("2006-01-02T15:04:05.0000000Z")
	s, _ := schema.SourceNamed(t.source)
	text := []string{`"plain"`, `"Zoë \"quoted\" \\ back"`, `null`, `"日本語 🛡"`, `[]`, `{"a":[1,2.5],"big":9007199254740993}`}[r.IntN(6)]
	return fmt.Sprintf(`{"id":%q,"status":"New",%q:%q,"ReportId":%d,"more":%s}`, id, s.Version, stamp, number, text)
}

// list is the name of a list in the tenant.
func (t table) list() string { return schema.ShortName(t.source) }

// beneath is the hunting table of an export.
func (t table) beneath() string {
	s, _ := schema.SourceNamed(t.source)
	return s.Twin
}

// fillList gives a list its first rows, all young enough to lie within what each run
// reads again.
func (s *source) fillList(r *rand.Rand, t *truth) error {
	var rows []string
	for i := range t.rows {
		at := time.Now().Add(-10*time.Second - time.Duration(r.Int64N(int64(time.Hour)))).UTC().Truncate(100 * time.Nanosecond)
		s.nextID++
		rows = append(rows, entity(r, t, fmt.Sprintf("e%04d", i), s.nextID, at))
		t.marks[s.nextID] = at
	}
	if err := s.data.SetList(t.list(), rows...); err != nil {
		return err
	}
	s.note(t)
	return nil
}

// stir changes a list: things come, change and go. What has changed stands at the end.
func (s *source) stir(r *rand.Rand, t *truth) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.count("source: list changed")
	at := s.data.Now().UTC().Truncate(100 * time.Nanosecond)
	rows := s.data.List(t.list())
	for range between(r, 1, 8) {
		id := fmt.Sprintf("e%04d", r.IntN(t.rows+50))
		if t.source == changes {
			id = fmt.Sprintf("n%d", s.nextID)
		}
		i := slices.IndexFunc(rows, func(row []byte) bool { return tenant.EntityID(row) == id })
		if i >= 0 {
			number, _ := idOf(rows[i]) // of ours
			t.expired[number] = string(rows[i])
			delete(t.marks, number)
			if r.IntN(4) == 0 {
				s.data.DropEntity(t.list(), id)
				rows = s.data.List(t.list())
				continue
			}
		}
		s.nextID++
		t.marks[s.nextID] = at
		if err := s.data.PutEntity(t.list(), entity(r, t, id, s.nextID, at), true); err != nil {
			return err
		}
		rows = s.data.List(t.list())
	}
	s.changed = time.Now()
	t.stirred = s.changed
	s.note(t)
	s.stalled = max(s.stalled, time.Since(at))
	return nil
}

// renew changes what an export is made from. The export itself is made anew at the same
// moment, so that each generation is one version of the table.
func (s *source) renew(r *rand.Rand, t *truth) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.count("source: export made anew")
	share := r.Float64() * 0.1
	if _, err := s.data.Delete(t.beneath(), func(_ int, text []byte) bool {
		id, ok := idOf(text)
		gone := ok && r.Float64() < share && len(t.marks) > 20
		if gone {
			delete(t.marks, id)
		}
		return gone
	}); err != nil {
		return err
	}
	var rows []string
	at := s.data.Now().UTC().Truncate(100 * time.Nanosecond)
	for range between(r, 1, 60) {
		s.nextID++
		rows = append(rows, row(r, s.nextID, at))
		t.marks[s.nextID] = at
	}
	if err := s.data.Append(t.beneath(), at, rows...); err != nil {
		return err
	}
	s.changed = time.Now()
	s.note(t)
	s.regenerate()
	return nil
}

// stirAll gives every list and export something to copy.
func (w *world) stirAll() error {
	for _, name := range w.source.names() {
		t := w.source.tables[name]
		r := w.faults.roll("heal " + name)
		var err error
		switch t.kind {
		case listed:
			err = w.source.stir(r, t)
		case exported:
			err = w.source.renew(r, t)
		case arrival, business, snapshot:
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// idOf reads a row's number without decoding the row: its ReportId, or what stands for
// it in an export, the id of the device, which has one row.
func idOf(text []byte) (id int64, ok bool) {
	key := `"ReportId":`
	i := strings.Index(string(text), key)
	if i < 0 {
		key = `"deviceId":"d`
		i = strings.Index(string(text), key)
	}
	if i < 0 {
		return 0, false
	}
	for _, c := range text[i+len(key):] {
		switch {
		case c >= '0' && c <= '9':
			id, ok = id*10+int64(c-'0'), true
		case c == ' ' && !ok:
		default:
			return id, ok
		}
	}
	return id, ok
}
