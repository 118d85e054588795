package main

import (
	"archive/zip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What is deployed carries the licence, and the handler can be run.
func TestWrite_TakesTheLicence(t *testing.T) {
	app, to := t.TempDir(), filepath.Join(t.TempDir(), "app.zip")
	for _, name := range []string{"host.json", "handler", "local.settings.json"} {
		if err := os.WriteFile(filepath.Join(app, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(app, to); err == nil || !strings.Contains(err.Error(), "LICENSE") {
		t.Errorf("without a licence: %v", err)
	}
	for _, name := range []string{"LICENSE", "THIRD-PARTY-NOTICES.txt"} {
		if err := os.WriteFile(filepath.Join(app, name), []byte("MIT"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(app, to); err != nil {
		t.Fatal(err)
	}
	r, err := zip.OpenReader(to)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var names []string
	for _, f := range r.File {
		names = append(names, f.Name)
		if f.Name == "handler" && f.Mode() != 0o755 {
			t.Errorf("the handler has mode %v", f.Mode())
		}
	}
	if want := []string{"LICENSE", "THIRD-PARTY-NOTICES.txt", "handler", "host.json"}; !slices.Equal(names, want) {
		t.Errorf("packed %v, want %v", names, want)
	}
}

// The build puts beside the handler what the package wants.
func TestMakefile_CopiesTheLicence(t *testing.T) {
	text, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "cp host.json LICENSE $(APP)/") {
		t.Error("make build leaves LICENSE out of the app folder")
	}
}
