package watch

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"spate/job"
	"spate/planner"
	"spate/scaler"
)

// display is where a run is shown: one line that is drawn over on a terminal, a line now and then elsewhere.
type display struct {
	Options
	columns   func() int // of the terminal; nil: there is none
	bar       *progressbar.ProgressBar
	barWidth  int
	lineAt    time.Time
	line      string
	troubleAt time.Time
	rate      rate
	asked     bool // whether somebody will take the run up
}

func newDisplay(o Options) *display {
	d := &display{Options: o}
	if f, ok := o.Out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		d.columns = func() int {
			width, _, err := term.GetSize(int(f.Fd()))
			if err != nil || width <= 0 {
				return usualColumns
			}
			return width
		}
	}
	if o.Out == nil {
		d.Out = io.Discard
	}
	return d
}

const (
	usualColumns = 80
	// The bar has what the text leaves it, in steps of five columns, so that it does not flicker: all, a part, or nothing.
	widestBar = 20
	barStep   = 5
	// percentColumns are those of the percentage and the spaces around it and the bar, and one that stays free.
	percentColumns = 9
)

// update shows a run's figures.
func (d *display) update(now time.Time, run *planner.Run, pools []scaler.Status) {
	p := run.Progress
	d.rate.add(now, p.Done)
	perSecond := d.rate.perSecond()
	text, _ := line(run, workers(run.Pool, pools), perSecond, MaxColumns)
	if d.columns == nil {
		if text != d.line && (now.Sub(d.lineAt) >= d.Lines || run.State.Ended()) {
			fmt.Fprintf(d.Out, "%s  %s\n", d.Label, text)
			d.line, d.lineAt = text, now
		}
		return
	}
	columns := d.columns()
	text = d.labelled(run, workers(run.Pool, pools), perSecond, columns-percentColumns)
	if p.Jobs == 0 {
		fmt.Fprintf(d.Out, "\r%s\x1b[K", clip(text, columns-1))
		return
	}
	width := min(widestBar, max(0, columns-percentColumns-utf8.RuneCountInString(text))/barStep*barStep)
	if d.bar == nil || d.barWidth != width {
		d.bar, d.barWidth = newBar(d.Out, p.Jobs, width), width
	}
	d.bar.Describe(text)
	_ = d.bar.Set(min(p.Cached+p.Done, p.Jobs-1)) // the bar ends with the run, not with its last job
}

// labelled is a run's line with its label, which gives way to figures that matter more.
func (d *display) labelled(run *planner.Run, workers int, perSecond float64, columns int) string {
	label := d.Label + "  "
	text, whole := line(run, workers, perSecond, min(MaxColumns, columns-utf8.RuneCountInString(label)))
	if !whole {
		text, _ = line(run, workers, perSecond, min(MaxColumns, columns))
		return text
	}
	return clip(label+text, columns)
}

func newBar(out io.Writer, jobs, width int) *progressbar.ProgressBar {
	return progressbar.NewOptions(jobs,
		progressbar.OptionSetWriter(out), progressbar.OptionSetWidth(width), progressbar.OptionSetPredictTime(false),
		progressbar.OptionThrottle(0), progressbar.OptionSetElapsedTime(false), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "█", SaucerPadding: "░"}), progressbar.OptionUseANSICodes(true),
	)
}

// clip shortens a text to so many columns; one that broke the line could not be drawn over.
func clip(text string, columns int) string {
	runes := []rune(text)
	if len(runes) <= columns {
		return text
	}
	return string(runes[:max(0, columns-1)]) + "…"
}

// takenUp is how long a run may go without a record before somebody should look why.
const takenUp = 5 * time.Second

// Silence is how long there may be no word of a leading controller; one that leads reports every five seconds, or if it
// has just reported something else, within ten.
const Silence = 12 * time.Second

// unseen says once that nobody seems to take the run up, and why that may be.
func (d *display) unseen(now time.Time, waited time.Duration, pools []scaler.Status) {
	if d.asked || waited < takenUp {
		return
	}
	d.asked = true
	fmt.Fprintln(d.Out, "no controller has taken the run up yet"+d.whyUnseen(now, pools))
}

func (d *display) whyUnseen(now time.Time, pools []scaler.Status) string {
	var reported time.Time
	for _, p := range pools {
		if p.At.After(reported) {
			reported = p.At
		}
	}
	switch since := now.Sub(reported); {
	case d.Serve == "":
		return ""
	case len(pools) == 0:
		return ", and none has ever reported: start one with `" + d.Serve + "`"
	case since > Silence:
		return fmt.Sprintf(", and none has reported for %s: is `%s` running?", since.Round(time.Second), d.Serve)
	default:
		return fmt.Sprintf("; one reported %s ago: is it on the same submissions queue?", max(0, since).Round(time.Second))
	}
}

// patience is how long looks may fail before that is shown.
const patience = 3 * time.Second

