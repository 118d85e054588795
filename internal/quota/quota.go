// Package quota guards the calls that one Defender tenant allows, over all
// processes that share a storage container.
//
// One small blob per tenant, quota/<cloud>-<tenant>.json, remembers when the
// next call may begin; calls with limits of their own, such as those of file exports,
// have one more, quota/<cloud>-<tenant>-<bucket>.json. A call is taken by one compare-and-swap that reserves the
// next slot; no slot is given twice, and in no sliding window do the slots
// exceed the limit (see newRate). A wait of more than a few seconds is never
// slept here: it is an error that names the instant to come back, and no slot is
// reserved. Callers take turns (see rules). Time is the blob service's. Without
// storage there are no calls.
package quota

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/internal/blobstore"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/sleep"
)

// Defaults. Sources of the limits: Advanced Hunting API quotas of Microsoft
// Graph (45 calls a minute for a tenant) and of the Defender for Endpoint API
// (45 a minute and 1,500 an hour); pages disagree, hence settings.
const (
	DefaultPerMinute = 45
	DefaultFreeShare = 0.2
	DefaultMaxSleep  = 5 * time.Second
)

// lateTries is how many reservations in a row may grow stale before they are
// used, by slow storage or a starved process, before Take gives up.
const lateTries = 3

// longestHold is the longest wait that is believed when Defender asks for it, and a
// minute for clocks that differ. Source: internal/defender.
const longestHold = 24*time.Hour + time.Minute

// retryPause is the longest pause before a lost race is run again: a few times what a
// write of the record takes.
const retryPause = 50 * time.Millisecond

// ErrWait: the tenant's calls are spent, or Defender asked for a pause.
var ErrWait = errors.New("no call is free")

// Config configures a Quota.
type Config struct {
	Storage blobstore.Config
	Cloud   string // with Tenant names the blob; letter case is ignored
	Tenant  string
	Bucket  string // calls that the service counts by themselves, of its blob's name too; "": hunting

	PerMinute int           // default DefaultPerMinute
	PerHour   int           // 0: no hourly limit
	FreeShare float64       // of every limit left to people; 0 is DefaultFreeShare, below 0 none
	Minute    time.Duration // length of the window that PerMinute counts in, default one minute
	Hour      time.Duration // likewise, default one hour
	MaxSleep  time.Duration // longest sleep inside Take, default DefaultMaxSleep

	Clock func() time.Time                           // default time.Now
	Sleep func(context.Context, time.Duration) error // default a timer
}

// Quota is one tenant's quota. Its methods may be called from several goroutines.
type Quota struct {
	box    *blobstore.Container
	name   string
	config Config
	rules
	clock  *blobstore.ServiceClock
	writer string

	lock chan struct{} // guards what follows, over a whole compare-and-swap
	seq  int64
	last record // as last read or written
	etag string // of last; "" when the blob does not exist
	read bool   // last and etag are usable
}

// New checks the configuration and sends nothing.
func New(c Config) (*Quota, error) {
	if c.PerMinute == 0 {
		c.PerMinute = DefaultPerMinute
	}
	switch {
	case c.FreeShare == 0:
		c.FreeShare = DefaultFreeShare
	case c.FreeShare < 0:
		c.FreeShare = 0
	}
	setDefault(&c.Minute, time.Minute)
	setDefault(&c.Hour, time.Hour)
	setDefault(&c.MaxSleep, DefaultMaxSleep)
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Sleep == nil {
		c.Sleep = sleep.For
	}
	if err := c.check(); err != nil {
		return nil, err
	}

	q := &Quota{
		name:   c.blobName(),
		config: c,
		rules:  rules{minute: newRate(c.PerMinute, c.Minute, c.FreeShare), reach: c.MaxSleep},
		clock:  blobstore.NewServiceClock(c.Clock),
		writer: rand.Text(),
		lock:   make(chan struct{}, 1),
	}
	if c.PerHour > 0 {
		q.hour = newRate(c.PerHour, c.Hour, c.FreeShare)
	}
	client := &c.Storage.Client
	client.PerRetryPolicies = append(slices.Clone(client.PerRetryPolicies), policy.Policy(q.clock))
	var err error
	q.box, err = blobstore.Open(c.Storage)
	return q, err
}

func (c Config) blobName() string {
	name := "quota/" + blobstore.Escape(strings.ToLower(c.Cloud)) + "-" + blobstore.Escape(strings.ToLower(c.Tenant))
	if c.Bucket != "" {
		name += "-" + blobstore.Escape(c.Bucket)
	}
	return name + ".json"
}

