package cache

import (
	"context"
	"sync"
	"time"

	"spate/job"
)

// Time to live deletes an item days after its end, and a pass of reconciliation comes by an hour later or more. So a pass
// remembers which outputs end before the next one sees them, and each is looked at again when its end has come: an item that
// was renewed meanwhile says so.

// maxEndings bounds how many outputs are remembered, at some 60 bytes each. Of more, those that end last are left to the
// next pass.
const maxEndings = 500_000

// expireEvery is how often outputs are looked at whose end has come: so long may the view have them at most, and a few
// seconds more.
const expireEvery = 5 * time.Second

// endings are outputs by the end of their life, in steps of expireEvery. It is safe for concurrent use.
type endings struct {
	most int

	mu    sync.Mutex
	steps map[int64]keySet
	last  int64 // no step is later
	n     int
}

func newEndings(most int) *endings { return &endings{most: most, steps: map[int64]keySet{}} }

// stepAfter is the first step that begins no earlier than a time.
func stepAfter(at time.Time) int64 {
	return (at.UnixNano() + int64(expireEvery) - 1) / int64(expireEvery)
}

// add remembers an output, once.
func (e *endings) add(k job.Key, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	step := stepAfter(at)
	if _, have := e.steps[step][k]; have || e.n >= e.most && !e.makeRoom(step) {
		return
	}
	if e.steps[step] == nil {
		e.steps[step] = keySet{}
	}
	e.steps[step].add(k)
	e.last = max(e.last, step)
	e.n++
}

// makeRoom forgets one of those that end last. It reports whether these are later than a step.
func (e *endings) makeRoom(step int64) bool {
	for e.last > step && len(e.steps[e.last]) == 0 {
		delete(e.steps, e.last)
		e.last--
	}
	if e.last <= step {
		return false
	}
	for k := range e.steps[e.last] {
		delete(e.steps[e.last], k)
		e.n--
		break
	}
	return true
}

// take takes some of those whose end has come.
func (e *endings) take(now time.Time, most int) []job.Key {
	e.mu.Lock()
	defer e.mu.Unlock()
	var taken []job.Key
	for step, keys := range e.steps {
		if step*int64(expireEvery) > now.UnixNano() {
			continue
		}
		for k := range keys {
			if len(taken) == most {
				return taken
			}
			taken = append(taken, k)
			delete(keys, k)
			e.n--
		}
		delete(e.steps, step)
	}
	return taken
}

// foresee remembers what of a page ends before the next pass comes by.
func (r *Reconciler) foresee(now time.Time, page Page) {
	horizon := now.Add(2 * max(r.PassEvery, r.passTook, now.Sub(r.passBegan)))
	for _, o := range page.Outputs {
		if o.ExpiresAt.Before(horizon) {
			r.endings.add(o.Key, o.ExpiresAt)
		}
	}
}

// expire has the follower look at outputs whose end has come, for ever.
func (r *Reconciler) expire(ctx context.Context) error {
	for failures := 0; ; {
		if err := sleep(ctx, expireEvery); err != nil {
			return err
		}
		for more := true; more; {
			var err error
			more, err = r.expireSome(ctx)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err == nil {
				failures = 0
				continue
			}
			if err := r.hold(ctx, "outputs whose life is over were not looked at yet", err, failures); err != nil {
				return err
			}
			failures++
		}
	}
}

// expirePause is how long the follower is left alone between two corrections.
const expirePause = time.Second

// expireSome has some outputs looked at that the view still has. It reports whether there may be more.
func (r *Reconciler) expireSome(ctx context.Context) (more bool, err error) {
	now := time.Now()
	mark, live := r.Epochs.Current(ctx, now)
	if !live {
		return false, nil
	}
	keys := r.endings.take(now, maxCorrected)
	if len(keys) == 0 {
		return false, nil
	}
	var open []job.Key
	for i, p := range r.View.Lookup(ctx, mark, keys).Presence {
		if p != job.Miss {
			open = append(open, keys[i])
		}
	}
	if len(open) == 0 {
		return true, nil
	}
	done := r.Follower.correct(ctx, &correction{epoch: mark.Epoch, look: open})
	if done.err != nil {
		for _, k := range open {
			r.endings.add(k, now)
		}
		return true, done.err
	}
	r.found(viewExpired, done.removed)
	return true, sleep(ctx, expirePause)
}
