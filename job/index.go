package job

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
)

// Index finds numbered things by hash. It holds their numbers only, some six bytes for each, so that a million of them
// cost as little as they can; its owner has the things themselves and says which is meant. The zero Index is empty. It is
// not safe for concurrent use.
type Index struct {
	slots []int32 // a number plus one; 0 is free. A quarter of them stays free.
	used  int
}

// NewIndex makes an empty index with room for n things.
func NewIndex(n int) *Index {
	return &Index{slots: make([]int32, slotsFor(n))}
}

// slotsFor leaves a third of the slots free.
func slotsFor(n int) int { return max(16, n+n/2) }

// Find returns the number of the thing with this hash for which is answers true; things may share a hash.
func (x *Index) Find(hash uint64, is func(n int32) bool) (int32, bool) {
	if x.used == 0 {
		return 0, false
	}
	for at := x.first(hash); x.slots[at] != 0; at = x.next(at) {
		if n := x.slots[at] - 1; is(n) {
			return n, true
		}
	}
	return 0, false
}

// Add adds a number that Find does not find. hashOf tells the hash of each number that was added before.
func (x *Index) Add(hash uint64, n int32, hashOf func(n int32) uint64) {
	if x.used >= len(x.slots)/4*3 {
		old := x.slots
		x.slots = make([]int32, slotsFor(x.used+x.used/2))
		for _, slot := range old {
			if slot != 0 {
				x.put(hashOf(slot-1), slot)
			}
		}
	}
	x.put(hash, n+1)
	x.used++
}

func (x *Index) put(hash uint64, slot int32) {
	at := x.first(hash)
	for x.slots[at] != 0 {
		at = x.next(at)
	}
	x.slots[at] = slot
}

// first is the slot at which the search for a hash begins: as far along the slots as the hash is along all hashes.
func (x *Index) first(hash uint64) int {
	at, _ := bits.Mul64(hash, uint64(len(x.slots)))
	return int(at)
}

// next is the slot after one.
func (x *Index) next(at int) int {
	if at++; at < len(x.slots) {
		return at
	}
	return 0
}

// Hash is a key's hash for an [Index]: eight of its bytes, which are as good as random.
func (k Key) Hash() uint64 { return binary.LittleEndian.Uint64(k[:]) }

// Interned numbers strings in the order in which each was first added, and holds their text side by side: 16 bytes and
// the text for each. It is not safe for concurrent use.
type Interned struct {
	index Index
	seed  maphash.Seed
	text  []byte
	ends  []int64 // of each string in text
}

// NewInterned makes an empty one.
func NewInterned() *Interned { return &Interned{seed: maphash.MakeSeed()} }

// Len is the number of distinct strings.
func (t *Interned) Len() int { return len(t.ends) }

// At is the string of a number.
func (t *Interned) At(n int32) string { return string(t.bytes(n)) }

// Find returns the number of a string that was added.
func (t *Interned) Find(s string) (int32, bool) {
	return t.index.Find(maphash.String(t.seed, s), func(n int32) bool { return string(t.bytes(n)) == s })
}

// Add returns the number of a string, a new one when it was not added before.
func (t *Interned) Add(s string) int32 {
	if n, ok := t.Find(s); ok {
		return n
	}
	n := int32(len(t.ends))
	t.index.Add(maphash.String(t.seed, s), n, func(n int32) uint64 { return maphash.Bytes(t.seed, t.bytes(n)) })
	t.text = append(t.text, s...)
	t.ends = append(t.ends, int64(len(t.text)))
	return n
}

func (t *Interned) bytes(n int32) []byte {
	first := int64(0)
	if n > 0 {
		first = t.ends[n-1]
	}
	return t.text[first:t.ends[n]]
}
