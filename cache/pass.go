package cache

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"spate/internal/objects"
	"spate/job"
)

// compare makes one pass through the ledger after another.
//
// Each pass compares every item that it reads with the view, on the spot: what the view lacks and what is past its expiry
// is handed to the follower. The other direction needs memory: a pass remembers the items of a range of buckets, and at its
// end reads what the view has in these. What the ledger was not seen to have is dropped, unless the follower has changed it
// meanwhile. The ranges take turns.
func (r *Reconciler) compare(ctx context.Context) error {
	turn := turns{next: rand.Uint32()} // so that processes that live shortly do not all compare the same
	for failures := 0; ; {
		mark, err := r.steady(ctx)
		if err != nil {
			return err
		}
		began := time.Now()
		r.passBegan = began
		err = r.pass(ctx, mark, &turn)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			r.note(func(s *ReconcileStatus) { s.Discarded++ })
			if err := r.hold(ctx, "a pass of reconciliation was given up", err, failures); err != nil {
				return err
			}
			failures++
			continue
		}
		failures, r.passTook = 0, time.Since(began)
		if err := sleep(ctx, r.PassEvery-r.passTook); err != nil {
			return err
		}
	}
}

// turns divides an epoch's buckets into ranges that fit into memory.
type turns struct {
	epoch  int64
	ranges uint32
	next   uint32 // range; taken modulo their number
	whole  uint32 // ranges compared in a row
}

// rememberedBytes is what a pass remembers of an output: eight bytes, in slices that double as they grow.
const rememberedBytes = 12

// begin chooses the ranges anew for another epoch, and returns the range whose turn it is.
func (t *turns) begin(mark Mark, outputs int64, bytes int) (first, end uint32) {
	all := uint32(mark.Bits.buckets())
	if t.epoch != mark.Epoch {
		t.epoch, t.whole = mark.Epoch, 0
		t.ranges = uint32(min(int64(all), 1+outputs*rememberedBytes/int64(bytes)))
	}
	i := uint64(t.next % t.ranges)
	return uint32(i * uint64(all) / uint64(t.ranges)), uint32((i + 1) * uint64(all) / uint64(t.ranges))
}

// ended moves to the next range. It reports whether all have been compared.
func (t *turns) ended() bool {
	t.next, t.whole = (t.next+1)%t.ranges, t.whole+1
	if t.whole < t.ranges {
		return false
	}
	t.whole = 0
	return true
}

// tooMany makes the ranges smaller.
func (t *turns) tooMany() { t.ranges, t.next, t.whole = 2*t.ranges, 2*(t.next%t.ranges), 0 }

var errTooMany = errors.New("more outputs than a pass may remember")

// passDelay is how long a pass waits, watching, before it reads: an eventually consistent read may miss what was written
// just before.
const passDelay = 10 * time.Second

// pass is one way through the ledger.
func (r *Reconciler) pass(ctx context.Context, mark Mark, turn *turns) error {
	outputs, err := r.Ledger.Items(ctx)
	if err != nil {
		return err
	}
	first, end := turn.begin(mark, outputs, r.PassBytes)
	began := time.Now()
	r.note(func(s *ReconcileStatus) { s.PassBegan, s.Scanned, s.Ranges = began, 0, int(turn.ranges) })

	w := &watch{bits: mark.Bits, first: first, end: end, changed: map[place]struct{}{}}
	r.Follower.watched.Store(w)
	defer r.Follower.watched.Store(nil)
	if err := sleep(ctx, passDelay); err != nil {
		return err
	}
	m := r.remember(mark.Bits, first, end)
	if err := r.scan(ctx, mark.Epoch, m); err != nil {
		if errors.Is(err, errTooMany) {
			turn.tooMany()
		}
		return err
	}
	if err := r.extra(ctx, mark, w, m); err != nil {
		return err
	}
	now, all := time.Now(), turn.ended()
	r.note(func(s *ReconcileStatus) {
		s.PassEnded, s.Passes = now, s.Passes+1
		if all {
			s.Compared = now
		}
	})
	r.Metrics.passed(now)
	return nil
}

