// Package kqlcheck checks KQL with Microsoft's own parser, which runs in Node: what
// the emulators accept, the service need not. It executes nothing.
package kqlcheck

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
)

// Checker is a running parser with one database. It is for one goroutine.
type Checker struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// Problem is one thing that is wrong with a text. Line and Column count from one.
type Problem struct {
	Code         string `json:"code"` // of the parser (KS...), or the name of a rule of ours
	Line, Column int
	Message      string
}

func (p Problem) String() string {
	return fmt.Sprintf("%d:%d: %s: %s", p.Line, p.Column, p.Code, p.Message)
}

// request is a line of what check.cjs reads.
type request struct {
	Op      string  `json:"op"`
	Text    string  `json:"text,omitempty"`
	Apply   bool    `json:"apply,omitempty"`
	Columns string  `json:"columns,omitempty"`
	Tables  []Table `json:"tables,omitempty"`
}

// Table is a table that stands before anything is deployed.
type Table struct {
	Name    string `json:"name"`
	Columns string `json:"columns"` // "(A: string, B: long)"
}

// Start runs the parser. root is the repository, with the Node packages of its folder
// emulator installed.
func Start(ctx context.Context, root string) (*Checker, error) {
	c := &Checker{cmd: exec.CommandContext(ctx, "node", filepath.Join(root, "emulator", "kqlcheck", "check.cjs"))}
	var errs [2]error
	var out io.Reader
	c.in, errs[0] = c.cmd.StdinPipe()
	out, errs[1] = c.cmd.StdoutPipe()
	if err := errors.Join(append(errs[:], c.cmd.Start())...); err != nil {
		return nil, fmt.Errorf("start the KQL parser: %w; it needs Node and `npm ci --prefix emulator`", err)
	}
	c.out = bufio.NewReaderSize(out, 1<<20)
	return c, nil
}

// Close ends the parser.
func (c *Checker) Close() error {
	return errors.Join(c.in.Close(), c.cmd.Wait())
}

func (c *Checker) ask(r request) ([]Problem, error) {
	if err := json.NewEncoder(c.in).Encode(r); err != nil {
		return nil, fmt.Errorf("ask the KQL parser: %w", err)
	}
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("ask the KQL parser: %w; it needs Node and `npm ci --prefix emulator`", err)
	}
	var answer struct{ Errors []Problem }
	if err := json.Unmarshal(line, &answer); err != nil {
		return nil, fmt.Errorf("ask the KQL parser: %w", err)
	}
	return answer.Errors, nil
}

// Reset empties the database, but for the tables.
func (c *Checker) Reset(tables ...Table) error {
	_, err := c.ask(request{Op: "reset", Tables: tables})
	return err
}

// Apply checks a control command and does to the database what it says. columns, "A
// string, B long", is what a function must return; empty: anything.
func (c *Checker) Apply(text, columns string) ([]Problem, error) {
	return c.ask(request{Op: "command", Text: text, Apply: true, Columns: columns})
}

// Query checks a query of ours, or a control command that changes nothing.
func (c *Checker) Query(text string) ([]Problem, error) {
	if strings.HasPrefix(strings.TrimSpace(text), ".") {
		return c.ask(request{Op: "command", Text: text})
	}
	return c.ask(request{Op: "query", Text: text})
}

// Words returns the words that the language knows as such: keywords and names of types.
func (c *Checker) Words() ([]string, error) {
	found, err := c.ask(request{Op: "words"})
	words := make([]string, len(found))
	for i, word := range found {
		words[i] = word.Message
	}
	return words, err
}

// Hunting checks whether somebody's query binds to the database, whatever its manners.
func (c *Checker) Hunting(text string) ([]Problem, error) {
	return c.ask(request{Op: "hunting", Text: text})
}
