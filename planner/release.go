package planner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"spate/internal/queue"
	"spate/job"
)

// releaseBatch is the most jobs of one release record.
const releaseBatch = 1000

// flushMost is how many batches of a run are released before the loop looks at what else has happened.
const flushMost = 10

// sendCalls is how many SendMessageBatch calls of one release run at once.
const sendCalls = 8

// flight is a run's node whose job is on its way. Other runs of the pool that want the same key share it; pools do not wait
// for each other.
type flight struct {
	run  *activeRun
	node int32
}

// flush sends what was written and not marked as sent, then what is ready. It returns whether more may be ready.
func (p *Planner) flush(ctx context.Context, a *activeRun) (more bool, err error) {
	for len(a.unsent) > 0 {
		if err := p.send(ctx, a, a.unsent[0]); err != nil {
			return false, err
		}
		a.unsent = a.unsent[1:]
	}
	for range flushMost {
		nodes := a.graph.TakeReady(releaseBatch)
		if len(nodes) == 0 {
			return false, nil
		}
		batch := release{Key: releaseKey(a.ID, a.releases), Generation: a.generation, At: time.Now()}
		var released []int32
		for _, n := range nodes {
			if p.share(a, n) {
				continue
			}
			released = append(released, n)
			batch.Jobs = append(batch.Jobs, a.graph.FirstJob(n))
			batch.Attempts = append(batch.Attempts, int32(a.attempt(n)))
		}
		if len(released) == 0 {
			continue
		}
		if err := p.store.saveRelease(ctx, a.ID, batch); err != nil {
			for _, n := range released {
				p.back(a, n)
			}
			return false, err
		}
		a.releases++
		for _, n := range released {
			a.graph.Release(n)
		}
		out := &outgoing{release: batch, taken: map[int32]bool{}}
		a.unsent = append(a.unsent, out)
		if err := p.send(ctx, a, out); err != nil {
			return false, err
		}
		a.unsent = a.unsent[:len(a.unsent)-1]
	}
	return true, nil
}

// share joins a node to the flight of its key when another run owns one, and else opens one. A node that replaces an
// output flies alone: to other runs that output stands.
func (p *Planner) share(a *activeRun, n int32) bool {
	if a.isReplacing(n) || a.flying.get(n) {
		return false
	}
	if owner, ok := p.flightOf(a, a.graph.Key(n)); ok {
		p.shared[owner] = append(p.shared[owner], flight{a, n})
		a.graph.Share(n)
		return true
	}
	a.flying.set(n, true)
	return false
}

// flightOf finds a key's flight among the other runs of a's pool.
func (p *Planner) flightOf(a *activeRun, key job.Key) (flight, bool) {
	for _, other := range p.active {
		if other == a || other.Pool != a.Pool {
			continue
		}
		if n, ok := other.graph.Find(key); ok && other.flying.get(n) {
			return flight{other, n}, true
		}
	}
	return flight{}, false
}

// land ends a node's flight and lets those who shared it go on by themselves.
func (p *Planner) land(a *activeRun, n int32) {
	a.flying.set(n, false)
	p.part(flight{a, n})
}

// part ends the sharing of a flight.
func (p *Planner) part(owner flight) {
	shared := p.shared[owner]
	delete(p.shared, owner)
	for _, f := range shared {
		f.run.graph.Requeue(f.node)
	}
}

// detach ends a run's part in all flights: runs that shared its own go on by themselves.
func (p *Planner) detach(a *activeRun) {
	a.flying = sparse[bool]{}
	for owner, shared := range p.shared {
		if owner.run == a {
			p.part(owner)
			continue
		}
		if shared = slices.DeleteFunc(shared, func(f flight) bool { return f.run == a }); len(shared) > 0 {
			p.shared[owner] = shared
		} else {
			delete(p.shared, owner)
		}
	}
}

// outgoing is a release that is being sent.
type outgoing struct {
	release
	taken map[int32]bool // the nodes whose messages the queue has
}

