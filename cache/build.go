package cache

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"spate/job"
)

// Progress is how far a build has come, so that a later session can go on with it.
type Progress struct {
	Sequence int64     `dynamodbav:"sequence"` // the epoch that is built had at least this when its segments stood so
	Segments []Segment `dynamodbav:"segments"` // in which the ledger is scanned
	Scanned  int64     `dynamodbav:"scanned"`  // outputs
	Total    int64     `dynamodbav:"total"`    // outputs in the ledger as DynamoDB counted them up to six hours before the build began
	Began    time.Time `dynamodbav:"began"`
}

// Segment is the place of a scan in its part of the ledger: what it has read up to there is in the epoch.
type Segment struct {
	After string `dynamodbav:"after"` // empty at the beginning
	Done  bool   `dynamodbav:"done"`
}

// BuildStatus is how the newest build of an epoch goes, or went.
type BuildStatus struct {
	Building bool      `dynamodbav:"building" json:"building"`
	Epoch    int64     `dynamodbav:"epoch" json:"epoch"`     // 0 when none was built since this process leads
	Scanned  int64     `dynamodbav:"scanned" json:"scanned"` // outputs read from the ledger
	Total    int64     `dynamodbav:"total" json:"total"`     // outputs in the ledger, counted up to six hours before: about as many will be scanned
	Share    float64   `dynamodbav:"share" json:"share"`     // of the work, 0 to 1; 1 only when the epoch is live
	Resumed  bool      `dynamodbav:"resumed" json:"resumed"` // begun by an earlier process
	Began    time.Time `dynamodbav:"began" json:"began,omitzero"`
	Ended    time.Time `dynamodbav:"ended" json:"ended,omitzero"` // when the epoch went live or was given up
	Error    string    `dynamodbav:"error" json:"error,omitzero"` // what the build waits for, or why it was given up
}

// mostShare is how much of the work a build admits to have done before its epoch is live: the total is old.
const mostShare = 0.99

func (b *BuildStatus) setShare() {
	b.Share = 0
	switch {
	case !b.Building && !b.Ended.IsZero() && b.Error == "":
		b.Share = 1
	case b.Total > 0:
		b.Share = min(mostShare, float64(b.Scanned)/float64(b.Total))
	}
}

// build is an epoch being filled: scans of the ledger's segments and, at the same time, the changes from the stream.
// A scan may write an output that was removed after it was scanned, so that removals are applied again once that can
// happen no more: see [removals]. While a build is under way the stream's checkpoints stay where they were when it began, so
// that a session that goes on with it reads all these removals again.
type build struct {
	writer  *Writer
	removed removals
	cancel  context.CancelFunc
	done    chan struct{} // closed when the scan has ended
	err     error         // of the scan; to be read after done
	resumed bool

	mu       sync.Mutex
	progress Progress // but for its sequence
	ended    []int64  // pages of each segment that are in the epoch since this process builds; segmentDone at its end
	waits    error    // why the scan does not go on at the moment
}

// startBuild scans into an epoch, from where the progress stands. It must begin after the stream's places are fixed.
func startBuild(ctx context.Context, f *Follower, writer *Writer, from Progress, now time.Time) *build {
	ctx, cancel := context.WithCancel(ctx)
	b := &build{
		writer: writer, removed: removals{most: maxRemoved}, cancel: cancel, done: make(chan struct{}),
		progress: from.clone(), ended: make([]int64, len(from.Segments)),
	}
	for i, s := range from.Segments {
		if s.Done {
			b.ended[i] = segmentDone
		}
	}
	pace := readPace(f.ReadUnitsPerSecond)
	go func() {
		defer close(b.done)
		segments, ctx := errgroup.WithContext(ctx)
		for i, s := range from.Segments {
			if s.Done {
				continue
			}
			segments.Go(func() error {
				return b.scan(ctx, f, ScanOptions{Segment: i, Segments: len(from.Segments), After: s.After, Pace: pace}, now)
			})
		}
		b.err = segments.Wait()
	}()
	return b
}

