package cache

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"spate/internal/objects"
	"spate/job"
)

// Bucket is what Witnesses use of *objects.Store, whose contract it is.
type Bucket interface {
	manifests
	Delete(ctx context.Context, key string, c objects.Condition) error
	Pages(ctx context.Context, prefix, after string) iter.Seq2[[]objects.Info, error]
	Check(ctx context.Context) error // an error when there is no such bucket
}

// Witnesses are the cache's three parts, asked apart from one another, for people who want to know which of them says
// what. All fields but View and Epochs are required.
type Witnesses struct {
	View      *View // nil: it is not asked
	Epochs    *Epochs
	Ledger    *Ledger
	S3        Bucket
	Retention time.Duration // outputs older than this count as absent

	heads *rate.Limiter // of requests for manifests in a verification, which has looked for the bucket; else nil
}

// Testimony is what each part says of one output. Unknown: it could not tell, or was not asked.
type Testimony struct {
	Key    job.Key
	View   job.Presence
	Ledger job.Presence
	S3     job.Presence

	Item *Output   // of the ledger, expired ones that have not been deleted yet included; nil when there is none
	Made time.Time // when the manifest was written, live or not; zero when there is none
	ETag string    // of the manifest
}

// Disagreement is how the parts disagree about an output.
type Disagreement string

// The disagreements. Only a wrong hit skips a job whose output is gone; the others cost a job that runs again.
const (
	WrongHit    Disagreement = "wrong_hit"     // view or ledger has it, and S3 does not
	LateExpiry  Disagreement = "late_expiry"   // the ledger promises it for longer than S3's copy counts
	NotInLedger Disagreement = "not_in_ledger" // S3 has it, and the ledger does not
	NotInView   Disagreement = "not_in_view"   // S3 and ledger have it, and the view does not
)

// Disagreement is how the parts disagree; "" when they do not, as far as they could tell.
func (t Testimony) Disagreement(retention time.Duration) Disagreement {
	switch {
	case t.S3 == job.Miss && (t.View == job.Hit || t.Ledger == job.Hit):
		return WrongHit
	case t.S3 != job.Hit:
		return ""
	case t.Ledger == job.Hit && t.Item.ExpiresAt.After(t.Made.Add(retention)):
		return LateExpiry
	case t.Ledger == job.Miss:
		return NotInLedger
	case t.Ledger == job.Hit && t.View == job.Miss:
		return NotInView
	}
	return ""
}

// parallelHeads is how many manifests are asked for at once; a verification asks about some batches at the same time.
const parallelHeads = 64 / parallelBatches

// Ask asks all parts for keys, in order: first the view, then the ledger, then S3, so that what is made meanwhile looks
// like something that the earlier ones lack, and not like a wrong hit. The error says what went wrong; a [ViewError] only
// where ledger and S3 could be asked. The testimonies hold all that could be told.
func (w Witnesses) Ask(ctx context.Context, now time.Time, keys ...job.Key) ([]Testimony, error) {
	told := make([]Testimony, len(keys))
	for i, k := range keys {
		told[i].Key = k
	}
	viewErr := w.askView(ctx, now, keys, told)
	if err := w.askLedger(ctx, now, keys, told); err != nil {
		return told, err
	}
	if err := w.askS3(ctx, now, told); err != nil {
		return told, err
	}
	return told, viewErr
}

func (w Witnesses) askView(ctx context.Context, now time.Time, keys []job.Key, told []Testimony) error {
	if w.View == nil {
		return nil
	}
	mark, live := w.Epochs.Current(ctx, now)
	if !live {
		return nil
	}
	answers := w.View.Lookup(ctx, mark, keys)
	for i, p := range answers.Presence {
		told[i].View = p
	}
	if answers.Err != nil {
		return &ViewError{answers.Err}
	}
	return nil
}

// ViewError says that Redis could not be asked: from most desks it is out of reach.
type ViewError struct{ err error }

// Error says why.
func (e *ViewError) Error() string { return "ask view: " + e.err.Error() }

func (e *ViewError) Unwrap() error { return e.err }

func (w Witnesses) askLedger(ctx context.Context, now time.Time, keys []job.Key, told []Testimony) error {
	items, err := w.Ledger.Get(ctx, time.Time{}, keys...) // those that have expired, too
	if err != nil {
		return err
	}
	for i := range told {
		told[i].Ledger = job.Miss
		if item, ok := items[told[i].Key]; ok {
			told[i].Item = &item
			if item.ExpiresAt.After(now) {
				told[i].Ledger = job.Hit
			}
		}
	}
	return nil
}

// bucketIsThere fails without a bucket, of which all objects seem to be missing.
func (w Witnesses) bucketIsThere(ctx context.Context) error {
	if err := w.S3.Check(ctx); err != nil {
		return fmt.Errorf("ask S3: %w", err)
	}
	return nil
}

func (w Witnesses) askS3(ctx context.Context, now time.Time, told []Testimony) error {
	if w.heads == nil {
		if err := w.bucketIsThere(ctx); err != nil {
			return err
		}
	}
	heads, ctx := errgroup.WithContext(ctx)
	heads.SetLimit(parallelHeads)
	for i := range told {
		heads.Go(func() error {
			if w.heads != nil {
				if err := w.heads.Wait(ctx); err != nil {
					return fmt.Errorf("wait for a turn: %w", err)
				}
			}
			t := &told[i]
			info, err := w.S3.Head(ctx, job.ManifestPath(t.Key))
			if errors.Is(err, objects.ErrNotFound) {
				t.S3 = job.Miss
				return nil
			}
			if err != nil {
				return fmt.Errorf("ask S3: %w", err)
			}
			t.Made, t.ETag, t.S3 = info.LastModified, info.ETag, job.Miss
			if t.Made.Add(w.Retention).After(now) {
				t.S3 = job.Hit
			}
			return nil
		})
	}
	return heads.Wait()
}

// Leftovers is what lies in S3 of an output: files of attempts, whether or not a manifest names them.
type Leftovers struct {
	Files  int       `json:"files"`
	Newest time.Time `json:"newest,omitzero"` // when the last of them was written
}

// Leftovers lists what lies in S3 of an output beside its manifest.
func (w Witnesses) Leftovers(ctx context.Context, key job.Key) (Leftovers, error) {
	var r Leftovers
	for page, err := range w.S3.Pages(ctx, job.OutputPrefix(key), "") {
		if err != nil {
			return Leftovers{}, fmt.Errorf("look for files of output %s: %w", key.Short(), err)
		}
		for _, info := range page {
			if info.Key == job.ManifestPath(key) {
				continue
			}
			if r.Files++; info.LastModified.After(r.Newest) {
				r.Newest = info.LastModified
			}
		}
	}
	return r, nil
}
