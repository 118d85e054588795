package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// settle is younger rows' grace in every schedule. Late rows are stamped at most
// latest before they show, which leaves the rest to a machine that is busy.
const (
	settle = 2 * time.Second
	latest = 300 * time.Millisecond
)

// kind is how a table is copied.
type kind int

const (
	arrival  kind = iota // incremental on ingestion_time()
	business             // incremental on a business date
	snapshot             // whole at each run
	listed               // a list of the REST APIs, whole or by its watermark
	exported             // a file export, which ADX fetches itself
)

// table is one configured table of a schedule.
type table struct {
	source  string
	kind    kind
	load    string // LoadType
	column  string // WatermarkColumn
	rows    int
	nulls   int // of rows, without ingestion time
	largest int // most rows that share one instant

	instance string // "" or twin
}

// destination is the raw table.
func (t table) destination() string {
	raw := t.source + "Raw"
	if s, ok := schema.SourceNamed(t.source); ok {
		raw = s.Destination
	}
	if t.instance != "" {
		return twinPrefix + raw
	}
	return raw
}

// whole reports whether each run copies all rows anew.
func (t table) whole() bool { return t.load == "Snapshot" }

// script is what one seed means.
type script struct {
	seed   uint64
	hosted bool
	tables []table
	ticks  int

	api        hunting.API
	rowLimit   int // of a fetch; what is over it is cut without a word
	rowTarget  int64
	parallel   int
	processes  int
	budget     time.Duration
	grace      time.Duration
	latency    time.Duration // of ingestion
	quota      int           // calls in a window of quotaWindow; 0: practically none
	shortLived bool          // Defender's tokens
	skew       time.Duration // most that the clocks of processes are off; see skewOf
	outage     bool          // ADX refuses every ingestion for good while the faults last
	lies       lies

	// Chances of a fault, by boundary.
	hunting, live, storage, connection, kusto, ingestion, kill, freeze, lease, queue, timeout float64

	rest     rest    // of lists and file exports
	terminal float64 // that a person copies a table by `handler migrate` at a tick
}

const quotaWindow = 3 * time.Second

// mostSkew bounds how far clocks are off. It is less than settle, since a process
// whose clock is behind leaves the rows of that time for later.
const mostSkew = time.Second

// skewOf is how far the clock of the process in a place is ahead: of two
// processes one is ahead and one behind.
func (s script) skewOf(place int) time.Duration {
	if place%2 == 0 {
		return s.skew
	}
	return -s.skew
}

// sources of each kind. A schedule names each at most once.
var sources = map[kind][]string{
	arrival:  {"DeviceEvents", "DeviceNetworkEvents", "DeviceProcessEvents"},
	business: {"DeviceTvmBrowserExtensions"},
	snapshot: {"DeviceTvmSoftwareVulnerabilities", "DeviceTvmSoftwareInventory"},
}

// shared gives the second instance some of the schedule's tables, and both at least
// one.
func (s script) shared() script {
	if len(s.tables) == 1 {
		more := table{source: sources[arrival][0], kind: arrival, load: "Full", column: "None", rows: 600, largest: 20}
		if s.tables[0].source == more.source {
			more.source = sources[arrival][1]
		}
		s.tables = append(s.tables, more)
	}
	for i := range s.tables {
		if i%2 == 1 {
			s.tables[i].instance = twin
		}
	}
	return s
}

// instances is how many the handler has.
func (s script) instances() int {
	for _, t := range s.tables {
		if t.instance != "" {
			return 2
		}
	}
	return 1
}

