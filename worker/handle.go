package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"spate/internal/queue"
	"spate/job"
)

// report is what is known of a job's process.
type report struct {
	seconds float64
	lines   []string    // the last of what it printed
	cut     bool        // it printed more than lines
	log     *transcript // of all that it printed; nil when it was not started
	beaten  bool        // somebody else's output was there first, and stands
}

// handle takes one message all the way: to an event and its deletion, or back to the queue. It reports what became of
// it. Not even a panic loses the message.
func (w *Worker) handle(ctx context.Context, slot int, received queue.Message) (what outcome) {
	log := w.opt.Log.With().Int("slot", slot).Logger()
	ctx = log.WithContext(ctx)
	held := startHold(ctx, w.opt.Jobs, received.Receipt, w.opt.Visibility)
	defer held.release()
	defer func() {
		if r := recover(); r != nil {
			log.Error().Interface("panic", r).Bytes("stack", debug.Stack()).Msg("a job's handling panicked")
			what = postponed
			w.giveBack(ctx, held, postponedFor)
		}
		w.metrics.jobs.WithLabelValues(string(what)).Inc()
	}()

	m, doc, err := job.ParseMessage([]byte(received.Body))
	if err != nil {
		return w.settle(ctx, held, verdict{outcome: unreadable, after: unreadableFor, err: err})
	}
	log = log.With().Str("run", m.Run).Str("job", m.Job).Stringer("key", m.Key).Int("attempt", m.Attempt).Logger()
	ctx = log.WithContext(ctx)
	v := w.attempt(ctx, held, slot, m, doc)
	body := received.Body
	if w.opt.External {
		v = v.forProducer(m, received.ReceiveCount)
		m.Passes++
		if copied, err := m.Encode(); err == nil {
			body = string(copied)
		}
	}
	if v.outcome == otherImage && w.passOn(ctx, held, body) {
		log.Info().Err(v.err).Str("outcome", string(v.outcome)).Msg("a copy of the message takes its place")
		return v.outcome
	}
	return w.settle(ctx, held, v)
}

// passOn puts a copy of a message in its place, and reports whether the queue took it: each return of a message counts as
// a receipt of it, so that idle workers of another image would bring a job that nobody has tried to the dead-letter queue.
// A copy begins to count anew. The original is deleted only after the copy was taken.
func (w *Worker) passOn(ctx context.Context, held *hold, body string) bool {
	call, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	if err := w.opt.Jobs.Send(call, body); err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("could not send a copy of the message")
		return false
	}
	if err := w.remove(ctx, held); err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("could not delete the message; it will come again, as its copy does")
	}
	return true
}

// settle sends the event and deletes the message, in this order, or gives the message back.
func (w *Worker) settle(ctx context.Context, held *hold, v verdict) outcome {
	log := zerolog.Ctx(ctx)
	if v.event == nil {
		log.Warn().Err(v.err).Str("outcome", string(v.outcome)).Dur("after", v.after).Strs("last_lines", v.lines).Msg("message given back")
		w.giveBack(ctx, held, v.after)
		return v.outcome
	}
	if err := w.send(ctx, held, *v.event); err != nil {
		back := verdictOf(err, *v.event, report{})
		log.Warn().Err(err).Str("outcome", string(v.outcome)).Msg("the event was not accepted; message given back")
		w.giveBack(ctx, held, back.after)
		return back.outcome
	}
	log.Info().Err(v.err).Str("outcome", string(v.outcome)).Float64("seconds", v.event.Seconds).Int64("bytes", v.event.Bytes).Msg("job done")
	if err := w.remove(ctx, held); err != nil {
		log.Warn().Err(err).Msg("could not delete the message; it will come again and find the output")
	}
	return v.outcome
}

// remove deletes the message for good.
func (w *Worker) remove(ctx context.Context, held *hold) error {
	return persist(ctx, held, "delete message", func() error {
		call, cancel := context.WithTimeout(ctx, sendTime)
		defer cancel()
		return w.opt.Jobs.Delete(call, held.receipt)
	})
}

// giveBackTime bounds the giving back of a message; a stopping worker has little time.
const giveBackTime = 3 * time.Second

// giveBack shows the message to others again. If that fails, its visibility timeout does.
func (w *Worker) giveBack(ctx context.Context, held *hold, after time.Duration) {
	held.release() // a heartbeat afterwards would hide it again
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackTime)
	defer cancel()
	if err := w.opt.Jobs.Extend(call, held.receipt, after); err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("could not give the message back; it comes again by itself")
	}
}

