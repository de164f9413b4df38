package cache

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"spate/internal/table"
	"spate/job"
)

func TestAnOutputInTheLedgerBecomesAHitAndARemovedOneAMiss(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 50)...)
	h.settle() // the first epoch is built by a scan
	all(t, h.view(testKeys(0, 50)...), job.Hit)
	all(t, h.view(testKeys(50, 100)...), job.Miss)

	h.put(testKeys(50, 100)...) // through the stream
	if err := h.Forget(t.Context(), testKey(0)); err != nil {
		t.Fatal(err)
	}
	if err := h.Ledger.Write(t.Context(), nil, testKeys(1, 3)); err != nil {
		t.Fatal(err)
	}
	h.settle()
	all(t, h.view(testKeys(3, 100)...), job.Hit)
	all(t, h.view(testKeys(0, 3)...), job.Miss)
}

func TestAFollowerGoesOnWhereTheLastOneStopped(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 20)...)
	h.settle()
	before := h.liveEpoch()
	h.leave()
	h.put(testKeys(20, 40)...)
	if err := h.Forget(t.Context(), testKey(0)); err != nil {
		t.Fatal(err)
	}
	h.settle()
	if got := h.liveEpoch(); got != before {
		t.Fatalf("epoch %d was built although epoch %d is whole", got, before)
	}
	all(t, h.view(testKeys(1, 40)...), job.Hit)
	all(t, h.view(testKey(0)), job.Miss)
}

func TestAFollowerAwayForLongerThanTheStreamKeepsRecordsBuildsAnew(t *testing.T) {
	h := newHouse(t)
	h.put(testKey(1))
	h.settle()
	before := h.liveEpoch()
	h.leave()
	h.now = h.now.Add(resumable + time.Hour)
	h.settle()
	if h.liveEpoch() == before {
		t.Fatal("the epoch was resumed although changes may be lost")
	}
	all(t, h.view(testKey(1)), job.Hit)
}

func TestLostCheckpointsAndRepeatedRecordsChangeNothing(t *testing.T) {
	h := newHouse(t)
	h.settle()
	h.faults.set(func(f *faults) { f.twice = true })
	h.put(testKeys(0, 30)...)
	if err := h.Ledger.Write(t.Context(), nil, testKeys(0, 10)); err != nil {
		t.Fatal(err)
	}
	h.settle()
	h.leave()
	checkpoints, err := h.records.LoadCheckpoints(t.Context())
	if err != nil || len(checkpoints) == 0 {
		t.Fatalf("%d checkpoints, error %v", len(checkpoints), err)
	}
	for _, c := range checkpoints {
		if err := h.records.DeleteCheckpoint(t.Context(), c.Shard); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 { // all records come again, oldest first
		if err := h.follow(); err != nil {
			t.Fatal(err)
		}
		all(t, h.view(testKeys(0, 10)...), job.Miss)
		all(t, h.view(testKeys(10, 30)...), job.Hit)
	}
}

func TestChildrenOfASplitShardAreFollowed(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 20)...)
	h.settle()
	before := h.liveEpoch()
	for n := 20; n < 100; n += 40 {
		h.put(testKeys(n, n+20)...)
		if err := h.server.SplitStream(outputsTable); err != nil {
			t.Fatal(err)
		}
		h.put(testKeys(n+20, n+40)...)
		if err := h.Ledger.Write(t.Context(), nil, testKeys(n, n+5)); err != nil {
			t.Fatal(err)
		}
	}
	h.settle()
	h.leave()
	h.put(testKeys(100, 120)...)
	h.settle()
	for n := 20; n < 100; n += 40 {
		all(t, h.view(testKeys(n, n+5)...), job.Miss)
		all(t, h.view(testKeys(n+5, n+40)...), job.Hit)
	}
	all(t, h.view(testKeys(100, 120)...), job.Hit)
	if h.liveEpoch() != before {
		t.Fatal("a split led to a new epoch")
	}
}

func TestAChildIsNotReadBeforeItsParent(t *testing.T) {
	tail := &tail{shards: map[string]*shard{
		"a": {id: "a"}, "b": {id: "b", parent: "a"}, "c": {id: "c", parent: "trimmed"}, "d": {id: "d", done: true}, "e": {id: "e", parent: "d"},
	}}
	got := map[string]bool{}
	for _, s := range tail.readable() {
		got[s.id] = true
	}
	if len(got) != 3 || !got["a"] || !got["c"] || !got["e"] {
		t.Fatalf("readable are %v, want a, c and e", got)
	}
}

