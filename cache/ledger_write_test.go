package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"spate/job"
)

// fakeTable is the outputs table as BatchWriteItem sees it, without a network: it refuses what DynamoDB refuses, and
// can be told to take only some.
type fakeTable struct {
	DynamoDB

	took     time.Duration      // by each call
	throttle func() bool        // asked for each call: it is refused as a whole
	leave    func(sent int) int // how many items of a call are left unprocessed
	mu       sync.Mutex
	items    map[job.Key]Output
	written  int
	refused  int // items
	calls    int
}

func (f *fakeTable) BatchWriteItem(ctx context.Context, in *dynamodb.BatchWriteItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error) {
	if f.took > 0 {
		if err := sleep(ctx, f.took); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	requests := in.RequestItems[outputsTable]
	seen := map[job.Key]bool{}
	for _, r := range requests {
		k, err := keyOf(r)
		if err != nil || seen[k] {
			return nil, fmt.Errorf("key of a request: %w, or it comes twice: %v", err, seen[k])
		}
		seen[k] = true
	}
	if len(requests) == 0 || len(requests) > maxWrites {
		return nil, &apiError{"ValidationException"}
	}
	if f.throttle != nil && f.throttle() {
		f.refused += len(requests)
		return nil, &apiError{"ProvisionedThroughputExceededException"}
	}
	left := 0
	if f.leave != nil {
		left = f.leave(len(requests))
	}
	for _, r := range requests[left:] {
		k, _ := keyOf(r)
		if f.items == nil {
			f.items = map[job.Key]Output{}
		}
		if r.DeleteRequest != nil {
			delete(f.items, k)
		} else {
			o, err := parseOutput(r.PutRequest.Item)
			if err != nil {
				return nil, err
			}
			f.items[k] = o
		}
	}
	f.refused += left
	f.written += len(requests) - left
	return &dynamodb.BatchWriteItemOutput{UnprocessedItems: map[string][]types.WriteRequest{outputsTable: requests[:left]}}, nil
}

func openLedger(t testing.TB, table *fakeTable, perSecond int) *Ledger {
	t.Helper()
	l, err := NewLedger(LedgerOptions{Client: table, Table: outputsTable, Retention: retention, WritesPerSecond: perSecond})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func testOutputs(now time.Time, keys ...job.Key) []Output {
	outputs := make([]Output, len(keys))
	for i, k := range keys {
		outputs[i] = Output{Key: k, CreatedAt: now, ExpiresAt: now.Add(retention), Bytes: 1, Run: "run"}
	}
	return outputs
}

// flood lets callers write batches of ten for a time, and returns how many writes failed.
func flood(ctx context.Context, l *Ledger, callers int, d time.Duration) (failed int) {
	until := time.Now().Add(d)
	var mu sync.Mutex
	var group errgroup.Group
	for c := range callers {
		group.Go(func() error {
			for n := c * 1_000_000; time.Now().Before(until); n += 10 {
				if err := l.Write(ctx, testOutputs(time.Now(), testKeys(n, n+10)...), nil); err != nil {
					mu.Lock()
					failed++
					mu.Unlock()
				}
			}
			return nil
		})
	}
	_ = group.Wait()
	return failed
}

func TestTheLedgerIsWrittenAtTheConfiguredRateWithinOneInTwenty(t *testing.T) {
	for _, limit := range []int{100, 2000} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				table := &fakeTable{took: 15 * time.Millisecond}
				began := time.Now()
				failed := flood(t.Context(), openLedger(t, table, limit), 24, 20*time.Second)
				rate := float64(table.written) / time.Since(began).Seconds()
				if rate < .95*float64(limit) || rate > 1.05*float64(limit) || failed > 0 {
					t.Errorf("%.0f items a second, want %d; %d writes failed", rate, limit, failed)
				}
				if perCall := float64(table.written) / float64(table.calls); perCall < 20 {
					t.Errorf("%.1f items a call", perCall)
				}
			})
		})
	}
}