// send puts a release's jobs on the queue and marks it. Jobs of which something else has become meanwhile are left out,
// and so are those that the queue took at an earlier try.
func (p *Planner) send(ctx context.Context, a *activeRun, out *outgoing) error {
	common := commonDocuments(a.Run, a.catalogue)
	var nodes []int32
	var bodies []string
	in := a.spool.reader()
	for i, number := range out.Jobs {
		n := a.graph.NodeOf(int(number))
		if out.taken[n] || !a.current(n, out.Attempts[i]) {
			continue
		}
		planned, err := in.planned(int(a.graph.FirstJob(n)))
		if err != nil {
			return err
		}
		body, err := message(a.Run, planned, int(out.Attempts[i]), common[planned.Task], a.catalogue[planned.Task].Timeout)
		if err != nil {
			return err
		}
		nodes, bodies = append(nodes, n), append(bodies, string(body))
	}
	taken, err := sendParts(ctx, p.pools[a.Pool].Jobs, bodies)
	now := time.Now()
	p.pools[a.Pool].emptySince = time.Time{} // what it has shown so far says nothing of these
	for i, n := range nodes {
		if taken[i] {
			out.taken[n] = true
			a.sent.set(n, uint32(now.Unix()))
			p.metrics.released.WithLabelValues(a.Pool).Inc()
		}
	}
	if err != nil {
		return fmt.Errorf("release jobs of run %s: %w", a.ID, err)
	}
	out.Sent = true
	return p.store.saveRelease(ctx, a.ID, out.release)
}

// sendParts sends messages in parallel calls and tells which the queue is known to have taken. One call's failure does
// not keep the others from being made.
func sendParts(ctx context.Context, to Sender, bodies []string) (taken []bool, err error) {
	taken = make([]bool, len(bodies))
	errs := make([]error, (len(bodies)+queue.MaxBatch-1)/queue.MaxBatch)
	var group errgroup.Group
	group.SetLimit(sendCalls)
	for part := range errs {
		start := part * queue.MaxBatch
		end := min(start+queue.MaxBatch, len(bodies))
		group.Go(func() error {
			errs[part] = sendAll(ctx, to, bodies[start:end], taken[start:end])
			return nil
		})
	}
	return taken, errors.Join(group.Wait(), errors.Join(errs...))
}

// sendTries is how often entries that a queue did not take are sent again.
const sendTries = 5

// sendPause is the pause before the first of these tries; each further one takes as much longer.
const sendPause = 100 * time.Millisecond

func sendAll(ctx context.Context, to Sender, bodies []string, taken []bool) error {
	for try := 1; ; try++ {
		var left []int
		var again []string
		for i, body := range bodies {
			if !taken[i] {
				left, again = append(left, i), append(again, body)
			}
		}
		err := to.Send(ctx, again...)
		var partial *queue.SendError
		if err != nil && !errors.As(err, &partial) {
			return err
		}
		for at, i := range left {
			taken[i] = partial == nil || partial.Failed[at] == nil
		}
		if partial == nil || try == sendTries {
			return err
		}
		if err := sleep(ctx, time.Duration(try)*sendPause); err != nil {
			return err
		}
	}
}

// current reports whether an attempt at a node is the one to send, or sent.
func (a *activeRun) current(n, attempt int32) bool {
	return a.graph.State(n) == job.Queued && a.attempt(n) == int(attempt)
}

// message writes a job's message. common is what the documents of all jobs of its task type share.
func message(r *Run, planned job.Planned, attempt int, common job.SpecDocument, timeout job.Duration) ([]byte, error) {
	doc, err := planned.Document(common).Canonical()
	if err != nil {
		return nil, err
	}
	m := job.Message{
		V: job.MessageVersion, Run: r.ID, Job: planned.ID, Key: planned.Key, Document: doc, Attempt: attempt, Timeout: timeout,
		Replaces: planned.Replaces,
	}
	if len(planned.Inputs) > 0 {
		m.Inputs = make(map[string]string, len(planned.Inputs))
		for name, in := range planned.Inputs {
			m.Inputs[name] = in.URL
		}
	}
	return m.Encode()
}
