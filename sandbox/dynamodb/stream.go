package dynamodb

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"spate/sandbox/dynamodb/attribute"
)

// streamRetention is how long records can be read (Amazon DynamoDB developer guide, "Change data capture").
const streamRetention = 24 * time.Hour

// view is a StreamViewType: what a stream's records show of an item.
type view string

const (
	viewKeys      view = "KEYS_ONLY"
	viewNew       view = "NEW_IMAGE"
	viewOld       view = "OLD_IMAGE"
	viewNewAndOld view = "NEW_AND_OLD_IMAGES"
)

// identityTTL is the principal whose removals are those of time to live.
const identityTTL = "dynamodb.amazonaws.com"

// streamRecord is one change. It never changes itself.
type streamRecord struct {
	sequence  int64
	at        time.Time
	event     string // INSERT, MODIFY or REMOVE
	keys      attribute.Item
	old, next attribute.Item // whole; what is shown depends on the stream's view
	bytes     int
	byTTL     bool
}

// shard holds the changes of the items whose hash is in a range, in order. It is open until it has an end; its children hold what
// came after.
type shard struct {
	id        string
	parent    string // id; empty for a first shard
	low, high uint64 // the range of hashes, both included
	start     int64  // the first sequence number it could hold
	end       int64  // the last it holds; 0 while open
	opened    time.Time
	closed    time.Time // when it was given its end
	trimmed   int       // records dropped from the front
	lastGone  int64     // sequence number of the last dropped
	records   []streamRecord
}

// stream is a table's sequence of changes. Its name and view never change; mu guards the rest.
type stream struct {
	arn     string
	label   string
	table   string
	schema  schema
	view    view
	created time.Time

	mu       sync.Mutex
	enabled  bool
	sequence int64    // the last one given
	shards   []*shard // parents before children
}

func newStream(t *table, tableView view, shards int, now time.Time) *stream {
	label := now.UTC().Format("2006-01-02T15:04:05.000")
	s := &stream{
		arn: t.arn + "/stream/" + label, label: label, table: t.name, schema: t.schema, view: tableView,
		created: now, enabled: true,
	}
	for i := range shards {
		low, high := segment(i, shards)
		s.addShard(now, "", low, high)
	}
	return s
}

// addShard opens a shard. mu must be held, or s be new.
func (s *stream) addShard(now time.Time, parent string, low, high uint64) {
	s.shards = append(s.shards, &shard{
		id:     fmt.Sprintf("shardId-%020d-%08x", s.created.UnixMilli(), len(s.shards)+1),
		parent: parent, low: low, high: high, start: s.sequence + 1, opened: now,
	})
}

// append adds a record of a change, unless it changes nothing or the stream is disabled.
func (s *stream) append(sc schema, c change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.enabled {
		return
	}
	r := streamRecord{at: c.now, old: c.old, next: c.next, byTTL: c.byTTL}
	switch {
	case c.old == nil:
		r.event, r.keys = "INSERT", sc.keyItem(c.next)
	case c.next == nil:
		r.event, r.keys = "REMOVE", sc.keyItem(c.old)
	case attribute.Equal(c.old, c.next):
		return
	default:
		r.event, r.keys = "MODIFY", sc.keyItem(c.next)
	}
	s.sequence++
	r.sequence = s.sequence
	r.bytes = r.keys.ItemSize()
	if s.showsOld() {
		r.bytes += c.old.ItemSize()
	}
	if s.showsNew() {
		r.bytes += c.next.ItemSize()
	}
	to := s.openShard(hashOf(c.key))
	to.records = append(to.records, r)
}

func (s *stream) showsOld() bool { return s.view == viewOld || s.view == viewNewAndOld }
func (s *stream) showsNew() bool { return s.view == viewNew || s.view == viewNewAndOld }

