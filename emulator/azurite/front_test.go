package azurite_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/azurite"
	"github.com/defender2adx/defender2adx/emulator/azurite/azuritetest"
	"github.com/defender2adx/defender2adx/emulator/certs"
	"github.com/defender2adx/defender2adx/emulator/rounds"
)

func newCerts(t *testing.T) *certs.Bundle {
	t.Helper()
	bundle, err := certs.New(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

func newFront(t *testing.T, a *azurite.Azurite, bundle *certs.Bundle, middleware azurite.Middleware) *azurite.Front {
	t.Helper()
	front, err := azurite.NewTLSFront(a, bundle.TLS(), middleware)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := front.Close(); err != nil {
			t.Error(err)
		}
	})
	return front
}

// noRetries makes a client report the first answer it gets.
func noRetries(transport policy.Transporter) azcore.ClientOptions {
	return azcore.ClientOptions{Transport: transport, Retry: policy.RetryOptions{MaxRetries: -1}}
}

func TestFront_SignsAndForwards(t *testing.T) {
	bundle := newCerts(t)
	a := azuritetest.Shared(t)
	front := newFront(t, a, bundle, nil)
	options := noRetries(bundle.Client())
	expiry := time.Now().Add(time.Hour)

	t.Run("shared key signatures survive", func(t *testing.T) {
		blobRoundTrip(t, front.ConnectionString(), &options)
		queueRoundTrip(t, front.ConnectionString(), &options)
		tableRoundTrip(t, front.ConnectionString(), &options)
	})

	t.Run("both doors lead to the same data", func(t *testing.T) {
		client, err := azblob.NewClientFromConnectionString(a.ConnectionString(), nil)
		if err != nil {
			t.Fatal(err)
		}
		pages := client.NewListBlobsFlatPager("container", nil)
		page, err := pages.NextPage(t.Context())
		if err != nil || len(page.Segment.BlobItems) != 1 {
			t.Errorf("blob written through the front is not seen behind it: %v", err)
		}
	})

	t.Run("container SAS", func(t *testing.T) {
		address, err := front.ContainerSAS("container", expiry, "racwdl")
		if err != nil {
			t.Fatal(err)
		}
		client, err := container.NewClientWithNoCredential(address, &container.ClientOptions{ClientOptions: options})
		if err != nil {
			t.Fatal(err)
		}
		blob := client.NewBlockBlobClient("db1_T1_2026-11-21 10:15:03.32 +0000 UTC m=+0.075_x_.json.gz")
		if _, err := blob.UploadStream(t.Context(), strings.NewReader(strings.Repeat("row\n", 1<<20)), nil); err != nil {
			t.Fatal(err)
		}
		// ADX reads by the address it was sent, without any client library.
		resp, err := bundle.Client().Get(blob.URL())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if n, err := io.Copy(io.Discard, resp.Body); resp.StatusCode != http.StatusOK || n != 4<<20 || err != nil {
			t.Errorf("got %s, %d bytes, %v; want 200 and %d bytes", resp.Status, n, err, 4<<20)
		}
	})

	t.Run("queue SAS", func(t *testing.T) {
		address, err := front.QueueSAS("migrations", expiry)
		if err != nil {
			t.Fatal(err)
		}
		queue, err := azqueue.NewQueueClientWithNoCredential(address, &azqueue.ClientOptions{ClientOptions: options})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := queue.EnqueueMessage(t.Context(), "hello", nil); err != nil {
			t.Fatal(err)
		}
		got, err := queue.DequeueMessage(t.Context(), nil)
		if err != nil || len(got.Messages) != 1 {
			t.Errorf("got %d messages, %v", len(got.Messages), err)
		}
	})

	t.Run("table SAS", func(t *testing.T) {
		address, err := front.TableSAS("Status", expiry)
		if err != nil {
			t.Fatal(err)
		}
		table, err := aztables.NewClientWithNoCredential(address, &aztables.ClientOptions{ClientOptions: options})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := table.AddEntity(t.Context(), []byte(`{"PartitionKey":"p","RowKey":"sas"}`), nil); err != nil {
			t.Error(err)
		}
	})

	t.Run("an expired SAS is refused", func(t *testing.T) {
		address, err := front.ContainerSAS("container", time.Now().Add(-time.Minute), "racwdl")
		if err != nil {
			t.Fatal(err)
		}
		resp, err := bundle.Client().Get(address + "&restype=container&comp=list")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("got %s, want 403", resp.Status)
		}
	})
}

func TestFront_InFrontOfAnAzuriteThatSpeaksTLS(t *testing.T) {
	rounds.Long(t)
	bundle := newCerts(t)
	a := azuritetest.Start(t, azurite.Options{CertFile: bundle.CertFile, KeyFile: bundle.KeyFile})
	front := newFront(t, a, bundle, nil)
	options := noRetries(bundle.Client())
	queueRoundTrip(t, front.ConnectionString(), &options)
}

func TestFront_MiddlewareSeesEachService(t *testing.T) {
	bundle := newCerts(t)
	a := azuritetest.Shared(t)
	var mu sync.Mutex
	seen := map[azurite.Service]string{}
	front := newFront(t, a, bundle, func(service azurite.Service, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			seen[service] = r.RequestURI
			mu.Unlock()
			if service == azurite.Table {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	got := map[azurite.Service]int{}
	for _, service := range azurite.Services() {
		resp, err := bundle.Client().Get(front.URL(service) + "%2Fthing?x=%41")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		got[service] = resp.StatusCode
	}
	wantSeen := map[azurite.Service]string{
		azurite.Blob:  "/" + a.Account().Name + "%2Fthing?x=%41",
		azurite.Queue: "/" + a.Account().Name + "%2Fthing?x=%41",
		azurite.Table: "/" + a.Account().Name + "%2Fthing?x=%41",
	}
	if diff := cmp.Diff(wantSeen, seen); diff != "" {
		t.Errorf("requests seen (-want +got):\n%s", diff)
	}
	if got[azurite.Table] != http.StatusServiceUnavailable || got[azurite.Blob] == http.StatusServiceUnavailable {
		t.Errorf("got statuses %v, want the fault on the table service alone", got)
	}
}

func TestFront_BreaksTheConnectionWhenAzuriteIsGone(t *testing.T) {
	rounds.Long(t)
	bundle := newCerts(t)
	a := azuritetest.Start(t, azurite.Options{})
	front := newFront(t, a, bundle, nil)
	a.Stop()
	resp, err := bundle.Client().Get(front.URL(azurite.Blob))
	if err == nil {
		_ = resp.Body.Close()
		t.Errorf("got %s, want a broken connection", resp.Status)
	}
}

func TestFront_CloseFreesItsPorts(t *testing.T) {
	bundle := newCerts(t)
	a := azuritetest.Shared(t)
	front, err := azurite.NewTLSFront(a, bundle.TLS(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := front.Close(); err != nil {
		t.Fatal(err)
	}
	for _, service := range azurite.Services() {
		if _, err := net.Dial("tcp", hostOf(t, front.URL(service))); err == nil {
			t.Errorf("%s port still answers", service)
		}
	}
}
