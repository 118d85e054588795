package chaos

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/defender2adx/defender2adx/emulator/stack"
)

// people are those who run the built handler's `migrate` beside the Functions hosts of a
// schedule: processes of their own, which are killed in the middle and gone on with by
// the service, or go on with what it left.
type people struct {
	world *world
	app   stack.App
	wait  sync.WaitGroup

	mu   sync.Mutex
	open []*exec.Cmd
}

// begin starts a command for one of the schedule's tables, which in half of the cases is
// killed some time later.
func (p *people) begin(ctx context.Context, r *rand.Rand) error {
	w, of := p.world, p.world.plan.tables[r.IntN(len(p.world.plan.tables))]
	args := []string{"migrate", of.source, "--output", "json", "--verbose"}
	if w.plan.instances() > 1 {
		name := of.instance
		if name == "" {
			name = "default"
		}
		args = append(args, "--instance", name)
	}
	cmd := exec.CommandContext(ctx, p.app.Handler(), args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, stack.Environment(w.settings())...)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	before, err := w.states(ctx)
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	w.faults.count("terminal: migrate")
	p.mu.Lock()
	p.open = append(p.open, cmd)
	p.mu.Unlock()
	ended := make(chan struct{})
	p.wait.Go(func() {
		defer close(ended)
		err := cmd.Wait()
		for lines := bufio.NewScanner(&log); lines.Scan(); {
			w.log.Info("terminal: " + lines.Text())
		}
		w.log.Info("terminal ended", "table", of.source, "says", strings.TrimSpace(out.String()), "error", err)
		var said struct{ Status string }
		if json.Unmarshal(out.Bytes(), &said) == nil && said.Status == "Success" && before[of.source].OpenRun != "" {
			w.faults.count("terminal: goes on with a run of the service")
		}
	})
	if r.IntN(2) == 0 {
		after := pauseOf(r, hostedTick)
		p.wait.Go(func() {
			select {
			case <-ended:
			case <-time.After(after):
				p.kill(ctx, cmd, of.source)
			}
		})
	}
	return nil
}

// kill ends a command as SIGKILL does.
func (p *people) kill(ctx context.Context, cmd *exec.Cmd, source string) {
	w := p.world
	now, err := w.states(ctx)
	if cmd.Process.Kill() != nil {
		return // it has ended
	}
	w.faults.count("process: killed at a terminal")
	if err == nil && now[source].OpenRun != "" {
		w.faults.count("terminal: leaves a run to the service")
	}
	w.log.Info("CHAOS killed a command", "table", source)
}

// end kills the commands that still work, and waits for all.
func (p *people) end() {
	p.mu.Lock()
	for _, cmd := range p.open {
		_ = cmd.Process.Kill() // unless it has ended
	}
	p.mu.Unlock()
	p.wait.Wait()
}
