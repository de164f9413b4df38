package cache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/redis/go-redis/v9"

	"spate/internal/table"
	"spate/job"
)

// throttled is DynamoDB's answer to a caller that reads too fast.
var throttled = &types.ProvisionedThroughputExceededException{}

// halfBuilt follows until the first half of the segments is in the epoch that is built, and the second is held up.
func halfBuilt(t *testing.T, h *house) {
	t.Helper()
	h.faults.set(func(f *faults) {
		f.scan = func(segment int32) error {
			if int(segment) >= h.Follower.Segments/2 {
				return throttled
			}
			return nil
		}
	})
	done := 0
	eventually(t, "half of the segments are scanned", func() bool {
		if err := h.follow(); err != nil {
			t.Fatal(err)
		}
		done = 0
		for _, s := range h.session.current.Progress.Segments {
			if s.Done {
				done++
			}
		}
		return done == h.Follower.Segments/2
	})
}

// resumed makes another process go on, and returns how often it reads each segment.
func (h *house) resumed() map[int32]int {
	h.t.Helper()
	h.leave()
	h.Cache = h.process()
	reads := map[int32]int{}
	h.faults.set(func(f *faults) {
		f.scan = func(segment int32) error {
			reads[segment]++
			return nil
		}
	})
	h.settle()
	return reads
}

func TestABuildGoesOnInAnotherProcessWhereItStood(t *testing.T) {
	for name, beside := range map[string]bool{"with none live": false, "beside a live epoch": true} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.put(testKeys(0, 80)...)
			if beside {
				h.settle()
				h.Follower.Rebuild()
			}
			halfBuilt(t, h)
			record := h.session.current
			if record.Progress.Scanned == 0 || record.Progress.Sequence == 0 {
				t.Fatalf("progress is %+v", record.Progress)
			}
			reads := h.resumed()
			if got := h.liveEpoch(); got != record.Building {
				t.Fatalf("epoch %d is live, want %d, which was half built", got, record.Building)
			}
			if reads[0] != 0 || reads[1] != 0 || reads[2] == 0 || reads[3] == 0 {
				t.Fatalf("reads of segments are %v; want none of the two that were done", reads)
			}
			if s := h.Follower.BuildStatus(); !s.Resumed || s.Building || s.Share != 1 || s.Scanned != 80 {
				t.Errorf("status is %+v", s)
			}
			all(t, h.view(testKeys(0, 80)...), job.Hit)
		})
	}
}

func TestARemovalThatABuildWasAboutToUndoIsNotLostWithItsProcess(t *testing.T) {
	for name, beside := range map[string]bool{"with none live": false, "beside a live epoch": true} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.put(testKeys(0, 40)...)
			if beside {
				h.settle()
				h.Follower.Rebuild()
			}
			halfBuilt(t, h)
			building := h.session.current.Building
			if err := h.Ledger.Write(t.Context(), nil, testKeys(0, 5)); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if err := h.follow(); err != nil {
					t.Fatal(err)
				}
			}
			if n := h.session.build.removed.len(); n != 5 {
				t.Fatalf("%d removals were followed, want 5", n)
			}
			// a page that was read before the removals is written after them
			if err := h.session.build.writer.Apply(t.Context(), testKeys(0, 5), nil); err != nil {
				t.Fatal(err)
			}
			for range 3 { // and is remembered as done
				if err := h.follow(); err != nil {
					t.Fatal(err)
				}
			}
			h.resumed()
			if got := h.liveEpoch(); got != building {
				t.Fatalf("epoch %d is live, want %d", got, building)
			}
			all(t, h.view(testKeys(0, 5)...), job.Miss)
			all(t, h.view(testKeys(5, 40)...), job.Hit)
		})
	}
}

func TestABuildWhoseContentIsLostMeanwhileBeginsAnew(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 40)...)
	halfBuilt(t, h)
	building := h.session.current.Building
	h.leave()
	h.flush()
	reads := h.resumed()
	if h.liveEpoch() <= building || reads[0] == 0 {
		t.Fatalf("epoch %d is live, reads are %v; want a later one than %d, all of it read", h.liveEpoch(), reads, building)
	}
	all(t, h.view(testKeys(0, 40)...), job.Hit)
}

func TestABuildWaitsForRedisAndForTheLedger(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 40)...)
	halfBuilt(t, h)
	eventually(t, "the status says what the build waits for", func() bool {
		_ = h.follow()
		s := h.Follower.BuildStatus()
		return s.Building && s.Error != "" && s.Share < 1
	})
	building := h.session.current.Building
	h.faults.set(func(f *faults) { f.scan = nil })
	var tried atomic.Int64
	faulty := h.faultyRedis()
	faulty.set(func(r *redisFaults) {
		r.before = func(int) error {
			if tried.Add(1) < 3 {
				return errors.New("OOM command not allowed when used memory > 'maxmemory'")
			}
			return nil
		}
	})
	h.settle()
	if got := h.liveEpoch(); got != building {
		t.Fatalf("epoch %d is live, want %d: what passes is waited for", got, building)
	}
	all(t, h.view(testKeys(0, 40)...), job.Hit)
}

