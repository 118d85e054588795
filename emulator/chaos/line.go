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

// line is all that a process knows of the outside: every request of every
// adapter goes through it. It breaks requests on either side of their effect,
// ends with its process, and stands still with it.
type line struct {
	process *process
	next    http.RoundTripper

	mu     sync.Mutex
	frozen chan struct{} // closed when the process goes on; nil: it runs
}

func newLine(p *process) *line {
	transport := p.world.Certs.Client().Transport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 16
	return &line{process: p, next: transport}
}

// Do lets the storage and identity SDKs use the line.
func (l *line) Do(req *http.Request) (*http.Response, error) { return l.client().Do(req) }

func (l *line) client() *http.Client {
	return &http.Client{Transport: l, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// RoundTrip sends a request, or not.
func (l *line) RoundTrip(req *http.Request) (*http.Response, error) {
	p, d, s := l.process, l.process.world.dice, l.process.world.plan
	at := l.place(req.URL)
	p.world.calls.Add(1)
	if r, ok := d.strikes("clock", s.lies.jump); ok && d.atMost(8, "clock: jumps") {
		p.clock.jump(r)
	}
	if err := l.ready(req.Context()); err != nil {
		return nil, refuse(req, err)
	}
	if _, ok := d.strikes("freeze", s.freeze); ok && at != toElsewhere && d.atMost(3, "process: frozen beyond its lease") {
		p.freeze()
		if err := l.ready(req.Context()); err != nil {
			return nil, refuse(req, err)
		}
	}
	if _, ok := d.strikes("lease", s.lease); ok && at == toState {
		if source, working := p.anyTable(); working {
			d.count("storage: lease broken")
			p.world.breakLease(context.WithoutCancel(req.Context()), source)
		}
	}
	killer, kill := d.strikes("kill", s.kill)
	kill = kill && at != toElsewhere && len(p.tables()) > 0
	when := 0
	if kill {
		when = killer.IntN(3)
	}
	if kill && when == 0 {
		p.kill("before a call to " + string(at))
		return nil, refuse(req, errDead)
	}
	if resp, err, struck := l.before(req, at); struck {
		return resp, err
	}
	ctx, cancel := context.WithCancel(req.Context())
	stop := context.AfterFunc(p.ctx, cancel)
	end := func() { stop(); cancel() }
	resp, err := l.next.RoundTrip(req.WithContext(ctx))
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
	if err := l.ready(req.Context()); err != nil {
		_ = resp.Body.Close() // nobody reads it
		return nil, err
	}
	return l.after(resp, at)
}

// ready waits while the process is frozen, and ends when it is dead.
func (l *line) ready(ctx context.Context) error {
	for {
		l.mu.Lock()
		frozen := l.frozen
		l.mu.Unlock()
		if l.process.dead() {
			return errDead
		}
		if frozen == nil {
			return ctx.Err()
		}
		select {
		case <-frozen:
		case <-l.process.ctx.Done():
		}
	}
}

// before breaks a request that then never reaches its server.
func (l *line) before(req *http.Request, at place) (*http.Response, error, bool) {
	d, s := l.process.world.dice, l.process.world.plan
	if p := l.process; p.world.darkNow(at) {
		return nil, refuse(req, reset("dial")), true
	}
	if r, ok := d.strikes("storage "+string(at), s.storage); ok && (at == toState || at == toStaging || at == toQueue) {
		codes := []struct {
			status int
			code   string
		}{{500, "InternalError"}, {503, "ServerBusy"}, {429, "TooManyRequests"}, {412, "ConditionNotMet"}}
		c := codes[r.IntN(len(codes))]
		if c.status == 412 && (req.Method != http.MethodPut || at != toState || req.URL.Query().Get("comp") != "") {
			c = codes[0]
		}
		d.count(fmt.Sprintf("storage: %d", c.status))
		discard(req)
		return storageError(req, c.status, c.code), nil, true
	}
	if r, ok := d.strikes("line "+string(at), s.line); ok && at != toElsewhere && r.IntN(2) == 0 {
		d.count("line: cut before the call to " + string(at))
		return nil, refuse(req, reset("write")), true
	}
	return nil, nil, false
}

// after loses the answer to a request that was done.
func (l *line) after(resp *http.Response, at place) (*http.Response, error) {
	d, s := l.process.world.dice, l.process.world.plan
	r, ok := d.strikes("reply "+string(at), s.line)
	if !ok || at == toElsewhere {
		return resp, nil
	}
	if r.IntN(3) == 0 {
		d.count("line: answer cut off by " + string(at))
		resp.Body = &body{ReadCloser: resp.Body, end: func() {}, left: int64(r.IntN(2000)), failure: reset("read")}
		return resp, nil
	}
	d.count("line: answer lost by " + string(at))
	_, _ = io.Copy(io.Discard, resp.Body) // the server did its part
	_ = resp.Body.Close()                 // nothing of it is used
	return nil, reset("read")
}

func (l *line) place(u *url.URL) place {
	w := l.process.world
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

// freeze stops the line until thaw.
func (l *line) freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.frozen == nil {
		l.frozen = make(chan struct{})
	}
}

func (l *line) thaw() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.frozen != nil {
		close(l.frozen)
		l.frozen = nil
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
