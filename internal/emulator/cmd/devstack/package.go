package main

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

type packageCommand struct {
	app
	Zip string `help:"File to write." default:"build/defender2adx.zip"`
}

// Run writes the app's files with Unix modes: the host needs the execute bit on
// the handler, which most deploy tools lose. Times are fixed, so that one build
// always gives one zip.
func (c packageCommand) Run(*process) (err error) {
	app, err := c.open()
	if err != nil {
		return err
	}
	out, err := os.Create(c.Zip)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w := zip.NewWriter(out)
	files := 0
	err = filepath.WalkDir(app.Root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "local.settings.json" {
			return err
		}
		name, err := filepath.Rel(app.Root, path)
		if err != nil {
			return err
		}
		header := &zip.FileHeader{Name: filepath.ToSlash(name), Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
		header.SetMode(0o644)
		if name == "handler" {
			header.SetMode(0o755)
		}
		to, err := w.CreateHeader(header)
		if err != nil {
			return err
		}
		from, err := os.Open(path)
		if err != nil {
			return err
		}
		defer from.Close()
		files++
		_, err = io.Copy(to, from)
		return err
	})
	if err := errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("write %s: %w", c.Zip, err)
	}
	fmt.Printf("%s: %d files\n", c.Zip, files)
	return nil
}
