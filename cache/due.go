package cache

import (
	"container/heap"
	"encoding/binary"
	"time"

	"spate/job"
)

// When an output in use is refreshed, as shares of its life. The third quarter is for spreading; the last is for nights
// without runs or refreshes: at 30 days' retention seven of them. An output in it is late.
const (
	refreshFrom  = 0.5
	refreshUntil = 0.75
)

// dueAt is from when a use of an output refreshes it. Outputs of the same age are spread uniformly, each by bits of its own
// key, which neither its place in S3 nor that in the view is made of.
func dueAt(key job.Key, created time.Time, life time.Duration) time.Time {
	bits := binary.BigEndian.Uint64(key[job.KeySize-8:]) >> 11
	share := refreshFrom + (refreshUntil-refreshFrom)*float64(bits)/(1<<53)
	return created.Add(time.Duration(share * float64(life)))
}

// due reports whether an output that is used now is to be refreshed. One whose life is over is not: it counts as absent.
func due(key job.Key, created time.Time, life time.Duration, now time.Time) bool {
	return !now.Before(dueAt(key, created, life)) && now.Before(created.Add(life))
}

// dueOutput is an output that waits for its refresh.
type dueOutput struct {
	key     job.Key
	created time.Time
	expires time.Time
}

func (o dueOutput) urgent(now time.Time) bool {
	return !now.Before(o.created.Add(time.Duration(refreshUntil * float64(o.expires.Sub(o.created)))))
}

// dueQueue orders what waits: those first whose life ends first. The zero value is empty.
type dueQueue struct{ heap dueHeap }

func (q *dueQueue) push(o dueOutput) { heap.Push(&q.heap, o) }
func (q *dueQueue) len() int         { return len(q.heap) }

// pop takes the first whose life is not over at now, and also returns the ones before it, for which it is too late. ok is
// false when there is none.
func (q *dueQueue) pop(now time.Time) (o dueOutput, late []dueOutput, ok bool) {
	for q.len() > 0 {
		o = heap.Pop(&q.heap).(dueOutput) //nolint:forcetypeassert // nothing else is pushed
		if o.expires.After(now) {
			return o, late, true
		}
		late = append(late, o)
	}
	return dueOutput{}, late, false
}

// dueHeap is a heap by expiry.
type dueHeap []dueOutput

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].expires.Before(h[j].expires) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push adds to the end, for container/heap.
func (h *dueHeap) Push(x any) { *h = append(*h, x.(dueOutput)) } //nolint:forcetypeassert // nothing else is pushed

// Pop takes from the end, for container/heap.
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	o := (*h)[last]
	*h = (*h)[:last]
	return o
}
