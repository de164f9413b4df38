package dynamodb

import (
	"fmt"
	"sync"
	"time"

	faults "spate/sandbox/fault"
	"spate/sandbox/limit"
)

// Habits are how fast tables are and how far behind what follows from a write may be.
type Habits struct {
	// Writes and Reads are a table's capacity in units; PartitionWrites and PartitionReads that of all items with one
	// partition key. Those with a Burst of 0 are not limited. A call that finds no unit left is refused with
	// ThrottlingException; of a batch the items that find none are unprocessed.
	Writes          limit.Rate `json:"writes"`
	Reads           limit.Rate `json:"reads"`
	PartitionWrites limit.Rate `json:"partition_writes"`
	PartitionReads  limit.Rate `json:"partition_reads"`
	// TTLDelay is how long after its expiry an item is deleted.
	TTLDelay faults.Duration `json:"ttl_delay"`
	// StreamLag is how long a stream record takes to be seen.
	StreamLag faults.Duration `json:"stream_lag"`
	// ShardLife is how long a stream's shard stays open; then it is closed and one child goes on. 0: for ever.
	ShardLife faults.Duration `json:"shard_life"`
	// StreamRetention is how long stream records can be read; 0 means 24 hours.
	StreamRetention faults.Duration `json:"stream_retention"`
}

// Prompt are habits for those in a hurry: nothing is limited, and expired items go within a second.
func Prompt() Habits { return Habits{TTLDelay: faults.Duration(time.Second)} }

// Usual are the documented figures of a new on-demand table, and what is seen of the rest (Amazon DynamoDB developer guide,
// "On-demand capacity mode", "Quotas", "Using time to live", "Change data capture").
func Usual() Habits {
	return Habits{
		Writes: limit.Rate{Burst: 4000, PerSecond: 4000}, Reads: limit.Rate{Burst: 12000, PerSecond: 12000},
		PartitionWrites: limit.Rate{Burst: 1000, PerSecond: 1000}, PartitionReads: limit.Rate{Burst: 3000, PerSecond: 3000},
		TTLDelay: faults.Duration(12 * time.Hour), StreamLag: faults.Duration(500 * time.Millisecond), ShardLife: faults.Duration(4 * time.Hour),
	}
}

func (h Habits) validate() error {
	for name, r := range map[string]limit.Rate{
		"writes": h.Writes, "reads": h.Reads, "partition_writes": h.PartitionWrites, "partition_reads": h.PartitionReads,
	} {
		if r.Burst < 0 || r.PerSecond < 0 {
			return fmt.Errorf("%s must not be negative", name)
		}
	}
	if h.TTLDelay < 0 || h.StreamLag < 0 || h.ShardLife < 0 || h.StreamRetention < 0 {
		return fmt.Errorf("ttl_delay, stream_lag, shard_life and stream_retention must not be negative")
	}
	return nil
}

func (h Habits) retention() time.Duration {
	if h.StreamRetention == 0 {
		return streamRetention
	}
	return time.Duration(h.StreamRetention)
}

// Habits are those of all tables, as they stand.
func (s *Server) Habits() Habits { return *s.habits.Load() }

// SetHabits changes them from now on.
func (s *Server) SetHabits(h Habits) error {
	if err := h.validate(); err != nil {
		return err
	}
	s.habits.Store(&h)
	return nil
}

// meter counts what a table's items are asked for.
type meter struct {
	mu            sync.Mutex
	writes, reads partitions
}

// partitions are the buckets of a table and of its partition keys, by their hash.
type partitions struct {
	table limit.Bucket
	hot   map[uint64]*limit.Bucket
}

// errThrottled is for a table that has grown no faster than it may.
func errThrottled() error {
	return fault("ThrottlingException", "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling your table or index so please try again shortly.")
}

// write admits the write of an item, before it is known how many units it takes.
func (m *meter) write(now time.Time, h Habits, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.writes.admit(now, h.Writes, h.PartitionWrites, key)
}

// read admits a read; a key of "" is for all of the table.
func (m *meter) read(now time.Time, h Habits, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reads.admit(now, h.Reads, h.PartitionReads, key)
}

// wrote and hasRead count the units of what was admitted.
func (m *meter) wrote(h Habits, key string, units float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writes.take(h.Writes, h.PartitionWrites, key, units)
}

func (m *meter) hasRead(h Habits, key string, units float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads.take(h.Reads, h.PartitionReads, key, units)
}

// maxHot is from how many partition keys on those at rest are forgotten.
const maxHot = 10_000

func (p *partitions) admit(now time.Time, table, partition limit.Rate, key string) error {
	if table.Burst > 0 && !p.table.Has(now, table, 1) {
		return errThrottled()
	}
	if partition.Burst == 0 || key == "" {
		return nil
	}
	if p.hot == nil {
		p.hot = map[uint64]*limit.Bucket{}
	}
	if len(p.hot) >= maxHot {
		for hash, b := range p.hot {
			if b.IsFull(now, partition) {
				delete(p.hot, hash)
			}
		}
	}
	b := p.hot[hashOf(key)]
	if b == nil {
		b = &limit.Bucket{}
		p.hot[hashOf(key)] = b
	}
	if !b.Has(now, partition, 1) {
		return errThrottled()
	}
	return nil
}

func (p *partitions) take(table, partition limit.Rate, key string, units float64) {
	if table.Burst > 0 {
		p.table.Take(units)
	}
	if partition.Burst == 0 || key == "" {
		return
	}
	if b := p.hot[hashOf(key)]; b != nil {
		b.Take(units)
	}
}
