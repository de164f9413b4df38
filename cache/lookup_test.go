package cache

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"spate/job"
)

func TestAnEmptiedRedisIsUnknownUntilAnotherEpochIsBuilt(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 50)...)
	h.settle()
	before := h.liveEpoch()

	h.flush()
	all(t, h.view(testKeys(0, 100)...), job.Unknown)
	all(t, h.Lookup(t.Context(), testKeys(0, 50)), job.Hit) // the ledger knows
	all(t, h.Lookup(t.Context(), testKeys(50, 100)), job.Miss)
	all(t, h.process().askView(t.Context(), h.now, testKeys(0, 100)), job.Unknown)

	h.settle()
	if h.liveEpoch() == before {
		t.Fatalf("epoch %d is live again after its content was lost", before)
	}
	all(t, h.view(testKeys(0, 50)...), job.Hit)
	all(t, h.view(testKeys(50, 100)...), job.Miss)
}

func TestRedisEmptiedDuringALookupGivesNoMissForWhatExists(t *testing.T) {
	h := newHouse(t)
	keys := testKeys(0, 5000)
	h.put(keys...)
	h.settle()
	other := redis.NewClient(&redis.Options{Addr: h.redis.Options().Addr})
	defer other.Close()
	faults := h.faultyRedis()
	faults.set(func(r *redisFaults) {
		first := r.pipeline
		r.before = func(n int) error {
			if n == first+3 {
				return other.FlushAll(t.Context()).Err()
			}
			return nil
		}
	})
	counts := map[job.Presence]int{}
	for _, p := range h.view(keys...) {
		counts[p]++
	}
	if counts[job.Miss] > 0 || counts[job.Unknown] == 0 {
		t.Fatalf("answers of an emptied Redis: %v, want no miss and some unknown", counts)
	}
	all(t, h.Lookup(t.Context(), keys[:200]), job.Hit)
}

func TestAnOldSnapshotNeverAnswers(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 50)...)
	h.settle()
	old := takeSnapshot(t, h.redis)
	h.put(testKeys(50, 100)...)
	if err := h.Forget(t.Context(), testKey(0)); err != nil {
		t.Fatal(err)
	}
	h.settle()
	before := h.liveEpoch()

	old.restore(t, h.redis) // lacks 50–99 and has 0
	all(t, h.view(testKeys(0, 100)...), job.Unknown)
	all(t, h.process().askView(t.Context(), h.now, testKeys(0, 100)), job.Unknown)
	h.settle()
	if h.liveEpoch() == before {
		t.Fatal("the epoch of the snapshot is live")
	}
	all(t, h.view(testKey(0)), job.Miss)
	all(t, h.view(testKeys(1, 100)...), job.Hit)
}

func TestAnOldSnapshotIsNoticedByAFollowerThatWasAway(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 10)...)
	h.settle()
	old := takeSnapshot(t, h.redis)
	h.put(testKeys(10, 20)...)
	h.settle()
	before := h.liveEpoch()
	h.leave()
	old.restore(t, h.redis)
	h.settle()
	if h.liveEpoch() == before {
		t.Fatal("the lost epoch was resumed")
	}
	all(t, h.view(testKeys(0, 20)...), job.Hit)
}

func TestAReaderRemembersTheHighestSequenceItSaw(t *testing.T) {
	h := newHouse(t)
	h.put(testKey(1))
	h.settle()
	reader := h.process()
	all(t, reader.askView(t.Context(), h.now, testKeys(1, 2)), job.Hit)
	h.settle()
	old := takeSnapshot(t, h.redis) // newer than what the reader took from the runs table
	h.settle()
	all(t, reader.askView(t.Context(), h.now, testKeys(1, 2)), job.Hit)
	old.restore(t, h.redis)
	all(t, reader.askView(t.Context(), h.now, testKeys(1, 2)), job.Unknown)
}

func TestRedisEmptiedDuringAWriteIsLost(t *testing.T) {
	h := newHouse(t)
	h.put(testKey(1))
	h.settle()
	other := redis.NewClient(&redis.Options{Addr: h.redis.Options().Addr})
	defer other.Close()
	h.faultyRedis().set(func(r *redisFaults) {
		r.before = func(int) error { return other.FlushAll(t.Context()).Err() }
	})
	if err := h.session.live.Apply(t.Context(), testKeys(2, 3), nil); !errors.Is(err, ErrLost) {
		t.Fatalf("error is %v, want %v", err, ErrLost)
	}
	all(t, h.view(testKeys(1, 3)...), job.Unknown)
}

