package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/plan"
)

func TestVersions_AreRemembered(t *testing.T) {
	var v plan.Versions
	a, b, c := plan.Version{1}, plan.Version{2}, plan.Version{3}
	if !v.Add(a, day) || !v.Add(b, day.Add(time.Hour)) || v.Add(a, day.Add(time.Hour)) || v.Len() != 2 {
		t.Errorf("%d versions after two and a twin", v.Len())
	}
	var before plan.Versions
	before.Add(c, day.Add(2*time.Hour))
	next := v.Since(day.Add(time.Hour), &before)
	if next.Has(a) || !next.Has(b) || !next.Has(c) {
		t.Errorf("from an hour on: a %v, b %v, c %v; want b and c", next.Has(a), next.Has(b), next.Has(c))
	}
	stored, err := next.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var read plan.Versions
	if err := read.UnmarshalBinary(stored); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(next, &read, cmp.AllowUnexported(plan.Versions{})); diff != "" {
		t.Errorf("stored and read (-want +got):\n%s", diff)
	}
	for name, text := range map[string][]byte{"empty": nil, "of another form": append([]byte("D2AV2\n"), stored[6:]...), "cut": stored[:len(stored)-1]} {
		if err := read.UnmarshalBinary(text); err == nil {
			t.Errorf("a record that is %s was read", name)
		}
	}
	var none *plan.Versions
	if none.Has(a) || none.Len() != 0 {
		t.Error("nothing was shown and is known")
	}
}
