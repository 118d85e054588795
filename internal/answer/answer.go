// Package answer is the one place that knows what the services say: a table that
// maps a service's refusal to what we do about it, with the source of each line,
// and the rules by which a service's words may be quoted.
//
// It is pure. What has to be computed (how long to wait, what a token lacks, which
// database role to grant) stays with the adapter, which goes by the row's Meaning.
package answer

import (
	"net/http"
	"slices"
	"strings"

	"github.com/defender2adx/defender2adx/internal/fault"
)

// Service is who answered.
type Service uint8

// The services of the table.
const (
	Hunting   Service = iota // runHuntingQuery of Graph, advancedqueries/run of Defender for Endpoint
	Entra                    // the token endpoint, the managed identity endpoint
	Vault                    // Key Vault
	Kusto                    // the query and the management endpoint of ADX
	Ingestion                // the status of one queued ingestion
)

// Meaning is what a refusal comes down to.
type Meaning uint8

// The meanings of the table.
const (
	Unknown         Meaning = iota // no row fits
	Throttled                      // come again when the service says
	MissingRight                   // the token is good and its bearer lacks a role
	WrongTenant                    // the tenant, or its licence, is refused
	TokenRefused                   // another token may help
	TokenExpired                   // another token may help; if not, look at the clocks
	UnknownName                    // a table, column, function or mapping is not there
	BadQuery                       // the query, or the request, is wrong as it stands
	TooMuch                        // too many rows, bytes, seconds or branches for one query
	QueryTooLong                   // the text of the query, not its result
	WrongAddress                   // nothing of ours is found there
	Busy                           // the service's own trouble
	Undecided                      // a refusal without a cause that we know
	WrongSecret                    // the secret itself is refused
	AlreadyIngested                // the rows stand in the table, under the same tag
	IngestionFailed                // the rows will never come
	UnknownDatabase                // the database itself is not there
	Paused                         // switched off by its owner, and on again some day
	EmptyBlob                      // there is nothing in what was to be taken in
)

// Said is one refusal, as far as it could be read.
type Said struct {
	Service Service
	Status  int    // of HTTP; 0: there was none, or it says nothing
	Code    string // the service's error code
	Text    string // its message
	Flag    Flag   // Kusto only
}

// Flag is what Kusto says of its own errors with "@permanent".
type Flag uint8

// The flags of Kusto's errors.
const (
	Unflagged Flag = iota
	Passing
	Permanent
)

// Row says what is done about a kind of refusal. All fields that are set must fit.
type Row struct {
	Service Service
	Min     int      // lowest and highest HTTP status; zero: any
	Max     int      //
	Codes   []string // one of them, in any letter case
	Texts   []string // one of them, in lower case, stands in code and message
	Flag    Flag

	Meaning Meaning
	Kind    fault.Kind
	Remedy  string // what a person must do; "": nothing, or the adapter computes it
	Source  string // of the row: documentation page, or where it was observed
}

// For returns the first row of the table that fits. Every service's rows end with
// one that fits anything.
func For(s Said) Row {
	text := strings.ToLower(s.Code + " " + s.Text)
	for _, r := range table {
		if r.fits(s, text) {
			return r
		}
	}
	return Row{Service: s.Service, Kind: fault.Retry, Source: "no row fits"}
}

func (r Row) fits(s Said, text string) bool {
	switch {
	case r.Service != s.Service:
		return false
	case r.Flag != Unflagged && s.Flag != r.Flag:
		return false
	case r.Max > 0 && (s.Status < r.Min || s.Status > r.Max):
		return false
	case r.Codes != nil && !slices.ContainsFunc(r.Codes, func(code string) bool { return strings.EqualFold(code, s.Code) }):
		return false
	}
	return r.Texts == nil || slices.ContainsFunc(r.Texts, func(part string) bool { return strings.Contains(text, part) })
}

// table is read from the top: what cannot be mistaken stands first. Throttling and
// missing rights go before time-outs, since one text can hold both.
var table = slices.Concat(huntingRows, entraRows, vaultRows, kustoRows, ingestionRows)

// Statuses are written out where one number would hide a range.
const (
	anyClientError = 499
	anyServerError = 599
)

// transient are the statuses that may be another one a little later.
func transient(service Service, remedy, source string) []Row {
	var rows []Row
	for _, at := range [][2]int{
		{http.StatusTooManyRequests, http.StatusTooManyRequests},
		{http.StatusRequestTimeout, http.StatusRequestTimeout},
		{http.StatusInternalServerError, anyServerError},
	} {
		rows = append(rows, Row{Service: service, Min: at[0], Max: at[1], Meaning: Busy, Kind: fault.Retry, Remedy: remedy, Source: source})
	}
	return rows
}