func TestRecordsThatWereTrimmedLeadToANewEpoch(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 10)...)
	h.settle()
	before := h.liveEpoch()
	h.faults.set(func(f *faults) {
		f.records = func() error {
			f.records = nil
			return &types.TrimmedDataAccessException{}
		}
	})
	if err := h.follow(); !errors.Is(err, errMissed) {
		t.Fatalf("error is %v, want %v", err, errMissed)
	}
	all(t, h.view(testKey(1)), job.Unknown)
	h.settle()
	if h.liveEpoch() == before {
		t.Fatal("the epoch that lacks changes is live")
	}
	all(t, h.view(testKeys(0, 10)...), job.Hit)
}

func TestAStreamThatWasReplacedLeadsToANewEpoch(t *testing.T) {
	for name, away := range map[string]bool{"while the follower was away": true, "under the follower": false} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.put(testKeys(0, 10)...)
			h.settle()
			before := h.liveEpoch()
			if away {
				h.leave()
			}
			stream := func(on bool) {
				in := &dynamodb.UpdateTableInput{TableName: aws.String(outputsTable), StreamSpecification: &dynamodbtypes.StreamSpecification{StreamEnabled: &on}}
				if on {
					in.StreamSpecification.StreamViewType = dynamodbtypes.StreamViewTypeNewAndOldImages
				}
				if _, err := h.clients.DynamoDB.UpdateTable(t.Context(), in); err != nil {
					t.Fatal(err)
				}
			}
			stream(false)
			h.put(testKeys(10, 20)...) // in no stream
			stream(true)
			for range 15 { // the shards are listed again within ten seconds
				_ = h.follow()
			}
			h.settle()
			if h.liveEpoch() == before {
				t.Fatal("the epoch that lacks changes is live")
			}
			all(t, h.view(testKeys(0, 20)...), job.Hit)
		})
	}
}

func TestExpiredIteratorsAreAskedForAgain(t *testing.T) {
	h := newHouse(t)
	h.settle()
	before := h.liveEpoch()
	h.put(testKeys(0, 10)...)
	left := 5
	h.faults.set(func(f *faults) {
		f.records = func() error {
			if left--; left < 0 {
				return nil
			}
			return &types.ExpiredIteratorException{}
		}
	})
	h.settle()
	all(t, h.view(testKeys(0, 10)...), job.Hit)
	if h.liveEpoch() != before {
		t.Fatal("an expired iterator led to a new epoch")
	}
}

func TestRedisEmptiedDuringABuildAbandonsIt(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 100)...)
	var pages atomic.Int64
	h.faults.set(func(f *faults) {
		f.scanned = func() {
			if pages.Add(1) == 2 {
				h.flush()
			}
		}
	})
	h.settle()
	record, _, err := h.records.LoadEpoch(t.Context())
	if err != nil || record.Live < 2 {
		t.Fatalf("record is %+v, error %v; want the second epoch or a later one live", record, err)
	}
	all(t, h.view(testKeys(0, 100)...), job.Hit)
}

func TestAnOutputRemovedBehindTheScanIsNoHit(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 40)...)
	var scanned sync.WaitGroup
	scanned.Add(h.Follower.Segments)
	held := make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	t.Cleanup(release) // before the house is left
	h.faults.set(func(f *faults) {
		f.scanned = func() {
			scanned.Done()
			<-held
		}
	})
	if err := h.follow(); err != nil { // begins the build
		t.Fatal(err)
	}
	scanned.Wait() // everything is read, nothing written
	if err := h.Ledger.Write(t.Context(), nil, testKeys(0, 5)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := h.follow(); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.session.build.removed.len(); n != 5 {
		t.Fatalf("%d removals were followed during the build, want 5", n)
	}
	release() // the scan writes what it read before the removals
	h.settle()
	all(t, h.view(testKeys(0, 5)...), job.Miss)
	all(t, h.view(testKeys(5, 40)...), job.Hit)
}

