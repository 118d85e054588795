package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/defender2adx/defender2adx/emulator/azurite"
	"github.com/defender2adx/defender2adx/emulator/azurite/azuritetest"
	"github.com/defender2adx/defender2adx/emulator/funchost"
	"github.com/defender2adx/defender2adx/emulator/stack"
	"github.com/defender2adx/defender2adx/emulator/tenant"
)

// packaged copies the files of this repository into a folder, runs `make package` there,
// and returns the zip. What was built elsewhere is not copied.
func packaged(t *testing.T, folder, umask string, modified time.Time) string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = "../.."
	names, err := list.Output()
	if err != nil {
		t.Skip("no git repository: ", err)
	}
	for name := range strings.SplitSeq(strings.Trim(string(names), "\x00"), "\x00") {
		if strings.HasPrefix(name, "emulator/") || strings.HasSuffix(name, "_test.go") {
			continue // the package has nothing of these
		}
		text, err := os.ReadFile(filepath.Join("../..", name))
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted, and not committed yet
		}
		to := filepath.Join(folder, name)
		if err == nil {
			err = errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, text, 0o755), os.Chtimes(to, modified, modified))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "umask "+umask+" && make --no-print-directory package VERSION=1.2.3")
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "TZ=Asia/Tokyo", "GOFLAGS=") // flags of this test's own run change no package
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make package: %v\n%s", err, out)
	}
	return filepath.Join(folder, "build/defender2adx.zip")
}

// The package is the same bytes from another folder, at another umask and time; it has
// the layout and modes that Azure wants, its licences, and runs from a folder that
// nobody may write to.
func TestPackage_IsReproducibleAndRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("long: not with -short")
	}
	one := packaged(t, t.TempDir(), "022", time.Now())
	two := packaged(t, filepath.Join(t.TempDir(), "another folder"), "077", time.Unix(1_000_000_000, 0))
	a, errA := os.ReadFile(one)
	b, errB := os.ReadFile(two)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Fatalf("two builds differ: %d and %d bytes, %v", len(a), len(b), errors.Join(errA, errB))
	}

	root := filepath.Join(t.TempDir(), "wwwroot")
	want := []string{"LICENSE", "THIRD-PARTY-NOTICES.txt", "deadletter/function.json", "handler", "host.json", "migrate/function.json", "queries/AlertEntities.kql", "queries/EmailThreats.kql",
		"queries/ExploitableSoftware.kql", "queries/FailedLogons.kql", "queries/FileHashes.kql", "queries/HostLogons.kql", "queries/Hosts.kql", "queries/PublicConnections.kql",
		"queries/ScriptDownloads.kql", "queries/Users.kql", "schedule/function.json", "setup/function.json", "tables/function.json"}
	if names := unpack(t, one, root); !slices.Equal(names, want) {
		t.Errorf("the package holds %v, want %v", names, want)
	}
	notices, err := os.ReadFile(filepath.Join(root, "THIRD-PARTY-NOTICES.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"github.com/Azure/azure-sdk-for-go/sdk/azidentity v", "github.com/alecthomas/kong v", "Go standard library go1", "Permission is hereby granted"} {
		if !strings.Contains(string(notices), name) {
			t.Errorf("THIRD-PARTY-NOTICES.txt lacks %q", name)
		}
	}
	if out, err := exec.CommandContext(t.Context(), filepath.Join(root, "handler"), "--version").Output(); err != nil || strings.TrimSpace(string(out)) != "1.2.3" {
		t.Errorf("handler --version: %q, %v", out, err)
	}
	runs(t, root)
	if left := files(t, root); !slices.Equal(left, want) {
		t.Errorf("after a run the folder holds %v", left)
	}
}

// unpack lays a zip out with the modes in it and takes the right to write away.
func unpack(t *testing.T, path, root string) (names []string) {
	t.Helper()
	r, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, f := range r.File {
		names = append(names, f.Name)
		from, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(from)
		to := filepath.Join(root, f.Name)
		if err := errors.Join(err, os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, text, f.Mode()&0o555)); err != nil {
			t.Fatal(err)
		}
	}
	folders := append([]string{root}, glob(t, filepath.Join(root, "*", "."))...)
	for _, f := range folders {
		if err := os.Chmod(f, 0o555); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, f := range folders {
			_ = os.Chmod(f, 0o755)
		}
	})
	return names
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func files(t *testing.T, root string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(root, path)
			names = append(names, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// runs starts the unpacked app under the local host against the emulators: the handler
// comes up and a function answers.
func runs(t *testing.T, root string) {
	t.Helper()
	e, err := stack.Start(t.Context(), stack.Options{Data: tenant.New(time.Now())})
	if errors.Is(err, azurite.ErrNotInstalled) {
		azuritetest.SkipNotInstalled(t, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	app := stack.App{Root: root}
	if out, err := e.Setup(t.Context(), app, "none"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	host, err := e.StartHost(t.Context(), app, nil, funchost.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx, done := context.WithTimeout(context.Background(), 20*time.Second)
		defer done()
		if err := host.Stop(ctx); err != nil {
			t.Error(err)
		}
	}()
	reply, err := http.Get(host.URL() + "/api/setup")
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	text, _ := io.ReadAll(reply.Body)
	if reply.StatusCode != http.StatusOK || !strings.Contains(string(text), `"ready":true`) {
		t.Errorf("GET /api/setup: %s %s", reply.Status, text)
	}
}
