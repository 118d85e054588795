package answer

import "github.com/defender2adx/defender2adx/internal/fault"

// Where the rows about hunting come from.
const (
	quotaPage   = "Graph security API overview, hunting quotas"
	errorsPage  = "Defender XDR, advanced hunting errors"
	mdeErrors   = "Defender for Endpoint, common REST API error codes"
	helloWorld  = "Defender for Endpoint, API hello-world"
	graphErrors = "Graph, error responses"
	observed    = "observed answers"
	kustoErrors = "Kusto, query limits and error codes"
	ours        = "our decision"
)

// huntingRows are those of Graph and of Defender for Endpoint. A 400 is final only
// where its text says syntax, semantics, an unknown name or a missing right, or its code
// a faulty request: everything else that a 400 says is about load, and is divided or
// tried again.
var huntingRows = []Row{
	{Min: 429, Max: 429, Meaning: Throttled, Kind: fault.Wait, Source: quotaPage},
	{Max: anyClientError, Codes: []string{"429", "TooManyRequests"}, Meaning: Throttled, Kind: fault.Wait, Source: mdeErrors + "; " + observed},
	{Texts: []string{
		"exceeded processing resources", "run queries again in", "send requests again in", "calls quota exceeded",
		"exceeded the cpu resources", "too many requests", "too many calls", "rate limit",
	}, Meaning: Throttled, Kind: fault.Wait, Source: errorsPage + "; " + observed},

	{Codes: []string{"AF10001"}, Meaning: MissingRight, Kind: fault.Permanent, Source: observed},
	{Max: anyClientError, Texts: []string{"not provisioned", "licen", "account mode"}, Min: 401, Meaning: WrongTenant, Kind: fault.Permanent, Source: observed},
	{Min: 200, Max: anyClientError, Texts: []string{
		"does not include the expected permission", "missing application roles", "required application permissions",
		"insufficient privileges", "not have permission", "n't have permission", "no permission", "lacks permission", "missing permission",
		"access denied", "access is denied", "authorization_requestdenied", "not authorized to",
	}, Meaning: MissingRight, Kind: fault.Permanent, Source: graphErrors + "; " + helloWorld + "; " + observed},
	{Min: 403, Max: 403, Meaning: MissingRight, Kind: fault.Permanent, Source: graphErrors + "; " + helloWorld},

	{Min: 401, Max: 401, Texts: []string{"lifetime", "expired", "not yet valid"}, Meaning: TokenExpired, Kind: fault.Reauthenticate, Source: graphErrors},
	{Min: 401, Max: 401, Meaning: TokenRefused, Kind: fault.Reauthenticate, Source: graphErrors + "; " + mdeErrors},

	{Min: 400, Max: 400, Texts: []string{"failed to resolve", "could not be resolved", "unknown table", "unknown column", "unknown function"},
		Meaning: UnknownName, Kind: fault.Permanent, Source: errorsPage + "; " + observed},
	{Min: 400, Max: 400, Texts: []string{"syntax error", "recognition error", "semantic error", "parse error", "could not be parsed", "sem0", "syn0"},
		Meaning: BadQuery, Kind: fault.Permanent, Source: errorsPage + "; " + kustoErrors},

	{Min: 413, Max: 414, Meaning: QueryTooLong, Kind: fault.Permanent, Remedy: "the query text is too long", Source: observed},
	{Max: 400, Texts: []string{"query text is too long", "query is too long", "query too long", "query length", "request entity too large"},
		Meaning: QueryTooLong, Kind: fault.Split, Source: kustoErrors},
	{Max: 400, Texts: []string{
		"exceeded the allowed result size", "result size limit exceeded", "exceeds the allowed size", "result set is too large", "e_query_result_set_too_large",
		"exceeded the allowed limits", "preempted", "excessive resource consumption", "low memory condition", "e_low_memory",
		"e_runaway_query", "runaway query", "complexity exceeded", "too complex", "exceeded the timeout", "timed out", "timeout", "time-out", "limit exceeded",
	}, Meaning: TooMuch, Kind: fault.Split, Source: errorsPage + "; " + kustoErrors + "; " + observed},
	// Below the texts about load, which come under any code.
	{Min: 400, Max: 400, Codes: []string{"InvalidRequestBody", "MissingRequiredParameter", "InvalidInput", "ODataError"},
		Meaning: BadQuery, Kind: fault.Permanent, Source: mdeErrors},
	{Min: 400, Max: 400, Meaning: Undecided, Kind: fault.Unavailable, Source: errorsPage + " (unknown errors: try again in a few minutes)"},

	{Min: 404, Max: 404, Meaning: WrongAddress, Kind: fault.Permanent, Source: mdeErrors},
	{Min: 410, Max: 410, Meaning: WrongAddress, Kind: fault.Permanent, Source: "RFC 9110, Gone: an API that was switched off"},
	{Min: 300, Max: 399, Meaning: WrongAddress, Kind: fault.Permanent, Source: ours + ": no redirect is ever expected"},
	{Min: 408, Max: 408, Meaning: Busy, Kind: fault.Unavailable, Source: "RFC 9110"},
	{Min: 401, Max: anyClientError, Meaning: Undecided, Kind: fault.Permanent, Remedy: "the request is refused as it stands", Source: ours},
	{Meaning: Busy, Kind: fault.Unavailable, Source: graphErrors + "; " + observed + " (500 and 504 without a message, 502 of a proxy)"},
}
