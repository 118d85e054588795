package state_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/lease"

	"github.com/defender2adx/defender2adx/emulator/azurite"
	"github.com/defender2adx/defender2adx/emulator/azurite/azuritetest"
	"github.com/defender2adx/defender2adx/internal/blobstore"
	"github.com/defender2adx/defender2adx/internal/secret"
	"github.com/defender2adx/defender2adx/internal/state"
)

// emulator is shared by the tests of the package; each has its own container.
var emulator struct {
	once sync.Once
	*azurite.Azurite
	err        error
	containers atomic.Int64 // numbers their names, since a test may run twice
}

func TestMain(m *testing.M) {
	code := m.Run()
	if emulator.Azurite != nil {
		emulator.Stop()
	}
	os.Exit(code)
}

// account is one test's container in Azurite, reached through network.
type account struct {
	t          *testing.T
	connection string
	container  string
	network    network
}

func newAccount(t *testing.T) *account {
	t.Helper()
	emulator.once.Do(func() { emulator.Azurite, emulator.err = azurite.Start(context.Background(), azurite.Options{}) })
	if emulator.err != nil {
		azuritetest.SkipNotInstalled(t, emulator.err)
		t.Fatal(emulator.err)
	}
	return &account{t: t, connection: emulator.ConnectionString(), container: containerName(t)}
}

func containerName(t *testing.T) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(t.Name()))
	return fmt.Sprintf("%s-%d", name[:min(len(name), 50)], emulator.containers.Add(1))
}

// store opens the container for one worker; change may be nil.
func (a *account) store(change func(*state.Config)) *state.Store {
	a.t.Helper()
	c := state.Config{Storage: blobstore.Config{ConnectionString: secret.New(a.connection), Container: a.container}, Version: "1.2.3"}
	c.Storage.Client.Transport = &a.network
	c.Storage.Client.Retry = policy.RetryOptions{MaxRetries: -1}
	if change != nil {
		change(&c)
	}
	s, err := state.New(c)
	if err != nil {
		a.t.Fatal(err)
	}
	return s
}

// raw is the container without the product's code.
func (a *account) raw() *container.Client {
	a.t.Helper()
	c, err := container.NewClientFromConnectionString(a.connection, a.container, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// breakLease ends a blob's lease at once, which stands for its running out: the
// holder is not told either.
func (a *account) breakLease(name string) {
	a.t.Helper()
	c, err := lease.NewBlobClient(a.raw().NewBlobClient(name), nil)
	if err == nil {
		_, err = c.BreakLease(a.t.Context(), &lease.BlobBreakOptions{BreakPeriod: to.Ptr[int32](0)})
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

// network performs every request, and lets a fault happen before it or to the
// answer.
type network struct {
	before   atomic.Pointer[func(*http.Request) error]
	fault    atomic.Pointer[func(*http.Request, *http.Response) error]
	requests atomic.Int64
}

// breakWith lets f see the answers from now on; its error takes the answer's place.
func (n *network) breakWith(f func(*http.Request, *http.Response) error) { n.fault.Store(&f) }

// breakBefore lets f see the requests from now on; one for which it returns an
// error is never sent.
func (n *network) breakBefore(f func(*http.Request) error) { n.before.Store(&f) }

func (n *network) mend() { n.fault.Store(nil) }

// Do implements policy.Transporter.
func (n *network) Do(req *http.Request) (*http.Response, error) {
	n.requests.Add(1)
	if f := n.before.Load(); f != nil {
		if err := (*f)(req); err != nil {
			return nil, err
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if f := n.fault.Load(); err == nil && f != nil {
		if err = (*f)(req, resp); err != nil {
			_ = resp.Body.Close()
			return nil, err
		}
	}
	return resp, err
}
