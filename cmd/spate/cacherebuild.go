package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"spate/cache"
)

type cacheRebuildCommand struct {
	configFlag
	outputFlag
	FromS3 bool   `name:"from-s3" help:"Bring into the ledger what S3 holds and the ledger lacks, from here; the view follows."`
	Fresh  bool   `help:"With --from-s3: begin anew, even where an earlier try could be gone on with."`
	NoWait bool   `help:"Only ask for it."`
	By     string `help:"Who asks (default: user@host)." placeholder:"NAME"`
}

// Help tells more.
func (c *cacheRebuildCommand) Help() string {
	return "Asks the controller to build the view anew from the ledger, beside the one that answers, and shows how far it is; when it is complete it takes the other's place. " +
		"The controller does so by itself when Redis has lost something; so this is for a view that is found wrong (`spate cache verify`). Ctrl-C ends " +
		"the watching, not the rebuild. What keeps it waiting is said after a few seconds; when no controller reports for half a minute it gives up watching, and " +
		"the request stays.\n\n" +
		"With --from-s3 it lists all outputs in the bucket instead, and writes those into the ledger that it lacks: after a ledger was lost or restored, or notifications " +
		"were lost. That runs here, with these credentials; it removes only what it lists and then finds gone, and after an interruption within a day the same command goes on where it " +
		"stopped. Of 10 million outputs it takes 40,000 LIST requests ($0.20) and as many reads of the ledger as there are outputs ($1.25)."
}

// Validate checks the flags.
func (c *cacheRebuildCommand) Validate() error {
	switch {
	case c.Fresh && !c.FromS3:
		return errors.New("--fresh goes with --from-s3")
	case c.NoWait && c.FromS3:
		return errors.New("--no-wait goes without --from-s3, which runs here")
	}
	return nil
}

// Run rebuilds the view, or the ledger.
func (c *cacheRebuildCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	if c.FromS3 {
		return c.ledger(ctx, p, in)
	}
	return c.view(ctx, p, in)
}

// view asks for a new epoch and watches it being built.
func (c *cacheRebuildCommand) view(ctx context.Context, p *program, in *installation) error {
	request, err := cache.RequestRebuild(ctx, in.runs, cmp.Or(c.By, asker()))
	if err != nil {
		return err
	}
	if !c.NoWait {
		line := progressOn(p.stderr)
		said, begun := "", false
		request, err = cache.AwaitRebuild(ctx, in.runs, request, func(s cache.Status) {
			if why := waitsFor(time.Now(), request, s); why != said {
				if said = why; why != "" {
					line.clear()
					pageOn(p.stderr).paragraph("", "It waits: "+why)
				}
			}
			b := s.Build
			begun = b.Building && !isSilent(time.Now(), s, true)
			if b.Building {
				line.bar(fmt.Sprintf("epoch %d: outputs", b.Epoch), b.Scanned, b.Total)
			} else {
				line.bar("waiting for the controller", 0, 0)
			}
		})
		line.clear()
		if err != nil {
			return notRebuilt(ctx, err, begun)
		}
	}
	if c.json() {
		return printJSON(p.stdout, request)
	}
	w := pageOn(p.stdout)
	if c.NoWait {
		w.paragraph("", "Asked for. `spate cache stats` shows how far it is.")
		return nil
	}
	w.paragraph("", fmt.Sprintf("The view was built anew in %s: epoch %d answers.", took(request.Done.Sub(request.At)), request.Epoch))
	return nil
}

// patience is how long a rebuild may take to begin before it is said what it waits for.
const patience = 5 * time.Second

// waitsFor is what keeps a rebuild from going on, as far as the last status tells; "" when nothing is known to.
func waitsFor(now time.Time, r cache.RebuildRequest, s cache.Status) string {
	switch {
	case now.Sub(r.At) < patience:
		return ""
	case isSilent(now, s, true):
		return "no controller reports on the cache; is `spate serve` running?"
	case s.Follower.Error != "":
		return s.Follower.Error
	case s.Build.Building:
		return s.Build.Error
	}
	return ""
}

