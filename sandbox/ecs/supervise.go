package ecs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// supervisor is the part of a running task that is not state: how to stop it.
type supervisor struct {
	cancel    context.CancelFunc // ends all waiting
	process   Process            // nil until the task runs
	grace     time.Duration      // between SIGTERM and SIGKILL
	killAfter time.Duration      // once it runs; 0: never
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
	own := *s.supervisors[t.id]
	s.mu.Unlock()
	s.after(ctx, own.killAfter, func() { own.process.Stop(0) })
	s.after(ctx, t.fate.interruption, func() { s.interrupt(t) })
	exit := own.process.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	t.exit(time.Now(), exit.Code, exit.Reason)
	s.forget(t)
}

// after does something later, unless the task has been told to stop by then; a delay of 0 is never.
func (s *Server) after(ctx context.Context, delay time.Duration, do func()) {
	if delay == 0 {
		return
	}
	s.group.Go(func() {
		if pause(ctx, delay) {
			do()
		}
	})
}

// pause waits; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// errStoppedEarly is why a task that was stopped before it ran did not start.
var errStoppedEarly = errors.New("task stopped before it was started")

// startUp takes the task through PROVISIONING and PENDING and starts the process. A task that is stopped meanwhile is
// not started, or told to stop at once.
func (s *Server) startUp(ctx context.Context, t *task) error {
	if !pause(ctx, t.fate.provisioning) {
		return errStoppedEarly
	}
	if t.fate.never {
		return errors.New(reasonNeverStarted) //nolint:staticcheck // it is a sentence of ECS
	}
	s.mu.Lock()
	if t.desired == stopped {
		s.mu.Unlock()
		return errStoppedEarly
	}
	t.pull(time.Now())
	spec, missing := s.spec(t), s.account.figures.NoImages
	s.mu.Unlock()
	if !pause(ctx, t.fate.pending) {
		return errStoppedEarly
	}
	for _, part := range missing {
		if strings.Contains(spec.Image, part) {
			return fmt.Errorf("CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref %s: %s: not found", spec.Image, spec.Image)
		}
	}
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
func (s *Server) stop(t *task, code, reason string, grace time.Duration) {
	t.askToStop(time.Now(), code, reason)
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

// interrupt takes a Spot task's capacity away: SIGTERM, and SIGKILL after its stop timeout.
func (s *Server) interrupt(t *task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop(t, spotInterruption, reasonSpot, t.definition.container().stopTimeout())
}

// Interrupt takes the capacity of up to n running Spot tasks away, the oldest first, and returns how many there were.
func (s *Server) Interrupt(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var spot []*task
	for _, c := range s.account.clusters {
		for _, t := range c.tasks {
			if t.provider == spotProvider && t.last == running {
				spot = append(spot, t)
			}
		}
	}
	slices.SortFunc(spot, func(a, b *task) int { return cmp.Or(a.created.Compare(b.created), strings.Compare(a.id, b.id)) })
	spot = spot[:min(n, len(spot))]
	for _, t := range spot { // whose time is up
		s.stop(t, spotInterruption, reasonSpot, t.definition.container().stopTimeout())
	}
	return len(spot)
}

func (s *Server) forget(t *task) {
	s.supervisors[t.id].cancel()
	delete(s.supervisors, t.id)
}
