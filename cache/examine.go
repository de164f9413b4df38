package cache

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"
)

// Intervals of what a session looks at beside the sequence.
const (
	recountInterval = 5 * time.Second // between counts of an epoch's outputs, however much Redis drops and however many answers are lost
	weighInterval   = time.Minute     // between estimates of the memory they take
)

// pulse is what a session last saw of Redis.
type pulse struct {
	server   Server
	silent   bool // INFO was refused, which has been said
	dropped  bool // keys were evicted since the outputs were counted
	examined time.Time
	counted  time.Time
	weighed  time.Time
	bytes    int64
}

// examine notices what the sequence does not show: that another Redis process answers, or that Redis dropped keys. Then,
// and when the number of outputs is not known for certain, they are counted; an epoch that lacks some is retired. While
// they are counted the sequence still vouches for what is read.
func (s *session) examine(ctx context.Context, now time.Time) error {
	if now.Sub(s.pulse.examined) < heartbeatInterval {
		return nil
	}
	s.pulse.examined = now
	s.look(ctx)
	if err := s.recount(ctx, now); err != nil {
		return err
	}
	status := ViewStatus{
		RedisVersion: s.pulse.server.Version, RunID: s.pulse.server.RunID, UsedBytes: s.pulse.server.Used, MaxBytes: s.pulse.server.Max,
		Evicted: s.pulse.server.Evicted,
	}
	if s.live != nil {
		s.weigh(ctx, now)
		status.Epoch, status.BucketBits, status.Outputs = s.live.epoch, s.live.bits, s.live.outputs()
		status.Bytes, status.Counted = s.pulse.bytes, s.pulse.counted
	}
	s.View.status.Store(&status)
	return nil
}

// look compares what Redis tells of itself with what it told before.
func (s *session) look(ctx context.Context) {
	server, err := s.View.Server(ctx)
	if err != nil {
		if !s.pulse.silent && ctx.Err() == nil {
			s.Log.Warn().Err(err).Msg("Redis does not tell of itself; a restart shows only in the sequence")
		}
		s.pulse.silent = true
		return
	}
	last := s.pulse.server
	s.pulse.server, s.pulse.silent = server, false
	if s.live == nil {
		return
	}
	if last.RunID != "" && server.RunID != last.RunID {
		s.Log.Warn().Str("run_id", server.RunID).Str("before", last.RunID).Msg("another Redis process answers; the view's outputs are counted")
		s.live.doubt()
		return
	}
	if last.RunID != "" && server.Evicted > last.Evicted {
		s.Log.Warn().Int64("keys", server.Evicted-last.Evicted).Msg("Redis drops keys for want of memory: set maxmemory-policy noeviction; the view's outputs are counted")
		s.pulse.dropped = true
	}
}

// recount counts the live epoch's outputs where that is due.
func (s *session) recount(ctx context.Context, now time.Time) error {
	if s.live == nil {
		return nil
	}
	if s.live.certain() && !s.pulse.dropped || now.Sub(s.pulse.counted) < recountInterval {
		return nil
	}
	err := s.live.Verify(ctx)
	if errors.Is(err, ErrLost) {
		return s.lose(ctx, err)
	}
	if err != nil {
		s.Log.Warn().Err(err).Msg("the view's outputs are not counted yet")
		return nil
	}
	s.pulse.counted, s.pulse.dropped = now, false
	return nil
}

// weigh estimates the memory of the live epoch's buckets from some of them. A Redis that does not tell leaves 0.
func (s *session) weigh(ctx context.Context, now time.Time) {
	if now.Sub(s.pulse.weighed) < weighInterval {
		return
	}
	s.pulse.weighed = now
	s.pulse.bytes = s.View.weigh(ctx, s.live.epoch, s.live.bits)
}

// ViewStatus is what the process that writes the view knows of it. Its zero value: nothing yet.
type ViewStatus struct {
	Epoch        int64      `dynamodbav:"epoch" json:"epoch"`                                    // the live one; 0 when none is
	BucketBits   BucketBits `dynamodbav:"bucket_bits" json:"bucket_bits"`                        // of the live epoch
	Outputs      int64      `dynamodbav:"outputs" json:"outputs"`                                // in the live epoch
	Bytes        int64      `dynamodbav:"bytes,omitempty" json:"bytes,omitzero"`                 // of Redis's memory that they take, estimated from some buckets; 0: not known
	Counted      time.Time  `dynamodbav:"counted,omitempty" json:"counted,omitzero"`             // when the outputs were last counted, not only added up
	RedisVersion string     `dynamodbav:"redis_version,omitempty" json:"redis_version,omitzero"` // what the server is
	RunID        string     `dynamodbav:"run_id,omitempty" json:"run_id,omitzero"`               // the server's, another with each start
	UsedBytes    int64      `dynamodbav:"used_bytes,omitempty" json:"used_bytes,omitzero"`       // of the server's memory, by all its users
	MaxBytes     int64      `dynamodbav:"max_bytes,omitempty" json:"max_bytes,omitzero"`         // that the server may use; 0: no limit, or not told
	Evicted      int64      `dynamodbav:"evicted,omitempty" json:"evicted,omitzero"`             // keys that the server has dropped since it started
}

// Status is as of the follower's last heartbeat. In a process without one it is empty.
func (v *View) Status() ViewStatus {
	if status := v.status.Load(); status != nil {
		return *status
	}
	return ViewStatus{}
}

// weigh estimates the memory that an epoch's buckets take, in bytes; 0 where Redis does not tell.
func (v *View) weigh(ctx context.Context, epoch int64, bits BucketBits) int64 {
	const sampled = 256
	pipe := v.client.Pipeline()
	var answers []*redis.IntCmd
	for range sampled {
		answers = append(answers, pipe.MemoryUsage(ctx, v.bucketKey(epoch, uint32(rand.IntN(bits.buckets())))))
	}
	_, _ = pipe.Exec(ctx) // each command carries its own error
	var sum int64
	for _, a := range answers {
		n, err := a.Result()
		if err != nil && !errors.Is(err, redis.Nil) { // Nil: the bucket is empty
			return 0
		}
		sum += n
	}
	return sum * int64(bits.buckets()) / sampled
}
