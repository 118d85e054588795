package funchost

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestHost_HandlerExits(t *testing.T) {
	t.Run("200 restarts for free, on the same port, with a new id", func(t *testing.T) {
		h, r := startTest(t, Options{AppRoot: testApp(t, "", webApp)})
		for i := range 4 {
			if err := h.Invoke(t.Context(), "run", "exit 200"); err == nil {
				t.Fatal("the invocation did not fail with its handler")
			}
			r.event(t, HandlerReady, i+2)
		}
		first, last := r.call(t, 1), r.call(t, 4)
		if first.Env["FUNCTIONS_CUSTOMHANDLER_PORT"] != last.Env["FUNCTIONS_CUSTOMHANDLER_PORT"] {
			t.Error("the port changed")
		}
		if first.Env["FUNCTIONS_CUSTOMHANDLER_WORKER_ID"] == last.Env["FUNCTIONS_CUSTOMHANDLER_WORKER_ID"] {
			t.Error("the worker id stayed")
		}
		if err := h.Invoke(t.Context(), "run", ""); err != nil {
			t.Errorf("invocation after the restarts: %v", err)
		}
	})
	t.Run("0 stays dead", func(t *testing.T) {
		h, r := startTest(t, Options{AppRoot: testApp(t, "", webApp)})
		_ = h.Invoke(t.Context(), "run", "exit 0")
		r.event(t, HandlerExited, 1)
		for range 3 {
			if err := h.Invoke(t.Context(), "run", ""); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("error = %v, want connection refused", err)
			}
		}
		if got := h.Stats(); got.Starts != 1 || got.Failed != 4 {
			t.Errorf("stats = %+v, want one start, four failures", got)
		}
	})
	t.Run("the third error stops the host", func(t *testing.T) {
		h, r := startTest(t, Options{AppRoot: testApp(t, "", webApp)})
		for i := range 2 {
			_ = h.Invoke(t.Context(), "run", "exit 3")
			r.event(t, HandlerReady, i+2)
		}
		if err := h.KillHandler(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := h.Wait(); err == nil || !strings.Contains(err.Error(), "restart limit") {
			t.Errorf("Wait = %v, want the restart limit", err)
		}
	})
	t.Run("errors far apart are forgotten", func(t *testing.T) {
		h, r := startTest(t, Options{AppRoot: testApp(t, "", webApp), Timing: Timing{RestartWindow: time.Nanosecond}})
		for i := range 5 {
			_ = h.Invoke(t.Context(), "run", "exit 3")
			r.event(t, HandlerReady, i+2)
		}
		if got := h.Stats(); got.Restarts != 5 {
			t.Errorf("stats = %+v, want five restarts", got)
		}
	})
}

func TestStart_Errors(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		env   []string
		want  string
	}{
		{"no host.json", map[string]string{"host.json": ""}, nil, "host.json"},
		{"handler missing", map[string]string{"host.json": minimalHost}, nil, "find handler handler"},
		{"handler not executable", map[string]string{"host.json": minimalHost, "handler": "text"}, nil, "start handler"},
		{"handler fails at once", nil, []string{"TEST_EXIT_AT_START=3"}, "restart limit"},
		{"handler ends at once", nil, []string{"TEST_EXIT_AT_START=0"}, "exited with code 0"},
		{"handler never answers", nil, []string{"TEST_SILENT=1", "AzureFunctionsJobHost__customHandler__initializationTimeout=00:00:00.2"}, "restart limit"},
		{"another runtime", nil, []string{"FUNCTIONS_WORKER_RUNTIME=node"}, "want custom"},
		{"no storage for a timer", map[string]string{"tick/function.json": timerFunction}, []string{"AzureWebJobsStorage="}, "find connection AzureWebJobsStorage"},
		{"no storage for a queue", map[string]string{"work/function.json": strings.Replace(queueFunction, "%JOBS%", "jobs", 1)}, []string{"AzureWebJobsStorage="}, "find connection AzureWebJobsStorage"},
		{"useless storage for a timer", map[string]string{"tick/function.json": timerFunction}, []string{"AzureWebJobsStorage=http://nonsense"}, "connection string"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base := slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "FUNCTIONS_") })
			opts := Options{AppRoot: testApp(t, "", tt.files), BaseEnv: base}
			if tt.name == "another runtime" {
				opts.Env = tt.env
				_, err := Start(t.Context(), opts)
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error = %v, want %q", err, tt.want)
				}
				return
			}
			opts.Env = tt.env
			_, _, err := tryStart(t, opts)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestHost_FunctionTimeoutKillsTheHandlerForAll(t *testing.T) {
	h, r := startTest(t, Options{AppRoot: testApp(t, "", webApp), Timing: Timing{FunctionTimeout: 200 * time.Millisecond, TimeoutGrace: time.Millisecond}})
	for i := range 4 { // more often than errors would be forgiven
		if err := h.Invoke(t.Context(), "run", "hang"); !errors.Is(err, ErrFunctionTimeout) {
			t.Fatalf("error = %v, want ErrFunctionTimeout", err)
		}
		r.event(t, HandlerReady, i+2)
	}
	if got := h.Stats(); got.Timeouts != 4 || got.Failed != 4 || got.Restarts != 4 {
		t.Errorf("stats = %+v, want four timeouts, failures and restarts", got)
	}
}

