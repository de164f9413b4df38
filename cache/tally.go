package cache

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// tally bounds how many outputs an epoch holds. The bounds are one number as long as Redis's answers arrive: each
// command says how many members it changed. An answer that is lost leaves them apart until the members are counted.
//
// In Redis the tally stands beside the sequence and is written with it, before that transaction's own answers are known:
// it is that of the transaction before, and as much wider as this one may have changed. So it is right whatever happens,
// and after the next heartbeat it is exact.
type tally struct{ least, most int64 }

// with is the tally after changes of which nobody knows yet what they do.
func (t tally) with(changes []command) tally {
	for _, c := range changes {
		if c.name == cmdAdd {
			t.most += int64(len(c.group))
		} else {
			t.least = max(0, t.least-int64(len(c.group)))
		}
	}
	return t
}

// after is the tally after changes that Redis has answered.
func (t tally) after(changes []command, answers []*redis.IntCmd) tally {
	for i, c := range changes {
		n := answers[i].Val()
		if c.name == cmdRemove {
			n = -n
		}
		t.least, t.most = t.least+n, t.most+n
	}
	return t
}

func (t tally) holds(n int64) bool { return t.least <= n && n <= t.most }

// String is "least most", as Redis keeps it.
func (t tally) String() string {
	return strconv.FormatInt(t.least, 10) + " " + strconv.FormatInt(t.most, 10)
}

func parseTally(s string) (tally, error) {
	least, most, _ := strings.Cut(s, " ")
	var t tally
	var errs [2]error
	t.least, errs[0] = strconv.ParseInt(least, 10, 64)
	t.most, errs[1] = strconv.ParseInt(most, 10, 64)
	if errors.Join(errs[:]...) != nil || t.least < 0 || t.most < t.least {
		return tally{}, fmt.Errorf("its count is %q, want two numbers", s)
	}
	return t, nil
}

// Verify counts the members of all buckets, without letting changes through meanwhile. [ErrLost]: they are not as many
// as were written.
func (w *Writer) Verify(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.view.count(ctx, w.epoch, w.bits)
	if err != nil {
		return err
	}
	if !w.tally.holds(n) {
		return fmt.Errorf("verify epoch %d: %d outputs, %s were written: %w", w.epoch, n, w.tally, ErrLost)
	}
	w.tally, w.doubted = tally{n, n}, false
	return nil
}

// count adds up what the buckets of an epoch hold.
func (v *View) count(ctx context.Context, epoch int64, bits BucketBits) (int64, error) {
	all := bits.buckets()
	sums := make([]int64, (all+maxCommands-1)/maxCommands)
	pipelines, ctx := errgroup.WithContext(ctx)
	pipelines.SetLimit(maxPipelines)
	for i := range sums {
		pipelines.Go(func() error {
			pipe := v.client.Pipeline()
			var answers []*redis.IntCmd
			for bucket := i * maxCommands; bucket < min((i+1)*maxCommands, all); bucket++ {
				answers = append(answers, pipe.SCard(ctx, v.bucketKey(epoch, uint32(bucket))))
			}
			if _, err := pipe.Exec(ctx); err != nil {
				return fmt.Errorf("count outputs of epoch %d: %w", epoch, err)
			}
			for _, a := range answers {
				sums[i] += a.Val()
			}
			return nil
		})
	}
	if err := pipelines.Wait(); err != nil {
		return 0, err
	}
	var sum int64
	for _, s := range sums {
		sum += s
	}
	return sum, nil
}
