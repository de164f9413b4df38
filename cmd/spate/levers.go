package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"spate/internal/config"
	"spate/scaler"
)

// leverFlags are those of commands that change what is wanted of a pool.
type leverFlags struct {
	configFlag
	outputFlag
	askFlags
	Pool   string `arg:"" name:"pool" help:"Pool, as the configuration names it."`
	Reason string `help:"Why; decisions and the pool's audit show it." placeholder:"TEXT"`
}

type pauseCommand struct {
	leverFlags
}

// Help tells more.
func (c *pauseCommand) Help() string {
	return "The workers that there are go on, and leave when they have been idle; what is queued waits. It lasts until `spate resume`, whatever becomes " +
		"of the controller."
}

// Run pauses a pool.
func (c *pauseCommand) Run(ctx context.Context, p *program) error {
	return c.pull(ctx, p, scaler.Pull{Lever: scaler.LeverPause})
}

type resumeCommand struct {
	leverFlags
}

// Help tells more.
func (c *resumeCommand) Help() string {
	return "It undoes pause, drain and kill, and lets a pool try again at once that stopped by itself, such as after workers crashed. A cap stays: " +
		"`spate cap POOL none` takes it away."
}

// Run lets a pool run again.
func (c *resumeCommand) Run(ctx context.Context, p *program) error {
	return c.pull(ctx, p, scaler.Pull{Lever: scaler.LeverResume})
}

type drainCommand struct {
	leverFlags
}

// Help tells more.
func (c *drainCommand) Help() string {
	return "Workers finish the jobs that they run, take no others, and leave; they see that they are to within about 20 seconds. Nothing is interrupted and nothing " +
		"computed is lost; what is queued waits. It lasts until `spate resume`."
}

// Run drains a pool.
func (c *drainCommand) Run(ctx context.Context, p *program) error {
	return c.pull(ctx, p, scaler.Pull{Lever: scaler.LeverDrain})
}

type killCommand struct {
	leverFlags
	Yes bool `help:"Do not ask." short:"y"`
}

// Help tells more.
func (c *killCommand) Help() string {
	return "All tasks of the pool are stopped, as fast as ECS takes such calls: about 20 a second after the first hundred. The jobs that they run go back to the queue and begin " +
		"anew on other workers; what has an output stays done. It lasts until `spate resume`. `spate drain` does the same without losing work.\n\n" +
		"It asks before, and without a terminal wants --yes."
}

// Run kills a pool's workers.
func (c *killCommand) Run(ctx context.Context, p *program) error {
	in, err := c.known(ctx, p)
	if err != nil {
		return err
	}
	if !c.Yes {
		if err := confirm(ctx, p, fmt.Sprintf("Stop all workers of %s? The jobs that they run begin anew.", c.Pool)); err != nil {
			return err
		}
	}
	return c.pullIn(ctx, p, in, scaler.Pull{Lever: scaler.LeverKill})
}

type capCommand struct {
	leverFlags
	Cap string `arg:"" name:"n" help:"Most workers that there may be, or none to take the cap away."`
}

// Help tells more.
func (c *capCommand) Help() string {
	return "It holds below the configuration's maximum, and below its minimum as well. Workers beyond it are not stopped: they leave when they have been idle. It lasts until it is " +
		"changed, whatever becomes of the controller, and is apart from pause, drain and kill."
}

// Run caps a pool.
func (c *capCommand) Run(ctx context.Context, p *program) error {
	pull := scaler.Pull{Lever: scaler.LeverCap}
	if c.Cap != "none" {
		n, err := strconv.Atoi(c.Cap)
		if err != nil || n < 0 {
			return &problem{what: fmt.Sprintf("the cap is %q: want a number of workers, 0 or more, or none", c.Cap), usage: true}
		}
		pull.Cap = &n
	}
	return c.pull(ctx, p, pull)
}

