package planner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"spate/internal/objects"
	"spate/internal/queue"
	"spate/job"
)

// fakeWorker answers messages as a worker would: an output in S3 and an event, then the message is deleted. It takes no
// time to compute.
type fakeWorker struct {
	world  *world
	jobs   *queue.Queue
	events *queue.Queue

	seconds float64 // that each job takes, as it tells; more than 0: its output has outputBytes

	mu        sync.Mutex
	answers   map[string]answer // by job id; none succeeds
	runs      map[job.Key]int   // how often each key was computed
	published int               // outputs; it makes the names of their attempts
	messages  []job.Message     // as received

	writes map[string]func(m job.Message) string // by job id: the content of its only file; others have none
}

// answer decides what becomes of a message. Nil: the job succeeds. An event without type: nothing at all happens, as
// when a worker dies.
type answer func(m job.Message) *job.Event

// outputBytes is the size of the outputs of a worker that tells how long jobs take.
const outputBytes = 7

// visibility is how long a message is hidden from others.
const visibility = time.Minute

func (f *fakeWorker) run(ctx context.Context) error {
	for {
		messages, err := f.jobs.Receive(ctx, queue.MaxBatch, queue.MaxWait, visibility)
		if err != nil {
			return err
		}
		for _, m := range messages {
			if err := f.handle(ctx, m); err != nil {
				return err
			}
		}
	}
}

func (f *fakeWorker) on(id string, a answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[id] = a
}

func (f *fakeWorker) handle(ctx context.Context, received queue.Message) error {
	m, doc, err := job.ParseMessage([]byte(received.Body))
	if err != nil {
		f.world.t.Errorf("the planner sent something that is no message: %v", err)
		return err
	}
	if _, err := f.world.bucket.Head(ctx, job.CancelledPath(m.Run)); err == nil {
		return f.report(ctx, f.event(m, job.EventCancelled), received)
	}
	for name, parent := range doc.Parents {
		if _, err := f.world.bucket.Head(ctx, job.ManifestPath(parent.Key)); errors.Is(err, objects.ErrNotFound) {
			e := f.event(m, job.EventParentLost)
			e.Lost = &parent.Key
			e.Cause = "parent " + name + " is gone"
			return f.report(ctx, e, received)
		}
	}
	f.mu.Lock()
	f.messages = append(f.messages, m)
	decide := f.answers[m.Job]
	f.mu.Unlock()
	e := f.event(m, job.EventSucceeded)
	if f.seconds > 0 {
		e.Seconds, e.Bytes = f.seconds, outputBytes
	}
	stands, err := standing(ctx, f.world.bucket, m.Key)
	if err == nil && stands != (job.Replaced{}) && !m.Replaces.Is(stands) {
		e.Reused = true
		return f.report(ctx, e, received)
	}
	if decide != nil {
		if other := decide(m); other != nil {
			if other.Type == "" {
				return nil
			}
			return f.report(ctx, *other, received)
		}
	}
	if err := f.publish(ctx, m); err != nil {
		return err
	}
	return f.report(ctx, e, received)
}

// publish makes the output.
func (f *fakeWorker) publish(ctx context.Context, m job.Message) error {
	f.mu.Lock()
	f.runs[m.Key]++
	f.published++
	attempt := fmt.Sprintf("a%d-%d", m.Attempt, f.published)
	write := f.writes[m.Job]
	f.mu.Unlock()
	manifest := job.Manifest{V: job.MessageVersion, Key: m.Key, Attempt: attempt, Image: testImage, Run: m.Run, Document: m.Document, At: time.Now()}
	if f.seconds > 0 {
		manifest.Seconds, manifest.Files = f.seconds, []job.File{{Path: "out", Size: outputBytes}}
	}
	if write != nil {
		content := write(m)
		sum := sha256.Sum256([]byte(content))
		manifest.Files = []job.File{{Path: "result.txt", Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}}
	}
	data, err := manifest.Encode()
	if err != nil {
		return err
	}
	stands, err := standing(ctx, f.world.bucket, m.Key)
	if err != nil || stands != (job.Replaced{}) && !m.Replaces.Is(stands) {
		return err
	}
	condition := objects.Condition{IfAbsent: stands.ETag == "", IfMatch: stands.ETag}
	_, err = f.world.bucket.Put(ctx, job.ManifestPath(m.Key), data, condition)
	if errors.Is(err, objects.ErrPrecondition) {
		return nil
	}
	return err
}

func (f *fakeWorker) event(m job.Message, t job.EventType) job.Event {
	return job.Event{V: job.MessageVersion, Type: t, Run: m.Run, Job: m.Job, Key: m.Key, Attempt: m.Attempt, Worker: "arn:task", At: time.Now()}
}

// failed is the event of an attempt that ended with an exit code.
func (f *fakeWorker) failed(m job.Message, code int, line string) *job.Event {
	e := f.event(m, job.EventFailed)
	e.ExitCode, e.Cause, e.LastLines = &code, "exit code", []string{line}
	return &e
}

func (f *fakeWorker) report(ctx context.Context, e job.Event, received queue.Message) error {
	body, err := e.Encode()
	if err != nil {
		return err
	}
	if err := f.events.Send(ctx, string(body)); err != nil {
		return err
	}
	return f.jobs.Delete(ctx, received.Receipt)
}

// executed is how many jobs were computed, and how many of them more than once.
func (f *fakeWorker) executed() (keys, doubled int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.runs {
		if n > 1 {
			doubled++
		}
	}
	return len(f.runs), doubled
}

// received are the ids of the jobs that messages came for, in order.
func (f *fakeWorker) received() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []string
	for _, m := range f.messages {
		ids = append(ids, m.Job)
	}
	return ids
}
