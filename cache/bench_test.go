package cache

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"spate/internal/awsclient"
	"spate/internal/objects"
	"spate/job"
	sandboxs3 "spate/sandbox/s3"
)

var large = flag.Bool("large", false, "benchmarks also do what takes minutes and gigabytes")

const (
	million    = 1_000_000
	benchEpoch = 1
)

// randomKeys are as evenly spread as hashes.
func randomKeys(seed byte, n int) []job.Key {
	random := rand.NewChaCha8([32]byte{seed})
	keys := make([]job.Key, n)
	for i := range keys {
		_, _ = random.Read(keys[i][:])
	}
	return keys
}

// way is how outputs can be kept in Redis.
type way struct {
	name   string
	member func(job.Key) any // of one big set; nil: the view
}

func ways() []way {
	return []way{
		{"view", nil},
		{"paths", func(k job.Key) any { return job.ManifestPath(k) }},
		{"hex", func(k job.Key) any { return hex.EncodeToString(k[:]) }},
		{"raw", func(k job.Key) any { return k[:] }},
	}
}

const bigSet = "outputs"

// fill puts n outputs into Redis, a million at a time, and returns their epoch's mark where it is the view's way.
func (w way) fill(b *testing.B, client *redis.Client, n int) Mark {
	b.Helper()
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	var writer *Writer
	if w.member == nil {
		var err error
		writer, err = NewView(client, "spate:default").Create(b.Context(), benchEpoch, bitsFor(int64(n), defaultIntsetLimit))
		must(err)
	}
	for seed, left := byte(0), n; left > 0; seed, left = seed+1, left-million {
		keys := randomKeys(seed, min(left, million))
		if writer != nil {
			must(writer.Apply(b.Context(), keys, nil))
		} else {
			must(inPipelines(keys, w.member, func(pipe redis.Pipeliner, members []any) { pipe.SAdd(b.Context(), bigSet, members...) }, client))
		}
	}
	if writer == nil {
		return Mark{}
	}
	return writer.Mark()
}

