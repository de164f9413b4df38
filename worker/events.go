package worker

import (
	"context"
	"errors"
	"syscall"
	"time"

	"spate/job"
)

// outcome is what became of a message, as metrics and logs call it.
type outcome string

// The outcomes. Those with an event delete the message; the others give it back, otherImage by a copy.
const (
	succeeded    outcome = "succeeded"
	reused       outcome = "reused"        // a live output existed, or somebody else's was there first
	failed       outcome = "failed"        // the job's own failure
	inputChanged outcome = "input_changed" //
	parentLost   outcome = "parent_lost"   //
	cancelled    outcome = "cancelled"     // dropped: its run is cancelled
	interrupted  outcome = "interrupted"   // the worker stops
	postponed    outcome = "postponed"     // the worker could not do its work
	unreadable   outcome = "unreadable"    // the message cannot be parsed
	otherImage   outcome = "other_image"   // the message is for workers of another image
)

// How long messages that are given back stay hidden.
const (
	postponedFor  = 10 * time.Second // something is out of order: not at once again
	unreadableFor = time.Minute      // it will not get better, only reach the dead-letter queue
)

// verdict is what to do with a message.
type verdict struct {
	outcome outcome
	event   *job.Event    // to be sent before the message is deleted; nil: the message is given back
	after   time.Duration // that a message given back stays hidden
	err     error         // why, for the log
	lines   []string      // that the process printed last, where no event has them
}

// verdictOf decides what an error on the way of a job means for its message. ran is what is known of the process.
func verdictOf(err error, event job.Event, ran report) verdict {
	var own *jobError
	var changed *inputChangedError
	var lost *parentLostError
	event.Seconds, event.LastLines = ran.seconds, ran.lines
	switch {
	case errors.As(err, &changed):
		event.Type, event.Cause = job.EventInputChanged, changed.Error()
		return verdict{outcome: inputChanged, event: &event, err: err}
	case errors.As(err, &lost):
		event.Type, event.Cause, event.Lost = job.EventParentLost, lost.Error(), &lost.Parent
		return verdict{outcome: parentLost, event: &event, err: err}
	case errors.As(err, &own):
		event.Type, event.Cause, event.ExitCode = job.EventFailed, own.Cause, own.ExitCode
		return verdict{outcome: failed, event: &event, err: err}
	case errors.Is(err, syscall.ENOSPC):
		event.Type, event.Cause = job.EventFailed, "no space left on device"
		return verdict{outcome: failed, event: &event, err: err}
	case errors.Is(err, errStopping):
		return verdict{outcome: interrupted, err: err}
	}
	return verdict{outcome: postponed, after: postponedFor, err: err}
}

// newEvent begins an event about a message.
func newEvent(m job.Message, worker string, now time.Time) job.Event {
	return job.Event{
		V: job.MessageVersion, Run: m.Run, Job: m.Job, Key: m.Key, Attempt: m.Attempt, Worker: worker, At: now.UTC(),
	}
}

// succeededEvent says that the output that m describes exists. isReused: it is not of this attempt.
func succeededEvent(event job.Event, m *job.Manifest, isReused bool) verdict {
	event.Type, event.Bytes, event.Seconds, event.Reused = job.EventSucceeded, m.Bytes(), m.Seconds, isReused
	what := succeeded
	if isReused {
		what = reused
	}
	return verdict{outcome: what, event: &event}
}

// sendTime bounds one try to send an event or to delete a message.
const sendTime = 30 * time.Second

// send has the event accepted by the events queue.
func (w *Worker) send(ctx context.Context, h *hold, event job.Event) error {
	body, err := event.Encode()
	if err != nil {
		return err
	}
	return persist(ctx, h, "send event", func() error {
		call, cancel := context.WithTimeout(ctx, sendTime)
		defer cancel()
		return w.opt.Events.Send(call, string(body))
	})
}
