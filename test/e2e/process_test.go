package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// process is a program that a test started, in a process group of its own.
type process struct {
	name  string
	cmd   *exec.Cmd
	out   string // files that hold what it printed
	err   string
	ended chan struct{} // closed when it has ended
	meant bool          // to end, by stop or kill
}

// start starts a command of the binary under test; the test ends it.
func (in *installation) start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	return in.startProgram(t, name, program, args...)
}

func (in *installation) startProgram(t *testing.T, name, path string, args ...string) *process {
	t.Helper()
	p := &process{name: name, out: filepath.Join(in.dir, name+".stdout"), err: filepath.Join(in.dir, name+".stderr"), ended: make(chan struct{})}
	stdout, err := os.Create(p.out)
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	stderr, err := os.Create(p.err)
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	p.cmd = exec.Command(path, args...)
	p.cmd.Env, p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = in.env, in.dir, stdout, stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // its state tells
		close(p.ended)
	}()
	t.Cleanup(func() {
		if p.meant {
			p.wait(t)
			return
		}
		p.mustRun(t)
		p.stop(t)
	})
	return p
}

// stdout is what the process has printed on standard output so far.
func (p *process) stdout() []byte {
	data, _ := os.ReadFile(p.out)
	return data
}

// stderr is what the process has printed on standard error so far.
func (p *process) stderr() []byte {
	data, _ := os.ReadFile(p.err)
	return data
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// mustRun ends the test when the process has ended by itself.
func (p *process) mustRun(t *testing.T) {
	t.Helper()
	if !p.running() {
		t.Fatalf("%s ended by itself: %s\n%s", p.name, p.cmd.ProcessState, p.stderr())
	}
}

// signal sends a signal to the process, not to its group.
func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	p.meant = true
	if err := p.cmd.Process.Signal(s); err != nil && p.running() {
		t.Errorf("signal %s: %v", p.name, err)
	}
}

// kill ends the process at once, with SIGKILL, and waits until it is gone.
func (p *process) kill(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGKILL)
	p.wait(t)
}

// stop ends the process with SIGTERM and waits for it; it must obey.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	p.wait(t)
}

// obedience is how long a process that was told to end may take.
const obedience = 15 * time.Second

// wait waits until a process that was told to end has ended, and kills its group when it does not.
func (p *process) wait(t *testing.T) {
	t.Helper()
	timer := time.NewTimer(obedience)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		t.Errorf("%s did not end within %s", p.name, obedience)
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.ended
	}
}
