package kusto

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/emulator/engine"
)

// Where an error of the rows is told. Source: ADX documentation, "Request
// properties", results_error_reporting_placement.
const (
	inData       = "InData"
	endOfTable   = "EndOfTable" // of answers in fragments only
	endOfDataset = "EndOfDataSet"
)

// Times after which the server gives up. Source: ADX documentation, "Query limits".
const (
	queryTimeout   = 4 * time.Minute
	commandTimeout = 10 * time.Minute
	longestTimeout = time.Hour
)

// options are what a request asks of the service beside its text: its properties
// and, for a query, leading set statements, which win.
type options struct {
	fragmented bool
	placement  string
	timeout    time.Duration // 0: the default of queries or commands
	maxRows    int           // more are an error; 0: no limit
	maxBytes   int           // of the rows' text, likewise
	take       int64         // the first rows only; negative: all
	now        time.Time     // zero: the cluster's clock
	strong     bool          // strong consistency was asked for
	cached     time.Duration // the oldest cached answer that may be given; negative: any
}

func defaultOptions() options {
	return options{placement: inData, maxRows: maxResultRows, maxBytes: maxResultBytes, take: -1, cached: -1}
}

// withoutEffect are options that change nothing in what this cluster answers: names
// for its logs, hints for its planner, caches and consistency it does not need, and
// limits that it has not. What is neither here nor obeyed below is refused.
var withoutEffect = []string{
	"best_effort", "client_max_redirect_count", "deferpartialqueryfailures", "materialized_view_shuffle",
	"max_memory_consumption_per_query_per_node", "maxmemoryconsumptionperiterator", "maxoutputcolumns",
	"push_selection_through_aggregation", "query_distribution_nodes_span", "query_fanout_nodes_percent",
	"query_fanout_threads_percent", "query_log_query_parameters", "query_max_entities_in_union", "query_python_debug",
	"query_results_cache_force_refresh", "query_results_cache_per_shard",
	"query_results_progressive_row_count", "query_results_progressive_update_period", "query_weakconsistency_session_id",
	"request_app_name", "request_callout_disabled", "request_description",
	"request_external_table_disabled", "request_impersonation_disabled", "request_remote_entities_disabled",
	"request_sandboxed_execution_disabled", "request_user", "results_progressive_enabled",
	"results_v2_newlines_between_frames", "query_datascope",
}

// set takes one option. Values are of JSON or of KQL literals.
func (o *options) set(name string, value any) error {
	name = strings.ToLower(name)
	wrong := func() error {
		return badRequest("BadRequest_InvalidRequestProperty", "The value of the request property '%s' is not valid.", name)
	}
	on, isBool := value.(bool)
	switch name {
	case "notruncation", "norequesttimeout", "results_v2_fragment_primary_tables", "request_readonly", "validate_permissions":
		switch {
		case !isBool:
			return wrong()
		case !on:
		case name == "notruncation":
			o.maxRows, o.maxBytes = 0, 0
		case name == "norequesttimeout":
			o.timeout = longestTimeout
		case name == "results_v2_fragment_primary_tables":
			o.fragmented = true
		default:
			return badRequest("BadRequest_NotSupported", "The local cluster does not support the request property '%s'.", name)
		}
	case "results_error_reporting_placement":
		known := map[string]string{"in_data": inData, "end_of_table": endOfTable, "end_of_dataset": endOfDataset}
		text, _ := value.(string)
		if o.placement = known[text]; o.placement == "" {
			return wrong()
		}
	case "servertimeout":
		span, ok := timespanOf(value)
		if !ok || span <= 0 {
			return wrong()
		}
		o.timeout = min(span, longestTimeout)
	case "truncationmaxrecords", "truncationmaxsize", "query_take_max_records":
		n, ok := numberOf(value)
		if !ok || n < 0 || name != "query_take_max_records" && n == 0 {
			return wrong()
		}
		switch name {
		case "truncationmaxrecords":
			o.maxRows = int(n)
		case "truncationmaxsize":
			o.maxBytes = int(n)
		default:
			o.take = n
		}
	case "queryconsistency":
		text, ok := value.(string)
		if !ok {
			return wrong()
		}
		o.strong = text == "strongconsistency"
	case "query_results_cache_max_age":
		span, ok := timespanOf(value)
		if !ok {
			return wrong()
		}
		o.cached = span
	case "query_now":
		at, ok := datetimeOf(value)
		if !ok {
			return wrong()
		}
		o.now = at
	case "query_language":
		if text, _ := value.(string); !slices.Contains([]string{"", "csl", "kql", "KQL"}, text) {
			return badRequest("BadRequest_NotSupported", "The local cluster does not support the query language '%v'.", value)
		}
	default:
		if !slices.Contains(withoutEffect, name) && name != "" {
			return badRequest("BadRequest_NotSupported", "The local cluster does not support the request property '%s'.", name)
		}
	}
	return nil
}

