package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"spate/cache"
	"spate/job"
)

type cacheForgetCommand struct {
	configFlag
	outputFlag
	Outputs []string `arg:"" name:"output" help:"Outputs, by their keys or as RUN/JOB."`
	Reason  string   `name:"why" help:"Why; it is kept, and spate cache why shows it." placeholder:"TEXT"`
	By      string   `help:"Who asks (default: user@host)." placeholder:"NAME"`
	Yes     bool     `help:"Do not ask." short:"y"`
}

// Help tells more.
func (c *cacheForgetCommand) Help() string {
	return "Takes outputs back that should not be used any more: such as those of a program that was wrong, or whose files are damaged. The manifest is deleted first, unless " +
		"the output was made anew meanwhile, and then the ledger's item; the view forgets it within seconds. From then on the jobs run again when a run " +
		"needs them; a run under way that counted on one of them finds out before it ends. Outputs that were computed from it stay: forget them as well. The " +
		"files stay until the bucket's lifecycle removes them.\n\n" +
		"It asks before, and without a terminal wants --yes. Who did it, when and why is kept for 90 days."
}

// Run takes outputs back.
func (c *cacheForgetCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	names, keys, err := c.find(ctx, in)
	if err != nil {
		return err
	}
	witnesses, release, err := in.witnesses()
	if err != nil {
		return err
	}
	defer release()
	witnesses.View = nil // it follows the ledger
	told, err := witnesses.Ask(ctx, time.Now(), keys...)
	if err != nil {
		return err
	}
	if !c.Yes {
		if err := confirm(ctx, p, c.question(names, told)); err != nil {
			return err
		}
	}
	status, found, err := cache.ReadStatus(ctx, in.runs)
	if err != nil {
		return err
	}
	view := cacheForgetView{Outputs: []forgottenView{}, Silent: isSilent(time.Now(), status, found)}
	for i, t := range told {
		f, err := witnesses.Forget(ctx, in.runs, t, cmp.Or(c.By, asker()), c.Reason)
		if errors.Is(err, cache.ErrMadeAnew) {
			view.MadeAnew++
		} else if err != nil {
			return fmt.Errorf("%w; %s before it were forgotten", err, countOf(i, "output"))
		}
		view.Outputs = append(view.Outputs, forgottenView{names[i], f, t.S3 == job.Hit, errors.Is(err, cache.ErrMadeAnew)})
	}
	if c.json() {
		err = printJSON(p.stdout, view)
	} else {
		printForgotten(pageOn(p.stdout), view)
	}
	if err == nil && view.MadeAnew > 0 {
		err = &problem{
			what: either(view.MadeAnew, "1 output was made anew meanwhile, and stays", "%d outputs were made anew meanwhile, and stay"),
			todo: either(view.MadeAnew, "The same command again forgets that one, too.", "The same command again forgets those %d, too."),
		}
	}
	return err
}

// find finds the outputs that are named, each once.
func (c *cacheForgetCommand) find(ctx context.Context, in *installation) (names []string, keys []job.Key, err error) {
	reader, err := in.reader()
	if err != nil {
		return nil, nil, err
	}
	for _, ref := range c.Outputs {
		key, keyErr := job.ParseKey(ref)
		run, name := splitJob(ref)
		switch {
		case keyErr == nil:
			name = key.Short()
		case run == "":
			return nil, nil, &problem{
				what:  fmt.Sprintf("%q is neither a key, which has 64 digits, nor RUN/JOB", ref),
				todo:  "What is taken back is named in full. `spate cache why JOB` shows a job's key.",
				usage: true,
			}
		default:
			found, err := reader.FindJob(ctx, name, run)
			if err != nil {
				return nil, nil, err
			}
			key, name = found.Job.Key, ref
		}
		if !slices.Contains(keys, key) {
			names, keys = append(names, name), append(keys, key)
		}
	}
	return names, keys, nil
}

// question says what is about to be forgotten.
func (c *cacheForgetCommand) question(names []string, told []cache.Testimony) string {
	there := 0
	for _, t := range told {
		if t.S3 == job.Hit {
			there++
		}
	}
	follows := either(there, "1 is in S3; its job runs again when it is needed", "%d are in S3; their jobs run again when they are needed")
	return fmt.Sprintf("Forget %s (%s)? %s.", countOf(len(told), "output"), someOf(names, shownNames), follows)
}

// cacheForgetView is what was forgotten as programs read it.
type cacheForgetView struct {
	Outputs  []forgottenView `json:"outputs"`
	MadeAnew int             `json:"made_anew"` // of these, the ones that stay
	Silent   bool            `json:"controller_silent"`
}

type forgottenView struct {
	Name string `json:"-"`
	cache.Forgotten
	WasThere bool `json:"was_there"` // in S3, and not expired
	MadeAnew bool `json:"made_anew"` // meanwhile: it stays
}

func printForgotten(w page, v cacheForgetView) {
	for _, o := range v.Outputs {
		switch {
		case o.MadeAnew:
			w.paragraph("", o.Name+" was made anew meanwhile, and stays.")
		case o.WasThere:
			w.paragraph("", o.Name+" is forgotten: its job runs again when it is needed.")
		default:
			w.paragraph("", o.Name+" was not there; what the ledger may have said of it is deleted.")
		}
	}
	if v.Silent {
		w.paragraph("", "No controller reports on the cache: the view answers as before until `spate serve` runs, and then forgets within seconds.")
		return
	}
	w.paragraph("", "The view forgets within seconds. Runs under way that counted on it find out before they end.")
}
