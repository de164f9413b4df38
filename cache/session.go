package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"spate/job"
)

type keySet map[job.Key]struct{}

func (s keySet) add(keys ...job.Key) {
	for _, k := range keys {
		s[k] = struct{}{}
	}
}

func (s keySet) slice() []job.Key {
	keys := make([]job.Key, 0, len(s))
	for k := range s {
		keys = append(keys, k)
	}
	return keys
}

// Intervals of a session's chores.
const (
	heartbeatInterval = time.Second // between writes of the sequence, when nothing changes
	saveInterval      = time.Second // between writes of record and checkpoints
	clearInterval     = time.Minute // between tries to remove dead epochs
)

// session is one follower's work on one stream, in rounds. Between rounds everything that was read either is in the view
// or waits.
type session struct {
	*Follower
	saver
	tail    *tail
	live    *Writer // nil when no epoch is live
	build   *build  // nil when none is being built
	waiting keySet  // changed keys that are not in the view yet

	pulse pulse

	followed   time.Time       // all changes of before are in the live epoch and in the one that is built
	request    *RebuildRequest // for a new epoch: not answered yet
	built      BuildStatus     // of the last build that ended
	buildAfter time.Time       // when the next may begin

	beat, saved, cleared, asked time.Time
}

// close ends a build that is under way.
func (s *session) close() {
	if s.build != nil {
		s.build.stop()
	}
}

// round reads once, applies what was read, and does the chores that are due. It reports whether there was anything to
// apply. After an error other than [ErrSuperseded] and errMissed the next round goes on where this one stopped.
func (s *session) round(ctx context.Context, now time.Time) (busy bool, err error) {
	defer func() { s.report(now, err) }()
	if s.live == nil && s.current.Live != 0 { // retired, but the record could not be written
		if err := s.save(ctx, s.current.retire()); err != nil {
			return false, err
		}
	}
	s.takeRequest(ctx, now)
	wanted := s.live == nil || s.live.crowded() || s.rebuild.Load() || s.request != nil && s.request.Done.IsZero()
	if wanted && s.build == nil && !now.Before(s.buildAfter) {
		err := s.beginBuild(ctx, now)
		switch {
		case err == nil:
			s.rebuild.Store(false)
		case s.live == nil || errors.Is(err, ErrSuperseded):
			return false, err
		default: // the live epoch goes on
			s.Log.Warn().Err(err).Msg("another epoch cannot be begun yet")
			s.buildAfter = now.Add(buildPause)
		}
	}
	var pollErr error
	if len(s.waiting) == 0 {
		var keys []job.Key
		keys, pollErr = s.tail.poll(ctx, now)
		s.waiting.add(keys...)
		if errors.Is(pollErr, errMissed) {
			return false, s.missed(ctx, pollErr)
		}
	}
	busy = len(s.waiting) > 0
	if err := s.applyWaiting(ctx, now); err != nil {
		return busy, err
	}
	if err := s.noteFollowed(ctx); err != nil {
		return busy, err
	}
	if now.Sub(s.followed) > resumable { // reading on would end in records that were trimmed
		err := fmt.Errorf("the stream is %s behind: %w", now.Sub(s.followed).Round(time.Minute), errMissed)
		return false, s.missed(ctx, err)
	}
	if err := s.takeCorrection(ctx, now); err != nil {
		return busy, err
	}
	if err := s.advanceBuild(ctx, now); err != nil {
		return busy, err
	}
	if err := s.heartbeat(ctx, now); err != nil {
		return busy, err
	}
	if err := s.examine(ctx, now); err != nil {
		return busy, err
	}
	if err := s.remember(ctx, now); err != nil {
		return busy, err
	}
	s.clearDead(ctx, now)
	s.Metrics.epoch(s.current)
	return busy, pollErr
}

// noteFollowed takes over up to when the stream has been read. Where less has than was believed, the record says so before
// the process does, whose look-ups else read the old one.
func (s *session) noteFollowed(ctx context.Context) error {
	until := s.tail.until()
	back := until.Before(s.followed)
	if back {
		s.Log.Warn().Time("from", until).Time("believed", s.followed).Msg("the ledger's stream had changes that were taken to be read")
		next := s.current
		next.Followed = until
		err := s.save(ctx, next)
		s.Epochs.takeBack(until)
		if err != nil {
			return err
		}
	}
	s.followed = until
	if s.live != nil { // else nobody writes what the record may still call live
		s.Epochs.keep(s.followed)
	}
	return nil
}

