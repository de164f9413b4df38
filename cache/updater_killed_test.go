package cache

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"spate/internal/objects"
	"spate/internal/queue"
	"spate/job"
)

// errKilled is what a process sees that has been killed.
var errKilled = errors.New("killed")

// life is that of a process: it ends at a step, if at all. Each call has two, before its effect and after it; a call
// after the end has no effect.
type life struct {
	mu     sync.Mutex
	steps  int
	endsAt int // 0: never
}

func (l *life) step() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.steps++
	if l.endsAt > 0 && l.steps >= l.endsAt {
		return errKilled
	}
	return nil
}

func (l *life) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.endsAt > 0 && l.steps >= l.endsAt
}

func (l *life) call(effect func() error) error {
	if err := l.step(); err != nil {
		return err
	}
	if err := effect(); err != nil {
		return err
	}
	return l.step()
}

type mortalQueue struct {
	*fakeQueue
	*life
}

func (q mortalQueue) Receive(ctx context.Context, limit int, wait, visibility time.Duration) (messages []queue.Message, err error) {
	err = q.call(func() (err error) {
		messages, err = q.fakeQueue.Receive(ctx, limit, wait, visibility)
		return err
	})
	return messages, err
}

func (q mortalQueue) Delete(ctx context.Context, receipts ...string) error {
	for _, r := range receipts { // the service deletes some, and then the process is gone
		if err := q.call(func() error { return q.fakeQueue.Delete(ctx, r) }); err != nil {
			return err
		}
	}
	return nil
}

type mortalObjects struct {
	*fakeObjects
	*life
}

func (o mortalObjects) Get(ctx context.Context, key string) (data []byte, info objects.Info, err error) {
	err = o.call(func() (err error) {
		data, info, err = o.fakeObjects.Get(ctx, key)
		return err
	})
	return data, info, err
}

type mortalTable struct {
	*fakeTable
	*life
}

func (m mortalTable) BatchWriteItem(ctx context.Context, in *dynamodb.BatchWriteItemInput, o ...func(*dynamodb.Options)) (out *dynamodb.BatchWriteItemOutput, err error) {
	err = m.call(func() (err error) {
		out, err = m.fakeTable.BatchWriteItem(ctx, in, o...)
		return err
	})
	return out, err
}

type mortalParking struct {
	*fakeParking
	*life
}

func (p mortalParking) Park(ctx context.Context, m Parked) error {
	return p.call(func() error { return p.fakeParking.Park(ctx, m) })
}

func TestAnUpdaterKilledAtAnyStepIsMadeUpForByTheNext(t *testing.T) {
	survived := false
	for end := 1; !survived; end++ {
		synctest.Test(t, func(t *testing.T) { // where waiting between tries takes no time
			d := newDesk(t)
			present, twice, again, gone, old, spoilt := testKey(1), testKey(2), testKey(3), testKey(4), testKey(5), testKey(6)
			d.deliver(d.publish(gone), d.publish(spoilt), d.publish(again), d.publish(old))
			d.objects.publish(old, d.now.Add(-retention)) // as if time had passed
			d.objects.set(job.ManifestPath(spoilt), fakeObject{[]byte(`{"v":`), d.now})
			put := d.publish(twice)
			d.queue.send(
				put, put, "hello", createdBody("other/object"), d.remove(gone), d.changed("ObjectCreated:Put", spoilt), d.publish(present),
				d.remove(again), d.publish(again), d.changed("ObjectCreated:Copy", old), d.remove(again), d.publish(again), d.publish(testKey(7)),
			)
			d.queue.mu.Lock()
			for receipt := range d.queue.bodies { // so that what cannot be handled is parked this time
				d.queue.receives[receipt] = parkAfter - 1
			}
			d.queue.mu.Unlock()

			d.start(&life{endsAt: end})
			if err := d.work(); err != nil && !errors.Is(err, errKilled) {
				t.Errorf("killed at step %d: %v", end, err)
			}
			survived = !d.life.over()

			d.start(&life{})
			d.queue.send(d.remove(testKey(7))) // S3 has not waited
			for range parkAfter {
				d.queue.surface()
				if err := d.work(); err != nil {
					t.Errorf("after the one that was killed at step %d: %v", end, err)
				}
			}
			d.holds(present, twice, again)
			if d.queue.depth() != 0 || len(d.parking.parked) != 2 {
				t.Errorf("killed at step %d: %d messages are left, %d are parked", end, d.queue.depth(), len(d.parking.parked))
			}
			if t.Failed() {
				survived = true
			}
		})
		if survived && end < 40 && !t.Failed() {
			t.Errorf("only %d steps: most of the work was not seen", end)
		}
	}
}
