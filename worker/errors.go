package worker

import (
	"errors"
	"fmt"

	"spate/job"
)

// errStopping is why jobs end when the worker was told to stop and the grace is over.
var errStopping = errors.New("the worker stops")

// errRunCancelled is why a job is not started: its run was cancelled while its inputs were fetched.
var errRunCancelled = errors.New("the run is cancelled")

// errTimedOut is why a process ends that ran longer than its job may.
var errTimedOut = errors.New("timed out")

// jobError is a failure that is the job's own: its attempt has failed.
type jobError struct {
	Cause    string
	ExitCode *int // nil when no process ended by itself
}

// Error is the cause.
func (e *jobError) Error() string { return e.Cause }

func jobErrorf(format string, args ...any) *jobError {
	return &jobError{Cause: fmt.Sprintf(format, args...)}
}

// inputChangedError says that an input is not what the job's key was derived from.
type inputChangedError struct {
	Input string // staged name
	Cause string
}

// Error names the input and what is wrong with it.
func (e *inputChangedError) Error() string { return fmt.Sprintf("input %q: %s", e.Input, e.Cause) }

// parentLostError says that a parent's output, or a part of it, is missing or corrupt.
type parentLostError struct {
	Parent job.Key
	Cause  string
	ETag   string // of the manifest that promises what is not there; "" when there is none
}

// Error names the parent and what is wrong with its output.
func (e *parentLostError) Error() string {
	return fmt.Sprintf("output of parent %s: %s", e.Parent.Short(), e.Cause)
}

// diskError is an error of the worker's own disk.
type diskError struct{ err error }

// Error is the error's own text.
func (e *diskError) Error() string { return e.err.Error() }

// Unwrap is the error.
func (e *diskError) Unwrap() error { return e.err }

func onDisk(err error) error {
	if err == nil {
		return nil
	}
	return &diskError{err}
}
