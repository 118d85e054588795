package pipeline

import (
	"context"
	"fmt"
	"io"

	"golang.org/x/sync/semaphore"

	"github.com/defender2adx/defender2adx/internal/fault"
)

// room is a slice's share of the process's memory. It is taken with the first
// write, which is empty and says that the answer has begun: until then, which is
// most of the time, nothing is held. The service waits meanwhile.
type room struct {
	ctx    context.Context
	memory *semaphore.Weighted
	w      io.Writer
	taken  bool
}

func (r *room) Write(p []byte) (int, error) {
	if !r.taken {
		if err := r.memory.Acquire(r.ctx, SliceMemory); err != nil {
			return 0, fault.As(fault.Retry, fmt.Errorf("wait for memory: %w", err))
		}
		r.taken = true
	}
	if len(p) == 0 {
		return 0, nil
	}
	return r.w.Write(p)
}

// leave gives the share back, when the blob is committed or given up.
func (r *room) leave() {
	if r.taken {
		r.memory.Release(SliceMemory)
	}
}
