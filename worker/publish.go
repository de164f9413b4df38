package worker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"spate/internal/objects"
	"spate/job"
)

// standing is what was found in the place of a key's manifest.
type standing struct {
	manifest *job.Manifest // nil: none, or one that cannot be read
	etag     string        // "": none
	modified time.Time
}

// claim says what to do about a key's output, given what stands in its place.
type claim struct {
	done      bool // a live output exists
	condition objects.Condition
	reason    string
}

// decide judges what stands in the place of a key's manifest at now. replaces is the output that counts as absent.
func decide(found standing, replaces job.Replaced, retention time.Duration, now time.Time) claim {
	replace := objects.Condition{IfMatch: found.etag}
	switch {
	case found.etag == "":
		return claim{condition: objects.Condition{IfAbsent: true}, reason: "there is no output"}
	case found.manifest == nil:
		return claim{condition: replace, reason: "the manifest cannot be read"}
	case replaces.Is(job.Replaced{ETag: found.etag, Attempt: found.manifest.Attempt}):
		return claim{condition: replace, reason: "the output is to be made again"}
	case now.Sub(found.modified) >= retention:
		return claim{condition: replace, reason: "the output is older than the retention"}
	}
	return claim{done: true, reason: "a live output exists"}
}

// get reads a small object. objects.ErrNotFound: there is none.
func (w *Worker) get(ctx context.Context, h *hold, object string) (data []byte, info objects.Info, err error) {
	err = persistS3(ctx, h, "read "+object, func() error {
		call, cancel := context.WithTimeout(ctx, transferBase)
		defer cancel()
		data, info, err = w.opt.Objects.Get(call, object)
		return err
	})
	return data, info, err
}

// find reads what stands in the place of a key's manifest.
func (w *Worker) find(ctx context.Context, h *hold, key job.Key) (standing, error) {
	data, info, err := w.get(ctx, h, job.ManifestPath(key))
	if errors.Is(err, objects.ErrNotFound) {
		return standing{}, nil
	}
	if err != nil {
		return standing{}, err
	}
	found := standing{etag: info.ETag, modified: info.LastModified}
	found.manifest, err = job.ParseManifest(data, key)
	if err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("the output's manifest will be replaced")
	}
	return found, nil
}

// publisher makes one job's output visible.
type publisher struct {
	w        *Worker
	held     *hold
	out      *output
	replaces job.Replaced // the output that counts as absent
}

// attemptName names the directory of one execution's files; no two are alike.
func attemptName(attempt int) string {
	var unique [8]byte
	_, _ = rand.Read(unique[:]) // never fails
	return fmt.Sprintf("a%d-%s", attempt, hex.EncodeToString(unique[:]))
}

// publish uploads the files and then the manifest, and returns the manifest that stands: m, or the live one of somebody
// who was faster, in which case our files are deleted again.
func (p *publisher) publish(ctx context.Context, m *job.Manifest) (*job.Manifest, error) {
	if err := p.upload(ctx, m); err != nil {
		p.withdraw(ctx, m)
		return nil, err
	}
	stands, err := p.seal(ctx, m)
	if err != nil {
		// Whether the manifest was written is not known: the files must stay.
		return nil, err
	}
	if stands.Attempt != m.Attempt {
		p.withdraw(ctx, m)
	}
	return stands, nil
}

func (p *publisher) upload(ctx context.Context, m *job.Manifest) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(transfersAtOnce)
	for _, f := range p.out.files {
		group.Go(func() error {
			object := m.Object(f.File)
			return persistS3(ctx, p.held, "write "+object, func() error { return p.put(ctx, object, f) })
		})
	}
	return group.Wait()
}

func (p *publisher) put(ctx context.Context, object string, f outputFile) error {
	body, err := f.root.Open(f.name)
	if err != nil {
		return onDisk(err)
	}
	defer body.Close()
	ctx, cancel := context.WithTimeout(ctx, transferTime(f.Size))
	defer cancel()
	if _, err := p.w.opt.Objects.PutStream(ctx, object, body, f.Size); err != nil {
		return err
	}
	p.w.metrics.published.Add(float64(f.Size))
	return nil
}

// seal puts the manifest where there is no live one, and returns the one that stands.
func (p *publisher) seal(ctx context.Context, m *job.Manifest) (*job.Manifest, error) {
	data, err := m.Encode()
	if err != nil {
		return nil, err
	}
	object := job.ManifestPath(m.Key)
	condition := objects.Condition{IfAbsent: p.replaces.ETag == "", IfMatch: p.replaces.ETag}
	for {
		err := persistS3(ctx, p.held, "write "+object, func() error {
			call, cancel := context.WithTimeout(ctx, transferBase)
			defer cancel()
			_, err := p.w.opt.Objects.Put(call, object, data, condition)
			return err
		})
		if err == nil {
			return m, nil
		}
		if !errors.Is(err, objects.ErrPrecondition) && !errors.Is(err, objects.ErrNotFound) {
			return nil, err
		}
		found, err := p.w.find(ctx, p.held, m.Key)
		if err != nil {
			return nil, err
		}
		next := decide(found, p.replaces, p.w.opt.Retention, time.Now())
		if next.done {
			return found.manifest, nil // perhaps ours, by an earlier try that had its effect although it failed
		}
		condition = next.condition
	}
}

// withdrawTime bounds the deletion of files that do not count.
const withdrawTime = 30 * time.Second

// withdraw deletes our files, as far as that goes: what stays is never read, and expires with the bucket's lifecycle. A
// worker that stops has no time for it.
func (p *publisher) withdraw(ctx context.Context, m *job.Manifest) {
	call, cancel := context.WithTimeout(ctx, withdrawTime)
	defer cancel()
	group, call := errgroup.WithContext(call)
	group.SetLimit(transfersAtOnce)
	for _, f := range p.out.files {
		group.Go(func() error { return p.w.opt.Objects.Delete(call, m.Object(f.File), objects.Condition{}) })
	}
	if err := group.Wait(); err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("could not delete files that do not count")
	}
}