// scan reads a segment to its end. It waits for whatever passes: Redis or DynamoDB away, or no memory left in Redis.
func (b *build) scan(ctx context.Context, f *Follower, o ScanOptions, now time.Time) error {
	for failures := 0; ; failures++ {
		err := b.scanOnce(ctx, f, &o, now)
		b.wait(err)
		if err == nil || ctx.Err() != nil || final(err) || !passing(err) {
			return err
		}
		f.Log.Warn().Err(err).Int64("epoch", b.writer.Mark().Epoch).Int("segment", o.Segment).Msg("the build of an epoch waits")
		if err := sleep(ctx, backoff(failures)); err != nil {
			return err
		}
	}
}

// scanOnce scans until the end or an error, and moves o.After on.
func (b *build) scanOnce(ctx context.Context, f *Follower, o *ScanOptions, now time.Time) error {
	for page, err := range f.Ledger.Scan(ctx, now, *o) {
		if err != nil {
			return err
		}
		keys := make([]job.Key, len(page.Outputs))
		for i, output := range page.Outputs {
			keys[i] = output.Key
		}
		if len(keys) > 0 {
			err := retry(ctx, tries, func() (bool, error) {
				err := b.writer.Apply(ctx, keys, nil)
				return err == nil, err
			})
			if err != nil {
				return err
			}
		}
		o.After = page.Last
		b.advance(o.Segment, page)
	}
	return nil
}

// advance notes that what a page holds is in the epoch.
func (b *build) advance(segment int, page Page) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.progress.Scanned += int64(len(page.Outputs))
	b.progress.Segments[segment] = Segment{After: page.Last, Done: page.Last == ""}
	if b.ended[segment]++; page.Last == "" {
		b.ended[segment] = segmentDone
	}
	b.waits = nil
}

func (b *build) wait(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waits = err
}

// reached is the progress so far. The sequence is read last: an epoch in Redis that has it has what the segments say.
func (b *build) reached() Progress {
	b.mu.Lock()
	p := b.progress.clone()
	b.mu.Unlock()
	p.Sequence = b.writer.Mark().Sequence
	return p
}

func (b *build) status() BuildStatus {
	p := b.reached()
	s := BuildStatus{Building: true, Epoch: b.writer.Mark().Epoch, Scanned: p.Scanned, Total: p.Total, Began: p.Began, Resumed: b.resumed}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waits != nil {
		s.Error = b.waits.Error()
	}
	return s
}

func (p Progress) clone() Progress {
	p.Segments = append([]Segment(nil), p.Segments...)
	return p
}

// change applies changes from the stream.
func (b *build) change(ctx context.Context, add, remove []job.Key) error {
	if err := b.removed.note(remove); err != nil {
		return err
	}
	return b.writer.Apply(ctx, add, remove)
}

