package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"spate/internal/objects"
	"spate/job"
)

// What becomes of an output that is due.
const (
	refreshDone     = "refreshed"
	refreshYoung    = "young"    // somebody refreshed it before, or computed it again: the ledger was behind
	refreshGone     = "gone"     // there is no live manifest: it is out of the ledger, or will be
	refreshReplaced = "replaced" // the manifest was deleted or replaced meanwhile, and stays so
	refreshBroken   = "broken"   // a file is missing or of another size: the manifest was deleted
	refreshUnread   = "unread"   // the manifest is none that this program knows: left alone
	refreshLate     = "late"
	refreshFailed   = "failed"
)

// refresh copies an output in place: its files, then its manifest, then the ledger's item. The manifest is put again with
// If-Match, byte for byte: what somebody has deleted or replaced stays deleted or replaced. A crash in between leaves files
// that are younger than their manifest, which harms nobody.
func (r *Refresher) refresh(ctx context.Context, now time.Time, key job.Key) (result string, err error) {
	path := job.ManifestPath(key)
	data, info, err := r.Objects.Get(ctx, path)
	if isGone(err) {
		return settled(refreshGone, r.settle(ctx, key, Output{}, ""))
	}
	if err != nil {
		return refreshFailed, fmt.Errorf("refresh %s: %w", key.Short(), err)
	}
	manifest, err := job.ParseManifest(data, key)
	if err != nil {
		r.Log.Error().Err(err).Msg("an output in use is not refreshed")
		return refreshUnread, nil
	}
	output := Output{Key: key, Bytes: manifest.Bytes(), Run: manifest.Run}
	switch {
	case !info.LastModified.Add(r.Retention).After(now):
		return refreshGone, nil // the item expires by itself
	case !due(key, info.LastModified, r.Retention, now):
		return settled(refreshYoung, r.settle(ctx, key, output, info.ETag))
	}
	switch missing, err := r.copyFiles(ctx, manifest); {
	case err != nil:
		return refreshFailed, fmt.Errorf("refresh %s: %w", key.Short(), err)
	case missing != nil:
		return r.retract(ctx, key, info.ETag, missing)
	}
	if err := r.turn(ctx); err != nil {
		return refreshFailed, err
	}
	etag, err := r.Objects.Put(ctx, path, data, objects.Condition{IfMatch: info.ETag})
	if replaced(err) {
		return settled(refreshReplaced, r.settle(ctx, key, Output{}, ""))
	}
	if err != nil {
		return refreshFailed, fmt.Errorf("refresh %s: %w", key.Short(), err)
	}
	return settled(refreshDone, r.settle(ctx, key, output, etag))
}

func replaced(err error) bool {
	return errors.Is(err, objects.ErrPrecondition) || errors.Is(err, objects.ErrNotFound)
}

func settled(result string, err error) (string, error) {
	if err != nil {
		return refreshFailed, err
	}
	return result, nil
}

// copyFiles copies the files that a manifest names, and the job's log if there is one. missing says why the output is
// none: a file is not there, or of another size.
func (r *Refresher) copyFiles(ctx context.Context, m *job.Manifest) (missing, err error) {
	for _, f := range m.Files {
		if err := r.turns(ctx, f.Size); err != nil {
			return nil, err
		}
		err := r.Objects.Renew(ctx, m.Object(f), f.Size, r.Copies)
		switch {
		case errors.Is(err, objects.ErrNotFound), errors.Is(err, objects.ErrOtherSize):
			return err, nil
		case err != nil:
			return nil, err
		}
	}
	if m.LogBytes == 0 {
		return nil, nil
	}
	if err := r.turns(ctx, m.LogBytes); err != nil {
		return nil, err
	}
	if err := r.Objects.Renew(ctx, job.LogPath(m.Key, m.Attempt), -1, r.Copies); err != nil && !errors.Is(err, objects.ErrNotFound) {
		return nil, err
	}
	return nil, nil
}

// retract deletes the manifest that promises what is not there, as a worker does that meets it; then the ledger's item
// goes, and runs that counted on the output make it again when they look for it.
func (r *Refresher) retract(ctx context.Context, key job.Key, etag string, why error) (string, error) {
	r.Log.Error().Err(why).Stringer("key", key).Msg("an output in use is broken; retracting it")
	err := r.Objects.Delete(ctx, job.ManifestPath(key), objects.Condition{IfMatch: etag})
	if replaced(err) {
		return settled(refreshReplaced, r.settle(ctx, key, Output{}, ""))
	}
	if err != nil {
		return refreshFailed, fmt.Errorf("retract %s: %w", key.Short(), err)
	}
	return settled(refreshBroken, r.settle(ctx, key, Output{}, ""))
}

// settle brings the ledger up to date with S3: an item whose manifest is gone is deleted, and one of the manifest with the
// ETag is renewed. Of another manifest its own notification tells. The item lives no longer than the manifest does, and one
// that somebody deletes meanwhile, in whatever process, stays deleted.
func (r *Refresher) settle(ctx context.Context, key job.Key, output Output, etag string) error {
	release := r.Ledger.Exclusive(key)
	defer release()
	info, err := r.Objects.Head(ctx, job.ManifestPath(key))
	if errors.Is(err, objects.ErrNotFound) { // or the bucket is, which a HEAD does not tell
		_, info, err = r.Objects.Get(ctx, job.ManifestPath(key))
	}
	switch {
	case isGone(err):
		if err := r.Ledger.Write(ctx, nil, []job.Key{key}); err != nil {
			return fmt.Errorf("forget output %s: %w", key.Short(), err)
		}
		return nil
	case err != nil:
		return fmt.Errorf("look for output %s: %w", key.Short(), err)
	case info.ETag != etag:
		return nil
	}
	output.CreatedAt, output.ExpiresAt = info.LastModified, info.LastModified.Add(r.Retention)
	_, err = r.Ledger.Renew(ctx, output)
	return err
}
