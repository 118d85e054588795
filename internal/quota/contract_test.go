package quota_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/azurite/azuritetest"
	"github.com/defender2adx/defender2adx/internal/blobstore"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/pipeline/pipelinetest"
	"github.com/defender2adx/defender2adx/internal/quota"
	"github.com/defender2adx/defender2adx/internal/secret"
)

// The processes of a case share one virtual clock, and so does the storage.
func TestQuota_KeepsThePipelinesContract(t *testing.T) {
	storage := blobstore.Config{ConnectionString: secret.New(azuritetest.Shared(t).ConnectionString())}
	var tenants atomic.Int64
	pipelinetest.Quota(t, func(t *testing.T) pipelinetest.QuotaWorld {
		const limit = 20
		w := &worker{time: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)}
		now := func() time.Time { return w.time }
		tenant := "contract" + strings.Repeat("x", int(tenants.Add(1)))
		return pipelinetest.QuotaWorld{
			Open: func() pipeline.Quota {
				c := quota.Config{Storage: storage, Cloud: "global", Tenant: tenant, PerMinute: limit, MaxSleep: time.Millisecond, Clock: now, Sleep: w.sleep}
				c.Storage.Client.Transport = w
				q, err := quota.New(c)
				if err != nil {
					t.Fatal(err)
				}
				return q
			},
			Limit: limit, Now: now,
			Pass: func(d time.Duration) { w.time = w.time.Add(d) },
		}
	})
}
