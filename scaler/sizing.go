package scaler

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// startUp is how long a task takes from its launch until it runs, where none has been seen to start yet: Fargate's are
// known to take 30 to 60 seconds.
const startUp = 45 * time.Second

// sizing is how many workers a pool should have.
type sizing struct {
	need     int   // that the work is worth, whatever the bounds
	top      int   // the most that there may be
	topLimit Limit // what says so
	wanted   int   // need within the bounds
	useful   int   // wanted, less those that would find nothing to do when they have started
	deadline deadline
}

// size sizes the pool that has so many workers of the demand's task definition. While the demand is unknown nothing is
// wanted of it.
func (v *view) size(have int) sizing {
	var s sizing
	s.top, s.topLimit = v.o.Asked.most(v.p.Max)
	if !v.demanded() {
		return s
	}
	least := min(v.p.Min, s.top)
	s.need = jobWorkers(v.o.Demand.Outstanding, v.p.Slots)
	if v.p.Within > 0 {
		s.deadline = v.meet(have)
		if s.deadline.known {
			s.need = min(s.need, s.deadline.workers)
		}
	}
	s.wanted = min(max(s.need, least), s.top)
	s.useful = min(s.wanted, max(v.useful(), least))
	if v.isHollow() {
		s.useful = min(s.wanted, least)
	}
	return s
}

// hollowAfter is how long a queue must have shown nothing to be taken for empty, as its depth may lag by a minute or more.
// By then the planner looks for the jobs, too.
const hollowAfter = 3 * time.Minute

// isHollow reports whether there are jobs of which the queue shows nothing, so that a worker would receive none.
func (v *view) isHollow() bool {
	d := v.o.Demand
	return d.Outstanding > 0 && !d.QueueEmptySince.IsZero() && v.now.Sub(d.QueueEmptySince) >= hollowAfter
}

// jobWorkers is how many workers take all jobs at once.
func jobWorkers(jobs, slots int) int {
	slots = max(1, slots)
	return (max(0, jobs) + slots - 1) / slots
}

// useful is how many workers will have something to do when one that is launched now has started. Until then those that
// run work all the time, and each that is starting does for as long as it was launched before.
func (v *view) useful() int {
	each := v.o.Demand.JobDuration.Seconds()
	if each <= 0 {
		return math.MaxInt
	}
	old := min(v.other, v.o.Workers.Running) // they hand the jobs back
	running := float64(v.o.Workers.Running - old)
	busy := running*v.startUp().Seconds() + v.o.Workers.PendingFor.Seconds()
	slots := float64(max(1, v.p.Slots))
	if still := v.o.Still.Seconds(); still > 2*each+v.startUp().Seconds() {
		each = max(each, still*slots*max(0, running-float64(v.o.Workers.Listed))) // jobs take longer than they did: fewer than one has ended in that time
	}
	left := float64(v.o.Demand.Outstanding) - slots*busy/each
	return int(math.Ceil(max(0, left) / slots))
}

// startUp is how long tasks of the pool take to start.
func (v *view) startUp() time.Duration {
	if v.o.Workers.StartUp > 0 {
		return v.o.Workers.StartUp
	}
	return startUp
}

// Of the time that is left until a deadline, the workers are to need nine tenths. The last tenth makes up for jobs that
// take longer, and for being a few workers short: up to a twentieth of them are not launched for.
const (
	deadlineShare = 0.9
	deadlineSlack = 0.05
)

// deadline is what a pool needs to be done in time.
type deadline struct {
	known   bool // the durations of the jobs, and when they were submitted, are
	workers int
	late    bool          // some run will not be done in time, whatever is launched
	due     time.Duration // until the deadline that decides, less than 0 when it has passed
}

// meet says how many workers bring each run to its end in time, those submitted first at first: the most that the runs
// due until any of the deadlines need. A run that is late gets a worker for each of its jobs.
func (v *view) meet(have int) deadline {
	slots := max(1, v.p.Slots)
	d := deadline{known: len(v.o.Demand.Runs) > 0}
	work, needed, lateWorkers, lateDue := 0.0, 0, 0, time.Duration(0)
	for _, r := range sortedRuns(v.o.Demand.Runs) {
		if r.Jobs == 0 {
			continue
		}
		if r.JobDuration <= 0 {
			return deadline{}
		}
		due := r.Submitted.Add(v.p.Within).Sub(v.now)
		left := deadlineShare*due.Seconds() - v.startUp().Seconds() - r.JobDuration.Seconds()
		if left <= 0 {
			if !d.late {
				lateDue = due
			}
			d.late = true
			lateWorkers += jobWorkers(r.Jobs, slots)
			continue
		}
		work += float64(r.Jobs) * r.JobDuration.Seconds()
		if n := int(math.Ceil(work / left / float64(slots))); n > needed {
			needed, d.due = n, due
		}
	}
	if short := needed - have; short > 0 && !d.late && float64(short) <= deadlineSlack*float64(needed) {
		needed = have
	}
	if d.late {
		d.due = lateDue
	}
	d.workers = needed + lateWorkers
	return d
}

// sortedRuns are the runs by age, which they mostly are already.
func sortedRuns(runs []RunWork) []RunWork {
	byAge := func(a, b RunWork) int { return cmp.Compare(a.Submitted.UnixNano(), b.Submitted.UnixNano()) }
	if slices.IsSortedFunc(runs, byAge) {
		return runs
	}
	return slices.SortedFunc(slices.Values(runs), byAge)
}

// isPatient reports whether there is time to wait for the provider that the pool prefers.
func (s sizing) isPatient() bool { return s.deadline.known && !s.deadline.late }
