package planner

import (
	"fmt"
	"slices"

	"spate/job"
)

// Verdict is what follows from a failed attempt.
type Verdict struct {
	Retry  bool
	Reason string // a sentence's end: why there is, or is not, another attempt
}

// Judge decides whether a job whose attempts failed as given, in order of attempts, is tried again. A permanent exit
// code ends it, and so does the same exit code with the same last line a second time: it would end alike a third time.
// Forgiven failures do not count.
func Judge(task job.TaskType, failures []Failure) Verdict {
	if len(failures) == 0 {
		return Verdict{Retry: true, Reason: "no attempt has failed"}
	}
	before, since := 0, ""
	for failures[0].Forgiven {
		before, since = failures[0].Attempt, " since the retry"
		if failures = failures[1:]; len(failures) == 0 {
			return Verdict{Retry: true, Reason: "no attempt has failed" + since}
		}
	}
	last := failures[len(failures)-1]
	if last.Final {
		return Verdict{Reason: "it would read the same again: submit the run anew"}
	}
	if last.ExitCode != nil && task.IsPermanent(*last.ExitCode) {
		return Verdict{Reason: fmt.Sprintf("exit code %d is permanent for task %s", *last.ExitCode, task.Name)}
	}
	for _, earlier := range failures[:len(failures)-1] {
		if sameEnd(earlier, last) {
			return Verdict{Reason: fmt.Sprintf("attempts %d and %d ended alike", earlier.Attempt, last.Attempt)}
		}
	}
	spent := last.Attempt - before
	if spent >= task.MaxAttempts {
		return Verdict{Reason: fmt.Sprintf("attempt %d was the last of %d%s", spent, task.MaxAttempts, since)}
	}
	return Verdict{Retry: true, Reason: fmt.Sprintf("attempt %d of %d%s failed", spent, task.MaxAttempts, since)}
}

// sameEnd reports whether two attempts ended with the same exit code and the same last line. Ends without an exit code,
// such as timeouts, are never the same.
func sameEnd(a, b Failure) bool {
	if a.ExitCode == nil || b.ExitCode == nil || *a.ExitCode != *b.ExitCode {
		return false
	}
	if len(a.LastLines) == 0 || len(b.LastLines) == 0 {
		return false
	}
	return slices.Equal(a.LastLines[len(a.LastLines)-1:], b.LastLines[len(b.LastLines)-1:])
}
