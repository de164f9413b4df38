package planner

import (
	"context"
	"errors"
	"fmt"
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

// flight is a key on its way for one run, and the runs that share it.
type flight struct {
	owner  *activeRun
	node   int32
	shared []flightRef
}

type flightRef struct {
	run  *activeRun
	node int32
}

// flightKey registers keys in flight by pool: a pool's runs share, pools do not wait for each other.
type flightKey struct {
	pool string
	key  job.Key
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
		batch := release{Key: releaseKey(a.ID, a.releases), At: time.Now()}
		for _, n := range nodes {
			if p.share(a, n) {
				continue
			}
			batch.Nodes = append(batch.Nodes, n)
			batch.Attempts = append(batch.Attempts, int32(a.attempt(n)))
		}
		if len(batch.Nodes) == 0 {
			continue
		}
		if err := p.store.saveRelease(ctx, a.ID, batch); err != nil {
			for _, n := range batch.Nodes {
				p.back(a, n)
			}
			return false, err
		}
		a.releases++
		for _, n := range batch.Nodes {
			a.graph.Release(n)
		}
		a.unsent = append(a.unsent, batch)
		if err := p.send(ctx, a, batch); err != nil {
			return false, err
		}
		a.unsent = a.unsent[:len(a.unsent)-1]
	}
	return true, nil
}

// share joins a node to the flight of its key when another run owns one, and else opens one.
func (p *Planner) share(a *activeRun, n int32) bool {
	key := flightKey{a.Pool, a.graph.Key(n)}
	f := p.flights[key]
	if f == nil {
		p.flights[key] = &flight{owner: a, node: n}
		return false
	}
	if f.owner == a {
		return false
	}
	f.shared = append(f.shared, flightRef{a, n})
	a.graph.Share(n)
	return true
}

// land ends the flight of a node's key and lets those who shared it go on by themselves.
func (p *Planner) land(a *activeRun, n int32) {
	key := flightKey{a.Pool, a.graph.Key(n)}
	f := p.flights[key]
	if f == nil || f.owner != a {
		return
	}
	delete(p.flights, key)
	for _, ref := range f.shared {
		ref.run.graph.Requeue(ref.node)
	}
}

// send puts a release's jobs on the queue and marks it. Jobs of which something else has become meanwhile are left out.
func (p *Planner) send(ctx context.Context, a *activeRun, batch release) error {
	common := commonDocuments(a.Run, a.catalogue)
	bodies := make([]string, 0, len(batch.Nodes))
	for i, n := range batch.Nodes {
		if !a.current(n, batch.Attempts[i]) {
			continue
		}
		planned, err := a.planned(n)
		if err != nil {
			return err
		}
		body, err := message(a.Run, planned, int(batch.Attempts[i]), common[planned.Task], a.catalogue[planned.Task].Timeout)
		if err != nil {
			return err
		}
		bodies = append(bodies, string(body))
	}
	group, sendCtx := errgroup.WithContext(ctx)
	group.SetLimit(sendCalls)
	jobs := p.pools[a.Pool].Jobs
	for start := 0; start < len(bodies); start += queue.MaxBatch {
		group.Go(func() error { return sendAll(sendCtx, jobs, bodies[start:min(start+queue.MaxBatch, len(bodies))]) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("release jobs of run %s: %w", a.ID, err)
	}
	now := time.Now()
	p.pools[a.Pool].emptySince = time.Time{} // what it has shown so far says nothing of these
	for i, n := range batch.Nodes {
		if a.current(n, batch.Attempts[i]) {
			a.sent[n] = now
		}
	}
	batch.Sent = true
	if err := p.store.saveRelease(ctx, a.ID, batch); err != nil {
		return err
	}
	p.metrics.released.WithLabelValues(a.Pool).Add(float64(len(bodies)))
	return nil
}

// sendTries is how often entries that a queue did not take are sent again.
const sendTries = 5

// sendPause is the pause before the first of these tries; each further one takes as much longer.
const sendPause = 100 * time.Millisecond

func sendAll(ctx context.Context, to Sender, bodies []string) error {
	for try := 1; ; try++ {
		err := to.Send(ctx, bodies...)
		var partial *queue.SendError
		if !errors.As(err, &partial) || try == sendTries {
			return err
		}
		again := make([]string, 0, len(partial.Failed))
		for i := range bodies {
			if _, failed := partial.Failed[i]; failed {
				again = append(again, bodies[i])
			}
		}
		bodies = again
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
	}
	if len(planned.Inputs) > 0 {
		m.Inputs = make(map[string]string, len(planned.Inputs))
		for name, in := range planned.Inputs {
			m.Inputs[name] = in.URL
		}
	}
	return m.Encode()
}
