package bench

import (
	"context"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"spate/cache"
	"spate/controller"
	"spate/internal/objects"
	"spate/job"
)

// distant is a bucket whose answers to HEAD take a while longer.
type distant struct {
	cache.Bucket
	wait time.Duration
}

func (d distant) Head(ctx context.Context, key string) (objects.Info, error) {
	select {
	case <-time.After(d.wait):
	case <-ctx.Done():
		return objects.Info{}, ctx.Err()
	}
	return d.Bucket.Head(ctx, key)
}

// BenchmarkVerify compares ledger and S3 of a sandbox, all outputs, each an operation, as `spate cache verify --all` does: over
// loopback, where two cores serve both sides, and where each HEAD takes as long as within a Region.
func BenchmarkVerify(b *testing.B) {
	for name, wait := range map[string]time.Duration{"loopback": 0, "head=20ms": 20 * time.Millisecond} {
		b.Run(name, func(b *testing.B) {
			in := install(b, 1, make(launches))
			store := objects.New(in.clients.S3, in.cfg.Bucket)
			fill, err := cache.NewLedger(cache.LedgerOptions{
				Client: in.clients.DynamoDB, Table: in.cfg.Tables.Outputs, Retention: in.cfg.Cache.Retention, WritesPerSecond: 1_000_000,
			})
			must(b, err)
			outputs := make([]cache.Output, b.N)
			var puts errgroup.Group
			puts.SetLimit(64)
			for n := range outputs {
				puts.Go(func() error {
					key, data := manifestOf(b, uint64(n))
					now := time.Now()
					outputs[n] = cache.Output{Key: key, CreatedAt: now, ExpiresAt: now.Add(in.cfg.Cache.Retention - time.Minute), Bytes: 7, Run: "run"}
					_, err := store.Put(b.Context(), job.ManifestPath(key), data, objects.Condition{})
					return err
				})
			}
			must(b, puts.Wait())
			for batch := range slices.Chunk(outputs, 1000) {
				must(b, fill.Write(b.Context(), batch, nil))
			}
			witnesses, release, err := controller.Witnesses(in.cfg, in.clients)
			must(b, err)
			defer release()
			if wait > 0 {
				witnesses.S3 = distant{witnesses.S3, wait}
			}
			b.ResetTimer()
			found, err := witnesses.Verify(b.Context(), cache.VerifyOptions{})
			b.StopTimer()
			must(b, err)
			if found.Outputs != int64(b.N) || found.Listed != int64(b.N) || len(found.Counts) > 0 {
				b.Fatalf("of %d outputs: %+v", b.N, found)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "outputs/s")
		})
	}
}
