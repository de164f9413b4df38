package s3

import (
	"slices"
	"sort"
	"strings"
	"sync/atomic"

	"github.com/johannesboyne/gofakes3"
)

// ListBucket returns one page of keys in order, with those that share a
// delimited prefix rolled into one.
func (s *store) ListBucket(name string, prefix *gofakes3.Prefix, page gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	b, err := s.bucket(name)
	if err != nil {
		return nil, err
	}
	var wanted gofakes3.Prefix
	if prefix != nil {
		wanted = *prefix
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	list := gofakes3.NewObjectList()
	rolled := "" // the common prefix being passed over
	if wanted.HasDelimiter && strings.HasSuffix(page.Marker, wanted.Delimiter) {
		rolled = page.Marker
	}
	count, last := int64(0), ""
	b.keys.ascend(max(wanted.Prefix, page.Marker), func(key string) bool {
		if !strings.HasPrefix(key, wanted.Prefix) {
			return false
		}
		if page.HasMarker && key <= page.Marker || rolled != "" && strings.HasPrefix(key, rolled) {
			return true
		}
		if page.MaxKeys > 0 && count == page.MaxKeys {
			list.IsTruncated, list.NextMarker = true, last
			return false
		}
		count++
		if common, ok := commonPrefix(key, wanted); ok {
			list.AddPrefix(common)
			rolled, last = common, common
			return true
		}
		last = key
		o := b.objects[key]
		list.Add(&gofakes3.Content{
			Key: key, LastModified: gofakes3.NewContentTime(o.modified),
			ETag: `"` + o.etag + `"`, Size: int64(len(o.body)), StorageClass: gofakes3.StorageStandard,
		})
		return true
	})
	return list, nil
}

// commonPrefix is the part of a key up to the first delimiter after the listing's
// prefix, if there is one.
func commonPrefix(key string, wanted gofakes3.Prefix) (string, bool) {
	if !wanted.HasDelimiter {
		return "", false
	}
	before, _, found := strings.Cut(key[len(wanted.Prefix):], wanted.Delimiter)
	return wanted.Prefix + before + wanted.Delimiter, found
}

// chunkKeys is the most keys in one chunk of an index: small enough to insert
// by moving, large enough that there are few chunks.
const chunkKeys = 512

// keyIndex is a sorted set of keys, in chunks so that one insertion moves few of
// them.
type keyIndex struct {
	chunks [][]string // none empty; in order
}

// chunkOf is the chunk that holds the key or would hold it.
func (x *keyIndex) chunkOf(key string) int {
	after := sort.Search(len(x.chunks), func(i int) bool { return x.chunks[i][0] > key })
	return max(after-1, 0)
}

func (x *keyIndex) insert(key string) {
	if len(x.chunks) == 0 {
		x.chunks = [][]string{{key}}
		return
	}
	at := x.chunkOf(key)
	chunk := x.chunks[at]
	place, found := slices.BinarySearch(chunk, key)
	if found {
		return
	}
	chunk = slices.Insert(chunk, place, key)
	x.chunks[at] = chunk
	if len(chunk) > chunkKeys {
		half := len(chunk) / 2
		upper := slices.Clone(chunk[half:])
		x.chunks[at] = slices.Clip(chunk[:half])
		x.chunks = slices.Insert(x.chunks, at+1, upper)
	}
}

func (x *keyIndex) remove(key string) {
	if len(x.chunks) == 0 {
		return
	}
	at := x.chunkOf(key)
	place, found := slices.BinarySearch(x.chunks[at], key)
	if !found {
		return
	}
	x.chunks[at] = slices.Delete(x.chunks[at], place, place+1)
	if len(x.chunks[at]) == 0 {
		x.chunks = slices.Delete(x.chunks, at, at+1)
	}
}

// ascend visits the keys from the given one on, in order, until visit says no.
func (x *keyIndex) ascend(from string, visit func(key string) bool) {
	if len(x.chunks) == 0 {
		return
	}
	at := x.chunkOf(from)
	place, _ := slices.BinarySearch(x.chunks[at], from)
	for ; at < len(x.chunks); at, place = at+1, 0 {
		for _, key := range x.chunks[at][place:] {
			if !visit(key) {
				return
			}
		}
	}
}

// sequence numbers the changes of all buckets.
type sequence struct{ last atomic.Uint64 }

func (s *sequence) next() uint64 { return s.last.Add(1) }
