package cache

import (
	"context"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"spate/job"
)

// BenchmarkRebuild fills an epoch from the ledger as fast as it goes; a follower is bounded by its read units besides. The
// sandbox's ledger has a million outputs, or with -large ten: then the SDK, and the sandbox in the same process, take most of the
// time. A made-up ledger of ten million hands out pages that nobody had to send, which leaves what Spate and Redis do.
func BenchmarkRebuild(b *testing.B) {
	rebuild := func(b *testing.B, h *house, ledger *Ledger, n int) {
		b.Helper()
		f := h.Follower
		f.Ledger, f.ReadUnitsPerSecond = ledger, 1<<30
		for b.Loop() {
			writer, err := f.View.Create(b.Context(), benchEpoch, bitsFor(int64(n), defaultIntsetLimit))
			if err != nil {
				b.Fatal(err)
			}
			build := startBuild(b.Context(), f, writer, Progress{Segments: make([]Segment, f.Segments)}, start)
			<-build.done
			if build.err != nil || writer.outputs() != int64(n) {
				b.Fatalf("%d outputs of %d, error %v", writer.outputs(), n, build.err)
			}
		}
		b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "outputs/s")
	}
	sandboxed := million
	if *large {
		sandboxed *= 10
	}
	b.Run("outputs="+strconv.Itoa(sandboxed/million)+"M/sandbox", func(b *testing.B) {
		h := newHouseOn(b, realRedis(b).client())
		for seed := range sandboxed / million {
			var puts errgroup.Group
			keys := randomKeys(byte(seed), million)
			for part := range 8 {
				puts.Go(func() error {
					outputs := make([]Output, million/8)
					for i, k := range keys[part*million/8 : (part+1)*million/8] {
						outputs[i] = Output{Key: k, CreatedAt: start, ExpiresAt: start.Add(retention), Bytes: 1 << 20, Run: "nightly-rollup-2026-11-21"}
					}
					return h.Ledger.Write(b.Context(), outputs, nil)
				})
			}
			if err := puts.Wait(); err != nil {
				b.Fatal(err)
			}
		}
		rebuild(b, h, h.Ledger, sandboxed)
	})
	b.Run("outputs=10M/pages", func(b *testing.B) {
		h := newHouseOn(b, realRedis(b).client())
		ledger, err := NewLedger(LedgerOptions{Client: madePages{h.clients.DynamoDB, 10 * million}, Table: outputsTable})
		if err != nil {
			b.Fatal(err)
		}
		rebuild(b, h, ledger, 10*million)
	})
}

// madePages is a ledger of so many made-up outputs, which only scans read.
type madePages struct {
	DynamoDB
	outputs int
}

// Scan gives a page of a megabyte, which holds some 5,000 items.
func (p madePages) Scan(_ context.Context, in *dynamodb.ScanInput, _ ...func(*dynamodb.Options)) (*dynamodb.ScanOutput, error) {
	const items = 5000
	segment, size := int(aws.ToInt32(in.Segment)), p.outputs/int(aws.ToInt32(in.TotalSegments))
	page := 0
	if after, ok := in.ExclusiveStartKey[attributeKey].(*types.AttributeValueMemberS); ok {
		page, _ = strconv.Atoi(after.Value)
	}
	out := &dynamodb.ScanOutput{Items: make([]map[string]types.AttributeValue, items)}
	number := func(n int64) types.AttributeValue {
		return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
	}
	random := rand.NewChaCha8([32]byte{byte(segment), byte(page), byte(page >> 8)})
	for i := range out.Items {
		var k job.Key
		_, _ = random.Read(k[:])
		out.Items[i] = map[string]types.AttributeValue{
			"key": &types.AttributeValueMemberS{Value: k.String()}, "created_at": number(start.Unix()),
			"expires_at": number(start.Add(30 * 24 * time.Hour).Unix()), "bytes": number(1 << 20),
			"run_id": &types.AttributeValueMemberS{Value: "nightly-rollup-2026-11-21"},
		}
	}
	if (page+1)*items < size {
		out.LastEvaluatedKey = map[string]types.AttributeValue{attributeKey: &types.AttributeValueMemberS{Value: strconv.Itoa(page + 1)}}
	}
	return out, nil
}
