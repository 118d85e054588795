package stack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// NoticePath is where a running stack leaves its Description, from the folder in
// which devstack was started.
const NoticePath = "build/stack.json"

// Post writes a Description to a file that only its owner can read: it holds
// every credential of the stack. The returned function removes the file, unless
// another stack has written its own there since.
func (d Description) Post(path string) (remove func() error, err error) {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	// A file of os.CreateTemp has mode 0600; renaming puts it there whole.
	file, err := os.CreateTemp(filepath.Dir(path), ".stack-*.json")
	if err != nil {
		return nil, err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(file.Name()))
	}
	return func() error {
		if there, err := os.ReadFile(path); err != nil || !bytes.Equal(there, text) {
			return nil
		}
		return os.Remove(path)
	}, nil
}

// ReadNotice reads what Post wrote.
func ReadNotice(path string) (Description, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Description{}, fmt.Errorf("no stack is running here: %s is missing; run make start in another terminal", path)
	}
	if err != nil {
		return Description{}, err
	}
	var d Description
	if err := json.Unmarshal(text, &d); err != nil {
		return d, fmt.Errorf("read %s (%d bytes): not what a stack writes", path, len(text))
	}
	return d, nil
}
