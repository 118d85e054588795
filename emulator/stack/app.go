package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/Azure/azure-kusto-go/azkustodata"
	"github.com/Azure/azure-kusto-go/azkustodata/kql"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/defender2adx/defender2adx/emulator/funchost"
	"github.com/defender2adx/defender2adx/emulator/identity"
	"github.com/defender2adx/defender2adx/internal/plan"
)

// App is a built app folder: host.json, function folders and the handler.
type App struct {
	Root string
}

// Handler is the path of the binary.
func (a App) Handler() string { return filepath.Join(a.Root, "handler") }

// Check says what is missing from the folder.
func (a App) Check() error {
	for _, name := range []string{"host.json", "handler", "migrate/function.json"} {
		if _, err := os.Stat(filepath.Join(a.Root, name)); err != nil {
			return fmt.Errorf("%s is no built app: %s is missing; run make build", a.Root, name)
		}
	}
	return nil
}

// Environment returns settings as "K=V", sorted.
func Environment(settings map[string]string) []string {
	var env []string
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		env = append(env, k+"="+settings[k])
	}
	return env
}

// Setup runs `handler setup` with an administrator's identity and returns what
// it printed.
func (e *Emulators) Setup(ctx context.Context, app App, load string) (string, error) {
	settings := e.Settings()
	settings["ADX_CLIENT_ID"] = AdminID
	cmd := exec.CommandContext(ctx, app.Handler(), "setup", "--load", load)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, Environment(settings)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("handler setup: %w\n%s", err, lastLines(out.String(), 12))
	}
	return out.String(), nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// StartHost runs the app under the local Functions host, with changes over the
// emulators' settings.
func (e *Emulators) StartHost(ctx context.Context, app App, changes map[string]string, o funchost.Options) (*funchost.Host, error) {
	if err := app.Check(); err != nil {
		return nil, err
	}
	settings := e.Settings()
	maps.Copy(settings, changes)
	o.AppRoot = app.Root
	o.BaseEnv = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	o.Env = Environment(settings)
	if e.StorageByIdentity {
		o.HostOnly = append(o.HostOnly, "AzureWebJobsStorage")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return funchost.Start(ctx, o)
}

// CoreTools prepares `func start` of the app with changes over the emulators'
// settings: it writes local.settings.json, where Core Tools reads them, and leaves
// them out of the command's environment, which would win.
func (e *Emulators) CoreTools(ctx context.Context, app App, changes map[string]string) (cmd *exec.Cmd, remove func() error, err error) {
	settings := e.Settings()
	maps.Copy(settings, changes)
	text, err := json.MarshalIndent(map[string]any{"IsEncrypted": false, "Values": settings}, "", "  ")
	if err != nil {
		return nil, nil, err
	}
	path := filepath.Join(app.Root, "local.settings.json")
	if err := os.WriteFile(path, append(text, '\n'), 0o600); err != nil {
		return nil, nil, err
	}
	cmd = exec.CommandContext(ctx, "func", "start")
	cmd.Dir, cmd.Env = app.Root, environWithout(settings)
	return cmd, func() error { return os.Remove(path) }, nil
}

// token source of an emulated principal, for the official clients.
type principalCredential struct {
	server   *identity.Server
	clientID string
}

func (p principalCredential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := p.server.Token(p.clientID, identity.AudienceKusto)
	return azcore.AccessToken{Token: token}, err
}

// Kusto returns the official client signed in as the principal, AdminID mostly.
func (e *Emulators) Kusto(clientID string) (*azkustodata.Client, error) {
	builder := azkustodata.NewConnectionStringBuilder(e.ClusterURL).WithTokenCredential(principalCredential{e.Identity, clientID})
	return azkustodata.New(builder, azkustodata.WithHttpClient(e.Certs.Client()))
}

// Command runs a management command as an administrator.
func (e *Emulators) Command(ctx context.Context, text string) error {
	client, err := e.Kusto(AdminID)
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = client.Mgmt(ctx, Database, kql.New("").AddUnsafe(text))
	return err
}

// Configure appends one configuration row for each table: LoadType Full on
// arrival time, as `--data` is served.
func (e *Emulators) Configure(ctx context.Context, tables []string) error {
	var b strings.Builder
	b.WriteString(".set-or-append MigrationConfiguration <| MigrationConfiguration | take 0 | union (datatable (SourceTable: string) [")
	for i, t := range tables {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("'" + t + "'")
	}
	b.WriteString("] | extend DestinationTable = strcat(SourceTable, 'Raw'), WatermarkColumn = 'None', LastRefreshedTime = datetime(1900-01-01)," +
		" LastRefreshedTimeInString = '1900-01-01T00:00:00.0000000Z', LoadType = 'Full', IsActive = true, Instance = '', Frequency = '', RunId = '', Generation = long(0))")
	return wrap("write configuration", e.Command(ctx, b.String()))
}

// ConfigureSource appends the row of a list or a file export as the catalogue of
// sources recommends it.
func (e *Emulators) ConfigureSource(ctx context.Context, source string) error {
	row, ok := plan.DefaultRow(source)
	if !ok {
		return fmt.Errorf("configure %s: no source of that name", source)
	}
	return wrap("write configuration", e.Command(ctx, ".set-or-append MigrationConfiguration <| MigrationConfiguration | take 0 | union (print SourceTable = '"+row.SourceTable+
		"', DestinationTable = '"+row.DestinationTable+"', WatermarkColumn = '"+row.WatermarkColumn+"', LastRefreshedTime = datetime(1900-01-01),"+
		" LastRefreshedTimeInString = '1900-01-01T00:00:00.0000000Z', LoadType = '"+row.LoadType+"', IsActive = true, Instance = '', Frequency = '', RunId = '', Generation = long(0))"))
}

// Tick fires the timer through the host's admin endpoint.
func Tick(ctx context.Context, host *funchost.Host) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, host.URL()+"/admin/functions/schedule", strings.NewReader(`{"input":""}`))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusAccepted {
		return fmt.Errorf("fire the timer: %s", reply.Status)
	}
	return nil
}

// BuildApp compiles the handler of this module into dir and lays the app folder
// out, as `make build` does.
func BuildApp(ctx context.Context, dir string) (App, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return App{}, err
	}
	app := App{Root: dir}
	build := exec.CommandContext(ctx, "go", "build", "-o", app.Handler(), "./handler")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return app, fmt.Errorf("build handler: %w\n%s", err, out)
	}
	functions, err := filepath.Glob(filepath.Join(root, "functions", "*", "function.json"))
	if err != nil {
		return app, err
	}
	queries, err := filepath.Glob(filepath.Join(root, "queries", "*.kql"))
	if err != nil {
		return app, err
	}
	errs := []error{copyFile(filepath.Join(root, "host.json"), filepath.Join(dir, "host.json")), os.MkdirAll(filepath.Join(dir, "queries"), 0o755)}
	for _, f := range queries {
		errs = append(errs, copyFile(f, filepath.Join(dir, "queries", filepath.Base(f))))
	}
	for _, f := range functions {
		to := filepath.Join(dir, filepath.Base(filepath.Dir(f)))
		errs = append(errs, os.MkdirAll(to, 0o755), copyFile(f, filepath.Join(to, "function.json")))
	}
	return app, errors.Join(errs...)
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o644)
}
