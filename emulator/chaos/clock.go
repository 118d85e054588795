package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/defender2adx/defender2adx/emulator/stack"
)

// jumpOf draws by how much a clock is wrong from now on: not at all, by seconds or by up
// to two hours, of either sign.
func jumpOf(r *rand.Rand) time.Duration {
	by := []time.Duration{0, pauseOf(r, 10*time.Second), pauseOf(r, 2*time.Hour)}[r.IntN(3)]
	if r.IntN(2) == 0 {
		by = -by
	}
	return by
}

// overlay is the argument -overlay of go build by which the handler's clock becomes one
// that jumps. dir holds the file that says so.
func overlay(dir string) (path string, err error) {
	list, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/defender2adx/defender2adx/handler/app", "github.com/defender2adx/defender2adx/emulator/chaos").Output()
	if err != nil {
		return "", fmt.Errorf("find the clock's source, which takes the Go command and a checkout: %w", err)
	}
	var product, suite string
	if _, err := fmt.Sscan(string(list), &suite, &product); err != nil {
		return "", fmt.Errorf("find the clock's source: %w", err)
	}
	if filepath.Base(suite) != "chaos" {
		suite, product = product, suite
	}
	text, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(product, "clock.go"): filepath.Join(suite, "testdata", "clock.go")}})
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, text, 0o600)
}

// withClock returns a copy of the app, in dir, whose handler has the clock that jumps.
func withClock(ctx context.Context, app stack.App, dir string) (stack.App, error) {
	out := stack.App{Root: filepath.Join(dir, "app")}
	if err := os.CopyFS(out.Root, os.DirFS(app.Root)); err != nil {
		return out, fmt.Errorf("copy the app: %w", err)
	}
	replaced, err := overlay(dir)
	if err != nil {
		return out, err
	}
	build := exec.CommandContext(ctx, "go", "build", "-overlay", replaced, "-o", out.Handler(), "github.com/defender2adx/defender2adx/handler")
	if text, err := build.CombinedOutput(); err != nil {
		return out, fmt.Errorf("build the handler with a clock that jumps: %w\n%s", err, text)
	}
	return out, nil
}

// fileClock is the clock of one host's handler.
type fileClock struct{ path string }

// set makes the clock ahead by so much.
func (c fileClock) set(ahead time.Duration) error {
	// Renamed, so that nobody reads half of it.
	next := c.path + ".next"
	return errors.Join(os.WriteFile(next, []byte(strconv.FormatInt(int64(ahead), 10)), 0o600), os.Rename(next, c.path))
}
