package azurite

import (
	"os"
	"syscall"
)

// terminate asks Azurite to save and end.
var terminate os.Signal = syscall.SIGTERM

// processAttributes ties the child's life to ours, and keeps a Ctrl-C on the
// terminal from ending Azurite while its users are still finishing.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
