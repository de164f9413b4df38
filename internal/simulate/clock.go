package simulate

import (
	"container/heap"
	"time"
)

// clock is virtual time: what is to happen, in the order in which it happens. Of things at one time the first arranged
// comes first, so that a simulation repeats itself.
type clock struct {
	now    time.Time
	events events
	count  uint64
}

// event is something that is to happen. It can be called off.
type event struct {
	at  time.Time
	seq uint64
	do  func()
}

// callOff makes nothing of the event.
func (e *event) callOff() {
	if e != nil {
		e.do = nil
	}
}

// after arranges something for later; what should have happened before now happens at once.
func (c *clock) after(d time.Duration, do func()) *event {
	c.count++
	e := &event{at: c.now.Add(max(0, d)), seq: c.count, do: do}
	heap.Push(&c.events, e)
	return e
}

// step lets the next thing happen. It returns false when there is none, or none until the end.
func (c *clock) step(end time.Time) bool {
	if len(c.events) == 0 || c.events[0].at.After(end) {
		return false
	}
	e, ok := heap.Pop(&c.events).(*event)
	if !ok {
		return false
	}
	c.now = e.at
	if e.do != nil {
		e.do()
	}
	return true
}

// events is a heap, the earliest first.
type events []*event

func (e events) Len() int { return len(e) }

func (e events) Less(i, j int) bool {
	if !e[i].at.Equal(e[j].at) {
		return e[i].at.Before(e[j].at)
	}
	return e[i].seq < e[j].seq
}

func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }

// Push and Pop are container/heap's.
func (e *events) Push(x any) {
	if added, ok := x.(*event); ok {
		*e = append(*e, added)
	}
}

func (e *events) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	(*e)[last] = nil
	*e = (*e)[:last]
	return x
}
