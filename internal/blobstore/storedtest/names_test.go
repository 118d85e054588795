package storedtest

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

type inner struct {
	Deep  int
	Named int `json:"Named,omitzero"`
}

type base struct{ Based int }

func TestUnnamed_FindsEveryFieldWithoutAName(t *testing.T) {
	type document struct {
		base
		A       time.Time `json:"A"`
		Plain   string
		Only    string `json:",omitempty"`
		Dropped string `json:"-"`
		List    []*inner
		private int
	}
	got := unnamed(reflect.TypeFor[document](), map[reflect.Type]bool{})
	want := []string{
		"storedtest.base.Based", "storedtest.document.Plain", "storedtest.document.Only", "storedtest.document.Dropped",
		"storedtest.document.List", "storedtest.inner.Deep",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	_ = document{}.private
}
