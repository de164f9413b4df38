package cache

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"spate/internal/objects"
	"spate/job"
)

// Listing is what finds outputs in the bucket, of *objects.Store, whose contract it is.
type Listing interface {
	manifests
	Pages(ctx context.Context, prefix, after string) iter.Seq2[[]objects.Info, error]
}

// LedgerRebuildOptions configure RebuildLedger. Objects, Ledger, Cursors and Retention are required.
type LedgerRebuildOptions struct {
	Objects        Listing
	Ledger         *Ledger // that may be written
	Cursors        Cursors
	Retention      time.Duration
	Fresh          bool // begin anew even where an earlier try could be gone on with
	Parallel       int  // prefixes at the same time; default 16
	PagesPerSecond int  // LIST requests, of a thousand objects each; default 100
	Log            zerolog.Logger
}

func (o *LedgerRebuildOptions) validate() error {
	switch {
	case o.Objects == nil || o.Ledger == nil || o.Cursors == nil:
		return errors.New("rebuild ledger: objects, ledger and cursors are required")
	case o.Retention <= 0 || o.Parallel < 0 || o.PagesPerSecond < 0:
		return errors.New("rebuild ledger: retention, parallel and pages per second must be positive")
	}
	if o.Parallel == 0 {
		o.Parallel = 16
	}
	if o.PagesPerSecond == 0 {
		o.PagesPerSecond = 100
	}
	return nil
}

// maxUnreadKeys is how many unreadable manifests a rebuild names.
const maxUnreadKeys = 100

// LedgerRebuild is how far the rebuild of a ledger has come. What a try counts that goes on with an earlier one is the rest.
type LedgerRebuild struct {
	Prefixes int   `json:"prefixes"` // of the bucket, of which outputs lie below 256
	Done     int   `json:"done"`     // prefixes that are listed to their end
	Objects  int64 `json:"objects"`  // listed
	Outputs  int64 `json:"outputs"`  // whose manifest is there and not older than the retention
	Written  int64 `json:"written"`  // outputs that the ledger lacked, or had with an older date
	Gone     int64 `json:"gone"`     // outputs that went away between being listed and being written
	Unread   int64 `json:"unread"`   // outputs whose manifest cannot be read: they count as absent
	// UnreadKeys are at most maxUnreadKeys of them.
	UnreadKeys []job.Key `json:"unread_keys,omitempty"`
	Resumed    bool      `json:"resumed"` // goes on with an earlier try
	Began      time.Time `json:"began"`   // the earlier try, where it is gone on with
}

// cursorsLast is for how long a rebuild that was interrupted can be gone on with: what changed in the part that it had
// listed has reached the ledger through notifications, if they work at all.
const cursorsLast = 24 * time.Hour

