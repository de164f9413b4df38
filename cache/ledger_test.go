package cache

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/aws/smithy-go"

	"spate/job"
)

// apiError is an answer of a service.
type apiError struct{ code string }

func (e *apiError) Error() string                 { return e.code }
func (e *apiError) ErrorCode() string             { return e.code }
func (e *apiError) ErrorMessage() string          { return e.code }
func (e *apiError) ErrorFault() smithy.ErrorFault { return smithy.FaultUnknown }

func TestNothingIsLostWhenThreeItemsOfTenAreLeftUnprocessed(t *testing.T) {
	h := newHouse(t)
	random := rand.New(rand.NewPCG(3, 4))
	left := 0
	h.faults.set(func(f *faults) {
		f.unprocessed = func() bool {
			if random.IntN(10) >= 3 {
				return false
			}
			left++
			return true
		}
	})
	h.put(testKeys(0, 200)...)
	if err := h.Ledger.Write(t.Context(), nil, testKeys(0, 50)); err != nil {
		t.Fatal(err)
	}
	outputs, err := h.Ledger.Get(t.Context(), h.now, testKeys(0, 250)...)
	if err != nil {
		t.Fatal(err)
	}
	if len(outputs) != 150 || left < 60 {
		t.Fatalf("the ledger has %d items, want 150; %d were left unprocessed", len(outputs), left)
	}
}

func TestThrottledWritesAreSentAgainAndRefusedOnesAreNot(t *testing.T) {
	h := newHouse(t)
	calls := 0
	h.faults.set(func(f *faults) {
		f.write = func() error {
			if calls++; calls < 3 {
				return &apiError{"ProvisionedThroughputExceededException"}
			}
			return nil
		}
	})
	h.put(testKey(1))
	if calls != 3 {
		t.Errorf("%d calls, want 3", calls)
	}
	calls = 0
	h.faults.set(func(f *faults) {
		f.write = func() error { calls++; return &apiError{"AccessDeniedException"} }
	})
	if err := h.Ledger.Write(t.Context(), nil, []job.Key{testKey(1)}); err == nil || calls != 1 {
		t.Errorf("error %v after %d calls, want one after the first", err, calls)
	}
}

func TestOfSeveralPutsOfAKeyTheLastToExpireCounts(t *testing.T) {
	h := newHouse(t)
	k := testKey(1)
	var puts []Output
	for _, hours := range []int{1, 3, 2} {
		puts = append(puts, Output{Key: k, CreatedAt: start, ExpiresAt: start.Add(time.Duration(hours) * time.Hour)})
	}
	if err := h.Ledger.Write(t.Context(), puts, nil); err != nil {
		t.Fatal(err)
	}
	outputs, err := h.Ledger.Get(t.Context(), start, k, k)
	if err != nil || !outputs[k].ExpiresAt.Equal(start.Add(3*time.Hour)) {
		t.Errorf("expires at %s, error %v", outputs[k].ExpiresAt, err)
	}
	if err := h.Ledger.Write(t.Context(), puts, []job.Key{k}); err == nil {
		t.Error("a key was both put and deleted")
	}
}

func TestLedgerKeysWhoseReadFailedAreUnknownAndTheOthersAnswered(t *testing.T) {
	h := newHouse(t)
	keys := testKeys(0, 1000)
	h.put(keys...)
	calls := 0
	h.faults.set(func(f *faults) {
		f.read = func() error {
			if calls++; calls%5 == 0 {
				return &apiError{"AccessDeniedException"}
			}
			return nil
		}
	})
	got, err := h.Ledger.Lookup(t.Context(), h.now, keys)
	counts := map[job.Presence]int{}
	for _, p := range got {
		counts[p]++
	}
	if err == nil || counts[job.Hit] != 800 || counts[job.Unknown] != 200 {
		t.Errorf("answers %v, error %v; want 800 hits and 200 unknown", counts, err)
	}
}

func TestTheSegmentsOfAScanTogetherHaveEachItemOnce(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 300)...)
	seen := map[job.Key]int{}
	for segment := range 4 {
		for page, err := range h.Ledger.Scan(t.Context(), h.now, ScanOptions{Segment: segment, Segments: 4}) {
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page.Outputs {
				seen[o.Key]++
			}
		}
	}
	for _, k := range testKeys(0, 300) {
		if seen[k] != 1 {
			t.Fatalf("%s was seen %d times", k.Short(), seen[k])
		}
	}
}

func TestWritesKeepToTheRate(t *testing.T) {
	h := newHouse(t)
	ledger, err := NewLedger(LedgerOptions{Client: h.faults, Table: outputsTable, WritesPerSecond: 100})
	if err != nil {
		t.Fatal(err)
	}
	if burst := ledger.limiter.Burst(); burst != maxWrites || ledger.limiter.Limit() != 100 {
		t.Errorf("burst %d at %v a second, want %d at 100", burst, ledger.limiter.Limit(), maxWrites)
	}
	if !ledger.limiter.AllowN(time.Now(), maxWrites) || ledger.limiter.AllowN(time.Now(), maxWrites) {
		t.Error("a second batch is let through at once")
	}
}
