package adx

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/defender2adx/defender2adx/internal/fault"
)

// signaturesFor is how long the containers and their signatures are used before
// they are asked for again; the SDKs of Kusto renew them hourly too.
const signaturesFor = time.Hour

// errNoContainer says that ADX no longer lends the container of a blob.
var errNoContainer = errors.New("ADX: does not lend the container of the blob any more")

// storage knows the staging containers that ADX lends, with today's signatures.
type storage struct {
	client *Client
	turn   chan struct{} // held while the list is asked for
	list   atomic.Pointer[containers]
	next   atomic.Uint64 // spreads blobs over containers
	retry  policy.RetryOptions
}

// containers is one answer of `.get ingestion resources`. It is never changed.
type containers struct {
	at    time.Time
	urls  []string          // without query
	query map[string]string // signature by URL

	statusTables []string // signed URLs of the tables of ingestion statuses
}

func (s *storage) init(c *Client) {
	s.client = c
	s.turn = make(chan struct{}, 1)
}

// current returns the list, asking for it when it is old.
func (s *storage) current(ctx context.Context) (*containers, error) {
	if l := s.list.Load(); l != nil && s.client.now().Sub(l.at) < signaturesFor {
		return l, nil
	}
	return s.newer(ctx, s.list.Load())
}

// newer returns a list other than old; callers that saw the same old list ask
// only once.
func (s *storage) newer(ctx context.Context, old *containers) (*containers, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, fault.As(fault.Retry, fmt.Errorf("ADX: wait for the staging containers: %w", ctx.Err()))
	}
	if l := s.list.Load(); l != old {
		return l, nil
	}
	l, err := s.fetch(ctx)
	if err != nil {
		return nil, err
	}
	s.list.Store(l)
	return l, nil
}

func (s *storage) fetch(ctx context.Context) (*containers, error) {
	type resource struct {
		Type string `kusto:"ResourceTypeName"`
		Root string `kusto:"StorageRoot"`
	}
	c := s.client
	management, err := c.management()
	if err != nil {
		return nil, c.classify(ctx, ingestors, err)
	}
	at := c.now()
	answer, err := manage[resource](ctx, c, management, "NetDefaultDB", ingestors, ".get ingestion resources")
	if err != nil {
		return nil, err
	}
	l := &containers{at: at, query: make(map[string]string)}
	for _, r := range answer {
		u, err := url.Parse(r.Root)
		switch {
		case err == nil && r.Type == "IngestionsStatusTable":
			l.statusTables = append(l.statusTables, r.Root)
			continue
		case err != nil || r.Type != "TempStorage":
			continue
		}
		signature := u.RawQuery
		u.RawQuery = ""
		address := strings.TrimRight(u.String(), "/")
		if _, twice := l.query[address]; !twice {
			l.urls = append(l.urls, address)
		}
		l.query[address] = signature
	}
	if len(l.urls) == 0 {
		return nil, fault.As(fault.Retry, errors.New("ADX: offers no staging container"))
	}
	return l, nil
}

// pick returns the URL of the next container in turn: where one account fails,
// the next attempt goes to another.
func (s *storage) pick(ctx context.Context) (string, error) {
	l, err := s.current(ctx)
	if err != nil {
		return "", err
	}
	return l.urls[(s.next.Add(1)-1)%uint64(len(l.urls))], nil
}

// signed returns the blob's URL with the signature of the hour.
func (s *storage) signed(ctx context.Context, path string) (string, error) {
	l, err := s.current(ctx)
	if err != nil {
		return "", err
	}
	signature, ok := l.query[containerOf(path)]
	if !ok {
		if l, err = s.newer(ctx, l); err != nil {
			return "", err
		}
		if signature, ok = l.query[containerOf(path)]; !ok {
			return "", fault.As(fault.Retry, errNoContainer)
		}
	}
	return path + "?" + signature, nil
}

func containerOf(path string) string {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)]
}

// blob returns a client of one blob that signs each request when it is sent.
// failed is told the first answer that is not a success.
func (s *storage) blob(path string, failed func(error)) (*blockblob.Client, error) {
	return blockblob.NewClientWithNoCredential(path, &blockblob.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport:       s.client.blobHTTP,
		Retry:           s.retry,
		PerCallPolicies: []policy.Policy{signing{storage: s, container: containerOf(path), failed: failed}},
	}})
}

// signing adds the container's signature to a request, and once a newer one
// when storage refuses it.
type signing struct {
	storage   *storage
	container string
	failed    func(error)
}

func (p signing) Do(req *policy.Request) (*http.Response, error) {
	resp, err := p.send(req)
	switch {
	case err != nil:
		p.failed(err)
	case resp.StatusCode >= http.StatusBadRequest:
		p.failed(runtime.NewResponseError(resp))
	}
	return resp, err
}

func (p signing) send(req *policy.Request) (*http.Response, error) {
	ctx := req.Raw().Context()
	list, err := p.storage.current(ctx)
	if err != nil {
		return nil, err
	}
	own := req.Raw().URL.RawQuery
	resp, err := p.sign(req, list, own)
	stale := errors.Is(err, errNoContainer) || err == nil && resp.StatusCode == http.StatusForbidden
	if !stale {
		return resp, err
	}
	if resp != nil {
		runtime.Drain(resp)
	}
	if list, err = p.storage.newer(ctx, list); err != nil {
		return nil, err
	}
	if err := req.RewindBody(); err != nil {
		return nil, err
	}
	return p.sign(req, list, own)
}

func (p signing) sign(req *policy.Request, list *containers, own string) (*http.Response, error) {
	signature, ok := list.query[p.container]
	if !ok {
		return nil, errNoContainer
	}
	req.Raw().URL.RawQuery = strings.Trim(own+"&"+signature, "&")
	return req.Next()
}

// storageFault gives an error of the storage SDK a kind and takes the signed URL
// out of it. Errors that have a kind already keep it.
func storageFault(err error) error {
	var known *fault.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	for _, end := range []error{context.Canceled, context.DeadlineExceeded, errNoContainer} {
		if errors.Is(err, end) {
			return fault.As(fault.Retry, end)
		}
	}
	var answer *azcore.ResponseError
	if !errors.As(err, &answer) {
		return fault.As(fault.Retry, errors.New("staging storage: "+quote(bare(err))))
	}
	text := fmt.Sprintf("staging storage: %d %s", answer.StatusCode, quote(answer.ErrorCode))
	if answer.StatusCode == http.StatusForbidden || answer.StatusCode == http.StatusUnauthorized {
		return fault.As(fault.Permanent, &actionable{text: text + ": a fresh signature from ADX was refused",
			remedy: "check that this app may reach the storage accounts of the cluster"})
	}
	return fault.As(fault.Retry, errors.New(text))
}

// absent reports whether err says that there is no such blob.
func absent(err error) bool {
	return bloberror.HasCode(err, bloberror.BlobNotFound, bloberror.ContainerNotFound) ||
		statusOf(err) == http.StatusNotFound || errors.Is(err, errNoContainer)
}

func statusOf(err error) int {
	var answer *azcore.ResponseError
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return 0
}