func timespanOf(value any) (time.Duration, bool) {
	switch v := value.(type) {
	case string:
		span, ok := engine.ParseTimespan(v)
		return time.Duration(span) * 100, ok
	case engine.Timespan:
		return time.Duration(v) * 100, true
	}
	return 0, false
}

func numberOf(value any) (int64, bool) {
	switch v := value.(type) {
	case float64:
		return int64(v), v == float64(int64(v))
	case int64:
		return v, true
	case string: // as the tools' connection dialogs send them
		_, literal, err := engine.ParseLiteral(v)
		n, ok := literal.(int64)
		return n, err == nil && ok
	}
	return 0, false
}

func datetimeOf(value any) (time.Time, bool) {
	switch v := value.(type) {
	case string:
		at, ok := engine.ParseDatetime(v)
		return at.Time(), ok
	case engine.Datetime:
		return v.Time(), true
	}
	return time.Time{}, false
}

// statements takes the set statements that a query begins with, and blanks them:
// they are the service's, not the query's.
func (o *options) statements(text string) (string, error) {
	for {
		s := newScanner(text)
		if !s.accept("set") {
			return text, nil
		}
		name := s.name()
		var value any = true
		if s.punct("=") {
			tok := s.take()
			if value = tok.Value; tok.Kind == engine.TokenName {
				value = tok.Text
			}
		}
		s.wantPunct(";")
		if s.err != nil {
			return text, s.err
		}
		if err := o.set(name, value); err != nil {
			return text, err
		}
		blank := func(r rune) rune {
			if r == '\n' {
				return r // lines keep their numbers
			}
			return ' '
		}
		text = strings.Map(blank, text[:s.end]) + text[s.end:]
	}
}

// taken ends the rows where query_take_max_records says.
func (o *options) taken(rows iter.Seq2[engine.Record, error]) iter.Seq2[engine.Record, error] {
	if o.take < 0 {
		return rows
	}
	return func(yield func(engine.Record, error) bool) {
		n := int64(0)
		for r, err := range rows {
			if n++; err == nil && n > o.take || !yield(r, err) {
				return
			}
		}
	}
}

// deadline bounds a query.
func (o *options) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return o.within(ctx, queryTimeout)
}

func (o *options) within(ctx context.Context, usual time.Duration) (context.Context, context.CancelFunc) {
	if o.timeout > 0 {
		usual = o.timeout
	}
	return context.WithTimeoutCause(ctx, usual, errServerTimeout)
}

// errServerTimeout is the cause of a context that ended by the server's limit.
var errServerTimeout = errors.New("server timeout")

// timedOut words the end of a request that took too long.
func timedOut(ctx context.Context, err error) error {
	if err == nil || !errors.Is(context.Cause(ctx), errServerTimeout) {
		return err
	}
	return &Error{
		Status: http.StatusGatewayTimeout, Code: "GatewayTimeout", Message: "Request timed out.",
		Type: "Kusto.Common.Svc.Exceptions.ServiceTimeoutException",
		Text: fmt.Sprintf("Request execution timed out (0x%08X).", 0x80131505),
	}
}