func TestHost_TwoTimeoutsInOneInstantEndIt(t *testing.T) {
	h, _ := startTest(t, Options{AppRoot: testApp(t, "", webApp), Timing: Timing{FunctionTimeout: 200 * time.Millisecond, TimeoutGrace: time.Millisecond}})
	done := make(chan error, 2)
	for range 2 {
		go func() { done <- h.Invoke(t.Context(), "run", "hang") }()
	}
	for range 2 {
		if err := <-done; !errors.Is(err, ErrFunctionTimeout) {
			t.Fatalf("error = %v, want ErrFunctionTimeout", err)
		}
	}
	select {
	case <-h.Done():
	case <-t.Context().Done():
		t.Fatal("the host goes on")
	}
	if err := h.Wait(); !errors.Is(err, ErrTwoTimeouts) {
		t.Errorf("host ended with %v, want ErrTwoTimeouts", err)
	}
}

func TestHost_FrozenHandlerGoesOnWhenThawed(t *testing.T) {
	h, r := startTest(t, Options{AppRoot: testApp(t, "", webApp)})
	if err := h.FreezeHandler(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- h.Invoke(t.Context(), "run", "") }()
	r.event(t, InvocationStarted, 1)
	if err := h.ThawHandler(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("invocation = %v", err)
	}
	if got := h.Stats(); got.Restarts != 0 {
		t.Errorf("stats = %+v, want no restart", got)
	}
}

func TestHost_FaultsAroundTheCall(t *testing.T) {
	var h *Host
	injected := errors.New("injected")
	faults := Faults{
		BeforeCall: func(_ context.Context, inv Invocation) {
			if inv.Function == "kill" {
				_ = h.KillHandler(syscall.SIGKILL)
			}
		},
		AfterCall: func(_ context.Context, inv Invocation, err error) error {
			if inv.Function == "spoil" {
				return errors.Join(err, injected)
			}
			return err
		},
	}
	h, r := startTest(t, Options{AppRoot: testApp(t, "", map[string]string{"kill/function.json": webFunction("kill", ""), "spoil/function.json": webFunction("spoil", "")}), Faults: faults})
	if err := h.Invoke(t.Context(), "spoil", ""); !errors.Is(err, injected) {
		t.Errorf("error = %v, want the injected one", err)
	}
	if err := h.Invoke(t.Context(), "kill", "hang"); err == nil {
		t.Error("the invocation outlived its handler")
	}
	r.event(t, HandlerReady, 2)
}

func TestHost_Stop(t *testing.T) {
	gone := func(h *Host) bool { return isClosed(h.handler.process().exited) }
	t.Run("kills what still runs", func(t *testing.T) {
		h, r := startTest(t, Options{AppRoot: testApp(t, "", webApp)})
		done := make(chan error, 1)
		go func() { done <- h.Invoke(t.Context(), "run", "hang") }()
		r.call(t, 1)
		if err := h.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err == nil {
			t.Error("the hanging invocation succeeded")
		}
		if !gone(h) {
			t.Error("the handler is alive")
		}
		if err := h.Wait(); err != nil {
			t.Errorf("Wait = %v", err)
		}
		for _, line := range r.lines {
			if line.Text == "got SIGTERM" {
				t.Error("the handler got SIGTERM, which the host never sends")
			}
		}
		if err := h.Invoke(t.Context(), "run", ""); err == nil {
			t.Error("a stopped host took an invocation")
		}
	})
	t.Run("SIGTERM first on request", func(t *testing.T) {
		h, r := startTest(t, Options{AppRoot: testApp(t, "", webApp), Faults: Faults{TermGrace: time.Minute}})
		if err := h.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := r.lines[len(r.lines)-1].Text; got != "got SIGTERM" {
			t.Errorf("last line = %q", got)
		}
		if e := r.event(t, HandlerExited, 1); e.ExitCode != 0 {
			t.Errorf("exit code = %d", e.ExitCode)
		}
	})
	t.Run("a frozen handler too", func(t *testing.T) {
		h, _ := startTest(t, Options{AppRoot: testApp(t, "", webApp)})
		if err := h.FreezeHandler(); err != nil {
			t.Fatal(err)
		}
		if err := h.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !gone(h) {
			t.Error("the handler is alive")
		}
	})
}

// TestHost_HandlerDiesWithTheHost kills a host in a process of its own.
func TestHost_HandlerDiesWithTheHost(t *testing.T) {
	if root := os.Getenv("FUNCHOST_TEST_HOST"); root != "" {
		h, _ := startTest(t, Options{AppRoot: root})
		os.Stdout.WriteString("PID " + strconv.Itoa(h.HandlerPID()) + "\n")
		select {}
	}
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skip("SKIPPED: only Linux ties the handler's life to the host's")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	host := exec.Command(self, "-test.run", "^TestHost_HandlerDiesWithTheHost$")
	host.Env = append(os.Environ(), "FUNCHOST_TEST_HOST="+testApp(t, "", webApp))
	pids := make(chan string, 1)
	host.Stdout = &lineWriter{line: func(text string) {
		if pid, ok := strings.CutPrefix(text, "PID "); ok {
			pids <- pid
		}
	}}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	pid := <-pids
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = host.Wait()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("handler %s outlived its host", pid)
		}
	}
}
