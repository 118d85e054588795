package hunting

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/defender2adx/defender2adx/emulator/engine"
	"github.com/defender2adx/defender2adx/internal/sleep"
)

// call is one request on its way.
type call struct {
	s      *Server
	w      http.ResponseWriter
	r      *http.Request
	api    API
	limits Limits
	decide func(Call) Fault
	fault  Fault
	entry  Entry

	requestID    string
	retryAfter   RetryAfter
	quotaRefused bool
}

func (c *call) serve(number int64) {
	req, refused := c.decode()
	if refused != nil {
		c.refuse(refused)
		return
	}
	now := c.s.o.Now()
	span, err := parseTimespan(req.timespan, now)
	if err != nil {
		c.refuse(badRequest(sentence(err.Error())))
		return
	}
	var read int64
	cat := &catalog{
		api: c.api, tenant: c.s.o.Tenant, timespan: span, read: &read,
		after: engine.FromTime(now.Add(-c.s.o.LookBack)), upTo: engine.FromTime(now),
	}
	if c.s.o.Awkward.LooseTies {
		cat.ties = rand.Uint64() | 1
	}
	_, c.entry.Table, _ = narrowed(req.query, cat.columns)

	if c.decide != nil {
		c.fault = c.decide(Call{API: c.api, Number: number, Table: c.entry.Table, Query: req.query})
		cat.hash = c.fault.Hash
	}
	if !c.pass(req.query) {
		return
	}
	if refused := c.s.quotas[c.api].admit(c.limits, c.s.o.Wall()); refused != nil {
		c.quotaRefused = true
		c.refuse(refused)
		return
	}
	if c.limits.Branches > 0 && branches(tokenize(req.query)) > c.limits.Branches {
		c.refuse(tooComplex())
		return
	}
	ctx := c.r.Context()
	if sleep.For(ctx, c.s.o.Latency) != nil {
		return
	}
	if c.limits.QueryTime > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.limits.QueryTime)
		defer cancel()
	}
	started := c.s.o.Wall()
	answer, err := c.answer(ctx, cat, req.query)
	c.s.quotas[c.api].spend(time.Duration(read)*c.limits.CPUPerRow, c.s.o.Wall())
	switch {
	case c.r.Context().Err() != nil: // nobody waits for an answer
	case errors.Is(err, context.DeadlineExceeded) && c.api == Graph:
		c.refuse(gatewayTimeout())
	case errors.Is(err, context.DeadlineExceeded):
		c.refuse(preempted())
	case err != nil:
		c.refuse(refusalOf(err))
	default:
		c.send(answer, c.s.o.Wall().Sub(started))
	}
}

// pass applies what a fault does before the query; false: the call is over.
func (c *call) pass(query string) bool {
	ctx, f := c.r.Context(), c.fault
	if sleep.For(ctx, f.Delay) != nil {
		return false
	}
	if f.Hold != nil {
		select {
		case <-f.Hold:
		case <-ctx.Done():
			return false
		}
	}
	if f.RetryAfter != nil {
		c.retryAfter = *f.RetryAfter
	}
	if f.Refuse == EmptyTimeout {
		c.entry.Status = http.StatusGatewayTimeout
		c.w.WriteHeader(http.StatusGatewayTimeout)
		return false
	}
	if refused := f.refusal(c.limits, query); refused != nil {
		c.refuse(refused)
		return false
	}
	return true
}

// answer runs the query and writes its result into memory.
func (c *call) answer(ctx context.Context, cat *catalog, query string) (*answer, error) {
	cols, rows, err := cat.run(ctx, query)
	if err != nil {
		return nil, err
	}
	a := c.newAnswer(cols)
	if err := c.fill(a, rows); err != nil {
		return nil, err
	}
	return a, a.finish()
}

func (c *call) fill(a *answer, rows iter.Seq2[engine.Record, error]) error {
	number := 0
	for r, err := range rows {
		if err != nil {
			return err
		}
		if c.fault.Results != AsTheyAre {
			return nil
		}
		if number++; number == c.fault.DropRow {
			continue
		}
		if cut := c.fault.Cut; cut != nil && a.rows >= *cut {
			return nil
		}
		if c.limits.Rows > 0 && a.rows >= c.limits.Rows {
			if c.limits.RefuseRows {
				return resultTooLarge()
			}
			return nil
		}
		if err := a.add(r); err != nil {
			return err
		}
	}
	return nil
}
