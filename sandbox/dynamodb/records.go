package dynamodb

import (
	"iter"
	"slices"
	"sort"

	"spate/sandbox/dynamodb/attribute"
)

// maxChunk bounds how many records an insertion has to move.
const maxChunk = 512

// record is a stored item. It never changes; a write replaces it.
type record struct {
	key  string // by which the table is sorted
	item attribute.Item
	size int // bytes
}

// records is a list sorted by key, cut into chunks of at most maxChunk records; no chunk is empty. The zero value is an empty list.
type records struct {
	chunks [][]*record
	count  int
	bytes  int
}

// seek returns the place of the first record whose key is at least key: a chunk and an index in it, or the place after the last.
func (r *records) seek(key string) (chunk, index int) {
	chunk = sort.Search(len(r.chunks), func(i int) bool {
		c := r.chunks[i]
		return c[len(c)-1].key >= key
	})
	if chunk == len(r.chunks) {
		return chunk, 0
	}
	c := r.chunks[chunk]
	return chunk, sort.Search(len(c), func(i int) bool { return c[i].key >= key })
}

// get returns the record with the key, or nil.
func (r *records) get(key string) *record {
	chunk, index := r.seek(key)
	if chunk == len(r.chunks) || r.chunks[chunk][index].key != key {
		return nil
	}
	return r.chunks[chunk][index]
}

// put inserts rec, or replaces the record with its key.
func (r *records) put(rec *record) {
	chunk, index := r.seek(rec.key)
	if chunk < len(r.chunks) && r.chunks[chunk][index].key == rec.key {
		r.bytes += rec.size - r.chunks[chunk][index].size
		r.chunks[chunk][index] = rec
		return
	}
	r.count++
	r.bytes += rec.size
	if chunk == len(r.chunks) {
		if chunk == 0 {
			r.chunks = append(r.chunks, []*record{rec})
			return
		}
		chunk--
		index = len(r.chunks[chunk])
	}
	c := slices.Insert(r.chunks[chunk], index, rec)
	r.chunks[chunk] = c
	if len(c) <= maxChunk {
		return
	}
	half := maxChunk / 2
	if index == maxChunk { // keys that arrive in order fill their chunks
		half = maxChunk
	}
	r.chunks = slices.Insert(r.chunks, chunk+1, slices.Clone(c[half:]))
	r.chunks[chunk] = slices.Delete(c, half, len(c))
}

// remove deletes the record with the key, if there is one.
func (r *records) remove(key string) {
	chunk, index := r.seek(key)
	if chunk == len(r.chunks) || r.chunks[chunk][index].key != key {
		return
	}
	r.count--
	r.bytes -= r.chunks[chunk][index].size
	r.chunks[chunk] = slices.Delete(r.chunks[chunk], index, index+1)
	if len(r.chunks[chunk]) == 0 {
		r.chunks = slices.Delete(r.chunks, chunk, chunk+1)
	}
}

// span is a range of keys: from is in it, to is not; an empty to has no end.
type span struct{ from, to string }

func (s span) holds(key string) bool { return key >= s.from && (s.to == "" || key < s.to) }

// ascend yields the records of a span in ascending order.
func (r *records) ascend(s span) iter.Seq[*record] {
	return func(yield func(*record) bool) {
		chunk, index := r.seek(s.from)
		for ; chunk < len(r.chunks); chunk, index = chunk+1, 0 {
			for _, rec := range r.chunks[chunk][index:] {
				if !s.holds(rec.key) || !yield(rec) {
					return
				}
			}
		}
	}
}

// descend yields the records of a span in descending order.
func (r *records) descend(s span) iter.Seq[*record] {
	return func(yield func(*record) bool) {
		chunk, index := len(r.chunks), 0
		if s.to != "" {
			chunk, index = r.seek(s.to)
		}
		for {
			if index == 0 {
				if chunk == 0 {
					return
				}
				chunk--
				index = len(r.chunks[chunk])
			}
			index--
			if rec := r.chunks[chunk][index]; !s.holds(rec.key) || !yield(rec) {
				return
			}
		}
	}
}
