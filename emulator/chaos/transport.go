package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

// place is what a request goes to.
type place string

const (
	toState     place = "state"    // states, ledgers and quota
	toStaging   place = "staging"  // staged blobs
	toQueue     place = "queue"    // of ingestions
	toStatus    place = "status"   // table of ingestions
	toKusto     place = "kusto"    // queries and commands
	toDefender  place = "defender" // hunting
	toElsewhere place = "sign-in"  // tokens and the vault
)

var errDead = errors.New("the process is dead")

// faultTransport is all that a process knows of the outside: every request of every
// adapter goes through it. It breaks requests on either side of their effect,
// ends with its process, and stands still with it.
type faultTransport struct {
	process *process
	next    http.RoundTripper

	mu     sync.Mutex
	frozen chan struct{} // closed when the process goes on; nil: it runs
}

func newFaultTransport(p *process) *faultTransport {
	transport := p.world.Certs.Client().Transport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 16
	return &faultTransport{process: p, next: transport}
}

// Do lets the storage and identity SDKs use the transport.
func (t *faultTransport) Do(req *http.Request) (*http.Response, error) { return t.client().Do(req) }

func (t *faultTransport) client() *http.Client {
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// RoundTrip sends a request, or not.
func (t *faultTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	p, f, s := t.process, t.process.world.faults, t.process.world.plan
	at := t.place(req.URL)
	p.world.calls.Add(1)
	if r, ok := f.inject("clock", s.lies.jump); ok && f.atMost(8, "clock: jumps") {
		p.clock.jump(r)
	}
	if err := t.ready(req.Context()); err != nil {
		return nil, refuse(req, err)
	}
	if _, ok := f.inject("freeze", s.freeze); ok && at != toElsewhere && f.atMost(3, "process: frozen beyond its lease") {
		p.freeze()
		if err := t.ready(req.Context()); err != nil {
			return nil, refuse(req, err)
		}
	}
	if _, ok := f.inject("lease", s.lease); ok && at == toState {
		if source, working := p.anyTable(); working {
			f.count("storage: lease broken")
			p.world.breakLease(context.WithoutCancel(req.Context()), source)
		}
	}
	killer, kill := f.inject("kill", s.kill)
	kill = kill && at != toElsewhere && len(p.tables()) > 0
	when := 0
	if kill {
		when = killer.IntN(3)
	}
	if kill && when == 0 {
		p.kill("before a call to " + string(at))
		return nil, refuse(req, errDead)
	}
	if resp, err, struck := t.before(req, at); struck {
		return resp, err
	}
	ctx, cancel := context.WithCancel(req.Context())
	stop := context.AfterFunc(p.ctx, cancel)
	end := func() { stop(); cancel() }
	resp, err := t.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		end()
		if p.dead() {
			err = errDead
		}
		return nil, err
	}
	resp.Body = &body{ReadCloser: resp.Body, end: end}
	switch {
	case kill && when == 1:
		p.kill("after a call to " + string(at))
		_ = resp.Body.Close() // nobody reads it
		return nil, errDead
	case kill:
		resp.Body = &body{ReadCloser: resp.Body, end: func() {}, left: int64(killer.IntN(20_000)), last: func() { p.kill("in an answer of " + string(at)) }}
	}
	// A freeze begins on this side of an effect as well.
	if err := t.ready(req.Context()); err != nil {
		_ = resp.Body.Close() // nobody reads it
		return nil, err
	}
	return t.after(resp, at)
}

// ready waits while the process is frozen, and ends when it is dead.
func (t *faultTransport) ready(ctx context.Context) error {
	for {
		t.mu.Lock()
		frozen := t.frozen
		t.mu.Unlock()
		if t.process.dead() {
			return errDead
		}
		if frozen == nil {
			return ctx.Err()
		}
		select {
		case <-frozen:
		case <-t.process.ctx.Done():
		}
	}
}

