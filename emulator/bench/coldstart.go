package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/defender2adx/defender2adx/emulator/funchost"
	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/stack"
	"github.com/defender2adx/defender2adx/emulator/tenant"
	"github.com/defender2adx/defender2adx/internal/sleep"
)

// coldstartFigures starts the handler as the Functions host does, without one:
// until it answers GET /, and, with a wake-up sent at once, until the first row
// of a small table is in the database.
func coldstartFigures(ctx context.Context, b *Bench) error {
	now := time.Now()
	data, random := tenant.New(now), rand.New(rand.NewPCG(1, 2))
	data.Run(time.Now)
	tables := data.TableNames()[:b.of(21, 2)] // each start copies one that was never copied
	for _, t := range tables {
		if err := data.Append(t, now.Add(-2*time.Hour), row(random, 1, now, 400)); err != nil {
			return err
		}
	}
	s, err := b.open(ctx, data, hunting.Options{}, tables...)
	if err != nil {
		return err
	}
	var ready, row []float64
	for _, t := range tables {
		var r, f float64
		if r, f, err = s.coldstart(ctx, t); err != nil {
			break
		}
		ready, row = append(ready, r), append(row, f)
	}
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	b.figure("coldstart", "small-table", "ready_ms", median(ready), "first_row_ms", median(row))
	return nil
}

// coldstart returns milliseconds.
func (s *site) coldstart(ctx context.Context, table string) (ready, row float64, err error) {
	port, err := funchost.FreePort()
	if err != nil {
		return 0, 0, err
	}
	changes := settings(map[string]string{"FUNCTIONS_CUSTOMHANDLER_PORT": strconv.Itoa(port)})
	all := s.Settings()
	for k, v := range changes {
		all[k] = v
	}
	cmd := exec.CommandContext(ctx, s.bench.App.Handler())
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, stack.Environment(all)...)
	cmd.Stdout, cmd.Stderr = io.Discard, os.Stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	defer func() {
		err = errors.Join(err, cmd.Process.Signal(syscall.SIGTERM))
		if waitErr := cmd.Wait(); err == nil {
			err = waitErr
		}
	}()
	base := "http://127.0.0.1:" + strconv.Itoa(port)
	if err := answers200(ctx, base); err != nil {
		return 0, 0, err
	}
	ready = milliseconds(began)
	answered := make(chan error, 1)
	go func() { answered <- wakeUp(ctx, base, table) }()
	for s.Cluster.Count(stack.Database, table+"Raw") == 0 {
		select {
		case err := <-answered:
			if err != nil || s.Cluster.Count(stack.Database, table+"Raw") == 0 {
				return 0, 0, errors.Join(fmt.Errorf("%s: answered without a row", table), err)
			}
			answered <- nil
		default:
		}
		if err := sleep.For(ctx, time.Millisecond); err != nil {
			return 0, 0, err
		}
	}
	row = milliseconds(began)
	return ready, row, <-answered
}

func milliseconds(since time.Time) float64 { return time.Since(since).Seconds() * 1000 }

// answers200 asks until the handler answers.
func answers200(ctx context.Context, base string) error {
	for {
		reply, err := http.Get(base + "/")
		if err == nil {
			reply.Body.Close()
			if reply.StatusCode == http.StatusOK {
				return nil
			}
		}
		if err := sleep.For(ctx, 200*time.Microsecond); err != nil {
			return err
		}
	}
}

// wakeUp posts what the host posts for a message, and waits for the answer.
func wakeUp(ctx context.Context, base, table string) error {
	text, err := json.Marshal(map[string]string{"table": table, "trigger": "manual"})
	if err != nil {
		return err
	}
	// The host passes a message that is JSON as text within JSON.
	envelope := map[string]any{"Data": map[string]any{"wakeup": string(text)}, "Metadata": map[string]any{"DequeueCount": "1"}}
	body, err := json.Marshal(envelope)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/migrate", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Azure-Functions-InvocationId", table)
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("wake the handler: %s", reply.Status)
	}
	return nil
}
