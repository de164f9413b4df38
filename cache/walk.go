package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"spate/internal/objects"
	"spate/job"
)

// prefixes are how many outputs lie below: the first byte of a key names its prefix.
const prefixes = 256

// walk lists the bucket, prefix by prefix and for ever, and has those outputs looked at that the cache does not know of:
// their notifications were lost. What the view has below a prefix and the listing did not is suspect: the next pass through
// the ledger, which knows its key, looks for it in the bucket. Without a view the listing goes on, and asks the ledger.
func (r *Reconciler) walk(ctx context.Context) error {
	listed, began := 0, time.Now()
	for prefix := rand.IntN(prefixes); ; prefix = (prefix + 1) % prefixes {
		if err := r.walkPrefix(ctx, prefix); err != nil {
			return err
		}
		listed++
		r.note(func(s *ReconcileStatus) { s.ListShare = float64(listed) / prefixes })
		if listed < prefixes {
			continue
		}
		ended := time.Now()
		r.note(func(s *ReconcileStatus) { s.ListEnded = ended })
		if err := sleep(ctx, r.WalkEvery-ended.Sub(began)); err != nil {
			return err
		}
		listed, began = 0, time.Now()
	}
}

// viewPause is for how long the walk does without a view that did not answer: each try takes half a minute.
const viewPause = 10 * time.Minute

// viewOfWalk is the live epoch, if the walk may ask it.
func (r *Reconciler) viewOfWalk(ctx context.Context) (Mark, bool) {
	if time.Now().Before(r.viewAgain) {
		return Mark{}, false
	}
	return r.isSteady(ctx)
}

// walkPrefix lists one prefix to its end, whatever fails on the way.
func (r *Reconciler) walkPrefix(ctx context.Context, prefix int) error {
	mark, live := r.viewOfWalk(ctx)
	seen := &memory{left: -1} // there is nothing to compare it with
	if live {
		buckets := uint32(mark.Bits.buckets() / prefixes)
		seen = r.remember(mark.Bits, uint32(prefix)*buckets, uint32(prefix+1)*buckets)
	}
	after := ""
	for failures := 0; ; failures++ {
		err := r.walkFrom(ctx, job.OutputsBelow(fmt.Sprintf("%02x", prefix)), &after, seen)
		if err == nil {
			return r.suspect(ctx, mark, seen)
		}
		if err := r.hold(ctx, "the walk through the bucket waits", err, failures); err != nil {
			return err
		}
	}
}

// suspect compares the view with what a listing has seen below a prefix. An output that was made since then is suspect for
// nothing, which costs a HEAD.
func (r *Reconciler) suspect(ctx context.Context, mark Mark, seen *memory) error {
	now, live := r.viewOfWalk(ctx)
	if !live || now.Epoch != mark.Epoch || seen.left < 0 {
		return nil
	}
	var found []place
	err := r.strangers(ctx, now, seen, func(places []place) error {
		found = append(found, places...)
		return nil
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		r.viewAgain = time.Now().Add(viewPause)
		r.complain("the view could not be compared with the bucket", err)
	default:
		r.suspects.replace(mark.Epoch, seen.first, seen.first+uint32(len(seen.members)), found)
	}
	return nil
}

// suspects are places of the view whose outputs a listing did not find in the bucket. The zero value has none. It is safe
// for concurrent use.
type suspects struct {
	mu     sync.Mutex
	epoch  int64
	places map[place]struct{}
}

// maxSuspects bounds how many are remembered; of more, the first will do.
const maxSuspects = 100_000

// replace makes these the suspects of some buckets.
func (s *suspects) replace(epoch int64, first, end uint32, places []place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != epoch || s.places == nil {
		s.epoch, s.places = epoch, map[place]struct{}{}
	}
	for p := range s.places {
		if first <= p.bucket && p.bucket < end {
			delete(s.places, p)
		}
	}
	for _, p := range places {
		if len(s.places) < maxSuspects {
			s.places[p] = struct{}{}
		}
	}
}

// take reports whether a key is suspect, once.
func (s *suspects) take(mark Mark, k job.Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.places) == 0 || s.epoch != mark.Epoch {
		return false
	}
	p := place{mark.Bits.bucket(k), mark.Bits.member(k)}
	_, is := s.places[p]
	delete(s.places, p)
	return is
}

// walkFrom lists until the end or an error, and moves after on.
func (r *Reconciler) walkFrom(ctx context.Context, prefix string, after *string, seen *memory) error {
	if err := r.lists.Wait(ctx); err != nil {
		return err
	}
	for page, err := range r.Objects.Pages(ctx, prefix, *after) {
		if err != nil {
			return err
		}
		if err := r.unknown(ctx, page); err != nil {
			return err
		}
		for _, o := range page {
			if key, ok := job.ParseManifestPath(o.Key); ok && seen.left >= 0 {
				seen.add(key)
			}
		}
		r.note(func(s *ReconcileStatus) { s.Listed += int64(len(page)) })
		if len(page) > 0 {
			*after = page[len(page)-1].Key
		}
		if err := r.lists.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// unknown has those outputs of a page looked at that neither view nor ledger has. Outputs of just now are on their way,
// ones past their life are none.
func (r *Reconciler) unknown(ctx context.Context, page []objects.Info) error {
	now := time.Now()
	var keys []job.Key
	for _, o := range page {
		key, ok := job.ParseManifestPath(o.Key)
		made := o.LastModified.Truncate(time.Second) // as the ledger has it
		if ok && made.Before(now.Add(-r.Grace)) && made.Add(r.Retention).After(now) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	open := keys // without the view the ledger is asked for all of them, which takes longer
	if mark, is := r.viewOfWalk(ctx); is {
		open = nil
		answers := r.View.Lookup(ctx, mark, keys)
		if answers.Err != nil {
			r.viewAgain = time.Now().Add(viewPause)
		}
		for i, p := range answers.Presence {
			if p != job.Hit {
				open = append(open, keys[i])
			}
		}
	}
	if err := pay(ctx, r.pace, float64(len(open))); err != nil {
		return err
	}
	have, err := r.Ledger.Get(ctx, now, open...)
	if err != nil {
		return err
	}
	open = slices.DeleteFunc(open, func(k job.Key) bool { _, found := have[k]; return found })
	for batch := range slices.Chunk(open, maxReads) {
		present, _, err := r.recheck(ctx, batch...)
		if err != nil {
			return err
		}
		r.found(ledgerLacks, present)
	}
	return nil
}

// recheck brings the ledger up to date with the bucket for some keys, as a notification would. It returns how many are in
// the bucket and how many are not.
func (r *Reconciler) recheck(ctx context.Context, keys ...job.Key) (present, absent int, err error) {
	defer r.Ledger.Exclusive(keys...)()
	seen := make(map[job.Key]seenOutput, len(keys))
	err = r.Updater.update(ctx, time.Now(), keys, seen)
	for _, s := range seen {
		switch s.result {
		case resultPresent:
			present++
		case resultAbsent, resultExpired, resultPoison: // a manifest that cannot be read is no output to anybody
			absent++
		}
	}
	return present, absent, err
}
