package defender

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/rowpath"
)

// maxMessage is how much of the service's message an error quotes.
const maxMessage = 500

// refusal is an answer other than 200.
type refusal struct {
	status    int
	header    http.Header
	code      string
	message   string
	requestID string
}

// readRefusal reads and closes the body of a refusal, which may be the error
// envelope, a page of HTML or nothing.
func (c *Client) readRefusal(watch *watchdog, reply *http.Response) refusal {
	defer reply.Body.Close()
	r := refusal{status: reply.StatusCode, header: reply.Header, requestID: reply.Header.Get("request-id")}
	body, err := unpacked(watch.body(reply.Body, c.cfg.IdleTimeout), reply.Header)
	if err != nil {
		return r
	}
	// A body that breaks off still says what it says; the status decides.
	text, _ := io.ReadAll(io.LimitReader(body, maxErrorBytes))
	r.parse(text)
	return r
}

var htmlTitle = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)

// parse reads what can be read of an error's body.
func (r *refusal) parse(body []byte) {
	var envelope struct {
		Error       json.RawMessage
		Description string `json:"error_description"`
		Message     string
	}
	if json.Unmarshal(body, &envelope) != nil {
		if title := htmlTitle.FindSubmatch(body); title != nil {
			r.message = string(title[1])
		}
		return
	}
	r.message = envelope.Description + envelope.Message
	var inner struct {
		Code, Message, Target string
		InnerError            struct {
			RequestID string `json:"request-id"`
		}
	}
	var wrongType *json.UnmarshalTypeError
	if err := json.Unmarshal(envelope.Error, &inner); err != nil && !errors.As(err, &wrongType) {
		return
	}
	r.code = inner.Code
	if inner.Message != "" {
		r.message = inner.Message
	}
	for _, id := range []string{inner.InnerError.RequestID, inner.Target} {
		if r.requestID == "" {
			r.requestID = id
		}
	}
}

// quote returns what the service said, for an error: status, code, message and
// the id that Microsoft's support asks for.
func (r refusal) quote() string {
	text := fmt.Sprintf("the service answered %d", r.status)
	if name := http.StatusText(r.status); name != "" {
		text += " " + name
	}
	if r.code != "" {
		text += ", " + clip(r.code, 80)
	}
	if message := clip(r.message, maxMessage); message != "" {
		text += fmt.Sprintf(": %q", message)
	}
	if r.requestID != "" {
		text += " (request-id " + clip(r.requestID, 80) + ")"
	}
	return text
}

// tooMuch are parts of the messages of a query that was too large for the
// service in rows, bytes, memory or processor time. The text is the only thing
// that tells them from a faulty query. Sources: Defender XDR, advanced hunting
// errors and quotas; observed answers.
var tooMuch = []string{
	"exceeded the allowed result size", "exceeded the allowed limits", "exceeds the allowed size", "preempted",
	"excessive resource consumption", "low memory condition", "e_low_memory", "e_query_result_set_too_large",
	"result set is too large", "e_runaway_query", "runaway query", "query execution timed out",
}

func (r refusal) says(parts ...string) bool {
	text := strings.ToLower(r.code + " " + r.message)
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}

// tokenRefused reports whether another token may help: not where the tenant or
// its licence is what is refused.
func (r refusal) tokenRefused() bool {
	return r.status == http.StatusUnauthorized && !r.says("licen", "account mode", "provisioned")
}

// failure translates a refusal. The table is the one that was asked for.
func (c *Client) failure(t plan.Table, r refusal, token string) error {
	quoted := r.quote()
	permanent := func(remedy string) error {
		return fault.As(fault.Permanent, errors.New(quoted+": "+remedy))
	}
	switch {
	case r.status == http.StatusTooManyRequests, r.status < 500 && (r.code == "429" || strings.EqualFold(r.code, "TooManyRequests")):
		until := retryAt(r.header, r.message, c.cfg.Now())
		return fault.WaitUntil(until, fmt.Errorf("%s: waiting until %s", quoted, plan.Stamp(until)))
	case r.status == http.StatusBadRequest && r.says(tooMuch...):
		return fault.As(fault.Split, errors.New(quoted))
	case r.status == http.StatusBadRequest:
		return permanent(badRequestRemedy(t, r.message))
	case r.status == http.StatusUnauthorized && r.tokenRefused() && r.says("lifetime", "expired", "not yet valid"):
		return fault.As(fault.Retry, errors.New(quoted+": the token was replaced once and refused again; check this machine's clock if it stays so"))
	case r.status == http.StatusUnauthorized && r.tokenRefused():
		return permanent("check that tenant, cloud and scope belong together; the token was asked for " + c.cfg.Scope)
	case r.status == http.StatusUnauthorized:
		return permanent("the tenant or its licence is refused, not the credentials")
	case r.status == http.StatusForbidden:
		return permanent(c.forbiddenRemedy(r, token))
	case r.status == http.StatusRequestEntityTooLarge:
		return permanent("the query text is too long")
	case r.status == http.StatusNotFound, r.status >= 300 && r.status < 400:
		return permanent("check cloud and base URL; the call went to " + c.url)
	case r.status >= 500, r.status < 300, r.status == http.StatusRequestTimeout:
		return fault.As(fault.Unavailable, errors.New(quoted))
	}
	return permanent("the request is refused as it stands")
}

