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

// Parking keeps messages that nobody can handle. Parking one twice keeps it once. After an error it may be kept.
type Parking interface {
	Park(ctx context.Context, p Parked) error
}

// UpdaterOptions configure an Updater. Queue, Objects, Ledger, Parking, Bucket and Retention are required.
type UpdaterOptions struct {
	Queue     Queue
	Objects   Objects
	Ledger    *Ledger
	Parking   Parking
	Bucket    string        // changes of other buckets are ignored
	Retention time.Duration // outputs older than this count as absent
	Receivers int           // that take messages at the same time, at most; default 24
	Log       zerolog.Logger
	Metrics   *Metrics
}

func (o *UpdaterOptions) validate() error {
	switch {
	case o.Queue == nil || o.Objects == nil || o.Ledger == nil || o.Parking == nil || o.Bucket == "":
		return errors.New("updater: queue, objects, ledger, parking and bucket are required")
	case o.Retention <= 0 || o.Receivers < 0:
		return errors.New("updater: retention and receivers must be positive")
	}
	if o.Receivers == 0 {
		o.Receivers = 24
	}
	return nil
}

// Updater carries S3's notifications into the ledger. A notification only says which output to look at; what S3 holds
// is written. A change that is no newer than the last look at its key needs none. Messages are deleted once all that is
// durable; those that cannot be read are parked with the reason when they have come a few times.
//
// What it has in hand is bounded by its receivers, each with one batch of messages: while the ledger's table is slow, the
// backlog stays on the queue.
type Updater struct {
	UpdaterOptions
	handled  handledChanges
	progress progress
}

// NewUpdater checks the options.
func NewUpdater(o UpdaterOptions) (*Updater, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	return &Updater{UpdaterOptions: o}, nil
}

// delivery is a message as received.
type delivery struct {
	queue.Message
	Notification
	fault error // why nothing can be made of the body
}

// Handle brings the ledger up to date with S3 for the outputs that the messages name, and then deletes the messages.
// Those that it could not handle are left on the queue or parked; the error is the first reason other than a message's own
// fault.
func (u *Updater) Handle(ctx context.Context, now time.Time, messages []queue.Message) error {
	batch := make([]delivery, len(messages))
	var changes []Change
	for i, m := range messages {
		n, err := ParseNotification(m.Body, u.Bucket)
		batch[i] = delivery{m, n, err}
		for _, c := range n.Changes {
			if m.ReceiveCount > 1 {
				c.Sequencer = "" // whoever had it before may have written the ledger since
			}
			changes = append(changes, c)
		}
	}
	seen, err := u.settle(ctx, now, changes)
	errs := []error{err}
	fates := newFates(now)
	var done []string
	for _, d := range batch {
		again, fault := d.judge(seen)
		if fault != nil && !again {
			parked, err := u.fail(ctx, now, d, fault)
			again = !parked
			errs = append(errs, err)
		}
		fates.add(d, seen, again, fault)
		if !again {
			done = append(done, d.Receipt)
		}
	}
	u.progress.add(fates)
	u.Metrics.notified(fates)
	return errors.Join(append(errs, u.Queue.Delete(ctx, done...))...)
}

// judge says whether a message must come again because something failed, and else what is wrong with itself, if anything.
func (d delivery) judge(seen map[job.Key]seenOutput) (again bool, fault error) {
	fault = d.fault
	for _, c := range d.Changes {
		switch s := seen[c.Key]; s.result {
		case resultFailed:
			return true, nil
		case resultPoison:
			fault = s.err
		}
	}
	return false, fault
}

// fail parks a message that cannot be handled, when it has come often enough, and reports whether it did.
func (u *Updater) fail(ctx context.Context, now time.Time, d delivery, fault error) (parked bool, err error) {
	if d.ReceiveCount < parkAfter {
		u.Log.Warn().Err(fault).Str("message", d.ID).Int("receive_count", d.ReceiveCount).Msg("a message of the outputs queue cannot be handled; it will come again")
		return false, nil
	}
	if err := u.Parking.Park(ctx, park(now, d.Message, fault)); err != nil {
		return false, err
	}
	u.Log.Error().Err(fault).Str("message", d.ID).Int("receive_count", d.ReceiveCount).Msg("a message of the outputs queue cannot be handled and was parked")
	return true, nil
}

// settle brings the ledger up to date for the keys of changes and says what S3 holds of each.
func (u *Updater) settle(ctx context.Context, now time.Time, changes []Change) (map[job.Key]seenOutput, error) {
	keys := make([]job.Key, len(changes))
	for i, c := range changes {
		keys[i] = c.Key
	}
	defer u.Ledger.Exclusive(keys...)()

	seen := make(map[job.Key]seenOutput, len(keys))
	var fresh []job.Key
	for _, c := range changes {
		if u.handled.covers(c) {
			seen[c.Key] = seenOutput{result: resultStale}
		} else {
			fresh = append(fresh, c.Key)
		}
	}
	err := u.update(ctx, now, distinct(fresh), seen)
	for _, c := range changes {
		switch seen[c.Key].result {
		case resultPresent, resultAbsent, resultExpired:
			u.handled.remember(c)
		}
	}
	return seen, err
}