// known opens the installation and finds the pool in its configuration.
func (f *leverFlags) known(ctx context.Context, p *program) (*installation, error) {
	in, err := f.open(ctx, p)
	if err != nil {
		return nil, err
	}
	if _, err := knownPool(in.cfg, f.Pool); err != nil {
		return nil, err
	}
	return in, nil
}

// knownPool finds a pool of the configuration.
func knownPool(cfg *config.Config, name string) (config.Pool, error) {
	pool, ok := findPool(cfg.Pools, name)
	if !ok {
		return config.Pool{}, &problem{what: "there is no pool " + name, todo: "The configuration has " + strings.Join(poolNames(cfg.Pools), ", ") + "."}
	}
	return pool, nil
}

func (f *leverFlags) pull(ctx context.Context, p *program, pull scaler.Pull) error {
	in, err := f.known(ctx, p)
	if err != nil {
		return err
	}
	return f.pullIn(ctx, p, in, pull)
}

// pullIn changes what is wanted of the pool, and waits until a controller has taken that over.
func (f *leverFlags) pullIn(ctx context.Context, p *program, in *installation, pull scaler.Pull) error {
	pull.Pool, pull.By, pull.Reason = f.Pool, f.By, f.Reason
	if pull.By == "" {
		pull.By = asker()
	}
	contact, cancel := context.WithTimeout(ctx, contactTimeout)
	before, after, changed, err := scaler.PullLever(contact, in.runs, pull)
	cancel()
	if err != nil {
		return err
	}
	status, err := scaler.Obeyed(ctx, in.runs, after, f.Wait)
	switch {
	case errors.Is(err, scaler.ErrNotObeyed):
		return &problem{
			what: fmt.Sprintf("%s; what you want of %s stays, and is done when one does", err.Error(), f.Pool),
			todo: fmt.Sprintf("Is `spate serve` running? `spate pools %s` shows how things stand.", f.Pool), err: err,
		}
	case err != nil && ctx.Err() != nil:
		return &problem{what: fmt.Sprintf("stopped waiting; what you want of %s stays", f.Pool), todo: fmt.Sprintf("`spate pools %s` shows how things stand.", f.Pool), err: err}
	case err != nil:
		return err
	}
	view := leverView{f.Pool, pull.Lever, changed, before, after, status}
	if f.json() {
		return printJSON(p.stdout, view)
	}
	pool, _ := findPool(in.cfg.Pools, f.Pool)
	pageOn(p.stdout).paragraph("", pulled(time.Now(), pool, view))
	if pull.Lever == scaler.LeverDrain || pull.Lever == scaler.LeverKill {
		pageOn(p.stderr).paragraph("", fmt.Sprintf("Until they are gone: `spate pools %s`. It lasts until `spate resume %s`.", f.Pool, f.Pool))
	}
	return nil
}

// leverView is a use of a lever as programs read it.
type leverView struct {
	Pool    string         `json:"pool"`
	Lever   scaler.Lever   `json:"lever"`
	Changed bool           `json:"changed"` // false: that was wanted already
	Before  scaler.Control `json:"before"`
	Control scaler.Control `json:"control"` // as it is now
	Status  scaler.Status  `json:"status"`  // of the pool, once a controller had taken that over
}