// attempt does what a message asks for and decides what to do with it.
func (w *Worker) attempt(ctx context.Context, held *hold, slot int, m job.Message, doc job.Document) verdict {
	event := newEvent(m, w.opt.Identity.TaskARN, time.Now())
	// Before anything else, the image too: nobody is launched to drop what a cancelled run has left on the queue.
	if w.isCancelled(ctx, m.Run) {
		event.Type = job.EventCancelled
		return verdict{outcome: cancelled, event: &event}
	}
	if doc.Spec.Image != w.opt.Identity.Image {
		return verdict{outcome: otherImage, err: fmt.Errorf("the job wants image %s, this is %s", doc.Spec.Image, w.opt.Identity.Image)}
	}
	found, err := w.find(ctx, held, m.Key)
	if err != nil {
		return verdictOf(err, event, report{})
	}
	if decide(found, m.Replaces, w.opt.Retention, time.Now()).done {
		return succeededEvent(event, found.manifest, true)
	}
	ws, err := layOut(filepath.Join(w.dir, "slot-"+strconv.Itoa(slot)), doc.Spec.Task)
	if err != nil {
		return verdictOf(err, event, report{})
	}
	defer func() {
		if err := removeTree(ws.root); err != nil {
			zerolog.Ctx(ctx).Error().Err(err).Msg("could not clean up after a job")
		}
	}()
	manifest, ran, err := w.execute(ctx, held, ws, m, doc)
	defer ran.log.close()
	event.At = time.Now().UTC()
	if errors.Is(err, errRunCancelled) {
		event.Type = job.EventCancelled
		return verdict{outcome: cancelled, event: &event}
	}
	if err != nil {
		v := verdictOf(err, event, ran)
		if name := attemptName(m.Attempt); v.outcome == failed && ran.cut && w.storeLog(ctx, m.Key, name, ran.log) > 0 {
			v.event.Log = name
		}
		return v
	}
	return succeededEvent(event, manifest, ran.beaten)
}

// execute stages, runs and publishes, and returns the manifest that stands in the end.
func (w *Worker) execute(ctx context.Context, held *hold, ws workspace, m job.Message, doc job.Document) (*job.Manifest, report, error) {
	if err := ws.make(); err != nil {
		return nil, report{}, err
	}
	s := stager{w: w, held: held, m: m, doc: doc, dir: ws.input}
	if err := s.stage(ctx); err != nil {
		return nil, report{}, err
	}
	if err := ws.writeParams(doc.Spec.Params); err != nil {
		return nil, report{}, err
	}
	if w.isCancelled(ctx, m.Run) { // meanwhile: inputs may have taken long
		return nil, report{}, errRunCancelled
	}
	ran, err := w.runTask(ctx, ws, m, doc)
	if err != nil {
		return nil, ran, err
	}
	out, err := collect(ws.work, doc.Spec.Task.OutputDirs)
	if err != nil {
		return nil, ran, err
	}
	defer out.close()
	p := publisher{w: w, held: held, out: out, replaces: m.Replaces}
	own := &job.Manifest{
		V: job.MessageVersion, Key: m.Key, Attempt: attemptName(m.Attempt), Files: out.manifestFiles(),
		Image: doc.Spec.Image, Seconds: ran.seconds, Run: m.Run, Worker: w.opt.Identity.TaskARN, Document: m.Document,
		At: time.Now().UTC(),
	}
	w.keepLog(ctx, own, ran.log)
	stands, err := p.publish(ctx, own)
	if err != nil {
		return nil, ran, err
	}
	ran.beaten = stands.Attempt != own.Attempt
	return stands, ran, nil
}

// explainTime is what a task's on_failure hook has, also after the job's own time is over.
const explainTime = time.Minute

// runTask runs the hooks and the command of a task, one after another, within the job's timeout.
func (w *Worker) runTask(ctx context.Context, ws workspace, m job.Message, doc job.Document) (report, error) {
	timeout := time.Duration(m.Timeout)
	lines := &tail{emit: func(line string) { zerolog.Ctx(ctx).Debug().Str("line", line).Msg("output") }}
	key, err := doc.Original().Key() // m.Key, unless the job is one computed again
	if err != nil {
		return report{}, fmt.Errorf("derive key of job %s: %w", m.Job, err)
	}
	ran := report{log: newTranscript(ws.log)}
	output := io.MultiWriter(lines, ran.log)
	env := environment(ws, key, doc, w.opt.Path)
	start := time.Now()
	run := func(ctx context.Context, args []string) error {
		end := w.run(ctx, command{args: args, dir: ws.work, env: env, path: w.opt.Path, output: output})
		return judge(args[0], end, timeout)
	}
	limited, cancel := context.WithTimeoutCause(ctx, timeout, errTimedOut)
	defer cancel()
	task := doc.Spec.Task
	for _, step := range []struct {
		name string
		args []string
	}{{"before", task.Before}, {"", task.Command}, {"after", task.After}} {
		if len(step.args) == 0 {
			if step.name == "" {
				err = jobErrorf("task %q has no command", task.Name)
			}
		} else {
			err = inStep(step.name, run(limited, step.args))
		}
		if err != nil {
			break
		}
	}
	ran.seconds = time.Since(start).Seconds()
	w.metrics.seconds.Observe(ran.seconds)
	var own *jobError
	if len(task.OnFailure) > 0 && errors.As(err, &own) {
		explaining, cancel := context.WithTimeoutCause(ctx, explainTime, errTimedOut)
		defer cancel()
		if err := run(explaining, task.OnFailure); err != nil {
			zerolog.Ctx(ctx).Warn().Err(err).Msg("the on_failure hook failed")
		}
	}
	ran.lines, ran.cut = ws.relative(lines.lines()), lines.isCut()
	return ran, err
}

// inStep says of a hook's failure which hook it was.
func inStep(name string, err error) error {
	var own *jobError
	if name == "" || !errors.As(err, &own) {
		return err
	}
	return &jobError{Cause: name + ": " + own.Cause, ExitCode: own.ExitCode}
}
