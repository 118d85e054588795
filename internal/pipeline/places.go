package pipeline

import "context"

// Places bound the calls to the source that the process has in flight, over the
// pipelines of all instances. Each instance has places of its own, so that one whose
// calls hang keeps no other from its turn, and all share the rest.
type Places struct {
	own    int
	shared chan struct{}
}

// NewPlaces divides total among so many instances; each gets one of its own, even
// where that is more than total. One alone has them all.
func NewPlaces(total, instances int) *Places {
	if instances <= 1 {
		return &Places{own: max(1, total)}
	}
	return &Places{own: 1, shared: make(chan struct{}, max(0, total-instances))}
}

// places are those that one instance may take. First come, first served.
type places struct{ own, shared chan struct{} }

func (p *Places) ofInstance() places { return places{make(chan struct{}, p.own), p.shared} }

// acquire waits for a place; the returned function gives it back.
func (p places) acquire(ctx context.Context) (release func(), err error) {
	select {
	case p.own <- struct{}{}:
		return func() { <-p.own }, nil
	case p.shared <- struct{}{}:
		return func() { <-p.shared }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
