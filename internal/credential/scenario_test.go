package credential

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// A copy of 600,000 rows: sixty-one calls, ninety seconds apart, to source and
// sink. A token is asked for once in its life, not once a page.
func TestScenario_O19_TokensOfALongCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mint{life: time.Hour}
		c := newCache(m, time.Now)
		for range 61 {
			for _, scope := range []string{graph, kusto} {
				token, err := c.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
				if err != nil {
					t.Fatal(err)
				}
				if left := time.Until(token.ExpiresOn); left < 4*time.Minute {
					t.Errorf("a token with %v left was handed out", left)
				}
			}
			time.Sleep(90 * time.Second)
		}
		if got := m.requests(); got != 4 {
			t.Errorf("%d token requests in an hour and a half, want two for each audience", got)
		}
	})
}
