package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/defender2adx/defender2adx/emulator/funchost"
	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/stack"
	"github.com/defender2adx/defender2adx/emulator/tenant"
)

const (
	exportSource = "api/machines/SoftwareVulnerabilitiesExport"
	exportTable  = "DeviceTvmSoftwareVulnerabilities" // holds the data of that export
)

// exportFigures copies file exports and prints what passed through the handler
// meanwhile: the rows go from the export's storage to ADX. One is of many rows, the other
// of many files, which are what the handler has to do with.
func exportFigures(ctx context.Context, b *Bench) error {
	if b.wants("rows") {
		if err := exportFigure(ctx, b, "", b.of(1_000_000, 2000), 0); err != nil {
			return err
		}
	}
	const files = 200
	if b.Short || !b.wants("files") {
		return nil
	}
	return exportFigure(ctx, b, "files", 100*files, 100)
}

// exportFigure copies an export of so many rows; fileRows is how many a file holds, 0 for
// what the emulator does by itself.
func exportFigure(ctx context.Context, b *Bench, at string, rows, fileRows int) (err error) {
	data, err := tenant.Generate(tenant.Options{Seed: 1, Now: time.Now(), Only: []string{exportTable}, Lean: map[string]int{exportTable: rows}})
	if err != nil {
		return err
	}
	data.Run(time.Now)
	rest := stack.UnhurriedREST()
	rest.FileRows = fileRows
	e, err := stack.Start(ctx, stack.Options{Data: data, Hunting: hunting.Options{Limits: stack.Unhurried(), REST: rest}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if _, err := e.Setup(ctx, b.App, "none"); err != nil {
		return err
	}
	if err := e.ConfigureSource(ctx, exportSource); err != nil {
		return err
	}
	if _, err := e.Setup(ctx, b.App, "none"); err != nil {
		return err
	}
	changes := map[string]string{
		"MIGRATION_INGEST_POLL": "10s",          // the default: each look writes what it found
		"SSL_CERT_DIR":          e.Path("none"), // whose files would count
	}
	if b.Short {
		changes["MIGRATION_INGEST_POLL"] = "1s"
	}
	f := &watcher{tables: 1, done: make(chan int64, 1), failed: make(chan string, 1)}
	host, err := e.StartHost(ctx, b.App, settings(changes), funchost.Options{OnLine: f.line})
	if err != nil {
		return err
	}
	passed, copied, err := throughHandler(ctx, host, f)
	if err = errors.Join(err, stop(ctx, host)); err != nil {
		return err
	}
	if copied != int64(rows) {
		return fmt.Errorf("%d rows of %d were copied", copied, rows)
	}
	if at != "" {
		b.figure("export", at, "files", rows/fileRows, "handler_bytes", passed)
		return nil
	}
	b.figure("export", "", "rows", copied, "handler_bytes", passed)
	return nil
}

// throughHandler fires the timer once and returns, when the run has ended, the bytes that
// the handler process read and wrote meanwhile, and the rows copied.
func throughHandler(ctx context.Context, host *funchost.Host, f *watcher) (passed, rows int64, err error) {
	pid := host.HandlerPID()
	before, err := bytesMoved(pid)
	if err != nil {
		return 0, 0, err
	}
	if err := stack.Tick(ctx, host); err != nil {
		return 0, 0, err
	}
	select {
	case rows = <-f.done:
	case reason := <-f.failed:
		return 0, 0, fmt.Errorf("copy: %s", reason)
	case <-host.Done():
		return 0, 0, fmt.Errorf("the Functions host stopped: %w", host.Wait())
	case <-ctx.Done():
		return 0, 0, context.Cause(ctx)
	}
	if host.HandlerPID() != pid {
		return 0, 0, errors.New("the handler was started more than once")
	}
	after, err := bytesMoved(pid)
	return after - before, rows, err
}

// bytesMoved returns the bytes that a process has read and written so far, as the kernel
// counts them: those of its sockets in both directions, whoever is at their other end and
// TLS and headers included, and those of its log and files, which are few.
// Source: proc_pid_io(5), rchar and wchar.
func bytesMoved(pid int) (sum int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, fmt.Errorf("read the bytes that the handler moved: %w", err)
	}
	found := 0
	for line := range strings.Lines(string(text)) {
		var n int64
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if name != "rchar" && name != "wchar" {
			continue
		}
		if _, err := fmt.Sscan(value, &n); err != nil {
			return 0, fmt.Errorf("read the bytes that the handler moved: %w", err)
		}
		sum, found = sum+n, found+1
	}
	if found != 2 {
		return 0, errors.New("read the bytes that the handler moved: the kernel does not count them")
	}
	return sum, nil
}
