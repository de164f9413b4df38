package cache

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"

	"spate/job"
)

// BenchmarkLookup asks for as many keys as a run has, half of them hits, in a view of 100,000 outputs.
func BenchmarkLookup(b *testing.B) {
	const outputs = 100_000
	client := openRedis(b)
	view := NewView(client, "spate")
	empty := usedMemory(b, client)
	writer, err := view.Create(b.Context(), 1, bitsFor(outputs, defaultIntsetLimit))
	if err != nil {
		b.Fatal(err)
	}
	if err := writer.Apply(b.Context(), testKeys(0, outputs), nil); err != nil {
		b.Fatal(err)
	}
	used := usedMemory(b, client) - empty
	for _, n := range []int{10_000, 100_000} {
		keys := testKeys(outputs-n/2, outputs+n/2)
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				answers := view.Lookup(b.Context(), writer.Mark(), keys)
				if answers.Err != nil || answers.Suspect {
					b.Fatal(answers.Err, answers.Suspect)
				}
				if answers.Presence[0] != job.Hit || answers.Presence[n-1] != job.Miss {
					b.Fatal("wrong answers")
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "keys/s")
			if used > 0 {
				b.ReportMetric(float64(used)/outputs, "B/output")
			}
		})
	}
}

// usedMemory is what Redis says it uses; 0 when it does not say.
func usedMemory(b *testing.B, client *redis.Client) int64 {
	b.Helper()
	info, err := client.Info(b.Context(), "memory").Result()
	if err != nil {
		return 0
	}
	found := regexp.MustCompile(`used_memory:(\d+)`).FindStringSubmatch(info)
	if found == nil {
		return 0
	}
	bytes, err := strconv.ParseInt(found[1], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return bytes
}

// randomKeys are as evenly spread as hashes.
func randomKeys(seed byte, n int) []job.Key {
	random := rand.NewChaCha8([32]byte{seed})
	keys := make([]job.Key, n)
	for i := range keys {
		_, _ = random.Read(keys[i][:])
	}
	return keys
}

// BenchmarkFollowABacklog measures how many changes a second a follower reads, asks the ledger for and writes into the
// view, when it need not wait between reads of a shard.
func BenchmarkFollowABacklog(b *testing.B) {
	h := newHouse(b)
	h.settle()
	const changes = 50_000
	followed := 0
	for b.Loop() {
		b.StopTimer()
		keys := testKeys(followed, followed+changes)
		h.put(keys...)
		followed += changes
		b.StartTimer()
		for h.Follower.Status().Added < int64(followed) {
			if err := h.follow(); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(followed)/b.Elapsed().Seconds(), "changes/s")
}