// pulled says what a lever does now.
func pulled(now time.Time, pool config.Pool, v leverView) string {
	if !v.Changed {
		return fmt.Sprintf("%s: nothing has changed: %s", pool.Name, already(now, v))
	}
	before, s := v.Before, v.Status
	n := s.Running + s.Pending
	workers := "It has no workers"
	if n > 0 {
		workers = "Its " + countOf(n, "worker")
	}
	then := func(what string) string {
		if n == 0 {
			return workers + "."
		}
		return workers + " " + what
	}
	switch v.Lever {
	case scaler.LeverPause:
		return fmt.Sprintf("%s is paused: no worker is launched. %s", pool.Name, then("go on, and leave when they have been idle."))
	case scaler.LeverDrain:
		return fmt.Sprintf("%s is drained: no worker is launched. %s", pool.Name, then("finish the jobs that they run, and leave. What is queued waits."))
	case scaler.LeverKill:
		return fmt.Sprintf("%s is killed: no worker is launched. %s", pool.Name, then("are stopped; the jobs that they run go back to the queue."))
	case scaler.LeverResume:
		text := fmt.Sprintf("%s runs: workers are launched as there is work.", pool.Name)
		if before.Mode != scaler.ModeRun {
			text += fmt.Sprintf(" It was %s %s.", before.Mode, markOf(now, before.Set))
		}
		if before.Cap != nil {
			text += fmt.Sprintf(" Its cap of %s stays: `spate cap %s none` takes it away.", countOf(*before.Cap, "worker"), pool.Name)
		}
		return text
	case scaler.LeverCap:
	}
	switch {
	case v.Control.Cap == nil:
		return fmt.Sprintf("%s has no cap any more: its maximum is %d.", pool.Name, pool.Max)
	case *v.Control.Cap >= pool.Max:
		return fmt.Sprintf("%s has a cap of %s, which makes no difference: its maximum is %d.", pool.Name, countOf(*v.Control.Cap, "worker"), pool.Max)
	case n > *v.Control.Cap:
		return fmt.Sprintf("%s has a cap of %s. It has %d: none is stopped, and they leave when they have been idle.", pool.Name, countOf(*v.Control.Cap, "worker"), n)
	}
	return fmt.Sprintf("%s has a cap of %s, instead of its maximum of %d.", pool.Name, countOf(*v.Control.Cap, "worker"), pool.Max)
}

// already says what was wanted before it was wanted again.
func already(now time.Time, v leverView) string {
	switch v.Lever {
	case scaler.LeverPause:
		return "it is paused already, " + markOf(now, v.Control.Set)
	case scaler.LeverDrain:
		return "it is drained already, " + markOf(now, v.Control.Set)
	case scaler.LeverKill:
		return "it is killed already, " + markOf(now, v.Control.Set)
	case scaler.LeverCap:
		if v.Control.Cap != nil {
			return "it has this cap already, " + markOf(now, v.Control.CapSet)
		}
	case scaler.LeverResume:
	}
	return "it has no cap"
}

// markOf is who wanted something, when and why.
func markOf(now time.Time, m scaler.Mark) string {
	text := fmt.Sprintf("by %s %s", m.By, ago(now, m.At))
	if m.Reason != "" {
		text += ": " + m.Reason
	}
	return text
}

// confirm asks a person, who must be at a terminal. It returns an error unless the answer is yes, at once when ctx ends.
func confirm(ctx context.Context, p *program, question string) error {
	if f, ok := p.stdin.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return &problem{what: "nobody can be asked: standard input is no terminal", todo: "Give --yes if you are sure.", usage: true}
	}
	yes, err := answeredYes(ctx, p.stdin, pageOn(p.stderr), question)
	if err != nil {
		return err
	}
	if !yes {
		return &problem{what: "nothing was done"}
	}
	return nil
}

// answeredYes asks a question and reads the answer's line. Whoever lets ctx end first has not said yes; what reads the
// line is left behind, as a terminal's read cannot be taken back, and ends with the process.
func answeredYes(ctx context.Context, from io.Reader, to page, question string) (bool, error) {
	fmt.Fprint(to, fold(wordsOf(to.asTyped(question)+" [y/N]"), to.width-1, "  ")+" ")
	type line struct {
		text string
		err  error
	}
	answered := make(chan line, 1)
	go func() {
		text, err := bufio.NewReader(from).ReadString('\n')
		answered <- line{text, err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(to)
		return false, nil
	case answer := <-answered:
		if answer.err != nil && !errors.Is(answer.err, io.EOF) {
			return false, fmt.Errorf("read answer: %w", answer.err)
		}
		text := strings.ToLower(strings.TrimSpace(answer.text))
		return text == "y" || text == "yes", nil
	}
}
