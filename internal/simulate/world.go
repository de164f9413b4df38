package simulate

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"spate/internal/queue"
	"spate/sandbox/awsjson"
	"spate/sandbox/ecs"
	"spate/worker"
)

// world is an account, the jobs, and the workers that do them, while time passes. Who launches the workers is not part of
// it: see launcher.
type world struct {
	clock
	s          Scenario
	began      time.Time
	account    *ecs.Model
	definition string
	tally      *tally

	jobs        []time.Duration      // that wait for a worker
	outstanding int                  // jobs that are not done
	lately      lately               // by jobs that are done
	tasks       map[ecs.Task]*member // that have not stopped
	order       []*member            // those and others, as they were launched
	line        []*member            // with free slots, in the order in which they asked for a job
	whenDone    func()               // called when the last job is done
	stay        bool                 // workers do not leave when they are idle: somebody stops them
	leaving     int                  // tasks that have been told to stop and have not stopped
	over        bool                 // nothing more is to be simulated
	failed      error
}

// lately is how long jobs lately took, as the planner knows it: a mean in which each counts as one of the last thousand.
type lately struct {
	seen int
	mean time.Duration // 0: not known
}

const latelyMost = 1000

func (l *lately) saw(took time.Duration) {
	l.seen = min(l.seen+1, latelyMost)
	l.mean += (took - l.mean) / time.Duration(l.seen)
}

// launcher launches the workers of a world.
type launcher interface {
	// begin is called once, a while before there are jobs.
	begin(w *world) error
	// submitted is called when the jobs are there.
	submitted(w *world) error
	// finished is called when the last job is done.
	finished(w *world)
}

// newWorld makes one in which nothing runs yet.
func newWorld(s Scenario) (*world, error) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) // any time would do
	ready := began.Add(-s.Led)
	account, err := ecs.NewModel(s.Account, s.Seed)
	if err != nil {
		return nil, err
	}
	definition, err := account.Define(ready, family, s.VCPU, s.MemoryGB)
	if err != nil {
		return nil, err
	}
	w := &world{
		s: s, clock: clock{now: ready}, began: began, account: account, definition: definition, tasks: map[ecs.Task]*member{},
	}
	if s.Expected > 0 {
		w.lately = lately{latelyMost, s.Expected}
	}
	w.tally = newTally(s, began)
	return w, nil
}

// family is the workers' task definition.
const family = "worker"

// submit puts the jobs there.
func (w *world) submit() {
	random := rand.New(rand.NewPCG(w.s.Seed, 2)) // 0 and 1 are the account's
	w.jobs = make([]time.Duration, w.s.Jobs)
	for i := range w.jobs {
		w.jobs[i] = w.s.JobTime.draw(random)
	}
	w.outstanding = w.s.Jobs
}

// run lets time pass until all jobs are done and all workers are gone, or until the end.
func (w *world) run(l launcher) error {
	w.whenDone = func() { l.finished(w) }
	if err := l.begin(w); err != nil {
		return err
	}
	w.after(w.s.Led, func() {
		w.submit()
		if err := l.submitted(w); err != nil {
			w.fail(err)
		}
		w.sample()
	})
	for w.failed == nil && !w.over && w.step(w.began.Add(w.s.Most)) {
		if !w.now.Before(w.began) && w.outstanding == 0 && len(w.tasks) == 0 {
			break
		}
	}
	w.tally.end(w.now)
	return w.failed
}

// fail ends the simulation.
func (w *world) fail(err error) {
	if w.failed == nil {
		w.failed = err
	}
}

// sample draws the curve, a point a second.
func (w *world) sample() {
	w.tally.point(w.now)
	w.after(time.Second, w.sample)
}

// newest are the tasks that have not been told to stop, the last launched first, up to n.
func (w *world) newest(n int) []*member {
	w.order = slices.DeleteFunc(w.order, func(m *member) bool { return m.task.HasStopped() })
	var found []*member
	for _, m := range slices.Backward(w.order) {
		if len(found) == n {
			break
		}
		if !m.stopping {
			found = append(found, m)
		}
	}
	return found
}

// launch is one call of RunTask.
func (w *world) launch(l ecs.Launch) (ecs.Launched, error) {
	w.tally.calls++
	out, err := w.account.RunTask(w.now, l)
	if err != nil {
		w.tally.failed++
	}
	if api, ok := errors.AsType[*awsjson.Error](err); ok && api.Code == "ThrottlingException" {
		w.tally.throttled++
	}
	for _, t := range out.New {
		w.track(t)
	}
	return out, err
}

// member is one task and, once it runs, its worker.
type member struct {
	task     ecs.Task
	provider string
	pulled   time.Time // zero: not yet
	started  time.Time // zero: not yet

	jobs     []*running
	busyFrom time.Time     // while there are jobs
	busy     time.Duration // before that
	leaving  *event        // when it has been idle for long enough
	lined    bool          // in the world's line
	asked    time.Time     // since when it is
	stopping bool          // takes no more jobs
	told     bool          // counts among the world's leaving
	ever     bool          // had a job
}

// running is a job that a worker has in hand.
type running struct {
	takes time.Duration
	ends  *event
}

