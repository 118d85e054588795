package kqlcheck

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/internal/defender"
	"github.com/defender2adx/defender2adx/internal/plan"
	"github.com/defender2adx/defender2adx/internal/savedquery"
)

// Saved checks saved queries against the tables that stand: that each gives the columns
// that its file promises, and that it binds in every form in which the program asks it.
func Saved(c *Checker, r *Report, queries []savedquery.Query) error {
	for _, q := range queries {
		if q.Err != nil {
			r.add("queries", []Problem{{Code: "query", Message: q.Err.Error()}})
			continue
		}
		columns := make([]string, len(q.Columns))
		for i, column := range q.Columns {
			columns[i] = column.Name + " " + column.Type
		}
		body := strings.TrimSuffix(q.Lets+q.Result, "\n")
		found, err := c.Apply(".create-or-alter function with (folder = 'Saved', docstring = 'Saved') "+q.View()+"() {\n"+body+"\n}", strings.Join(columns, ", "))
		if err != nil {
			return err
		}
		r.add("queries/"+q.Name+".kql", found)
		texts, err := asked(q)
		if err != nil {
			return err
		}
		for _, text := range texts {
			found, err := c.Query(text)
			if err != nil {
				return err
			}
			r.add("queries/"+q.Name+".kql, as it is asked: "+text[len(q.Lets):], found)
		}
	}
	return nil
}

// asked returns what the program sends for a saved query: counts of a window and of a
// snapshot, with and without the newest arrival, counts of parts, and the rows of each
// kind of part.
func asked(q savedquery.Query) ([]string, error) {
	to := &recorder{}
	client, err := defender.New(defender.Config{BaseURL: "https://graph.example", Scope: "https://graph.example/.default", Credential: to, Transport: to})
	if err != nil {
		return nil, err
	}
	table := plan.Table{
		Source: q.Source(), WatermarkColumn: q.Watermark, Load: plan.Snapshot,
		Query: plan.SavedQuery{Lets: q.Lets, Result: q.Result, Key: q.Key},
	}
	end := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	window := plan.Window{From: end.Add(-time.Hour), To: end}
	parts := []plan.Slice{{Part: plan.PartAll, Hi: plan.Buckets}, {Part: plan.PartAll, Lo: 256, Hi: 512}}
	ctx := context.Background()
	// Every call is refused: the text is all that is wanted of it.
	_, _ = client.Count(ctx, to, plan.CountQuery{Table: table, Bin: time.Hour})
	if q.Watermark != "" {
		table.Load = plan.Incr
		table.Filters = []plan.Filter{{Column: q.Watermark, After: window.From, OrNull: true}}
		parts = append(parts, plan.Slice{Part: plan.PartWindow, Window: window, Hi: plan.Buckets}, plan.Slice{Part: plan.PartNull, Hi: plan.Buckets})
		_, _ = client.Count(ctx, to, plan.CountQuery{Table: table, Window: window, Bin: time.Hour, Settle: time.Hour})
	}
	for _, width := range []int{256, plan.Buckets} {
		_, _ = client.CountBuckets(ctx, to, table, parts, width)
	}
	for _, part := range parts {
		_, _ = client.Fetch(ctx, to, table, part, func(_ context.Context, produce func(io.Writer) error) error { return produce(io.Discard) })
	}
	return to.queries, to.err
}

// recorder is a credential, a caller and a service that refuses whatever it is asked as
// one that knows no ingestion_time.
type recorder struct {
	queries []string
	err     error
}

func (r *recorder) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "token", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func (r *recorder) Do(ctx context.Context, try func(context.Context) error) error { return try(ctx) }

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	var body struct{ Query string }
	if err := json.NewDecoder(request.Body).Decode(&body); err != nil {
		r.err = errors.Join(r.err, fmt.Errorf("read what is asked: %w", err))
	}
	r.queries = append(r.queries, body.Query)
	const refusal = `{"error":{"code":"BadRequest","message":"'ingestion_time' is not known"}}`
	return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(refusal)), Request: request}, nil
}
