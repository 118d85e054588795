package tenant

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/defender2adx/defender2adx/emulator/engine"
	"github.com/defender2adx/defender2adx/internal/schema"
)

// Options of a generated tenant. The same options give the same bytes.
type Options struct {
	Seed uint64
	// Scale multiplies the rows of every table; 1 is about 330,000 rows. Zero is 1.
	Scale float64
	// Now is where the clock stands, and what the rows' times lead up to. Zero is
	// 2026-01-01.
	Now time.Time
	// Span is the time over which events arrived; zero is five days.
	Span time.Duration
	// Lag is how long before Now the last row arrived; zero is two hours.
	Lag time.Duration
	// NullIngestion names tables whose ingestion times are null.
	NullIngestion []string
	// Only fills no tables but these; empty fills all that have rows. A table that
	// stays empty has rows all the same when Lean names it.
	Only []string
	// Lean gives tables this many narrow rows instead of their own, whatever the
	// scale: a dozen columns, about 300 bytes, cheap enough for millions.
	Lean map[string]int
}

// population is how a table is filled at scale 1.
type population struct {
	table    string
	rows     int
	snapshot bool // present state: all rows arrive within minutes
	lean     bool
}

// populations lists the tables that have rows. The others of the catalogue are
// empty, as in a tenant without their licences.
func populations() []population {
	return []population{
		{table: "DeviceNetworkEvents", rows: 224_000, lean: true},
		{table: "DeviceProcessEvents", rows: 12_000},
		{table: "DeviceFileEvents", rows: 8000},
		{table: "DeviceRegistryEvents", rows: 4000},
		{table: "DeviceImageLoadEvents", rows: 4000},
		{table: "DeviceLogonEvents", rows: 4000},
		{table: "DeviceEvents", rows: 7000},
		{table: "DeviceInfo", rows: 2400},
		{table: "DeviceNetworkInfo", rows: 1600},
		{table: "DeviceFileCertificateInfo", rows: 600},
		{table: "AlertInfo", rows: 260},
		{table: "AlertEvidence", rows: 1300},
		{table: "BehaviorInfo", rows: 180},
		{table: "BehaviorEntities", rows: 540},
		{table: "CampaignInfo", rows: 60},
		{table: "DisruptionAndResponseEvents", rows: 80},
		{table: "IdentityLogonEvents", rows: 3000},
		{table: "IdentityQueryEvents", rows: 1200},
		{table: "IdentityDirectoryEvents", rows: 900},
		{table: "IdentityInfo", rows: 500},
		{table: "IdentityAccountInfo", rows: 400},
		{table: "EntraIdSignInEvents", rows: 2500},
		{table: "EntraIdSpnSignInEvents", rows: 700},
		{table: "AADSignInEventsBeta", rows: 400},
		{table: "AADSpnSignInEventsBeta", rows: 150},
		{table: "EmailEvents", rows: 3000},
		{table: "EmailAttachmentInfo", rows: 700},
		{table: "EmailUrlInfo", rows: 1500},
		{table: "EmailPostDeliveryEvents", rows: 150},
		{table: "UrlClickEvents", rows: 600},
		{table: "MessageEvents", rows: 500},
		{table: "MessageUrlInfo", rows: 200},
		{table: "MessagePostDeliveryEvents", rows: 60},
		{table: "CloudAppEvents", rows: 3000},
		{table: "CloudAuditEvents", rows: 600},
		{table: "CloudProcessEvents", rows: 400},
		{table: "CloudDnsEvents", rows: 300},
		{table: "GraphAPIAuditEvents", rows: 1200},
		{table: "DataSecurityEvents", rows: 300},
		{table: "DataSecurityBehaviors", rows: 80},
		{table: "FileMaliciousContentInfo", rows: 60},
		{table: "OAuthAppInfo", rows: 150},
		{table: "AgentsInfo", rows: 50},
		{table: "ExposureGraphNodes", rows: 1200, snapshot: true},
		{table: "ExposureGraphEdges", rows: 2600, snapshot: true},
		{table: "DeviceTvmSoftwareInventory", rows: 9000, snapshot: true},
		{table: "DeviceTvmSoftwareVulnerabilities", rows: 14_000, snapshot: true},
		{table: "DeviceTvmSoftwareVulnerabilitiesKB", rows: 640, snapshot: true},
		{table: "DeviceTvmSoftwareEvidenceBeta", rows: 1800, snapshot: true},
		{table: "DeviceTvmSecureConfigurationAssessment", rows: 7000, snapshot: true},
		{table: "DeviceTvmSecureConfigurationAssessmentKB", rows: 120, snapshot: true},
		{table: "DeviceTvmBrowserExtensions", rows: 1600, snapshot: true},
		{table: "DeviceTvmBrowserExtensionsKB", rows: 160, snapshot: true},
		{table: "DeviceTvmCertificateInfo", rows: 1200, snapshot: true},
		{table: "DeviceTvmHardwareFirmware", rows: 900, snapshot: true},
		{table: "DeviceTvmInfoGathering", rows: 120, snapshot: true},
		{table: "DeviceTvmInfoGatheringKB", rows: 50, snapshot: true},
		{table: "DeviceBaselineComplianceAssessment", rows: 4500, snapshot: true},
		{table: "DeviceBaselineComplianceAssessmentKB", rows: 180, snapshot: true},
		{table: "DeviceBaselineComplianceProfiles", rows: 50, snapshot: true},
	}
}