// track takes a new task through what chance has decided of it.
func (w *world) track(t ecs.Task) {
	m := &member{task: t, provider: t.State().Provider}
	w.tasks[t] = m
	w.order = append(w.order, m)
	w.tally.launched(w.now, len(w.tasks)-w.leaving)
	fate := t.Fate()
	w.after(fate.Provisioning, func() {
		switch {
		case t.HasStopped():
			return
		case fate.NeverStarts:
			t.FailToStart(w.now)
			w.gone(m)
			return
		}
		t.Pull(w.now)
		m.pulled = w.now
		w.after(fate.Pending, func() {
			if !t.HasStopped() {
				w.start(m, fate)
			}
		})
	})
}

// start is when the worker runs.
func (w *world) start(m *member, fate ecs.Fate) {
	m.task.Start(w.now)
	m.started = w.now
	w.tally.started(w.now)
	if fate.Interruption > 0 {
		w.after(fate.Interruption, func() { w.interrupt(m) })
	}
	w.offer(m)
}

// offer gives a worker as many jobs as it has free slots. Without any it waits, and leaves in the end.
func (w *world) offer(m *member) {
	if m.stopping {
		return
	}
	for len(m.jobs) < w.s.Slots && len(w.jobs) > 0 {
		takes := w.jobs[0]
		w.jobs = w.jobs[1:]
		w.do(m, takes)
	}
	if len(m.jobs) < w.s.Slots && !m.lined {
		m.lined, m.asked = true, w.now
		w.line = append(w.line, m)
	}
	if len(m.jobs) == 0 && m.leaving == nil && !w.stay {
		m.leaving = w.after(patience(w.s.IdleTimeout, m.task.ARN()), func() { w.exit(m) })
	}
}

// patience is how long a worker waits for a job: its long polls last whole seconds.
func patience(timeout time.Duration, arn string) time.Duration {
	const second = time.Second
	return (worker.IdleTimeout(timeout, arn) + second - 1).Truncate(second)
}

// do begins a job.
func (w *world) do(m *member, takes time.Duration) {
	m.leaving.callOff()
	m.leaving, m.ever = nil, true
	if len(m.jobs) == 0 {
		m.busyFrom = w.now
		w.tally.busy++
	}
	r := &running{takes: takes}
	r.ends = w.after(takes, func() {
		w.drop(m, r)
		w.lately.saw(takes)
		w.outstanding--
		if w.outstanding == 0 {
			w.tally.done(w)
			w.whenDone()
		}
		if m.stopping && len(m.jobs) == 0 && !m.task.HasStopped() {
			w.exit(m)
			return
		}
		w.offer(m)
	})
	m.jobs = append(m.jobs, r)
}

// drop takes a job out of a worker's hands.
func (w *world) drop(m *member, r *running) {
	for i, other := range m.jobs {
		if other == r {
			m.jobs = append(m.jobs[:i], m.jobs[i+1:]...)
			break
		}
	}
	if len(m.jobs) == 0 {
		m.busy += w.now.Sub(m.busyFrom)
		w.tally.busy--
	}
}

// interrupt takes a worker's Spot capacity back.
func (w *world) interrupt(m *member) {
	if m.task.IsAskedToStop() {
		return
	}
	m.task.Interrupt(w.now)
	w.tally.interrupted++
	w.terminate(m)
}

// terminate is a worker's SIGTERM: it takes no more jobs, and those that do not end within the grace go back.
func (w *world) terminate(m *member) {
	m.stopping = true
	m.leaving.callOff()
	if len(m.jobs) == 0 {
		w.exit(m)
		return
	}
	w.leaving++
	m.told = true
	w.after(w.s.StopGrace, func() {
		if !m.task.HasStopped() {
			w.exit(m)
		}
	})
}

// exit ends a worker. Its jobs go back to the queue, to be begun anew.
func (w *world) exit(m *member) {
	m.stopping = true
	m.leaving.callOff()
	for len(m.jobs) > 0 {
		r := m.jobs[0]
		r.ends.callOff()
		w.drop(m, r)
		w.jobs = append(w.jobs, r.takes)
	}
	m.task.Exit(w.now, 0)
	w.gone(m)
	w.deliver()
}

// stop ends a task wherever it is in its life: by StopTask, or by a service that has too many.
func (w *world) stop(m *member) {
	m.task.AskToStop(w.now)
	switch {
	case m.task.HasStopped() || m.stopping:
	case m.started.IsZero():
		m.task.FailToStart(w.now)
		w.gone(m)
	default:
		w.terminate(m)
	}
}

// deliver gives waiting jobs to those in line.
func (w *world) deliver() {
	for len(w.jobs) > 0 && len(w.line) > 0 {
		first := 0
		for i, m := range w.line {
			if m.polls(w.now).Before(w.line[first].polls(w.now)) {
				first = i
			}
		}
		m := w.line[first]
		w.line = slices.Delete(w.line, first, first+1)
		m.lined = false
		w.offer(m)
	}
}

// polls is since when the worker's long poll lasts. A queue gives a message to the poll that has lasted longest.
func (m *member) polls(now time.Time) time.Time {
	return m.asked.Add(now.Sub(m.asked).Truncate(queue.MaxWait))
}

// gone is when a task has stopped.
func (w *world) gone(m *member) {
	delete(w.tasks, m.task)
	if m.told {
		w.leaving--
	}
	w.tally.gone(w.now, m)
}
