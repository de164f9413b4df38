package cache

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"spate/job"
)

// A batch is sent when it is full, or after gatherTime with what there is.
const (
	gatherTime     = 3 * time.Millisecond
	parallelWrites = 8 // batches under way at the same time
)

// batcher makes batches of the writes of all callers and sends several at a time. Writes of one key are sent in the order
// in which they came and never two at the same time, also when the caller of the first has left meanwhile: what it sent
// cannot overtake what comes after it.
//
// It has goroutines only while somebody waits in do. With send set it is ready for use, also concurrently.
type batcher struct {
	// send tries to write a batch of distinct keys, and returns why it could not write some of them.
	send func(ctx context.Context, batch []*write) map[job.Key]error

	mu      sync.Mutex
	waiting []*write // in the order in which they came
	busy    keySet   // of batches under way
	workers int      // goroutines
	idle    int      // those of them that have no batch yet
}

// write is one item on its way. The batcher's lock guards all but key and request.
type write struct {
	key     job.Key
	request types.WriteRequest
	call    *call
	batch   *batch // nil while it waits
	done    bool
	err     error
}

// call is one caller's writes.
type call struct {
	left int           // that are not done
	done chan struct{} // closed when none is left
}

// batch is up to maxWrites writes under way.
type batch struct {
	writes  []*write
	callers map[*call]struct{} // that still wait for it
	ctx     context.Context    //nolint:containedctx // the batch's own: it belongs to no caller
	cancel  context.CancelFunc
	done    chan struct{}
}

// do returns, by key, why something was not written. When ctx ends, what has not been sent is withdrawn, and a batch for
// which nobody waits any more is broken off: whether it was written is unknown.
func (b *batcher) do(ctx context.Context, writes []*write) map[job.Key]error {
	if len(writes) == 0 {
		return nil
	}
	c := &call{left: len(writes), done: make(chan struct{})}
	b.mu.Lock()
	for _, w := range writes {
		w.call = c
	}
	b.waiting = append(b.waiting, writes...)
	for wanted := (len(b.waiting) + maxWrites - 1) / maxWrites; b.idle < wanted && b.workers < parallelWrites; {
		b.workers++
		b.idle++
		go b.work(context.WithoutCancel(ctx))
	}
	b.mu.Unlock()

	select {
	case <-c.done:
	case <-ctx.Done():
		b.leave(c, writes)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var failed map[job.Key]error
	for _, w := range writes {
		err := w.err
		if !w.done {
			err = ctx.Err()
		}
		if err != nil {
			if failed == nil {
				failed = map[job.Key]error{}
			}
			failed[w.key] = err
		}
	}
	return failed
}

// leave withdraws a caller's writes that wait, and waits for the end of the batches that were under way for it alone.
func (b *batcher) leave(c *call, writes []*write) {
	b.mu.Lock()
	b.waiting = slices.DeleteFunc(b.waiting, func(w *write) bool { return w.call == c })
	var alone []*batch
	for _, w := range writes {
		if w.batch == nil || w.done || slices.Contains(alone, w.batch) {
			continue
		}
		delete(w.batch.callers, c)
		if len(w.batch.callers) == 0 {
			alone = append(alone, w.batch)
		}
	}
	b.mu.Unlock()
	for _, batch := range alone {
		batch.cancel()
		<-batch.done
	}
}

// work sends batches until none waits.
func (b *batcher) work(ctx context.Context) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		if len(b.waiting) > 0 && len(b.waiting) < maxWrites {
			b.mu.Unlock()
			time.Sleep(gatherTime)
			b.mu.Lock()
		}
		b.idle--
		batch := b.take(ctx)
		if batch == nil {
			b.workers--
			return
		}
		b.mu.Unlock()
		failed := b.send(batch.ctx, batch.writes)
		b.mu.Lock()
		b.finish(batch, failed)
		b.idle++
	}
}

// take makes a batch of the first writes whose keys are not under way. Whoever has those under way will look again, so
// that nothing waits in vain.
func (b *batcher) take(ctx context.Context) *batch {
	taken := &batch{callers: map[*call]struct{}{}, done: make(chan struct{})}
	var passed []*write
	next := 0
	for ; next < len(b.waiting) && len(taken.writes) < maxWrites; next++ {
		w := b.waiting[next]
		if _, busy := b.busy[w.key]; busy {
			passed = append(passed, w)
			continue
		}
		if b.busy == nil {
			b.busy = keySet{}
		}
		b.busy.add(w.key)
		w.batch = taken
		taken.writes = append(taken.writes, w)
		taken.callers[w.call] = struct{}{}
	}
	b.waiting = b.waiting[next:]
	if len(passed) > 0 {
		b.waiting = append(passed, b.waiting...)
	}
	if len(taken.writes) == 0 {
		return nil
	}
	taken.ctx, taken.cancel = context.WithCancel(ctx)
	return taken
}

// finish tells the callers.
func (b *batcher) finish(batch *batch, failed map[job.Key]error) {
	batch.cancel()
	for _, w := range batch.writes {
		delete(b.busy, w.key)
		w.done, w.err = true, failed[w.key]
		if w.call.left--; w.call.left == 0 {
			close(w.call.done)
		}
	}
	close(batch.done)
}
