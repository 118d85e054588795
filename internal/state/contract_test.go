package state_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/pipeline/pipelinetest"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/state"
)

// port is the store as the pipeline takes it.
type port struct{ *state.Store }

func (p port) Acquire(ctx context.Context, k plan.Key) (pipeline.TableLease, error) {
	h, err := p.Store.Acquire(ctx, k)
	if err != nil {
		return nil, err
	}
	return h, nil
}

func TestStore_KeepsThePipelinesContract(t *testing.T) {
	pipelinetest.Store(t, func(t *testing.T) pipelinetest.StoreWorld {
		a := newAccount(t)
		name := func(k plan.Key) string { return "state/" + k.Instance + "/" + k.Source + ".json" }
		add := func(blob, member string, value any) {
			var document map[string]any
			if err := json.Unmarshal(a.get(t, blob), &document); err != nil {
				t.Fatal(err)
			}
			document[member] = value
			body, err := json.Marshal(document)
			if err != nil {
				t.Fatal(err)
			}
			a.put(t, blob, string(body))
		}
		return pipelinetest.StoreWorld{
			Open:        func() pipeline.Store { return port{a.store(nil)} },
			Expire:      func(k plan.Key) { a.breakLease(name(k)) },
			AddMember:   func(k plan.Key, member string, value any) { add(name(k), member, value) },
			AddToLedger: func(run, member string, value any) { add("ledger/"+run+".json", member, value) },
			Now:         time.Now,
		}
	})
}