// Name is the blob's in the container.
func (q *Quota) Name() string { return q.name }

func (c Config) check() error {
	var errs []error
	if c.PerMinute < 0 || c.PerHour < 0 {
		errs = append(errs, fmt.Errorf("calls: want positive numbers, got %d a minute and %d an hour", c.PerMinute, c.PerHour))
	}
	if !(c.FreeShare < 1) {
		errs = append(errs, fmt.Errorf("free share: want less than 1, got %v", c.FreeShare))
	}
	if c.Minute <= 0 || c.Hour <= 0 || c.MaxSleep < 0 {
		errs = append(errs, fmt.Errorf("windows: want positive lengths, got %v and %v, sleep %v", c.Minute, c.Hour, c.MaxSleep))
	}
	if c.Cloud == "" || c.Tenant == "" {
		errs = append(errs, errors.New("tenant: want a cloud and a tenant"))
	}
	return errors.Join(errs...)
}

func setDefault(d *time.Duration, v time.Duration) {
	if *d == 0 {
		*d = v
	}
}

// Take returns nil when caller, usually a table, may make one call now. Callers
// take turns, urgent ones first (see rules). Take sleeps up to MaxSleep for its
// turn and as long again for its slot; a longer wait, or a hold, is ErrWait of
// kind Wait until the instant, by the local clock, at which this caller should
// ask again. Storage trouble is of kind Retry, or Permanent where a person must
// act. A reservation that comes to nothing is lost, which costs one call of the
// allowance and harms nobody.
func (q *Quota) Take(ctx context.Context, caller string, urgent bool) error {
	if err := q.take(ctx, caller, urgent); err != nil {
		return fmt.Errorf("take a call of tenant %s: %w", q.config.Tenant, err)
	}
	return nil
}

func (q *Quota) take(ctx context.Context, caller string, urgent bool) error {
	for range lateTries {
		slot, at, err := q.reserve(ctx, caller, urgent)
		if err != nil {
			return err
		}
		ready, err := q.await(ctx, slot, at)
		if ready || err != nil {
			return err
		}
	}
	return fault.As(fault.Retry, fmt.Errorf("storage is too slow: %d reservations grew stale", lateTries))
}

// reserve waits for the caller's turn and takes the next slot, at the service's
// time at.
func (q *Quota) reserve(ctx context.Context, caller string, urgent bool) (slot, at time.Time, err error) {
	for slept := time.Duration(0); ; {
		reserved := false
		err := q.update(ctx, func(r *record, now time.Time) bool {
			at = now
			slot, reserved = q.turn(r, now, caller, urgent)
			return true
		})
		if reserved || err != nil {
			return slot, at, err
		}
		now, _ := q.clock.Now()
		wait := max(slot.Sub(now), time.Millisecond)
		if slept += wait; slept > q.config.MaxSleep {
			return slot, at, fault.WaitUntil(q.clock.ToLocal(slot), ErrWait)
		}
		if err := q.config.Sleep(ctx, wait); err != nil {
			return slot, at, fault.As(fault.Retry, err)
		}
	}
}

// await sleeps until a slot reserved at the given time. It is not ready when the
// slot has passed by too much, or when a hold came during the sleep: whoever
// slept looks again. A slot that was due at once is not slept for, even if the
// answer to its reservation has moved the clock a little.
func (q *Quota) await(ctx context.Context, slot, at time.Time) (ready bool, err error) {
	slept := false
	for slot.After(at) {
		now, _ := q.clock.Now()
		wait := slot.Sub(now)
		if wait <= 0 {
			break
		}
		if wait > q.config.MaxSleep+late {
			return false, nil // the clock was wrong when the slot was reserved
		}
		if err := q.config.Sleep(ctx, wait); err != nil {
			return false, fault.As(fault.Retry, err)
		}
		slept = true
	}
	held := time.Time{}
	if slept {
		if err := q.enter(ctx); err != nil {
			return false, err
		}
		err := q.load(ctx)
		held = q.last.NotBefore
		q.leave()
		if err != nil {
			return false, err
		}
	}
	now, _ := q.clock.Now()
	return now.Sub(slot) <= late && !held.After(now), nil
}