// before breaks a request that then never reaches its server.
func (t *faultTransport) before(req *http.Request, at place) (*http.Response, error, bool) {
	f, s := t.process.world.faults, t.process.world.plan
	if p := t.process; p.world.darkNow(at) {
		return nil, refuse(req, reset("dial")), true
	}
	if r, ok := f.inject("storage "+string(at), s.storage); ok && (at == toState || at == toStaging || at == toQueue) {
		codes := []struct {
			status int
			code   string
		}{{500, "InternalError"}, {503, "ServerBusy"}, {429, "TooManyRequests"}, {412, "ConditionNotMet"}}
		c := codes[r.IntN(len(codes))]
		if c.status == 412 && (req.Method != http.MethodPut || at != toState || req.URL.Query().Get("comp") != "") {
			c = codes[0]
		}
		f.count(fmt.Sprintf("storage: %d", c.status))
		discard(req)
		return storageError(req, c.status, c.code), nil, true
	}
	// The kind is part of what a seed means.
	if r, ok := f.inject("line "+string(at), s.connection); ok && at != toElsewhere && r.IntN(2) == 0 {
		f.count("connection: cut before the call to " + string(at))
		return nil, refuse(req, reset("write")), true
	}
	return nil, nil, false
}

// after loses the answer to a request that was done.
func (t *faultTransport) after(resp *http.Response, at place) (*http.Response, error) {
	f, s := t.process.world.faults, t.process.world.plan
	r, ok := f.inject("reply "+string(at), s.connection)
	if !ok || at == toElsewhere {
		return resp, nil
	}
	if r.IntN(3) == 0 {
		f.count("connection: answer cut off by " + string(at))
		resp.Body = &body{ReadCloser: resp.Body, end: func() {}, left: int64(r.IntN(2000)), failure: reset("read")}
		return resp, nil
	}
	f.count("connection: answer lost by " + string(at))
	_, _ = io.Copy(io.Discard, resp.Body) // the server did its part
	_ = resp.Body.Close()                 // nothing of it is used
	return nil, reset("read")
}

func (t *faultTransport) place(u *url.URL) place {
	w := t.process.world
	switch address := u.Scheme + "://" + u.Host; {
	case strings.HasPrefix(w.ClusterURL, address):
		return toKusto
	case strings.HasPrefix(w.HuntingURL, address):
		return toDefender
	case strings.HasPrefix(w.Describe().Blob, address):
		return toState
	case strings.HasPrefix(w.Front.URL("blob"), address):
		return toStaging
	case strings.HasPrefix(w.Front.URL("queue"), address):
		return toQueue
	case strings.HasPrefix(w.Front.URL("table"), address):
		return toStatus
	}
	return toElsewhere
}

// freeze stops the transport until thaw.
func (t *faultTransport) freeze() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.frozen == nil {
		t.frozen = make(chan struct{})
	}
}

func (t *faultTransport) thaw() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.frozen != nil {
		close(t.frozen)
		t.frozen = nil
	}
}

// refuse closes a request that is not sent, as a transport must.
func refuse(req *http.Request, err error) error {
	discard(req)
	return err
}

func discard(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // it was not read
	}
}

func reset(op string) error { return &net.OpError{Op: op, Net: "tcp", Err: syscall.ECONNRESET} }

func storageError(req *http.Request, status int, code string) *http.Response {
	text := `<?xml version="1.0" encoding="utf-8"?><Error><Code>` + code + `</Code><Message>a fault</Message></Error>`
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{"X-Ms-Error-Code": {code}, "Content-Type": {"application/xml"}, "Date": {time.Now().UTC().Format(http.TimeFormat)}},
		Body:   io.NopCloser(bytes.NewReader([]byte(text))), ContentLength: int64(len(text)),
	}
}

// body is an answer's body. With last or failure it breaks after left bytes.
type body struct {
	io.ReadCloser
	end     func()
	left    int64
	last    func()
	failure error
}

func (b *body) Read(p []byte) (int, error) {
	if b.last == nil && b.failure == nil {
		return b.ReadCloser.Read(p)
	}
	if b.left <= 0 {
		if b.last != nil {
			b.last()
			return 0, errDead
		}
		return 0, b.failure
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.end()
	return err
}

// pauseOf is a short real pause.
func pauseOf(r *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(r.Int64N(int64(most)))
}