func TestASuspectEpochIsLiveAgainOnceItsSequencePassesWhatIsRemembered(t *testing.T) {
	h := newHouse(t)
	h.put(testKey(1))
	h.settle()
	mark, _ := h.Epochs.Current(t.Context(), h.now)
	h.Epochs.seen(mark.Epoch, mark.Sequence+5) // as if this reader had reached a replica that lags
	all(t, h.view(testKey(1)), job.Unknown)
	if got := h.Epochs.State(); got != StateSuspect {
		t.Fatalf("state is %s, want %s", got, StateSuspect)
	}
	h.settle()
	all(t, h.view(testKey(1)), job.Hit)
	if h.liveEpoch() != mark.Epoch {
		t.Fatal("the epoch was given up although its content was whole")
	}
}

func TestOnlyTheKeysOfFailedCommandsAreUnknown(t *testing.T) {
	h := newHouse(t)
	keys := testKeys(0, 300)
	h.put(keys[:150]...)
	h.settle()
	faults := h.faultyRedis()
	failed := 0
	faults.set(func(r *redisFaults) {
		r.after = func(_ int, cmds []redis.Cmder) error {
			for i, c := range cmds {
				if strings.EqualFold(c.Name(), "smismember") && i%3 == 0 {
					c.SetErr(errTimeout)
					failed++
				}
			}
			return nil
		}
	})
	unknown := 0
	for i, p := range h.view(keys...) {
		want := job.Miss
		if i < 150 {
			want = job.Hit
		}
		if p == job.Unknown {
			unknown++
		} else if p != want {
			t.Fatalf("key %d: %s, want %s or unknown", i, p, want)
		}
	}
	if failed == 0 || unknown < failed || unknown > 2*failed {
		t.Fatalf("%d keys unknown for %d failed commands", unknown, failed)
	}
	all(t, h.Lookup(t.Context(), keys[:150]), job.Hit)
	all(t, h.Lookup(t.Context(), keys[150:]), job.Miss)
}

func TestWithoutRedisAndLedgerEverythingIsUnknown(t *testing.T) {
	h := newHouse(t)
	h.put(testKey(1))
	h.settle()
	h.flush()
	h.faults.set(func(f *faults) { f.read = func() error { return errTimeout } })
	all(t, h.Lookup(t.Context(), testKeys(0, 10)), job.Unknown)
}

func TestAViewThatNobodyBuiltDoesNotAnswer(t *testing.T) {
	h := newHouse(t)
	h.put(testKey(1))
	all(t, h.view(testKeys(0, 3)...), job.Unknown)
	all(t, h.Lookup(t.Context(), []job.Key{testKey(1)}), job.Hit)
	if got := h.Lookup(t.Context(), nil); len(got) != 0 {
		t.Fatalf("answers to no question: %v", got)
	}
}

func TestAnExpiredItemIsNoHit(t *testing.T) {
	h := newHouse(t)
	k := testKey(1)
	if err := h.Ledger.Write(t.Context(), []Output{{Key: k, CreatedAt: start.Add(-2 * time.Hour), ExpiresAt: start.Add(-time.Hour)}}, nil); err != nil {
		t.Fatal(err)
	}
	all(t, h.Lookup(t.Context(), []job.Key{k}), job.Miss)
	h.settle()
	all(t, h.view(k), job.Miss)
}

func TestTwoKeysOfOneBucketAreToldApart(t *testing.T) {
	h := newHouse(t)
	a, b := testKey(1), testKey(1)
	h.put(a)
	h.settle()
	last := h.session.live.bits + 63 // that the view keeps
	b[last/8] ^= 0x80 >> (last % 8)
	if got := h.view(a, b, a); got[0] != job.Hit || got[1] != job.Miss || got[2] != job.Hit {
		t.Fatalf("answers are %v", got)
	}
}

func TestBelievable(t *testing.T) {
	for _, row := range []struct {
		name                      string
		remembered, before, after int64
		want                      bool
	}{
		{"as remembered", 5, 5, 5, true},
		{"ahead", 5, 7, 9, true},
		{"missing", 0, 0, 0, false},
		{"gone meanwhile", 5, 5, 0, false},
		{"came meanwhile", 5, 0, 5, false},
		{"older than remembered", 5, 4, 4, false},
		{"caught up meanwhile", 5, 4, 5, false},
		{"backwards meanwhile", 5, 8, 6, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := believable(Mark{Epoch: 1, Sequence: row.remembered}, row.before, row.after); got != row.want {
				t.Errorf("believable is %v, want %v", got, row.want)
			}
		})
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("a cache without Redis")
	}
	if _, err := NewUpdater(UpdaterOptions{}); err == nil {
		t.Error("an updater without a queue")
	}
	if _, err := NewFollower(FollowerOptions{}); err == nil {
		t.Error("a follower without a view")
	}
	if _, err := NewLedger(LedgerOptions{Client: &faults{}, Table: "t", WritesPerSecond: -1}); err == nil {
		t.Error("a ledger with a negative rate")
	}
}
