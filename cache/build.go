package cache

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"spate/job"
)

// build is an epoch being filled: scans of the ledger's segments and, at the same time, the changes from the stream.
// A scan may write an output that was removed after it was scanned, so that removals are applied again once it has
// ended.
type build struct {
	writer  *Writer
	removed keySet
	cancel  context.CancelFunc
	done    chan struct{} // closed when the scan has ended
	err     error         // of the scan; to be read after done
}

// startBuild scans into a new epoch. It must begin after the stream's places are fixed.
func startBuild(ctx context.Context, f *Follower, epoch int64, bits BucketBits, now time.Time) (*build, error) {
	writer, err := f.View.Create(ctx, epoch, bits)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	b := &build{writer: writer, removed: keySet{}, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(b.done)
		segments, ctx := errgroup.WithContext(ctx)
		for segment := range f.Segments {
			segments.Go(func() error { return b.scan(ctx, f, segment, now) })
		}
		b.err = segments.Wait()
	}()
	return b, nil
}

func (b *build) scan(ctx context.Context, f *Follower, segment int, now time.Time) error {
	for page, err := range f.Ledger.Scan(ctx, now, segment, f.Segments) {
		if err != nil {
			return err
		}
		keys := make([]job.Key, len(page))
		for i, o := range page {
			keys[i] = o.Key
		}
		if len(keys) == 0 {
			continue
		}
		err := retry(ctx, tries, func() (bool, error) {
			err := b.writer.Apply(ctx, keys, nil)
			return err == nil, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// change applies changes from the stream.
func (b *build) change(ctx context.Context, add, remove []job.Key) error {
	b.removed.add(remove...)
	return b.writer.Apply(ctx, add, remove)
}

// scanned reports whether the scan has ended, and how.
func (b *build) scanned() (bool, error) {
	select {
	case <-b.done:
		return true, b.err
	default:
		return false, nil
	}
}

// stop ends the scan and waits for it.
func (b *build) stop() {
	b.cancel()
	<-b.done
}

// beginBuild gives out the next epoch and starts to fill it.
func (s *session) beginBuild(ctx context.Context, now time.Time) error {
	if s.current.Building == 0 { // else Redis did not answer the last time, and the number is still unused
		expected, err := s.expected(ctx)
		if err != nil {
			return err
		}
		if err := s.save(ctx, s.current.begin(s.View.bitsFor(ctx, expected))); err != nil {
			return err
		}
	}
	b, err := startBuild(ctx, s.Follower, s.current.Building, s.current.BuildingBits, now)
	if err != nil {
		return err
	}
	s.build = b
	s.Log.Info().Int64("epoch", b.writer.epoch).Int("bucket_bits", int(b.writer.bits)).Msg("building epoch")
	return nil
}

// expected is about how many outputs the next epoch will hold.
func (s *session) expected(ctx context.Context) (int64, error) {
	outputs := s.current.Outputs
	if s.live != nil {
		outputs = max(outputs, s.live.outputs())
	}
	items, err := s.Ledger.Items(ctx)
	if err != nil {
		return 0, err
	}
	return max(outputs, items), nil
}

// judgeBuild abandons the build when it cannot succeed any more; the next round begins another. It returns the error.
func (s *session) judgeBuild(ctx context.Context, reason error) error {
	if scanned, err := s.build.scanned(); !final(reason) && (!scanned || err == nil) {
		return reason
	}
	s.build.stop()
	s.build = nil
	return errors.Join(reason, s.save(ctx, s.current.abandon()))
}

// advanceBuild makes the built epoch live once it holds what the ledger holds.
func (s *session) advanceBuild(ctx context.Context, now time.Time) error {
	if s.build == nil {
		return nil
	}
	scanned, err := s.build.scanned()
	if err != nil {
		return s.judgeBuild(ctx, err)
	}
	if !scanned {
		return nil
	}
	add, remove, err := s.truth(ctx, now, s.build.removed.slice())
	if err != nil {
		return err
	}
	if err := s.build.writer.Apply(ctx, add, remove); err != nil {
		return s.judgeBuild(ctx, err)
	}
	if err := s.save(ctx, s.current.flip(s.build.writer.Mark().Sequence)); err != nil {
		return err
	}
	s.build.stop()
	s.live, s.build = s.build.writer, nil
	s.beat, s.cleared, s.saved = now, time.Time{}, time.Time{}
	mark := s.Epochs.confirm(s.live.Mark())
	s.Log.Info().Int64("epoch", mark.Epoch).Msg("epoch is live")
	return nil
}

// final reports whether a write into an epoch failed for good.
func final(err error) bool { return errors.Is(err, ErrLost) || errors.Is(err, ErrSuperseded) }