// notRebuilt says of a request that was not answered that it stays. begun: an epoch was being built when it was last looked.
func notRebuilt(ctx context.Context, err error, begun bool) error {
	switch {
	case errors.Is(err, cache.ErrSilent):
		return &problem{
			what: err.Error() + "; the request stays, and is dealt with when one does", err: err,
			todo: "Is `spate serve` running? `spate cache stats` shows how things stand.",
		}
	case errors.Is(err, cache.ErrReplaced):
		return &problem{what: err.Error() + "; the same new view answers both", todo: "`spate cache stats` shows how far it is.", err: err}
	case ctx.Err() != nil && !begun:
		return &problem{what: "stopped watching; the request stays, and is dealt with once nothing is in its way", todo: "`spate cache stats` shows how things stand.", err: err}
	case ctx.Err() != nil:
		return &problem{what: "stopped watching; the rebuild goes on", todo: "`spate cache stats` shows how far it is.", err: err}
	}
	return err
}

// ledger brings into the ledger what S3 holds.
func (c *cacheRebuildCommand) ledger(ctx context.Context, p *program, in *installation) error {
	ledger, err := cache.NewLedger(cache.LedgerOptions{
		Client: in.clients.DynamoDB, Table: in.cfg.Tables.Outputs, Retention: in.cfg.Cache.Retention, WritesPerSecond: in.cfg.Cache.LedgerWritesPerSecond,
	})
	if err != nil {
		return err
	}
	if err := in.objects.Check(ctx); err != nil {
		return err
	}
	began := time.Now()
	line := progressOn(p.stderr)
	done, err := cache.RebuildLedger(ctx, cache.LedgerRebuildOptions{
		Objects: in.objects, Ledger: ledger, Cursors: cache.NewTableRecords(in.runs), Retention: in.cfg.Cache.Retention, Fresh: c.Fresh, Log: zerolog.Nop(),
	}, func(s cache.LedgerRebuild) {
		line.bar(fmt.Sprintf("%s listed, %s written; prefixes", many(s.Outputs, "output"), grouped(s.Written)), int64(s.Done), int64(s.Prefixes))
	})
	line.clear()
	switch {
	case err != nil && ctx.Err() != nil:
		return &problem{
			what: fmt.Sprintf("stopped after %d of %d prefixes", done.Done, done.Prefixes),
			todo: "`spate cache rebuild --from-s3` goes on where it stopped, within a day.", err: err,
		}
	case err != nil:
		return err
	case c.json():
		return printJSON(p.stdout, done)
	}
	printLedgerRebuild(pageOn(p.stdout), time.Now(), time.Since(began), done)
	return nil
}

// printLedgerRebuild says what became of the ledger.
func printLedgerRebuild(w page, now time.Time, d time.Duration, done cache.LedgerRebuild) {
	outputs := many(done.Outputs, "output")
	if done.Resumed {
		w.paragraph("", fmt.Sprintf("The rest of S3, of a rebuild begun %s, holds %s in %s, looked through in %s. What was looked through before is not counted.",
			ago(now, done.Began), outputs, many(done.Objects, "object"), took(d)))
	} else {
		w.paragraph("", fmt.Sprintf("S3 holds %s in %s, looked through in %s.", outputs, many(done.Objects, "object"), took(d)))
	}
	if done.Written > 0 {
		w.paragraph("", fmt.Sprintf("The ledger lacked %s, or had %s with an older date, and has %[2]s now; the view follows.",
			grouped(done.Written), pronoun(done.Written)))
	} else {
		w.paragraph("", "The ledger has them all.")
	}
	if done.Unread > 0 {
		w.paragraph("", either(int(done.Unread), "1 manifest cannot be read, and counts as absent:", "%d manifests cannot be read, and count as absent:"))
		for _, k := range done.UnreadKeys {
			w.paragraph("  ", k.String())
		}
		if n := done.Unread - int64(len(done.UnreadKeys)); n > 0 {
			w.paragraph("  ", fmt.Sprintf("… and %s more", grouped(n)))
		}
	}
	if done.Gone > 0 {
		w.paragraph("", many(done.Gone, "output")+" went away meanwhile.")
	}
}

func pronoun(n int64) string {
	if n == 1 {
		return "it"
	}
	return "them"
}
