package defender

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/defender2adx/defender2adx/internal/fault"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// mdeEnd is when the hunting API of Defender for Endpoint stops, in UTC.
// Source: Defender for Endpoint, run-advanced-query-api; Message Center MC1220762.
var mdeEnd = time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)

// errEnded is a call to an API that is no more.
var errEnded = errors.New("the hunting API of Defender for Endpoint ended on 2027-02-01: set DEFENDER_API to graph, and give the application the app role ThreatHunting.Read.All of Microsoft Graph with admin consent")

// ended tells whether a refusal comes from an API that was switched off: only that of
// Defender for Endpoint will be.
func (c *Client) ended(r refusal) bool {
	return c.cfg.API == MDE && (r.status == 404 || r.status == 410) && !c.cfg.Now().Before(mdeEnd)
}

// lookAgain is how often the token for Graph is looked at while it lacks the role: about
// as long as a token lives, in which the roles of its day stand.
const lookAgain = time.Hour

// Auto asks Microsoft Graph as soon as the application has its role, and Defender for
// Endpoint until then. It is safe for concurrent use.
type Auto struct {
	graph, mde *Client
	now        func() time.Time
	log        *slog.Logger

	mu     sync.Mutex
	use    *Client // nil before the first look
	looked time.Time
}

// NewAuto returns a client of either API of one tenant, asked for with the same
// credential.
func NewAuto(graph, mde *Client) *Auto {
	return &Auto{graph: graph, mde: mde, now: graph.cfg.Now, log: graph.cfg.Logger}
}

// Ready decides which API is asked, and gets a token for it.
func (a *Auto) Ready(ctx context.Context) error {
	client, err := a.choose(ctx)
	if err != nil {
		return err
	}
	return client.Ready(ctx)
}

// choose looks at the token for Graph: at first, and each hour while it lacks the role.
// Once Graph serves it stays. Only trouble that passes by itself is an error.
func (a *Auto) choose(ctx context.Context) (*Client, error) {
	a.mu.Lock()
	use, due := a.use, a.use != a.graph && !a.now().Before(a.looked.Add(lookAgain))
	a.mu.Unlock()
	if !due {
		return use, nil
	}
	why := "the token for Microsoft Graph lacks " + Graph.Role()
	allowed := false
	sent, err := a.graph.tokens.get(ctx)
	switch {
	case err != nil && fault.KindOf(err) != fault.Permanent:
		return nil, err
	case err != nil:
		why = err.Error()
	default:
		said, _ := parseToken(sent.text)
		allowed = slices.ContainsFunc(slices.Concat(said.Roles, strings.Fields(said.Scopes)), Graph.Allows)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.use
	if a.use, a.looked = a.mde, a.now(); allowed {
		a.use = a.graph
	}
	switch {
	case before == a.use:
	case allowed:
		a.log.Info("hunting through Microsoft Graph")
	default:
		a.log.Warn("hunting through Defender for Endpoint, which ends on 2027-02-01", "why", why)
	}
	return a.use, nil
}

// served passes the outcome of a call on, and looks at the token for Graph at the next
// one where the other API has ended.
func (a *Auto) served(err error) error {
	if errors.Is(err, errEnded) {
		a.graph.tokens.forget()
		a.mu.Lock()
		defer a.mu.Unlock()
		a.looked = time.Time{}
	}
	return err
}

// API names the interface in use; both before the first look.
func (a *Auto) API() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.use == nil {
		return fmt.Sprintf("%s or %s", a.graph.API(), a.mde.API())
	}
	return a.use.API()
}

// Count answers a planning query.
func (a *Auto) Count(ctx context.Context, call plan.Caller, q plan.CountQuery) (plan.Counts, error) {
	client, err := a.choose(ctx)
	if err != nil {
		return plan.Counts{}, err
	}
	out, err := client.Count(ctx, call, q)
	return out, a.served(err)
}

// CountBuckets counts the rows of parts by ranges of hash buckets.
func (a *Auto) CountBuckets(ctx context.Context, call plan.Caller, t plan.Table, parts []plan.Slice, width int) ([][]plan.BucketCount, error) {
	client, err := a.choose(ctx)
	if err != nil {
		return nil, err
	}
	out, err := client.CountBuckets(ctx, call, t, parts, width)
	return out, a.served(err)
}

// Fetch hands the slice's rows to stage.
func (a *Auto) Fetch(ctx context.Context, call plan.Caller, t plan.Table, s plan.Slice, stage func(context.Context, func(io.Writer) error) error) (plan.Received, error) {
	client, err := a.choose(ctx)
	if err != nil {
		return plan.Received{}, err
	}
	out, err := client.Fetch(ctx, call, t, s, stage)
	return out, a.served(err)
}
