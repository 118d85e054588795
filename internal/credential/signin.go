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

	"github.com/defender2adx/defender2adx/internal/answer"
	"github.com/defender2adx/defender2adx/internal/fault"
)

// signIn knows what to say when a sign-in fails.
type signIn struct {
	who     string // the identity
	remedy  string // what to do when the answer names no better one
	secret  string // where the client secret lies; "" if there is none
	local   bool   // no service is asked: every failure is the user's to mend
	managed bool   // the platform keeps the tokens
	person  bool   // sees what happens, and can try again
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

// refusal is what a token endpoint says when it does not give a token.
type refusal struct {
	Error       string
	Description string `json:"error_description"`
	Codes       []int  `json:"error_codes"`
}

var (
	entraCode = regexp.MustCompile(`AADSTS\d+`)
	codeForm  = regexp.MustCompile(`^[0-9A-Za-z_.-]{1,64}$`)
)

// code returns the AADSTS code, "" if there is none.
func (a refusal) code() string {
	if len(a.Codes) > 0 {
		return fmt.Sprintf("AADSTS%d", a.Codes[0])
	}
	return entraCode.FindString(a.Description)
}

// row finds the refusal in the table of answers.
func (a refusal) row(status int) answer.Row {
	return answer.For(answer.Said{Service: answer.Entra, Status: status, Code: a.code(), Text: a.Error})
}

func readAnswer(response *http.Response) (refusal, bool) {
	if response == nil {
		return refusal{}, false
	}
	body, err := runtime.Payload(response)
	if err != nil {
		return refusal{}, false
	}
	var a refusal
	if json.Unmarshal(answer.TrimMark(body), &a) != nil {
		return refusal{}, false
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
	about := fmt.Sprintf("%s: %s for %s", s.service(), s.who, strings.Join(o.Scopes, " "))
	var failed *azidentity.AuthenticationFailedError
	if !errors.As(err, &failed) || failed.RawResponse == nil {
		return s.explainUnanswered(about, err)
	}
	status := failed.RawResponse.StatusCode
	a, _ := readAnswer(failed.RawResponse)
	row := a.row(status)
	cause := strings.Join(strings.Fields(fmt.Sprintf("HTTP %d %s %s", status, a.Error, a.code())), " ")
	return fault.As(row.Kind, fmt.Errorf("%s: %s: %s", about, cause, s.remedyOf(row)))
}

// service names who is asked for tokens, as every error begins.
func (s signIn) service() string {
	switch {
	case s.local:
		return "Azure CLI"
	case s.managed:
		return "managed identity endpoint"
	}
	return "Entra ID"
}

// remedyOf returns what to do about a refusal; that of a refused secret begins with
// where the secret lies.
func (s signIn) remedyOf(row answer.Row) string {
	switch {
	case row.Remedy == "", row.Meaning == answer.WrongSecret && s.secret == "":
		return s.remedy
	case row.Meaning == answer.WrongSecret:
		return s.secret + " " + row.Remedy
	}
	return row.Remedy
}

// explainUnanswered is for errors without an answer: no network, no identity here,
// no Azure CLI.
func (s signIn) explainUnanswered(about string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fault.As(fault.Retry, fmt.Errorf("%s: %w", about, err))
	}
	// An error of the SDK that forbids a retry and is no failed sign-in means that
	// there is nothing to sign in with.
	var final interface{ NonRetriable() }
	var failed *azidentity.AuthenticationFailedError
	kind := fault.Retry
	if s.local || s.person || (errors.As(err, &final) && !errors.As(err, &failed)) {
		kind = fault.Permanent
	}
	return fault.As(kind, fmt.Errorf("%s: %s: %s", about, oneLine(err), s.remedy))
}

// maxText is how much of an error of the SDK is quoted, which may hold a whole answer.
const maxText = 600

// oneLine returns the text of an error of the SDK without line breaks, secrets and
// the pointer to its manual.
func oneLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "To troubleshoot, visit")
	return strings.TrimRight(answer.Quote(text, maxText), " .")
}
