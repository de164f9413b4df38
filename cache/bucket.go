package cache

import (
	"encoding/binary"
	"fmt"
	"math"

	"spate/job"
)

// BucketBits is how many of a key's first bits name its bucket in an epoch; the next 64 are its member there. 0 means
// 16, which is what epochs had before each had its own.
type BucketBits int

// The bits that an epoch may have. One of the most has 16.8 million buckets.
const (
	minBucketBits   BucketBits = 12
	startBucketBits BucketBits = 16 // where nothing is known of how many outputs there will be
	maxBucketBits   BucketBits = 24
)

// check refuses bits that a later program may have written and this one cannot map.
func (b BucketBits) check() error {
	if n := b.orStart(); n < minBucketBits || n > maxBucketBits {
		return fmt.Errorf("an epoch has %d bucket bits: this program knows %d to %d", n, minBucketBits, maxBucketBits)
	}
	return nil
}

func (b BucketBits) orStart() BucketBits {
	if b == 0 {
		return startBucketBits
	}
	return b
}

// buckets is how many there are.
func (b BucketBits) buckets() int { return 1 << b.orStart() }

// bucket is where a key belongs.
func (b BucketBits) bucket(k job.Key) uint32 {
	return binary.BigEndian.Uint32(k[:4]) >> (32 - b.orStart())
}

// member stands for a key in its bucket. It is signed because Redis keeps sets of signed 64-bit integers compact.
func (b BucketBits) member(k job.Key) int64 {
	whole, rest := b.orStart()/8, b.orStart()%8 // bytes, and bits of the next
	return int64(binary.BigEndian.Uint64(k[whole:whole+8])<<rest | uint64(k[whole+8])>>(8-rest))
}

// defaultIntsetLimit is Redis's default of set-max-intset-entries: a set of more members takes several times the memory.
const defaultIntsetLimit = 512

// deviations is how many standard deviations above the mean the fullest bucket is taken to be. Buckets fill as a Poisson
// distribution says; of 65,536 a twentieth of one lies beyond five.
const deviations = 5.0

// capacity is how many outputs fit into an epoch until its fullest bucket has limit members.
func (b BucketBits) capacity(limit int) int64 {
	// mean + 5·√mean = limit, solved for √mean
	root := (math.Sqrt(deviations*deviations+4*float64(limit)) - deviations) / 2
	return int64(root * root * float64(b.buckets()))
}

// crowded reports whether an epoch of so many outputs should give way to one of more buckets: at nine tenths of its
// capacity, which leaves time to build the other.
func (b BucketBits) crowded(outputs int64, limit int) bool {
	return b.orStart() < maxBucketBits && outputs > b.capacity(limit)/10*9
}

// bitsFor is the least bits with room for a quarter more outputs than are expected: the fuller the buckets, the fewer
// commands a look-up takes, and the fewer bytes an output. 0 expected: nothing is known.
func bitsFor(expected int64, limit int) BucketBits {
	if expected <= 0 {
		return startBucketBits
	}
	for b := minBucketBits; b < maxBucketBits; b++ {
		if b.capacity(limit) >= expected+expected/4 {
			return b
		}
	}
	return maxBucketBits
}
