package adx

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

func writes(data []byte, err error) func(io.Writer) error {
	return func(w io.Writer) error {
		if _, werr := w.Write(data); werr != nil {
			return werr
		}
		return err
	}
}

// committed counts the puts that would make a blob visible.
func (s *standIn) committed() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.puts {
		if comp := r.URL.Query().Get("comp"); r.Method == http.MethodPut && comp != "block" {
			n++
		}
	}
	return n
}

func TestStage_CommitsANewBlobAndKeepsNoSignature(t *testing.T) {
	for name, size := range map[string]int{"one put": 1000, "several blocks": 2*blockSize + 5} {
		t.Run(name, func(t *testing.T) {
			s := newStandIn(t)
			b, err := s.client(t).Stage(t.Context(), "run1-000001.json.gz", writes(make([]byte, size), nil))
			if err != nil {
				t.Fatal(err)
			}
			if want := (plan.Blob{Path: s.URL + "/staging/run1-000001.json.gz"}); b != want {
				t.Errorf("got %+v, want %+v", b, want)
			}
			if n := s.committed(); n != 1 {
				t.Fatalf("%d commits, want 1", n)
			}
			last := s.puts[len(s.puts)-1]
			if got := last.Header.Get("If-None-Match"); got != "*" {
				t.Errorf("committed with If-None-Match %q, want *", got)
			}
			if sent := len(s.bodies["/staging/run1-000001.json.gz "]) + len(s.bodies["/staging/run1-000001.json.gz block"]); sent != size {
				t.Errorf("%d bytes arrived, want %d", sent, size)
			}
		})
	}
}

func TestStage_ProducersErrorComesBackAsItIsAndNothingIsCommitted(t *testing.T) {
	for name, size := range map[string]int{"at once": 0, "in the first block": 1000, "in a later block": blockSize + 1000} {
		t.Run(name, func(t *testing.T) {
			s := newStandIn(t)
			cause := fault.As(fault.Split, errors.New("too large"))
			_, err := s.client(t).Stage(t.Context(), "a.json.gz", writes(make([]byte, size), cause))
			if err != cause {
				t.Errorf("got %v, want the producer's error itself", err)
			}
			if n := s.committed(); n != 0 {
				t.Errorf("%d commits, want none", n)
			}
		})
	}
}

func TestStage_FailedUploadStopsTheProducer(t *testing.T) {
	s := newStandIn(t)
	s.blob = func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		storageError(w, http.StatusInternalServerError, "InternalError")
		return true
	}
	endless := func(w io.Writer) error {
		block := make([]byte, 64<<10)
		for {
			if _, err := w.Write(block); err != nil {
				return errors.New("write failed") // what a producer makes of it does not matter
			}
		}
	}
	_, err := s.client(t).Stage(t.Context(), "a.json.gz", endless)
	if fault.KindOf(err) != fault.Retry || !strings.Contains(err.Error(), "500 InternalError") {
		t.Errorf("got %v (%v), want the upload's error", err, fault.KindOf(err))
	}
	if strings.Contains(err.Error(), "sig=") {
		t.Errorf("error %q holds a signature", err)
	}
}

func TestStage_CancelledStopsBothSides(t *testing.T) {
	s := newStandIn(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.client(t).Stage(ctx, "a.json.gz", func(w io.Writer) error {
		if _, err := w.Write(make([]byte, 10)); err != nil {
			return err
		}
		cancel()
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return err
			}
		}
	})
	if !errors.Is(err, context.Canceled) || s.committed() != 0 {
		t.Errorf("got %v and %d commits", err, s.committed())
	}
}

func TestStage_RefusedSignatureIsRenewedOnce(t *testing.T) {
	s := newStandIn(t)
	c := s.client(t)
	if _, err := c.Stage(t.Context(), "a.json.gz", writes([]byte("x"), nil)); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.sas = "sig=second"
	s.mu.Unlock()
	if _, err := c.Stage(t.Context(), "b.json.gz", writes([]byte("y"), nil)); err != nil {
		t.Fatalf("with a renewed signature: %v", err)
	}
	if got := s.bodies["/staging/b.json.gz "]; got != "y" {
		t.Errorf("the body sent again was %q", got)
	}

	s.blob = func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
		storageError(w, http.StatusForbidden, "AuthorizationFailure")
		return true
	}
	before := len(s.puts)
	_, err := c.Stage(t.Context(), "c.json.gz", writes([]byte("z"), nil))
	if fault.KindOf(err) != fault.Permanent || len(s.puts)-before != 2 {
		t.Errorf("got %v (%v) after %d puts, want a permanent error after 2", err, fault.KindOf(err), len(s.puts)-before)
	}
}