// openShard returns the open shard for a hash; there is exactly one while the stream is enabled.
func (s *stream) openShard(hash uint64) *shard {
	for _, sh := range s.shards {
		if sh.end == 0 && sh.low <= hash && hash <= sh.high {
			return sh
		}
	}
	panic(fmt.Sprintf("stream %s has no open shard for hash %x", s.arn, hash))
}

func (s *stream) isEnabled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.enabled
}

// close ends a shard at the last sequence number given. mu must be held.
func (s *stream) close(sh *shard, now time.Time) {
	if s.sequence < sh.start { // an empty shard still has a range of sequence numbers
		s.sequence = sh.start
	}
	sh.end, sh.closed = s.sequence, now
}

// split closes every open shard and opens two children for each.
func (s *stream) split(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.enabled {
		return
	}
	for _, sh := range slices.Clone(s.shards) {
		if sh.end != 0 || sh.low == sh.high {
			continue
		}
		s.close(sh, now)
		middle := sh.low + (sh.high-sh.low)/2
		s.addShard(now, sh.id, sh.low, middle)
		s.addShard(now, sh.id, middle+1, sh.high)
	}
}

// roll closes the shards that were opened before a time; a child goes on for each.
func (s *stream) roll(now, before time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.enabled {
		return
	}
	for _, sh := range slices.Clone(s.shards) {
		if sh.end == 0 && sh.opened.Before(before) {
			s.close(sh, now)
			s.addShard(now, sh.id, sh.low, sh.high)
		}
	}
}

// disable closes the stream; what it holds can still be read.
func (s *stream) disable(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.enabled = false
	for _, sh := range s.shards {
		if sh.end == 0 {
			s.close(sh, now)
		}
	}
}

// trim drops the records older than the horizon and the shards closed before it. It returns whether nothing is left of the stream.
func (s *stream) trim(horizon time.Time) (over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sh := range s.shards {
		gone := 0
		for gone < len(sh.records) && sh.records[gone].at.Before(horizon) {
			sh.lastGone = sh.records[gone].sequence
			gone++
		}
		sh.trimmed += gone
		sh.records = slices.Delete(sh.records, 0, gone)
	}
	s.shards = slices.DeleteFunc(s.shards, func(sh *shard) bool {
		return sh.end != 0 && sh.closed.Before(horizon)
	})
	return len(s.shards) == 0
}

// shard finds a shard by id, or returns nil. mu must be held.
func (s *stream) shard(id string) *shard {
	for _, sh := range s.shards {
		if sh.id == id {
			return sh
		}
	}
	return nil
}

// position returns where in the shard a sequence number is, counted from the shard's beginning; false when it has been trimmed.
func (sh *shard) position(sequence int64) (int, bool) {
	if sh.trimmed > 0 && sequence <= sh.lastGone {
		return 0, false
	}
	i, _ := slices.BinarySearchFunc(sh.records, sequence, func(r streamRecord, sequence int64) int {
		switch {
		case r.sequence < sequence:
			return -1
		case r.sequence > sequence:
			return 1
		}
		return 0
	})
	return sh.trimmed + i, true
}

// SplitStream closes the open shards of a table's stream and gives each two children, as the service does from time to time. It
// fails when there is no such table or its stream is off.
func (s *Server) SplitStream(tableName string) error {
	t, err := s.table(tableName)
	if err != nil {
		return fmt.Errorf("split stream of %s: %w", tableName, err)
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.stream == nil {
		return fmt.Errorf("split stream of %s: the table has no stream", tableName)
	}
	t.stream.split(time.Now())
	return nil
}

func formatSequence(sequence int64) string { return fmt.Sprintf("1%020d", sequence) }

// parseSequence reads a sequence number; false when it is none.
func parseSequence(text string) (int64, bool) {
	var sequence int64
	if n, err := fmt.Sscanf(text, "1%d", &sequence); n != 1 || err != nil || sequence < 0 || sequence == math.MaxInt64 {
		return 0, false
	}
	return sequence, formatSequence(sequence) == text
}
