package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"spate/internal/config"
	"spate/scaler"
)

type poolsCommand struct {
	configFlag
	outputFlag
	Pool string `arg:"" optional:"" name:"pool" help:"Pool, as the configuration names it; left out: all."`
}

// Help tells more.
func (c *poolsCommand) Help() string {
	return "What people want of a pool (pause, drain, kill, cap) with who, when and why; jobs outstanding; workers wanted, running and pending; what they cost an hour; " +
		"the limit that holds the pool back, in a sentence; what stopped it by itself, and how its tasks lately ended. Of one pool all that, and who changed what."
}

// poolState is how one pool stands.
type poolState struct {
	config  *config.Pool // nil: the configuration has it no more
	status  scaler.Status
	control scaler.Control
}

// Run shows how pools stand.
func (c *poolsCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	if c.Pool != "" {
		if _, err := knownPool(in.cfg, c.Pool); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, contactTimeout)
	defer cancel()
	states, err := lookAtPools(ctx, in)
	if err != nil {
		return err
	}
	now := time.Now()
	if c.Pool == "" {
		if c.json() {
			return printJSON(p.stdout, map[string]any{"pools": poolViews(states)})
		}
		return printPools(pageOn(p.stdout), now, states)
	}
	changes, err := scaler.ReadChanges(ctx, in.runs, c.Pool)
	if err != nil {
		return err
	}
	s := states[slices.IndexFunc(states, func(s poolState) bool { return s.config != nil && s.config.Name == c.Pool })]
	if c.json() {
		v := poolViews([]poolState{s})[0]
		v.Changes = append([]scaler.Change{}, changes...)
		return printJSON(p.stdout, v)
	}
	printPool(pageOn(p.stdout), now, s, changes)
	return nil
}

// lookAtPools reads how pools stand: those of the configuration in its order, then others of which a status is left.
func lookAtPools(ctx context.Context, in *installation) ([]poolState, error) {
	statuses, err := scaler.ReadStatus(ctx, in.runs)
	if err != nil {
		return nil, err
	}
	controls, err := scaler.ReadControls(ctx, in.runs)
	if err != nil {
		return nil, err
	}
	var states []poolState
	for i := range in.cfg.Pools {
		name := in.cfg.Pools[i].Name
		s := poolState{config: &in.cfg.Pools[i], status: scaler.Status{Pool: name}, control: controls[name]}
		if j := slices.IndexFunc(statuses, func(x scaler.Status) bool { return x.Pool == name }); j >= 0 {
			s.status = statuses[j]
		}
		states = append(states, s)
	}
	for _, x := range statuses {
		if _, ok := findPool(in.cfg.Pools, x.Pool); !ok {
			states = append(states, poolState{status: x, control: controls[x.Pool]})
		}
	}
	for i := range states {
		states[i].control.Pool, states[i].control.Mode = states[i].status.Pool, cmp.Or(states[i].control.Mode, scaler.ModeRun)
	}
	return states, nil
}

// poolView is a pool as programs read it.
type poolView struct {
	Name       string          `json:"name"`
	Configured bool            `json:"configured"`
	Min        int             `json:"min"`
	Max        int             `json:"max"`
	Control    scaler.Control  `json:"control"`
	Obeyed     bool            `json:"obeyed"` // a controller has taken the control over
	Status     *scaler.Status  `json:"status"` // null: no controller has worked on it yet
	Changes    []scaler.Change `json:"changes,omitempty"`
}

func poolViews(states []poolState) []poolView {
	views := make([]poolView, len(states))
	for i, s := range states {
		v := poolView{Name: s.status.Pool, Configured: s.config != nil, Control: s.control, Obeyed: s.obeyed()}
		if s.config != nil {
			v.Min, v.Max = s.config.Min, s.config.Max
		}
		if !s.status.At.IsZero() {
			v.Status = &states[i].status
		}
		views[i] = v
	}
	return views
}

// obeyed reports whether a controller has taken over what people want.
func (s poolState) obeyed() bool { return s.status.ControlVersion >= s.control.Version }

// printSilence says that no controller reports, if none does.
func printSilence(w page, now time.Time, states []poolState) {
	s := state{at: now}
	for _, x := range states {
		if !x.status.At.IsZero() && x.config != nil {
			s.pools = append(s.pools, x.status)
		}
	}
	if since, silent := s.silence(); silent && len(s.pools) > 0 {
		w.paragraph("", fmt.Sprintf("No controller has reported for %s: is `spate serve` running? What follows is what the last one knew.", since.Round(time.Second)))
		fmt.Fprintln(w)
	}
}

func printPools(w page, now time.Time, states []poolState) error {
	printSilence(w, now, states)
	body := make([][]string, len(states))
	for i, s := range states {
		x := s.status
		body[i] = []string{
			x.Pool, string(s.control.Mode), strconv.Itoa(x.Outstanding), strconv.Itoa(x.Wanted), runningOf(x), strconv.Itoa(x.Pending),
			strconv.Itoa(x.Launched), costAnHour(x), string(x.Limit), ago(now, x.At),
		}
	}
	header := []string{"POOL", "MODE", "JOBS", "WANTED", "RUNNING", "PENDING", "LAUNCHED", "AN HOUR", "LIMIT", "REPORTED"}
	if err := w.rowsWithin(header, body, "REPORTED", "LAUNCHED", "LIMIT"); err != nil {
		return err
	}
	for _, s := range states {
		fmt.Fprintln(w)
		printStanding(w, "", now, s)
	}
	return nil
}