// PauseUntil lets nobody call before until, an instant of the local clock. A hold is
// never shortened.
func (q *Quota) PauseUntil(ctx context.Context, until time.Time) error {
	err := q.update(ctx, func(r *record, _ time.Time) bool {
		until := q.clock.ToService(until)
		if !until.After(r.NotBefore) {
			return false
		}
		r.NotBefore = until
		return true
	})
	if err != nil {
		return fmt.Errorf("hold calls of tenant %s: %w", q.config.Tenant, err)
	}
	return nil
}

// Use is how far one limit is used.
type Use struct {
	Calls int // in the last window, approximately
	Limit int // the tenant's, of which a share is left to people; 0: no such limit
}

// Usage is a look at the quota.
type Usage struct {
	Minute    Use
	Hour      Use
	NotBefore time.Time // local clock; zero when no hold is in force
}

// Usage reads the quota for display and reserves nothing.
func (q *Quota) Usage(ctx context.Context) (Usage, error) {
	if err := q.enter(ctx); err != nil {
		return Usage{}, fmt.Errorf("read quota of tenant %s: %w", q.config.Tenant, err)
	}
	defer q.leave()
	if err := q.load(ctx); err != nil {
		return Usage{}, fmt.Errorf("read quota of tenant %s: %w", q.config.Tenant, err)
	}
	now, _ := q.clock.Now()
	u := Usage{
		Minute: Use{q.last.Minute.recent(now, q.minute.window), q.config.PerMinute},
		Hour:   Use{0, q.config.PerHour},
	}
	if q.hour.window > 0 {
		u.Hour.Calls = q.last.Hour.recent(now, q.hour.window)
	}
	if q.last.NotBefore.After(now) {
		u.NotBefore = q.clock.ToLocal(q.last.NotBefore)
	}
	return u, nil
}

// update changes the record by compare-and-swap until a change is written.
// change gets the record and the service's time; it returns false to leave the
// record alone, which counts only for a record read during this call. It may run
// several times.
func (q *Quota) update(ctx context.Context, change func(*record, time.Time) bool) error {
	if err := q.enter(ctx); err != nil {
		return err
	}
	defer q.leave()
	fresh := false
	for {
		now, known := q.clock.Now()
		if !known || !q.read {
			if err := q.load(ctx); err != nil {
				return err
			}
			fresh = true
			now, _ = q.clock.Now()
		}
		r := q.last
		if !change(&r, now) {
			if fresh {
				return nil
			}
			q.read = false
			continue
		}
		if won, err := q.write(ctx, r); won || err != nil {
			return err
		}
		fresh = true
		if err := q.config.Sleep(ctx, mathrand.N(retryPause)); err != nil {
			return fault.As(fault.Retry, err)
		}
	}
}

// write sends the record; false means that somebody else's is there and was
// taken over into last.
func (q *Quota) write(ctx context.Context, r record) (won bool, err error) {
	q.seq++
	r.Format, r.Writer, r.WriteSeq = recordFormat, q.writer, q.seq
	body, err := json.Marshal(r)
	if err != nil {
		return false, fault.As(fault.Permanent, err)
	}
	tag, err := q.box.Put(ctx, q.name, blobstore.Write{IfMatch: q.etag, Body: body})
	if err == nil {
		q.last, q.etag = r, tag
		return true, nil
	}
	q.read = false
	var changed *blobstore.Changed
	if !errors.As(err, &changed) {
		return false, noCalls(err)
	}
	return false, q.adopt(changed.Stored)
}

// load reads the record; a blob that does not exist is an empty one.
func (q *Quota) load(ctx context.Context) error {
	q.read = false
	b, err := q.box.Get(ctx, q.name)
	if err != nil && !errors.Is(err, blobstore.ErrNotFound) {
		return noCalls(err)
	}
	return q.adopt(b)
}

func (q *Quota) adopt(b blobstore.Blob) error {
	r, err := decode(b.Body, q.config.Clock())
	if err != nil {
		return fmt.Errorf("read %s: %w", q.name, fault.Since(err, b.Modified))
	}
	if now, _ := q.clock.Now(); r.NotBefore.Sub(now) > longestHold {
		r.NotBefore = time.Time{} // nobody asks for that: a clock was wrong
	}
	q.last, q.etag, q.read = r, b.ETag, true
	return nil
}

// noCalls keeps the kind of err.
func noCalls(err error) error { return fmt.Errorf("no calls without their record: %w", err) }

// enter waits for the lock or the end of ctx.
func (q *Quota) enter(ctx context.Context) error {
	select {
	case q.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fault.As(fault.Retry, ctx.Err())
	}
}

func (q *Quota) leave() { <-q.lock }
