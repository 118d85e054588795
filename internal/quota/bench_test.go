package quota

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// BenchmarkTurn_HundredTablesWait is what one call costs beside its request to
// storage: the record of a tenant of whose tables a hundred wait is read, decided on
// and written.
func BenchmarkTurn_HundredTablesWait(b *testing.B) {
	u, r := tenantRules(), record{Format: recordFormat, NotBefore: epoch.Add(time.Minute)}
	for i := range 100 {
		u.turn(&r, epoch, fmt.Sprint("table", i), i%4 == 0)
	}
	body, err := json.Marshal(r)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(body)), "bytes")
	for b.Loop() {
		r, err := decode(body, time.Time{})
		if err != nil {
			b.Fatal(err)
		}
		u.turn(&r, epoch.Add(2*time.Minute), "table50", false)
		if _, err := json.Marshal(r); err != nil {
			b.Fatal(err)
		}
	}
}
