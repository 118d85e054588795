package adx

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	kustoerrors "github.com/Azure/azure-kusto-go/azkustodata/errors"
	kustov2 "github.com/Azure/azure-kusto-go/azkustodata/query/v2"

	"github.com/defender2adx/defender2adx/internal/answer"
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

// pausedWait is how often a paused capacity is asked whether it is back. People pause
// them for nights and weekends.
const pausedWait = 10 * time.Minute

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
		return fmt.Errorf("ADX: no token: %w", tokenErr)
	}
	var refused *kustoerrors.HttpError
	if ended := contextEnd(ctx, err); ended != nil && !errors.As(err, &refused) {
		return fault.As(fault.Retry, fmt.Errorf("ADX: no answer in time: %w", ended))
	}
	answer := describe(err)
	text := "ADX: " + answer.text
	switch {
	case answer.paused:
		return fault.WaitUntil(c.now().Add(pausedWait), errors.New(text+"; resume the Fabric capacity of the Eventhouse; until then everything waits"))
	case answer.status == http.StatusUnauthorized || answer.status == http.StatusForbidden:
		remedy := "check the credential and grant the role: " + c.grant(needs)
		if answer.status == http.StatusUnauthorized {
			remedy += "; for a managed identity the platform keeps a token for up to 24 h"
		}
		return fault.As(fault.Permanent, &actionable{text: text, remedy: remedy, refused: true})
	case answer.noDatabase:
		return fault.As(fault.Permanent, &actionable{text: text, remedy: "check ADX_DATABASE and ADX_CLUSTER_URL, or create the database " + c.database +
			" in Azure (`handler setup` makes tables, not databases)"})
	case answer.kind == fault.Permanent && answer.unknownName:
		return fault.As(fault.Permanent, &actionable{text: text, remedy: "run `handler setup` to make what is missing in database " + c.database, unknownName: true})
	}
	err = fault.As(answer.kind, errors.New(text))
	if answer.noCapacity {
		err = fault.Mark(err, errNoCapacity)
	}
	return err
}

// actionable is an error that a person can mend, and how.
type actionable struct {
	text, remedy string
	unknownName  bool // a table, column or function does not exist
	refused      bool // the caller lacks a right
}

func (e *actionable) Error() string { return e.text + "; " + e.remedy }

func isActionable(err error) bool {
	known := (*actionable)(nil)
	return errors.As(err, &known)
}

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
	noDatabase  bool
	noCapacity  bool // the cluster is busy, and did nothing
	paused      bool // its owner switched it off
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
		flag := answer.Passing
		if m.IsPermanent {
			flag = answer.Permanent
		}
		return judged(answer.Said{Code: m.Code, Text: m.Description, Flag: flag}, message(m.Code, m.Description, m.Message))
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
	what := answer.Said{Status: e.StatusCode, Code: field("code"), Text: field("@message")}
	if permanent, flagged := body["@permanent"].(bool); permanent {
		what.Flag = answer.Permanent
	} else if flagged {
		what.Flag = answer.Passing
	}
	text := fmt.Sprintf("%d %s", e.StatusCode, message(what.Code, what.Text, field("message")))
	what.Text += " " + field("@type") // a throttled command says so in its type alone
	return judged(what, text)
}

// judged looks a refusal of Kusto's up in the table of answers.
func judged(what answer.Said, text string) said {
	what.Service = answer.Kusto
	row := answer.For(what)
	return said{kind: row.Kind, status: what.Status, unknownName: row.Meaning == answer.UnknownName, noDatabase: row.Meaning == answer.UnknownDatabase,
		noCapacity: row.Meaning == answer.Throttled, paused: row.Meaning == answer.Paused, text: text}
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
// secret, not longer than messageLimit.
func quote(text string) string { return answer.Quote(text, messageLimit) }

// redact removes the query of every URL and every secret.
func redact(text string) string { return answer.Redact(text) }
