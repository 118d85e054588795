package host

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// hostJSON is what the host reads about its own limits.
type hostJSON struct {
	FunctionTimeout string `json:"functionTimeout"`
	Extensions      struct {
		Queues struct {
			VisibilityTimeout string `json:"visibilityTimeout"`
			MaxDequeueCount   int    `json:"maxDequeueCount"`
		} `json:"queues"`
	} `json:"extensions"`
}

func readHostJSON(t *testing.T) (limits hostJSON, timeout time.Duration) {
	t.Helper()
	text, err := os.ReadFile("../../host.json")
	if err == nil {
		err = json.Unmarshal(text, &limits)
	}
	var at time.Time
	if err == nil {
		at, err = time.Parse("15:04:05", limits.FunctionTimeout)
	}
	if err != nil {
		t.Fatal(err)
	}
	return limits, time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute + time.Duration(at.Second())*time.Second
}

// Work that never ends is answered with a failure before the host's own time
// limit, each time: so each time counts, and the message goes to poison instead
// of killing the process, and every other message's work with it, for ever.
func TestScenario_F2_HandlerThatAlwaysTimesOut(t *testing.T) {
	limits, timeout := readHostJSON(t)
	if limits.Extensions.Queues.MaxDequeueCount < 2 {
		t.Errorf("maxDequeueCount is %d: nothing would be delivered again", limits.Extensions.Queues.MaxDequeueCount)
	}
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		runner, _ := newTestRunner(Limits{})
		served := runner.Envelope("migrate", func(context.Context, Invocation) Reply {
			<-release
			return Reply{}
		})
		for range limits.Extensions.Queues.MaxDequeueCount {
			start := time.Now()
			w := httptest.NewRecorder()
			served.ServeHTTP(w, envelopePost(`{}`))
			checkDocument(t, w, 500)
			if took := time.Since(start); took >= timeout {
				t.Errorf("answered after %v, the host kills the process after %v", took, timeout)
			}
		}
	})
}

// The context of work that obeys it ends so early that its answer, a put-off,
// is given before the host loses patience.
func TestScenario_F1_WorkEndsBeforeTheHostsPatience(t *testing.T) {
	_, timeout := readHostJSON(t)
	synctest.Test(t, func(t *testing.T) {
		runner, _ := newTestRunner(Limits{})
		start := time.Now()
		w := httptest.NewRecorder()
		runner.Envelope("migrate", func(ctx context.Context, _ Invocation) Reply {
			<-ctx.Done()
			return Reply{}
		}).ServeHTTP(w, envelopePost(`{}`))
		checkDocument(t, w, 200)
		if took := time.Since(start); took > timeout-time.Minute {
			t.Errorf("answered after %v, the host's limit is %v", took, timeout)
		}
	})
}
