package worker

import "syscall"

// processAttributes puts a child into a group of its own, and ends it when the worker is killed.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
