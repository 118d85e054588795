package adx_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/plan"
)

// Rows that are equal only since they were cut, or null, prove no other hash.
func TestOverlap_GoesByWholeRows(t *testing.T) {
	w := newWorld(t)
	w.provide(t, "DeviceInfoRaw")
	parts := []plan.Slice{{No: 1, Hi: 9}, {No: 2, Lo: 9, Hi: plan.Buckets}}
	for _, s := range parts {
		for _, record := range []string{`{"Id":%d}`, `{"Id":7,"Of":[1,{"a":null}]}`, `{"Id":8,"_truncated":true}`, `null`} {
			if record == `{"Id":%d}` {
				record = fmt.Sprintf(record, s.No)
			}
			w.run(t, fmt.Sprintf(`.append DeviceInfoRaw <| print dynamic(%s), "d2a1", int(%d), datetime(null)`, record, s.No))
		}
	}
	got, err := w.client(t, "app").Overlap(t.Context(), "DeviceInfoRaw", "d2a1", parts, time.Time{})
	if want := (plan.Overlap{Rows: 2, Different: 1}); err != nil || got != want {
		t.Errorf("Overlap = %+v, %v; want %+v", got, err, want)
	}
}
