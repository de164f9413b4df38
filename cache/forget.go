package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"spate/internal/objects"
	"spate/internal/table"
	"spate/job"
)

// Forgotten is the record that somebody took an output back.
type Forgotten struct {
	Key    string    `dynamodbav:"key" json:"key"`
	By     string    `dynamodbav:"by" json:"by"`
	Reason string    `dynamodbav:"reason" json:"reason"` // may be empty
	At     time.Time `dynamodbav:"at" json:"at"`
	Made   time.Time `dynamodbav:"made" json:"made_at,omitzero"` // when its manifest was written; zero when S3 had none

	ExpiresAt int64 `dynamodbav:"expires_at" json:"-"`
}

// forgottenPrefix begins the sort keys of these records, below table.CacheRecords; the key and the time follow.
const forgottenPrefix = "FORGOTTEN#"

// keepForgotten is how long it is known who took an output back.
const keepForgotten = 90 * 24 * time.Hour

type forgottenItem struct {
	table.Key
	Forgotten
}

// ErrMadeAnew says that an output was made anew while it was being taken back: the new one stays.
var ErrMadeAnew = errors.New("it was made anew meanwhile")

// Forget takes an output back that somebody asked about before: told is what was found then. First it is noted who did it, then
// the manifest is deleted, if it is still the one that was found ([ErrMadeAnew]), and then the ledger's item; the follower
// takes it out of the view. An output that is not there is no error: what ledger or view may say of it is deleted all the same.
//
// Manifest first: from then on S3 denies the output, and whoever looks there, as the updater does, cannot put it back. An
// updater that had read the manifest just before may write its item just after this deleted it: S3 tells of the removal,
// and the updater looks again and deletes it. Until then the cache has a wrong hit, for as long as a notification takes. A
// worker that makes the output anew meanwhile is seen by a look before the item is deleted, or by one afterwards, which puts the
// item back: both end with [ErrMadeAnew].
func (w Witnesses) Forget(ctx context.Context, records *table.Table, told Testimony, by, reason string) (Forgotten, error) {
	now := time.Now().UTC()
	f := Forgotten{Key: told.Key.String(), By: by, Reason: reason, At: now, Made: told.Made, ExpiresAt: now.Add(keepForgotten).Unix()}
	sk := forgottenPrefix + f.Key + "#" + now.Format("20060102T150405.000000000Z")
	if err := records.Put(ctx, forgottenItem{table.Key{PK: table.CacheRecords, SK: sk}, f}, table.Condition{}); err != nil {
		return Forgotten{}, fmt.Errorf("note who forgets output %s: %w", told.Key.Short(), err)
	}
	if !told.Made.IsZero() {
		err := w.S3.Delete(ctx, job.ManifestPath(told.Key), objects.Condition{IfMatch: told.ETag})
		switch {
		case errors.Is(err, objects.ErrPrecondition):
			return f, fmt.Errorf("forget output %s: %w", told.Key.Short(), ErrMadeAnew)
		case err != nil && !errors.Is(err, objects.ErrNotFound):
			return f, fmt.Errorf("forget output %s: %w", told.Key.Short(), err)
		}
	}
	release := w.Ledger.Exclusive(told.Key)
	defer release()
	if err := w.bury(ctx, now, told.Key); err != nil {
		return f, fmt.Errorf("forget output %s: %w", told.Key.Short(), err)
	}
	return f, nil
}

// bury takes an output out of the ledger that S3 does not have. One that is there after all, or comes meanwhile, stays, or is
// put back: [ErrMadeAnew]. The caller holds the key.
func (w Witnesses) bury(ctx context.Context, now time.Time, key job.Key) error {
	switch seen := look(ctx, w.S3, now, key, w.Retention); seen.result {
	case resultPresent:
		return ErrMadeAnew
	case resultFailed:
		return seen.err
	}
	if err := w.Ledger.bury(ctx, now, key); err != nil {
		return err
	}
	for range settleTries {
		seen, again, err := bring(ctx, w.S3, w.Ledger, w.Retention, []job.Key{key})
		switch {
		case err != nil:
			return err
		case again[0]:
		case seen[0].result == resultPresent:
			return ErrMadeAnew
		default:
			return nil
		}
	}
	return errors.New("it changes each time it is looked at")
}

// ReadForgotten reads who took an output back, the newest last.
func ReadForgotten(ctx context.Context, t *table.Table, key job.Key) ([]Forgotten, error) {
	var all []Forgotten
	for item, err := range table.Query[forgottenItem](ctx, t, table.CacheRecords, forgottenPrefix+key.String()+"#") {
		if err != nil {
			return nil, fmt.Errorf("read who forgot output %s: %w", key.Short(), err)
		}
		all = append(all, item.Forgotten)
	}
	return all, nil
}
