package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"spate/cache"
	"spate/internal/objects"
	"spate/internal/queue"
	"spate/job"
)

// manifestOf is the n-th output's.
func manifestOf(b *testing.B, n uint64) (job.Key, []byte) {
	b.Helper()
	var spec [job.KeySize]byte
	binary.BigEndian.PutUint64(spec[:], n)
	key, err := job.KeyOf(spec, nil)
	must(b, err)
	m := job.Manifest{V: job.MessageVersion, Key: key, Attempt: "a", Run: "run", Files: []job.File{{Path: "losses.csv", Size: 7}}}
	data, err := m.Encode()
	must(b, err)
	return key, data
}

// BenchmarkUpdater publishes outputs in a sandbox's S3 and then lets an updater carry their notifications into the ledger,
// each an operation: as fast as two cores allow that serve all four sides, and at the usual limit of the ledger's rate.
// off-% is by how much the items that the table took in the busiest or laziest whole second were off that limit; off-mean-% is the
// same of all those seconds together.
func BenchmarkUpdater(b *testing.B) {
	for _, limit := range []int{1_000_000, 2000, 500} {
		b.Run("limit="+strconv.Itoa(limit), func(b *testing.B) {
			in := install(b, 1, make(launches))
			store := objects.New(in.clients.S3, in.cfg.Bucket)
			var puts errgroup.Group
			puts.SetLimit(64)
			for n := range uint64(b.N) {
				puts.Go(func() error {
					key, data := manifestOf(b, n)
					_, err := store.Put(b.Context(), job.ManifestPath(key), data, objects.Condition{})
					return err
				})
			}
			must(b, puts.Wait())

			table := &countedTable{DynamoDB: in.clients.DynamoDB}
			ledger, err := cache.NewLedger(cache.LedgerOptions{
				Client: table, Table: in.cfg.Tables.Outputs, Retention: 30 * day, WritesPerSecond: limit,
			})
			must(b, err)
			notifications, err := queue.Open(b.Context(), in.clients.SQS, in.cfg.Queues.Outputs)
			must(b, err)
			updater, err := cache.NewUpdater(cache.UpdaterOptions{
				Queue: notifications, Objects: store, Ledger: ledger, Parking: &backlog{},
				Bucket: in.cfg.Bucket, Retention: 30 * day, Log: zerolog.Nop(),
			})
			must(b, err)
			b.ResetTimer()
			run(b, updater.Run)
			seconds := followed(b, updater, &table.taken, int64(b.N))
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			if len(seconds) > 2 && limit < 1_000_000 {
				worst, sum := 0.0, 0.0
				for _, n := range seconds {
					worst = max(worst, math.Abs(n/float64(limit)-1))
					sum += n
				}
				b.ReportMetric(100*worst, "off-%")
				b.ReportMetric(100*(sum/float64(len(seconds))/float64(limit)-1), "off-mean-%")
			}
		})
	}
}

// countedTable counts the items that a table takes.
type countedTable struct {
	cache.DynamoDB
	taken atomic.Int64
}

func (c *countedTable) BatchWriteItem(ctx context.Context, in *dynamodb.BatchWriteItemInput, o ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error) {
	out, err := c.DynamoDB.BatchWriteItem(ctx, in, o...)
	if err == nil {
		for name, requests := range in.RequestItems {
			c.taken.Add(int64(len(requests) - len(out.UnprocessedItems[name])))
		}
	}
	return out, err
}

// followed waits until an updater has handled that many changes, and returns how many items the table took in each second but
// the first and the last.
func followed(b *testing.B, u *cache.Updater, taken *atomic.Int64, all int64) (perSecond []float64) {
	b.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	handled, quiet := int64(0), time.Now()
	began, before := time.Now(), taken.Load()
	for second := 0; ; {
		<-ticker.C
		s := u.Status()
		if s.Handled >= all {
			return perSecond
		}
		if s.Handled > handled {
			handled, quiet = s.Handled, time.Now()
		}
		if time.Since(quiet) > patience || s.Failed > 0 {
			b.Fatalf("of %d changes: %+v", all, s)
		}
		if now := time.Now(); now.Sub(began) > time.Second {
			n := taken.Load()
			if second++; second > 1 {
				perSecond = append(perSecond, float64(n-before)/now.Sub(began).Seconds())
			}
			began, before = now, n
		}
	}
}

