package pipeline

import (
	"context"
	"errors"
	"testing"
	"time"
)

// An instance whose calls all hang leaves every other one a place; one alone may take
// them all.
func TestPlaces_AHungInstanceLeavesOthersTheirTurn(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	take := func(p places) (n int, releases []func()) {
		for {
			release, err := p.acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			n, releases = n+1, append(releases, release)
			if len(p.own) == cap(p.own) && len(p.shared) == cap(p.shared) {
				return n, releases
			}
		}
	}
	all := NewPlaces(14, 3)
	hung, other, third := all.ofInstance(), all.ofInstance(), all.ofInstance()
	n, releases := take(hung)
	if n != 12 {
		t.Errorf("one of three instances takes %d of 14 places, want 12", n)
	}
	if _, err := hung.acquire(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("one more: %v", err)
	}
	for _, p := range []places{other, third} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // never reached but by a fault
		release, err := p.acquire(ctx)
		cancel()
		if err != nil {
			t.Fatalf("another instance: %v", err)
		}
		release()
	}
	for _, release := range releases {
		release()
	}
	if n, _ := take(other); n != 12 {
		t.Errorf("after that, another takes %d", n)
	}
	alone := NewPlaces(14, 1)
	if n, _ := take(alone.ofInstance()); n != 14 {
		t.Errorf("one alone takes %d of 14", n)
	}
	if n, _ := take(NewPlaces(1, 3).ofInstance()); n != 1 {
		t.Errorf("one of three takes %d of 1", n)
	}
}
