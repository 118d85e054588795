package adx

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// An append that a cluster refuses because it knows the tag is delivered, if the
// tag is there; any other refusal stays one.
func TestScenario_L17_KnownTagIsAnError(t *testing.T) {
	for _, tagged := range []bool{true, false} {
		s := newStandIn(t)
		s.answer = func(kind, _, text string) reply {
			switch {
			case kind == "query" && tagged:
				return reply{columns: "Tagged:bool", rows: []string{"[true]"}}
			case kind == "query":
				return reply{columns: "Tagged:bool"}
			case strings.HasPrefix(text, ".show table"):
				return schemaReply(auditColumns)
			}
			return reply{code: 400, body: restError("Skipped_IngestByTagAlreadyExists", "known", `,"@permanent":true`)}
		}
		err := s.client(t).Deliver(t.Context(), plan.Outgoing{Tag: "t", Audit: &plan.Audit{TableName: "T"}})
		if (err == nil) != tagged {
			t.Errorf("tag there %v: got %v", tagged, err)
		}
	}
}

// A cluster without capacity is asked a few times with growing pauses, and then the
// message waits.
func TestScenario_L16_NoCapacityForAnAppend(t *testing.T) {
	for _, tc := range []struct {
		name  string
		busy  int // refusals
		reply reply
		kind  fault.Kind
		tries int
	}{
		{"free at the third try", 2, reply{code: 429, body: restError("TooManyRequests", "busy", "")}, fault.None, 3},
		{"by its type alone", 1, reply{code: 400, body: `{"error":{"code":"X","@type":"Kusto.DataNode.Exceptions.ControlCommandThrottledException","@permanent":false}}`}, fault.None, 2},
		{"busy all the time", 99, reply{code: 429, body: restError("TooManyRequests", "busy", "")}, fault.Wait, 5},
		{"another refusal is not repeated", 1, reply{code: 500, body: restError("X", "broken", "")}, fault.Retry, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStandIn(t)
			tries := 0
			s.answer = func(_, _, text string) reply {
				if strings.HasPrefix(text, ".show table") {
					return schemaReply(auditColumns)
				}
				if tries++; tries <= tc.busy {
					return tc.reply
				}
				return reply{}
			}
			c := s.client(t)
			var pauses []time.Duration
			c.sleep = func(_ context.Context, d time.Duration) error { pauses = append(pauses, d); return nil }
			err := c.Deliver(t.Context(), plan.Outgoing{Tag: "t", Audit: &plan.Audit{TableName: "T"}})
			if fault.KindOf(err) != tc.kind || tries != tc.tries {
				t.Errorf("%d tries, %v; want %d and kind %v", tries, err, tc.tries, tc.kind)
			}
			for i, d := range pauses {
				if least := time.Second << i; d < least || d > 2*least {
					t.Errorf("pause %d is %v, want %v to %v", i, d, least, 2*least)
				}
			}
		})
	}
}

// A send is called unsent only where no queue can hold it.
func TestScenario_L13_RefusedBeforeAnythingWasQueued(t *testing.T) {
	enqueue := func(t *testing.T, prepare func(*standIn)) error {
		s := newStandIn(t)
		c := s.client(t)
		b := staged(t, c, "a.json.gz")
		s.mu.Lock()
		prepare(s)
		s.mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := c.Enqueue(ctx, plan.Ingestion{Destination: "T", RunID: "r", Slice: 1, Blob: b})
		if err == nil {
			t.Fatal("the send succeeded")
		}
		return err
	}
	for _, tc := range []struct {
		name    string
		prepare func(*standIn)
		unsent  bool
	}{
		{"the endpoint refuses", func(s *standIn) {
			s.answer = func(string, string, string) reply { return reply{code: 403, body: restError("Forbidden", "no", "")} }
		}, true},
		{"the queue refuses", func(s *standIn) { s.queue = http.StatusForbidden }, true},
		{"the queue breaks", func(s *standIn) { s.queue = http.StatusNotImplemented }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := enqueue(t, tc.prepare); errors.Is(err, fault.ErrNotQueued) != tc.unsent {
				t.Errorf("%v: unsent = %v, want %v", err, !tc.unsent, tc.unsent)
			}
		})
	}
}

// keeping is a credential that keeps its token until it is told to forget it.
type keeping struct {
	mu     sync.Mutex
	minted int
	kept   string
}

func (k *keeping) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept == "" {
		k.minted++
		k.kept = "token-" + string(rune('0'+k.minted))
	}
	return azcore.AccessToken{Token: k.kept, ExpiresOn: time.Now().Add(24 * time.Hour)}, nil
}

func (k *keeping) Forget(...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept = ""
}

