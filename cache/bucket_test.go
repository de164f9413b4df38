package cache

import (
	"encoding/binary"
	"math/big"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"spate/job"
)

// keyBits is an obvious oracle: the bits from..to of a key, as a number.
func keyBits(k job.Key, from, to int) uint64 {
	n := new(big.Int).SetBytes(k[:])
	n.Rsh(n, uint(len(k)*8-to))
	return n.And(n, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(to-from)), big.NewInt(1))).Uint64()
}

func TestABucketIsAKeysFirstBitsAndTheMemberTheNextSixtyFour(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var k job.Key
		copy(k[:], rapid.SliceOfN(rapid.Byte(), len(k), len(k)).Draw(r, "key"))
		bits := rapid.IntRange(int(minBucketBits), int(maxBucketBits)).Draw(r, "bits")
		b := BucketBits(bits)
		if got, want := uint64(b.bucket(k)), keyBits(k, 0, bits); got != want {
			r.Fatalf("bucket is %x, want %x", got, want)
		}
		if got, want := uint64(b.member(k)), keyBits(k, bits, bits+64); got != want {
			r.Fatalf("member is %x, want %x", got, want)
		}
		if int(b.bucket(k)) >= b.buckets() {
			r.Fatalf("bucket %x of %d", b.bucket(k), b.buckets())
		}
		// A bit that counts changes either, one behind them neither.
		flip := rapid.IntRange(0, len(k)*8-1).Draw(r, "flip")
		other := k
		other[flip/8] ^= 0x80 >> (flip % 8)
		if same := b.bucket(k) == b.bucket(other) && b.member(k) == b.member(other); same != (flip >= bits+64) {
			r.Fatalf("with bit %d changed the keys are the same: %v", flip, same)
		}
	})
}

func TestSixteenBitsAreWhatEpochsWithoutBitsHave(t *testing.T) {
	for n := range 100 {
		k := testKey(n)
		bucket, member := uint32(binary.BigEndian.Uint16(k[:2])), int64(binary.BigEndian.Uint64(k[2:10]))
		for _, b := range []BucketBits{0, 16} {
			if b.bucket(k) != bucket || b.member(k) != member || b.buckets() != 65536 || b.check() != nil {
				t.Fatalf("%d bits: bucket %x, member %x of %s", b, b.bucket(k), b.member(k), k)
			}
		}
	}
	for _, b := range []BucketBits{-1, 15, 25} {
		if b.check() == nil {
			t.Errorf("%d bits are accepted", b)
		}
	}
}

// TestAtCapacityHardlyABucketExceedsTheLimit fills buckets at random, as keys do.
func TestAtCapacityHardlyABucketExceedsTheLimit(t *testing.T) {
	const limit = 64 // few enough to be quick
	random := rand.New(rand.NewPCG(3, 4))
	for _, b := range []BucketBits{16, 17} {
		n, fill := b.capacity(limit), make([]int, b.buckets())
		for range n {
			fill[random.IntN(len(fill))]++
		}
		over, fullest := 0, 0
		for _, f := range fill {
			fullest = max(fullest, f)
			if f > limit {
				over++
			}
		}
		if over > 5 || fullest < limit*8/10 {
			t.Errorf("%d outputs in %d buckets: %d hold more than %d, the fullest %d", n, len(fill), over, limit, fullest)
		}
	}
}

func TestBitsAreChosenForHalfAsManyOutputsAgain(t *testing.T) {
	for _, row := range []struct {
		expected int64
		limit    int
		want     BucketBits
	}{
		{0, 512, 16},
		{10_000_000, 512, 16},
		{17_900_000, 512, 16},
		{18_000_000, 512, 17},
		{50_000_000, 512, 18},
		{1_000_000_000, 512, 22},
		{100_000_000_000, 512, 24},
		{10_000_000, 128, 18},
		{50_000_000, 2048, 16},
	} {
		if got := bitsFor(row.expected, row.limit); got != row.want {
			t.Errorf("%d outputs, sets compact up to %d: %d bits, want %d", row.expected, row.limit, got, row.want)
		}
	}
}

func TestACrowdedEpochsSuccessorIsNotCrowded(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		outputs := rapid.Int64Range(0, 8_000_000_000).Draw(r, "outputs")
		limit := rapid.IntRange(16, 4096).Draw(r, "limit")
		b := BucketBits(rapid.IntRange(int(minBucketBits), int(maxBucketBits)).Draw(r, "bits"))
		next := bitsFor(outputs, limit)
		if next.crowded(outputs, limit) {
			r.Fatalf("%d bits are chosen and crowded", next)
		}
		if b.crowded(outputs, limit) && next <= b {
			r.Fatalf("%d bits are crowded, and %d follow", b, next)
		}
	})
}