// trouble says that the run could not be looked at for a while: in the line on a terminal, now and then elsewhere.
func (d *display) trouble(now, answered time.Time, err error) {
	since := now.Sub(answered)
	if since <= patience {
		return
	}
	text := fmt.Sprintf("%s  no answer since %s: %v", d.Label, since.Round(time.Second), err)
	if d.columns != nil {
		fmt.Fprintf(d.Out, "\r%s\x1b[K", clip(strings.Join(strings.Fields(text), " "), d.columns()-1))
		return
	}
	if d.troubleAt.IsZero() || now.Sub(d.troubleAt) >= d.Lines {
		fmt.Fprintln(d.Out, text)
		d.troubleAt = now
	}
}

// close leaves the line free for what follows.
func (d *display) close() {
	if d.columns != nil {
		fmt.Fprint(d.Out, "\r\x1b[K")
	}
}

// MaxColumns is how wide a Line may become.
const MaxColumns = 100

// Line is a run's progress in one line, the most important first; perSecond is 0 when it is not known.
func Line(run *planner.Run, workers int, perSecond float64) string {
	text, _ := line(run, workers, perSecond, MaxColumns)
	return text
}

// part is one of a line's; those of a higher rank give way first, those of rank 0 never.
type part struct {
	text string
	rank int
}

// Ranks of parts.
const (
	rankFailed = iota + 1
	rankBlocked
	rankCached
	rankRunning
	rankWorkers
	rankZero // counts that are 0
)

// line is a Line of so many columns, and whether all that matters more than a label is in it. A reason is cut off.
func line(run *planner.Run, workers int, perSecond float64, columns int) (text string, whole bool) {
	parts := []part{{text: string(run.State)}}
	if p := run.Progress; run.State != job.RunReceived && run.State != job.RunPlanning && p.Jobs > 0 {
		if run.State == job.RunCancelling {
			perSecond = 0 // workers drop more than they finish, and nobody knows when they come to it
		}
		parts = figures(p, workers, perSecond)
		for _, mark := range marks(run) {
			parts = slices.Insert(parts, 1, part{mark, rankFailed})
		}
		if run.State == job.RunCancelling {
			parts = slices.Insert(parts, 0, part{text: fmt.Sprintf("cancelling, %d left", p.Left())})
		}
	}
	for most := rankZero; most >= 0; most-- {
		var kept []string
		for _, p := range parts {
			if p.rank <= most {
				kept = append(kept, p.text)
			}
		}
		text = strings.Join(kept, " · ")
		if utf8.RuneCountInString(text) <= columns {
			whole = most >= rankBlocked
			break
		}
	}
	if run.Reason != "" && !run.State.Ended() {
		text += " · " + run.Reason
	}
	return clip(text, columns), whole
}

// marks are what makes a run no ordinary one, in a word or two.
func marks(run *planner.Run) []string {
	var marks []string
	if n := len(run.Substitutions); n > 0 {
		marks = append(marks, fmt.Sprintf("%d substituted", n))
	}
	if run.Force != "" {
		marks = append(marks, fmt.Sprintf("%d forced", run.Forced))
	}
	if run.Partial() {
		marks = append(marks, fmt.Sprintf("of %d in the file", run.Whole))
	}
	return marks
}

func figures(p planner.Progress, workers int, perSecond float64) []part {
	count := func(n int, what string, rank int) part {
		if n == 0 {
			rank = rankZero
		}
		return part{fmt.Sprintf("%d %s", n, what), rank}
	}
	parts := []part{{text: fmt.Sprintf("%d/%d", p.Cached+p.Done, p.Jobs)}, count(p.Cached, "cached", rankCached)}
	if p.Running > 0 {
		parts = append(parts, count(p.Running, "running", rankRunning))
	}
	if p.Failed+p.Blocked > 0 {
		parts = append(parts, count(p.Failed, "failed", rankFailed), count(p.Blocked, "blocked", rankBlocked))
	}
	if p.Cancelled > 0 {
		parts = append(parts, count(p.Cancelled, "cancelled", rankBlocked))
	}
	if left := p.Left(); left > 0 && perSecond > 0 {
		parts = append(parts, part{text: "ETA " + eta(float64(left)/perSecond)}, part{text: formatRate(perSecond)})
	}
	switch {
	case workers == 1:
		parts = append(parts, part{"1 worker", rankWorkers})
	case workers > 1:
		parts = append(parts, count(workers, "workers", rankWorkers))
	}
	return parts
}

// formatRate keeps a slow rate from looking like none.
func formatRate(perSecond float64) string {
	if perSecond < 1 {
		return fmt.Sprintf("%.2g/min", perSecond*60)
	}
	return fmt.Sprintf("%.0f/s", perSecond)
}

// eta is a number of seconds for people; nobody plans by more than four days.
func eta(seconds float64) string {
	const most = 99 * time.Hour
	if seconds > most.Seconds() {
		return "> 99h"
	}
	d := time.Duration(seconds * float64(time.Second))
	if d >= time.Hour {
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return d.Round(time.Second).String()
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
