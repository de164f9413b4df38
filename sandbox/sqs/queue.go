package sqs

import (
	"container/heap"
	"container/list"
	"time"
)

// state says where a message is.
type state int

const (
	visible state = iota
	delayed
	inFlight
	gone
)

// message is one message of a queue.
type message struct {
	id         string
	body       string
	bodyMD5    string
	attributes map[string]attributeValue
	system     map[string]string
	sent       time.Time

	state         state
	firstReceived time.Time // zero before the first receive
	lastReceived  time.Time
	receives      int
	wakes         time.Time // when a delayed or in-flight message becomes visible
	heapIndex     int       // its place in queue.hidden
}

// settings are a queue's attributes that change its behaviour.
type settings struct {
	visibility    time.Duration
	delay         time.Duration
	retention     time.Duration
	wait          time.Duration
	maxBytes      int
	maxReceives   int    // 0: no dead-letter queue
	deadLetterARN string // set with maxReceives
	redrivePolicy string // as the client gave it
}

// waiter is a long poll that found nothing yet.
type waiter struct {
	max        int
	visibility time.Duration
	twice      bool            // what it gets is to be delivered again
	result     chan []delivery // buffered: one send, by whoever removes the waiter from the list
	element    *list.Element
}

// delivery is one received message: a snapshot, safe to read without the lock.
type delivery struct {
	message message
	handle  string
}

// queue is one queue's state. It has no lock and no clock: callers hold the
// server's lock and say what time it is.
type queue struct {
	name     string
	arn      string
	created  time.Time
	modified time.Time
	settings settings

	ready    []*message // visible messages, oldest first; entries of another state are skipped
	hidden   hiddenHeap // delayed and in-flight messages, the next to become visible first
	messages map[string]*message
	counts   [gone + 1]int
	waiters  *list.List // of *waiter
	wakeup   *time.Timer
	samples  []sample // of the depths, the oldest first
	chance   *chance

	// bury takes a message that was received too often; it has left this queue.
	bury func(now time.Time, m *message)
}

func newQueue(name, arn string, now time.Time, s settings, c *chance) *queue {
	return &queue{
		name: name, arn: arn, created: now, modified: now, settings: s, chance: c,
		messages: map[string]*message{}, waiters: list.New(),
	}
}

// add puts a message into the queue, visible after the delay.
func (q *queue) add(now time.Time, m *message, delay time.Duration) {
	q.messages[m.id] = m
	if delay > 0 {
		q.hide(m, delayed, now.Add(delay))
		return
	}
	q.show(m)
}

// take receives up to limit messages. twice: they are to be delivered again soon.
func (q *queue) take(now time.Time, limit int, visibility time.Duration, twice bool) []delivery {
	q.advance(now)
	var taken []delivery
	var unhidden []*message // received with a visibility of zero: visible again after this call
	for len(q.ready) > 0 && len(taken) < limit && q.counts[inFlight] < q.chance.inFlightLimit() {
		m := q.next()
		if m.state != visible {
			continue // deleted while it waited
		}
		q.forget(m)
		if now.Sub(m.sent) >= q.settings.retention {
			q.drop(m)
			continue
		}
		if q.bury != nil && q.settings.maxReceives > 0 && m.receives >= q.settings.maxReceives {
			q.drop(m)
			q.bury(now, m)
			continue
		}
		m.receives++
		m.lastReceived = now
		if m.firstReceived.IsZero() {
			m.firstReceived = now
		}
		taken = append(taken, delivery{message: *m, handle: formatHandle(m.id, m.receives)})
		if visibility <= 0 {
			unhidden = append(unhidden, m)
			continue
		}
		q.hide(m, inFlight, now.Add(q.chance.hideFor(visibility, twice)))
	}
	for _, m := range unhidden {
		q.show(m)
	}
	return taken
}

// next takes one of the oldest messages off the list.
func (q *queue) next() *message {
	i := q.chance.choose(len(q.ready))
	m := q.ready[i]
	copy(q.ready[1:i+1], q.ready[:i]) // those before it keep their order
	q.ready[0] = nil
	q.ready = q.ready[1:]
	return m
}

// remove deletes the message that the handle was given for. A handle older than
// the message's last receive removes nothing.
func (q *queue) remove(id string, receive int) {
	m := q.messages[id]
	if m == nil || m.receives != receive {
		return
	}
	q.forget(m)
	q.drop(m)
}

// changeVisibility hides a message in flight for so long from now; zero makes it
// visible at once.
func (q *queue) changeVisibility(now time.Time, id string, receive int, visibility time.Duration) error {
	q.advance(now)
	m := q.messages[id]
	switch {
	case m == nil || m.receives != receive:
		return errUnavailable()
	case m.state != inFlight:
		return errNotInFlight()
	case now.Add(visibility).Sub(m.lastReceived) > maxVisibility:
		return errInvalid("Total VisibilityTimeout for the message is beyond the limit [43200 seconds]")
	}
	q.forget(m)
	if visibility <= 0 {
		q.show(m)
		return nil
	}
	q.hide(m, inFlight, now.Add(visibility))
	return nil
}

// advance makes visible what is due.
func (q *queue) advance(now time.Time) {
	for len(q.hidden) > 0 && !q.hidden[0].wakes.After(now) {
		m := q.hidden[0]
		q.forget(m)
		q.show(m)
	}
}

// serve hands visible messages to waiting polls, the longest waiting first.
func (q *queue) serve(now time.Time) {
	for q.waiters.Len() > 0 {
		w, _ := q.waiters.Front().Value.(*waiter)
		taken := q.take(now, w.max, w.visibility, w.twice)
		if len(taken) == 0 {
			return
		}
		q.leave(w)
		w.result <- taken
	}
}

// leave takes a poll off the list; false if it was off already.
func (q *queue) leave(w *waiter) bool {
	if w.element == nil {
		return false
	}
	q.waiters.Remove(w.element)
	w.element = nil
	return true
}

// purge deletes all messages.
func (q *queue) purge() {
	q.ready, q.hidden = nil, nil
	q.messages = map[string]*message{}
	q.counts = [gone + 1]int{}
}

func (q *queue) show(m *message) {
	m.state = visible
	q.counts[visible]++
	q.ready = append(q.ready, m)
}

func (q *queue) hide(m *message, as state, until time.Time) {
	m.state, m.wakes = as, until
	q.counts[as]++
	heap.Push(&q.hidden, m)
}

// forget takes m out of the counts, and out of the heap if it is there.
func (q *queue) forget(m *message) {
	q.counts[m.state]--
	if m.state == delayed || m.state == inFlight {
		heap.Remove(&q.hidden, m.heapIndex)
	}
}

func (q *queue) drop(m *message) {
	m.state = gone
	delete(q.messages, m.id)
}

// hiddenHeap orders messages by the time they become visible.
type hiddenHeap []*message

func (h hiddenHeap) Len() int           { return len(h) }
func (h hiddenHeap) Less(i, j int) bool { return h[i].wakes.Before(h[j].wakes) }

func (h hiddenHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapIndex, h[j].heapIndex = i, j
}

func (h *hiddenHeap) Push(x any) {
	m, _ := x.(*message)
	m.heapIndex = len(*h)
	*h = append(*h, m)
}

func (h *hiddenHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}
