// Package watch shows people how a run goes on: it reads the run's record again and again, and draws a progress bar on
// a terminal or writes a line now and then elsewhere. It decides nothing.
package watch

import (
	"context"
	"fmt"
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
	Serve string        // what to type for a controller, as advice when none takes the run up; empty gives none
}

// Run watches a run until it has ended, and returns its record. Looks that fail are made again, and shown when
// they go on failing: the run does not depend on being watched. The error is ctx's, or says that the run is gone.
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
	answered, seen := started, false
	defer show.close()
	for {
		run, pools, err := look(ctx, o.Table, id)
		if err == nil {
			answered = time.Now()
		}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			show.trouble(time.Now(), answered, err)
		case run == nil && seen:
			return nil, fmt.Errorf("run %s is gone: it has no record any more", id)
		case run == nil:
			show.unseen(time.Now(), time.Since(started), pools)
		default:
			seen = true
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

// look reads a run and the pools, and does not wait for an answer longer than people should without a word.
func look(ctx context.Context, t *table.Table, id string) (*planner.Run, []scaler.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	run, err := planner.ReadRun(ctx, t, id)
	if err != nil {
		return nil, nil, err
	}
	pools, err := scaler.ReadStatus(ctx, t)
	return run, pools, err
}
