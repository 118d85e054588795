package credential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/defender2adx/defender2adx/internal/fault"
)

// signIn knows what to say when a sign-in fails.
type signIn struct {
	who    string // the identity
	remedy string // what to do when the answer names no better one
	secret string // where the client secret lies; "" if there is none
	local  bool   // no service is asked: every failure is the user's to mend
}

// explained is a credential of the SDK with errors of ours.
type explained struct {
	inner azcore.TokenCredential
	who   signIn
}

// GetToken implements azcore.TokenCredential.
func (e explained) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	t, err := e.inner.GetToken(ctx, o)
	if err != nil {
		return azcore.AccessToken{}, e.who.explain(o, err)
	}
	return t, nil
}

// answer is what a token endpoint says when it refuses.
type answer struct {
	Error       string
	Description string `json:"error_description"`
	Codes       []int  `json:"error_codes"`
}

var (
	entraCode = regexp.MustCompile(`AADSTS\d+`)
	codeForm  = regexp.MustCompile(`^[0-9A-Za-z_.-]{1,64}$`)
)

// code returns the AADSTS code, "" if there is none.
func (a answer) code() string {
	if len(a.Codes) > 0 {
		return fmt.Sprintf("AADSTS%d", a.Codes[0])
	}
	return entraCode.FindString(a.Description)
}

func readAnswer(response *http.Response) (answer, bool) {
	if response == nil {
		return answer{}, false
	}
	body, err := runtime.Payload(response)
	if err != nil {
		return answer{}, false
	}
	var a answer
	if json.Unmarshal(body, &a) != nil {
		return answer{}, false
	}
	if !codeForm.MatchString(a.Error) {
		a.Error = ""
	}
	return a, true
}

// explain turns an error of the SDK, which spans lines and quotes the whole
// answer, into one line with identity, audience, cause and remedy.
func (s signIn) explain(o policy.TokenRequestOptions, err error) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	doing := fmt.Sprintf("sign in %s for %s", s.who, strings.Join(o.Scopes, " "))
	var failed *azidentity.AuthenticationFailedError
	if !errors.As(err, &failed) || failed.RawResponse == nil {
		return s.explainUnanswered(doing, err)
	}
	status := failed.RawResponse.StatusCode
	a, _ := readAnswer(failed.RawResponse)
	kind, remedy := fault.Permanent, s.remedy
	if isTransient(status) || status == http.StatusGone || a.Error == "temporarily_unavailable" || a.Error == "server_error" {
		kind, remedy = fault.Retry, "the service is busy or unavailable"
	} else if better := s.remedyFor(a, o); better != "" {
		remedy = better
	}
	cause := strings.Join(strings.Fields(fmt.Sprintf("HTTP %d %s %s", status, a.Error, a.code())), " ")
	return fault.As(kind, fmt.Errorf("%s: %s: %s", doing, cause, remedy))
}

// remedyFor says what to do about the refusals that operators meet. Source: Entra
// ID documentation, authentication error codes.
func (s signIn) remedyFor(a answer, o policy.TokenRequestOptions) string {
	switch a.code() {
	case "AADSTS7000222":
		return s.secret + " has expired: store a new client secret of the application"
	case "AADSTS7000215":
		return s.secret + " is not a client secret of the application: store its value, not its id"
	case "AADSTS700016":
		return "the tenant has no such application: check client id and tenant id"
	case "AADSTS90002":
		return "there is no such tenant in this cloud: check tenant id and cloud"
	case "AADSTS7000112":
		return "the application is disabled: enable it in Entra ID"
	case "AADSTS7000229":
		return "the application has no service principal in the tenant: give admin consent"
	case "AADSTS500011":
		return "the tenant does not know " + strings.Join(o.Scopes, " ") + ": check cloud and licence"
	case "AADSTS53003":
		return "a Conditional Access policy for workload identities blocks the application"
	}
	if a.Error == "invalid_client" && s.secret != "" {
		return s.secret + " is not accepted: store a valid client secret of the application"
	}
	return ""
}

// explainUnanswered is for errors without an answer: no network, no identity here,
// no Azure CLI.
func (s signIn) explainUnanswered(doing string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fault.As(fault.Retry, fmt.Errorf("%s: %w", doing, err))
	}
	// An error of the SDK that forbids a retry and is no failed sign-in means that
	// there is nothing to sign in with.
	var final interface{ NonRetriable() }
	var failed *azidentity.AuthenticationFailedError
	kind := fault.Retry
	if s.local || (errors.As(err, &final) && !errors.As(err, &failed)) {
		kind = fault.Permanent
	}
	return fault.As(kind, fmt.Errorf("%s: %s: %s", doing, oneLine(err), s.remedy))
}

// oneLine returns the text of an error of the SDK without line breaks and without
// the pointer to its manual.
func oneLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "To troubleshoot, visit")
	return strings.TrimRight(strings.Join(strings.Fields(text), " "), " .")
}
