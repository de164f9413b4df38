package dynamodb

import (
	"container/heap"
	"context"
	"time"

	"spate/sandbox/dynamodb/attribute"
)

// oldestExpiry is how far in the past an expiry may lie: items that expired more than five years ago are kept (Amazon DynamoDB
// developer guide, "Using time to live").
const oldestExpiry = 5 * 365 * 24 * time.Hour

// expiry says that the item with a key had this expiry when it was written; by now it may have another, or be gone.
type expiry struct {
	at  int64 // epoch seconds
	key string
}

// expiries is a heap of expiries, the earliest first.
type expiries []expiry

// Len is for container/heap, as are Less, Swap, Push and Pop.
func (e expiries) Len() int { return len(e) }

// Less orders by time.
func (e expiries) Less(i, j int) bool { return e[i].at < e[j].at }

// Swap exchanges two.
func (e expiries) Swap(i, j int) { e[i], e[j] = e[j], e[i] }

// Push appends an expiry.
func (e *expiries) Push(x any) {
	if v, ok := x.(expiry); ok {
		*e = append(*e, v)
	}
}

// Pop removes the last.
func (e *expiries) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// note remembers when an item expires, if it does.
func (e *expiries) note(name, key string, item attribute.Item) {
	if at, ok := expiresAt(name, item); ok {
		heap.Push(e, expiry{at: at, key: key})
	}
}

// expiresAt returns the expiry in epoch seconds that the attribute gives an item. Anything but a number is no expiry.
func expiresAt(name string, item attribute.Item) (int64, bool) {
	if name == "" {
		return 0, false
	}
	n, ok := item[name].(attribute.Number)
	if !ok {
		return 0, false
	}
	return n.Int64()
}

// setTTL changes the attribute that holds expiries; an empty one turns time to live off. mu must be held for writing.
func (t *table) setTTL(name string) {
	t.ttlAttribute = name
	t.expiries = nil
	for rec := range t.records.ascend(span{}) {
		t.expiries.note(name, rec.key, rec.item)
	}
}

// sweep deletes the items that had expired at the deadline, and returns how many.
func (t *table) sweep(now, deadline time.Time) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.expiries) > 2*t.records.count+1024 { // mostly items rewritten since
		t.setTTL(t.ttlAttribute)
	}
	deleted := 0
	for len(t.expiries) > 0 && t.expiries[0].at <= deadline.Unix() {
		due, _ := heap.Pop(&t.expiries).(expiry)
		item := t.get(due.key)
		at, ok := expiresAt(t.ttlAttribute, item)
		if !ok || at != due.at || time.Unix(at, 0).Before(now.Add(-oldestExpiry)) {
			continue
		}
		t.commit(change{key: due.key, old: item, now: now, byTTL: true})
		deleted++
	}
	return deleted
}

// Run deletes expired items and trims streams until ctx ends, and then returns nil. Without it nothing expires.
func (s *Server) Run(ctx context.Context) error {
	for {
		interval := min(max(time.Duration(s.Habits().TTLDelay)/4, 10*time.Millisecond), time.Minute)
		timer := time.NewTimer(interval)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case now := <-timer.C:
			s.sweep(now)
		}
	}
}

func (s *Server) sweep(now time.Time) {
	s.tokens.forget(now)
	h := s.Habits()
	s.mu.RLock()
	tables := make([]*table, 0, len(s.tables))
	for _, t := range s.tables {
		tables = append(tables, t)
	}
	streams := make([]*stream, 0, len(s.streams))
	for _, st := range s.streams {
		streams = append(streams, st)
	}
	s.mu.RUnlock()
	for _, t := range tables {
		if deleted := t.sweep(now, now.Add(-time.Duration(h.TTLDelay))); deleted > 0 {
			s.options.Log.Debug().Str("table", t.name).Int("items", deleted).Msg("expired items deleted")
		}
	}
	for _, st := range streams {
		if h.ShardLife > 0 {
			st.roll(now, now.Add(-time.Duration(h.ShardLife)))
		}
		if st.trim(now.Add(-h.retention())) {
			s.mu.Lock()
			delete(s.streams, st.arn)
			s.mu.Unlock()
		}
	}
}
