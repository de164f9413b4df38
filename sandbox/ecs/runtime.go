package ecs

import (
	"context"
	"time"
)

// Runtime runs tasks' containers. Start is called concurrently.
type Runtime interface {
	// Start runs the container. Its error is the task's stoppedReason, such as
	// "CannotStartContainerError: …". ctx ends when the task is to stop while it
	// is still starting; a process that was started outlives it.
	Start(ctx context.Context, spec TaskSpec) (Process, error)
}

// Process is a container that was started.
type Process interface {
	// Stop asks the process to end (SIGTERM) and, if it still runs after the
	// grace, makes it (SIGKILL); a grace of 0 makes it at once. It returns at
	// once; further calls do nothing but shorten the grace.
	Stop(grace time.Duration)
	// Wait blocks until nothing of the process is left, and says how it ended.
	Wait() Exit
}

// Exit is how a container ended.
type Exit struct {
	// Code is the exit code; 128 + the signal's number after a signal.
	Code int
	// Reason is the container's reason, usually empty.
	Reason string
}

// TaskSpec is what a Runtime needs to know of a task.
type TaskSpec struct {
	// ID is the task's id.
	ID string
	// Image is the container's, as the task definition names it.
	Image string
	// Command is entry point and command, with the override in its place.
	Command []string
	// Environment is the container's own, as "NAME=value"; of equal names the
	// last counts.
	Environment []string
}