// retracted says that the ledger no longer has what S3 said of a key: its next change is looked at, whichever that is.
// The caller holds the key.
func (u *Updater) retracted(key job.Key) { u.handled.forget(key) }

// overtakenAfter is how long a write may be behind its look without another process having looked later and written
// earlier: a controller takes over when the lease of the one before, which renews it every two seconds, has been over for
// ten.
const overtakenAfter = 5 * time.Second

// update looks at S3 and writes the ledger. When that took long it looks again, and writes what has changed: another
// process may have led meanwhile and handled later changes before this one's write. If it ends before it has looked again,
// its messages come again.
func (u *Updater) update(ctx context.Context, now time.Time, keys []job.Key, seen map[job.Key]seenOutput) error {
	for {
		began := time.Now()
		looks := u.lookAll(ctx, now, keys)
		err := u.write(ctx, keys, looks, seen)
		if time.Since(began) < overtakenAfter {
			return err
		}
		var changed []job.Key
		for i, again := range u.lookAll(ctx, now, keys) {
			was := seen[keys[i]].result
			if was != resultFailed && (again.result != was || !again.output.CreatedAt.Equal(looks[i].output.CreatedAt)) {
				changed = append(changed, keys[i])
			}
		}
		if err != nil || len(changed) == 0 {
			for _, k := range changed {
				seen[k] = seenOutput{result: resultFailed, err: err}
			}
			return err
		}
		keys = changed
	}
}

func (u *Updater) lookAll(ctx context.Context, now time.Time, keys []job.Key) []seenOutput {
	looks := make([]seenOutput, len(keys))
	var reads errgroup.Group
	reads.SetLimit(queue.MaxBatch)
	for i, k := range keys {
		reads.Go(func() error {
			looks[i] = u.look(ctx, now, k)
			return nil
		})
	}
	_ = reads.Wait() // each carries its own error
	return looks
}

// write brings the ledger up to what was seen.
func (u *Updater) write(ctx context.Context, keys []job.Key, looks []seenOutput, seen map[job.Key]seenOutput) error {
	var failed error
	var puts []Output
	var deletes []job.Key
	for i, k := range keys {
		seen[k] = looks[i]
		switch looks[i].result {
		case resultPresent:
			puts = append(puts, looks[i].output)
		case resultAbsent, resultExpired, resultPoison: // a manifest that cannot be read is no output to anybody
			deletes = append(deletes, k)
		case resultFailed:
			failed = errors.Join(failed, looks[i].err)
		}
	}
	err := u.Ledger.Write(ctx, puts, deletes)
	if partly, ok := errors.AsType[*WriteError](err); ok {
		for k, why := range partly.Failed {
			seen[k] = seenOutput{result: resultFailed, err: why}
		}
	} else if err != nil {
		for _, k := range keys {
			seen[k] = seenOutput{result: resultFailed, err: err}
		}
	}
	return errors.Join(failed, err)
}

type seenOutput struct {
	result string
	output Output
	info   objects.Info // of the manifest; zero when there is none
	err    error
}

// look reads an output's manifest.
func (u *Updater) look(ctx context.Context, now time.Time, key job.Key) seenOutput {
	return look(ctx, u.Objects, now, key, u.Retention)
}

// isGone reports whether an error of a Get is proof that there is no object. Of a missing bucket all seem to be missing.
func isGone(err error) bool {
	return errors.Is(err, objects.ErrNotFound) && !isBucketGone(err)
}

func isBucketGone(err error) bool {
	_, none := errors.AsType[*objects.NoBucketError](err)
	return none
}

func look(ctx context.Context, store Objects, now time.Time, key job.Key, retention time.Duration) seenOutput {
	data, info, err := store.Get(ctx, job.ManifestPath(key))
	if isGone(err) {
		return seenOutput{result: resultAbsent}
	}
	if err != nil {
		return seenOutput{result: resultFailed, err: fmt.Errorf("read manifest: %w", err)}
	}
	manifest, err := job.ParseManifest(data, key)
	if err != nil {
		return seenOutput{result: resultPoison, info: info, err: fmt.Errorf("manifest of %s: %w", key.Short(), err)}
	}
	expires := info.LastModified.Add(retention)
	if !expires.After(now) {
		return seenOutput{result: resultExpired, info: info}
	}
	return seenOutput{result: resultPresent, info: info, output: Output{
		Key: key, CreatedAt: info.LastModified, ExpiresAt: expires, Bytes: manifest.Bytes(), Run: manifest.Run,
	}}
}
