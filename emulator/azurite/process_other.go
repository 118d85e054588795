//go:build !linux

package azurite

import (
	"os"
	"syscall"
)

// terminate asks Azurite to save and end. Windows cannot send it; the process is
// then killed.
var terminate os.Signal = syscall.SIGTERM

// processAttributes leaves the child in our process group: without a parent
// death signal, a Ctrl-C that reaches both is what ends an abandoned child.
func processAttributes() *syscall.SysProcAttr { return nil }
