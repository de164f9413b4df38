package cache

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// members reads what the buckets of an epoch from first to before end hold, in one pipeline. [ErrLost]: the sequence
// contradicts what the reader remembers, so the answer is not the epoch's.
func (v *View) members(ctx context.Context, at Mark, first, end uint32) ([][]int64, error) {
	pipe := v.client.Pipeline()
	before := pipe.Get(ctx, v.sequenceKey(at.Epoch))
	commands := make([]*redis.StringSliceCmd, 0, end-first)
	for bucket := first; bucket < end; bucket++ {
		commands = append(commands, pipe.SMembers(ctx, v.bucketKey(at.Epoch, bucket)))
	}
	after := pipe.Get(ctx, v.sequenceKey(at.Epoch))
	_, _ = pipe.Exec(ctx) // each command carries its own error

	var read [2]int64
	for i, cmd := range []*redis.StringCmd{before, after} {
		var err error
		if read[i], err = reading(cmd); err != nil {
			return nil, fmt.Errorf("read sequence of epoch %d: %w", at.Epoch, err)
		}
	}
	if !believable(at, read[0], read[1]) {
		return nil, fmt.Errorf("read buckets of epoch %d: %w", at.Epoch, ErrLost)
	}
	out := make([][]int64, len(commands))
	for i, cmd := range commands {
		texts, err := cmd.Result()
		if err != nil {
			return nil, fmt.Errorf("read bucket %04x of epoch %d: %w", first+uint32(i), at.Epoch, err)
		}
		for _, text := range texts {
			if member, err := strconv.ParseInt(text, 10, 64); err == nil { // others are not ours
				out[i] = append(out[i], member)
			}
		}
	}
	return out, nil
}
