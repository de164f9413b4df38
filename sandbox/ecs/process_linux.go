package ecs

import "syscall"

// processGroup puts a task into a group of its own, and has the kernel kill it
// when this process dies without stopping its tasks. The kernel goes by the
// thread that started the task, which in Go lives as long as the process unless
// a goroutine locks it and ends.
func processGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