// Generate makes a sample tenant: one company's devices, people, software and what
// happened to them. Rows are functions of seed, table and row number and take no
// memory. Events arrive a little after they happen; some arrive weeks late, many
// share an instant. A table named in the options that the catalogue lacks is an
// error.
func Generate(o Options) (*Tenant, error) {
	if o.Scale == 0 {
		o.Scale = 1
	}
	if o.Scale < 0 || math.IsNaN(o.Scale) || o.Scale > 10_000 {
		return nil, fmt.Errorf("generate tenant: scale %v: want more than 0 and at most 10000", o.Scale)
	}
	if o.Now.IsZero() {
		o.Now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if o.Span <= 0 {
		o.Span = 5 * 24 * time.Hour
	}
	if o.Lag <= 0 {
		o.Lag = 2 * time.Hour
	}
	plan := populations()
	for i, p := range plan {
		plan[i].rows = max(1, int(math.Round(float64(p.rows)*o.Scale)))
	}
	plan = slices.DeleteFunc(plan, func(p population) bool {
		_, lean := o.Lean[p.table]
		return lean || len(o.Only) > 0 && !slices.Contains(o.Only, p.table)
	})
	for name, rows := range o.Lean {
		if rows < 0 {
			return nil, fmt.Errorf("generate tenant: %s: %d rows", name, rows)
		}
		plan = append(plan, population{table: name, rows: rows, lean: true})
	}
	t := New(o.Now)
	for _, name := range slices.Concat(o.Only, o.NullIngestion) {
		if t.tables[name] == nil {
			return nil, fmt.Errorf("generate tenant: table %s is not in the catalogue", name)
		}
	}
	w := newWorld(o)
	for _, p := range plan {
		known, ok := schema.Lookup(p.table)
		if !ok {
			return nil, fmt.Errorf("generate tenant: table %s is not in the catalogue", p.table)
		}
		t.tables[p.table].segments = []segment{w.segment(o, p, known)}
	}
	return t, nil
}

func (w *world) segment(o Options, p population, known schema.Table) segment {
	seed := mix(o.Seed ^ hashText(p.table))
	m := &made{n: p.rows, null: slices.Contains(o.NullIngestion, p.table)}
	if p.snapshot {
		m.arrival = spread(p.rows, 250, o.Now.Add(-o.Lag), 20*time.Minute, seed)
	} else {
		m.arrival = spread(p.rows, 3+int(seed%14), o.Now.Add(-o.Lag), o.Span, seed)
	}
	m.first = m.arrival
	if p.lean {
		m.write = w.leanWriter(known, seed)
	} else {
		m.write = w.writer(known, seed)
	}
	return m
}

// column is one column of a generated table.
type column struct {
	key  string // "Name":
	make maker
}

// writer gives the function that writes a table's rows.
func (w *world) writer(known schema.Table, seed uint64) func(buf []byte, i int, at engine.Datetime) []byte {
	byName, own, choose := commonColumns(), ownColumns(known.Name), chooser(known.Name)
	cols := make([]column, len(known.Columns))
	for i, c := range known.Columns {
		mk := own[c.Name]
		if mk == nil {
			mk = byName[c.Name]
		}
		if mk == nil {
			mk = guessed(c)
		}
		cols[i] = column{key: `"` + c.Name + `":`, make: fitting(mk, c)}
	}
	return func(buf []byte, i int, at engine.Datetime) []byte {
		x := row{w: w, i: i, state: mix(seed ^ uint64(i))}
		x.begin(at)
		if choose != nil {
			choose(&x)
		}
		buf = append(buf, '{')
		for k := range cols {
			if k > 0 {
				buf = append(buf, ',')
			}
			buf = append(buf, cols[k].key...)
			buf = cols[k].make(buf, &x)
		}
		return append(buf, '}')
	}
}
