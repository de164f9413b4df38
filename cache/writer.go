package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"spate/job"
)

// How a Writer finds that it must not go on.
var (
	// ErrLost says that Redis does not hold what was written to an epoch.
	ErrLost = errors.New("the epoch's content is lost")
	// ErrSuperseded says that somebody else writes: this process no longer leads.
	ErrSuperseded = errors.New("superseded by another follower")
)

// Writer changes one epoch. Each batch of changes is a transaction that also raises the epoch's sequence, and that only
// takes place while the sequence is one that this writer wrote: a copy of the data that has the sequence has the
// changes. It is safe for concurrent use.
type Writer struct {
	view  *View
	epoch int64
	bits  BucketBits
	limit int // members of a bucket that Redis keeps compact

	mu        slowLock
	confirmed int64 // the last sequence known to be written
	attempted int64 // the last sequence that may have been written; later than confirmed after an ambiguous failure
	leap      int64 // by how much more the first write raises the sequence
	tally     tally
	doubted   bool // what Redis holds may not be what was written
}

// takeoverLeap is by how much the first write of an epoch's next writer raises the sequence: beyond everything that the one
// before may have attempted, which takes what is not above it for its own.
const takeoverLeap = 1 << 32

// Commands that change buckets.
const (
	cmdAdd    = "sadd"
	cmdRemove = "srem"
)

// conflictTries is how often a transaction is sent again that found the sequence changed under it.
const conflictTries = 3

// Mark is the epoch and the sequence known to be written.
func (w *Writer) Mark() Mark {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Mark{Epoch: w.epoch, Sequence: w.confirmed, Bits: w.bits}
}

// Apply adds and removes keys; without any it only raises the sequence. After an error other than [ErrLost] and
// [ErrSuperseded] the caller must apply at least the same keys again before the changes count as made.
func (w *Writer) Apply(ctx context.Context, add, remove []job.Key) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	changes := append(commands(cmdRemove, groups(w.bits, remove)), commands(cmdAdd, groups(w.bits, add))...)
	if len(changes) == 0 {
		return w.commit(ctx, nil)
	}
	for batch := range slices.Chunk(changes, maxCommands) {
		if err := w.commit(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// outputs is how many the epoch holds; at least, while nobody knows.
func (w *Writer) outputs() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tally.least
}

// certain reports whether the epoch holds as many outputs as were written, exactly so many.
func (w *Writer) certain() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.doubted && w.tally.least == w.tally.most
}

// doubt asks for the outputs to be counted.
func (w *Writer) doubt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.doubted = true
}

// crowded reports whether an epoch of more buckets should take this one's place.
func (w *Writer) crowded() bool { return w.bits.crowded(w.outputs(), w.limit) }

func (w *Writer) commit(ctx context.Context, changes []command) error {
	var err error
	for range conflictTries {
		err = w.transact(ctx, changes)
		if !errors.Is(err, redis.TxFailedErr) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("write epoch %d: %w", w.epoch, err)
	}
	w.confirmed = w.attempted
	return nil
}

// transact is one try. Every try that may have taken place has a sequence of its own: what an earlier one may have written
// stays accepted, since it holds all that was confirmed before it. One that found the sequence changed under it has none.
func (w *Writer) transact(ctx context.Context, changes []command) error {
	sequenceKey := w.view.sequenceKey(w.epoch)
	return w.view.client.Watch(ctx, func(tx *redis.Tx) error {
		have, err := reading(tx.Get(ctx, sequenceKey))
		if err != nil {
			return err
		}
		if have < w.confirmed {
			return ErrLost
		}
		if have > w.attempted {
			return ErrSuperseded
		}
		attempted, leap := w.attempted, w.leap
		w.attempted, w.leap = attempted+1+leap, 0
		before, within := w.tally, w.tally.with(changes)
		w.tally = within // until Redis says what was new and what was there
		changed := make([]*redis.IntCmd, len(changes))
		var raised *redis.StatusCmd
		sent, err := tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			for i, arguments := range w.view.arguments(w.epoch, changes) {
				changed[i] = redis.NewIntCmd(ctx, arguments...)
				_ = pipe.Process(ctx, changed[i]) // queues it
			}
			pipe.Set(ctx, w.view.tallyKey(w.epoch), within.String(), 0)
			raised = pipe.SetArgs(ctx, sequenceKey, w.attempted, redis.SetArgs{Mode: "XX"})
			return nil
		})
		switch {
		case errors.Is(err, redis.TxFailedErr): // nothing took place
			w.tally, w.attempted, w.leap = before, attempted, leap
		case raised != nil && errors.Is(raised.Err(), redis.Nil):
			return ErrLost // emptied between the look and the transaction
		case err == nil:
			w.tally = before.after(changes, changed)
		}
		return cause(sent, err)
	}, sequenceKey)
}

// cause is why a transaction was discarded, such as for want of memory: Redis tells it of the command that it refused.
func cause(sent []redis.Cmder, err error) error {
	if !redis.IsExecAbortError(err) {
		return err
	}
	for _, cmd := range sent {
		if own := cmd.Err(); own != nil && !redis.IsExecAbortError(own) {
			return own
		}
	}
	return err
}