// missed retires the live epoch: the changes that it lacks cannot be had any more.
func (s *session) missed(ctx context.Context, reason error) error {
	if s.live != nil {
		s.Epochs.retire(s.live.epoch)
		s.live = nil
	}
	if err := s.save(ctx, s.current.abandon().retire()); err != nil {
		return errors.Join(reason, err)
	}
	return reason
}

// applyWaiting looks the changed keys up in the ledger and writes what it says into the epochs.
func (s *session) applyWaiting(ctx context.Context, now time.Time) error {
	if len(s.waiting) == 0 {
		return nil
	}
	keys := s.waiting.slice()
	add, remove, err := s.truth(ctx, now, keys)
	if err != nil {
		return err
	}
	if w := s.watched.Load(); w != nil {
		w.note(keys) // first: what is in the view and not noted was there before
	}
	if err := s.apply(ctx, now, add, remove); err != nil {
		return err
	}
	clear(s.waiting)
	return nil
}

// apply writes into the epochs.
func (s *session) apply(ctx context.Context, now time.Time, add, remove []job.Key) error {
	if s.live != nil {
		if err := s.writeLive(ctx, now, add, remove); err != nil {
			return err
		}
	}
	if s.build != nil {
		if err := s.build.change(ctx, add, remove); err != nil {
			return s.judgeBuild(ctx, now, err)
		}
	}
	s.count(len(add), len(remove))
	return nil
}

// truth divides keys into those that the ledger holds and those that it does not.
func (s *session) truth(ctx context.Context, now time.Time, keys []job.Key) (present, absent []job.Key, err error) {
	answers, err := s.Ledger.Lookup(ctx, now, keys)
	if err != nil {
		return nil, nil, err
	}
	for i, answer := range answers {
		if answer == job.Hit {
			present = append(present, keys[i])
		} else {
			absent = append(absent, keys[i])
		}
	}
	return present, absent, nil
}

// writeLive writes into the live epoch. An epoch that proves lost is retired, which is no error: the next round builds
// another.
func (s *session) writeLive(ctx context.Context, now time.Time, add, remove []job.Key) error {
	err := s.live.Apply(ctx, add, remove)
	if errors.Is(err, ErrLost) {
		return s.lose(ctx, err)
	}
	if err != nil {
		return err
	}
	s.beat = now
	s.Epochs.confirm(s.live.Mark())
	return nil
}

// lose retires the live epoch.
func (s *session) lose(ctx context.Context, reason error) error {
	s.Epochs.retire(s.live.epoch) // before the record, which a look-up may read meanwhile
	s.Log.Warn().Err(reason).Int64("epoch", s.live.epoch).Msg("epoch retired")
	s.live = nil
	return s.save(ctx, s.current.retire())
}

// heartbeat raises the sequence when nothing else did, and so notices what happened to Redis meanwhile.
func (s *session) heartbeat(ctx context.Context, now time.Time) error {
	if s.live == nil || now.Sub(s.beat) < heartbeatInterval {
		return nil
	}
	return s.writeLive(ctx, now, nil, nil)
}

// remember writes first the sequence and then the checkpoints: what is checkpointed can then not be lost from Redis
// without being missed. During a build the checkpoints stay: see [build]. Nothing may wait.
func (s *session) remember(ctx context.Context, now time.Time) error {
	if s.live == nil && s.build == nil || now.Sub(s.saved) < saveInterval {
		return nil
	}
	next := s.current
	next.Followed = s.followed
	if s.live != nil {
		next.Sequence, next.Outputs = s.live.Mark().Sequence, s.live.outputs()
	}
	if s.build != nil {
		next.Progress = s.build.reached()
	} else {
		next.At = s.followed
	}
	if err := s.save(ctx, next); err != nil {
		return err
	}
	if s.build == nil {
		if err := s.tail.save(ctx, s.Records); err != nil {
			return err
		}
	}
	s.saved = now
	return nil
}

// clearDead removes what retired and abandoned epochs left in Redis.
func (s *session) clearDead(ctx context.Context, now time.Time) {
	if len(s.current.Dead) == 0 || now.Sub(s.cleared) < clearInterval {
		return
	}
	s.cleared = now
	for _, dead := range s.current.Dead {
		err := s.View.Clear(ctx, dead.Epoch, dead.Bits)
		if err == nil {
			err = s.save(ctx, s.current.cleared(dead.Epoch))
		}
		if err != nil {
			s.Log.Warn().Err(err).Int64("epoch", dead.Epoch).Str("state", string(dead.State)).Msg("epoch is not removed yet")
			return
		}
	}
}