// scriptOf makes the schedule of a seed.
func scriptOf(seed uint64, hosted bool) script {
	r := rand.New(rand.NewPCG(seed, 0xc4a05))
	s := script{
		seed: seed, hosted: hosted, ticks: between(r, 2, 4), api: hunting.Graph,
		rowLimit: between(r, 100, 400), parallel: between(r, 1, 4), processes: between(r, 1, 2),
		budget: 20 * time.Second, grace: 1500 * time.Millisecond, latency: time.Duration(r.IntN(60)) * time.Millisecond,
		shortLived: r.IntN(4) == 0, lies: liesOf(seed, hosted),
	}
	s.rowTarget = int64(s.rowLimit * between(r, 60, 95) / 100)
	if r.IntN(6) == 0 {
		s.api = hunting.MDE
	}
	if r.IntN(4) == 0 {
		s.budget = time.Duration(between(r, 200, 900)) * time.Millisecond
	}
	if r.IntN(5) == 0 {
		s.quota = between(r, 60, 120)
	}
	if hosted {
		s.budget, s.grace, s.processes, s.quota = 20*time.Second, 4*time.Second, 2, 0
	}
	s.tables = planTables(r)
	s.rest, s.tables = restOf(seed, hosted, s.tables)
	if slices.ContainsFunc(s.tables, func(t table) bool { return t.kind == listed }) {
		s.budget = 20 * time.Second // a list is read twice within one, or in parts
	}
	// Every boundary is at peace in some schedules, so that the faults of the
	// others reach further.
	chance := func(most float64) float64 {
		if r.IntN(10) < 3 {
			return 0
		}
		return most * (0.2 + 0.8*r.Float64())
	}
	s.hunting, s.live = chance(0.3), chance(0.3)
	s.storage, s.connection = chance(0.06), chance(0.03)
	s.kusto, s.ingestion = chance(0.12), chance(0.4)
	s.kill, s.freeze, s.lease = chance(0.025), chance(0.008), chance(0.02)
	s.queue = chance(0.4)
	s.outage = r.IntN(20) == 0
	s.timeout = chance(0.1)
	if r.IntN(3) == 0 {
		s.skew = time.Duration(between(r, 100, int(mostSkew/time.Millisecond))) * time.Millisecond
	}
	if hosted {
		// Few and slow: each is to meet a signal. Slow ingestion keeps runs open.
		s.kill, s.ticks = max(s.kill, 0.01), 4
		s.latency = time.Duration(between(r, 200, 900)) * time.Millisecond
		s.freeze = float64(r.IntN(2))
		for i := range s.tables {
			if k := s.tables[i].kind; k != listed && k != exported {
				s.tables[i].rows += 1500
			}
		}
	}
	s.terminal = chance(0.8)
	return s
}

func planTables(r *rand.Rand) []table {
	free := map[kind][]string{}
	for k, names := range sources {
		free[k] = append([]string(nil), names...)
	}
	kinds := []kind{arrival, arrival, arrival, business, snapshot, snapshot}
	var tables []table
	for range between(r, 1, 3) {
		k := kinds[r.IntN(len(kinds))]
		if len(free[k]) == 0 {
			k = arrival
		}
		i := r.IntN(len(free[k]))
		t := table{source: free[k][i], kind: k, load: "Full", column: "None", rows: between(r, 300, 2500), largest: between(r, 1, 120)}
		free[k] = append(free[k][:i], free[k][i+1:]...)
		switch {
		case k == snapshot:
			t.load = "Snapshot"
		case k == business:
			t.column = "InstallationTime"
		case r.IntN(2) == 0:
			t.load = "Incr"
		}
		if k == arrival && r.IntN(4) == 0 {
			t.nulls = between(r, 1, t.rows/4)
		}
		if r.IntN(5) == 0 {
			t.largest = 700 // more than an answer holds, at one instant
		}
		tables = append(tables, t)
	}
	return tables
}

// String describes the schedule in one line.
func (s script) String() string {
	mode := "inprocess"
	if s.hosted {
		mode = "host"
	}
	var tables []string
	for _, t := range s.tables {
		tables = append(tables, fmt.Sprintf("%s(%s/%s, %d rows)", t.destination(), t.load, t.column, t.rows))
	}
	if s.outage {
		mode += " outage"
	}
	return fmt.Sprintf("seed=%d %s %s answers<=%d target=%d processes=%d parallel=%d budget=%v quota=%d/%v skew=%v | hunting=%.2f live=%.2f storage=%.3f connection=%.3f kusto=%.2f ingestion=%.2f kill=%.4f freeze=%.4f lease=%.4f queue=%.2f timeout=%.2f terminal=%.2f | %s | %s%s",
		s.seed, mode, s.api, s.rowLimit, s.rowTarget, s.processes, s.parallel, s.budget, s.quota, quotaWindow, s.skew,
		s.hunting, s.live, s.storage, s.connection, s.kusto, s.ingestion, s.kill, s.freeze, s.lease, s.queue, s.timeout, s.terminal, s.lies, s.rest, strings.Join(tables, ", "))
}
