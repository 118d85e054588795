package bench

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// benchTable is the table that is copied.
const benchTable = "DeviceNetworkEvents"

// batch is a number of rows of one width that arrived evenly over a time.
type batch struct {
	table       string // default benchTable
	rows, width int
	from, to    time.Duration // ago
	hotHour     float64       // share that arrived in the hour in the middle instead
	hotDevice   float64       // share that is one device's

	bytes int // of the rows made
}

// load makes a tenant whose table holds the batches, oldest first.
func load(batches ...*batch) (*tenant.Tenant, error) {
	now := time.Now()
	data := tenant.New(now)
	data.Run(time.Now)
	random := rand.New(rand.NewPCG(1, 2))
	for _, b := range batches {
		if err := b.fill(data, now, random); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// together is how many rows arrive at one instant.
const together = 50

func (b *batch) fill(data *tenant.Tenant, now time.Time, random *rand.Rand) error {
	hot := int(b.hotHour * float64(b.rows))
	middle := (b.from + b.to) / 2
	parts := []struct {
		rows     int
		from, to time.Duration
	}{
		{(b.rows - hot) / 2, b.from, middle + 30*time.Minute},
		{hot, middle + 30*time.Minute, middle - 30*time.Minute},
		{b.rows - hot - (b.rows-hot)/2, middle - 30*time.Minute, b.to},
	}
	if hot == 0 {
		parts[0].to, parts[2].from = middle, middle
	}
	for _, p := range parts {
		rows := make([]string, 0, together)
		for i := 0; i < p.rows; i++ {
			at := now.Add(-p.from + time.Duration(float64(p.from-p.to)*float64(i)/float64(p.rows)))
			device := 1 + random.IntN(3000)
			if random.Float64() < b.hotDevice {
				device = 0
			}
			text := row(random, device, at, b.width)
			rows, b.bytes = append(rows, text), b.bytes+len(text)+1
			if len(rows) == together || i == p.rows-1 {
				if err := data.Append(cmp.Or(b.table, benchTable), at, rows...); err != nil {
					return err
				}
				rows = rows[:0]
			}
		}
	}
	return nil
}

var words = strings.Fields("connection attempt inbound outbound failed success svchost.exe chrome.exe powershell.exe -NoProfile -Command https://update.example " +
	"C:\\\\\\\\Windows\\\\\\\\System32 /usr/bin/python3 --config 443 10.0.17.4 192.168.3.22 user admin SYSTEM token cache retry tls1.3 proxy remote local")

// row is one row of about width bytes.
func row(random *rand.Rand, device int, at time.Time, width int) string {
	var b strings.Builder
	b.Grow(width + 64)
	fmt.Fprintf(&b, `{"Timestamp":%q,"DeviceId":"%040x","DeviceName":"host-%04d.sample.example","ActionType":"ConnectionSuccess","RemoteIP":"10.%d.%d.%d","RemotePort":%d,"ReportId":%d,"AdditionalFields":"`,
		at.UTC().Format("2006-01-02T15:04:05.0000000Z"), device*7919, device, random.IntN(256), random.IntN(256), random.IntN(256), random.IntN(65536), random.IntN(1<<30))
	for b.Len() < width-14 {
		b.WriteString(words[random.IntN(len(words))])
		if random.IntN(4) == 0 {
			fmt.Fprintf(&b, " %x", random.Uint32())
		}
		b.WriteByte(' ')
	}
	b.WriteString(`"}`)
	return b.String()
}

// lean makes a tenant whose table holds narrow rows that take no memory. The
// oldest arrived five days ago, the newest two hours ago.
func lean(rows int) (*tenant.Tenant, error) {
	data, err := tenant.Generate(tenant.Options{Seed: 1, Now: time.Now(), Only: []string{benchTable}, Lean: map[string]int{benchTable: rows}})
	if err != nil {
		return nil, err
	}
	data.Run(time.Now)
	return data, nil
}
