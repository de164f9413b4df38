package ecs

import (
	"context"
	"errors"
	"time"
)

// supervisor is the part of a running task that is not state: how to stop it.
type supervisor struct {
	cancel  context.CancelFunc // ends the start delay and the start
	process Process            // nil until the task runs
	grace   time.Duration      // between SIGTERM and SIGKILL
}

// supervise takes one task from PROVISIONING to STOPPED.
func (s *Server) supervise(ctx context.Context, t *task) {
	defer s.group.Done()
	if err := s.startUp(ctx, t); err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		t.failStart(time.Now(), err.Error())
		s.forget(t)
		return
	}
	s.mu.Lock()
	process := s.supervisors[t.id].process
	s.mu.Unlock()
	exit := process.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	t.exit(time.Now(), exit.Code, exit.Reason)
	s.forget(t)
}

// errStoppedEarly is why a task that was stopped before it ran did not start.
var errStoppedEarly = errors.New("task stopped before it was started")

// startUp waits for the start delay and starts the process. A task that is
// stopped meanwhile is not started, or told to stop at once.
func (s *Server) startUp(ctx context.Context, t *task) error {
	if s.options.StartDelay > 0 {
		delay := time.NewTimer(s.options.StartDelay)
		defer delay.Stop()
		select {
		case <-delay.C:
		case <-ctx.Done():
			return errStoppedEarly
		}
	}
	s.mu.Lock()
	if t.desired == stopped {
		s.mu.Unlock()
		return errStoppedEarly
	}
	t.pull(time.Now())
	spec := s.spec(t)
	s.mu.Unlock()
	process, err := s.options.Runtime.Start(ctx, spec)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.start(time.Now())
	supervisor := s.supervisors[t.id]
	supervisor.process = process
	if t.desired == stopped {
		process.Stop(supervisor.grace)
	}
	return nil
}

// spec is what the runtime is told; variables of the task come after those that
// ECS itself sets.
func (s *Server) spec(t *task) TaskSpec {
	spec := TaskSpec{
		ID: t.id, Image: t.definition.container().Image, Command: t.command,
		Environment: []string{"ECS_CONTAINER_METADATA_URI_V4=" + s.options.MetadataURL + "/v4/" + t.id},
	}
	for _, variable := range t.variables {
		spec.Environment = append(spec.Environment, variable.Name+"="+variable.Value)
	}
	return spec
}

// stop makes a task stop. The lock must be held.
func (s *Server) stop(t *task, reason string, grace time.Duration) {
	t.askToStop(time.Now(), userInitiated, reason)
	supervisor := s.supervisors[t.id]
	if supervisor == nil {
		return // stopped already
	}
	supervisor.grace = grace
	supervisor.cancel()
	if supervisor.process != nil {
		supervisor.process.Stop(grace)
	}
}

func (s *Server) forget(t *task) {
	s.supervisors[t.id].cancel()
	delete(s.supervisors, t.id)
}
