package cache

import (
	"encoding/binary"
	"math"
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
	for _, b := range []BucketBits{-1, 11, 25} {
		if b.check() == nil {
			t.Errorf("%d bits are accepted", b)
		}
	}
}

// TestAtCapacityHardlyABucketExceedsTheLimit fills buckets at random, as keys do.
func TestAtCapacityHardlyABucketExceedsTheLimit(t *testing.T) {
	const limit = 64 // few enough to be quick
	random := rand.New(rand.NewPCG(3, 4))
	for _, b := range []BucketBits{12, 17} {
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

func TestBitsAreChosenForAQuarterMoreOutputs(t *testing.T) {
	for _, row := range []struct {
		expected int64
		limit    int
		want     BucketBits
	}{
		{0, 512, 16},
		{1, 512, 12},
		{1_000_000, 512, 12},
		{1_400_000, 512, 13},
		{10_000_000, 512, 15},
		{21_500_000, 512, 16},
		{21_600_000, 512, 17},
		{50_000_000, 512, 18},
		{1_000_000_000, 512, 22},
		{100_000_000_000, 512, 24},
		{10_000_000, 128, 18},
		{50_000_000, 2048, 16},
		{50_000_000, 4096, 15},
	} {
		if got := bitsFor(row.expected, row.limit); got != row.want {
			t.Errorf("%d outputs, sets compact up to %d: %d bits, want %d", row.expected, row.limit, got, row.want)
		}
	}
}

func TestACrowdedEpochsSuccessorIsNotCrowded(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		outputs := rapid.Int64Range(1, 6_000_000_000).Draw(r, "outputs")
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

// falseHits is how probable it is that a key which is not among n outputs is taken for one of them, when so many bits are
// compared (ADR 0027).
func falseHits(n int64, bits int) float64 {
	return -math.Expm1(float64(n) * math.Log1p(-math.Exp2(-float64(bits))))
}

// TestFalseHitsAreAsRareAsTheFormulaSays maps random keys as the view does, but keeps so few bits of the members that
// false hits can be counted.
func TestFalseHitsAreAsRareAsTheFormulaSays(t *testing.T) {
	const lookups = 1 << 19
	added, asked := randomKeys(1, 1<<18), randomKeys(2, lookups)
	for _, row := range []struct {
		bits    BucketBits
		members int // bits kept of them
		outputs int
	}{{12, 8, 1 << 14}, {12, 12, 1 << 17}, {16, 8, 1 << 17}, {17, 11, 1 << 18}, {20, 4, 1 << 16}} {
		type place struct {
			bucket uint32
			member uint64
		}
		at := func(k job.Key) place {
			return place{row.bits.bucket(k), uint64(row.bits.member(k)) >> (64 - row.members)}
		}
		outputs, hits := map[place]bool{}, 0
		for _, k := range added[:row.outputs] {
			outputs[at(k)] = true
		}
		for _, k := range asked {
			if outputs[at(k)] {
				hits++
			}
		}
		want := lookups * falseHits(int64(row.outputs), int(row.bits)+row.members)
		if off := math.Abs(float64(hits)-want) / math.Sqrt(want); off > 4 {
			t.Errorf("%d + %d bits, %d outputs: %d false hits of %d, expected %.0f: %.1f standard deviations off",
				row.bits, row.members, row.outputs, hits, lookups, want, off)
		}
	}
}

func TestFalseHitsAreAsProbableAsIsWritten(t *testing.T) {
	for _, row := range []struct {
		outputs int64
		bits    BucketBits
		want    float64 // of a look-up
	}{{10_000_000, 15, 1.65e-17}, {1_000_000_000, 22, 1.3e-17}} {
		if got := bitsFor(row.outputs, defaultIntsetLimit); got != row.bits {
			t.Errorf("%d outputs have %d bits, want %d", row.outputs, got, row.bits)
		}
		if got := falseHits(row.outputs, int(row.bits)+64); math.Abs(got/row.want-1) > 0.01 {
			t.Errorf("of %d outputs: %.2g, want %.2g", row.outputs, got, row.want)
		}
	}
	for b := minBucketBits; b <= maxBucketBits; b++ { // however many outputs, as many are never in a bucket
		if got := falseHits(b.capacity(defaultIntsetLimit), int(b)+64); got > 2.3e-17 {
			t.Errorf("at the capacity of %d bits: %.2g", b, got)
		}
	}
}
