//go:build unix && !linux

package child

import "syscall"

// Group puts a task into a group of its own. A task outlives this process
// if that is killed: only Linux can prevent it.
func Group() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
