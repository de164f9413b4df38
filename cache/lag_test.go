package cache

import (
	"errors"
	"testing"
	"time"

	"spate/job"
)

func TestAViewThatIsNotFollowedForAMinuteDoesNotAnswer(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 10)...)
	h.settle()
	before := h.liveEpoch()
	h.faults.set(func(f *faults) { f.records = func() error { return errTimeout } })
	for range 30 {
		_ = h.follow()
	}
	all(t, h.view(testKeys(0, 10)...), job.Hit)
	for range 40 {
		_ = h.follow()
	}
	all(t, h.view(testKeys(0, 10)...), job.Unknown)
	all(t, h.process().askView(t.Context(), h.now, testKeys(0, 10)), job.Unknown)
	all(t, h.Lookup(t.Context(), testKeys(0, 10)), job.Hit) // the ledger knows
	s := h.Follower.Status()
	if !s.Behind || s.LagSeconds <= staleAfter.Seconds() || s.Error == "" || s.TrimmedInSeconds >= streamKeeps.Seconds()-60 {
		t.Errorf("status is %+v", s)
	}

	h.faults.set(func(f *faults) { f.records = nil })
	h.settle()
	for range enoughEmptyFar {
		_ = h.follow()
	}
	all(t, h.view(testKeys(0, 10)...), job.Hit)
	if s := h.Follower.Status(); s.Behind || s.Error != "" || s.Shards == 0 || h.liveEpoch() != before {
		t.Errorf("status is %+v, live epoch %d", s, h.liveEpoch())
	}
}

func TestWhatWasRemovedWhileNobodyFollowedIsNeverAHitAgain(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 20)...)
	h.settle()
	before := h.liveEpoch()
	h.leave()
	if err := h.Ledger.Write(t.Context(), nil, testKeys(0, 10)); err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(3 * time.Hour)
	h.Cache = h.process()
	for range 30 {
		for i, p := range h.view(testKeys(0, 20)...) {
			if i < 10 && p == job.Hit {
				t.Fatal("an output that was removed hours ago is a hit until its removal is read")
			}
		}
		if err := h.follow(); err != nil {
			t.Fatal(err)
		}
	}
	h.settle()
	if h.liveEpoch() != before {
		t.Fatal("another epoch was built")
	}
	all(t, h.view(testKeys(0, 10)...), job.Miss)
	all(t, h.view(testKeys(10, 20)...), job.Hit)
}

func TestAChangeOfLeaderLeavesNoGap(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 20)...)
	h.settle()
	h.leave()
	h.now = h.now.Add(20 * time.Second)
	h.Cache = h.process()
	all(t, h.view(testKeys(0, 20)...), job.Hit)
	if err := h.follow(); err != nil {
		t.Fatal(err)
	}
	all(t, h.view(testKeys(0, 20)...), job.Hit)
}

func TestHowFarAShardHasBeenRead(t *testing.T) {
	at := start
	s := &shard{until: at.Add(-time.Hour)}
	s.note(at.Add(-30*time.Minute), at)
	if !s.until.Equal(at.Add(-30 * time.Minute)) {
		t.Errorf("after a record of half an hour ago: %s", at.Sub(s.until))
	}
	for range enoughEmptyFar - 1 {
		s.note(time.Time{}, at)
	}
	if !s.until.Equal(at.Add(-30 * time.Minute)) {
		t.Errorf("a few empty reads are no proof that there is nothing: %s", at.Sub(s.until))
	}
	s.note(time.Time{}, at)
	if !s.until.Equal(at) {
		t.Errorf("at the tip: %s", at.Sub(s.until))
	}
	s.note(at.Add(time.Second), at.Add(2*time.Second))
	s.note(time.Time{}, at.Add(3*time.Second))
	if !s.until.Equal(at.Add(3 * time.Second)) {
		t.Errorf("a record of just now does not take the tip away: %s", at.Sub(s.until))
	}
	s.note(at.Add(-2*time.Hour), at.Add(4*time.Second))
	if !s.until.Equal(at.Add(-2 * time.Hour)) {
		t.Errorf("a record of two hours ago was not read before: %s", at.Sub(s.until))
	}

	woken := at.Add(3 * time.Hour)
	s = &shard{until: at, empty: 1000} // at the tip, until the process stood still
	for range enoughEmptyFar - 1 {
		s.note(time.Time{}, woken)
	}
	if !s.until.Equal(at) {
		t.Errorf("after hours a few empty reads are no proof: %s", woken.Sub(s.until))
	}
	s.note(time.Time{}, woken)
	if !s.until.Equal(woken) {
		t.Errorf("after many empty reads: %s", woken.Sub(s.until))
	}

	tail := &tail{listed: at, shards: map[string]*shard{
		"done": {done: true, until: at.Add(-3 * time.Hour)}, "open": {until: at.Add(-time.Minute)}, "child": {until: at.Add(-time.Hour)},
	}}
	if !tail.until().Equal(at.Add(-time.Hour)) || tail.reading() != 2 {
		t.Errorf("until %s, reading %d", at.Sub(tail.until()), tail.reading())
	}
}

func TestAStreamThatCannotBeReadBeforeItsRecordsAreTrimmedLeadsToANewEpoch(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 10)...)
	h.settle()
	before := h.liveEpoch()
	h.faults.set(func(f *faults) { f.records = func() error { return errTimeout } })
	h.now = h.now.Add(resumable + time.Hour)
	if err := h.follow(); !errors.Is(err, errMissed) {
		t.Fatalf("error is %v, want %v", err, errMissed)
	}
	h.faults.set(func(f *faults) { f.records = nil })
	h.settle()
	if h.liveEpoch() == before {
		t.Fatal("the epoch that is about to lack changes is live")
	}
	all(t, h.view(testKeys(0, 10)...), job.Hit)
}

func TestAViewThatProvesToLackOlderChangesStopsToAnswer(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 10)...)
	h.settle()
	old := h.now.Add(-2 * time.Hour)
	for _, s := range h.session.tail.shards {
		if !s.done {
			s.note(old, h.now) // a record from behind many empty pages
		}
	}
	if err := h.session.noteFollowed(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(2 * reloadInterval)
	all(t, h.view(testKeys(0, 10)...), job.Unknown)
	all(t, h.process().askView(t.Context(), h.now, testKeys(0, 10)), job.Unknown)
	for range enoughEmptyFar {
		if err := h.follow(); err != nil {
			t.Fatal(err)
		}
	}
	all(t, h.view(testKeys(0, 10)...), job.Hit)
}
