package ecs

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// FunctionRuntime runs each task as a call of a function, so that thousands fit in one process and into virtual time.
type FunctionRuntime struct {
	// Run is the container's program. It returns its exit code. ctx ends when the task is to stop (SIGTERM). When the grace
	// is over, or the task is killed, all that it sends through the task's Transport fails, and it must return: nothing can
	// end a goroutine from outside.
	Run func(ctx context.Context, task FunctionTask) int
	// Transport carries the tasks' requests; nil means http.DefaultTransport.
	Transport http.RoundTripper
}

// FunctionTask is what the function is told.
type FunctionTask struct {
	TaskSpec
	// Transport carries requests until the task is killed.
	Transport http.RoundTripper
	// Killed ends when the task is killed (SIGKILL).
	Killed context.Context //nolint:containedctx // it is a signal, as ctx is one
}

// Getenv looks a variable up; of equal names the last counts.
func (t FunctionTask) Getenv(name string) string {
	value := ""
	for _, entry := range t.Environment {
		if len(entry) > len(name) && entry[:len(name)] == name && entry[len(name)] == '=' {
			value = entry[len(name)+1:]
		}
	}
	return value
}

// killedCode is the exit code after SIGKILL.
const killedCode = 128 + 9

// Start calls the function in a goroutine of its own, which Wait waits for.
func (r *FunctionRuntime) Start(_ context.Context, spec TaskSpec) (Process, error) {
	if r.Run == nil {
		return nil, cannotStart("there is no function to run")
	}
	transport := r.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	c := &call{ended: make(chan struct{})}
	var asked, killed context.Context
	asked, c.ask = context.WithCancel(context.Background())
	killed, c.kill = context.WithCancel(context.Background())
	task := FunctionTask{TaskSpec: spec, Transport: severable{transport, killed}, Killed: killed}
	go func() {
		defer close(c.ended)
		c.code = r.Run(asked, task)
	}()
	c.killed = killed
	return c, nil
}

// call is a function that runs.
type call struct {
	ask, kill context.CancelFunc
	killed    context.Context //nolint:containedctx // it is a signal
	ended     chan struct{}
	code      int // once ended

	mu    sync.Mutex
	timer *time.Timer
}

// Stop ends the function's context, and kills it after the grace; a grace of 0 kills at once.
func (c *call) Stop(grace time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if grace <= 0 {
		c.kill()
		c.ask()
		return
	}
	c.ask()
	if c.timer == nil {
		c.timer = time.AfterFunc(grace, c.kill)
		return
	}
	c.timer.Reset(grace)
}

// Wait waits for the function.
func (c *call) Wait() Exit {
	<-c.ended
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
	isKilled := c.killed.Err() != nil
	c.ask()
	c.kill()
	if isKilled {
		return Exit{Code: killedCode}
	}
	return Exit{Code: c.code}
}

var errKilled = errors.New("the task was killed")

// severable is a transport until its context ends. Requests that are under way then fail too.
type severable struct {
	transport http.RoundTripper
	killed    context.Context //nolint:containedctx // it is a signal
}

// RoundTrip carries one request.
func (s severable) RoundTrip(request *http.Request) (*http.Response, error) {
	if s.killed.Err() != nil {
		return nil, errKilled
	}
	ctx, cancel := context.WithCancelCause(request.Context())
	stop := context.AfterFunc(s.killed, func() { cancel(errKilled) })
	defer stop()
	response, err := s.transport.RoundTrip(request.WithContext(ctx))
	if s.killed.Err() != nil {
		if err == nil {
			_ = response.Body.Close()
		}
		return nil, errKilled
	}
	return response, err
}
