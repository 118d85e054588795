package defender

import (
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

// Scope is the delegated permission that hunting through the API needs where a person
// signs in.
func (a API) Scope() string {
	if a == MDE {
		return "AdvancedQuery.Read"
	}
	return a.Role()
}

// Allows tells whether a right, an app role or a delegated permission, is enough to
// hunt through the API.
func (a API) Allows(right string) bool { return right == a.Role() || right == a.Scope() }

// owner names the enterprise application whose role it is.
func (a API) owner() string {
	if a == MDE {
		return "WindowsDefenderATP"
	}
	return "Microsoft Graph"
}
