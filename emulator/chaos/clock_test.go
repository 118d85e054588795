package chaos

import (
	"os/exec"
	"testing"
)

func TestOverlay_BuildsWithTheHandler(t *testing.T) {
	path, err := overlay(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const app = "github.com/defender2adx/defender2adx/handler/app"
	if out, err := exec.Command("go", "build", "-overlay", path, app).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
