package identity

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"
)

// refusal is an error of the token endpoint: an OAuth error with an Entra code.
type refusal struct {
	status  int
	code    int    // the number after AADSTS
	oauth   string // the OAuth 2.0 error
	message string
}

// Source of codes and texts: Microsoft Entra documentation, "Microsoft Entra
// authentication and authorization error codes", and answers of the service.

func unknownTenant(tenant string) *refusal {
	return &refusal{http.StatusBadRequest, 90002, "invalid_tenant", fmt.Sprintf("Tenant '%s' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant.", tenant)}
}

func missingParameter(name string) *refusal {
	return &refusal{http.StatusBadRequest, 900144, "invalid_request", fmt.Sprintf("The request body must contain the following parameter: '%s'.", name)}
}

func unsupportedGrant(grant string) *refusal {
	return &refusal{http.StatusBadRequest, 70003, "unsupported_grant_type", fmt.Sprintf("The app requested an unsupported grant type '%s'.", grant)}
}

func unknownClient(clientID, tenant string) *refusal {
	return &refusal{http.StatusBadRequest, 700016, "unauthorized_client", fmt.Sprintf("Application with identifier '%s' was not found in the directory '%s'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.", clientID, tenant)}
}

func noCredential() *refusal {
	return &refusal{http.StatusUnauthorized, 7000218, "invalid_client", "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."}
}

func unknownCertificate() *refusal {
	return &refusal{http.StatusUnauthorized, 700027, "invalid_client", "The certificate with identifier used to sign the client assertion is not registered on application."}
}

func expiredCertificate() *refusal {
	return &refusal{http.StatusUnauthorized, 700027, "invalid_client", "Client assertion failed signature validation. [Reason - The key used is expired.]"}
}

func noFederation(code int, what, presented string) *refusal {
	return &refusal{http.StatusUnauthorized, code, "invalid_client", fmt.Sprintf("No matching federated identity record found for presented assertion %s '%s'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation", what, presented)}
}

func notExchangeable(tenant string) *refusal {
	return &refusal{http.StatusUnauthorized, 700236, "invalid_client", fmt.Sprintf("Entra ID tokens issued by issuer '%s' may not be used for federated identity credential flows for applications or managed identities registered in this tenant.", issuerV2(tenant))}
}

func wrongSignature() *refusal {
	return &refusal{http.StatusUnauthorized, 700027, "invalid_client", "Client assertion failed signature validation."}
}

func malformedAssertion() *refusal {
	return &refusal{http.StatusUnauthorized, 50027, "invalid_client", "JWT token is invalid or malformed."}
}

func assertionOutOfTime() *refusal {
	return &refusal{http.StatusUnauthorized, 700024, "invalid_client", "Client assertion is not within its valid time range."}
}

func assertionAudience() *refusal {
	return &refusal{http.StatusUnauthorized, 700023, "invalid_client", "Client assertion audience claim does not match Realm issuer."}
}

func assertionIssuer() *refusal {
	return &refusal{http.StatusUnauthorized, 700021, "invalid_client", "Client assertion application identifier doesn't match 'client_id' parameter."}
}

func wrongSecret() *refusal {
	return &refusal{http.StatusUnauthorized, 7000215, "invalid_client", "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID."}
}

func expiredSecret(clientID string) *refusal {
	return &refusal{http.StatusUnauthorized, 7000222, "invalid_client", fmt.Sprintf("The provided client secret keys for app '%s' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds.", clientID)}
}

func invalidScope(scope string) *refusal {
	return &refusal{http.StatusBadRequest, 70011, "invalid_scope", fmt.Sprintf("The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope %s is not valid.", scope)}
}

func notDefaultScope(scope string) *refusal {
	return &refusal{http.StatusBadRequest, 1002012, "invalid_scope", fmt.Sprintf("The provided value for scope %s is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).", scope)}
}

func unknownResource(resource, tenant string) *refusal {
	return &refusal{http.StatusBadRequest, 500011, "invalid_resource", fmt.Sprintf("The resource principal named %s was not found in the tenant named %s. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.", resource, tenant)}
}

// text is the message as it appears outside a token answer.
func (r *refusal) text() string { return fmt.Sprintf("AADSTS%d: %s", r.code, r.message) }

// refuse counts and writes a refusal.
func (s *Server) refuse(w http.ResponseWriter, req *http.Request, r *refusal) {
	s.mu.Lock()
	s.stats.Refused[r.code]++
	s.mu.Unlock()

	timestamp := s.now().UTC().Format("2006-01-02 15:04:05Z")
	trace := uuid.NewString()
	correlation := strings.ToLower(req.Header.Get("client-request-id"))
	if _, err := uuid.Parse(correlation); err != nil {
		correlation = uuid.NewString()
	}
	w.Header().Set("x-ms-request-id", trace)
	writeJSON(w, r.status, struct {
		Error         string `json:"error"`
		Description   string `json:"error_description"`
		Codes         []int  `json:"error_codes"`
		Timestamp     string `json:"timestamp"`
		TraceID       string `json:"trace_id"`
		CorrelationID string `json:"correlation_id"`
		URI           string `json:"error_uri"`
	}{
		Error:         r.oauth,
		Description:   fmt.Sprintf("%s Trace ID: %s Correlation ID: %s Timestamp: %s", r.text(), trace, correlation, timestamp),
		Codes:         []int{r.code},
		Timestamp:     timestamp,
		TraceID:       trace,
		CorrelationID: correlation,
		URI:           fmt.Sprintf("https://%s/error?code=%d", req.Host, r.code),
	})
}
