package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/defender2adx/defender2adx/emulator/hunting"
	"github.com/defender2adx/defender2adx/emulator/stack"
)

// planFigures hold what `handler plan` says against what the run then does, on tables
// of about twenty slices: rows, and all calls that the emulated tenant saw.
func planFigures(ctx context.Context, b *Bench) error {
	for _, c := range []struct {
		name  string
		first batch // copied before the plan; no rows: the plan is of a first run
		rest  batch
	}{
		{"first", batch{}, batch{rows: b.of(800_000, 2000), width: 1000, from: 120 * time.Hour}},
		{"later", batch{rows: 5000, width: 1000, from: 120 * time.Hour}, batch{rows: b.of(800_000, 2000), width: 1000, from: 61 * time.Hour}},
		{"skew", batch{rows: 5000, width: 1000, from: 120 * time.Hour}, batch{rows: b.of(800_000, 2000), width: 1000, from: 61 * time.Hour, hotHour: 0.5, hotDevice: 0.1}},
		{"first-wide", batch{}, batch{rows: b.of(400_000, 2000), width: 2000, from: 120 * time.Hour}},
	} {
		if b.Short && c.name != "later" {
			continue // it shows that all of it works
		}
		if err := b.planFigure(ctx, c.name, c.first, c.rest); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bench) planFigure(ctx context.Context, name string, first, rest batch) (err error) {
	const border = 62 * time.Hour
	rest.to = 2 * time.Hour
	batches := []*batch{&rest}
	if first.rows > 0 {
		first.to = border + time.Hour
		batches = []*batch{&first, &rest}
	}
	data, err := load(batches...)
	if err != nil {
		return err
	}
	s, err := b.open(ctx, data, hunting.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if first.rows > 0 {
		if _, err := s.copyOnce(ctx, map[string]string{"MIGRATION_SETTLE": border.String()}); err != nil {
			return err
		}
	}
	said, err := s.planned(ctx)
	if err != nil {
		return err
	}
	w, err := s.copyOnce(ctx, nil)
	if err != nil {
		return err
	}
	b.figure("plan", name, "planned_calls", said.Calls, "calls", w.calls, "planned_rows", said.Rows, "rows", w.rows)
	return nil
}

// plannedFigures are what the command says of the table.
type plannedFigures struct {
	Rows          int64
	Calls, Slices int
}

// planned runs `handler plan`.
func (s *site) planned(ctx context.Context) (out plannedFigures, err error) {
	env := s.Settings()
	for name, value := range settings(map[string]string{"MIGRATION_APP_ID": "bench1"}) {
		env[name] = value
	}
	if s.adopted {
		delete(env, "MIGRATION_APP_ID") // the service has said it
	}
	cmd := exec.CommandContext(ctx, s.bench.App.Handler(), "plan", "--output", "json", benchTable)
	cmd.Env = stack.Environment(env)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return out, fmt.Errorf("handler plan: %w\n%s%s", err, stdout.String(), stderr.String())
	}
	return out, json.Unmarshal(stdout.Bytes(), &out)
}
