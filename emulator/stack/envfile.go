package stack

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// EnvPath is where a running stack leaves the settings for `handler --env-file`.
const EnvPath = "build/stack.env"

// PostSettings writes the settings of the handler, with changes over them, to a file
// that only its owner can read. The returned function removes it.
func (e *Emulators) PostSettings(path string, changes map[string]string) (remove func() error, err error) {
	settings := e.Settings()
	maps.Copy(settings, changes)
	var b strings.Builder
	for _, line := range Environment(settings) {
		name, value, _ := strings.Cut(line, "=")
		b.WriteString(name + "='" + strings.ReplaceAll(value, "'", "") + "'\n")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	// Renamed from a file of mode 0600, so that it is there whole or not at all.
	file, err := os.CreateTemp(filepath.Dir(path), ".stack-*.env")
	if err != nil {
		return nil, err
	}
	_, err = file.WriteString(b.String())
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(file.Name()))
	}
	return func() error { return os.Remove(path) }, nil
}
