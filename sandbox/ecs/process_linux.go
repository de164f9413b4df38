package ecs

import "syscall"

// processGroup puts a task into a group of its own, and has the kernel kill it
// when this process dies without stopping its tasks.
func processGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
