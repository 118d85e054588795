package app

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/adx"
)

// One database that cannot be read hides nothing of the others, unless it is that of the
// control tables.
func TestLacking_OneDatabaseHidesNoOther(t *testing.T) {
	gone := errors.New("not found")
	for _, tt := range []struct {
		name    string
		control bool
		err     error
		want    []adx.Step
		fails   bool
	}{
		{"that of the control tables", true, nil, []adx.Step{{Name: "table A"}}, false},
		{"another", false, nil, []adx.Step{{Name: "table A in database west"}}, false},
		{"another, which is not there", false, gone, []adx.Step{{Name: "database west", Outcome: adx.Failed, Detail: "not found"}}, false},
		{"that of the control tables, which is not there", true, gone, nil, true},
	} {
		var found []adx.Step
		if tt.err == nil {
			found = []adx.Step{{Name: "table A"}}
		}
		got, err := lacking("west", tt.control, found, tt.err)
		if diff := cmp.Diff(tt.want, got); diff != "" || (err != nil) != tt.fails {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, diff)
		}
	}
}