func TestStage_LostAnswerToACommitIsSettledByReading(t *testing.T) {
	for name, ours := range map[string]bool{"our own": true, "another's": false} {
		t.Run(name, func(t *testing.T) {
			s := newStandIn(t)
			var writer string
			s.blob = func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
				if r.Method == http.MethodPut {
					writer = r.Header.Get("x-ms-meta-writer")
					storageError(w, http.StatusConflict, "BlobAlreadyExists")
					return true
				}
				if !ours {
					writer = "somebody"
				}
				w.Header().Set("x-ms-meta-writer", writer)
				return true
			}
			_, err := s.client(t).Stage(t.Context(), "a.json.gz", writes([]byte("x"), nil))
			if ours != (err == nil) {
				t.Errorf("got %v", err)
			}
			if !ours && !strings.Contains(err.Error(), "BlobAlreadyExists") {
				t.Errorf("got %v, want the refusal", err)
			}
		})
	}
}

func TestStage_RefusesNamesThatNeedEscapingOrTellNothing(t *testing.T) {
	for _, name := range []string{"", "a.json", "a/b.json.gz", "a b.json.gz", "a?.json.gz", "../a.json.gz"} {
		_, err := newStandIn(t).client(t).Stage(t.Context(), name, writes(nil, nil))
		if fault.KindOf(err) != fault.Permanent {
			t.Errorf("%q: got %v, want a permanent refusal", name, err)
		}
	}
}

func TestBlobState_HasThreeAnswers(t *testing.T) {
	s := newStandIn(t)
	c := s.client(t)
	b, err := c.Stage(t.Context(), "a.json.gz", writes([]byte("x"), nil))
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.sas = "sig=second"
	s.mu.Unlock()
	cases := map[string]plan.BlobState{
		b.Path:                          plan.BlobThere,
		s.URL + "/staging/gone.json.gz": plan.BlobGone,
		"https://retired.blob.core.windows.net/c/a.json.gz": plan.BlobGone, // a container no longer lent
	}
	for path, want := range cases {
		got, err := c.BlobState(t.Context(), plan.Blob{Path: path})
		if err != nil || got != want {
			t.Errorf("BlobState(%s) = %v, %v, want %v", path, got, err, want)
		}
	}
	s.blob = func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
		storageError(w, http.StatusServiceUnavailable, "ServerBusy")
		return true
	}
	if _, err := c.BlobState(t.Context(), b); fault.KindOf(err) != fault.Retry {
		t.Errorf("a busy service: got %v, want a retryable error", err)
	}
}

func TestStorage_AsksOncePerHour(t *testing.T) {
	s := newStandIn(t)
	var now atomic.Int64
	c := s.client(t, func(cfg *Config) {
		cfg.Clock = func() time.Time { return time.Unix(now.Load(), 0) }
	})
	for _, at := range []int64{0, 1, 3599, 3600, 3601} {
		now.Store(at)
		if _, err := c.staging.pick(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{".get ingestion resources", ".get ingestion resources"}, s.texts); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestWholeBody_KeepsTheStatementFromItsBuffersNextUse(t *testing.T) {
	buffer := bytes.NewBufferString("first statement")
	var sent string
	release := make(chan struct{})
	done := make(chan struct{})
	transport := wholeBody{roundTrip(func(r *http.Request) (*http.Response, error) {
		go func() { // as a transport does after a cancelled call
			<-release
			body, _ := io.ReadAll(r.Body)
			sent = string(body)
			close(done)
		}()
		return nil, context.Canceled
	})}
	req := &http.Request{Method: http.MethodPost, URL: &url.URL{Scheme: "https", Host: "h"}, Body: io.NopCloser(buffer)}
	if _, err := transport.RoundTrip(req); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	buffer.Reset()
	buffer.WriteString("second statement")
	close(release)
	<-done
	if sent != "first statement" {
		t.Errorf("sent %q", sent)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
