package cache

import (
	"context"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"spate/internal/objects"
	"spate/job"
)

// eachOf yields keys.
func eachOf(keys ...job.Key) iter.Seq2[job.Key, error] {
	return func(yield func(job.Key, error) bool) {
		for _, k := range keys {
			if !yield(k, nil) {
				return
			}
		}
	}
}

func TestAVerificationFindsWhatThePartsDisagreeAbout(t *testing.T) {
	h := newHouse(t)
	w, s3 := h.witnesses()
	keys := testKeys(0, 40)
	inAll, wrong, notInLedger := keys[:30], keys[30:33], keys[33:40]
	h.put(inAll...)
	h.put(wrong...)
	h.settle()
	for _, k := range append(inAll[:30:30], notInLedger...) {
		s3.put(job.ManifestPath(k), "etag", start)
		s3.put(job.AttemptPrefix(k, "a1")+"value.txt", "file", start)
	}
	for name, row := range map[string]struct {
		options VerifyOptions
		want    Verification
	}{
		"all": {VerifyOptions{}, Verification{
			Outputs: 33, Listed: 37, ViewAsked: true, Counts: map[Disagreement]int64{WrongHit: 3, NotInLedger: 7},
		}},
		"a sample larger than all": {VerifyOptions{Sample: 10_000}, Verification{
			Outputs: 33, Listed: 37, ViewAsked: true, Counts: map[Disagreement]int64{WrongHit: 3, NotInLedger: 7},
		}},
		"some": {VerifyOptions{Keys: eachOf(inAll[0], wrong[0], testKey(99))}, Verification{
			Outputs: 3, ViewAsked: true, Counts: map[Disagreement]int64{WrongHit: 1},
		}},
		"more than is remembered": {VerifyOptions{Remember: 4}, Verification{
			Outputs: 33, Listed: 37, ViewAsked: true, Counts: map[Disagreement]int64{WrongHit: 3, NotInLedger: 1}, Beyond: 6,
		}},
		"none": {VerifyOptions{Keys: eachOf()}, Verification{Counts: map[Disagreement]int64{}}},
	} {
		t.Run(name, func(t *testing.T) {
			row.options.Settle = time.Millisecond
			seen := map[Phase]int64{}
			row.options.Progress = func(phase Phase, n int64) { seen[phase] = n }
			got, err := w.Verify(t.Context(), row.options)
			if err != nil {
				t.Fatal(err)
			}
			examples := got.Examples
			got.Examples = nil
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if seen[PhaseOutputs] != row.want.Outputs || seen[PhaseListed] != row.want.Listed {
				t.Errorf("progress ended with %v", seen)
			}
			for i, e := range examples {
				if isWrong := e.Disagree == WrongHit; isWrong != (int64(i) < row.want.Counts[WrongHit]) || e.Made.IsZero() != isWrong || e.ExpiresAt.IsZero() == isWrong {
					t.Errorf("example %d is %+v", i, e)
				}
			}
		})
	}
}

func TestASampleIsNoLargerThanItIsToBe(t *testing.T) {
	h := newHouse(t)
	w, s3 := h.witnesses()
	w.View = nil
	keys := testKeys(0, 300)
	h.put(keys...)
	for _, k := range keys {
		s3.put(job.ManifestPath(k), "etag", start)
	}
	got, err := w.Verify(t.Context(), VerifyOptions{Sample: 50, Settle: time.Millisecond})
	if err != nil || got.Outputs != 50 || got.Listed != 50 || len(got.Counts) > 0 || got.ViewAsked {
		t.Errorf("verified %+v, error %v", got, err)
	}
}

func TestWhatIsUnderWayIsNoDisagreement(t *testing.T) {
	h := newHouse(t)
	w, s3 := h.witnesses()
	w.View = nil
	key := testKey(1)
	h.put(key)
	w.S3 = s3
	s3.onLook = func() { // the ledger hears of it between the two looks
		if err := h.Ledger.Write(t.Context(), nil, []job.Key{key}); err != nil {
			t.Error(err)
		}
	}
	got, err := w.Verify(t.Context(), VerifyOptions{Settle: time.Millisecond})
	if err != nil || got.Passing != 1 || len(got.Counts) > 0 || len(got.Examples) > 0 {
		t.Errorf("verified %+v, error %v", got, err)
	}
}

func TestAVerificationSaysWhyAndSinceWhenRedisWasNotAsked(t *testing.T) {
	h := newHouse(t)
	w, _ := h.witnesses()
	const batches = 2 * parallelBatches
	h.put(testKeys(0, batches*verifyBatch)...)
	h.settle()
	client := redis.NewClient(&redis.Options{Addr: h.redis.Options().Addr, DisableIdentity: true})
	w.View = NewView(client, "spate")
	got, err := w.Verify(t.Context(), VerifyOptions{Settle: time.Millisecond, Progress: func(phase Phase, n int64) {
		if phase == PhaseOutputs && n == verifyBatch {
			_ = client.Close()
		}
	}})
	if err != nil || got.ViewAsked || !strings.Contains(got.ViewError, "closed") || got.Outputs != batches*verifyBatch {
		t.Errorf("verified %+v, error %v", got, err)
	}
	if got.ViewUntil < verifyBatch || got.ViewUntil > parallelBatches*verifyBatch { // others were being asked when Redis went
		t.Errorf("the view is said to have been asked until output %d", got.ViewUntil)
	}
}

// crowd is a bucket whose first HEAD requests wait until as many have come as are wanted.
type crowd struct {
	Bucket
	wanted            int64
	all               chan struct{}
	came, within, max atomic.Int64
}

func (c *crowd) Head(ctx context.Context, key string) (objects.Info, error) {
	within := c.within.Add(1)
	defer c.within.Add(-1)
	for most := c.max.Load(); within > most && !c.max.CompareAndSwap(most, within); most = c.max.Load() {
	}
	if c.came.Add(1) == c.wanted {
		close(c.all)
	}
	select {
	case <-c.all:
	case <-ctx.Done():
		return objects.Info{}, ctx.Err()
	}
	return c.Bucket.Head(ctx, key)
}

func TestAVerificationAsksForSixtyFourManifestsAtOnceAndNoMore(t *testing.T) {
	h := newHouse(t)
	w, s3 := h.witnesses()
	c := &crowd{Bucket: s3, wanted: 64, all: make(chan struct{})}
	w.S3 = c
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	got, err := w.Verify(ctx, VerifyOptions{Keys: eachOf(testKeys(0, 10*verifyBatch)...), Settle: time.Millisecond})
	if n := s3.checks.Load(); n < 1 || n > 3 {
		t.Errorf("the bucket is looked for %d times, want once a phase", n)
	}
	if err != nil || got.Outputs != 10*verifyBatch {
		t.Errorf("verified %+v, error %v", got, err)
	}
	if n := c.max.Load(); n != 64 {
		t.Errorf("%d at once", n)
	}
}

func TestAVerificationKeepsToItsRate(t *testing.T) {
	h := newHouse(t)
	w, _ := h.witnesses()
	began := time.Now()
	if _, err := w.Verify(t.Context(), VerifyOptions{Keys: eachOf(testKeys(0, 30)...), HeadsPerSecond: 100}); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(began); d < 190*time.Millisecond { // a tenth of a second's at once, the others after it
		t.Errorf("30 outputs at 100 a second took %s", d)
	}
}
