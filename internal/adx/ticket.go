package adx

import (
	"reflect"
	"strings"
	"sync"

	"github.com/Azure/azure-kusto-go/azkustoingest"
)

// Ticket follows one enqueued ingestion until the client is closed.
type Ticket struct {
	mu     sync.Mutex
	reason string
	failed bool
	done   chan struct{}
}

// Failed reports whether ADX has said that the ingestion failed for good, and its
// reason. It does not block. An ingestion that was skipped because its tag is
// there already has not failed; one that succeeded in part is left to the count
// of what landed.
func (t *Ticket) Failed() (reason string, failed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.reason, t.failed
}

// follow reads the ingestion's status row until it is final.
func (c *Client) follow(result *azkustoingest.Result) *Ticket {
	t := &Ticket{done: make(chan struct{})}
	statuses := result.Wait(c.life, azkustoingest.WithInterval(c.poll))
	go func() {
		defer close(t.done)
		for status := range statuses {
			reason, failed := verdict(status)
			if failed {
				c.log.Warn("ingestion failed", "reason", reason)
			}
			t.mu.Lock()
			t.reason, t.failed = reason, failed
			t.mu.Unlock()
		}
	}()
	return t
}

// verdict reads a final status that the SDK reports as an error.
func verdict(status error) (reason string, failed bool) {
	r, ok := recordOf(status)
	if !ok {
		return "", false
	}
	switch r.Status {
	case azkustoingest.Skipped:
		// The code is seen with and without the prefix Skipped_.
		failed = !strings.HasSuffix(r.ErrorCode, "IngestByTagAlreadyExists")
	case azkustoingest.Failed:
		failed = r.FailureStatus == azkustoingest.Permanent || r.FailureStatus == azkustoingest.Exhausted
	}
	if !failed {
		return "", false
	}
	return quote(strings.TrimSpace(r.ErrorCode + ": " + r.Details)), true
}

// statusRow is what matters of the SDK's record of an ingestion.
type statusRow struct {
	Status             azkustoingest.StatusCode
	FailureStatus      azkustoingest.FailureStatusCode
	ErrorCode, Details string
}

// recordOf reads the SDK's record out of an error, which the SDK passes by value
// or by pointer. Details has no accessor, and the record's own text names the
// signed blob, so the exported fields of the unexported type are read by name.
func recordOf(err error) (statusRow, bool) {
	v := reflect.Indirect(reflect.ValueOf(err))
	if !v.IsValid() || v.Kind() != reflect.Struct {
		return statusRow{}, false
	}
	field := func(name string) (string, bool) {
		f := v.FieldByName(name)
		if !f.IsValid() || f.Kind() != reflect.String {
			return "", false
		}
		return f.String(), true
	}
	status, ok1 := field("Status")
	failure, ok2 := field("FailureStatus")
	code, ok3 := field("ErrorCode")
	details, ok4 := field("Details")
	return statusRow{
		Status: azkustoingest.StatusCode(status), FailureStatus: azkustoingest.FailureStatusCode(failure),
		ErrorCode: code, Details: details,
	}, ok1 && ok2 && ok3 && ok4
}
