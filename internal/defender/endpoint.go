package defender

import (
	"cmp"
	"fmt"
	"strings"
)

// API is the interface that hunting queries go to.
type API string

const (
	// Graph is POST /v1.0/security/runHuntingQuery of Microsoft Graph.
	Graph API = "graph"
	// MDE is POST /api/advancedqueries/run of Defender for Endpoint. It knows only
	// the tables Device* and DeviceTvm*.
	MDE API = "mde"
)

// ParseAPI reads an API in any letter case. It also takes the names that the
// original PowerShell script used: M365DGraph, MDATP and M365D. A warning, if
// any, tells the operator what the name is taken for.
func ParseAPI(text string) (api API, warning string, err error) {
	const ends = "the API of Defender for Endpoint ends on 2027-02-01; change to graph with the app role ThreatHunting.Read.All before"
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "", "graph", "m365dgraph":
		return Graph, "", nil
	case "mde", "mdatp":
		return MDE, ends, nil
	case "m365d":
		return MDE, text + " (api/advancedhunting/run) is no longer offered and is taken as mde, which needs the app role AdvancedQuery.Read.All; " + ends, nil
	}
	return "", "", fmt.Errorf("API: want graph or mde (or M365DGraph, MDATP, M365D as before), got %q", clip(text, 40))
}

// Role is the app role that hunting through the API needs.
func (a API) Role() string {
	if a == MDE {
		return "AdvancedQuery.Read.All"
	}
	return "ThreatHunting.Read.All"
}

// owner names the enterprise application whose role it is.
func (a API) owner() string {
	if a == MDE {
		return "WindowsDefenderATP"
	}
	return "Microsoft Graph"
}

// Endpoint is where an API of one cloud is found. Tokens of one cloud are worth
// nothing in another.
type Endpoint struct {
	Authority string // Entra ID, URL
	BaseURL   string // the API, URL without path
	Scope     string // what the token is asked for
}

// endpoints has a line a cloud. The global Defender for Endpoint API takes only
// tokens for its old host, whatever host the call goes to. Sources: Microsoft
// Graph national cloud deployments; Defender for Endpoint for US government
// customers, and its API hello-world page on the audience.
var endpoints = map[string]map[API]Endpoint{
	"global": {
		Graph: {publicEntra, "https://graph.microsoft.com", "https://graph.microsoft.com/.default"},
		MDE:   {publicEntra, "https://api.security.microsoft.com", "https://api.securitycenter.microsoft.com/.default"},
	},
	"gcc": {
		Graph: {publicEntra, "https://graph.microsoft.com", "https://graph.microsoft.com/.default"},
		MDE:   {publicEntra, "https://api-gcc.securitycenter.microsoft.us", "https://api-gcc.securitycenter.microsoft.us/.default"},
	},
	"gcchigh": {
		Graph: {usEntra, "https://graph.microsoft.us", "https://graph.microsoft.us/.default"},
		MDE:   {usEntra, "https://api-gov.securitycenter.microsoft.us", "https://api-gov.securitycenter.microsoft.us/.default"},
	},
	"dod": {
		Graph: {usEntra, "https://dod-graph.microsoft.us", "https://dod-graph.microsoft.us/.default"},
		MDE:   {usEntra, "https://api-gov.securitycenter.microsoft.us", "https://api-gov.securitycenter.microsoft.us/.default"},
	},
}

const (
	publicEntra = "https://login.microsoftonline.com/"
	usEntra     = "https://login.microsoftonline.us/"
)

// Endpoints returns where the API of a cloud is: global, gcc, gcchigh or dod, in
// any letter case.
func Endpoints(cloud string, api API) (Endpoint, error) {
	name := strings.ToLower(strings.NewReplacer("-", "", "_", "", " ", "").Replace(cloud))
	e, ok := endpoints[cmp.Or(name, "global")][api]
	if !ok {
		return Endpoint{}, fmt.Errorf("cloud: want global, gcc, gcchigh or dod (hunting is not offered in others), got %q for API %q", clip(cloud, 40), clip(string(api), 40))
	}
	return e, nil
}
