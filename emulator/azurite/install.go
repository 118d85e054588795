package azurite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrNotInstalled means that node or a node package is missing. Nothing has been
// started.
var ErrNotInstalled = errors.New("not installed")

// modulePath identifies this module's go.mod.
const modulePath = "github.com/defender2adx/defender2adx"

// NodeModules finds the directory of the node packages that package-lock.json of
// emulator pins: the value of D2A_NODE_MODULES, else
// emulator/node_modules of the module the working directory is in. A
// directory that does not exist is ErrNotInstalled, with the remedy.
func NodeModules() (string, error) {
	dir := os.Getenv("D2A_NODE_MODULES")
	if dir == "" {
		root, err := moduleRoot()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(root, "emulator", "node_modules")
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", fmt.Errorf("find node packages in %s: %w: run `make node` (npm ci) or set D2A_NODE_MODULES", dir, ErrNotInstalled)
	}
	return dir, nil
}

// moduleRoot walks up from the working directory; go test sets that to the
// package, go run leaves it where the user stands.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find module root: %w", err)
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module "+modulePath+"\n") {
			return dir, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("find module root: %w", err)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("find node packages: %w: not inside module %s, set D2A_NODE_MODULES", ErrNotInstalled, modulePath)
		}
		dir = parent
	}
}

// script returns Azurite's entry point in nodeModules, or in NodeModules() if
// that is empty. The file is run by node directly: the shim in .bin would be one
// more process to end.
func script(nodeModules string) (string, error) {
	if nodeModules == "" {
		dir, err := NodeModules()
		if err != nil {
			return "", err
		}
		nodeModules = dir
	}
	path := filepath.Join(nodeModules, "azurite", "dist", "src", "azurite.js")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("find azurite in %s: %w: run `make node` (npm ci)", nodeModules, ErrNotInstalled)
	}
	return path, nil
}
