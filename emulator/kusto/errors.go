package kusto

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// Error is a refusal in the service's terms. Fault hooks may return one.
type Error struct {
	Status    int    // HTTP status; 0 stands for 400
	Code      string // such as BadRequest_EntityNotFound
	Message   string // the general sentence
	Type      string // the .NET type, "@type"
	Text      string // what happened, "@message"
	Permanent bool   // "@permanent"

	// Late reports the error inside an answer of status 200: for a query, in the
	// frame that completes the table.
	Late bool

	inner *innerError
}

// innerError tells where a query's text is wrong.
type innerError struct{ code, message, typ, text string }

func (e *Error) Error() string { return e.Code + ": " + e.Text }

const cannotExecute = "Request is invalid and cannot be executed."

func badRequest(code, format string, args ...any) *Error {
	return &Error{
		Status: http.StatusBadRequest, Code: code, Message: cannotExecute,
		Type: "Kusto.Data.Exceptions.KustoBadRequestException", Text: fmt.Sprintf(format, args...), Permanent: true,
	}
}

// entityNotFound refuses a name that does not exist.
func entityNotFound(kind, name string) *Error {
	e := badRequest("BadRequest_EntityNotFound", "Entity ID '%s' of kind '%s' was not found.", name, kind)
	e.Type = "Kusto.Data.Exceptions.EntityNotFoundException"
	return e
}

func alreadyExists(kind, name string) *Error {
	return badRequest("BadRequest_EntityNameAlreadyExists", "Entity '%s' of kind '%s' already exists.", name, kind)
}

// unknownCommand refuses what is no command here; the service may well know it. It
// quotes the command's first words only: the rest may hold data or secrets.
func unknownCommand(words string) *Error {
	return badRequest("BadRequest_NotSupported", "The local cluster does not support the command '.%s'.", words)
}

// forbidden refuses a caller without the right.
func forbidden(principal, operation, entity string) *Error {
	return &Error{
		Status: http.StatusForbidden, Code: "Forbidden", Message: "Caller is not authorized to perform this action",
		Type: "Kusto.DataNode.Exceptions.RequestDeniedException",
		Text: fmt.Sprintf("Principal '%s' is not authorized to perform operation '%s' on '%s'.",
			principal, operation, entity),
		Permanent: true,
	}
}

// Throttled is the answer of a cluster that has no capacity left; status is 429
// or 503.
func Throttled(status int) *Error {
	code := "TooManyRequests"
	if status == http.StatusServiceUnavailable {
		code = "ServiceUnavailable"
	}
	return &Error{
		Status: status, Code: code, Message: "Request is throttled.",
		Type: "Kusto.DataNode.Exceptions.ControlCommandThrottledException",
		Text: "The request was throttled because the capacity of the cluster is exhausted. Retrying after some backoff may succeed.",
	}
}

// refusal gives any error as the service would name it.
func refusal(err error) *Error {
	var known *Error
	var syntax *engine.SyntaxError
	var semantic *engine.SemanticError
	var unsupported *engine.UnsupportedError
	var runtime *engine.RuntimeError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &syntax):
		return wrongText(&innerError{"SYN0002", syntax.Message, "Kusto.Data.Exceptions.SyntaxException", syntax.Error()})
	case errors.As(err, &semantic):
		return wrongText(&innerError{semantic.Code, semantic.Message, "Kusto.Data.Exceptions.SemanticException", semantic.Error()})
	case errors.As(err, &unsupported):
		return badRequest("BadRequest_NotSupported", "The local cluster cannot evaluate this query: %s.", unsupported.Error())
	case errors.As(err, &runtime):
		return badRequest("General_BadRequest", "%s", runtime.Error())
	}
	return &Error{
		Status: http.StatusInternalServerError, Code: "General_InternalServerError", Message: "Unknown error",
		Type: "Kusto.Data.Exceptions.KustoServiceException", Text: err.Error(),
	}
}

// wrongText refuses a query's text.
// Source: ADX documentation, "Query V2 HTTP response".
func wrongText(inner *innerError) *Error {
	e := badRequest("General_BadRequest", "Request is invalid and cannot be processed: %s", inner.text)
	e.inner = inner
	return e
}

type errorContext struct {
	Timestamp       string `json:"timestamp"`
	ServiceAlias    string `json:"serviceAlias"`
	ClientRequestID string `json:"clientRequestId"`
	ActivityID      string `json:"activityId"`
}

type errorDetail struct {
	Code         string       `json:"code"`
	Message      string       `json:"message"`
	Type         string       `json:"@type"`
	Text         string       `json:"@message"`
	Context      errorContext `json:"@context"`
	Permanent    bool         `json:"@permanent"`
	ErrorCode    string       `json:"@errorCode,omitempty"`
	ErrorMessage string       `json:"@errorMessage,omitempty"`
	Inner        *errorDetail `json:"innererror,omitempty"`
}

// body gives the error as JSON, {"error":{…}}.
func (e *Error) body(now time.Time, clientRequestID string) []byte {
	context := errorContext{
		Timestamp: now.UTC().Format("2006-01-02T15:04:05.0000000Z"), ServiceAlias: "LOCAL",
		ClientRequestID: clientRequestID, ActivityID: newID(),
	}
	detail := errorDetail{Code: e.Code, Message: e.Message, Type: e.Type, Text: e.Text, Context: context, Permanent: e.Permanent}
	if in := e.inner; in != nil {
		detail.Inner = &errorDetail{
			Code: in.code, Message: in.message, Type: in.typ, Text: in.text, Context: context, Permanent: e.Permanent,
			ErrorCode: in.code, ErrorMessage: in.message,
		}
	}
	body, _ := json.Marshal(map[string]errorDetail{"error": detail}) // strings and bools always marshal
	return body
}
