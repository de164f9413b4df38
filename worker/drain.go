package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"spate/internal/objects"
	"spate/job"
)

// How often a worker looks whether its pool is drained: so rarely that 3,000 workers make at most 300 requests a second
// of S3, and never all of them at once.
const (
	drainEvery  = 10 * time.Second
	drainJitter = 5 * time.Second
)

// drainWatch looks for the mark that says a pool is drained. It is used by the receiver alone.
type drainWatch struct {
	w    *Worker
	next time.Time
}

// isDrained looks when it is time to, and reports whether the worker's pool was drained after it was launched. Not to
// know means no, as for cancelled runs.
func (d *drainWatch) isDrained(ctx context.Context) bool {
	now := time.Now()
	if d.w.opt.Pool == "" || now.Before(d.next) {
		return false
	}
	d.next = now.Add(drainEvery + rand.N(drainJitter))
	call, cancel := context.WithTimeout(ctx, markTime)
	defer cancel()
	body, _, err := d.w.opt.Objects.Get(call, job.DrainPath(d.w.opt.Pool))
	if err != nil {
		if !errors.Is(err, objects.ErrNotFound) && !errors.Is(err, objects.ErrDenied) && ctx.Err() == nil {
			d.w.opt.Log.Warn().Err(err).Msg("could not look whether the pool is drained; going on")
		}
		return false
	}
	at, err := time.Parse(time.RFC3339Nano, string(body))
	if err != nil {
		d.w.opt.Log.Warn().Err(err).Msg("the mark of a drained pool holds no time; going on")
		return false
	}
	return at.After(d.w.opt.Launched)
}
