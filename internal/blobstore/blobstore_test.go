package blobstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/defender2adx/defender2adx/emulator/azurite"
	"github.com/defender2adx/defender2adx/emulator/azurite/azuritetest"
	"github.com/defender2adx/defender2adx/internal/blobstore"
	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/secret"
)

func TestEscape_KeepsNamesApart(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", ""}, {"DeviceInfo_2-x", "DeviceInfo_2-x"}, {"a/b", "a%2Fb"}, {"..", "%2E%2E"}, {"ü %", "%C3%BC%20%25"},
	}
	for _, tt := range tests {
		if got := blobstore.Escape(tt.text); got != tt.want {
			t.Errorf("Escape(%q) = %q, want %q", tt.text, got, tt.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		if got, err := blobstore.Unescape(blobstore.Escape(text)); err != nil || got != text {
			t.Fatalf("%q becomes %q (%v)", text, got, err)
		}
	})
}

// token is a credential that is always granted.
type token struct{}

func (token) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "secret-token", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func TestOpen_RefusesWhatNamesNoStorage(t *testing.T) {
	const key = "c2VjcmV0"
	tests := []struct {
		name   string
		config blobstore.Config
	}{
		{"nothing", blobstore.Config{}},
		{"both ways", blobstore.Config{ConnectionString: secret.New("x"), ServiceURL: "https://a.blob.core.windows.net"}},
		{"URL without credential", blobstore.Config{ServiceURL: "https://a.blob.core.windows.net"}},
		{"no URL", blobstore.Config{ServiceURL: "account", Credential: token{}}},
		{"signed URL", blobstore.Config{ServiceURL: "https://a.blob.core.windows.net?sig=" + key, Credential: token{}}},
		{"malformed connection string", blobstore.Config{ConnectionString: secret.New("AccountName=a;" + key)}},
		{"key that is no base64", blobstore.Config{ConnectionString: secret.New("AccountName=a;AccountKey=" + key + "!")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := blobstore.Open(tt.config)
			if err == nil || strings.Contains(err.Error(), key) {
				t.Errorf("Open: %v", err)
			}
		})
	}
}

// answer is a transport that always answers alike and notes the request.
type answer struct {
	status int
	code   string
	err    error
	last   *http.Request
}

func (a *answer) Do(req *http.Request) (*http.Response, error) {
	a.last = req
	if a.err != nil {
		return nil, a.err
	}
	return &http.Response{
		StatusCode: a.status, Request: req, Body: io.NopCloser(strings.NewReader("")),
		Header: http.Header{"X-Ms-Error-Code": {a.code}},
	}, nil
}

func TestGet_ErrorsHaveKindAndRemedy(t *testing.T) {
	const role, setting = "Storage Blob Data Contributor", "AzureWebJobsStorage"
	identity := blobstore.Config{ServiceURL: "https://acct.blob.core.windows.net", Credential: token{}}
	keyed := blobstore.Config{ConnectionString: secret.New("AccountName=acct;AccountKey=c2VjcmV0")}
	tests := []struct {
		name   string
		config blobstore.Config
		answer answer
		kind   fault.Kind
		is     error
		text   string
	}{
		{"identity without role", identity, answer{status: 403, code: "AuthorizationPermissionMismatch"}, fault.Permanent, nil, role},
		{"wrong key", keyed, answer{status: 403, code: "AuthenticationFailed"}, fault.Permanent, nil, setting},
		{"unauthorized", keyed, answer{status: 401, code: "NoAuthenticationInformation"}, fault.Permanent, nil, setting},
		{"throttled", keyed, answer{status: 503, code: "ServerBusy"}, fault.Retry, blobstore.ErrUncertain, "503 ServerBusy"},
		{"too many", keyed, answer{status: 429, code: "TooManyRequests"}, fault.Retry, nil, "429"},
		{"missing", keyed, answer{status: 404, code: "BlobNotFound"}, fault.Retry, blobstore.ErrNotFound, "404"},
		{"network", keyed, answer{err: errors.New("no route to host")}, fault.Retry, blobstore.ErrUncertain, "no route to host"},
		{"cancelled", keyed, answer{err: context.Canceled}, fault.Retry, context.Canceled, "canceled"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.config.Client.Transport = &tt.answer
			tt.config.Client.Retry.MaxRetries = -1
			c, err := blobstore.Open(tt.config)
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Get(t.Context(), "name")
			if fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.text) || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("Get: %v (%v), want %v with %q", err, fault.KindOf(err), tt.kind, tt.text)
			}
			if !strings.HasPrefix(err.Error(), "storage") || strings.Count(err.Error(), "storage answered")+strings.Count(err.Error(), "storage:") != 1 {
				t.Errorf("the error %q does not name the service once and first", err)
			}
			if strings.Contains(err.Error(), "acct.blob") {
				t.Errorf("the error %q names the request's URL", err)
			}
			if got, want := tt.answer.last.URL.Path, "/defender2adx/name"; got != want {
				t.Errorf("asked for %s, want %s", got, want)
			}
		})
	}
}