// scan reads the ledger to its end, waiting for what passes.
func (r *Reconciler) scan(ctx context.Context, epoch int64, m *memory) error {
	o := ScanOptions{Eventual: true, Pace: r.pace}
	for failures := 0; ; failures++ {
		err := r.scanFrom(ctx, epoch, m, &o)
		if err == nil || errors.Is(err, errOtherEpoch) || errors.Is(err, errTooMany) || !passing(err) {
			return err
		}
		if err := r.hold(ctx, "a pass of reconciliation waits", err, failures); err != nil {
			return err
		}
	}
}

// scanFrom scans until the end or an error, and moves o.After on.
func (r *Reconciler) scanFrom(ctx context.Context, epoch int64, m *memory, o *ScanOptions) error {
	for page, err := range r.Ledger.Scan(ctx, time.Now(), *o) {
		if err != nil {
			return err
		}
		if err := r.page(ctx, epoch, page, m); err != nil {
			return err
		}
		if m.left < 0 {
			return errTooMany
		}
		o.After = page.Last
	}
	return nil
}

// memory is what was read elsewhere than in the view of the members of some buckets.
type memory struct {
	bits    BucketBits
	first   uint32
	members [][]int64
	left    int // for how many more there is room
}

func (r *Reconciler) remember(bits BucketBits, first, end uint32) *memory {
	return &memory{bits: bits, first: first, members: make([][]int64, end-first), left: r.PassBytes / rememberedBytes}
}

func (m *memory) add(k job.Key) {
	i := m.bits.bucket(k) - m.first // wraps around below first, and is then beyond the end
	if i < uint32(len(m.members)) {
		m.members[i] = append(m.members[i], m.bits.member(k))
		m.left--
	}
}

// lacks are the members of a bucket that are not remembered.
func (m *memory) lacks(i int, members []int64) []int64 {
	have := m.members[i]
	slices.Sort(have)
	return slices.DeleteFunc(members, func(member int64) bool {
		_, found := slices.BinarySearch(have, member)
		return found
	})
}

// page compares a page of the ledger with the view, and some of it with the bucket.
func (r *Reconciler) page(ctx context.Context, epoch int64, page Page, m *memory) error {
	mark, err := r.steady(ctx)
	if err != nil {
		return err
	}
	if mark.Epoch != epoch {
		return errOtherEpoch
	}
	keys := make([]job.Key, 0, len(page.Outputs)+len(page.Expired))
	for _, o := range page.Outputs {
		m.add(o.Key)
		keys = append(keys, o.Key)
	}
	keys = append(keys, page.Expired...) // not remembered: what the view still has of them at the end goes
	r.note(func(s *ReconcileStatus) { s.Scanned += int64(len(keys)) })

	answers := r.View.Lookup(ctx, mark, keys)
	if answers.Suspect {
		return errOtherEpoch // whoever looks up or follows finds it, too
	}
	fresh := time.Now().Add(-r.Grace)
	var lacking, expired []job.Key
	for i, k := range keys {
		switch {
		case i >= len(page.Outputs):
			if answers.Presence[i] == job.Hit {
				expired = append(expired, k)
			}
		case answers.Presence[i] == job.Miss && page.Outputs[i].CreatedAt.Before(fresh):
			lacking = append(lacking, k)
		}
	}
	r.foresee(time.Now(), page)
	if err := r.heal(ctx, epoch, lacking, expired); err != nil {
		return err
	}
	for _, o := range page.Outputs {
		if r.suspects.take(mark, o.Key) || rand.Float64() < r.SampleShare {
			r.sample(ctx, o)
		}
	}
	if answers.Err != nil {
		r.complain("the view could not be compared with all of the ledger", answers.Err)
	}
	return ctx.Err()
}