// RebuildLedger brings into the ledger what the bucket holds and the ledger lacks, or has with an older date: for a table
// that was lost or restored, or after notifications were lost. It removes only what it lists and then finds gone: other items whose output is gone are for the
// [Reconciler], and expire. A try that ended early is gone on with, by the cursors that it left. progress, which may be nil, is
// called now and then, never twice at the same time.
//
// A listing of 10 million outputs of three files takes some 40,000 LIST requests ($0.20) and, where the ledger has them
// all, 10 million read units ($1.25). What is written costs a GET of the manifest, which is no dearer than a HEAD and tells
// run and bytes, a HEAD and a write: about $1.43 for each million (Amazon S3 and DynamoDB pricing, us-east-1).
//
// An output may be deleted between the look at it and the write, and its notification be handled before the write. So
// what was written is looked at once more; what is gone then is removed, and what is deleted later is removed by its own
// notification. In the same way what was found gone is looked for once more, and is put back if it was made anew. Which outputs are between the two is kept in the cursor, so that a process that dies there is no exception.
func RebuildLedger(ctx context.Context, o LedgerRebuildOptions, progress func(LedgerRebuild)) (LedgerRebuild, error) {
	if err := o.validate(); err != nil {
		return LedgerRebuild{}, err
	}
	r := &relist{LedgerRebuildOptions: o, pace: rate.NewLimiter(rate.Limit(o.PagesPerSecond), 1), tell: progress}
	cursors, err := r.begin(ctx, time.Now().UTC())
	if err != nil {
		return LedgerRebuild{}, fmt.Errorf("rebuild ledger: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(o.Parallel)
	for _, c := range cursors {
		if c.Done {
			continue
		}
		group.Go(func() error { return r.list(ctx, c) })
	}
	err = group.Wait()
	if err != nil {
		err = fmt.Errorf("rebuild ledger: %w", err)
	}
	return r.so(), err
}

// relist is one run of RebuildLedger.
type relist struct {
	LedgerRebuildOptions
	pace *rate.Limiter

	mu   sync.Mutex
	sum  LedgerRebuild
	tell func(LedgerRebuild)
}

// begin finds where each prefix stands.
func (r *relist) begin(ctx context.Context, now time.Time) ([]Cursor, error) {
	cursors := make([]Cursor, 256)
	for i := range cursors {
		cursors[i] = Cursor{Prefix: fmt.Sprintf("%02x", i), Began: now}
	}
	saved, err := r.Cursors.LoadCursors(ctx)
	if err != nil {
		return nil, err
	}
	done := 0
	var last time.Time // when the newest try began
	for _, c := range saved {
		if c.Began.After(last) {
			last, done = c.Began, 0
		}
		if c.Began.Equal(last) && c.Done {
			done++
		}
	}
	resumed := !last.IsZero() && done < len(cursors) && now.Sub(last) < cursorsLast && !r.Fresh
	for _, c := range saved {
		i := slices.IndexFunc(cursors, func(have Cursor) bool { return have.Prefix == c.Prefix })
		switch {
		case i < 0:
		case resumed && c.Began.Equal(last):
			cursors[i] = c
		default:
			cursors[i].Pending = c.Pending // of whichever try: they are to be looked at
		}
	}
	r.sum = LedgerRebuild{Prefixes: len(cursors), Resumed: resumed, Began: now}
	if resumed {
		r.sum.Began = last
	}
	for i := range cursors {
		cursors[i].Began = r.sum.Began
		if cursors[i].Done {
			r.sum.Done++
		}
	}
	return cursors, nil
}

// cursorInterval is how often a prefix's place is saved.
const cursorInterval = 2 * time.Second

// list goes through one prefix from its cursor on.
func (r *relist) list(ctx context.Context, c Cursor) error {
	if err := r.settle(ctx, &c); err != nil {
		return err
	}
	if err := r.pace.Wait(ctx); err != nil {
		return err
	}
	saved := time.Now()
	for page, err := range r.Objects.Pages(ctx, job.OutputsBelow(c.Prefix), c.After) {
		if err != nil {
			return err
		}
		outputs, err := r.page(ctx, &c, page)
		if err != nil {
			return err
		}
		if len(page) > 0 {
			c.After = page[len(page)-1].Key
		}
		if time.Since(saved) >= cursorInterval {
			if err := r.Cursors.SaveCursor(ctx, c); err != nil {
				return err
			}
			saved = time.Now()
		}
		r.add(func(sum *LedgerRebuild) { sum.Objects += int64(len(page)); sum.Outputs += int64(outputs) })
		if err := r.pace.Wait(ctx); err != nil {
			return err
		}
	}
	c.Done = true
	if err := r.Cursors.SaveCursor(ctx, c); err != nil {
		return err
	}
	r.add(func(sum *LedgerRebuild) { sum.Done++ })
	return nil
}

// page brings into the ledger what it lacks of a page, and returns how many outputs there are on it.
func (r *relist) page(ctx context.Context, c *Cursor, page []objects.Info) (outputs int, err error) {
	now := time.Now()
	dates := map[job.Key]time.Time{}
	var keys []job.Key
	for _, o := range page {
		key, ok := job.ParseManifestPath(o.Key)
		if ok && o.LastModified.Add(r.Retention).After(now) {
			keys = append(keys, key)
			dates[key] = o.LastModified
		}
	}
	for batch := range slices.Chunk(keys, maxReads) {
		have, err := r.Ledger.Get(ctx, now, batch...)
		if err != nil {
			return 0, err
		}
		for _, k := range batch {
			if item, ok := have[k]; !ok || item.CreatedAt.Before(dates[k].Truncate(time.Second)) {
				c.Pending = append(c.Pending, k.String())
			}
		}
		if len(c.Pending) == 0 {
			continue
		}
		if err := r.Cursors.SaveCursor(ctx, *c); err != nil { // before the ledger is written
			return 0, err
		}
		if err := r.settle(ctx, c); err != nil {
			return 0, err
		}
	}
	return len(keys), nil
}

// settleTries is how often an output is looked at that changes each time.
const settleTries = 4

// settle makes the ledger say of the pending outputs what S3 says, and says still after the ledger is written.
func (r *relist) settle(ctx context.Context, c *Cursor) error {
	var keys []job.Key
	for _, text := range c.Pending {
		if k, err := job.ParseKey(text); err == nil {
			keys = append(keys, k)
		}
	}
	for try := 0; len(keys) > 0; try++ {
		if try == settleTries {
			return fmt.Errorf("%d outputs below %s change each time they are looked at", len(keys), job.OutputsBelow(c.Prefix))
		}
		err := retry(ctx, tries, func() (bool, error) {
			changed, err := r.bring(ctx, keys)
			if err == nil {
				keys = changed
			}
			return err == nil, err
		})
		if err != nil {
			return err
		}
	}
	c.Pending = nil
	return nil
}

// bring brings outputs into the ledger, or out of it, counts what became of them, and returns those that have changed
// meanwhile.
func (r *relist) bring(ctx context.Context, keys []job.Key) (changed []job.Key, err error) {
	seen, again, err := bring(ctx, r.Objects, r.Ledger, r.Retention, keys)
	if err != nil {
		return nil, err
	}
	sum := LedgerRebuild{}
	for i, s := range seen {
		switch {
		case again[i]:
			changed = append(changed, keys[i])
		case s.result == resultPresent:
			sum.Written++
		case s.result == resultPoison:
			sum.Unread++
			sum.UnreadKeys = append(sum.UnreadKeys, keys[i])
			r.Log.Warn().Err(s.err).Msg("manifest cannot be read; its output counts as absent")
		default:
			sum.Gone++
		}
	}
	r.add(func(all *LedgerRebuild) {
		all.Written, all.Gone, all.Unread = all.Written+sum.Written, all.Gone+sum.Gone, all.Unread+sum.Unread
		all.UnreadKeys = append(all.UnreadKeys, sum.UnreadKeys[:min(len(sum.UnreadKeys), maxUnreadKeys-len(all.UnreadKeys))]...)
	})
	return changed, nil
}

// manifests are what bring looks at.
type manifests interface {
	Objects
	Head(ctx context.Context, key string) (objects.Info, error)
}

// bring looks at outputs, writes the ledger, and looks again. Those that are not there leave the ledger. again says which
// have changed meanwhile, be it that they went away or that they were made: what the ledger has of them may be wrong.
func bring(ctx context.Context, store manifests, ledger *Ledger, retention time.Duration, keys []job.Key) (seen []seenOutput, again []bool, err error) {
	now := time.Now()
	seen, again = make([]seenOutput, len(keys)), make([]bool, len(keys))
	if err := each(ctx, keys, func(i int) error {
		seen[i] = look(ctx, store, now, keys[i], retention)
		return seen[i].err
	}, func(i int) bool { return seen[i].result == resultPoison }); err != nil {
		return nil, nil, err
	}
	var puts []Output
	var deletes []job.Key
	for i, s := range seen {
		if s.result == resultPresent {
			puts = append(puts, s.output)
		} else {
			deletes = append(deletes, keys[i])
		}
	}
	if err := ledger.Write(ctx, puts, deletes); err != nil {
		return nil, nil, err
	}
	err = each(ctx, keys, func(i int) error {
		info, err := store.Head(ctx, job.ManifestPath(keys[i]))
		if errors.Is(err, objects.ErrNotFound) {
			info, err = objects.Info{}, nil
		}
		was := seen[i].info
		again[i] = info.ETag != was.ETag || !info.LastModified.Truncate(time.Second).Equal(was.LastModified.Truncate(time.Second))
		return err
	}, nil)
	if err != nil {
		return nil, nil, err
	}
	return seen, again, nil
}

// parallelLooks is how many objects of one prefix are looked at at the same time.
const parallelLooks = 16

// each calls do for the index of each key, several at a time, and returns the first error that is not excused.
func each(ctx context.Context, keys []job.Key, do func(i int) error, excused func(i int) bool) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelLooks)
	for i := range keys {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			err := do(i)
			if err != nil && excused != nil && excused(i) {
				return nil
			}
			return err
		})
	}
	return group.Wait()
}

func (r *relist) add(change func(*LedgerRebuild)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.sum)
	if r.tell != nil {
		r.tell(r.sum)
	}
}

func (r *relist) so() LedgerRebuild {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sum
}
