package planner

import (
	"time"

	"spate/job"
)

// Demand is how much work a pool has.
type Demand struct {
	Outstanding    int           // distinct keys released or about to be, unfinished
	JobDuration    time.Duration // that one of those takes, in the mean; 0: not known
	TaskDefinition string        // ARN of the revision that must do it
	Container      string        // of the task definition
	Platform       string        // of its image
	Worker         WorkerSize
	Runs           []RunWork // that the pool has to work on, the oldest first
	// QueueEmptySince is since when the pool's queue has shown nothing at all, neither waiting, nor in flight, nor delayed;
	// zero while it shows anything, cannot be asked, or has just been sent something.
	QueueEmptySince time.Time
	At              time.Time
}

// RunWork is what one run has left to do.
type RunWork struct {
	Submitted   time.Time
	Jobs        int           // distinct keys to be computed for it, those that wait for others included
	JobDuration time.Duration // that one of those takes, in the mean; 0: not known
}

// Demand is a pool's demand as of the loop's last round. ok is false until the runs have been read: unknown, not zero.
func (p *Planner) Demand(pool string) (d Demand, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d, ok = p.demand[pool]
	return d, ok
}

// isWatched reports whether it matters what a pool's queue shows: there is work, or a cancelled run's is being dropped.
func (p *Planner) isWatched(pool string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.demand[pool].Outstanding > 0 || p.dropping[pool]
}

// publishDemand tells Demand's callers how much work there is, and wakes them when it grew.
func (p *Planner) publishDemand(now time.Time) {
	next := make(map[string]Demand, len(p.pools))
	for name, pool := range p.pools {
		next[name] = Demand{At: now, QueueEmptySince: pool.emptySince}
	}
	outstanding := make(map[string]mean, len(p.pools))
	dropping := map[string]bool{}
	runs := p.runs()
	turns := p.turnsOf(runs)
	for _, a := range runs {
		if a.State == job.RunCancelling {
			dropping[a.Pool] = true
		}
		d, known := next[a.Pool]
		if !known || !a.takesTurns() {
			continue
		}
		left, now := p.durations.of(a)
		d.Runs = append(d.Runs, RunWork{Submitted: a.Received, Jobs: left.jobs, JobDuration: left.duration()})
		if mine, _ := turns.of(a); mine {
			if d.TaskDefinition == "" {
				d.TaskDefinition, d.Container, d.Platform, d.Worker = a.TaskDefinition, a.Container, a.Platform, a.Worker
			}
			d.Outstanding += a.graph.Outstanding()
			outstanding[a.Pool] = outstanding[a.Pool].plus(now)
		}
		next[a.Pool] = d
	}
	for name, m := range outstanding {
		d := next[name]
		d.JobDuration = m.duration()
		next[name] = d
	}
	p.mu.Lock()
	previous := p.demand
	p.demand, p.dropping = next, dropping
	p.mu.Unlock()
	for name, d := range next {
		p.metrics.outstanding.WithLabelValues(name).Set(float64(d.Outstanding))
		if d.Outstanding > previous[name].Outstanding {
			p.Wake()
		}
	}
}

// durations is what jobs lately took, by pool and task type: means in which a new job counts as one of the last
// thousand. It belongs to the loop.
type durations map[durationOf]*lately

type durationOf struct{ pool, task string }

type lately struct {
	seen    int
	seconds float64 // mean
}

const durationMemory = 1000

// saw takes over what a job took.
func (d durations) saw(pool, task string, seconds float64) {
	l := d[durationOf{pool, task}]
	if l == nil {
		l = &lately{}
		d[durationOf{pool, task}] = l
	}
	l.seen = min(l.seen+1, durationMemory)
	l.seconds += (seconds - l.seconds) / float64(l.seen)
}

// recall takes over what a run's record says, of which no event told this planner.
func (d durations) recall(r *Run) {
	for task, f := range r.Tasks {
		if key := (durationOf{r.Pool, task}); f.Executed > 0 && d[key] == nil {
			d[key] = &lately{seen: min(f.Executed, durationMemory), seconds: f.Seconds / float64(f.Executed)}
		}
	}
}

// of sums up what is left of a run, and what of that is outstanding.
func (d durations) of(a *activeRun) (left, outstanding mean) {
	for i, t := range a.graph.Tallies() {
		l := d[durationOf{a.Pool, a.figures.names[i]}]
		left, outstanding = left.add(t.Left, l), outstanding.add(t.Outstanding, l)
	}
	return left, outstanding
}

// mean is a number of jobs, and what those of them take of which that is known.
type mean struct {
	jobs    int
	known   int
	seconds float64 // of the known ones together
}

func (m mean) add(jobs int, l *lately) mean {
	m.jobs += jobs
	if l != nil {
		m.known += jobs
		m.seconds += float64(jobs) * l.seconds
	}
	return m
}

func (m mean) plus(o mean) mean {
	return mean{m.jobs + o.jobs, m.known + o.known, m.seconds + o.seconds}
}

// duration is the mean of the known ones, which stand for the others where they are half of all at least; else 0.
func (m mean) duration() time.Duration {
	if m.known == 0 || 2*m.known < m.jobs {
		return 0
	}
	return max(1, time.Duration(m.seconds/float64(m.known)*float64(time.Second)))
}
