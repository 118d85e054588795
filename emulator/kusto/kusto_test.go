package kusto_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-kusto-go/azkustodata"
	kustoerrors "github.com/Azure/azure-kusto-go/azkustodata/errors"
	azkql "github.com/Azure/azure-kusto-go/azkustodata/kql"
	"github.com/Azure/azure-kusto-go/azkustodata/query"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/emulator/certs"
	"github.com/defender2adx/defender2adx/emulator/kusto"
)

// cluster is a cluster behind TLS and what a client of it needs.
type cluster struct {
	*kusto.Cluster
	url    string
	client *http.Client
}

// clock is the cluster's time in these tests.
func clock() time.Time { return time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC) }

// authorize takes "token-of-<name>" for the app <name>.
func authorize(bearer string) (string, error) {
	name, ok := strings.CutPrefix(bearer, "token-of-")
	if !ok {
		return "", errors.New("unknown token")
	}
	return "aadapp=" + name + ";tenant", nil
}

func start(t *testing.T, opts kusto.Options) *cluster {
	t.Helper()
	bundle, err := certs.New(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return startWith(t, bundle, opts)
}

func startWith(t *testing.T, bundle *certs.Bundle, opts kusto.Options) *cluster {
	t.Helper()
	opts.Databases, opts.Authorize, opts.Now = []string{"db"}, authorize, clock
	client := bundle.Client()
	t.Cleanup(client.CloseIdleConnections)
	if opts.Client == nil {
		opts.Client = client
	}
	c, err := kusto.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	server, err := kusto.Serve(c, bundle.TLS())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	for principal, role := range map[string]kusto.Role{
		"admin": kusto.Admin, "viewer": kusto.Viewer, "ingestor": kusto.Ingestor, "monitor": kusto.Monitor, "user": kusto.User,
	} {
		if err := c.Grant("db", "aadapp="+principal+";tenant", role); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Grant("db", "aadapp=app", kusto.Ingestor, kusto.Viewer); err != nil {
		t.Fatal(err)
	}
	return &cluster{Cluster: c, url: server.URL, client: client}
}

type credential string

func (c credential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "token-of-" + string(c), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func (c *cluster) as(t *testing.T, principal string) *azkustodata.Client {
	t.Helper()
	client, err := azkustodata.New(
		azkustodata.NewConnectionStringBuilder(c.url).WithTokenCredential(credential(principal)),
		azkustodata.WithHttpClient(c.client))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func statement(text string) *azkql.Builder { return azkql.New("").AddUnsafe(text) }

// manage runs commands as admin.
func (c *cluster) manage(t *testing.T, commands ...string) {
	t.Helper()
	admin := c.as(t, "admin")
	for _, command := range commands {
		if _, err := admin.Mgmt(t.Context(), "db", statement(command)); err != nil {
			t.Fatalf("%s\n%v", command, err)
		}
	}
}

// text is a result as lines of values separated by bars.
func text(table query.Table) string {
	var b strings.Builder
	for _, row := range table.Rows() {
		for i, v := range row.Values() {
			if i > 0 {
				b.WriteByte('|')
			}
			b.WriteString(v.String())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (c *cluster) query(t *testing.T, principal, text string, options ...azkustodata.QueryOption) (query.Table, error) {
	t.Helper()
	ds, err := c.as(t, principal).Query(t.Context(), "db", statement(text), options...)
	if err != nil {
		return nil, err
	}
	return ds.Tables()[0], nil
}

func (c *cluster) mustQuery(t *testing.T, kql string) string {
	t.Helper()
	table, err := c.query(t, "viewer", kql)
	if err != nil {
		t.Fatalf("%s\n%v", kql, err)
	}
	return text(table)
}

func (c *cluster) mgmt(t *testing.T, principal, command string) (string, error) {
	t.Helper()
	ds, err := c.as(t, principal).Mgmt(t.Context(), "db", statement(command))
	if err != nil {
		return "", err
	}
	return text(ds.Tables()[0]), nil
}

// refused gives status, code, permanence and the whole text of a refusal.
func refused(t *testing.T, err error) (status int, code string, permanent bool, text string) {
	t.Helper()
	var he *kustoerrors.HttpError
	if !errors.As(err, &he) {
		t.Fatalf("got %T %v, want *errors.HttpError", err, err)
	}
	body, _ := he.UnmarshalREST()["error"].(map[string]any)
	code, _ = body["code"].(string)
	permanent, _ = body["@permanent"].(bool)
	message, _ := body["@message"].(string)
	return he.StatusCode, code, permanent, message
}

// post sends a query or command as the viewer, without an SDK; its parameter n is 2.
func (c *cluster) post(t *testing.T, path, csl string) (status int, body string) {
	t.Helper()
	return c.send(t, path, "db", csl, `{"Parameters":{"n":2}}`)
}

// send sends a query or command as the viewer with properties, without an SDK.
func (c *cluster) send(t *testing.T, path, database, csl, properties string) (status int, body string) {
	t.Helper()
	request, err := json.Marshal(map[string]any{"db": database, "csl": csl, "properties": properties})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+path, bytes.NewReader(request))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer token-of-viewer")
	res, err := c.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}
