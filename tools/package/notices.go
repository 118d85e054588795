package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// module is what `go list` says of a module that a package is from.
type module struct {
	Path, Version, Dir string
	Main               bool
}

// writeNotices writes the licence of each module that is built into the handler
// of linux/amd64, and of Go itself, by module path.
func writeNotices(to string) error {
	list := exec.Command("go", "list", "-deps", "-json=Module", "./handler")
	list.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("list what the handler is built of: %w", err)
	}
	modules := map[string]module{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct{ Module *module }
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("list what the handler is built of: %w", err)
		}
		if p.Module != nil && !p.Module.Main {
			modules[p.Module.Path] = *p.Module
		}
	}
	root, err := exec.Command("go", "env", "GOROOT", "GOVERSION").Output()
	if err != nil {
		return fmt.Errorf("find Go: %w", err)
	}
	goroot, version, _ := strings.Cut(strings.TrimSpace(string(root)), "\n")
	modules["go"] = module{Path: "Go standard library", Version: version, Dir: goroot}

	var b bytes.Buffer
	b.WriteString("Defender2ADX is built with the software below, each under its own terms.\n")
	for _, key := range slices.Sorted(maps.Keys(modules)) {
		m := modules[key]
		texts, err := licences(m.Dir)
		if err != nil {
			return fmt.Errorf("module %s: %w", m.Path, err)
		}
		fmt.Fprintf(&b, "\n%s\n%s %s\n%s\n\n%s", strings.Repeat("=", 80), m.Path, m.Version, strings.Repeat("=", 80), texts)
	}
	return os.WriteFile(to, b.Bytes(), 0o644)
}

var licenceFile = regexp.MustCompile(`(?i)^((un)?licen[cs]e|copying|notice|patents)([.-].*)?$`)

// licences returns the licence and notice files of a folder; without a licence
// there is nothing that lets us ship the module.
func licences(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	found := false
	for _, e := range entries {
		if e.IsDir() || !licenceFile.MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", err
		}
		found = found || !strings.EqualFold(e.Name()[:6], "notice")
		b.WriteString(strings.TrimRight(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n") + "\n")
	}
	if !found {
		return "", errors.New("it has no licence file")
	}
	return b.String(), nil
}
