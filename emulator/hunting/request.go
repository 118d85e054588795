package hunting

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/defender2adx/defender2adx/emulator/identity"
)

// maxRequestBytes is where the proxy in front of the services refuses a body.
// Source: observed, about 1 MB.
const maxRequestBytes = 1 << 20

// request is what a call asks for.
type request struct {
	query, timespan string
	workspace       string // of Sentinel, by id; the tables here are in none
}

// decode checks and reads the request as strictly as the API does: Graph takes the
// name of the query in two cases, the others in one.
func (c *call) decode() (request, *refusal) {
	limit := c.limits.Request
	if limit <= 0 || limit > maxRequestBytes {
		limit = maxRequestBytes
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, c.r.Body, limit))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return request{}, proxyPage(http.StatusRequestEntityTooLarge)
	}
	if err != nil {
		return request{}, invalidBody("Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.")
	}
	if refused := c.authorize([]string{c.api.role()}); refused != nil {
		return request{}, refused
	}
	media, params, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
		return request{}, invalidBody("Write requests (excluding DELETE) must contain the Content-Type header declaration.")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return request{}, invalidBody("Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.")
	}
	var req request
	found := false
	for name, value := range members {
		into := &req.query
		switch {
		case name == "Query", c.api == Graph && name == "query":
			found = true
		case c.api == Graph && (name == "Timespan" || name == "timespan"):
			if into = &req.timespan; string(value) == "null" {
				continue
			}
		case c.api == Graph && (name == "WorkspaceId" || name == "workspaceId"):
			if into = &req.workspace; string(value) == "null" {
				continue
			}
		case c.api == Graph && !strings.Contains(name, "@odata."):
			return request{}, badRequest(fmt.Sprintf("The parameter '%s' in the request payload is not a valid parameter for the operation 'runHuntingQuery'.", name))
		default:
			continue
		}
		if err := json.Unmarshal(value, into); err != nil {
			return request{}, invalidBody("Invalid value specified for property '" + name + "'.")
		}
	}
	if !found || strings.TrimSpace(req.query) == "" {
		return request{}, &refusal{
			status: http.StatusBadRequest, graph: "BadRequest", mde: "MissingRequiredParameter",
			message: "Query parameter is missing or empty.",
		}
	}
	if strings.HasPrefix(strings.TrimSpace(req.query), ".") {
		return request{}, badRequest("A recognition error occurred. Control commands are not allowed. Fix syntax errors in your query.")
	}
	return req, nil
}

func invalidBody(graph string) *refusal {
	return &refusal{status: http.StatusBadRequest, graph: "BadRequest", mde: "InvalidRequestBody", message: graph}
}

// authorize checks the token: its life, its audience, and that it carries one of the
// roles. Defender for
// Endpoint answers a good token for another audience with 403. Source: Defender
// for Endpoint API hello-world.
func (c *call) authorize(roles []string) *refusal {
	if c.s.o.Verify == nil {
		return nil
	}
	claims, err := c.s.o.Verify(c.r.Header.Get("Authorization"), c.api.audience())
	switch {
	case err == nil:
	case errors.Is(err, identity.ErrAudience) && c.api == MDE:
		return forbidden("The application does not have any of the required application permissions; the token is for another audience.")
	case errors.Is(err, identity.ErrAudience):
		return unauthorized("Access token validation failure. Invalid audience.")
	case errors.Is(err, identity.ErrExpired):
		return unauthorized("Lifetime validation failed, the token is expired.")
	case errors.Is(err, identity.ErrMissing):
		return unauthorized("Access token is empty.")
	default:
		return unauthorized("IDX14100: JWT is not well formed, or its signature is invalid.")
	}
	for _, role := range roles {
		if claims.HasRole(role) || claims.HasScope(c.api.scope(role)) {
			return nil
		}
	}
	text := "Missing application roles. API required roles: " + roles[0]
	if c.api == Graph || len(claims.Roles) > 0 {
		text += ", application roles: " + strings.Join(claims.Roles, ",") + "."
	}
	return forbidden(text)
}
