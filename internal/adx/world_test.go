package adx_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/Azure/azure-kusto-go/azkustodata"
	azkql "github.com/Azure/azure-kusto-go/azkustodata/kql"
	"github.com/Azure/azure-kusto-go/azkustodata/query"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/emulator/azurite/azuritetest"
	"github.com/defender2adx/defender2adx/emulator/certs"
	"github.com/defender2adx/defender2adx/emulator/kusto"
	"github.com/defender2adx/defender2adx/internal/adx"
	"github.com/defender2adx/defender2adx/internal/pipeline"
	"github.com/defender2adx/defender2adx/internal/plan"
)

var (
	_ pipeline.Stager        = (*adx.Client)(nil)
	_ pipeline.Verifier      = (*adx.Client)(nil)
	_ pipeline.Ingester      = (*adx.Client)(nil)
	_ pipeline.ControlTables = (*adx.Client)(nil)
)

// named is a credential whose token is a name.
type named string

func (n named) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(n), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// world is a cluster with one database, an app that may view and ingest, and a
// person who may do everything.
type world struct {
	cluster *kusto.Cluster
	url     string
	bundle  *certs.Bundle
}

func TestMain(m *testing.M) { os.Exit(adx.AllSent(azuritetest.Main(m))) }

func newWorld(t *testing.T, change ...func(*kusto.Options)) *world {
	t.Helper()
	bundle, err := certs.New(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return newWorldWith(t, bundle, change...)
}

func newWorldWith(t *testing.T, bundle *certs.Bundle, change ...func(*kusto.Options)) *world {
	t.Helper()
	o := kusto.Options{
		Databases: []string{"db1", "data"},
		Client:    bundle.Client(),
		Authorize: func(bearer string) (string, error) {
			if bearer != "app" && bearer != "person" {
				return "", errors.New("unknown token")
			}
			return "aadapp=" + bearer + ";tenant", nil
		},
	}
	for _, f := range change {
		f(&o)
	}
	cluster, err := kusto.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		cluster.Grant("db1", "aadapp=app;tenant", kusto.Viewer, kusto.Ingestor),
		cluster.Grant("db1", "aadapp=person;tenant", kusto.Admin),
		cluster.Grant("data", "aadapp=app;tenant", kusto.Viewer, kusto.Ingestor),
		cluster.Grant("data", "aadapp=person;tenant", kusto.Admin),
	); err != nil {
		t.Fatal(err)
	}
	server, err := kusto.Serve(cluster, bundle.TLS())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return &world{cluster: cluster, url: server.URL, bundle: bundle}
}

func (w *world) client(t *testing.T, who named) *adx.Client {
	t.Helper()
	return w.clientOf(t, who, adx.Config{Database: "db1"})
}

// clientOf is a client of the databases in cfg.
func (w *world) clientOf(t *testing.T, who named, cfg adx.Config) *adx.Client {
	t.Helper()
	cfg.ClusterURL, cfg.Credential, cfg.HTTP, cfg.App, cfg.AppID = w.url, who, recording(w.bundle), "Test/1", "d2a"
	c, err := adx.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// recording is a client whose texts are remembered.
func recording(bundle *certs.Bundle) *http.Client {
	client := *bundle.Client()
	client.Transport = adx.Recording{RoundTripper: client.Transport}
	return &client
}

// run executes commands as the person.
func (w *world) run(t *testing.T, texts ...string) {
	t.Helper()
	w.runIn(t, "db1", texts...)
}

func (w *world) runIn(t *testing.T, database string, texts ...string) {
	t.Helper()
	client, err := azkustodata.New(azkustodata.NewConnectionStringBuilder(w.url).WithTokenCredential(named("person")), azkustodata.WithHttpClient(w.bundle.Client()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, text := range texts {
		_, err := client.Mgmt(t.Context(), database, azkql.New("").AddUnsafe(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

// count is the number of rows that a query without options sees.
func (w *world) count(t *testing.T, table string) int64 {
	t.Helper()
	client, err := azkustodata.New(azkustodata.NewConnectionStringBuilder(w.url).WithTokenCredential(named("person")), azkustodata.WithHttpClient(w.bundle.Client()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	answer, err := client.Query(t.Context(), "db1", azkql.New("").AddUnsafe(table+" | count"))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := query.ToStructs[struct {
		Count int64 `kusto:"Count"`
	}](answer.Tables()[0])
	if err != nil || len(rows) != 1 {
		t.Fatalf("%v, %v", rows, err)
	}
	return rows[0].Count
}

func (w *world) setUp(t *testing.T, o adx.Options) []adx.Step {
	t.Helper()
	steps, err := w.client(t, "person").Setup(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		if s.Outcome == adx.Failed {
			t.Fatalf("%s: %s (%s)", s.Name, s.Detail, s.Remedy)
		}
	}
	return steps
}

// writing are configuration rows that write to raw tables, of no source that has a view.
func writing(tables ...string) []plan.Row {
	rows := make([]plan.Row, len(tables))
	for i, table := range tables {
		rows[i] = plan.Row{SourceTable: "Unheard", DestinationTable: table}
	}
	return rows
}

// provide makes the control tables and the raw tables that are named, by the commands
// that setup runs: for tests that need a few tables and not the whole catalogue, which
// costs a hundred times as much.
func (w *world) provide(t *testing.T, tables ...string) {
	t.Helper()
	commands := adx.ControlScripts()
	for _, table := range tables {
		commands = append(commands, adx.RawTableScript(table)...)
	}
	w.run(t, commands...)
}