// ripe are removals to be applied again.
func (b *build) ripe() []job.Key {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.removed.ripe(b.ended)
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

// buildPause is how long after a build that failed for another reason than the loss of its content the next begins.
const buildPause = 30 * time.Second

// beginBuild gives out the next epoch and starts to fill it.
func (s *session) beginBuild(ctx context.Context, now time.Time) error {
	if s.current.Building == 0 { // else Redis did not answer the last time, and the number is still unused
		expected, total := s.expected(ctx)
		next := s.current.begin(s.View.bitsFor(ctx, expected))
		next.Progress = Progress{Began: now, Total: total, Segments: make([]Segment, s.Segments)}
		if err := s.save(ctx, next); err != nil {
			return err
		}
	}
	writer, err := s.View.Create(ctx, s.current.Building, s.current.BuildingBits)
	if err != nil {
		return err
	}
	s.build = startBuild(ctx, s.Follower, writer, s.current.Progress, now)
	s.Log.Info().Int64("epoch", s.current.Building).Int("bucket_bits", int(writer.bits)).Msg("building epoch")
	return nil
}

// expected is about how many outputs the next epoch will hold, and how many the ledger held when DynamoDB last counted; 0
// when it does not tell.
func (s *session) expected(ctx context.Context) (outputs, counted int64) {
	outputs = s.current.Outputs
	if s.live != nil {
		outputs = max(outputs, s.live.outputs())
	}
	counted, err := s.Ledger.Items(ctx)
	if err != nil {
		s.Log.Warn().Err(err).Int64("outputs", outputs).Msg("nobody tells how many outputs the ledger holds; the last epoch's are expected")
	}
	return max(outputs, counted), counted
}

// resumeBuild goes on with the epoch that an earlier session was building, if Redis still has what that wrote. It writes
// once, so that whoever was building finds out. The caller has seen to it that the stream is read again from where the
// build began.
func (s *session) resumeBuild(ctx context.Context, record Record, now time.Time) error {
	if record.Building == 0 || record.Progress.Sequence == 0 || len(record.Progress.Segments) == 0 {
		return nil
	}
	writer, err := s.View.Resume(ctx, Mark{Epoch: record.Building, Sequence: record.Progress.Sequence, Bits: record.BuildingBits})
	if err == nil {
		err = writer.Apply(ctx, nil, nil)
	}
	if errors.Is(err, ErrLost) {
		s.Log.Warn().Err(err).Int64("epoch", record.Building).Msg("a build cannot be resumed")
		return nil
	}
	if err != nil {
		return err
	}
	s.build = startBuild(ctx, s.Follower, writer, record.Progress, now)
	s.build.resumed = true
	s.Log.Info().Int64("epoch", record.Building).Int64("scanned", record.Progress.Scanned).Msg("build resumed")
	return nil
}

// judgeBuild abandons the build when it cannot succeed any more; a later round begins another. It returns the error.
func (s *session) judgeBuild(ctx context.Context, now time.Time, reason error) error {
	if scanned, err := s.build.scanned(); !final(reason) && (!scanned || err == nil) {
		return reason
	}
	s.build.stop()
	s.Log.Warn().Err(reason).Int64("epoch", s.build.writer.epoch).Msg("build abandoned; another begins")
	ended := s.build.status()
	ended.Building, ended.Ended, ended.Error = false, now, reason.Error()
	s.built, s.build = ended, nil
	if !errors.Is(reason, ErrLost) {
		s.buildAfter = now.Add(buildPause)
	}
	return errors.Join(reason, s.save(ctx, s.current.abandon()))
}

// advanceBuild makes the built epoch live once it holds what the ledger holds: the scan has ended, and the stream has been
// followed to within staleAfter.
func (s *session) advanceBuild(ctx context.Context, now time.Time) error {
	if s.build == nil {
		return nil
	}
	scanned, err := s.build.scanned()
	if err != nil {
		return s.judgeBuild(ctx, now, err)
	}
	flips := scanned && now.Sub(s.followed) <= staleAfter
	for keys := s.build.ripe(); len(keys) > 0; keys = s.build.ripe() {
		if err := s.removeAgain(ctx, now, keys); err != nil {
			return err
		}
		if !flips { // more of them the next time
			return nil
		}
	}
	if !flips {
		return nil
	}
	if err := s.save(ctx, s.current.flip(s.build.writer.Mark().Sequence)); err != nil {
		return err
	}
	s.build.stop()
	s.built = s.build.status()
	s.built.Building, s.built.Ended = false, now
	s.live, s.build = s.build.writer, nil
	s.beat, s.cleared, s.saved = now, time.Time{}, time.Time{}
	if s.request != nil {
		s.request.Done, s.request.Epoch = now, s.live.Mark().Epoch
	}
	s.Epochs.keep(s.followed)
	s.Epochs.confirm(s.live.Mark())
	s.Log.Info().Int64("epoch", s.live.epoch).Msg("epoch is live")
	return nil
}

// removeAgain writes into the built epoch what the ledger says of outputs that were removed while it was scanned.
func (s *session) removeAgain(ctx context.Context, now time.Time, keys []job.Key) error {
	add, remove, err := s.truth(ctx, now, keys)
	if err != nil {
		return err
	}
	if err := s.build.writer.Apply(ctx, add, remove); err != nil {
		return s.judgeBuild(ctx, now, err)
	}
	s.build.removed.forget(len(keys))
	return nil
}

// final reports whether a write into an epoch failed for good.
func final(err error) bool {
	return errors.Is(err, ErrLost) || errors.Is(err, ErrSuperseded) || errors.Is(err, errRestlessBuild)
}
