//go:build unix

package funchost

import (
	"os"
	"syscall"
)

func freezeProcess(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }
func thawProcess(p *os.Process) error   { return p.Signal(syscall.SIGCONT) }
