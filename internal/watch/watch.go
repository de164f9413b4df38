// Package watch shows people how a run goes on: it reads the run's record again and again, and draws a progress bar on
// a terminal or writes a line now and then elsewhere. It decides nothing.
package watch

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"spate/internal/table"
	"spate/job"
	"spate/planner"
	"spate/scaler"
)

// Options of Run.
type Options struct {
	Table *table.Table
	Out   io.Writer     // where progress goes; nil for none
	Label string        // what the bar is called; default the run's id
	Every time.Duration // between looks; default 500 ms
	Lines time.Duration // between lines where Out is no terminal; default 5 s
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
			show.trouble(err)
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

type display struct {
	Options
	bar      *progressbar.ProgressBar
	terminal bool
	lineAt   time.Time
	line     string
	rate     rate
	asked    bool // whether somebody will take the run up
}

func newDisplay(o Options) *display {
	d := &display{Options: o}
	if f, ok := o.Out.(*os.File); ok {
		d.terminal = term.IsTerminal(int(f.Fd()))
	}
	if o.Out == nil {
		d.Out = io.Discard
	}
	return d
}

// update shows a run's figures.
func (d *display) update(now time.Time, run *planner.Run, pools []scaler.Status) {
	p := run.Progress
	finished := p.Cached + p.Done
	d.rate.add(now, finished)
	text := Line(run, workers(run.Pool, pools), d.rate.perSecond())
	if !d.terminal {
		if text != d.line && (now.Sub(d.lineAt) >= d.Lines || run.State.Ended()) {
			fmt.Fprintf(d.Out, "%s  %s\n", d.Label, text)
			d.line, d.lineAt = text, now
		}
		return
	}
	if d.bar == nil && p.Jobs > 0 {
		d.bar = progressbar.NewOptions(p.Jobs,
			progressbar.OptionSetWriter(d.Out), progressbar.OptionSetWidth(20), progressbar.OptionSetPredictTime(false),
			progressbar.OptionThrottle(0), progressbar.OptionSetElapsedTime(false), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetTheme(progressbar.Theme{Saucer: "█", SaucerPadding: "░"}), progressbar.OptionUseANSICodes(true),
		)
	}
	if d.bar != nil {
		d.bar.Describe(d.clip(fmt.Sprintf("%-10s %s", d.Label, text)))
		_ = d.bar.Set(min(finished, p.Jobs-1)) // the bar ends with the run, not with its last job
	}
}

// barRoom is what the bar and its percentage need beside the description, in columns.
const barRoom = 10

// clip shortens a description that would break the line, which the bar could not draw over.
func (d *display) clip(text string) string {
	f, ok := d.Out.(*os.File)
	if !ok {
		return text
	}
	width, _, err := term.GetSize(int(f.Fd()))
	runes := []rune(text)
	if err != nil || len(runes)+barRoom <= width {
		return text
	}
	return string(runes[:max(0, width-barRoom-1)]) + "…"
}

// takenUp is how long a run may go without a record before somebody should look why.
const takenUp = 5 * time.Second

// unseen says once that nobody seems to take the run up.
func (d *display) unseen(waited time.Duration) {
	if d.asked || waited < takenUp {
		return
	}
	d.asked = true
	fmt.Fprintln(d.Out, "no controller has taken the run up yet: is `spate serve` running?")
}

func (d *display) trouble(err error) {
	if !d.terminal {
		fmt.Fprintf(d.Out, "%s  cannot look: %v\n", d.Label, err)
	}
}

// close leaves the line free for what follows.
func (d *display) close() {
	if d.bar != nil {
		_ = d.bar.Clear()
		_ = d.bar.Exit()
	}
}

// Line is a run's progress in one line.
func Line(run *planner.Run, workers int, perSecond float64) string {
	p := run.Progress
	if run.State == job.RunReceived || run.State == job.RunPlanning {
		return string(run.State)
	}
	parts := []string{fmt.Sprintf("%d/%d", p.Cached+p.Done, p.Jobs), fmt.Sprintf("%d cached", p.Cached)}
	if p.Running > 0 {
		parts = append(parts, fmt.Sprintf("%d running", p.Running))
	}
	if p.Failed+p.Blocked > 0 {
		parts = append(parts, fmt.Sprintf("%d failed, %d blocked", p.Failed, p.Blocked))
	}
	if workers > 0 {
		parts = append(parts, fmt.Sprintf("%d workers", workers))
	}
	if left := p.Jobs - p.Cached - p.Done - p.Failed - p.Blocked; left > 0 && perSecond > 0 {
		parts = append(parts, fmt.Sprintf("%.0f/s", perSecond), "ETA "+(time.Duration(float64(left)/perSecond)*time.Second).String())
	}
	if run.Reason != "" && !run.State.Ended() {
		parts = append(parts, run.Reason)
	}
	return strings.Join(parts, " · ")
}

func workers(pool string, pools []scaler.Status) int {
	for _, s := range pools {
		if s.Pool == pool {
			return s.Running + s.Pending
		}
	}
	return 0
}

// rate is jobs a second over the last few looks.
type rate struct {
	at   []time.Time
	done []int
}

// rateLooks is over how many looks the rate is taken: ten seconds of the usual ones.
const rateLooks = 20

func (r *rate) add(now time.Time, done int) {
	r.at, r.done = append(r.at, now), append(r.done, done)
	if len(r.at) > rateLooks {
		r.at, r.done = r.at[1:], r.done[1:]
	}
}

func (r *rate) perSecond() float64 {
	last := len(r.at) - 1
	if last < 1 {
		return 0
	}
	seconds := r.at[last].Sub(r.at[0]).Seconds()
	if seconds <= 0 {
		return 0
	}
	return float64(r.done[last]-r.done[0]) / seconds
}
