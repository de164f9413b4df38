package cache

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"spate/job"
)

func TestAViewGrowsBeforeItsBucketsLeaveTheCompactEncodingAndShrinksWithARebuild(t *testing.T) {
	h := newHouse(t)
	compact := func(limit string) {
		if err := h.redis.ConfigSet(t.Context(), "set-max-intset-entries", limit).Err(); err != nil {
			t.Skipf("SKIPPED: this Redis has no such setting: %v", err)
		}
	}
	bits := func() BucketBits {
		record, _, err := h.records.LoadEpoch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return record.Bits
	}
	if h.settle(); bits() != startBucketBits {
		t.Fatalf("an epoch of which nothing is known has %d bits", bits())
	}
	compact("1")
	h.put(testKeys(0, 100)...)
	h.Follower.Rebuild()
	h.settle()
	before, small := h.liveEpoch(), bits()
	if small != 12 {
		t.Fatalf("an epoch of a hundred outputs has %d bits", small)
	}
	h.put(testKeys(100, 300)...)
	h.settle()
	if h.liveEpoch() != before+1 || bits() <= small || bits().crowded(300, 1) {
		t.Fatalf("epoch %d of %d bits is live, want another than %d, and more", h.liveEpoch(), bits(), before)
	}
	all(t, h.view(testKeys(0, 300)...), job.Hit)
	all(t, h.view(testKeys(300, 500)...), job.Miss)
	all(t, h.process().askView(t.Context(), h.now, testKeys(0, 100)), job.Hit)
	h.leave()
	h.settle()
	if h.liveEpoch() != before+1 {
		t.Fatal("the grown epoch could not be resumed")
	}

	compact("512")
	h.Follower.Rebuild()
	h.settle()
	if bits() != small {
		t.Fatalf("the rebuilt epoch has %d bits", bits())
	}
	for name := range takeSnapshot(t, h.redis).sets {
		if !strings.HasPrefix(name, h.View.prefix+"4:") {
			t.Fatalf("an epoch before left %s", name)
		}
	}
}

func TestTheCountOfOutputsIsRightHoweverWritesFail(t *testing.T) {
	h := newHouse(t)
	writer, err := h.View.Create(t.Context(), 1, 16)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(5, 6))
	faults := h.faultyRedis()
	failures := 0
	fail := func(every int) error {
		if random.IntN(every) == 0 {
			failures++
			return errTimeout
		}
		return nil
	}
	some := func() []job.Key {
		from := random.IntN(200)
		return testKeys(from, from+random.IntN(20))
	}
	exact, wide := 0, 0
	for range 100 {
		faults.set(func(r *redisFaults) {
			r.before = func(int) error { return fail(8) }
			r.after = func(int, []redis.Cmder) error { return fail(4) }
		})
		_ = writer.Apply(t.Context(), some(), some()) // fails or not
		faults.set(func(r *redisFaults) { r.before, r.after = nil, nil })
		n := int64(0)
		for _, members := range takeSnapshot(t, h.redis).sets {
			n += int64(len(members))
		}
		resumed, err := h.View.Resume(t.Context(), writer.Mark())
		if err != nil {
			t.Fatal(err)
		}
		for who, have := range map[string]tally{"the writer": writer.tally, "Redis": resumed.tally} {
			if !have.holds(n) {
				t.Fatalf("%d outputs; %s says %s", n, who, have)
			}
		}
		if writer.tally.least == writer.tally.most {
			exact++
		} else {
			wide++
		}
		if random.IntN(8) == 0 {
			if err := writer.Verify(t.Context()); err != nil || writer.tally != (tally{n, n}) {
				t.Fatalf("%d outputs; counted they are %s, error %v", n, writer.tally, err)
			}
		}
	}
	if failures < 20 || exact < 10 || wide < 10 {
		t.Errorf("%d failures; the count was known %d times, bounded %d times: too few to tell", failures, exact, wide)
	}
}

func TestABucketThatIsGoneIsLost(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 50)...)
	h.settle()
	if err := h.session.live.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	bucket := h.View.bucketKey(h.liveEpoch(), h.session.live.bits.bucket(testKey(7)))
	if n, err := h.redis.Del(t.Context(), bucket).Result(); n != 1 || err != nil {
		t.Fatalf("%d keys deleted, error %v", n, err)
	}
	if err := h.session.live.Verify(t.Context()); !errors.Is(err, ErrLost) {
		t.Fatalf("error is %v, want %v", err, ErrLost)
	}
}

func TestOutputsAreCountedOnceInAWhileHoweverManyAnswersAreLost(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(1, 50)...)
	h.settle()
	var pipelines atomic.Int64
	h.faultyRedis().set(func(r *redisFaults) {
		r.after = func(_ int, cmds []redis.Cmder) error {
			if cmds[0].Name() == "scard" {
				pipelines.Add(1)
			}
			return nil
		}
	})
	const rounds = 30 // of a second each
	for range rounds {
		h.session.live.mu.Lock()
		h.session.live.tally.most++ // as after an answer that was lost
		h.session.live.mu.Unlock()
		if err := h.follow(); err != nil {
			t.Fatal(err)
		}
	}
	each := (h.session.live.bits.buckets() + maxCommands - 1) / maxCommands
	counts, most := int(pipelines.Load())/each, rounds/int(recountInterval/time.Second)+1
	if counts == 0 || counts > most {
		t.Errorf("outputs were counted %d times in %d seconds, want 1 to %d times", counts, rounds, most)
	}
}
