package app

import (
	"testing"

	"github.com/defender2adx/defender2adx/internal/config"
	"github.com/defender2adx/defender2adx/internal/defender"
	"github.com/defender2adx/defender2adx/internal/schema"
)

func TestRestEndpoint_IsThatOfItsOwnAPI(t *testing.T) {
	const mde, scope = "https://api.security.microsoft.com", "https://api.securitycenter.microsoft.com/.default"
	own := config.Defender{Cloud: "global", API: "graph", BaseURL: "https://graph.example", Scope: "https://graph.example/.default"}
	own.MDE.BaseURL = "https://mde.example"
	for _, tt := range []struct {
		name        string
		d           config.Defender
		base, scope string
	}{
		{"the cloud's", config.Defender{Cloud: "global", API: "graph"}, mde, scope},
		{"the address of Graph is not that of Defender for Endpoint", config.Defender{Cloud: "global", API: "graph", BaseURL: "https://graph.example", Scope: "https://graph.example/.default"}, mde, scope},
		{"its own setting", own, "https://mde.example", scope},
		{"that of the API in use", config.Defender{Cloud: "global", API: "mde", BaseURL: "https://mde.example", Scope: "s/.default"}, "https://mde.example", "s/.default"},
		{"a stand-in serves both", config.Defender{Cloud: "global", API: "graph", BaseURL: "https://127.0.0.1:8443"}, "https://127.0.0.1:8443", scope},
	} {
		if got := restEndpoint(tt.d, defender.MDE); got.BaseURL != tt.base || got.Scope != tt.scope {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}

func TestBuckets_ExportsHaveTheLimitsOfTheService(t *testing.T) {
	if got := buckets(schema.Files); len(got) != 1 || got[0].Bucket != "files" || got[0].PerMinute != 5 || got[0].PerHour != 20 {
		t.Errorf("got %+v", got)
	}
}