func TestABuildIsNotLiveWhileTheStreamIsMoreThanAMinuteBehind(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 40)...)
	held := make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	t.Cleanup(release) // before the house is left
	h.faults.set(func(f *faults) {
		f.scanned = func() { <-held }
		f.records = func() error { return errTimeout }
	})
	for range 70 {
		_ = h.follow()
	}
	release()
	<-h.session.build.done
	for range 5 {
		_ = h.follow()
	}
	if live := h.liveEpoch(); live != 0 || h.session.live != nil {
		t.Fatalf("epoch %d is live, with what the stream has told a minute ago", live)
	}
	h.faults.set(func(f *faults) { f.records = nil })
	h.settle()
	for range enoughEmptyFar {
		_ = h.follow()
	}
	all(t, h.view(testKeys(0, 40)...), job.Hit)
}

func TestTheLiveEpochGoesOnWhileAnotherCannotBeBegun(t *testing.T) {
	h := newHouse(t)
	faulty := h.faultyRedis()
	h.put(testKeys(1, 5)...)
	h.settle()
	before := h.liveEpoch()
	faulty.set(func(r *redisFaults) {
		r.single = func(cmd redis.Cmder) error {
			if cmd.Name() == "mset" { // with which an epoch begins
				return errors.New("OOM command not allowed when used memory > 'maxmemory'")
			}
			return nil
		}
	})
	h.Follower.Rebuild()
	h.put(testKey(8))
	if err := h.Ledger.Write(t.Context(), nil, testKeys(1, 2)); err != nil {
		t.Fatal(err)
	}
	for range 70 { // more than a minute
		if err := h.follow(); err != nil {
			t.Fatal(err)
		}
	}
	all(t, h.view(testKey(2), testKey(3), testKey(4), testKey(8)), job.Hit)
	all(t, h.view(testKey(1)), job.Miss)
	faulty.set(func(r *redisFaults) { r.single = nil })
	for range 30 {
		_ = h.follow()
	}
	h.settle()
	if h.liveEpoch() == before {
		t.Error("the epoch that was asked for is not begun once that is possible")
	}
}

func TestABuildBeginsThoughNobodyTellsHowManyOutputsThereAre(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(1, 5)...)
	h.settle()
	before := h.liveEpoch()
	h.faults.set(func(f *faults) {
		f.describe = func() error { return errors.New("LimitExceededException: too many control plane requests") }
	})
	h.Follower.Rebuild()
	h.settle()
	if h.liveEpoch() == before {
		t.Fatal("no epoch is built while the table cannot be described")
	}
	all(t, h.view(testKeys(1, 5)...), job.Hit)
}

func TestARebuildThatIsAskedForThroughTheRunsTableIsAnsweredWhenItsEpochIsLive(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 10)...)
	h.settle()
	before := h.liveEpoch()
	runs := table.New(h.clients.DynamoDB, runsTable)
	asked, err := RequestRebuild(t.Context(), runs, "ada")
	if err != nil {
		t.Fatal(err)
	}
	h.settle()
	answer, found, err := ReadRebuildRequest(t.Context(), runs)
	if err != nil || !found || answer.ID != asked.ID || answer.By != "ada" || answer.Done.IsZero() {
		t.Fatalf("answer is %+v, found %v, error %v", answer, found, err)
	}
	if now := h.liveEpoch(); now == before || answer.Epoch != now {
		t.Fatalf("epoch %d is live, the answer says %d, before it was %d", now, answer.Epoch, before)
	}
	for range 10 { // an answered request is done
		_ = h.follow()
	}
	h.settle()
	if h.liveEpoch() != answer.Epoch {
		t.Fatal("an answered request led to another epoch")
	}
}

// pages is a DynamoDB whose scan has so many pages of 100 read units each.
type pages struct {
	DynamoDB
	left int
}

func (p *pages) Scan(context.Context, *dynamodb.ScanInput, ...func(*dynamodb.Options)) (*dynamodb.ScanOutput, error) {
	p.left--
	out := &dynamodb.ScanOutput{ConsumedCapacity: &types.ConsumedCapacity{CapacityUnits: aws.Float64(100)}}
	if p.left > 0 {
		out.LastEvaluatedKey = itemKey(testKey(p.left))
	}
	return out, nil
}

func TestAScanKeepsToItsReadUnits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger, err := NewLedger(LedgerOptions{Client: &pages{left: 61}, Table: outputsTable})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for _, err := range ledger.Scan(t.Context(), began, ScanOptions{Pace: readPace(50)}) {
			if err != nil {
				t.Fatal(err)
			}
		}
		// the last page is paid by nobody, the first 50 units were saved up
		if took := time.Since(began); took != 119*time.Second {
			t.Errorf("6,000 units at 50 a second took %s", took)
		}
	})
}

func TestAShareIsWholeOnlyWhenTheEpochIsLive(t *testing.T) {
	ended := time.Now()
	for _, c := range []struct {
		status BuildStatus
		want   float64
	}{
		{BuildStatus{Building: true}, 0},
		{BuildStatus{Building: true, Scanned: 25, Total: 100}, 0.25},
		{BuildStatus{Building: true, Scanned: 150, Total: 100}, mostShare}, // DynamoDB's count is old
		{BuildStatus{Scanned: 150, Total: 100, Ended: ended}, 1},
		{BuildStatus{Scanned: 50, Total: 100, Ended: ended, Error: "lost"}, 0.5},
	} {
		c.status.setShare()
		if c.status.Share != c.want {
			t.Errorf("%+v: want %v", c.status, c.want)
		}
	}
}