// A token that ADX refuses before its time is asked for anew, once a call, for
// queries, commands and the ingestion endpoint alike.
func TestScenario_L2_RefusedTokenIsForgotten(t *testing.T) {
	calls := map[string]func(*Client) error{
		"query":     func(c *Client) error { _, err := c.Landed(t.Context(), "T", []string{"r"}, time.Time{}); return err },
		"command":   func(c *Client) error { _, err := c.tableColumns(t.Context(), "T"); return err },
		"resources": func(c *Client) error { return c.Ready(t.Context()) },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			s := newStandIn(t)
			resources := s.resources("sig=x")
			s.answer = func(kind, _, text string) reply {
				switch {
				case kind == "query":
					return reply{columns: "Slice:int, Rows:long, Nulls:long"}
				case strings.HasPrefix(text, ".show table"):
					return schemaReply(auditColumns)
				}
				return resources
			}
			s.refused = "token-1"
			k := &keeping{}
			c := s.client(t, func(cfg *Config) { cfg.Credential = k })
			if err := call(c); err != nil {
				t.Fatal(err)
			}
			if k.minted != 2 || len(s.tokens) != 2 {
				t.Errorf("%d tokens for %d requests, want 2 and 2", k.minted, len(s.tokens))
			}
			// The next one is refused too: said, not repeated without end.
			s.refused = "token-2"
			k.Forget()
			k.minted = 1
			s.tokens = nil
			s.refused = "token-2"
			err := call(s.client(t, func(cfg *Config) { cfg.Credential = stubborn("token-2") }))
			if fault.KindOf(err) != fault.Permanent || len(s.tokens) != 1 {
				t.Errorf("a token that stays refused: %v after %d requests", err, len(s.tokens))
			}
		})
	}
}

// stubborn is a credential with one token only.
type stubborn string

func (s stubborn) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(s), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func (stubborn) Forget(...string) {}

// Every question asks for an answer that is true now.
func TestScenario_L11_QuestionsAreStrong(t *testing.T) {
	s := newStandIn(t)
	s.answer = func(string, string, string) reply {
		return reply{columns: "Slice:int, Rows:long, Nulls:long, Id:string, RunId:string"}
	}
	c := s.client(t)
	_, err1 := c.Landed(t.Context(), "T", []string{"r"}, time.Time{})
	_, err2 := c.Probed(t.Context(), "p")
	_, err3 := c.Foreign(t.Context(), "T", "d2a", time.Time{})
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	if len(s.options) != 3 {
		t.Fatalf("%d requests, want 3", len(s.options))
	}
	for i, o := range s.options {
		if o["queryconsistency"] != "strongconsistency" || o["query_results_cache_max_age"] != "00:00:01" {
			t.Errorf("%s: %v", s.texts[i], o)
		}
	}
}

// Where the signature may not read, whether a blob is there cannot be told, and
// that is no reason to give up.
func TestScenario_L18_SignatureWithoutRead(t *testing.T) {
	for status, want := range map[int]plan.BlobState{200: plan.BlobThere, 404: plan.BlobGone, 403: plan.BlobUntold} {
		s := newStandIn(t)
		c := s.client(t)
		b := staged(t, c, "a.json.gz")
		s.mu.Lock()
		s.blob = func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
			if status != 200 {
				storageError(w, status, map[int]string{404: "BlobNotFound", 403: "AuthorizationPermissionMismatch"}[status])
			}
			return status != 200
		}
		s.mu.Unlock()
		got, err := c.BlobState(t.Context(), b)
		if err != nil || got != want {
			t.Errorf("%d: got %s, %v; want %s", status, got, err, want)
		}
	}
}

// An adapter's error names the service and the cause; the step and the slice are
// its caller's to say.
func TestErrors_NameTheServiceAndNotTheStep(t *testing.T) {
	ctx, id := t.Context(), "d2a1"
	calls := map[string]func(*Client) error{
		"Landed": func(c *Client) error { _, err := c.Landed(ctx, "T", []string{id}, time.Time{}); return err },
		"Overlap": func(c *Client) error {
			_, err := c.Overlap(ctx, "T", id, []plan.Slice{{No: 1, Hi: 1}}, time.Time{})
			return err
		},
		"Foreign": func(c *Client) error { _, err := c.Foreign(ctx, "T", "d2a", time.Time{}); return err },
		"Orphan":  func(c *Client) error { _, _, err := c.OrphanRun(ctx, "T", id); return err },
		"Surplus": func(c *Client) error { _, err := c.Surplus(ctx, "T", id, 1, 3); return err },
		"Probe":   func(c *Client) error { return c.Probe(ctx, id) },
		"Probed":  func(c *Client) error { _, err := c.Probed(ctx, id); return err },
		"Ready":   func(c *Client) error { return c.Ready(ctx) },
		"Stage":   func(c *Client) error { _, err := c.Stage(ctx, "a.json.gz", writes([]byte("x"), nil)); return err },
		"BlobState": func(c *Client) error {
			_, err := c.BlobState(ctx, plan.Blob{Path: "https://127.0.0.1:1/c/b"})
			return err
		},
		"Enqueue": func(c *Client) error {
			_, err := c.Enqueue(ctx, plan.Ingestion{Destination: "T", RunID: id, Slice: 1, Blob: plan.Blob{Path: "https://127.0.0.1:1/c/b"}})
			return err
		},
		"Status": func(c *Client) error {
			_, err := c.IngestStatus(ctx, "2444c08c-0000-4000-8000-000000000000")
			return err
		},
	}
	for name, call := range calls {
		s := newStandIn(t)
		s.answer = func(string, string, string) reply { return reply{code: 500, body: restError("X", "broken", "")} }
		err := call(s.client(t))
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		text := err.Error()
		if !strings.HasPrefix(text, "ADX: ") && !strings.HasPrefix(text, "staging storage: ") {
			t.Errorf("%s: %q names no service", name, text)
		}
		for _, step := range []string{"slice", "look", "probe", "send", "enqueue", "stage ", id} {
			if strings.Contains(strings.TrimPrefix(text, "staging storage"), step) {
				t.Errorf("%s: %q says %q, which its caller says", name, text, step)
			}
		}
	}
}
