// Command package writes a built app as the zip that is deployed, and the notices
// of what is built into it:
//
//	go run ./tools/package notices build/app/THIRD-PARTY-NOTICES.txt
//	go run ./tools/package build/app build/defender2adx.zip
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

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: package <app folder> <zip to write>, or package notices <file to write>")
		os.Exit(2)
	}
	do := write
	if os.Args[1] == "notices" {
		do = func(_, to string) error { return writeNotices(to) }
	}
	if err := do(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "package:", err)
		os.Exit(1)
	}
}

// write puts the app's files into a zip with Unix modes: the host needs the
// execute bit on the handler, which most deploy tools lose. Times are fixed, so
// that one build always gives one zip.
func write(root, to string) (err error) {
	for _, name := range []string{"host.json", "handler", "LICENSE", "THIRD-PARTY-NOTICES.txt"} {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			return fmt.Errorf("%s is no built app: %w (make package)", root, err)
		}
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w := zip.NewWriter(out)
	files := 0
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "local.settings.json" {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		header := &zip.FileHeader{Name: filepath.ToSlash(name), Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
		header.SetMode(0o644)
		if name == "handler" {
			header.SetMode(0o755)
		}
		entryTo, err := w.CreateHeader(header)
		if err != nil {
			return err
		}
		from, err := os.Open(path)
		if err != nil {
			return err
		}
		defer from.Close()
		files++
		_, err = io.Copy(entryTo, from)
		return err
	})
	if err := errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("write %s: %w", to, err)
	}
	fmt.Printf("%s: %d files\n", to, files)
	return nil
}
