package cache

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"spate/job"
)

// fakeSend stands for the table: each batch takes some time, and is checked.
type fakeSend struct {
	t       testing.TB
	took    time.Duration
	fail    func(job.Key) error // when not nil
	mu      sync.Mutex
	batches [][]job.Key // in the order in which they ended
	busy    map[job.Key]bool
	most    int // batches at the same time
	flying  int
}

func (f *fakeSend) send(ctx context.Context, batch []*write) map[job.Key]error {
	f.mu.Lock()
	f.flying++
	f.most = max(f.most, f.flying)
	if f.busy == nil {
		f.busy = map[job.Key]bool{}
	}
	keys := make([]job.Key, len(batch))
	for i, w := range batch {
		keys[i] = w.key
		if f.busy[w.key] {
			f.t.Errorf("%s is written twice at the same time", w.key.Short())
		}
		f.busy[w.key] = true
	}
	if len(batch) == 0 || len(batch) > maxWrites {
		f.t.Errorf("a batch of %d", len(batch))
	}
	f.mu.Unlock()
	err := sleep(ctx, f.took)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flying--
	failed := map[job.Key]error{}
	for _, k := range keys {
		delete(f.busy, k)
		if err == nil && f.fail != nil {
			if why := f.fail(k); why != nil {
				failed[k] = why
			}
		}
		if err != nil {
			failed[k] = err
		}
	}
	f.batches = append(f.batches, keys)
	return failed
}

func writesOf(keys ...job.Key) []*write {
	writes := make([]*write, len(keys))
	for i, k := range keys {
		writes[i] = &write{key: k}
	}
	return writes
}

func TestWritesOfSeveralCallersShareFullBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeSend{t: t, took: 10 * time.Millisecond}
		b := &batcher{send: f.send}
		var callers errgroup.Group
		for n := range 10 {
			callers.Go(func() error {
				if failed := b.do(t.Context(), writesOf(testKeys(10*n, 10*n+10)...)); failed != nil {
					t.Error(failed)
				}
				return nil
			})
		}
		began := time.Now()
		_ = callers.Wait()
		if len(f.batches) != 4 || f.most != 4 {
			t.Errorf("100 writes went in %d batches, %d at a time; want 4, all at a time", len(f.batches), f.most)
		}
		if took := time.Since(began); took > gatherTime+10*time.Millisecond {
			t.Errorf("it took %s", took)
		}
	})
}

func TestALoneWriteWaitsForOthersAFewMillisecondsAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeSend{t: t}
		b := &batcher{send: f.send}
		began := time.Now()
		b.do(t.Context(), writesOf(testKey(1)))
		if took := time.Since(began); took > gatherTime+f.took || len(f.batches) != 1 {
			t.Errorf("it took %s and %d batches", took, len(f.batches))
		}
	})
}

func TestAFewBatchesAreUnderWayAtATimeHoweverManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeSend{t: t, took: time.Second}
		b := &batcher{send: f.send}
		began := time.Now()
		b.do(t.Context(), writesOf(testKeys(0, 2*parallelWrites*maxWrites)...))
		if f.most != parallelWrites || len(f.batches) != 2*parallelWrites || time.Since(began) != 2*time.Second {
			t.Errorf("%d batches, %d at a time, in %s", len(f.batches), f.most, time.Since(began))
		}
	})
}

func TestEachCallerLearnsWhatBecameOfItsOwnWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		f := &fakeSend{t: t, fail: func(k job.Key) error {
			if k == testKey(1) {
				return broken
			}
			return nil
		}}
		b := &batcher{send: f.send}
		var other map[job.Key]error
		var callers errgroup.Group
		callers.Go(func() error {
			other = b.do(t.Context(), writesOf(testKey(2), testKey(3)))
			return nil
		})
		failed := b.do(t.Context(), writesOf(testKey(0), testKey(1)))
		_ = callers.Wait()
		if !maps.Equal(failed, map[job.Key]error{testKey(1): broken}) || other != nil || len(f.batches) != 1 {
			t.Errorf("one caller is told %v, the other %v, of %d batches", failed, other, len(f.batches))
		}
	})
}

func TestWritesOfOneKeyAreSentOneAfterAnotherInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeSend{t: t, took: time.Second}
		b := &batcher{send: f.send}
		var mu sync.Mutex
		var order []int
		var callers errgroup.Group
		for n := range 5 {
			callers.Go(func() error {
				b.do(t.Context(), writesOf(testKey(1), testKey(100+n)))
				mu.Lock()
				defer mu.Unlock()
				order = append(order, n)
				return nil
			})
			synctest.Wait()
		}
		_ = callers.Wait()
		if !slices.Equal(order, []int{0, 1, 2, 3, 4}) {
			t.Errorf("the writes of one key ended in the order %v", order)
		}
	})
}

func TestACallerThatLeavesTakesBackWhatWasNotSentAndHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeSend{t: t, took: time.Minute}
		b := &batcher{send: f.send}
		ctx, leave := context.WithCancel(t.Context())
		var first, second map[job.Key]error
		var callers errgroup.Group
		callers.Go(func() error { // fills all workers; nobody else waits for its batches but for the last
			first = b.do(ctx, writesOf(testKeys(0, parallelWrites*maxWrites+50)...))
			return nil
		})
		synctest.Wait()
		began := time.Now()
		callers.Go(func() error {
			second = b.do(t.Context(), writesOf(testKey(parallelWrites*maxWrites), testKey(0), testKey(1_000)))
			return nil
		})
		synctest.Wait()
		leave()
		_ = callers.Wait()
		if len(first) != parallelWrites*maxWrites+50 || !errors.Is(first[testKey(0)], context.Canceled) {
			t.Errorf("the one that left is told of %d errors, such as %v", len(first), first[testKey(0)])
		}
		if second != nil || time.Since(began) > time.Minute+time.Second {
			t.Errorf("the other one is told %v after %s", second, time.Since(began))
		}
		if last := f.batches[len(f.batches)-1]; len(f.batches) != parallelWrites+1 || len(last) != 3 {
			t.Errorf("%d batches were sent, the last of %d", len(f.batches), len(last))
		}
	})
}

func TestABatchThatOthersWaitForGoesOnWhenOneOfItsCallersLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeSend{t: t, took: time.Second}
		b := &batcher{send: f.send}
		ctx, leave := context.WithCancel(t.Context())
		var gone, stays map[job.Key]error
		var callers errgroup.Group
		callers.Go(func() error { gone = b.do(ctx, writesOf(testKey(1))); return nil })
		callers.Go(func() error { stays = b.do(t.Context(), writesOf(testKey(2))); return nil })
		time.Sleep(gatherTime * 2)
		leave()
		synctest.Wait()
		f.mu.Lock()
		ended := len(f.batches)
		f.mu.Unlock()
		if !errors.Is(gone[testKey(1)], context.Canceled) || ended != 0 {
			t.Errorf("the one that left is told %v; %d batches have ended", gone, ended)
		}
		_ = callers.Wait()
		if stays != nil || len(f.batches) != 1 {
			t.Errorf("the one that stays is told %v of %d batches", stays, len(f.batches))
		}
	})
}
