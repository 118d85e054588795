package defender

// API is the interface that hunting queries go to.
type API string

const (
	// Graph is POST /v1.0/security/runHuntingQuery of Microsoft Graph.
	Graph API = "graph"
	// MDE is POST /api/advancedqueries/run of Defender for Endpoint. It knows only
	// the tables Device* and DeviceTvm*.
	MDE API = "mde"
)

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
func (a API) Allows(right string) bool { return question{}.access(a).allows(right) }

// owner names the enterprise application whose role it is.
func (a API) owner() string {
	if a == MDE {
		return "WindowsDefenderATP"
	}
	return "Microsoft Graph"
}
