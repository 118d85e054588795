package state_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/internal/blobstore"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/secret"
	"github.com/defender2adx/defender2adx/internal/state"
)

// away is a network without a way to storage.
type away struct{}

func (away) Do(*http.Request) (*http.Response, error) { return nil, errors.New("no route to host") }

// An error says once what was done to what, which service failed, and why. What it
// was done for, its caller says.
func TestErrors_SayOnceWhatFailedAndWhere(t *testing.T) {
	config := state.Config{Storage: blobstore.Config{ConnectionString: secret.New("BlobEndpoint=https://acct.blob.core.windows.net;SharedAccessSignature=sv=2024-08-04&sig=c2VjcmV0c2VjcmV0")}}
	config.Storage.Client.Transport = away{}
	config.Storage.Client.Retry.MaxRetries = -1
	s, err := state.New(config)
	if err != nil {
		t.Fatal(err)
	}
	key, ctx := plan.Key{Source: "DeviceInfo"}, t.Context()
	for _, tt := range []struct {
		call func() error
		want string
	}{
		{func() error { _, err := s.Acquire(ctx, key); return err }, "acquire state " + key.String()},
		{func() error { _, err := s.Read(ctx, key); return err }, "read state " + key.String()},
		{func() error { _, err := s.ReadLedger(ctx, "d2a1"); return err }, "read ledger d2a1"},
		{func() error { _, err := s.OpenLedger(ctx, key); return err }, "list open ledgers of " + key.String()},
		{func() error { _, err := s.List(ctx); return err }, "list states"},
		{func() error { _, err := s.AppID(ctx); return err }, "read the app's id"},
		{func() error { return s.SaveAppID(ctx, "d2a1") }, "write the app's id"},
		{func() error { _, err := s.Sweep(ctx, time.Time{}); return err }, "list states"},
	} {
		err := tt.call()
		if err == nil {
			t.Errorf("%s: no error", tt.want)
			continue
		}
		if want := tt.want + ": storage: no route to host"; err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q has more than one line", err)
		}
		checkQuiet(t, err)
	}
}
