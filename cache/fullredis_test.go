package cache

import (
	"strings"
	"testing"
	"time"

	"spate/job"
)

func TestARedisThatComesBackWithASnapshotOfTenMinutesAgoDoesNotAnswer(t *testing.T) {
	server := realRedis(t)
	h := newHouseOn(t, server.client())
	h.put(testKeys(0, 50)...)
	h.settle()
	before := h.liveEpoch()
	if err := h.redis.Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := h.Ledger.Write(t.Context(), nil, testKeys(0, 10)); err != nil {
		t.Fatal(err)
	}
	h.put(testKeys(50, 60)...)
	for range 60 { // ten minutes, told in big steps
		h.now = h.now.Add(9 * time.Second)
		if err := h.follow(); err != nil {
			t.Fatal(err)
		}
	}
	all(t, h.view(testKeys(0, 10)...), job.Miss)
	server.stop() // as kill -9 does
	server.start()
	reader := h.process()
	eventually(t, "Redis answers", func() bool { return h.redis.Ping(t.Context()).Err() == nil })
	for name, c := range map[string]*Cache{"the follower's process": h.Cache, "another": reader} {
		for i, p := range c.askView(t.Context(), h.now, testKeys(0, 60)) {
			if p != job.Unknown {
				t.Fatalf("%s takes key %d for %s", name, i, p)
			}
		}
	}
	h.settle()
	if h.liveEpoch() == before {
		t.Fatal("the epoch of the snapshot is live")
	}
	all(t, h.view(testKeys(0, 10)...), job.Miss)
	all(t, h.view(testKeys(10, 60)...), job.Hit)
}

func TestAFullRedisLosesNoChangeAndStopsAnsweringAfterAMinute(t *testing.T) {
	server := realRedis(t)
	h := newHouseOn(t, server.client())
	h.put(testKeys(0, 20)...)
	h.settle()
	before := h.liveEpoch()
	limit := func(bytes string) {
		if err := h.redis.ConfigSet(t.Context(), "maxmemory", bytes).Err(); err != nil {
			t.Fatal(err)
		}
	}
	limit("1")
	h.put(testKeys(20, 30)...)
	if err := h.Ledger.Write(t.Context(), nil, testKeys(0, 5)); err != nil {
		t.Fatal(err)
	}
	for range 15 {
		_ = h.follow()
	}
	s := h.Follower.Status()
	if !strings.Contains(s.Error, "OOM") || s.Waiting != 15 || s.Behind {
		t.Errorf("status is %+v; want that 15 changes wait for memory", s)
	}
	all(t, h.view(testKeys(5, 20)...), job.Hit) // what it has is right still
	h.session.beat = time.Now().Add(-time.Minute)
	_ = h.follow()
	if s := h.Follower.Status(); !strings.Contains(s.Error, "OOM") || s.RedisSilent {
		t.Errorf("status is %+v of a Redis that answers", s)
	}
	for range 60 {
		_ = h.follow()
	}
	all(t, h.view(testKeys(0, 30)...), job.Unknown) // five of which are gone
	if s := h.Follower.Status(); !s.Behind {
		t.Errorf("status is %+v", s)
	}

	limit("0")
	h.settle()
	for range enoughEmptyFar {
		_ = h.follow()
	}
	if h.liveEpoch() != before {
		t.Error("another epoch was built although nothing was lost")
	}
	all(t, h.view(testKeys(0, 5)...), job.Miss)
	all(t, h.view(testKeys(5, 30)...), job.Hit)
}
