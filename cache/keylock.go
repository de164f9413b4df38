package cache

import (
	"encoding/binary"
	"slices"
	"sync"

	"spate/job"
)

// keyLocks locks keys by stripes: keys of the same stripe wait for one another. There are so many stripes (half a MiB)
// that keys of different batches, of which a few hundred may be locked, seldom do. The zero value is unlocked.
type keyLocks struct{ stripes [1 << 16]sync.Mutex }

// lock locks the stripes of all keys, always in the same order, so that two callers cannot wait for each other.
func (l *keyLocks) lock(keys []job.Key) (unlock func()) {
	stripes := make([]int, len(keys))
	for i, k := range keys {
		stripes[i] = int(binary.BigEndian.Uint16(k[:2])) % len(l.stripes)
	}
	slices.Sort(stripes)
	stripes = slices.Compact(stripes)
	for _, s := range stripes {
		l.stripes[s].Lock()
	}
	return func() {
		for _, s := range stripes {
			l.stripes[s].Unlock()
		}
	}
}
