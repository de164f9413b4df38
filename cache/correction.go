package cache

import (
	"context"
	"encoding/binary"
	"errors"
	"math/bits"
	"time"

	"spate/job"
)

// Why a correction is not made.
var (
	errOtherEpoch = errors.New("the epoch is not live any more, or another is being built")
	errRestless   = errors.New("more changes than a pass may remember")
)

// correction is what reconciliation asks the view's one writer to put right.
type correction struct {
	epoch int64     // that was compared
	look  []job.Key // of which the ledger is to be asked once more, and believed
	drop  []place   // that the ledger was seen to lack; left alone if they have changed since the watch began
	watch *watch    // that was kept meanwhile; of drop only

	asked time.Time     // when
	done  chan struct{} // closed when the follower is through with it
	corrected
}

// corrected is what came of a correction.
type corrected struct {
	added, removed int
	err            error
}

// place is where a key stands in an epoch: all that Redis knows of it.
type place struct {
	bucket uint32
	member int64
}

// key begins as the keys that belong there and is zero beyond.
func (p place) key(b BucketBits) job.Key {
	n := bits.TrailingZeros(uint(b.buckets())) // bits of the bucket, followed by 64 of the member
	var k job.Key
	binary.BigEndian.PutUint64(k[:8], uint64(p.bucket)<<(64-n)|uint64(p.member)>>n)
	binary.BigEndian.PutUint64(k[8:16], uint64(p.member)<<(64-n))
	return k
}

// maxWatched bounds what a watch remembers, at some 40 bytes each.
const maxWatched = 1_000_000

// watch remembers which places of some buckets the follower has changed. It is used by the follower's goroutine only.
type watch struct {
	bits       BucketBits
	first, end uint32 // buckets, the end not among them
	changed    map[place]struct{}
	overflow   bool
}

func (w *watch) note(keys []job.Key) {
	for _, k := range keys {
		p := place{w.bits.bucket(k), w.bits.member(k)}
		if p.bucket < w.first || p.bucket >= w.end {
			continue
		}
		if len(w.changed) == maxWatched {
			w.overflow = true
			return
		}
		w.changed[p] = struct{}{}
	}
}

// correct hands a correction to the follower and waits until it is made or refused.
func (f *Follower) correct(ctx context.Context, c *correction) corrected {
	c.asked, c.done = time.Now(), make(chan struct{})
	select {
	case f.corrections <- c:
	case <-ctx.Done():
		return corrected{err: ctx.Err()}
	}
	select {
	case <-c.done:
		return c.corrected
	case <-ctx.Done():
		return corrected{err: ctx.Err()}
	}
}

// takeCorrection makes one correction, if there is one. It fails for the one who asked for it, not for the session, unless
// the session cannot go on.
func (s *session) takeCorrection(ctx context.Context, now time.Time) error {
	var c *correction
	select {
	case c = <-s.corrections:
	default:
		return nil
	}
	defer close(c.done)
	if len(c.drop) > 0 && c.watch.overflow {
		c.err = errRestless
		return nil
	}
	if s.live == nil || s.live.Mark().Epoch != c.epoch || s.build != nil && len(c.drop) > 0 { // a place is of one epoch
		c.err = errOtherEpoch
		return nil
	}
	if c.asked.After(now) { // a life may have ended since the round began
		now = c.asked
	}
	add, remove, err := s.truth(ctx, now, c.look)
	if err == nil {
		remove = append(remove, c.dropped()...)
		c.added, c.removed = len(add), len(remove)
		err = s.apply(ctx, now, add, remove)
	}
	if err == nil && s.live == nil { // found lost while writing
		err = errOtherEpoch
	}
	c.err = err
	if errors.Is(err, ErrSuperseded) {
		return err
	}
	return nil
}

// dropped are the places to remove, as keys that begin like the ones that nobody knows.
func (c *correction) dropped() []job.Key {
	var keys []job.Key
	for _, p := range c.drop {
		if _, changed := c.watch.changed[p]; !changed {
			keys = append(keys, p.key(c.watch.bits))
		}
	}
	return keys
}