// backlog is a queue of so many notifications, S3 with the outputs that they name, and the ledger's table. None of it takes
// memory: messages are made when they are received.
type backlog struct {
	cache.DynamoDB
	b       *testing.B
	left    atomic.Int64
	written atomic.Int64
}

func (q *backlog) Receive(ctx context.Context, limit int, wait, _ time.Duration) ([]queue.Message, error) {
	var messages []queue.Message
	for len(messages) < limit {
		n := q.left.Add(-1)
		if n < 0 {
			break
		}
		key, _ := manifestOf(q.b, uint64(n))
		messages = append(messages, queue.Message{
			ID: strconv.FormatInt(n, 10), Receipt: strconv.FormatInt(n, 10), ReceiveCount: 1, Sent: time.Now(),
			Body: fmt.Sprintf(`{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"us-east-1","eventTime":%q,"eventName":"ObjectCreated:Put",`+
				`"s3":{"bucket":{"name":"spate-data"},"object":{"key":%q,"size":512,"sequencer":"%016X"}}}]}`, time.Now().UTC().Format(time.RFC3339Nano), job.ManifestPath(key), n),
		})
	}
	if len(messages) == 0 {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
	return messages, nil
}

func (q *backlog) Delete(context.Context, ...string) error { return nil }

func (q *backlog) Get(_ context.Context, path string) ([]byte, objects.Info, error) {
	key, ok := job.ParseManifestPath(path)
	if !ok {
		return nil, objects.Info{}, objects.ErrNotFound
	}
	m := job.Manifest{V: job.MessageVersion, Key: key, Attempt: "a", Run: "run", Files: []job.File{{Path: "losses.csv", Size: 7}}}
	data, err := m.Encode()
	return data, objects.Info{LastModified: time.Now()}, err
}

func (q *backlog) Park(context.Context, cache.Parked) error { return nil }

func (q *backlog) BatchWriteItem(_ context.Context, in *dynamodb.BatchWriteItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error) {
	for _, requests := range in.RequestItems {
		q.written.Add(int64(len(requests)))
	}
	return &dynamodb.BatchWriteItemOutput{UnprocessedItems: map[string][]types.WriteRequest{}}, nil
}

// BenchmarkUpdaterBacklog works through a backlog of which nothing lies in memory but what the updater holds, and reports
// the most that the process's heap grew meanwhile, garbage included.
func BenchmarkUpdaterBacklog(b *testing.B) {
	for _, messages := range []int64{10_000, 1_000_000} {
		b.Run("messages="+strconv.FormatInt(messages, 10), func(b *testing.B) {
			var grew uint64
			for b.Loop() {
				grew = max(grew, workThrough(b, messages))
			}
			b.ReportMetric(float64(messages)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(grew)/(1<<20), "MiB-at-most")
		})
	}
}

func workThrough(b *testing.B, messages int64) (grew uint64) {
	b.Helper()
	q := &backlog{b: b}
	q.left.Store(messages)
	ledger, err := cache.NewLedger(cache.LedgerOptions{Client: q, Table: "outputs", Retention: 30 * day, WritesPerSecond: 10_000_000})
	must(b, err)
	updater, err := cache.NewUpdater(cache.UpdaterOptions{
		Queue: q, Objects: q, Ledger: ledger, Parking: q, Bucket: "spate-data", Retention: 30 * day, Log: zerolog.Nop(),
	})
	must(b, err)
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	before := stats.HeapInuse
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- updater.Run(ctx) }()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for updater.Status().Handled < messages {
		<-ticker.C
		runtime.ReadMemStats(&stats)
		grew = max(grew, stats.HeapInuse-min(before, stats.HeapInuse))
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		b.Fatal(err)
	}
	if n := q.written.Load(); n != messages {
		b.Fatalf("%d of %d items were written", n, messages)
	}
	return grew
}
