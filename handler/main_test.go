package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// roleVariable makes this test's binary another program.
const roleVariable = "HANDLER_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "host":
		playHost()
	case "handler":
		playHandler()
	default:
		os.Exit(m.Run())
	}
}

// playHost starts a handler, as the Functions host does, and waits to be killed.
func playHost() {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"=handler")
	// Pipes that break with this process.
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		panic(err)
	}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
	}
	select {}
}

// playHandler is the handler, which leaves word of how it ended.
func playHandler() {
	err := run(nil, &process{ctx: context.Background(), getenv: os.Getenv, stdout: os.Stdout, stderr: os.Stderr})
	if err := os.WriteFile(os.Getenv("HANDLER_TEST_END"), fmt.Appendf(nil, "ended: %v", err), 0o600); err != nil {
		panic(err)
	}
}

var settings = map[string]string{
	"DEFENDER_TENANT_ID": "11111111-2222-3333-4444-555555555555", "DEFENDER_CLIENT_ID": "66666666-2222-3333-4444-555555555555",
	"KEY_VAULT_URL": "https://v.vault.azure.net", "ADX_CLUSTER_URL": "https://c.westeurope.kusto.windows.net", "ADX_DATABASE": "db",
	"MIGRATION_QUEUE": "migrations", "AzureWebJobsStorage": "UseDevelopmentStorage=true",
}

// A host that stops while an invocation runs leaves its handler behind and sends
// no signal: the handler ends by itself, in order.
func TestServe_EndsWhenItsParentIsGone(t *testing.T) {
	port, end := freePort(t), filepath.Join(t.TempDir(), "end")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.CommandContext(t.Context(), self)
	parent.Env = append(os.Environ(), roleVariable+"=host", "HANDLER_TEST_END="+end, "FUNCTIONS_CUSTOMHANDLER_PORT="+port)
	for name, value := range settings {
		parent.Env = append(parent.Env, name+"="+value)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the handler answers", func() bool {
		resp, err := http.Get("http://127.0.0.1:" + port + "/")
		if err != nil {
			return false
		}
		_ = resp.Body.Close() // nothing is read of it
		return resp.StatusCode == http.StatusOK
	})
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	eventually(t, "the handler ends", func() bool {
		text, err := os.ReadFile(end)
		return err == nil && string(text) == "ended: <nil>"
	})
}

// eventually fails when done is not true within a minute, far above what it takes.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(20 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("in vain: %s", what)
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func runWith(t *testing.T, env map[string]string, args ...string) (stdout string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	err = run(args, &process{ctx: t.Context(), getenv: func(name string) string { return env[name] }, stdout: &out, stderr: &errs})
	return out.String() + errs.String(), err
}

// helpOf is what a command says of itself; "" is the program.
func helpOf(t *testing.T, command string) (text string, err error) {
	t.Helper()
	var out bytes.Buffer
	type exited struct{}
	defer func() {
		if r := recover(); r != (exited{}) && r != nil {
			panic(r)
		}
		text = out.String()
	}()
	return "", run(append(strings.Fields(command), "--help"), &process{ctx: t.Context(), getenv: func(string) string { return "" }, stdout: &out, stderr: &out,
		exit: func(int) { panic(exited{}) }})
}

func TestRun_PrintsTheVersion(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}} {
		if out, err := runWith(t, nil, args...); err != nil || out != version+"\n" {
			t.Errorf("%v: %q, %v", args, out, err)
		}
	}
}

// An error is its own line and does not scroll away under the help.
func TestRun_AnErrorPrintsNoHelp(t *testing.T) {
	for _, args := range [][]string{{"setpu"}, {"setup", "--load=everything"}, {"--no-such-flag"}} {
		if out, err := runWith(t, nil, args...); err == nil || out != "" || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: printed %q, error %v; want one line of error alone", args, out, err)
		}
	}
}

func TestServe_APortFaultHidesNoSetting(t *testing.T) {
	_, err := runWith(t, map[string]string{"FUNCTIONS_CUSTOMHANDLER_PORT": "none", "DEFENDER_API": "xdr"})
	for _, want := range []string{"FUNCTIONS_CUSTOMHANDLER_PORT", "DEFENDER_API", "ADX_DATABASE", "AzureWebJobsStorage"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is missing in: %v", want, err)
		}
	}
}
