package funchost

import "syscall"

// childAttributes ask the kernel to kill the handler when the host dies.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
