package state_test

import "testing"

// The container says whose it is once an app has said so, and goes with the app's id.
func TestAppID_IsWhatTheAppSaidLast(t *testing.T) {
	s := newAccount(t).store(nil)
	for _, id := range []string{"", "first1", "first1", "second"} {
		if id != "" {
			if err := s.SaveAppID(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := s.AppID(t.Context()); err != nil || got != id {
			t.Errorf("%q, %v, want %q", got, err, id)
		}
	}
	if tables, err := s.List(t.Context()); err != nil || len(tables) != 0 {
		t.Errorf("it is listed as a table: %+v, %v", tables, err)
	}
}