// inAnswer translates an error that stood inside an answer with status 200.
func (c *Client) inAnswer(t plan.Table, e *rowpath.AnswerError) error {
	r := refusal{status: http.StatusOK, code: e.Code, message: e.Message}
	if r.says(tooMuch...) {
		return fault.As(fault.Split, errors.New(r.quote()))
	}
	if r.code == "429" || strings.EqualFold(r.code, "TooManyRequests") {
		return c.failure(t, r, "")
	}
	return fault.As(fault.Unavailable, errors.New(r.quote()))
}

// unresolved finds the name that a query's semantic error is about.
var unresolved = regexp.MustCompile(`(?i)failed to resolve (table|scalar|column)?[^']*'([^']*)'`)

func badRequestRemedy(t plan.Table, message string) string {
	found := unresolved.FindStringSubmatch(message)
	switch {
	case found == nil:
		return "the query for " + t.Source + " is refused"
	case found[2] == t.WatermarkColumn && t.WatermarkColumn != "":
		return fmt.Sprintf("table %s has no column %s in this tenant: correct WatermarkColumn, or set it to None", t.Source, clip(found[2], 80))
	case !strings.EqualFold(found[1], "table"):
		return fmt.Sprintf("table %s has no column %s in this tenant", t.Source, clip(found[2], 80))
	}
	return "table " + clip(found[2], 80) + " is not available in this tenant (unknown, unlicensed or not readable)"
}

// forbiddenRemedy says which app role the token lacks, from what it says of
// itself. The token is not verified: the service has judged it already.
func (c *Client) forbiddenRemedy(r refusal, token string) string {
	said, readable := parseToken(token)
	role := c.cfg.API.Role()
	if r.says("not provisioned") {
		return "Defender XDR is not set up in this tenant, or not licensed"
	}
	if !readable {
		return fmt.Sprintf("the app role %s of %s is probably missing; the token's roles cannot be read", role, c.cfg.API.owner())
	}
	audience := strings.TrimSuffix(c.cfg.Scope, "/.default")
	if strings.HasPrefix(said.Audience, "https://") && !strings.EqualFold(strings.TrimRight(said.Audience, "/"), audience) {
		return fmt.Sprintf("the token is for %s but %s is wanted: check the scope", clip(said.Audience, 100), audience)
	}
	roles := "none"
	if len(said.Roles) > 0 {
		roles = clip(strings.Join(said.Roles, ", "), maxMessage)
	}
	if slices.Contains(said.Roles, role) {
		return fmt.Sprintf("the token has the app role %s, so access is denied for another reason; roles in the token: %s", role, roles)
	}
	text := fmt.Sprintf("app role %s is missing; roles in the token: %s", role, roles)
	if slices.Contains(said.Roles, "AdvancedHunting.Read.All") {
		text += fmt.Sprintf("; AdvancedHunting.Read.All, which the original script used, is not enough: add %s of %s", role, c.cfg.API.owner())
	} else {
		text += fmt.Sprintf("; add it to the app from the permissions of %s", c.cfg.API.owner())
	}
	return text + " and grant admin consent"
}

// tokenClaims is what a token says of itself.
type tokenClaims struct {
	Audience string   `json:"aud"`
	Roles    []string `json:"roles"`
}

// parseToken reads a token's claims without verifying them; false for a token
// that is opaque.
func parseToken(token string) (tokenClaims, bool) {
	var said tokenClaims
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return said, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return said, false
	}
	return said, json.Unmarshal(payload, &said) == nil
}

var claimsParameter = regexp.MustCompile(`(?i)\bclaims="([^"]+)"`)

// challenge returns the claims that a refused token must be replaced with, as
// JSON; "" when the service named none.
func challenge(header http.Header) string {
	for _, value := range header.Values("WWW-Authenticate") {
		found := claimsParameter.FindStringSubmatch(value)
		if found == nil {
			continue
		}
		encoded := strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(found[1]), "=")
		if text, err := base64.RawStdEncoding.DecodeString(encoded); err == nil && json.Valid(text) {
			return string(text)
		}
	}
	return ""
}
