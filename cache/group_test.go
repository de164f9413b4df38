package cache

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"spate/job"
)

func TestGroupsKeepToTheBoundsAndToOneBucket(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		bits := BucketBits(rapid.IntRange(int(minBucketBits), int(maxBucketBits)).Draw(r, "bits"))
		from, n := rapid.IntRange(0, 1000).Draw(r, "from"), rapid.IntRange(0, 200).Draw(r, "keys")
		keys := testKeys(from, from+n)
		if rapid.IntRange(0, 9).Draw(r, "crowded") == 0 {
			keys = append(keys, make([]job.Key, 2*maxMembers+1)...)
		}
		seen := map[uint32]bool{}
		var last group
		for _, g := range groups(bits, keys) {
			if len(g) == 0 || len(g) > maxMembers {
				r.Fatalf("a group of %d", len(g))
			}
			if last != nil && (last[0].bucket > g[0].bucket || last[0].bucket == g[0].bucket && len(last) < maxMembers) {
				r.Fatalf("a group of bucket %x with %d keys, then one of bucket %x", last[0].bucket, len(last), g[0].bucket)
			}
			for _, e := range g {
				k := keys[e.index]
				if seen[e.index] || e.bucket != g[0].bucket || e.bucket != bits.bucket(k) || e.member != bits.member(k) {
					r.Fatalf("%+v stands for key %s, seen: %v", e, k, seen[e.index])
				}
				seen[e.index] = true
			}
			last = g
		}
		if len(seen) != len(keys) {
			r.Fatalf("%d of %d keys are in a group", len(seen), len(keys))
		}
	})
}

func TestBucketsAreNamedInHexadecimal(t *testing.T) {
	v := NewView(nil, "spate:default")
	for _, bucket := range []uint32{0, 1, 0xf, 0x10, 0xff, 0x100, 0xfff, 0x1000, 0xffff, 0x10000, 0xffffff} {
		if got, want := v.bucketKey(12, bucket), fmt.Sprintf("{spate:default}:12:%04x", bucket); got != want {
			t.Errorf("key is %s, want %s", got, want)
		}
	}
}

// BenchmarkGroups compares with what comparing takes.
func BenchmarkGroups(b *testing.B) {
	keys := randomKeys(1, 100_000)
	b.Run("by digits", func(b *testing.B) {
		for b.Loop() {
			groups(16, keys)
		}
	})
	b.Run("comparing", func(b *testing.B) {
		order := make([]int, len(keys))
		for b.Loop() {
			for i := range order {
				order[i] = i
			}
			slices.SortFunc(order, func(x, y int) int {
				return cmp.Compare(BucketBits(16).bucket(keys[x]), BucketBits(16).bucket(keys[y]))
			})
		}
	})
}
