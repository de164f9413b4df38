package cache

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"golang.org/x/sync/errgroup"

	"spate/internal/awsclient"
	"spate/job"
)

// BenchmarkRebuild fills an epoch from the ledger as fast as it goes; a follower is bounded by its read units besides. The
// sandbox's ledger has a million outputs: ten would take it 24 GB. A made-up one of ten million writes each page when it is asked
// for, and sends it over HTTP to AWS's SDK as DynamoDB does. Either is in the same process and takes its share of the processors.
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
	b.Run("outputs=1M/sandbox", func(b *testing.B) {
		h := newHouseOn(b, realRedis(b).client())
		var puts errgroup.Group
		keys := randomKeys(0, million)
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
		rebuild(b, h, h.Ledger, million)
	})
	b.Run("outputs=10M/pages", func(b *testing.B) {
		h := newHouseOn(b, realRedis(b).client())
		server := httptest.NewServer(madePages{outputs: 10 * million})
		b.Cleanup(server.Close)
		clients := awsclient.FromConfig(aws.Config{
			Region: "us-east-1", BaseEndpoint: &server.URL, HTTPClient: server.Client(),
			Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret", ""),
		})
		ledger, err := NewLedger(LedgerOptions{Client: clients.DynamoDB, Table: outputsTable})
		if err != nil {
			b.Fatal(err)
		}
		rebuild(b, h, ledger, 10*million)
	})
}

// madePages answers DynamoDB's Scan for a table of so many made-up outputs, in pages of a megabyte, some 5,000 items.
type madePages struct{ outputs int }

func (p madePages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const items = 5000
	var in struct {
		Segment, TotalSegments int
		ExclusiveStartKey      struct{ Key struct{ S string } }
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	page, _ := strconv.Atoi(in.ExclusiveStartKey.Key.S)
	created, expires := start.Unix(), start.Add(retention).Unix()
	random := rand.NewChaCha8([32]byte{byte(in.Segment), byte(page), byte(page >> 8)})
	out := []byte(`{"Items":[`)
	for i := range items {
		if i > 0 {
			out = append(out, ',')
		}
		var k job.Key
		_, _ = random.Read(k[:])
		out = fmt.Appendf(out, `{"key":{"S":"%s"},"created_at":{"N":"%d"},"expires_at":{"N":"%d"},"bytes":{"N":"1048576"},`+
			`"run_id":{"S":"nightly-rollup-2026-11-21"}}`, k, created, expires)
	}
	out = append(out, ']')
	if size := p.outputs / in.TotalSegments; (page+1)*items < size {
		out = fmt.Appendf(out, `,"LastEvaluatedKey":{"key":{"S":"%d"}}`, page+1)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	_, _ = w.Write(append(out, '}'))
}
