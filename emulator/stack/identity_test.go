package stack_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/defender2adx/defender2adx/emulator/azurite"
	"github.com/defender2adx/defender2adx/emulator/funchost"
	"github.com/defender2adx/defender2adx/emulator/rounds"
	"github.com/defender2adx/defender2adx/emulator/stack"
)

// State, ledger, quota and wake-ups by token: whatever the handler sends to its
// storage bears one, and it has no key to sign with. Staging for ADX is signed by
// ADX's own addresses.
func TestStorage_ByIdentityNeedsNoConnectionString(t *testing.T) {
	rounds.Long(t)
	t.Parallel()
	const table = "DeviceEvents"
	var blobs, queues, keyed atomic.Int32
	s := start(t, events(t, table, 300), stack.Options{StorageByIdentity: true,
		StorageMiddleware: func(service azurite.Service, next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch by := r.Header.Get("Authorization"); {
				case strings.HasPrefix(by, "Bearer ") && service == azurite.Blob:
					blobs.Add(1)
				case strings.HasPrefix(by, "Bearer ") && service == azurite.Queue:
					queues.Add(1)
				case by != "":
					keyed.Add(1)
				}
				next.ServeHTTP(w, r)
			})
		}})
	s.setup("none")
	s.configure(table)
	s.serve(nil, funchost.Options{})
	s.tick()
	s.successes(table, 1)
	s.tick()
	s.successes(table, 2)
	s.equal()
	if blobs.Load() == 0 || queues.Load() == 0 || keyed.Load() != 0 {
		t.Errorf("with a token %d requests for blobs and %d for queues, %d signed with a key; want some, some and none", blobs.Load(), queues.Load(), keyed.Load())
	}
}
