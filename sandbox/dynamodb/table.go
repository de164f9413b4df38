package dynamodb

import (
	"sync"
	"sync/atomic"
	"time"

	"spate/sandbox/dynamodb/attribute"
)

// maxItemBytes is the largest item (Amazon DynamoDB developer guide, "Quotas").
const maxItemBytes = 400 << 10

// table is a table's definition and contents. Its name, ARN and schema never change; mu guards the rest.
type table struct {
	name      string
	arn       string
	id        string
	schema    schema
	billing   billing
	createdAt time.Time
	habits    *atomic.Pointer[Habits] // the server's
	meter     meter

	mu           sync.RWMutex
	records      records
	ttlAttribute string // empty when time to live is off
	expiries     expiries
	stream       *stream // the newest, if there has been one; it may be disabled
}

// get returns the item with a record key, or nil. mu must be held.
func (t *table) get(key string) attribute.Item {
	if rec := t.records.get(key); rec != nil {
		return rec.item
	}
	return nil
}

// change is one item's change from old to next; nil stands for an item that does not exist.
type change struct {
	key       string
	old, next attribute.Item
	now       time.Time
	byTTL     bool
}

// commit makes a change and tells the stream. mu must be held for writing, and c.old must be what the table holds.
func (t *table) commit(c change) {
	if c.old == nil && c.next == nil {
		return
	}
	if c.next == nil {
		t.records.remove(c.key)
	} else {
		t.records.put(&record{key: c.key, item: c.next, size: c.next.ItemSize()})
		t.expiries.note(t.ttlAttribute, c.key, c.next)
	}
	if t.stream != nil {
		t.stream.append(t.schema, c)
	}
}
