package planner

import (
	"context"
	"time"

	"spate/job"
)

func readEvent(_ context.Context, body string) (job.Event, error) {
	return job.ParseEvent([]byte(body))
}

// givenUp is the cause of an attempt whose message the queue gave up.
const givenUp = "its message was received again and again and no worker ever said what became of it: perhaps the job kills its workers (memory, disk)"

// readDeadLetter makes an event of a job's message that its queue gave up, so that a job that kills its workers ends
// like any other that fails, and does not keep its run, and workers, going for ever. Interruptions of workers count as
// receives too: it is a failed attempt, not the last word.
func (p *Planner) readDeadLetter(ctx context.Context, body string) (job.Event, error) {
	m, _, err := job.ParseMessage([]byte(body))
	if err != nil {
		return job.Event{}, err
	}
	e := job.Event{V: job.MessageVersion, Run: m.Run, Job: m.Job, Key: m.Key, Attempt: m.Attempt, At: time.Now().UTC()}
	exists, err := p.exists(ctx, m.Key, m.Replaces)
	if err != nil {
		return job.Event{}, err
	}
	if exists {
		e.Type, e.Reused = job.EventSucceeded, true
		return e, nil
	}
	e.Type, e.Cause = job.EventFailed, givenUp
	return e, nil
}
