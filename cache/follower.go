package cache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// FollowerOptions configure a Follower. View, Ledger, Streams, Records and Epochs are required.
type FollowerOptions struct {
	View    *View
	Ledger  *Ledger
	Streams Streams
	Records Records
	Epochs  *Epochs
	Log     zerolog.Logger
	Metrics *Metrics

	PollInterval time.Duration // between reads of a shard that changes; default 250 ms (a shard allows 5 reads a second)
	IdleInterval time.Duration // between reads when nothing changes; default 1 s
	Segments     int           // in which the ledger is scanned at the same time; default 4

	// ReadUnitsPerSecond bounds what a build reads from the ledger, in DynamoDB's read units of 4 KB; default 2000. An item
	// has about 150 bytes: 10 million take some 370,000 units, three minutes and five cents at $0.125 a million (Amazon
	// DynamoDB pricing, on-demand).
	ReadUnitsPerSecond int
}

func (o *FollowerOptions) validate() error {
	if o.View == nil || o.Ledger == nil || o.Streams == nil || o.Records == nil || o.Epochs == nil {
		return errors.New("follower: view, ledger, streams, records and epochs are required")
	}
	if o.PollInterval == 0 {
		o.PollInterval = 250 * time.Millisecond
	}
	if o.IdleInterval == 0 {
		o.IdleInterval = time.Second
	}
	if o.Segments == 0 {
		o.Segments = 4
	}
	if o.ReadUnitsPerSecond == 0 {
		o.ReadUnitsPerSecond = 2000
	}
	if o.PollInterval < 0 || o.IdleInterval < o.PollInterval || o.Segments < 0 || o.ReadUnitsPerSecond < 0 {
		return errors.New("follower: intervals, segments and read units must be positive, and the idle interval not the shorter")
	}
	return nil
}

// Follower carries the ledger's changes into the view. At most one may be meant to run; a second one that runs all the
// same finds out and ends.
type Follower struct {
	FollowerOptions
	rebuild     atomic.Bool
	reports     reports
	corrections chan *correction
	watched     atomic.Pointer[watch] // by reconciliation; nil when nothing is
}

// NewFollower checks the options.
func NewFollower(o FollowerOptions) (*Follower, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	return &Follower{FollowerOptions: o, corrections: make(chan *correction)}, nil
}

// Rebuild asks for a new epoch while the live one goes on answering.
func (f *Follower) Rebuild() { f.rebuild.Store(true) }

// Run follows until ctx ends, and then returns its error, or until another follower takes over, and then returns
// [ErrSuperseded]. Everything else is logged and tried again.
func (f *Follower) Run(ctx context.Context) error {
	for failures := 0; ; failures++ {
		began := time.Now()
		err := f.follow(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrSuperseded):
			return err
		}
		if time.Since(began) > time.Minute {
			failures = 0
		}
		f.fail(err)
		f.Log.Warn().Err(err).Msg("following the ledger begins again")
		if err := sleep(ctx, backoff(failures)); err != nil {
			return err
		}
	}
}

// follow runs one session. Failures that pass do not end it.
func (f *Follower) follow(ctx context.Context) error {
	s, err := f.open(ctx, time.Now())
	if err != nil {
		return err
	}
	defer s.close()
	wait, failures := f.PollInterval, 0
	var warned time.Time
	for {
		began := time.Now()
		busy, err := s.round(ctx, began)
		switch {
		case ctx.Err() != nil, errors.Is(err, ErrSuperseded), errors.Is(err, errMissed):
			return err
		case err != nil:
			if began.Sub(warned) >= warnEvery {
				warned = began
				f.Log.Warn().Err(err).Msg("the view falls behind")
			}
			wait = f.PollInterval + backoff(failures)
			failures++
		case busy:
			wait, failures = f.PollInterval, 0
		default:
			wait, failures = min(2*wait, f.IdleInterval), 0
		}
		if err := sleep(ctx, wait-time.Since(began)); err != nil {
			return err
		}
	}
}

// warnEvery is how often the log tells of what goes on failing.
const warnEvery = time.Minute

// resumable is how long after the last checkpoint a stream still holds all that came since, with a margin under the 24
// hours that DynamoDB Streams keeps records.
const resumable = 20 * time.Hour

// open begins a session: it takes over the epoch record, which ends earlier followers, and goes on with the live epoch
// where there is one and the stream still holds what came since.
func (f *Follower) open(ctx context.Context, now time.Time) (*session, error) {
	record, _, err := f.Records.LoadEpoch(ctx)
	if err != nil {
		return nil, err
	}
	arn, err := f.Ledger.StreamARN(ctx)
	if err != nil {
		return nil, err
	}
	checkpoints, err := f.Records.LoadCheckpoints(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{Follower: f, saver: saver{records: f.Records, follower: rand.Text(), current: record}, waiting: keySet{}}
	if (record.Live != 0 || record.Building != 0) && record.Stream == arn && now.Sub(record.At) < resumable {
		if err := s.resume(ctx, record, checkpoints, now); err != nil {
			s.close()
			return nil, err
		}
	}
	next := record
	if s.build == nil {
		next = next.abandon()
	}
	if s.live == nil {
		f.Epochs.retire(record.Live)
		next = next.retire()
	}
	fresh := s.live == nil && s.build == nil
	if fresh {
		if s.tail, err = freshTail(ctx, f.Streams, arn, now); err != nil {
			return nil, err
		}
		next.At, next.Followed = now, now
	}
	s.followed = s.tail.until()
	next.Stream = arn
	if err := s.save(ctx, next); err != nil {
		s.close()
		return nil, err
	}
	if fresh {
		for _, c := range checkpoints { // only now: a live epoch without checkpoints would be resumed from the oldest record
			if err := f.Records.DeleteCheckpoint(ctx, c.Shard); err != nil {
				return nil, err
			}
		}
		if err := s.tail.save(ctx, f.Records); err != nil { // of the shards that are closed already
			return nil, err
		}
	}
	if s.live != nil {
		if err := s.live.Apply(ctx, nil, nil); err != nil {
			s.close()
			return nil, fmt.Errorf("resume: %w", err)
		}
		f.Epochs.keep(s.followed)
		f.Epochs.confirm(s.live.Mark())
		f.Log.Info().Int64("epoch", record.Live).Time("from", s.followed).Msg("view resumed")
	}
	return s, nil
}

// resume goes on with the live epoch and with a build, as far as Redis still has what was written, and with the stream
// from the checkpoints, if it still has what came since. Without the stream neither is worth anything.
func (s *session) resume(ctx context.Context, record Record, checkpoints []Checkpoint, now time.Time) error {
	var err error
	s.tail, err = resumeTail(ctx, newTail(s.Streams, record.Stream, record.At), checkpoints, now)
	if errors.Is(err, errMissed) {
		s.Log.Warn().Err(err).Int64("epoch", record.Live).Msg("the view cannot be resumed")
		return nil
	}
	if err != nil {
		return err
	}
	if record.Live != 0 && !s.Epochs.gone(record.Live) {
		s.live, err = s.View.Resume(ctx, record.mark())
		if err != nil && !errors.Is(err, ErrLost) {
			return err
		}
	}
	return s.resumeBuild(ctx, record, now)
}
