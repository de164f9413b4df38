// Package watch shows people how a run goes on: it reads the run's record again and again, and draws a progress bar on
// a terminal or writes a line now and then elsewhere. It decides nothing.
package watch

import (
	"context"
	"io"
	"time"

	"spate/internal/table"
	"spate/planner"
	"spate/scaler"
)

// Options of Run.
type Options struct {
	Table *table.Table
	Out   io.Writer     // where progress goes; nil for none
	Label string        // what the bar is called; default the run's id
	Every time.Duration // between looks; default 500 ms
	Lines time.Duration // between lines where Out is no terminal, and between complaints; default 5 s
}

// Run watches a run until it has ended, and returns its record. Errors of single looks are shown and forgotten: the run
// does not depend on being watched. The error is ctx's.
func Run(ctx context.Context, id string, o Options) (*planner.Run, error) {
	if o.Every == 0 {
		o.Every = 500 * time.Millisecond
	}
	if o.Lines == 0 {
		o.Lines = 5 * time.Second
	}
	if o.Label == "" {
		o.Label = id
	}
	show, started := newDisplay(o), time.Now()
	defer show.close()
	for {
		run, err := planner.ReadRun(ctx, o.Table, id)
		var pools []scaler.Status
		if err == nil {
			pools, err = scaler.ReadStatus(ctx, o.Table)
		}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			show.trouble(time.Now(), err)
		case run == nil:
			show.unseen(time.Since(started))
		default:
			show.update(time.Now(), run, pools)
			if run.State.Ended() {
				return run, nil
			}
		}
		timer := time.NewTimer(o.Every)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-timer.C:
		}
	}
}
