package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"spate/sandbox/child"
)

// redisStart is how long a redis-server may take to answer.
const redisStart = 10 * time.Second

// redisProcess is a redis-server that listens on a socket in a directory of its own and writes nothing to disk.
type redisProcess struct {
	command *exec.Cmd
	socket  string
	ended   chan struct{}
	output  bytes.Buffer // once ended
	err     error        // once ended
}

// startRedis starts a redis-server program.
func startRedis(program, dir string) (*redisProcess, error) {
	p := &redisProcess{socket: filepath.Join(dir, "redis.sock"), ended: make(chan struct{})}
	p.command = exec.Command(program, "--port", "0", "--unixsocket", p.socket, "--save", "", "--appendonly", "no", "--dir", dir) //nolint:noctx // close ends it
	p.command.Stdout, p.command.Stderr = &p.output, &p.output
	p.command.SysProcAttr = child.Group()
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start redis: %w", err)
	}
	go func() {
		defer close(p.ended)
		p.err = p.command.Wait()
	}()
	ctx, cancel := context.WithTimeout(context.Background(), redisStart)
	defer cancel()
	for {
		conn, err := p.dial(ctx)
		if err == nil {
			return p, conn.Close()
		}
		retry := time.NewTimer(20 * time.Millisecond)
		select {
		case <-retry.C:
		case <-p.ended:
			return nil, fmt.Errorf("start redis: %s ended: %w: %s", program, p.err, bytes.TrimSpace(p.output.Bytes()))
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("start redis: %s does not answer: %w", program, err), p.close())
		}
	}
}

func (p *redisProcess) dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", p.socket)
}

func (p *redisProcess) run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-p.ended:
		return fmt.Errorf("redis ended: %w", p.err)
	}
}

func (p *redisProcess) close() error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop redis: %w", err)
	}
	<-p.ended
	return nil
}
