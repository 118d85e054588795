package adx

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	kustoerrors "github.com/Azure/azure-kusto-go/azkustodata/errors"
	kustov2 "github.com/Azure/azure-kusto-go/azkustodata/query/v2"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/kql"
)

// role is a database role, spelled as `.add database` takes it.
type role string

const (
	viewers   role = "viewers"
	ingestors role = "ingestors"
	admins    role = "admins"
)

// messageLimit clips what is quoted of a service's message.
const messageLimit = 600

// classify turns an error of the Kusto SDK into one of ours: with a kind, with
// Kusto's message, clipped, and with the remedy where a person must act. Neither
// the statement nor a signed URL is ever part of it, which is why the SDK's own
// error is not wrapped; a context's end still is.
//
// errors.Retry of the SDK is not used: it is false for 429 and 503 and true for
// a cancelled context.
func (c *Client) classify(ctx context.Context, needs role, err error) error {
	if err == nil {
		return nil
	}
	if tokenErr := tokenError(ctx); tokenErr != nil {
		return fmt.Errorf("get a token for ADX: %w", tokenErr)
	}
	var refused *kustoerrors.HttpError
	if ended := contextEnd(ctx, err); ended != nil && !errors.As(err, &refused) {
		return fault.As(fault.Retry, fmt.Errorf("ADX did not answer in time: %w", ended))
	}
	answer := describe(err)
	text := "ADX: " + answer.text
	switch {
	case answer.status == http.StatusUnauthorized || answer.status == http.StatusForbidden:
		return fault.As(fault.Permanent, &mendable{text, "check the credential and grant the role: " + c.grant(needs)})
	case answer.kind == fault.Permanent && answer.unknownName:
		return fault.As(fault.Permanent, &mendable{text, "run `handler setup` to make what is missing in database " + c.database})
	}
	return fault.As(answer.kind, errors.New(text))
}

// mendable is an error that a person can mend, and how.
type mendable struct{ text, remedy string }

func (e *mendable) Error() string { return e.text + "; " + e.remedy }

// grant returns the command by which a database admin gives the role.
func (c *Client) grant(needs role) string {
	principal := "aadapp=<application id>;<tenant id>"
	if needs == admins {
		principal = "aaduser=<you>"
	}
	return ".add database " + kql.Name(c.database) + " " + string(needs) + " ('" + principal + "')"
}

// contextEnd returns the context's error when that is what err comes from.
func contextEnd(ctx context.Context, err error) error {
	for _, end := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, end) {
			return end
		}
	}
	return ctx.Err()
}

// said is what can be told from an SDK error.
type said struct {
	kind        fault.Kind
	status      int // HTTP status; 0 where there was none
	unknownName bool
	text        string
}

func describe(err error) said {
	var combined *kustoerrors.CombinedError
	if errors.As(err, &combined) && len(combined.Errors) > 0 {
		first := describe(combined.Errors[0])
		for _, e := range combined.Errors[1:] {
			if next := describe(e); next.kind == fault.Permanent && first.kind != fault.Permanent {
				first = next
			}
		}
		return first
	}
	var refused *kustoerrors.HttpError
	if errors.As(err, &refused) {
		return describeHTTP(refused)
	}
	var inAnswer *kustov2.OneApiError
	if errors.As(err, &inAnswer) {
		m := inAnswer.ErrorMessage
		s := said{kind: fault.Retry, text: message(m.Code, m.Description, m.Message)}
		if m.IsPermanent {
			s.kind, s.unknownName = fault.Permanent, namesUnknown(m.Code, m.Description)
		}
		return s
	}
	var ke *kustoerrors.Error
	if errors.As(err, &ke) && ke.Kind == kustoerrors.KClientArgs {
		return said{kind: fault.Permanent, text: quote(bare(err))}
	}
	return said{kind: fault.Retry, text: quote(bare(err))}
}

func describeHTTP(e *kustoerrors.HttpError) said {
	body, _ := e.UnmarshalREST()["error"].(map[string]any)
	field := func(name string) string { s, _ := body[name].(string); return s }
	s := said{status: e.StatusCode, text: fmt.Sprintf("%d %s", e.StatusCode, message(field("code"), field("@message"), field("message")))}
	s.unknownName = namesUnknown(field("code"), field("@message"))
	permanent, flagged := body["@permanent"].(bool)
	switch {
	case e.StatusCode == http.StatusTooManyRequests || e.StatusCode == http.StatusRequestTimeout:
		s.kind = fault.Retry
	case flagged && permanent, !flagged && e.StatusCode < 500:
		s.kind = fault.Permanent
	default:
		s.kind = fault.Retry
	}
	return s
}

// namesUnknown reports whether a permanent refusal says that a table, column,
// function or mapping does not exist: by code for commands, by the number of the
// semantic error for queries. Source: Kusto error codes, SEM0100.
func namesUnknown(code, text string) bool {
	return strings.Contains(code, "EntityNotFound") || strings.Contains(code, "NotFound") ||
		strings.Contains(text, "SEM0100") || strings.Contains(text, "Failed to resolve")
}

// message joins a code and the longer of two texts.
func message(code, description, short string) string {
	text := description
	if text == "" {
		text = short
	}
	switch {
	case text == "" && code == "":
		return "without an explanation"
	case text == "":
		return quote(code)
	case code == "":
		return quote(text)
	}
	return quote(code + ": " + text)
}

// bare returns an error's text without the statement and the URL that the SDK
// puts around the cause.
func bare(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err.Error()
	}
	text := err.Error()
	if before, _, found := strings.Cut(text, "With query:"); found {
		text = strings.TrimRight(before, " :,")
	}
	return text
}

// quote makes a service's text fit for an error or an audit row: one line, no
// signature, not longer than messageLimit.
func quote(text string) string {
	text = strings.Join(strings.Fields(redact(text)), " ")
	if len(text) > messageLimit {
		text = strings.ToValidUTF8(text[:messageLimit], "") + "…"
	}
	return text
}

var (
	signedURL = regexp.MustCompile(`(?i)(https?://[^\s?"'<>]+)\?[^\s"'<>]+`)
	signature = regexp.MustCompile(`(?i)\b(sig|signature|accountkey|sharedaccesssignature)(=|%3d)[^\s&;"'<>]+`)
)

// redact removes the query of every URL and every loose signature.
func redact(text string) string {
	return signature.ReplaceAllString(signedURL.ReplaceAllString(text, "$1?[redacted]"), "$1=[redacted]")
}
