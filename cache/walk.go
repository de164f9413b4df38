package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"spate/internal/objects"
	"spate/job"
)

// walk lists the bucket, prefix by prefix and for ever, and has those outputs looked at that the cache does not know of:
// their notifications were lost.
func (r *Reconciler) walk(ctx context.Context) error {
	const prefixes = 256
	listed, began := 0, time.Now()
	for prefix := rand.IntN(prefixes); ; prefix = (prefix + 1) % prefixes {
		if err := r.walkPrefix(ctx, fmt.Sprintf("%02x", prefix)); err != nil {
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

// walkPrefix lists one prefix to its end, whatever fails on the way.
func (r *Reconciler) walkPrefix(ctx context.Context, digits string) error {
	after := ""
	for failures := 0; ; failures++ {
		err := r.walkFrom(ctx, job.OutputsBelow(digits), &after)
		if err == nil {
			return nil
		}
		if err := r.hold(ctx, "the walk through the bucket waits", err, failures); err != nil {
			return err
		}
	}
}

func (r *Reconciler) walkFrom(ctx context.Context, prefix string, after *string) error {
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
		if ok && o.LastModified.Before(now.Add(-r.Grace)) && o.LastModified.Add(r.Retention).After(now) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	mark, err := r.steady(ctx) // without the view the ledger would have to be asked for all of them
	if err != nil {
		return err
	}
	answers := r.View.Lookup(ctx, mark, keys)
	if answers.Err != nil {
		return answers.Err
	}
	var open []job.Key
	for i, p := range answers.Presence {
		if p != job.Hit {
			open = append(open, keys[i])
		}
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
