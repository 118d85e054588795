package defender_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/internal/defender"
	"github.com/defender2adx/defender2adx/internal/fault"
)

// The scenarios of docs/failure-scenarios.md that the client answers for.

// What the service says of a refusal reaches the audit row, and the three kinds
// of 4xx are told apart by it.
func TestScenario_O18_RefusalsKeepTheirBody(t *testing.T) {
	tests := []struct {
		status int
		body   string
		kind   fault.Kind
		says   []string
	}{
		{400, tooBig, fault.Split, []string{"400 Bad Request", "exceeded the allowed result size"}},
		{400, `{"error":{"code":"BadRequest","message":"Fix syntax errors in your query."}}`, fault.Permanent, []string{"Fix syntax errors"}},
		{403, `{"error":{"code":"Forbidden","message":"Missing application roles."}}`, fault.Permanent, []string{"Missing application roles", "ThreatHunting.Read.All"}},
		{429, `{"error":{"code":"TooManyRequests","message":"You have exceeded processing resources allocated to this tenant."}}`, fault.Wait, []string{"processing resources", "waiting until"}},
	}
	for _, tt := range tests {
		c, _, _ := start(t, nil, status(tt.status, tt.body))
		_, _, err := fetch(t, c)
		if fault.KindOf(err) != tt.kind {
			t.Errorf("%d %s: kind %v, want %v", tt.status, tt.body, fault.KindOf(err), tt.kind)
		}
		for _, part := range tt.says {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%d: %v does not say %q", tt.status, err, part)
			}
		}
	}
}

// aging hands out a token that is good for as long as its clock says.
type aging struct{ now *time.Time }

func (a aging) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "token-of-" + a.now.Format("15:04"), ExpiresOn: a.now.Add(time.Hour)}, nil
}

// accepts refuses a token that is older than an hour.
func accepts(at *time.Time) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		issued, err := time.Parse("15:04", strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer token-of-"))
		if err != nil || at.Sub(time.Date(at.Year(), at.Month(), at.Day(), issued.Hour(), issued.Minute(), 0, 0, time.UTC)) > time.Hour {
			status(401, expired)(w, r)
			return
		}
		status(200, oneRow)(w, r)
	}
}

// The wait that a 429 asks for is longer than the token lives.
func TestScenario_O20_TokenExpiresDuringAWait(t *testing.T) {
	at := now
	c, s, _ := start(t, func(cfg *defender.Config) {
		cfg.Credential, cfg.Now = aging{&at}, func() time.Time { return at }
	}, status(429, "", "Retry-After", "7200"), accepts(&at))
	_, _, err := fetch(t, c)
	until, ok := fault.Until(err)
	if !ok || until.Sub(at) != 2*time.Hour {
		t.Fatalf("got %v, want a wait of two hours", err)
	}
	at = until
	if _, received, err := fetch(t, c); err != nil || received.Rows != 1 || s.count() != 2 {
		t.Errorf("after the wait: %+v, %v after %d calls, want a row at once", received, err, s.count())
	}
}

// Four throttled calls of the same slice, each with the token of its time.
func TestScenario_P23_TokenOfEachAttempt(t *testing.T) {
	at := now
	wait := status(429, "", "Retry-After", "1200")
	c, s, _ := start(t, func(cfg *defender.Config) {
		cfg.Credential, cfg.Now = aging{&at}, func() time.Time { return at }
	}, wait, wait, wait, wait, accepts(&at))
	for range 4 {
		_, _, err := fetch(t, c)
		until, ok := fault.Until(err)
		if !ok {
			t.Fatalf("got %v, want a wait", err)
		}
		at = until
	}
	if _, received, err := fetch(t, c); err != nil || received.Rows != 1 {
		t.Errorf("got %+v, %v; want a row", received, err)
	}
	seen := map[string]bool{}
	for _, r := range s.calls {
		seen[r.Header.Get("Authorization")] = true
	}
	if len(seen) != 5 {
		t.Errorf("tokens sent: %v, want one of each time", seen)
	}
}

func TestScenario_O22_RetryAfterAsADate(t *testing.T) {
	at := time.Date(2026, 10, 21, 9, 0, 0, 0, time.UTC) // our clock is wrong; the date is of the service's
	c, _, _ := start(t, func(cfg *defender.Config) { cfg.Now = func() time.Time { return at } },
		status(429, "", "Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT", "Date", "Wed, 21 Oct 2026 07:27:15 GMT"))
	_, _, err := fetch(t, c)
	if until, ok := fault.Until(err); !ok || !until.Equal(at.Add(45*time.Second)) {
		t.Errorf("got %v, want a wait of 45 seconds", err)
	}
}

// Rows are found under either spelling, and a body without them is no empty
// table.
func TestScenario_O23_ShapeOfTheBody(t *testing.T) {
	for body, rows := range map[string]int64{
		oneRow: 1,
		`{"Schema":[{"Name":"A","Type":"Int64"}],"Results":[{"A":1},{"A":2}]}`: 2,
		`{"schema":[{"name":"A","type":"Int64"}],"results":[]}`:                0,
	} {
		c, _, _ := start(t, nil, status(200, body))
		if _, received, err := fetch(t, c); err != nil || received.Rows != rows {
			t.Errorf("%s: %d rows, %v; want %d", body, received.Rows, err, rows)
		}
	}
	for _, body := range []string{`{}`, `{"value":[{"A":1}]}`, `{"data":{"results":[{"A":1}]}}`, ``} {
		c, _, _ := start(t, nil, status(200, body))
		if _, _, err := fetch(t, c); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%q: %v (%v), want an error", body, err, fault.KindOf(err))
		}
	}
}

// The connection is open and nothing ever comes.
func TestScenario_O31_HalfOpenConnection(t *testing.T) {
	release := make(chan struct{})
	c, s, _ := start(t, func(cfg *defender.Config) { cfg.AnswerTimeout = 300 * time.Millisecond },
		func(http.ResponseWriter, *http.Request) { <-release }, status(200, oneRow))
	t.Cleanup(func() { close(release) }) // before the server closes, which waits for its handlers
	if _, _, err := fetch(t, c); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "no answer") {
		t.Fatalf("got %v (%v), want unavailable", err, fault.KindOf(err))
	}
	if s.count() > 1 {
		t.Errorf("%d calls, want one: who called decides about the next", s.count())
	}
}
