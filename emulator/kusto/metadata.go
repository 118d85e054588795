package kusto

import (
	"encoding/json"
	"net/http"
)

// kustoAppID is the application id of Kusto's own public client.
// Source: the SDKs' defaults for the public cloud.
const kustoAppID = "db662dc1-0cfe-4e1c-a843-19a68e65be58"

// metadata tells clients where to sign in and for which resource. Without an
// authority it is an empty 404, which tells them to take the public cloud's.
func (c *Cluster) metadata(w http.ResponseWriter, _ *http.Request) {
	if c.opts.Authority == "" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	body, _ := json.Marshal(map[string]any{"AzureAD": map[string]any{ // strings and bools always marshal
		"LoginEndpoint":          c.opts.Authority,
		"LoginMfaRequired":       false,
		"KustoClientAppId":       kustoAppID,
		"KustoClientRedirectUri": "https://microsoft/kustoclient",
		"KustoServiceResourceId": "https://kusto.kusto.windows.net",
		"FirstPartyAuthorityUrl": c.opts.Authority + "/f8cdef31-a31e-4b4a-93e4-5f571e91255a",
	}})
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(body) // the client may be gone
}
