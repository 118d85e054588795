package infra_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/defender2adx/defender2adx/emulator/azcli"
)

type (
	azWorld = azcli.World
	object  = azcli.Object
)

// standIn is the Azure CLI that scripts find on their PATH, built once. Hundreds of its
// processes run, so it is built without the race detector.
var standIn = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "az-")
	if err != nil {
		return "", err
	}
	standInFolder = folder
	path := filepath.Join(folder, "az")
	if out, err := exec.Command("go", "build", "-o", path, "../emulator/cmd/az").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the stand-in: %w\n%s", err, out)
	}
	return path, nil
})

var standInFolder string

func TestMain(m *testing.M) {
	code := m.Run()
	if standInFolder != "" {
		os.RemoveAll(standInFolder)
	}
	os.Exit(code)
}
