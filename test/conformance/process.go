package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"spate/sandbox/child"
)

// startWithin is how long a server may take to answer: a Java program on two busy cores takes its time.
const startWithin = 90 * time.Second

// process is a server that runs on a port of loopback.
type process struct {
	endpoint string
	command  *exec.Cmd
	cancel   context.CancelFunc
	ended    chan struct{}
}

// startProcess starts a server on a free port, which replaces PORT in its arguments, and waits until it takes connections. What it
// prints goes to a file in the directory.
func startProcess(ctx context.Context, dir, program string, arguments ...string) (*process, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	for i, argument := range arguments {
		arguments[i] = os.Expand(argument, func(string) string { return strconv.Itoa(port) })
	}
	life, cancel := context.WithCancel(ctx)
	p := &process{endpoint: "http://127.0.0.1:" + strconv.Itoa(port), cancel: cancel, ended: make(chan struct{})}
	p.command = exec.CommandContext(life, program, arguments...)
	p.command.Dir, p.command.SysProcAttr = dir, child.Group()
	log, err := os.Create(filepath.Join(dir, filepath.Base(program)+".log"))
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start %s: %w", filepath.Base(program), err)
	}
	p.command.Stdout, p.command.Stderr = log, log
	if err := p.command.Start(); err != nil {
		cancel()
		_ = log.Close()
		return nil, fmt.Errorf("start %s: %w", filepath.Base(program), err)
	}
	go func() {
		defer close(p.ended)
		_ = p.command.Wait() // it is killed in the end, or ends too early, which waiting for its port finds out
		_ = log.Close()
	}()
	if err := p.answers(ctx, port); err != nil {
		p.stop()
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("start %s: %w: %s", filepath.Base(program), err, lastLine(string(text)))
	}
	return p, nil
}

func (p *process) answers(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ticker.C:
		case <-p.ended:
			return fmt.Errorf("it ended: %s", p.command.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		}
	}
}

// stop kills the server and waits for its end.
func (p *process) stop() {
	p.cancel()
	<-p.ended
}

// freePort is a port that nobody listens on now.
func freePort(ctx context.Context) (int, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a port: %w", err)
	}
	address, _ := listener.Addr().(*net.TCPAddr)
	return address.Port, listener.Close()
}