func TestTheLiveEpochAnswersAndFollowsWhileAnotherIsBuilt(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 20)...)
	h.settle()
	before := h.liveEpoch()
	h.Follower.Rebuild()
	release := make(chan struct{})
	h.faults.set(func(f *faults) { f.scanned = func() { <-release } })
	h.put(testKeys(20, 30)...)
	for range 3 {
		if err := h.follow(); err != nil {
			t.Fatal(err)
		}
	}
	all(t, h.view(testKeys(0, 30)...), job.Hit)
	if h.session.build == nil || h.liveEpoch() != before {
		t.Fatal("no epoch is being built beside the live one")
	}
	close(release)
	h.settle()
	if h.liveEpoch() == before {
		t.Fatal("the epoch that was asked for is not live")
	}
	all(t, h.view(testKeys(0, 30)...), job.Hit)
}

func TestDeadEpochsLeaveNothingInRedis(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 20)...)
	h.settle()
	old := h.liveEpoch()
	h.Follower.Rebuild()
	h.settle()
	for name := range takeSnapshot(t, h.redis).sets {
		if strings.HasPrefix(name, "{spate}:1:") {
			t.Fatalf("epoch %d left %s", old, name)
		}
	}
	record, _, err := h.records.LoadEpoch(t.Context())
	if err != nil || len(record.Dead) != 0 {
		t.Fatalf("dead epochs are %v, error %v; want none", record.Dead, err)
	}
}

func TestAHitThatTheViewAloneHasIsForgottenWhoeverAsks(t *testing.T) {
	h := newHouse(t)
	w, _ := h.witnesses()
	h.put(testKeys(0, 5)...)
	h.settle()
	byPlanner, withoutS3, byHand := testKey(97), testKey(98), testKey(99)
	wrong := []job.Key{byPlanner, withoutS3, byHand}
	if err := h.session.live.Apply(t.Context(), wrong, nil); err != nil {
		t.Fatal(err)
	}
	all(t, h.view(wrong...), job.Hit)

	if err := h.process().Forget(t.Context(), byPlanner); err != nil {
		t.Fatal(err)
	}
	h.objects.fail = func(string) error { return errors.New("503 Slow Down") }
	if err := h.Forget(t.Context(), withoutS3); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Forget(t.Context(), table.New(h.clients.DynamoDB, runsTable), Testimony{Key: byHand}, "me", ""); err != nil {
		t.Fatal(err)
	}
	h.settle()
	all(t, h.view(wrong...), job.Miss)
	all(t, h.view(testKeys(0, 5)...), job.Hit)
	items, err := h.Ledger.Get(t.Context(), time.Time{}, wrong...)
	if err != nil || len(items) != 0 {
		t.Errorf("the ledger keeps %v, error %v", items, err)
	}
}

func TestABuriedKeyIsNoHitToAClockThatIsBehind(t *testing.T) {
	h := newHouse(t)
	k := testKey(1)
	h.put(k)
	if err := h.Ledger.bury(t.Context(), time.Now(), k); err != nil {
		t.Fatal(err)
	}
	answers, err := h.Ledger.Lookup(t.Context(), time.Now().Add(-buried/2), []job.Key{k})
	if err != nil {
		t.Fatal(err)
	}
	all(t, answers, job.Miss)
	late := Output{Key: k, CreatedAt: start.Add(-time.Second), ExpiresAt: start.Add(retention - time.Second)} // a refresh of what is being forgotten
	if renewed, err := h.Ledger.Renew(t.Context(), late); err != nil || renewed {
		t.Errorf("renewed: %v, error %v", renewed, err)
	}
}

func TestAnItemThatCannotBeReadIsAMissAndHoldsNothingUp(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 5)...)
	h.settle()
	unread, behind := testKey(3), testKey(8)
	if _, err := h.clients.DynamoDB.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(outputsTable), Item: map[string]dynamodbtypes.AttributeValue{
		"key": &dynamodbtypes.AttributeValueMemberS{Value: unread.String()}, "expires_at": &dynamodbtypes.AttributeValueMemberS{Value: "tomorrow"},
	}}); err != nil {
		t.Fatal(err)
	}
	h.put(behind)
	h.settle()
	all(t, h.view(unread), job.Miss)
	all(t, h.view(behind), job.Hit)
	answers, err := h.Ledger.Lookup(t.Context(), h.now, []job.Key{unread, behind})
	if err != nil || answers[0] != job.Miss || answers[1] != job.Hit {
		t.Errorf("the ledger says %v, error %v", answers, err)
	}

	h.put(unread) // whoever writes it anew mends it
	h.settle()
	all(t, h.view(unread), job.Hit)
}

