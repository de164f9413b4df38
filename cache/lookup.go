package cache

import (
	"context"
	"fmt"
	"time"

	"spate/job"
)

// Lookup answers for each key, in order: from the view, where a live epoch can be believed, else from the ledger.
// What neither could tell is unknown; there is no other error. A hit may be of an output that went away within the last
// seconds. Any number of keys may be asked for at once.
func (c *Cache) Lookup(ctx context.Context, keys []job.Key) []job.Presence {
	began := time.Now()
	defer func() { c.metrics.lookupTook(time.Since(began)) }()

	presence := c.askView(ctx, began, keys)
	c.count(sourceView, presence, job.Hit, job.Miss)

	var unknown []int
	for i, p := range presence {
		if p == job.Unknown {
			unknown = append(unknown, i)
		}
	}
	if len(unknown) == 0 {
		return presence
	}
	open := make([]job.Key, len(unknown))
	for i, index := range unknown {
		open[i] = keys[index]
	}
	answers, err := c.Ledger.Lookup(ctx, began, open)
	if err != nil {
		c.log.Warn().Err(err).Int("keys", len(open)).Msg("neither view nor ledger can tell of some keys")
	}
	for i, index := range unknown {
		presence[index] = answers[i]
	}
	c.count(sourceLedger, answers, job.Hit, job.Miss)
	c.count(sourceNone, answers, job.Unknown)
	return presence
}

// askView returns unknown for everything when there is no live epoch.
func (c *Cache) askView(ctx context.Context, now time.Time, keys []job.Key) []job.Presence {
	mark, live := c.Epochs.Current(ctx, now)
	if !live {
		return make([]job.Presence, len(keys))
	}
	answers := c.View.Lookup(ctx, mark, keys)
	c.Epochs.seen(mark.Epoch, answers.Sequence)
	if answers.Suspect && c.Epochs.doubt(mark.Epoch) {
		c.log.Warn().Int64("epoch", mark.Epoch).Msg("the view is not what was written; the ledger answers")
	}
	if answers.Err != nil {
		c.log.Warn().Err(answers.Err).Msg("the view did not answer for some keys")
	}
	return answers.Presence
}

func (c *Cache) count(source string, presence []job.Presence, which ...job.Presence) {
	for _, p := range which {
		n := 0
		for _, have := range presence {
			if have == p {
				n++
			}
		}
		c.metrics.lookedUp(source, p, n)
	}
}

// Used says that a run rests on these outputs, so that those are kept from expiring that are past half their life. It
// returns at once.
func (c *Cache) Used(keys []job.Key) { c.Refresher.Offer(keys) }

// Forget retracts an output whose manifest is gone from S3: from the ledger at once, from the view as soon as the
// follower sees it, even when the view alone had it. It looks once more: an output that was made anew meanwhile stays. One
// that the ledger does not hold is no error. A bucket that is missing is one: it proves nothing.
func (c *Cache) Forget(ctx context.Context, key job.Key) error {
	release := c.Ledger.Exclusive(key)
	defer release()
	c.Updater.retracted(key)
	now := time.Now()
	switch look := c.Updater.look(ctx, now, key); {
	case isBucketGone(look.err):
		return fmt.Errorf("forget output %s: %w", key.Short(), look.err)
	case look.result != resultPresent:
		if err := c.Ledger.bury(ctx, now, key); err != nil {
			return fmt.Errorf("forget output %s: %w", key.Short(), err)
		}
	}
	seen := map[job.Key]seenOutput{}
	// It looks again: what was made anew meanwhile is written over that.
	err := c.Updater.update(ctx, now, []job.Key{key}, seen)
	if s := seen[key]; s.result == resultFailed && !isBucketGone(s.err) { // better a miss than to wait for S3
		err = c.Ledger.Write(ctx, nil, []job.Key{key})
	}
	if err != nil {
		return fmt.Errorf("forget output %s: %w", key.Short(), err)
	}
	return nil
}
