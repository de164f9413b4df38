package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"spate/internal/objects"
	"spate/internal/queue"
	"spate/job"
)

// Queue is what the updater uses of *queue.Queue, whose contract it is: messages that are not deleted come again after
// their visibility timeout.
type Queue interface {
	Receive(ctx context.Context, limit int, wait, visibility time.Duration) ([]queue.Message, error)
	Delete(ctx context.Context, receipts ...string) error
}

// Objects reads whole objects, strongly consistent. objects.ErrNotFound: there is none.
type Objects interface {
	Get(ctx context.Context, key string) ([]byte, objects.Info, error)
}

// UpdaterOptions configure an Updater. Queue, Objects, Ledger, Bucket and Retention are required.
type UpdaterOptions struct {
	Queue     Queue
	Objects   Objects
	Ledger    *Ledger
	Bucket    string        // changes of other buckets are ignored
	Retention time.Duration // outputs older than this count as absent
	Receivers int           // that take messages at the same time; default 8
	Log       zerolog.Logger
	Metrics   *Metrics
}

func (o *UpdaterOptions) validate() error {
	switch {
	case o.Queue == nil || o.Objects == nil || o.Ledger == nil || o.Bucket == "":
		return errors.New("updater: queue, objects, ledger and bucket are required")
	case o.Retention <= 0 || o.Receivers < 0:
		return errors.New("updater: retention and receivers must be positive")
	}
	if o.Receivers == 0 {
		o.Receivers = 8
	}
	return nil
}

// Updater carries S3's notifications into the ledger. A notification only says which output to look at; what S3 holds
// is written. Messages are deleted once that is durable; those that cannot be read stay for the queue's redrive policy.
type Updater struct{ UpdaterOptions }

// NewUpdater checks the options.
func NewUpdater(o UpdaterOptions) (*Updater, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	return &Updater{o}, nil
}

// updateVisibility is the time for one batch; a message that takes longer is handled twice, which changes nothing.
const updateVisibility = 2 * time.Minute

// Run receives until ctx ends, and then returns its error.
func (u *Updater) Run(ctx context.Context) error {
	var receivers errgroup.Group
	for range u.Receivers {
		receivers.Go(func() error { return u.receive(ctx) })
	}
	return receivers.Wait()
}

func (u *Updater) receive(ctx context.Context) error {
	for failures := 0; ; {
		messages, err := u.Queue.Receive(ctx, queue.MaxBatch, queue.MaxWait, updateVisibility)
		if err == nil {
			err = u.Handle(ctx, time.Now(), messages)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			failures = 0
			continue
		}
		u.Log.Warn().Err(err).Msg("notifications of outputs wait")
		if err := sleep(ctx, backoff(failures)); err != nil {
			return err
		}
		failures++
	}
}

// Handle brings the ledger up to date with S3 for the outputs that the messages name, and then deletes the messages.
// Those that it could not handle are left on the queue; the error is the first reason other than a message's own fault.
func (u *Updater) Handle(ctx context.Context, now time.Time, messages []queue.Message) error {
	parsed := make([]*Notification, len(messages))
	var keys []job.Key
	for i, m := range messages {
		n, err := ParseNotification(m.Body, u.Bucket)
		if err != nil {
			u.Log.Error().Err(err).Int("receive_count", m.ReceiveCount).Msg("message of the outputs queue is left to its redrive policy")
			u.Metrics.notified(resultPoison, 1)
			continue
		}
		u.Metrics.notified(resultForeign, n.Foreign)
		parsed[i] = &n
		keys = append(keys, n.Keys...)
	}
	keys = distinct(keys)
	release := u.Ledger.Exclusive(keys...)
	defer release()
	failed, err := u.update(ctx, now, keys)

	var done []string
	for i, n := range parsed {
		if n == nil {
			continue
		}
		handled := true
		for _, k := range n.Keys {
			_, bad := failed[k]
			handled = handled && !bad
		}
		if handled {
			done = append(done, messages[i].Receipt)
		}
	}
	return errors.Join(err, u.Queue.Delete(ctx, done...))
}

// update looks at S3 and writes the ledger. It returns the keys that failed.
func (u *Updater) update(ctx context.Context, now time.Time, keys []job.Key) (keySet, error) {
	seen := make([]seenOutput, len(keys))
	var reads errgroup.Group
	reads.SetLimit(queue.MaxBatch)
	for i, k := range keys {
		reads.Go(func() error {
			seen[i] = u.look(ctx, now, k)
			return nil
		})
	}
	_ = reads.Wait() // each carries its own error

	failed := keySet{}
	var errs []error
	var puts []Output
	var deletes []job.Key
	for i, k := range keys {
		switch s := seen[i]; s.result {
		case resultPresent:
			puts = append(puts, s.output)
		case resultAbsent, resultExpired:
			deletes = append(deletes, k)
		case resultPoison:
			failed.add(k)
			u.Log.Error().Err(s.err).Msg("manifest cannot be read; its notification is left to the queue's redrive policy")
		default:
			failed.add(k)
			errs = append(errs, s.err)
		}
	}
	if err := u.Ledger.Write(ctx, puts, deletes); err != nil {
		failed.add(keys...)
		u.Metrics.notified(resultFailed, len(keys))
		return failed, errors.Join(append(errs, err)...)
	}
	for _, s := range seen {
		u.Metrics.notified(s.result, 1)
	}
	return failed, errors.Join(errs...)
}

type seenOutput struct {
	result string
	output Output
	err    error
}

// look reads an output's manifest.
func (u *Updater) look(ctx context.Context, now time.Time, key job.Key) seenOutput {
	return look(ctx, u.Objects, now, key, u.Retention)
}

func look(ctx context.Context, store Objects, now time.Time, key job.Key, retention time.Duration) seenOutput {
	data, info, err := store.Get(ctx, job.ManifestPath(key))
	if _, none := errors.AsType[*objects.NoBucketError](err); errors.Is(err, objects.ErrNotFound) && !none {
		return seenOutput{result: resultAbsent}
	}
	if err != nil {
		return seenOutput{result: resultFailed, err: fmt.Errorf("read manifest: %w", err)}
	}
	manifest, err := job.ParseManifest(data, key)
	if err != nil {
		return seenOutput{result: resultPoison, err: err}
	}
	expires := info.LastModified.Add(retention)
	if !expires.After(now) {
		return seenOutput{result: resultExpired}
	}
	return seenOutput{result: resultPresent, output: Output{
		Key: key, CreatedAt: info.LastModified, ExpiresAt: expires, Bytes: manifest.Bytes(), Run: manifest.Run,
	}}
}
