package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"spate/internal/queue"
)

// Reason says why a worker left.
type Reason string

// The reasons.
const (
	ReasonIdle        Reason = "idle"        // no message for the idle timeout
	ReasonStopped     Reason = "stopped"     // it was told to
	ReasonOtherImage  Reason = "other_image" // the queue's jobs are for another image
	ReasonDrained     Reason = "drained"     // its pool is drained
	ReasonUnreachable Reason = "unreachable" // the queue did not answer for the idle timeout
	ReasonBroken      Reason = "broken"      // it could not begin
)

// ErrNothingReceived says that a worker ended before it had reached its queue for the first time: others like it would end
// alike. The process exits with [job.ExitNothingReceived] then, by which the scaler tells a crash loop.
var ErrNothingReceived = errors.New("ended before the first receive")

// firstAnswer is how long a worker waits for the first answer of its queue: so short that the scaler does not take it for
// one that works. Once it has had one, it bears with an outage for its idle timeout.
const firstAnswer = 30 * time.Second

// Worker runs jobs.
type Worker struct {
	opt     Options
	metrics *metrics
	run     func(context.Context, command) ending

	dir   string // everything on disk lies below it; set by Run
	cache *fileCache
	marks marks
}

// New makes a worker. It starts nothing.
func New(o Options) (*Worker, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("make worker: %w", err)
	}
	if o.Launched.IsZero() {
		o.Launched = time.Now()
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	return &Worker{opt: o, metrics: m, run: runProcess}, nil
}

// Run receives and runs jobs until the worker has a reason to leave and all its jobs are settled. The end of ctx is the
// order to stop: running jobs have the stop grace left, then their processes are ended and their messages given back.
// The error is nil for the reasons that are part of a worker's life (idle, stopped, other image, drained). Run may be called once.
func (w *Worker) Run(ctx context.Context) (Reason, error) {
	if err := w.open(); err != nil {
		return ReasonBroken, fmt.Errorf("%w: %w", ErrNothingReceived, err)
	}
	defer func() {
		if err := removeTree(w.dir); err != nil {
			w.opt.Log.Error().Err(err).Msg("could not remove the work directory")
		}
	}()
	jobs, abandon := context.WithCancelCause(context.WithoutCancel(ctx))
	defer abandon(nil)
	var graces, running sync.WaitGroup
	defer graces.Wait()
	finished := make(chan struct{})
	defer close(finished)
	graces.Go(func() {
		select {
		case <-finished:
			return
		case <-ctx.Done():
		}
		grace := time.NewTimer(w.opt.StopGrace)
		defer grace.Stop()
		select {
		case <-finished:
		case <-grace.C:
			abandon(errStopping)
		}
	})
	r := newReceiver(w, time.Now())
	reason, err := r.receive(ctx, func(slot int, m queue.Message) {
		running.Go(func() { r.done(slot, w.handle(jobs, slot, m)) })
	})
	running.Wait()
	w.opt.Log.Info().Err(err).Str("reason", string(reason)).Msg("worker leaves")
	return reason, err
}

func (w *Worker) open() error {
	within, err := filepath.Abs(w.opt.WorkDir)
	if w.opt.WorkDir == "" {
		within, err = filepath.Abs(os.TempDir())
	}
	if err != nil {
		return fmt.Errorf("make work directory: %w", err)
	}
	w.dir, err = os.MkdirTemp(within, "spate-worker-")
	if err != nil {
		return fmt.Errorf("make work directory: %w", err)
	}
	w.cache, err = newFileCache(filepath.Join(w.dir, "cache"), maxCacheBytes)
	if err != nil {
		return fmt.Errorf("make work directory: %w", errors.Join(err, removeTree(w.dir)))
	}
	return nil
}

// receiver takes messages from the queue, one for each free slot.
type receiver struct {
	w       *Worker
	clock   *idleClock
	slots   chan int    // the free ones
	foreign atomic.Bool // a job of another image was met
}

func newReceiver(w *Worker, now time.Time) *receiver {
	r := &receiver{
		w: w, clock: newIdleClock(IdleTimeout(w.opt.IdleTimeout, w.opt.Identity.TaskARN), now), slots: make(chan int, w.opt.Slots),
	}
	for slot := range w.opt.Slots {
		r.slots <- slot
	}
	return r
}

// receive hands messages to start, which must not block, until there is a reason to leave.
func (r *receiver) receive(ctx context.Context, start func(slot int, m queue.Message)) (Reason, error) {
	var failing time.Time // since when the queue has not answered; zero: it answers
	pause, reached := firstPause, false
	drain := drainWatch{w: r.w}
	for {
		free := r.free(ctx)
		drained := drain.isDrained(ctx)
		switch {
		case isOver(ctx):
			return ReasonStopped, nil
		case r.foreign.Load():
			return ReasonOtherImage, nil
		case drained:
			return ReasonDrained, nil
		}
		asked := time.Now()
		messages, err := r.w.opt.Jobs.Receive(ctx, min(len(free), queue.MaxBatch), r.clock.wait(asked), r.w.opt.Visibility)
		now := time.Now()
		for i, m := range messages {
			r.clock.begin()
			start(free[i], m)
		}
		for _, slot := range free[len(messages):] {
			r.slots <- slot
		}
		switch {
		case isOver(ctx):
			return ReasonStopped, nil
		case err == nil:
			failing, pause, reached = time.Time{}, firstPause, true
			if len(messages) == 0 && r.clock.expired(now) {
				return ReasonIdle, nil
			}
		default:
			// No answer is not an empty queue.
			if failing.IsZero() {
				failing = asked
			}
			if !reached && now.Sub(failing) >= firstAnswer {
				return ReasonUnreachable, fmt.Errorf("%w: no answer for %s: %w", ErrNothingReceived, now.Sub(failing).Round(time.Second), err)
			}
			if now.Sub(failing) >= r.clock.timeout && r.clock.expired(now) {
				return ReasonUnreachable, fmt.Errorf("no answer for %s: %w", now.Sub(failing).Round(time.Second), err)
			}
			r.w.opt.Log.Warn().Err(err).Dur("pause", pause).Msg("could not receive; will try again")
			_ = sleep(ctx, pause) // its end is seen above
			pause = min(2*pause, longestPause)
		}
	}
}

func isOver(ctx context.Context) bool { return ctx.Err() != nil }

// free waits for a free slot and takes all there are.
func (r *receiver) free(ctx context.Context) []int {
	var free []int
	select {
	case slot := <-r.slots:
		free = append(free, slot)
	case <-ctx.Done():
		return nil
	}
	for {
		select {
		case slot := <-r.slots:
			free = append(free, slot)
		default:
			return free
		}
	}
}

// done notes what became of a message and frees its slot.
func (r *receiver) done(slot int, what outcome) {
	if what == otherImage {
		r.foreign.Store(true)
	}
	r.clock.end(time.Now())
	r.slots <- slot
}