func TestOpen_DevelopmentStorage(t *testing.T) {
	a := answer{status: 404}
	c, err := blobstore.Open(blobstore.Config{ConnectionString: secret.New("UseDevelopmentStorage=true;"), Client: azcore.ClientOptions{Transport: &a}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(t.Context(), "x"); !errors.Is(err, blobstore.ErrNotFound) {
		t.Fatal(err)
	}
	if got, want := a.last.URL.String(), "http://127.0.0.1:10000/devstoreaccount1/defender2adx/x"; got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
}

func TestContainer_OnAzurite(t *testing.T) {
	c, err := blobstore.Open(blobstore.Config{ConnectionString: secret.New(azuritetest.Start(t, azurite.Options{}).ConnectionString())})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	put := func(name, body, ifMatch, lease string) (string, error) {
		return c.Put(ctx, name, blobstore.Write{IfMatch: ifMatch, LeaseID: lease, Body: []byte(body), Metadata: map[string]string{"who": body}})
	}
	first, err := put("a/b%2Fc", "1", "", "")
	if err != nil {
		t.Fatal(err)
	}

	t.Run("put is compare-and-swap", func(t *testing.T) {
		var changed *blobstore.Changed
		if _, err := put("a/b%2Fc", "2", "", ""); !errors.As(err, &changed) || !errors.Is(err, blobstore.ErrConflict) || fault.KindOf(err) != fault.Retry {
			t.Fatalf("creating what exists: %v", err)
		}
		if diff := cmp.Diff(blobstore.Blob{Body: []byte("1"), ETag: first, Modified: changed.Stored.Modified}, changed.Stored); diff != "" {
			t.Errorf("what is stored (-want +got):\n%s", diff)
		}
		if _, err := put("absent", "2", first, ""); !errors.As(err, &changed) || changed.Stored.ETag != "" {
			t.Errorf("replacing what does not exist: %v", err)
		}
	})

	t.Run("list has what get has", func(t *testing.T) {
		var items []blobstore.Item
		for it, err := range c.List(ctx, "a/") {
			if err != nil {
				t.Fatal(err)
			}
			it.Modified = time.Time{}
			items = append(items, it)
		}
		want := []blobstore.Item{{Name: "a/b%2Fc", ETag: first, Bytes: 1, Metadata: map[string]string{"who": "1"}}}
		if diff := cmp.Diff(want, items); diff != "" {
			t.Errorf("List (-want +got):\n%s", diff)
		}
		if b, err := c.Get(ctx, "a/b%2Fc"); err != nil || b.ETag != first || !bytes.Equal(b.Body, []byte("1")) {
			t.Errorf("Get = %+v, %v", b, err)
		}
	})

	t.Run("lease", func(t *testing.T) {
		if _, err := c.Lease(ctx, "absent", 15*time.Second); !errors.Is(err, blobstore.ErrNotFound) {
			t.Errorf("lease of nothing: %v", err)
		}
		l, err := c.Lease(ctx, "a/b%2Fc", 15*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Lease(ctx, "a/b%2Fc", 15*time.Second); !errors.Is(err, blobstore.ErrLease) {
			t.Errorf("second lease: %v", err)
		}
		if err := l.Renew(ctx); err != nil {
			t.Errorf("renew: %v", err)
		}
		if _, err := put("a/b%2Fc", "x", first, ""); !errors.Is(err, blobstore.ErrLease) {
			t.Errorf("write without the lease: %v", err)
		}
		second, err := put("a/b%2Fc", "2", first, l.ID())
		if err != nil {
			t.Fatalf("a lease must not change the ETag: %v", err)
		}
		if err := c.Delete(ctx, "a/b%2Fc", second); !errors.Is(err, blobstore.ErrLease) {
			t.Errorf("delete without the lease: %v", err)
		}
		for range 2 {
			if err := l.Release(ctx); err != nil {
				t.Errorf("release: %v", err)
			}
		}
		heir, err := c.Lease(ctx, "a/b%2Fc", 15*time.Second)
		if err != nil {
			t.Fatalf("lease after release: %v", err)
		}
		if err := l.Renew(ctx); !errors.Is(err, blobstore.ErrLease) {
			t.Errorf("renew of what another holds: %v", err)
		}
		if err := l.Release(ctx); err != nil {
			t.Errorf("release of what another holds: %v", err)
		}
		if err := heir.Renew(ctx); err != nil {
			t.Errorf("the heir's lease after that: %v", err)
		}
		if err := heir.Release(ctx); err != nil {
			t.Fatal(err)
		}
		if err := c.Delete(ctx, "a/b%2Fc", first); !errors.Is(err, blobstore.ErrConflict) {
			t.Errorf("delete of another version: %v", err)
		}
		if err := c.Delete(ctx, "a/b%2Fc", second); err != nil {
			t.Error(err)
		}
		if _, err := c.Get(ctx, "a/b%2Fc"); !errors.Is(err, blobstore.ErrNotFound) {
			t.Errorf("get after delete: %v", err)
		}
	})
}
