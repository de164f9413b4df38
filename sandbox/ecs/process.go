package ecs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"spate/sandbox/child"
)

// ProcessRuntime runs each task as a child process in a process group and a
// temporary directory of its own. The image is not used: the command must be on
// this machine.
type ProcessRuntime struct {
	// Path are the directories of PATH, in order.
	Path []string
	// Environment is given to every task, as "NAME=value".
	Environment []string
	// WorkDir holds the tasks' directories; each is removed when its task ends.
	WorkDir string
	// LogDir gets one file a task, <task id>.log.
	LogDir string
	// Log receives what goes wrong around a process.
	Log zerolog.Logger
}

// Start starts the task's command. It gets PATH, HOME and TMPDIR (its own directory) and the
// environments of runtime and task, and nothing else of this process's.
func (r *ProcessRuntime) Start(_ context.Context, spec TaskSpec) (Process, error) {
	if len(spec.Command) == 0 {
		return nil, cannotStart("no command specified")
	}
	path := strings.Join(r.Path, string(os.PathListSeparator))
	program, err := lookUp(spec.Command[0], path)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(r.WorkDir, "task-")
	if err != nil {
		return nil, cannotStart(err.Error())
	}
	environment := slices.Concat([]string{"PATH=" + path, "HOME=" + dir, "TMPDIR=" + dir}, r.Environment, spec.Environment)
	p, err := startChild(program, spec, dir, lastOfEach(environment), filepath.Join(r.LogDir, spec.ID+".log"))
	if err != nil {
		_ = os.RemoveAll(dir) // empty, and in a directory that is removed at the end
		return nil, cannotStart(err.Error())
	}
	p.log = r.Log
	return p, nil
}

// container is a started process and its group.
type container struct {
	command *exec.Cmd
	dir     string
	output  *os.File
	log     zerolog.Logger

	stop sync.Mutex // guards kill and done
	kill *time.Timer
	done bool
}

func startChild(program string, spec TaskSpec, dir string, environment []string, logPath string) (*container, error) {
	output, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open task log: %w", err)
	}
	command := exec.Command(program, spec.Command[1:]...) //nolint:noctx // Stop ends it
	command.Args[0] = spec.Command[0]
	command.Dir, command.Env = dir, environment
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = child.Group()
	if err := command.Start(); err != nil {
		_ = output.Close() // nothing was written
		return nil, fmt.Errorf("start process: %w", err)
	}
	return &container{command: command, dir: dir, output: output}, nil
}

// Stop sends SIGTERM to the group, and SIGKILL after the grace; without a grace, SIGKILL.
func (c *container) Stop(grace time.Duration) {
	c.stop.Lock()
	defer c.stop.Unlock()
	if c.done {
		return
	}
	if grace <= 0 {
		c.signal(syscall.SIGKILL)
		return
	}
	if c.kill == nil {
		c.signal(syscall.SIGTERM)
		c.kill = time.AfterFunc(grace, func() {
			c.stop.Lock()
			defer c.stop.Unlock()
			if !c.done {
				c.signal(syscall.SIGKILL)
			}
		})
		return
	}
	c.kill.Reset(grace)
}

// signal reaches every process of the group, whose number stays its own while it
// has a member; a group without members is no error. The lock must be held.
func (c *container) signal(s syscall.Signal) {
	if err := syscall.Kill(-c.command.Process.Pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		c.log.Warn().Err(err).Int("pid", c.command.Process.Pid).Stringer("signal", s).Msg("signal task process")
	}
}

// Wait waits for the leader; what it leaves behind in its group is killed, as a
// container's other processes are when its first one ends.
func (c *container) Wait() Exit {
	err := c.command.Wait()
	c.stop.Lock()
	defer c.stop.Unlock()
	c.done = true
	c.signal(syscall.SIGKILL)
	if c.kill != nil {
		c.kill.Stop()
	}
	if err := errors.Join(c.output.Close(), os.RemoveAll(c.dir)); err != nil {
		c.log.Warn().Err(err).Msg("clean up after task process")
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return Exit{Code: 255, Reason: fmt.Sprintf("wait for process: %v", err)}
	}
	state := c.command.ProcessState
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return Exit{Code: 128 + int(status.Signal())}
	}
	return Exit{Code: state.ExitCode()}
}

// lookUp finds a program as a container would: by its path, or in PATH.
func lookUp(name, path string) (string, error) {
	if strings.Contains(name, "/") {
		if err := executable(name); err != nil {
			return "", cannotStart(fmt.Sprintf("exec: %q: stat %s: %v", name, name, err))
		}
		return name, nil
	}
	for _, dir := range filepath.SplitList(path) {
		if program := filepath.Join(dir, name); dir != "" && executable(program) == nil {
			return program, nil
		}
	}
	return "", cannotStart(fmt.Sprintf("exec: %q: executable file not found in $PATH", name))
}

func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fs.ErrNotExist
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return fs.ErrPermission
	}
	return nil
}

// cannotStart words a failure as Fargate does.
func cannotStart(cause string) error {
	return fmt.Errorf("CannotStartContainerError: failed to create task for container: %s", cause)
}

// lastOfEach keeps the last value of each name.
func lastOfEach(environment []string) []string {
	place := map[string]int{}
	var kept []string
	for _, entry := range environment {
		name, _, _ := strings.Cut(entry, "=")
		if at, known := place[name]; known {
			kept[at] = entry
			continue
		}
		place[name] = len(kept)
		kept = append(kept, entry)
	}
	return kept
}