// inPipelines sends commands of 500 members each, ten at a time.
func inPipelines(keys []job.Key, member func(job.Key) any, queue func(redis.Pipeliner, []any), client *redis.Client) error {
	const members, commands = 500, 10
	for len(keys) > 0 {
		pipe := client.Pipeline()
		for range commands {
			var some []any
			for _, k := range keys[:min(members, len(keys))] {
				some = append(some, member(k))
			}
			if keys = keys[len(some):]; len(some) > 0 {
				queue(pipe, some)
			}
		}
		if _, err := pipe.Exec(context.Background()); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkMemory says how many bytes an output takes in a Redis of its own, by what Redis says of its memory; a million
// operations a second are a million outputs written in one.
func BenchmarkMemory(b *testing.B) {
	for _, w := range ways() {
		for _, n := range []int{1, 10, 50} {
			if !*large && (n > 10 || n > 1 && w.member != nil) || n > 10 && w.member != nil {
				continue
			}
			b.Run(fmt.Sprintf("%s/outputs=%dM", w.name, n), func(b *testing.B) {
				client := realRedis(b).client()
				empty := memoryAtRest(b, client)
				for b.Loop() {
					if err := client.FlushAll(b.Context()).Err(); err != nil {
						b.Fatal(err)
					}
					w.fill(b, client, n*million)
				}
				b.ReportMetric(float64(memoryAtRest(b, client)-empty)/float64(n*million), "B/output")
				b.ReportMetric(float64(n*million)*float64(b.N)/b.Elapsed().Seconds(), "outputs/s")
			})
		}
	}
}

// memoryAtRest is what Redis uses once it has ended what it does in the background.
func memoryAtRest(b *testing.B, client *redis.Client) int64 {
	b.Helper()
	var used int64
	for range 100 {
		server, err := NewView(client, "spate").Server(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if server.Used == used {
			break
		}
		used = server.Used
		if err := sleep(b.Context(), 300*time.Millisecond); err != nil {
			b.Fatal(err)
		}
	}
	return used
}

// BenchmarkFilter asks which of a run's keys are outputs, half of them being some: of this view, of Redis's other ways,
// and of S3. There are a million outputs, with -large ten.
func BenchmarkFilter(b *testing.B) {
	outputs := million
	if *large {
		outputs *= 10
	}
	asked := map[int][]job.Key{}
	for _, n := range []int{10_000, 100_000, million} {
		asked[n] = append(randomKeys(0, n/2), randomKeys(255, n/2)...)
	}
	check := func(b *testing.B, n, hits int) {
		if hits != n/2 {
			b.Fatalf("%d hits of %d keys, want half", hits, n)
		}
	}
	measure := func(name string, n int, filter func(keys []job.Key) (hits int, err error)) {
		b.Run(fmt.Sprintf("keys=%d/%s", n, name), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				hits, err := filter(asked[n])
				if err != nil {
					b.Fatal(err)
				}
				check(b, n, hits)
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "keys/s")
		})
	}
	viewRedis, setRedis := realRedis(b).client(), realRedis(b).client()
	view, mark := NewView(viewRedis, "spate:default"), ways()[0].fill(b, viewRedis, outputs)
	digests := ways()[2]
	digests.fill(b, setRedis, outputs)
	for _, n := range []int{10_000, 100_000, million} {
		measure("view", n, func(keys []job.Key) (hits int, err error) {
			answers := view.Lookup(b.Context(), mark, keys)
			for _, p := range answers.Presence {
				if p == job.Hit {
					hits++
				}
			}
			return hits, answers.Err
		})
		measure("smismember", n, func(keys []job.Key) (hits int, err error) {
			var answers []*redis.BoolSliceCmd
			err = inPipelines(keys, digests.member, func(pipe redis.Pipeliner, members []any) {
				answers = append(answers, pipe.SMIsMember(b.Context(), bigSet, members...))
			}, setRedis)
			for _, a := range answers {
				for _, found := range a.Val() {
					if found {
						hits++
					}
				}
			}
			return hits, err
		})
		measure("sinter", n, func(keys []job.Key) (hits int, err error) {
			const asking = "asking"
			err = inPipelines(keys, digests.member, func(pipe redis.Pipeliner, members []any) { pipe.SAdd(b.Context(), asking, members...) }, setRedis)
			if err != nil {
				return 0, err
			}
			defer setRedis.Unlink(b.Context(), asking)
			found, err := setRedis.SInter(b.Context(), asking, bigSet).Result()
			return len(found), err
		})
	}
	for _, connections := range []int{64, 512} {
		measure("head-"+strconv.Itoa(connections), 100_000, headFilter(b, connections, asked[100_000]))
	}
}

// headFilter asks the sandbox's S3 for each manifest, over so many connections. Of the outputs asked for every hundredth is
// there in fact; the others of them ask for it in their stead, as S3 does not answer one sooner than the other.
func headFilter(b *testing.B, connections int, asked []job.Key) func([]job.Key) (int, error) {
	b.Helper()
	endpoint := httptest.NewServer(sandboxs3.New(sandboxs3.Options{Region: "us-east-1", Log: zerolog.Nop()}))
	b.Cleanup(endpoint.Close)
	transport := &http.Transport{MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections}
	b.Cleanup(transport.CloseIdleConnections)
	clients := awsclient.FromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: &endpoint.URL, HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
	if _, err := clients.S3.CreateBucket(b.Context(), &s3.CreateBucketInput{Bucket: aws.String(testBucket)}); err != nil {
		b.Fatal(err)
	}
	store, stand := objects.New(clients.S3, testBucket), len(asked)/200
	for _, k := range asked[:stand] {
		if _, err := store.Put(b.Context(), job.ManifestPath(k), []byte("{}"), objects.Condition{}); err != nil {
			b.Fatal(err)
		}
	}
	return func(keys []job.Key) (int, error) {
		var hits, next atomic.Int64
		var calls errgroup.Group
		for range connections {
			calls.Go(func() error {
				for i := next.Add(1) - 1; i < int64(len(keys)); i = next.Add(1) - 1 {
					k := keys[i]
					if i < int64(len(keys)/2) {
						k = keys[i%int64(stand)]
					}
					if _, err := store.Head(b.Context(), job.ManifestPath(k)); err == nil {
						hits.Add(1)
					} else if !errors.Is(err, objects.ErrNotFound) {
						return err
					}
				}
				return nil
			})
		}
		err := calls.Wait()
		return int(hits.Load()), err
	}
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
