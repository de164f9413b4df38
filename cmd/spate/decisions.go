package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"spate/scaler"
)

type decisionsCommand struct {
	configFlag
	outputFlag
	Pool  string        `arg:"" name:"pool" help:"Pool, as the configuration names it."`
	Since time.Duration `help:"How far back to look; records are kept for 48 hours." default:"2h"`
	All   bool          `help:"Show every record, not folded."`
}

// Help tells more.
func (c *decisionsCommand) Help() string {
	return "How many workers were wanted, how many there were (launched ones included that do not run yet), how many ECS has launched since the record before, and what limited that; ? is what was not known then. " +
		"Decisions in a row with the same limit are one line, with the reason of the last of them. A decision is recorded when it launches something or its limit changes, at most once " +
		"a second, and each minute while there is work. Times are UTC."
}

// Validate checks the flags.
func (c *decisionsCommand) Validate() error {
	if c.Since <= 0 {
		return fmt.Errorf("--since must be more than 0, not %s", c.Since)
	}
	return nil
}

// Run shows decisions.
func (c *decisionsCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	if _, err := knownPool(in.cfg, c.Pool); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, contactTimeout)
	defer cancel()
	now := time.Now().UTC()
	since := now.Add(-c.Since)
	records, err := scaler.ReadDecisions(ctx, in.runs, c.Pool, since)
	if err != nil {
		return err
	}
	if c.json() {
		view := map[string]any{"pool": c.Pool, "since": since}
		if c.All {
			view["decisions"] = append([]scaler.Decided{}, records...)
		} else {
			view["stretches"] = append([]scaler.Stretch{}, scaler.Stretches(records)...)
		}
		return printJSON(p.stdout, view)
	}
	w := pageOn(p.stdout)
	if len(records) == 0 {
		w.paragraph("", fmt.Sprintf("Nothing was decided for %s in the last %s: there was no work and no worker, or no controller.", c.Pool, inWords(c.Since)))
		return nil
	}
	if c.All {
		return printDecisions(w, now, records)
	}
	return printStretches(w, now, scaler.Stretches(records))
}

// ongoing is how long ago the last record may be of a stretch that still lasts: there is one a minute at least.
const ongoing = 90 * time.Second

// printStretches prints folded decisions, each with its reason below it.
func printStretches(w page, now time.Time, stretches []scaler.Stretch) error {
	body := make([][]string, len(stretches))
	reasons := make([]string, len(stretches))
	for i, s := range stretches {
		to := clock(now, s.To)
		if i == len(stretches)-1 && now.Sub(s.To) <= ongoing {
			to = "now"
		}
		body[i] = []string{
			clock(now, s.From), to, fromTo(s.First.Outstanding, s.Last.Outstanding), fromTo(s.First.Wanted, s.Last.Wanted),
			fromTo(s.First.Have, s.Last.Have), strconv.Itoa(s.Launched), string(s.Limit),
		}
		reasons[i] = s.Reason
	}
	return printReasoned(w, []string{"FROM", "TO", "JOBS", "WANTED", "HAVE", "LAUNCHED", "LIMIT"}, body, reasons)
}

// printDecisions prints every record.
func printDecisions(w page, now time.Time, records []scaler.Decided) error {
	body := make([][]string, len(records))
	reasons := make([]string, len(records))
	for i, r := range records {
		body[i] = []string{
			clock(now, r.At), figure(r.Outstanding), figure(r.Wanted), figure(r.Have), strconv.Itoa(r.Launched), string(r.Limit),
		}
		reasons[i] = r.Reason
	}
	return printReasoned(w, []string{"TIME", "JOBS", "WANTED", "HAVE", "LAUNCHED", "LIMIT"}, body, reasons)
}

// printReasoned prints an aligned table with a sentence below each row.
func printReasoned(w page, header []string, body [][]string, reasons []string) error {
	lines, _ := align(append([][]string{header}, body...))
	for i, line := range lines {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
			return err
		}
		if i > 0 {
			w.paragraph("  ", reasons[i-1])
		}
	}
	return nil
}

// fromTo is a figure at the beginning and at the end.
func fromTo(first, last *int) string {
	from, to := figure(first), figure(last)
	if from == to {
		return from
	}
	return from + "→" + to
}

// figure is a number, or that it was not known.
func figure(n *int) string {
	if n == nil {
		return "?"
	}
	return strconv.Itoa(*n)
}

// clock is a time of the last hours, with its day where that is another one.
func clock(now, t time.Time) string {
	if t = t.UTC(); t.Format(time.DateOnly) != now.UTC().Format(time.DateOnly) {
		return t.Format("Jan 2 15:04:05")
	}
	return t.Format(time.TimeOnly)
}
