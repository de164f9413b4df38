package child

import "syscall"

// Group puts a process into a group of its own, and has the kernel kill it
// when this process dies without stopping it. The kernel goes by the
// thread that started it, which in Go lives as long as the process unless
// a goroutine locks it and ends.
func Group() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
