package defender

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/internal/answer"
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
	r.parse(answer.TrimMark(text))
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
	text := fmt.Sprintf("answered %d", r.status)
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

// row finds the refusal in the table of answers.
func (r refusal) row() answer.Row {
	return answer.For(answer.Said{Service: answer.Hunting, Status: r.status, Code: r.code, Text: r.message})
}

// failure translates a refusal of a call that was sent with that token. A wait
// that the service states is believed whatever the status, save where no wait can
// help.
func (c *Client) failure(q question, r refusal, sent token) error {
	row, quoted := r.row(), r.quote()
	remedied := func(kind fault.Kind, remedy string) error {
		return fault.As(kind, errors.New(quoted+": "+remedy))
	}
	until, waits := retryAt(r.header, r.message, c.cfg.Now(), row.Meaning == answer.Throttled)
	switch {
	case row.Meaning == answer.TokenRefused, row.Meaning == answer.TokenExpired:
		return c.tokenFailure(row, r, sent, remedied)
	case row.Meaning == answer.QueryTooLong && q.parts > 1:
		return fault.As(fault.Split, errors.New(quoted))
	case q.source == nil && c.ended(r):
		return fault.As(fault.Permanent, fmt.Errorf("%s: %w", quoted, errEnded))
	case row.Kind == fault.Permanent && !(waits && row.Meaning == answer.Undecided):
		return remedied(fault.Permanent, c.remedy(q, row, r, sent))
	case waits:
		return fault.WaitUntil(until, fmt.Errorf("%s: waiting until %s", quoted, plan.Stamp(until)))
	}
	return fault.As(row.Kind, errors.New(quoted))
}

// tokenFailure is a refused token: it is forgotten, and worth one more call.
func (c *Client) tokenFailure(row answer.Row, r refusal, sent token, remedied func(fault.Kind, string) error) error {
	again := c.tokens.refused(sent, challenge(r.header))
	switch {
	case again:
		return remedied(fault.Reauthenticate, "the token is forgotten")
	case row.Meaning == answer.TokenExpired:
		return remedied(fault.Retry, "the token was replaced once and refused again; check this machine's clock if it stays so")
	}
	remedy := "check that tenant, cloud and scope belong together; the token was asked for " + c.cfg.Scope
	if c.tokens.managedIdentity() {
		remedy += "; " + platformKeeps
	}
	return remedied(fault.Permanent, remedy)
}

// remedy says what a person must do about a refusal that is final.
func (c *Client) remedy(q question, row answer.Row, r refusal, sent token) string {
	switch row.Meaning {
	case answer.MissingRight:
		return c.missingRight(q.access(c.cfg.API), sent.text)
	case answer.WrongTenant:
		if r.status == http.StatusForbidden {
			return "Defender XDR is not set up in this tenant, or not licensed"
		}
		return "the tenant or its licence is refused, not the credentials"
	case answer.UnknownName, answer.BadQuery:
		return badRequestRemedy(q.table, r.message)
	case answer.WrongAddress:
		remedy := "check cloud and base URL; the call went to " + c.addressOf(q)
		if q.source != nil {
			remedy += "; if they are right the service no longer offers this source: append a configuration row for it with IsActive = false"
		}
		return remedy
	}
	return row.Remedy
}

// inAnswer translates an error that stood inside an answer with status 200. The
// query ran, so the error is about what it met.
func (c *Client) inAnswer(q question, e *rowpath.AnswerError) error {
	r := refusal{status: http.StatusOK, code: e.Code, message: e.Message}
	if row := r.row(); row.Kind == fault.Split || row.Meaning == answer.Throttled {
		return c.failure(q, r, token{})
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

// platformKeeps is true of managed identities alone. Source: managed identities,
// "known issues": tokens are cached for up to 24 hours and cannot be refreshed.
const platformKeeps = "the platform keeps a managed identity's tokens for up to 24 hours, so a role given now may work only then"

// missingRight says which app role the token lacks, from what it says of itself.
// The token is not verified: the service has judged it already.
func (c *Client) missingRight(wanted access, text string) string {
	said, readable := parseToken(text)
	role := wanted.role
	if !readable {
		return fmt.Sprintf("the app role %s of %s is probably missing; the token's roles cannot be read", role, c.cfg.API.owner())
	}
	audience := strings.TrimSuffix(c.cfg.Scope, "/.default")
	if strings.HasPrefix(said.Audience, "https://") && !strings.EqualFold(strings.TrimRight(said.Audience, "/"), audience) {
		return fmt.Sprintf("the token is for %s but %s is wanted: check the scope", clip(said.Audience, 100), audience)
	}
	if said.Scopes != "" {
		return c.missingScope(wanted, said)
	}
	roles := "none"
	if len(said.Roles) > 0 {
		roles = clip(strings.Join(said.Roles, ", "), maxMessage)
	}
	if slices.Contains(said.Roles, role) {
		return fmt.Sprintf("the token has the app role %s, so access is denied for another reason; roles in the token: %s", role, roles)
	}
	missing := fmt.Sprintf("app role %s is missing; roles in the token: %s", role, roles)
	if c.tokens.managedIdentity() {
		return fmt.Sprintf("%s; assign it of %s to the managed identity's service principal with az rest or Microsoft Graph PowerShell "+
			"(appRoleAssignments; the portal has no page for it); %s", missing, c.cfg.API.owner(), platformKeeps)
	}
	if slices.Contains(said.Roles, "AdvancedHunting.Read.All") {
		missing += fmt.Sprintf("; AdvancedHunting.Read.All, which the original script used, is not enough: add %s of %s", role, c.cfg.API.owner())
	} else {
		missing += fmt.Sprintf("; add it to the app from the permissions of %s", c.cfg.API.owner())
	}
	return missing + " and grant admin consent"
}

// missingScope is missingRight for the token of a person, which has no roles.
func (c *Client) missingScope(wanted access, said tokenClaims) string {
	scope := wanted.scope
	if slices.ContainsFunc(strings.Fields(said.Scopes), wanted.allows) {
		return fmt.Sprintf("the token has the delegated permission %s, so the person lacks a role in Defender that may %s; permissions in the token: %s", scope, wanted.verb, clip(said.Scopes, maxMessage))
	}
	return fmt.Sprintf("delegated permission %s is missing; permissions in the token: %s; add it to the app from the permissions of %s and grant admin consent",
		scope, clip(said.Scopes, maxMessage), c.cfg.API.owner())
}
