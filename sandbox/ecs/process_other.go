//go:build unix && !linux

package ecs

import "syscall"

// processGroup puts a task into a group of its own. A task outlives this process
// if that is killed: only Linux can prevent it.
func processGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
