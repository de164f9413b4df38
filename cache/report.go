package cache

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/aws/smithy-go"
	"github.com/redis/go-redis/v9"
)

// FollowerStatus is how far the view is behind the ledger, and what the follower has done since it began.
type FollowerStatus struct {
	At               time.Time `dynamodbav:"at" json:"at,omitzero"`                        // of the last round
	LagSeconds       float64   `dynamodbav:"lag_seconds" json:"lag_seconds"`               // all changes of the ledger older than this are in the view
	Behind           bool      `dynamodbav:"behind" json:"behind"`                         // by more than a minute: the view does not answer
	TrimmedInSeconds float64   `dynamodbav:"trimmed_in_seconds" json:"trimmed_in_seconds"` // until the stream drops records that were not read yet
	RedisSilent      bool      `dynamodbav:"redis_silent" json:"redis_silent"`             // it answers no writes, of which there is one each second at least: the view does not answer
	Shards           int       `dynamodbav:"shards" json:"shards"`                         // of the stream that are being read
	Waiting          int       `dynamodbav:"waiting" json:"waiting"`                       // changed keys that were read and are not in the view yet
	Added            int64     `dynamodbav:"added" json:"added"`                           // keys, those that were there already among them
	Removed          int64     `dynamodbav:"removed" json:"removed"`                       // keys, those that were not there among them
	Changed          time.Time `dynamodbav:"changed,omitempty" json:"changed,omitzero"`    // when a change of the ledger was last brought to the view; zero: none since the process began
	Error            string    `dynamodbav:"error" json:"error,omitzero"`                  // of the last round: the view waits for this
	Requested        time.Time `dynamodbav:"requested" json:"requested,omitzero"`          // when a new epoch was asked for that is not live yet
}

// streamKeeps is for how long a stream keeps its records (Amazon DynamoDB developer guide, "Change data capture for
// DynamoDB Streams").
const streamKeeps = 24 * time.Hour

// redisSilence is how long Redis may answer no writes before it counts as silent.
const redisSilence = 10 * time.Second

// isOfAWS reports whether an error came of a call to AWS.
func isOfAWS(err error) bool {
	_, is := errors.AsType[*smithy.OperationError](err)
	return is
}

// refusesWrites reports whether a Redis said that it takes no writes, which still answers what is read.
func refusesWrites(err error) bool {
	return slices.ContainsFunc([]string{"OOM", "READONLY", "MISCONF", "NOREPLICAS"}, func(code string) bool { return redis.HasErrorPrefix(err, code) })
}

// reports are what a follower says of itself. The zero value says nothing.
type reports struct {
	mu     sync.Mutex
	follow FollowerStatus
	build  BuildStatus
}

// Status tells how following goes. It is safe for concurrent use.
func (f *Follower) Status() FollowerStatus {
	f.reports.mu.Lock()
	defer f.reports.mu.Unlock()
	return f.reports.follow
}

// asOf is a status at a later time than that of its last round: while a round lasts, which it does when Redis does not
// answer, the view falls behind.
func (s FollowerStatus) asOf(now time.Time) FollowerStatus {
	if s.At.IsZero() {
		return s
	}
	since := max(0, now.Sub(s.At)).Seconds()
	s.LagSeconds += since
	s.TrimmedInSeconds = max(0, s.TrimmedInSeconds-since)
	s.Behind = s.LagSeconds > staleAfter.Seconds()
	return s
}

// BuildStatus tells how the building of an epoch goes. It is safe for concurrent use.
func (f *Follower) BuildStatus() BuildStatus {
	f.reports.mu.Lock()
	defer f.reports.mu.Unlock()
	return f.reports.build
}

// report says how the session stands after a round.
func (s *session) report(now time.Time, err error) {
	lag := max(0, now.Sub(s.followed))
	build := s.built
	if s.build != nil {
		build = s.build.status()
	}
	build.setShare()

	s.reports.mu.Lock()
	defer s.reports.mu.Unlock()
	r := &s.reports.follow
	if behind := lag > staleAfter; behind != r.Behind {
		r.Behind = behind
		if behind {
			s.Log.Warn().Dur("lag", lag).Msg("the view is too far behind the ledger to answer; the ledger answers")
		} else {
			s.Log.Info().Msg("the view is up to date again")
		}
	}
	r.At, r.LagSeconds, r.TrimmedInSeconds = now, lag.Seconds(), max(0, streamKeeps-lag).Seconds()
	r.Shards, r.Waiting, r.Error, r.Requested = s.tail.reading(), len(s.waiting), "", time.Time{}
	r.RedisSilent = false
	if err != nil {
		r.Error = err.Error()
		r.RedisSilent = s.live != nil && time.Since(s.beat) > redisSilence && !isOfAWS(err) && !refusesWrites(err)
	}
	if s.request != nil && s.request.Done.IsZero() {
		r.Requested = s.request.At
	}
	s.reports.build = build
	s.Metrics.lag(lag)
}

// fail says that a session ended, or did not begin, and why. The next one takes it back.
func (f *Follower) fail(err error) {
	f.reports.mu.Lock()
	defer f.reports.mu.Unlock()
	f.reports.follow.Error = err.Error()
}

// count adds up what was written.
func (f *Follower) count(added, removed int) {
	f.reports.mu.Lock()
	defer f.reports.mu.Unlock()
	f.reports.follow.Added += int64(added)
	f.reports.follow.Removed += int64(removed)
	if added+removed > 0 {
		f.reports.follow.Changed = time.Now()
	}
	f.Metrics.followed(added, removed)
}
