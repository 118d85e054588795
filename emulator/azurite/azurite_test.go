package azurite_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/defender2adx/defender2adx/emulator/azurite"
	"github.com/defender2adx/defender2adx/emulator/azurite/azuritetest"
	"github.com/defender2adx/defender2adx/emulator/rounds"
)

// orphanage makes the test binary act as a parent that starts Azurite and is
// then killed; see TestAzurite_DiesWithItsParent.
const orphanage = "AZURITE_TEST_PARENT"

func TestMain(m *testing.M) {
	if dir := os.Getenv(orphanage); dir != "" {
		a, err := azurite.Start(context.Background(), azurite.Options{NodeModules: dir})
		if err != nil {
			_, _ = os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		_, _ = os.Stdout.WriteString(a.URL(azurite.Blob) + "\n")
		select {}
	}
	os.Exit(azuritetest.Main(m))
}

func TestAzurite_ServesTheOfficialClients(t *testing.T) {
	rounds.Long(t)
	for name, account := range map[string]azurite.Account{
		"development account": {},
		"random account":      azurite.RandomAccount(),
	} {
		t.Run(name, func(t *testing.T) {
			a := azuritetest.Start(t, azurite.Options{Account: account})
			t.Run("blob", func(t *testing.T) { blobRoundTrip(t, a.ConnectionString(), nil) })
			t.Run("queue", func(t *testing.T) { queueRoundTrip(t, a.ConnectionString(), nil) })
			t.Run("table", func(t *testing.T) { tableRoundTrip(t, a.ConnectionString(), nil) })
		})
	}
}

// ofVersion lets a client speak a version of the API, as a newer one would.
type ofVersion string

func (v ofVersion) Do(r *policy.Request) (*http.Response, error) {
	r.Raw().Header["x-ms-version"] = []string{string(v)} // as the clients write it
	return r.Next()
}

// The newest clients of Storage ask in a version of the API that Azurite has not heard
// of; at Azure those are answered.
func TestAzurite_AnswersClientsOfAVersionToCome(t *testing.T) {
	rounds.Long(t)
	a := azuritetest.Shared(t)
	options := &azcore.ClientOptions{PerCallPolicies: []policy.Policy{ofVersion("2099-12-31")}}
	blobRoundTrip(t, a.ConnectionString(), options)
	queueRoundTrip(t, a.ConnectionString(), options)
	tableRoundTrip(t, a.ConnectionString(), options)
}

func TestAzurite_RefusesAnotherAccountsKey(t *testing.T) {
	a := azuritetest.Shared(t)
	other := azurite.RandomAccount()
	stolen := strings.Replace(a.ConnectionString(), a.Account().Key, other.Key, 1)
	client, err := azblob.NewClientFromConnectionString(stolen, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.CreateContainer(t.Context(), "container", nil)
	if !bloberror.HasCode(err, bloberror.AuthorizationFailure, bloberror.AuthenticationFailed) {
		t.Errorf("got %v, want an authorization failure", err)
	}
}

func TestAzurite_SpareAccountsHaveNothingInCommon(t *testing.T) {
	one, other := azuritetest.Shared(t), azuritetest.Shared(t)
	for _, a := range []*azurite.Azurite{one, other} {
		client, err := azblob.NewClientFromConnectionString(a.ConnectionString(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.CreateContainer(t.Context(), "same", nil); err != nil {
			t.Errorf("a container of the same name in another account: %v", err)
		}
	}
	one.Stop() // which the other does not feel
	blobRoundTrip(t, other.ConnectionString(), nil)
}

func TestAzurite_KeepsDataInDir(t *testing.T) {
	rounds.Long(t)
	dir := t.TempDir()
	upload := func(a *azurite.Azurite) *azblob.Client {
		client, err := azblob.NewClientFromConnectionString(a.ConnectionString(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return client
	}
	first := azuritetest.Start(t, azurite.Options{Dir: dir})
	client := upload(first)
	if _, err := client.CreateContainer(t.Context(), "kept", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := client.UploadBuffer(t.Context(), "kept", "b", []byte("still here"), nil); err != nil {
		t.Fatal(err)
	}
	first.Stop()

	second := azuritetest.Start(t, azurite.Options{Dir: dir})
	got := make([]byte, len("still here"))
	if _, err := upload(second).DownloadBuffer(t.Context(), "kept", "b", got, nil); err != nil {
		t.Fatal(err)
	}
	if string(got) != "still here" {
		t.Errorf("got %q", got)
	}
}

func TestAzurite_StopTwiceEndsTheProcess(t *testing.T) {
	a, err := azurite.Start(t.Context(), azurite.Options{NodeModules: fakeModules(t, listening)})
	if err != nil {
		azuritetest.SkipNotInstalled(t, err)
		t.Fatal(err)
	}
	a.Stop()
	a.Stop()
	<-a.Exited()
	if _, err := net.Dial("tcp", hostOf(t, a.URL(azurite.Blob))); err == nil {
		t.Error("port still answers after Stop")
	}
}

func TestStart_ErrorCarriesLastOutput(t *testing.T) {
	modules := fakeModules(t, `console.log("opening the pod bay doors"); console.error("cannot do that"); process.exit(3)`)
	_, err := azurite.Start(t.Context(), azurite.Options{NodeModules: modules})
	if errors.Is(err, azurite.ErrNotInstalled) {
		azuritetest.SkipNotInstalled(t, err)
	}
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{"exit status 3", "opening the pod bay doors", "cannot do that"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
}

func TestStart_CancelledContextKillsTheProcess(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		azuritetest.SkipNotInstalled(t, errors.Join(azurite.ErrNotInstalled, err))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	// The script announces nothing; it calls us and waits.
	modules := fakeModules(t, `require("net").connect(`+port+`, "127.0.0.1")`)
	ctx, cancel := context.WithCancel(t.Context())
	called := make(chan net.Conn, 1)
	go func() {
		defer cancel()
		if conn, err := listener.Accept(); err == nil {
			called <- conn
		}
	}()
	if _, err := azurite.Start(ctx, azurite.Options{NodeModules: modules}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
	conn := <-called
	defer func() { _ = conn.Close() }()
	// Start returns after the process is gone, and its connections with it.
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the process lives on")
	}
}

func TestStart_MissingInstallationNamesTheRemedy(t *testing.T) {
	_, err := azurite.Start(t.Context(), azurite.Options{NodeModules: t.TempDir()})
	if !errors.Is(err, azurite.ErrNotInstalled) || !strings.Contains(err.Error(), "make node") {
		t.Errorf("got %v, want ErrNotInstalled naming `make node`", err)
	}
	t.Setenv("D2A_NODE_MODULES", filepath.Join(t.TempDir(), "absent"))
	_, err = azurite.Start(t.Context(), azurite.Options{})
	if !errors.Is(err, azurite.ErrNotInstalled) || !strings.Contains(err.Error(), "D2A_NODE_MODULES") {
		t.Errorf("got %v, want ErrNotInstalled naming D2A_NODE_MODULES", err)
	}
}

func TestStart_RefusesAnImpossibleAccount(t *testing.T) {
	for _, account := range []azurite.Account{
		{Name: "Upper", Key: "AAAA"},
		{Name: "ab", Key: "AAAA"},
		{Name: "account1", Key: "s3cret!"},
		{Name: "account1"},
	} {
		_, err := azurite.Start(t.Context(), azurite.Options{NodeModules: fakeModules(t, ""), Account: account})
		if err == nil {
			t.Errorf("account %s was accepted", account.Name)
			continue
		}
		if account.Key != "" && strings.Contains(err.Error(), account.Key) {
			t.Errorf("error %q shows the key", err)
		}
	}
}

func TestAzurite_DiesWithItsParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the parent death signal exists on Linux only")
	}
	if _, err := exec.LookPath("node"); err != nil {
		azuritetest.SkipNotInstalled(t, errors.Join(azurite.ErrNotInstalled, err))
	}
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), orphanage+"="+fakeModules(t, listening))
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 256)
	n, err := out.Read(line)
	if err != nil {
		t.Fatalf("read the address from the parent: %v", err)
	}
	conn, err := net.Dial("tcp", hostOf(t, string(bytes.TrimSpace(line[:n]))))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()

	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()

	// The connection ends when the process that holds its other end does.
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("Azurite outlived its killed parent by 30 s")
	}
}

// listening is a script that announces three ports, all the same one, as Azurite
// announces its own.
const listening = `const server = require("net").createServer(); server.listen(0, "127.0.0.1", () => {
	for (const name of ["Blob", "Queue", "Table"])
		console.log("Azurite " + name + " service is successfully listening at http://127.0.0.1:" + server.address().port);
});`

// fakeModules makes a node_modules whose azurite is the given script.
func fakeModules(t *testing.T, script string) string {
	t.Helper()
	dir := t.TempDir()
	entry := filepath.Join(dir, "azurite", "dist", "src", "azurite.js")
	if err := os.MkdirAll(filepath.Dir(entry), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(entry, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func hostOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// blobRoundTrip writes a blob under a name full of characters that need
// escaping, and reads it back by listing and by name.
func blobRoundTrip(t *testing.T, connection string, options *azcore.ClientOptions) {
	t.Helper()
	clientOptions := &azblob.ClientOptions{}
	if options != nil {
		clientOptions.ClientOptions = *options
	}
	client, err := azblob.NewClientFromConnectionString(connection, clientOptions)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if _, err := client.CreateContainer(ctx, "container", nil); err != nil {
		t.Fatal(err)
	}
	const name = "run 1/a+b=c&d%2F#?;'(ü).json.gz"
	if _, err := client.UploadBuffer(ctx, "container", name, []byte("payload"), nil); err != nil {
		t.Fatal(err)
	}
	var names []string
	for pages := client.NewListBlobsFlatPager("container", nil); pages.More(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Segment.BlobItems {
			names = append(names, *item.Name)
		}
	}
	if diff := cmp.Diff([]string{name}, names); diff != "" {
		t.Errorf("blob names (-want +got):\n%s", diff)
	}
	resp, err := client.DownloadStream(ctx, "container", name, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil || string(got) != "payload" {
		t.Errorf("got %q, %v", got, err)
	}
}

func queueRoundTrip(t *testing.T, connection string, options *azcore.ClientOptions) {
	t.Helper()
	clientOptions := &azqueue.ClientOptions{}
	if options != nil {
		clientOptions.ClientOptions = *options
	}
	service, err := azqueue.NewServiceClientFromConnectionString(connection, clientOptions)
	if err != nil {
		t.Fatal(err)
	}
	queue := service.NewQueueClient("migrations")
	ctx := t.Context()
	if _, err := queue.Create(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := queue.EnqueueMessage(ctx, "wake <up> & go", nil); err != nil {
		t.Fatal(err)
	}
	got, err := queue.DequeueMessage(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Messages) != 1 || *got.Messages[0].MessageText != "wake <up> & go" {
		t.Fatalf("got %d messages", len(got.Messages))
	}
	if _, err := queue.DeleteMessage(ctx, *got.Messages[0].MessageID, *got.Messages[0].PopReceipt, nil); err != nil {
		t.Error(err)
	}
}

func tableRoundTrip(t *testing.T, connection string, options *azcore.ClientOptions) {
	t.Helper()
	clientOptions := &aztables.ClientOptions{}
	if options != nil {
		clientOptions.ClientOptions = *options
	}
	service, err := aztables.NewServiceClientFromConnectionString(connection, clientOptions)
	if err != nil {
		t.Fatal(err)
	}
	table := service.NewClient("Status")
	ctx := t.Context()
	if _, err := table.CreateTable(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := table.AddEntity(ctx, []byte(`{"PartitionKey":"p 1","RowKey":"r","Status":"Pending"}`), nil); err != nil {
		t.Fatal(err)
	}
	merge := &aztables.UpdateEntityOptions{UpdateMode: aztables.UpdateModeMerge}
	if _, err := table.UpdateEntity(ctx, []byte(`{"PartitionKey":"p 1","RowKey":"r","ErrorCode":"none"}`), merge); err != nil {
		t.Fatal(err)
	}
	got, err := table.GetEntity(ctx, "p 1", "r", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"Status":"Pending"`, `"ErrorCode":"none"`} {
		if !bytes.Contains(got.Value, []byte(want)) {
			t.Errorf("entity %s lacks %s", got.Value, want)
		}
	}
}