// printStanding says in sentences what holds a pool back.
func printStanding(w page, indent string, now time.Time, s poolState) {
	x := s.status
	switch {
	case x.At.IsZero():
		w.paragraph(indent, x.Pool+": no controller has worked on it yet.")
	case s.config == nil:
		w.paragraph(indent, x.Pool+": the configuration has it no more.")
	default:
		w.paragraph(indent, x.Reason)
	}
	if !s.obeyed() {
		text := fmt.Sprintf("%s %s", s.control.Mode, markOf(now, s.control.Set))
		if s.control.Version != s.control.SetVersion {
			text = fmt.Sprintf("%s, %s", capWords(s.control), markOf(now, s.control.CapSet))
		}
		w.paragraph(indent+"  ", "no controller has taken this over yet: "+text)
	} else if s.control.Cap != nil && x.Limit != scaler.LimitCap {
		w.paragraph(indent+"  ", fmt.Sprintf("%s, %s", capWords(s.control), markOf(now, s.control.CapSet)))
	}
	printBreakers(w, indent+"  ", now, x)
	if x.Drift != "" {
		w.paragraph(indent+"  ", x.Drift)
	}
	if len(x.Stops) > 0 {
		w.paragraph(indent+"  ", fmt.Sprintf("last ended badly: %s (%s, the last %s)", x.Stops[0].Reason, countOf(x.Stops[0].Count, "task"), ago(now, x.Stops[0].Last)))
	}
}

// restsOn says how old the parts were that the last decision rests on; "" where no controller has told.
func restsOn(s scaler.Status) string {
	var parts []string
	add := func(what string, at time.Time) {
		if !at.IsZero() {
			parts = append(parts, fmt.Sprintf("%s %s", what, max(0, s.At.Sub(at)).Round(time.Second)))
		}
	}
	add("jobs", s.Parts.Demand)
	add("list of tasks", s.Parts.Listing)
	add("their descriptions", s.Parts.Tasks)
	add("what people want", s.Parts.Control)
	add("task events", s.Parts.Events)
	add("the cluster's count", s.Parts.Cluster)
	if len(parts) == 0 {
		return ""
	}
	return "how old that knowledge was: " + strings.Join(parts, ", ")
}

func capWords(c scaler.Control) string {
	if c.Cap == nil {
		return "no cap"
	}
	return "cap of " + countOf(*c.Cap, "worker")
}

// runningOf is how many workers run; a new controller may know at first only how many there are at most.
func runningOf(s scaler.Status) string {
	if s.Listed > 0 {
		return "≤" + strconv.Itoa(s.Running)
	}
	return strconv.Itoa(s.Running)
}

// costAnHour is what the workers cost now; "" where that is not known.
func costAnHour(s scaler.Status) string {
	if s.PerHour == nil {
		return ""
	}
	return s.PerHour.String()
}

// printPool shows one pool in detail.
func printPool(w page, now time.Time, s poolState, changes []scaler.Change) {
	printSilence(w, now, []poolState{s})
	x, c := s.status, s.control
	text := x.Pool + "  runs"
	if c.Mode != scaler.ModeRun {
		text = fmt.Sprintf("%s  %s %s", x.Pool, c.Mode, markOf(now, c.Set))
	}
	w.paragraph("", text)
	bounds := fmt.Sprintf("%d to %d workers", s.config.Min, s.config.Max)
	if c.Cap != nil {
		bounds += fmt.Sprintf("; %s %s", capWords(c), markOf(now, c.CapSet))
	}
	w.paragraph("  ", bounds)
	if !x.At.IsZero() {
		w.paragraph("  ", fmt.Sprintf("%s outstanding; workers: %d wanted, %s running, %d pending, %d stopping (at most %d at once so far)",
			countOf(x.Outstanding, "job"), x.Wanted, runningOf(x), x.Pending, x.Stopping, x.Peak))
		w.paragraph("  ", fmt.Sprintf("tasks so far: %d launched; %d ended well, %d failed, %d stopped, %d vanished", x.Launched, x.Exited, x.Failed, x.Stopped, x.Vanished))
		if x.PerHour != nil && x.Running+x.Pending > 0 {
			w.paragraph("  ", fmt.Sprintf("cost: about %s an hour now, at list prices", x.PerHour))
		}
		w.paragraph("  ", fmt.Sprintf("decided %s, limit %s:", ago(now, x.At), x.Limit))
	}
	printStanding(w, "    ", now, s)
	for i, stop := range x.Stops {
		if i > 0 { // the first one was shown
			w.paragraph("      ", fmt.Sprintf("before: %s (%s, the last %s)", stop.Reason, countOf(stop.Count, "task"), ago(now, stop.Last)))
		}
	}
	if text := restsOn(x); text != "" {
		w.paragraph("    ", text)
	}
	if len(changes) == 0 {
		return
	}
	w.paragraph("  ", "what people wanted, the newest first:")
	for i, change := range slices.Backward(changes) {
		if i < len(changes)-shownChanges {
			w.paragraph("    ", fmt.Sprintf("… and %s; --output json has all of the last 90 days", countOf(i+1, "older change")))
			return
		}
		w.paragraph("    ", changeWords(now, change))
	}
}

// shownChanges is how many changes of a pool are shown.
const shownChanges = 10

func changeWords(now time.Time, c scaler.Change) string {
	what := string(c.Lever)
	if c.Lever == scaler.LeverCap {
		what = "cap none"
		if c.After.Cap != nil {
			what = fmt.Sprintf("cap %d", *c.After.Cap)
		}
	}
	return what + " " + markOf(now, c.Mark)
}
