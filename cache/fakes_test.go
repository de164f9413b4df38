package cache

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"spate/internal/objects"
	"spate/internal/queue"
	"spate/job"
)

// fakeQueue is a queue whose messages stay until they are deleted. Receive hands out what is visible and returns nothing
// where the real one would wait.
type fakeQueue struct {
	mu       sync.Mutex
	bodies   map[string]string // by receipt
	hidden   map[string]bool
	receives map[string]int
	next     int
	received chan struct{} // told of each receive, if somebody listens
}

func newFakeQueue() *fakeQueue {
	return &fakeQueue{bodies: map[string]string{}, hidden: map[string]bool{}, receives: map[string]int{}, received: make(chan struct{}, 1)}
}

func (q *fakeQueue) send(bodies ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, body := range bodies {
		q.next++
		q.bodies[strconv.Itoa(q.next)] = body
	}
}

// surface makes what was received and not deleted visible again.
func (q *fakeQueue) surface() {
	q.mu.Lock()
	defer q.mu.Unlock()
	clear(q.hidden)
}

func (q *fakeQueue) depth() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.bodies)
}

func (q *fakeQueue) Receive(ctx context.Context, limit int, wait, _ time.Duration) ([]queue.Message, error) {
	q.mu.Lock()
	var messages []queue.Message
	for receipt, body := range q.bodies {
		if !q.hidden[receipt] && len(messages) < limit {
			q.hidden[receipt] = true
			q.receives[receipt]++
			messages = append(messages, queue.Message{ID: "m" + receipt, Body: body, Receipt: receipt, ReceiveCount: q.receives[receipt], Sent: start})
		}
	}
	q.mu.Unlock()
	if len(messages) == 0 {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(min(wait, 10*time.Millisecond)):
		}
	}
	return messages, nil
}

func (q *fakeQueue) Delete(_ context.Context, receipts ...string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, receipt := range receipts {
		if !q.hidden[receipt] {
			return fmt.Errorf("receipt %s was not received", receipt)
		}
		delete(q.bodies, receipt)
		delete(q.hidden, receipt)
	}
	return nil
}

// fakeObjects is a bucket of manifests.
type fakeObjects struct {
	mu      sync.Mutex
	objects map[string]fakeObject
	reads   int
	took    time.Duration          // by each read
	fail    func(key string) error // asked before each read, when not nil

	now    time.Time                               // when what is written is last modified; zero: as it was
	before func(verb, key string) error            // asked before each request, without the lock, when not nil
	after  func(verb, key string, err error) error // asked after its effect, when not nil
}

type fakeObject struct {
	data     []byte
	modified time.Time
}

func newFakeObjects() *fakeObjects { return &fakeObjects{objects: map[string]fakeObject{}} }

func (o *fakeObjects) Get(ctx context.Context, key string) ([]byte, objects.Info, error) {
	if o.took > 0 {
		if err := sleep(ctx, o.took); err != nil {
			return nil, objects.Info{}, err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reads++
	if o.fail != nil {
		if err := o.fail(key); err != nil {
			return nil, objects.Info{}, err
		}
	}
	object, ok := o.objects[key]
	if !ok {
		return nil, objects.Info{}, fmt.Errorf("get %s: %w", key, objects.ErrNotFound)
	}
	return object.data, object.info(key), nil
}

// publish puts a manifest.
func (o *fakeObjects) publish(key job.Key, modified time.Time) {
	m := job.Manifest{V: job.MessageVersion, Key: key, Attempt: "a", Run: "run", Files: []job.File{{Path: "out", Size: 7}}}
	data, err := m.Encode()
	if err != nil {
		panic(err)
	}
	o.set(job.ManifestPath(key), fakeObject{data, modified})
}

func (o *fakeObjects) set(key string, object fakeObject) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.objects[key] = object
}

func (o *fakeObjects) remove(key job.Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.objects, job.ManifestPath(key))
}
