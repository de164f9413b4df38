package planner

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"spate/internal/queue"
	"spate/job"
)

// How the loop waits.
const (
	tick             = time.Second
	sweepEvery       = 10 * time.Second
	saveEvery        = 500 * time.Millisecond // the least time between two writes of one run's progress
	receivers        = 4                      // that take events at once
	receiveWait      = 20 * time.Second
	eventVisibility  = 20 * time.Second // long enough to apply a batch, short enough that a dead planner's events return soon
	submitVisibility = time.Minute
	retryFirst       = time.Second
	retryMost        = 30 * time.Second
	drainMost        = 100 // batches of events that one round applies
)

// eventBatch is one receive's events; the loop answers whether they may be deleted.
type eventBatch struct {
	events   []job.Event
	receipts []string
	applied  chan bool
}

// intake is a run that has been planned or loaded, or why not. Without either it has ended already.
type intake struct {
	run     *Run
	active  *activeRun
	history *history // of a run that was active before
	err     error
}

// loop is the state of one Run beside the planner's own.
type loop struct {
	*Planner
	received chan *Run
	batches  chan eventBatch
	intakes  chan intake
	endeds   chan ended
	depths   chan map[string]depthReading
	inboxes  chan inbox
	revivals chan intake // runs that had ended, loaded to be tried again

	waiting    []*Run               // to be planned
	planning   map[string]*plan     // by run, of those that are being planned
	more       bool                 // jobs are left to release
	retries    map[string]retry     // by run, of those that could not be planned
	rekeyings  map[string]*rekeying // by request
	revived    map[string]*intake   // runs that had ended, by id; nil while they are being loaded
	sweptAt    time.Time
	background errgroup.Group
}

// retry is when a run that could not be planned is tried again.
type retry struct {
	at    time.Time
	pause time.Duration
}

type depthReading struct {
	depth queue.Depth
	err   error
}

// Run takes up every unended run and works until ctx ends or another controller takes over. It returns when everything
// it started is gone.
func (p *Planner) Run(ctx context.Context) error {
	l := &loop{
		Planner: p, received: make(chan *Run), batches: make(chan eventBatch), intakes: make(chan intake, planningMost),
		endeds: make(chan ended, 16), depths: make(chan map[string]depthReading),
		inboxes: make(chan inbox), planning: map[string]*plan{}, retries: map[string]retry{}, rekeyings: map[string]*rekeying{},
		revivals: make(chan intake), revived: map[string]*intake{},
	}
	defer func() {
		for _, a := range p.active {
			a.spool.close()
		}
		for _, in := range l.revived {
			if in != nil && in.active != nil {
				in.active.spool.close()
			}
		}
		close(l.intakes)
		for in := range l.intakes { // planned, and nobody was there to take it
			if in.active != nil {
				in.active.spool.close()
			}
		}
	}()
	if err := l.takeUp(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return l.receiveSubmissions(ctx) })
	for range receivers {
		group.Go(func() error { return l.receiveEvents(ctx, l.Events, readEvent) })
	}
	for _, pool := range l.pools {
		if pool.DeadLetters != nil {
			group.Go(func() error { return l.receiveEvents(ctx, pool.DeadLetters, l.readDeadLetter) })
		}
	}
	group.Go(func() error { return l.readDepths(ctx) })
	group.Go(func() error { return l.readInbox(ctx) })
	group.Go(func() error {
		err := l.work(ctx)
		return errors.Join(err, l.background.Wait())
	})
	return group.Wait()
}