func TestAFollowerThatWasReplacedEndsWithoutHavingWritten(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 10)...)
	h.settle()
	paused := h.session
	h.session = nil
	h.put(testKey(10))
	h.settle() // the new one
	if err := h.Forget(t.Context(), testKey(10)); err != nil {
		t.Fatal(err)
	}
	h.settle()

	if err := paused.live.Apply(t.Context(), []job.Key{testKey(10)}, nil); !errors.Is(err, ErrSuperseded) {
		t.Fatalf("error is %v, want %v", err, ErrSuperseded)
	}
	if _, err := paused.round(t.Context(), h.now); !errors.Is(err, ErrSuperseded) {
		t.Fatalf("error is %v, want %v", err, ErrSuperseded)
	}
	if err := paused.save(t.Context(), paused.current.retire()); !errors.Is(err, ErrSuperseded) {
		t.Fatalf("error is %v, want %v", err, ErrSuperseded)
	}
	h.settle()
	all(t, h.view(testKey(10)), job.Miss)
	all(t, h.view(testKeys(0, 10)...), job.Hit)
}

func TestAThirdOfTheTransactionsFailingBeforeOrAfterTheirEffectLosesNothing(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 50)...)
	h.settle()
	before := h.liveEpoch()
	random := rand.New(rand.NewPCG(1, 2))
	failures := 0
	var mu sync.Mutex // buckets are counted by several pipelines at the same time
	fail := func() error {
		mu.Lock()
		defer mu.Unlock()
		if random.IntN(6) == 0 {
			failures++
			return errTimeout
		}
		return nil
	}
	faults := h.faultyRedis()
	faults.set(func(r *redisFaults) {
		r.before = func(int) error { return fail() }
		r.after = func(int, []redis.Cmder) error { return fail() }
	})
	for n := 50; n < 150; n += 10 {
		h.put(testKeys(n, n+10)...)
		if err := h.Ledger.Write(t.Context(), nil, testKeys(n-50, n-45)); err != nil {
			t.Fatal(err)
		}
		_ = h.follow() // fails or not: what it could not write waits
	}
	faults.set(func(r *redisFaults) { r.before, r.after = nil, nil })
	h.settle()
	if failures < 3 {
		t.Fatalf("only %d failures", failures)
	}
	if h.liveEpoch() != before {
		t.Fatal("failures that pass led to a new epoch")
	}
	for n := 0; n < 100; n += 10 {
		all(t, h.view(testKeys(n, n+5)...), job.Miss)
		all(t, h.view(testKeys(n+5, n+10)...), job.Hit)
	}
}

func TestTheLoopsCarryAnOutputFromItsNotificationToAHitAndEndWithTheirContext(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h.Follower.PollInterval, h.Follower.IdleInterval = 5*time.Millisecond, 10*time.Millisecond
	var loops errgroup.Group
	loops.Go(func() error { return h.Updater.Run(ctx) })
	loops.Go(func() error { return h.Follower.Run(ctx) })

	k := testKey(1)
	h.objects.publish(k, time.Now())
	h.queue.send(createdBody(job.ManifestPath(k)))
	eventually(t, "the view has a hit", func() bool {
		return h.askView(t.Context(), time.Now(), []job.Key{k})[0] == job.Hit
	})
	h.objects.remove(k)
	h.queue.send(removedBody(job.ManifestPath(k)))
	eventually(t, "the view has a miss", func() bool {
		return h.askView(t.Context(), time.Now(), []job.Key{k})[0] == job.Miss
	})
	if h.queue.depth() != 0 {
		t.Errorf("%d messages are left", h.queue.depth())
	}
	cancel()
	if err := loops.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("loops ended with %v, want %v", err, context.Canceled)
	}
}

// lostRecords cannot be read.
type lostRecords struct{ Records }

func (lostRecords) LoadEpoch(context.Context) (Record, bool, error) {
	return Record{}, false, errors.New("nothing answers")
}

func TestAFollowerThatCannotBeginSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		f := &Follower{FollowerOptions: FollowerOptions{Records: lostRecords{}, Log: zerolog.Nop()}}
		ended := make(chan error)
		go func() { ended <- f.Run(ctx) }()
		synctest.Wait()
		if s := f.Status(); !strings.Contains(s.Error, "nothing answers") {
			t.Errorf("status is %+v, want the error", s)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v, want its context's error", err)
		}
	})
}