func TestATableThatTakesHalfOfTheRateIsOfferedLittleMoreThanThat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const capacity = 1000 // items a second
		table := &fakeTable{took: 5 * time.Millisecond}
		ledger := openLedger(t, table, 2*capacity)
		tokens, last := float64(capacity), time.Now()
		table.leave = func(sent int) int {
			now := time.Now()
			tokens, last = min(capacity, tokens+capacity*now.Sub(last).Seconds()), now
			take := min(sent, int(tokens))
			tokens -= float64(take)
			return sent - take
		}
		flood(t.Context(), ledger, 24, 30*time.Second) // until it has settled
		written, refused, began := table.written, table.refused, time.Now()
		if failed := flood(t.Context(), ledger, 24, 30*time.Second); failed > 0 {
			t.Errorf("%d writes failed", failed)
		}
		rate := float64(table.written-written) / time.Since(began).Seconds()
		share := float64(table.refused-refused) / float64(table.refused-refused+table.written-written)
		if rate < .9*capacity || share > .15 {
			t.Errorf("%.0f of %d items a second were written, %.0f %% of what was offered refused", rate, capacity, 100*share)
		}
		if pace, _ := ledger.Pace(time.Now()); pace > 1.2*capacity {
			t.Errorf("the pace is %.0f", pace)
		}
	})
}

func TestNothingIsLostWhileDynamoDBThrottlesThreeCallsOfTen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(5, 6))
		table := &fakeTable{took: 5 * time.Millisecond, throttle: func() bool { return random.IntN(10) < 3 }}
		ledger := openLedger(t, table, 2000)
		var callers errgroup.Group
		for c := range 10 {
			callers.Go(func() error {
				for n := 1000 * c; n < 1000*(c+1); n += 10 {
					for { // as the queue does: what failed comes again
						if err := ledger.Write(t.Context(), testOutputs(time.Now(), testKeys(n, n+10)...), nil); err == nil {
							break
						}
					}
				}
				return nil
			})
		}
		_ = callers.Wait()
		if len(table.items) != 10_000 || table.refused < 1000 {
			t.Errorf("%d of 10000 items were written, %d were refused", len(table.items), table.refused)
		}
		if pace, _ := ledger.Pace(time.Now()); pace > 1000 {
			t.Errorf("the pace is %.0f still", pace)
		}
	})
}

func TestOnlyWhatWasLeftOfABatchIsSentAgainAndReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &fakeTable{leave: func(sent int) int { return min(sent, 2) }}
		ledger := openLedger(t, table, 2000)
		err := ledger.Write(t.Context(), testOutputs(time.Now(), testKeys(0, 10)...), nil)
		failed, ok := errors.AsType[*WriteError](err)
		if !ok || len(failed.Failed) != 2 || len(table.items) != 8 || table.written != 8 || table.calls != tries {
			t.Errorf("%v; %d items, %d written in %d calls", err, len(table.items), table.written, table.calls)
		}
		for k := range failed.Failed {
			if _, there := table.items[k]; there {
				t.Errorf("%s is reported and was written", k.Short())
			}
		}
	})
}

func TestNoItemOutlivesItsOutput(t *testing.T) {
	table := &fakeTable{}
	ledger := openLedger(t, table, 2000)
	late := testOutputs(start, testKey(1))
	late[0].ExpiresAt = late[0].ExpiresAt.Add(time.Second)
	if err := ledger.Write(t.Context(), late, nil); err == nil || table.calls != 0 {
		t.Errorf("error %v after %d calls: an item would expire later than the retention after its output was made", err, table.calls)
	}
	if _, err := ledger.Renew(t.Context(), late[0]); err == nil {
		t.Error("an item would be renewed beyond that")
	}
	// That check is worth as much as there is no other way to write items.
	for _, pattern := range []string{"../*/*.go", "../*/*/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "../sandbox") || strings.HasPrefix(file, "../test") {
				continue
			}
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for call, allowed := range map[string][]string{
				".BatchWriteItem(": {"../cache/ledger_write.go"},
				".PutItem(":        {"../internal/table/table.go"}, // which is for the runs table
				".UpdateItem(":     {"../internal/table/table.go", "../cache/renew.go"},
			} {
				if strings.Contains(string(source), call) && !slices.Contains(allowed, file) {
					t.Errorf("%s writes items by itself", file)
				}
			}
		}
	}
}