// takeUp reads the runs that have not ended. Nothing is decided before all are known: unknown is not none.
func (l *loop) takeUp(ctx context.Context) error {
	return l.insist(ctx, "take up runs", func() error {
		runs, err := ReadActive(ctx, l.Table)
		if err != nil {
			return err
		}
		for _, r := range slices.Backward(runs) { // the oldest first
			if l.known(r.ID) {
				continue
			}
			if err := l.takeUpRun(ctx, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// takeUpRun takes one run up. One that cannot be is tried again later, or given up; it does not keep the others waiting.
func (l *loop) takeUpRun(ctx context.Context, found *Run) error {
	r, err := l.store.claim(ctx, found.ID)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return l.replan(found, err)
	case r.State.Ended():
	case !r.isPlanned():
		l.waiting = append(l.waiting, r)
	case l.pools[r.Pool] == nil:
		l.leaveAlone(r)
	default:
		a, h, err := l.load(ctx, r)
		return l.taken(ctx, intake{run: r, active: a, history: h, err: err})
	}
	return nil
}

// activate begins to work on a run.
func (l *loop) activate(a *activeRun, h *history) {
	if h != nil {
		l.replay(a, h)
	}
	if a.State == job.RunCancelling {
		l.drop(a, time.Now())
	}
	// What other runs finished since this one looked will not be told again.
	for n := range int32(a.graph.Nodes()) {
		if !a.graph.State(n).HasOutput() && !a.isReplacing(n) && l.recent.has(a.graph.Key(n), time.Now()) {
			a.reused += a.graph.Weight(n)
			a.spared(n)
			l.done(a, n)
		}
	}
	l.active[a.ID] = a
	l.durations.recall(a.Run)
	l.Log.Info().Str("run", a.ID).Str("pool", a.Pool).Bool("begun_before", a.releases > 0).Interface("progress", a.progress(0)).Msg("run taken up")
}

// known reports whether a run is being worked on or will be.
func (l *loop) known(id string) bool {
	return l.active[id] != nil || l.planning[id] != nil || slices.ContainsFunc(l.waiting, func(r *Run) bool { return r.ID == id })
}

// insist repeats do with growing pauses until it succeeds or ctx ends.
func (l *loop) insist(ctx context.Context, what string, do func() error) error {
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		err := do()
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, errFenced) {
			return err
		}
		l.Log.Error().Err(err).Dur("pause", pause).Msg("cannot " + what + "; trying again")
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// receiveSubmissions makes a record of each submission, then deletes its message.
func (l *loop) receiveSubmissions(ctx context.Context) error {
	for ctx.Err() == nil {
		messages, err := l.Submissions.Receive(ctx, queue.MaxBatch, receiveWait, submitVisibility)
		if err != nil {
			if ctx.Err() == nil {
				l.Log.Error().Err(err).Msg("cannot receive submissions")
			}
			_ = sleep(ctx, retryFirst)
			continue
		}
		for _, m := range messages {
			err := l.receive(ctx, m)
			if errors.Is(err, errFenced) {
				return err
			}
			if err != nil && ctx.Err() == nil {
				l.Log.Error().Err(err).Int("receive_count", m.ReceiveCount).Msg("cannot take a submission; it stays on the queue")
			}
		}
	}
	return ctx.Err()
}

func (l *loop) receive(ctx context.Context, m queue.Message) error {
	s, err := job.ParseSubmission([]byte(m.Body))
	if err != nil {
		return err
	}
	r := &Run{ID: s.ID, Name: s.ID, By: s.By, State: job.RunReceived, Received: time.Now()}
	created, err := l.store.create(ctx, r)
	if err != nil {
		return err
	}
	if created {
		l.Log.Info().Str("run", r.ID).Msg("run received")
	} else if r, err = ReadRun(ctx, l.Table, s.ID); err != nil {
		return err
	}
	// A run that was there before may be new to this loop all the same: its record may have been written by a call whose
	// answer was lost, or by a controller that ended right then.
	if r != nil && !r.State.Ended() {
		select {
		case l.received <- r:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return l.Submissions.Delete(ctx, m.Receipt)
}

// receiveEvents hands events to the loop and deletes their messages once they are applied. Messages that read makes no
// event of stay on the queue, for its redrive policy.
func (l *loop) receiveEvents(ctx context.Context, from Receiver, read func(ctx context.Context, body string) (job.Event, error)) error {
	for ctx.Err() == nil {
		messages, err := from.Receive(ctx, queue.MaxBatch, receiveWait, eventVisibility)
		if err != nil {
			if ctx.Err() == nil {
				l.Log.Error().Err(err).Msg("cannot receive events")
			}
			_ = sleep(ctx, retryFirst)
			continue
		}
		b := eventBatch{applied: make(chan bool, 1)}
		for _, m := range messages {
			e, err := read(ctx, m.Body)
			if err != nil {
				if ctx.Err() == nil {
					l.Log.Error().Err(err).Int("receive_count", m.ReceiveCount).Msg("a message could not be read as an event; it stays on its queue")
				}
				continue
			}
			b.events, b.receipts = append(b.events, e), append(b.receipts, m.Receipt)
		}
		if len(b.events) == 0 {
			continue
		}
		select {
		case l.batches <- b:
		case <-ctx.Done():
			return ctx.Err()
		}
		if applied := <-b.applied; applied {
			if err := from.Delete(ctx, b.receipts...); err != nil && ctx.Err() == nil {
				l.Log.Warn().Err(err).Msg("cannot delete events; they will come again")
			}
		}
	}
	return ctx.Err()
}

// readDepths asks for the depth of each pool's queue once a second. What is done with an answer, and whether there is
// one, is the loop's business.
func (l *loop) readDepths(ctx context.Context) error {
	for {
		if err := sleep(ctx, tick); err != nil {
			return err
		}
		readings := make(map[string]depthReading, len(l.pools))
		for name, pool := range l.pools {
			if !l.isWatched(name) {
				continue
			}
			depth, err := pool.Jobs.Depth(ctx)
			readings[name] = depthReading{depth, err}
		}
		select {
		case l.depths <- readings:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// work is the loop: it waits for something to happen, applies it, and does what follows.
func (l *loop) work(ctx context.Context) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	always := make(chan struct{})
	close(always)
	for {
		if err := l.advance(ctx, time.Now()); err != nil {
			return err
		}
		var again <-chan struct{}
		if l.more {
			again = always
		}
		var batches []eventBatch
		select {
		case <-again:
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		case r := <-l.received:
			if !l.known(r.ID) {
				l.waiting = append(l.waiting, r)
			}
		case b := <-l.batches:
			batches = l.drain(b)
		case in := <-l.intakes:
			if err := l.taken(ctx, in); err != nil {
				return err
			}
		case e := <-l.endeds:
			if err := l.close(ctx, e); err != nil {
				return err
			}
		case readings := <-l.depths:
			l.note(readings, time.Now())
		case in := <-l.revivals:
			l.revived[in.run.ID] = &in
		case in := <-l.inboxes:
			if err := l.obey(ctx, in); err != nil {
				return err
			}
		}
		if err := l.applyAll(ctx, batches); err != nil {
			return err
		}
	}
}

// drain takes what else has arrived, so that one release serves many events.
func (l *loop) drain(first eventBatch) []eventBatch {
	batches := []eventBatch{first}
	for len(batches) < drainMost {
		select {
		case b := <-l.batches:
			batches = append(batches, b)
		default:
			return batches
		}
	}
	return batches
}

// applyAll applies events, releases what became ready, and only then lets the events be deleted.
func (l *loop) applyAll(ctx context.Context, batches []eventBatch) error {
	applied := make([]bool, len(batches))
	var fenced error
	for i, b := range batches {
		applied[i] = true
		for _, e := range b.events {
			if l.active[e.Run] == nil && l.known(e.Run) {
				applied[i] = false // the run is being taken up again: the event must find it
				continue
			}
			if err := l.apply(ctx, e); err != nil {
				if errors.Is(err, errFenced) {
					fenced = err
				}
				l.Log.Error().Err(err).Str("run", e.Run).Str("job", e.Job).Msg("cannot apply an event; it will come again")
				applied[i] = false
			}
		}
	}
	err := fenced
	if len(batches) > 0 && err == nil {
		err = l.advance(ctx, time.Now())
	}
	for i, b := range batches {
		b.applied <- applied[i] && err == nil
	}
	return err
}

// advance does everything that is due.
func (l *loop) advance(ctx context.Context, now time.Time) error {
	l.startPlanning(ctx, now)
	sweeping := now.Sub(l.sweptAt) >= sweepEvery
	if sweeping {
		l.sweptAt = now
		l.recent.sweep(now)
	}
	l.more = false
	runs := l.runs()
	turns := l.turnsOf(runs)
	for _, a := range runs {
		if a.closing {
			continue
		}
		if a.State == job.RunCancelling {
			l.abandon(a, now)
		}
		if sweeping {
			if err := l.sweep(ctx, a, now); err != nil && ctx.Err() == nil {
				l.Log.Error().Err(err).Str("run", a.ID).Msg("cannot look for silent jobs")
			}
		}
		if err := l.release(ctx, a, turns); err != nil {
			return err
		}
		if a.graph.Settled() {
			if !a.rekeying && !now.Before(a.closeAt) {
				l.startClosing(ctx, a)
			}
			continue
		}
		if err := l.saveProgress(ctx, a, now); err != nil {
			return err
		}
	}
	l.metrics.active.Set(float64(len(l.active)))
	l.publishDemand(now)
	return nil
}

// release sends a run's ready jobs when it is its turn.
func (l *loop) release(ctx context.Context, a *activeRun, turns turns) error {
	if a.State == job.RunCancelling {
		return nil
	}
	mine, reason := turns.of(a)
	a.Reason = reason
	if !mine {
		return nil
	}
	more, err := l.flush(ctx, a)
	l.more = l.more || more
	if errors.Is(err, errFenced) {
		return err
	}
	if err != nil && ctx.Err() == nil {
		a.Reason = "cannot release jobs: " + err.Error()
		l.Log.Error().Err(err).Str("run", a.ID).Msg("cannot release jobs; trying again")
	}
	return nil
}

// saveProgress writes a run's figures when they changed, for people who watch.
func (l *loop) saveProgress(ctx context.Context, a *activeRun, now time.Time) error {
	p := a.progress(l.pools[a.Pool].depth.InFlight)
	if p == a.saved && a.Reason == a.savedReason || now.Sub(a.savedAt) < saveEvery {
		return nil
	}
	a.Progress = p
	err := l.store.save(ctx, a.Run)
	if errors.Is(err, errFenced) {
		return err
	}
	if err != nil && ctx.Err() == nil {
		l.Log.Error().Err(err).Str("run", a.ID).Msg("cannot save progress; trying again")
	}
	if err == nil {
		a.saved, a.savedReason = p, a.Reason
	}
	a.savedAt = now
	return nil
}

// note keeps the queues' depths, and since when each has shown nothing in flight, or nothing at all. A depth that could
// not be read says nothing.
func (l *loop) note(readings map[string]depthReading, now time.Time) {
	for name, pool := range l.pools {
		r, asked := readings[name]
		switch {
		case !asked:
			pool.depth, pool.emptySince, pool.restingSince = queue.Depth{}, time.Time{}, time.Time{}
		case r.err != nil:
			pool.emptySince, pool.restingSince = time.Time{}, time.Time{}
		default:
			pool.depth = r.depth
			pool.emptySince = since(pool.emptySince, r.depth == queue.Depth{}, now)
			pool.restingSince = since(pool.restingSince, r.depth.InFlight == 0, now)
		}
	}
}

// since is when something began that is so now; zero when it is not.
func since(began time.Time, is bool, now time.Time) time.Time {
	switch {
	case !is:
		return time.Time{}
	case began.IsZero():
		return now
	}
	return began
}
