package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"spate/job"
)

// View is the bulk answer: sets of integers in Redis, one for each bucket of an epoch ([BucketBits]), so that an output
// costs about nine bytes. It is safe for concurrent use.
type View struct {
	client redis.UniversalClient
	prefix string
	status atomic.Pointer[ViewStatus]
}

// NewView uses a Redis. prefix separates users of the same Redis and becomes the hash tag of every key.
func NewView(client redis.UniversalClient, prefix string) *View {
	return &View{client: client, prefix: "{" + prefix + "}:"}
}

// Bounds of what a lookup sends.
const (
	maxPipelines = 4 // of one lookup, under way at the same time
	maxFailed    = 4 // pipelines, after which a lookup sends no more
)

func (v *View) sequenceKey(epoch int64) string {
	return v.prefix + strconv.FormatInt(epoch, 10) + ":sequence"
}

// tallyKey holds how many outputs are in the epoch's buckets.
func (v *View) tallyKey(epoch int64) string {
	return v.prefix + strconv.FormatInt(epoch, 10) + ":outputs"
}

// Answers is what the view says of some keys.
type Answers struct {
	Presence []job.Presence // in the order of the keys
	Sequence int64          // the highest that was read and believed; 0 when none was
	Suspect  bool           // some sequence contradicted what the reader remembers
	Err      error          // one of the commands' errors; their keys are unknown
}

// Lookup asks for keys in the epoch that the reader believes to be live. What could not be read, and what was read while
// the sequence was missing or behind at.Sequence, is unknown.
func (v *View) Lookup(ctx context.Context, at Mark, keys []job.Key) Answers {
	presence := make([]job.Presence, len(keys))
	batches := slices.Collect(slices.Chunk(commands("smismember", groups(at.Bits, keys)), maxCommands))
	parts := make([]Answers, len(batches))
	var failed atomic.Int64
	var pipelines errgroup.Group
	pipelines.SetLimit(maxPipelines)
	for i, batch := range batches {
		pipelines.Go(func() error {
			if failed.Load() >= maxFailed {
				return nil
			}
			parts[i] = v.lookup(ctx, at, batch, presence)
			if parts[i].Err != nil && parts[i].Sequence == 0 {
				failed.Add(1)
			}
			return nil
		})
	}
	_ = pipelines.Wait() // the parts carry the errors
	all := Answers{Presence: presence}
	for _, part := range parts {
		all.Sequence = max(all.Sequence, part.Sequence)
		all.Suspect = all.Suspect || part.Suspect
		if all.Err == nil {
			all.Err = part.Err
		}
	}
	return all
}

// lookup sends one pipeline and writes the answers of its groups into presence.
func (v *View) lookup(ctx context.Context, at Mark, batch []command, presence []job.Presence) Answers {
	pipe := v.client.Pipeline()
	before := pipe.Get(ctx, v.sequenceKey(at.Epoch))
	answers := make([]*redis.BoolSliceCmd, len(batch))
	for i, arguments := range v.arguments(at.Epoch, batch) {
		answers[i] = redis.NewBoolSliceCmd(ctx, arguments...)
		_ = pipe.Process(ctx, answers[i]) // queues it
	}
	after := pipe.Get(ctx, v.sequenceKey(at.Epoch))
	_, _ = pipe.Exec(ctx) // each command carries its own error

	first, err := reading(before)
	if err != nil {
		return Answers{Err: fmt.Errorf("read sequence of epoch %d: %w", at.Epoch, err)}
	}
	second, err := reading(after)
	if err != nil {
		return Answers{Err: fmt.Errorf("read sequence of epoch %d: %w", at.Epoch, err)}
	}
	if !believable(at, first, second) {
		return Answers{Suspect: true}
	}
	out := Answers{Sequence: second}
	for i, c := range batch {
		found, err := answers[i].Result()
		if err == nil && len(found) != len(c.group) {
			err = fmt.Errorf("%d answers for %d members", len(found), len(c.group))
		}
		if err != nil {
			out.Err = fmt.Errorf("look up bucket %04x of epoch %d: %w", c.group[0].bucket, at.Epoch, err)
			continue
		}
		for j, e := range c.group {
			presence[e.index] = job.Miss
			if found[j] {
				presence[e.index] = job.Hit
			}
		}
	}
	return out
}

// reading is the number in a sequence key; 0, which is never written, when there is none or it is no number.
func reading(cmd *redis.StringCmd) (int64, error) {
	text, err := cmd.Result()
	if errors.Is(err, redis.Nil) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	sequence, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, nil //nolint:nilerr // not ours: as good as missing
	}
	return sequence, nil
}

// Create makes an empty epoch and returns its only writer.
func (v *View) Create(ctx context.Context, epoch int64, bits BucketBits) (*Writer, error) {
	if err := v.Clear(ctx, epoch, bits); err != nil {
		return nil, err
	}
	if err := v.client.MSet(ctx, v.sequenceKey(epoch), 1, v.tallyKey(epoch), tally{}.String()).Err(); err != nil {
		return nil, fmt.Errorf("create epoch %d: %w", epoch, err)
	}
	return &Writer{mu: newSlowLock(), view: v, epoch: epoch, bits: bits.orStart(), limit: v.intsetLimit(ctx), confirmed: 1, attempted: 1}, nil
}

// Resume returns the writer of an epoch that another process has written up to at least at.Sequence. [ErrLost]: Redis
// does not hold it any more.
func (v *View) Resume(ctx context.Context, at Mark) (*Writer, error) {
	values, err := v.client.MGet(ctx, v.sequenceKey(at.Epoch), v.tallyKey(at.Epoch)).Result() // one moment's, both
	if err != nil {
		return nil, fmt.Errorf("read sequence of epoch %d: %w", at.Epoch, err)
	}
	text, _ := values[0].(string)
	sequence, _ := strconv.ParseInt(text, 10, 64)
	if !believable(at, sequence, sequence) {
		return nil, fmt.Errorf("resume epoch %d: sequence is %d, at least %d was written: %w", at.Epoch, sequence, at.Sequence, ErrLost)
	}
	text, _ = values[1].(string)
	count, err := parseTally(text)
	if err != nil {
		return nil, fmt.Errorf("resume epoch %d: %w: %w", at.Epoch, err, ErrLost)
	}
	return &Writer{
		mu: newSlowLock(), view: v, epoch: at.Epoch, bits: at.Bits.orStart(), limit: v.intsetLimit(ctx), confirmed: sequence, attempted: sequence,
		leap: takeoverLeap, tally: count, doubted: true,
	}, nil
}

// Clear removes everything of an epoch from Redis, its sequence first, so that nobody takes an emptied bucket for an
// answer.
func (v *View) Clear(ctx context.Context, epoch int64, bits BucketBits) error {
	if err := v.client.Unlink(ctx, v.sequenceKey(epoch), v.tallyKey(epoch)).Err(); err != nil {
		return fmt.Errorf("clear epoch %d: %w", epoch, err)
	}
	names := make([]string, 0, maxCommands)
	for start, all := 0, bits.buckets(); start < all; start += maxCommands {
		names = names[:0]
		for bucket := start; bucket < min(start+maxCommands, all); bucket++ {
			names = append(names, v.bucketKey(epoch, uint32(bucket)))
		}
		if err := v.client.Unlink(ctx, names...).Err(); err != nil {
			return fmt.Errorf("clear epoch %d: %w", epoch, err)
		}
	}
	return nil
}