// heal has the follower look once more at keys that the view seems to lack, and at ones whose life seems to be over.
func (r *Reconciler) heal(ctx context.Context, epoch int64, lacking, expired []job.Key) error {
	for keys := range slices.Chunk(lacking, maxCorrected) {
		done := r.Follower.correct(ctx, &correction{epoch: epoch, look: keys})
		if err := r.through(ctx, done, len(keys)); err != nil {
			return err
		}
		r.found(viewLacks, done.added)
	}
	for keys := range slices.Chunk(expired, maxCorrected) {
		done := r.Follower.correct(ctx, &correction{epoch: epoch, look: keys})
		if err := r.through(ctx, done, len(keys)); err != nil {
			return err
		}
		r.found(viewExpired, done.removed)
	}
	return nil
}

// maxCorrected is how many keys a correction has: the follower does nothing else meanwhile.
const maxCorrected = 1000

// through counts a correction that failed. It returns an error when the pass cannot go on.
func (r *Reconciler) through(ctx context.Context, done corrected, keys int) error {
	switch {
	case done.err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	r.note(func(s *ReconcileStatus) { s.Failed += int64(keys) })
	if errors.Is(done.err, errOtherEpoch) || errors.Is(done.err, errRestless) {
		return done.err
	}
	r.complain("a difference was not put right; a later pass tries again", done.err)
	return nil
}

// Reading the view's buckets: so many in one go, and a pause after each.
const (
	bucketsAtOnce = 200
	bucketsPause  = 20 * time.Millisecond
)

// extra has dropped what the view has in the watched buckets and the ledger was not seen to have.
func (r *Reconciler) extra(ctx context.Context, mark Mark, w *watch, m *memory) error {
	return r.strangers(ctx, mark, m, func(drop []place) error {
		for places := range slices.Chunk(drop, maxCorrected) {
			done := r.Follower.correct(ctx, &correction{epoch: mark.Epoch, drop: places, watch: w})
			if err := r.through(ctx, done, len(places)); err != nil {
				return err
			}
			r.found(viewExtra, done.removed)
		}
		return nil
	})
}

// strangers calls do with what the view has in the buckets of a memory and the memory lacks, some buckets at a time.
func (r *Reconciler) strangers(ctx context.Context, mark Mark, m *memory, do func([]place) error) error {
	end := m.first + uint32(len(m.members))
	for first := m.first; first < end; first += bucketsAtOnce {
		view, err := r.View.members(ctx, mark, first, min(first+bucketsAtOnce, end))
		if err != nil {
			return err
		}
		var places []place
		for i, members := range view {
			bucket := first + uint32(i)
			for _, member := range m.lacks(int(bucket-m.first), members) {
				places = append(places, place{bucket, member})
			}
		}
		if err := do(places); err != nil {
			return err
		}
		if err := sleep(ctx, bucketsPause); err != nil {
			return err
		}
	}
	return nil
}

// sample looks whether the bucket has an output of the ledger, for as long as the ledger promises it. If not, the ledger is
// brought up to date, under the key's lock and by another look.
func (r *Reconciler) sample(ctx context.Context, o Output) {
	info, err := r.Objects.Head(ctx, job.ManifestPath(o.Key))
	if ctx.Err() != nil {
		return
	}
	missing := errors.Is(err, objects.ErrNotFound)
	tooLong := err == nil && o.ExpiresAt.After(info.LastModified.Add(r.Retention)) // as after the retention was made shorter
	r.note(func(s *ReconcileStatus) {
		s.Sampled++
		if missing {
			s.Missing++
		}
	})
	result := "present"
	if missing {
		result = "missing"
	}
	if missing || tooLong {
		var absent int
		if _, absent, err = r.recheck(ctx, o.Key); err == nil {
			r.found(ledgerExtra, absent)
		}
	} else if err != nil {
		result = "failed"
	}
	r.Metrics.sampled(result)
	if err != nil && ctx.Err() == nil {
		r.complain("an output could not be looked for in S3", err)
	}
}
