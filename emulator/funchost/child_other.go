//go:build !linux

package funchost

import "syscall"

// childAttributes are empty: only Linux can tie the handler's life to the host's,
// so elsewhere a host that is killed hard leaves the handler running.
func childAttributes() *syscall.SysProcAttr { return nil }
