//go:build unix

package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Times of ending a process.
const (
	killAfter  = 5 * time.Second // between SIGTERM and SIGKILL
	drainAfter = 2 * time.Second // for output still in the pipe when the process is gone
)

// command is a process to be run.
type command struct {
	args   []string // program and arguments
	dir    string
	env    []string
	path   string    // where programs without a slash are looked up
	output io.Writer // standard output and error
}

// ending is how a process ended.
type ending struct {
	code   int            // exit status, when it ended by itself
	signal syscall.Signal // that killed it, or 0
	start  error          // why it could not be started, or nil
	cut    error          // why it was made to end, or nil
}

// runProcess runs a command in a process group of its own until it ends. When ctx ends first, the group gets SIGTERM
// and, killAfter later, SIGKILL. Nothing of the group is left when runProcess returns.
func runProcess(ctx context.Context, c command) ending {
	program, err := lookUp(c.args[0], c.dir, c.path)
	if err != nil {
		return ending{start: err}
	}
	read, write, err := os.Pipe()
	if err != nil {
		return ending{start: err}
	}
	defer read.Close()
	cmd := exec.Cmd{
		Path: program, Args: c.args, Dir: c.dir, Env: c.env, Stdout: write, Stderr: write, SysProcAttr: processAttributes(),
	}
	started := make(chan error)
	ended := make(chan ending, 1)
	go func() {
		// The kernel ends the child when the thread that started it ends: keep it until the child is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- endingOf(cmd.Wait(), cmd.ProcessState)
		}
	}()
	err = <-started
	_ = write.Close() // the child has its own
	if err != nil {
		return ending{start: err}
	}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(c.output, read) // ends with the last writer, or by the deadline below
	}()
	end := wait(ctx, cmd.Process.Pid, ended)
	// Whatever the process left running goes with it. One that made a group of its own may still hold the pipe.
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	_ = read.SetReadDeadline(time.Now().Add(drainAfter))
	<-copied
	return end
}

func wait(ctx context.Context, pid int, ended <-chan ending) ending {
	select {
	case end := <-ended:
		return end
	case <-ctx.Done():
	}
	_ = syscall.Kill(-pid, syscall.SIGTERM)
	timer := time.NewTimer(killAfter)
	defer timer.Stop()
	var end ending
	select {
	case end = <-ended:
	case <-timer.C:
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		end = <-ended
	}
	end.cut = context.Cause(ctx)
	return end
}

func endingOf(err error, state *os.ProcessState) ending {
	if state == nil {
		return ending{start: err}
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return ending{signal: status.Signal()}
	}
	return ending{code: state.ExitCode()}
}

// lookUp finds a program: one without a slash in the absolute directories of path; a relative one in the work directory,
// else in the worker's own directory, which is the image's.
func lookUp(program, dir, path string) (string, error) {
	if filepath.IsAbs(program) {
		return program, isExecutable(program)
	}
	if strings.ContainsRune(program, '/') {
		if staged := filepath.Join(dir, program); isExecutable(staged) == nil {
			return staged, nil
		}
		own, err := filepath.Abs(program)
		if err != nil {
			return "", err
		}
		return own, isExecutable(own)
	}
	for _, in := range filepath.SplitList(path) {
		if candidate := filepath.Join(in, program); filepath.IsAbs(in) && isExecutable(candidate) == nil {
			return candidate, nil
		}
	}
	return "", fs.ErrNotExist
}

func isExecutable(file string) error {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return err
	case info.IsDir() || info.Mode()&0o111 == 0:
		return fs.ErrPermission
	}
	return nil
}

// judge says whether a process succeeded, and if not, why. One that was made to end did not succeed, whatever its exit
// code: it may have written a part of its output.
func judge(program string, end ending, timeout time.Duration) error {
	switch {
	case end.start != nil && errors.Is(end.start, fs.ErrNotExist):
		return jobErrorf("command not found: %s", program)
	case errors.Is(end.start, syscall.ENOSPC):
		return jobErrorf("start %s: no space left on device", program)
	case end.start != nil:
		return jobErrorf("start %s: %v", program, end.start)
	case errors.Is(end.cut, errTimedOut):
		return jobErrorf("timed out after %s", timeout)
	case end.cut != nil:
		return end.cut
	case end.signal != 0:
		return jobErrorf("killed by signal: %s", end.signal)
	case end.code == 0:
		return nil
	}
	return &jobError{Cause: fmt.Sprintf("exit code %d", end.code), ExitCode: &end.code}
}
