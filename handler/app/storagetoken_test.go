package app

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/internal/blobstore"
	"github.com/defender2adx/defender2adx/internal/config"
)

// keeper gives the same token until it is told to forget it.
type keeper struct {
	mu                sync.Mutex
	minted, forgotten int
	kept              string
}

func (k *keeper) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept == "" {
		k.minted++
		k.kept = fmt.Sprint("token-", k.minted)
	}
	return azcore.AccessToken{Token: k.kept, ExpiresOn: time.Now().Add(24 * time.Hour)}, nil
}

func (k *keeper) Forget(...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept, k.forgotten = "", k.forgotten+1
}

// Storage refuses a token long before its time: blobs and queues go on with another
// one, and it is forgotten once for both.
func TestScenario_L2_StorageRefusesAToken(t *testing.T) {
	var mu sync.Mutex
	refused := ""
	storage := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if refused == "all" || r.Header.Get("Authorization") == "Bearer "+refused {
			w.Header().Set("WWW-Authenticate", "Bearer authorization_uri=https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/oauth2/authorize resource_id=https://storage.azure.com")
			w.Header().Set("x-ms-error-code", "InvalidAuthenticationInfo")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("x-ms-approximate-messages-count", "0")
		w.WriteHeader(http.StatusCreated)
	}))
	defer storage.Close()
	refuse := func(token string) {
		mu.Lock()
		defer mu.Unlock()
		refused = token
	}
	k := &keeper{}
	cred := &storageToken{TokenCredential: k}
	cfg := config.Config{Storage: config.Storage{BlobServiceURL: storage.URL, QueueServiceURL: storage.URL, Container: "c"}}
	o := Options{Transport: storage.Client().Transport}
	blobs, err := blobstore.Open(storageOf(cfg, cred, o))
	if err != nil {
		t.Fatal(err)
	}
	queue, err := newSender(cfg, cred, "q", o)
	if err != nil {
		t.Fatal(err)
	}
	ask := func() error {
		if _, err := blobs.Put(t.Context(), "b", blobstore.Write{Body: []byte("x")}); err != nil {
			return err
		}
		return queue.Create(t.Context())
	}
	if err := ask(); err != nil || k.minted != 1 {
		t.Fatalf("%v after %d tokens", err, k.minted)
	}
	refuse("token-1")
	if err := ask(); err != nil || k.minted != 2 || k.forgotten != 1 {
		t.Errorf("%v; %d tokens, forgotten %d times; want another one, and the first forgotten once", err, k.minted, k.forgotten)
	}
	// What stays refused is said, not asked for without end.
	refuse("all")
	if err := ask(); err == nil || k.minted > 4 {
		t.Errorf("%v after %d tokens, want the refusal", err, k.minted)
	}
}
