package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"spate/cache"
	"spate/planner/report"
)

type cacheStatsCommand struct {
	configFlag
	outputFlag
	Runs int `help:"Count the hits of the N newest runs (default ${default})." default:"10" placeholder:"N"`
}

// Help tells more.
func (c *cacheStatsCommand) Help() string {
	return "What the controller that leads knows of the cache, which it saves every 5 seconds: the view with its outputs and memory, how far the view is behind " +
		"the ledger and the ledger behind S3, and what is wrong with the services that all rest on, each with what mends it. And what the newest runs " +
		"found in the cache, by run and by task type: a hit is an output that existed when it was needed.\n\n" +
		"`spate cache verify` compares the three with one another."
}

// Validate checks the flags.
func (c *cacheStatsCommand) Validate() error {
	if c.Runs < 0 {
		return fmt.Errorf("--runs must be 0 or more, not %d", c.Runs)
	}
	return nil
}

// Run shows how the cache does.
func (c *cacheStatsCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	reader, err := in.reader()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, contactTimeout)
	defer cancel()
	status, found, err := cache.ReadStatus(ctx, in.runs)
	if err != nil {
		return err
	}
	hits, err := reader.HitRatios(ctx, c.Runs)
	if err != nil {
		return err
	}
	parked, err := cache.NewTableRecords(in.runs).Parked(ctx, shownParked)
	if err != nil {
		return err
	}
	now := time.Now()
	view := cacheStatsView{Parked: parked, Silent: isSilent(now, status, found), Hits: hits}
	if found {
		view.Status = &status
	}
	if c.json() {
		return printJSON(p.stdout, view)
	}
	return printCacheStats(pageOn(p.stdout), now, view)
}

// isSilent reports whether no controller has reported on the cache for a while.
func isSilent(now time.Time, s cache.Status, found bool) bool {
	return !found || now.Sub(s.At) > cache.StatusSilence
}

// cacheStatsView is how the cache does as programs read it.
type cacheStatsView struct {
	Status *cache.Status     `json:"status"` // null when no controller ever led
	Silent bool              `json:"controller_silent"`
	Parked []cache.Parked    `json:"parked"` // the newest messages that could not be handled
	Hits   *report.HitRatios `json:"hits"`
}

// shownParked is how many parked messages are shown.
const shownParked = 5

func printCacheStats(w page, now time.Time, v cacheStatsView) error {
	if v.Status == nil {
		w.paragraph("", "No controller has reported on the cache yet: start one with `spate serve`.")
	} else {
		if v.Silent {
			w.paragraph("", fmt.Sprintf("No controller has reported on the cache for %s: is `spate serve` running? What follows is what the last one knew.",
				inWords(now.Sub(v.Status.At))))
			fmt.Fprintln(w)
		}
		printCacheStatus(w, now, *v.Status)
	}
	if len(v.Parked) > 0 {
		fmt.Fprintln(w)
		w.paragraph("", "Messages of S3 that could not be handled, the newest:")
		for _, m := range v.Parked {
			w.paragraph("  ", fmt.Sprintf("%s, tried %s: %s", ago(now, m.At), countOf(m.ReceiveCount, "time"), m.Reason))
		}
	}
	return printHits(w, v.Hits)
}

func printCacheStatus(w page, now time.Time, s cache.Status) {
	for _, line := range []struct{ part, text string }{
		{"view", viewLine(s)},
		{"memory", memoryLine(s.View)},
		{"updater", updaterLine(s.Updater)},
		{"follower", followerLine(s)},
		{"build", buildLine(now, s.Build)},
		{"reconcile", reconcileLine(now, s.Reconcile)},
		{"refresh", refreshLine(now, s.Refresh)},
		{"reported", ago(now, s.At) + ", by a controller that has led for " + inWords(s.At.Sub(s.Since))},
	} {
		if line.text != "" {
			w.labelled(line.part, line.text)
		}
	}
	printFindings(w, now, s)
}

// cacheLine is the cache in one line among other things.
func cacheLine(s cache.Status) string {
	text := "Output cache: "
	switch {
	case obstacle(s) != "":
		text += "the view does not answer: " + obstacle(s) + "; the ledger answers instead"
	case s.State == cache.StateLive && s.Follower.Behind:
		text += "too far behind the ledger, which answers instead"
	case s.State == cache.StateLive:
		text += fmt.Sprintf("live, %s, %s behind", grouped(s.View.Outputs)+" "+plural(int(s.View.Outputs), "output"), lag(s.Follower.LagSeconds))
	default:
		text += string(s.State) + "; the ledger answers instead"
	}
	if s.Build.Building && obstacle(s) == "" {
		text += fmt.Sprintf("; epoch %d is being built, %.0f%%", s.Build.Epoch, 100*s.Build.Share)
	}
	if n := len(cache.Wrong(s.Findings)); n > 0 {
		text += fmt.Sprintf("; %s to put right", countOf(n, "finding"))
	}
	return text + " (`spate cache stats`)"
}

// obstacle is what keeps the view from answering and from being built; "" when it answers, or nothing does.
func obstacle(s cache.Status) string {
	if s.State == cache.StateLive && !s.Follower.Behind {
		return ""
	}
	if s.Follower.Error == "" && s.Build.Building {
		return s.Build.Error
	}
	return s.Follower.Error
}

// viewLine says whether the view answers, and with how much.
func viewLine(s cache.Status) string {
	switch cause := obstacle(s); {
	case cause != "":
		return "does not answer: " + cause + "; the ledger answers instead, one read a key"
	case s.State == cache.StateLive && s.Follower.Behind:
		return "does not answer: it is too far behind the ledger, which answers instead, one read a key"
	case s.State == cache.StateLive:
		text := fmt.Sprintf("live: epoch %d", s.Epoch)
		if s.View.Epoch == s.Epoch {
			text += fmt.Sprintf(" with %s in %s buckets", grouped(s.View.Outputs)+" "+plural(int(s.View.Outputs), "output"), grouped(1<<s.View.BucketBits))
		}
		return text
	case s.State == cache.StateSuspect:
		return fmt.Sprintf("does not answer: epoch %d is suspect, as Redis is not what was written; the ledger answers instead, one read a key", s.Epoch)
	case s.State == cache.StateBuilding:
		return fmt.Sprintf("does not answer: epoch %d is being built; the ledger answers instead, one read a key", s.Building)
	}
	return "does not answer: there is no epoch; the ledger answers instead, one read a key"
}

func memoryLine(v cache.ViewStatus) string {
	if v.RedisVersion == "" && v.UsedBytes == 0 && v.Bytes == 0 {
		return "not known: Redis does not tell"
	}
	text := ""
	if v.Bytes > 0 && v.Outputs > 0 {
		text = fmt.Sprintf("about %s, %.1f bytes an output; ", memory(v.Bytes), float64(v.Bytes)/float64(v.Outputs))
	}
	text += fmt.Sprintf("Redis %s uses %s", v.RedisVersion, memory(v.UsedBytes))
	if v.MaxBytes > 0 {
		text += " of " + memory(v.MaxBytes)
	}
	if v.Evicted > 0 {
		text += fmt.Sprintf("; it has evicted %s", countOf(int(v.Evicted), "key"))
	}
	return text
}

// followerLine says how far the view is behind the ledger.
func followerLine(s cache.Status) string {
	f := s.Follower
	if f.At.IsZero() {
		text := "has not looked at the ledger's stream yet"
		if f.Error != "" {
			text += "; it waits for this: " + f.Error
		}
		return text
	}
	text := fmt.Sprintf("the view is %s behind the ledger; %s added and %s removed, from %s", lag(f.LagSeconds), grouped(f.Added), grouped(f.Removed), countOf(f.Shards, "shard"))
	if f.Waiting > 0 {
		text += fmt.Sprintf("; %s wait", countOf(f.Waiting, "change"))
	}
	if f.Behind {
		text += fmt.Sprintf("; the stream drops what was not read in %s", inWords(toDuration(f.TrimmedInSeconds)))
	}
	if f.Error != "" {
		text += "; it waits for this: " + f.Error
	}
	return text
}

// updaterLine says how far the ledger is behind S3.
func updaterLine(u cache.UpdaterStatus) string {
	text := fmt.Sprintf("the ledger is %s behind S3; %s changes handled, %s foreign, %s failed, %s parked",
		lag(u.LagSeconds), grouped(u.Handled), grouped(u.Foreign), grouped(u.Failed), grouped(u.Parked))
	if u.WritesPerSecond < u.WritesLimit {
		text += fmt.Sprintf("; held to %.0f of %.0f writes a second, as the table throttles", u.WritesPerSecond, u.WritesLimit)
	}
	return text
}

// reconcileLine says what comparing the three has found.
func reconcileLine(now time.Time, r cache.ReconcileStatus) string {
	if r.PassBegan.IsZero() {
		return "has not begun yet"
	}
	text := fmt.Sprintf("first pass, %s outputs so far", grouped(r.Scanned))
	if !r.PassEnded.IsZero() {
		text = "last pass ended " + ago(now, r.PassEnded)
	}
	if !r.ListEnded.IsZero() {
		text += ", S3 listed " + ago(now, r.ListEnded)
	} else if r.ListShare > 0 {
		text += fmt.Sprintf(", %.0f%% of S3 listed", 100*r.ListShare)
	}
	var found []string
	for _, d := range []struct {
		n    int64
		what string
	}{
		{r.Found.ViewLacks, "the view lacked"},
		{r.Found.ViewExtra, "the view had beyond the ledger"},
		{r.Found.ViewExpired, "the view had though expired"},
		{r.Found.LedgerLacks, "the ledger lacked"},
		{r.Found.LedgerExtra, "the ledger had beyond S3"},
	} {
		if d.n > 0 {
			found = append(found, grouped(d.n)+" "+d.what)
		}
	}
	if len(found) == 0 {
		text += "; no differences"
	} else {
		text += "; put right: " + strings.Join(found, ", ")
	}
	if r.Sampled > 0 {
		text += fmt.Sprintf("; %s of %s samples not in S3", grouped(r.Missing), grouped(r.Sampled))
	}
	if r.Failed > 0 {
		text += fmt.Sprintf("; %s; a later pass tries again", either(int(r.Failed), "1 correction failed", "%d corrections failed"))
	}
	if r.Error != "" {
		text += fmt.Sprintf("; it had to wait %s: %s", ago(now, r.ErrorAt), r.Error)
	}
	return text
}

// refreshLine says how outputs in use are kept from expiring.
func refreshLine(now time.Time, r cache.RefreshStatus) string {
	if r.ObjectsPerSecond == 0 {
		return "off: outputs in use expire as others do (cache.refresh_objects_per_second)"
	}
	text := fmt.Sprintf("%s refreshed", grouped(r.Refreshed)+" "+plural(int(r.Refreshed), "output"))
	if !r.LastAt.IsZero() {
		text += ", the last " + ago(now, r.LastAt)
	}
	parts := []string{text, fmt.Sprintf("%d wait", r.Waiting)}
	if r.Urgent > 0 {
		parts[1] += fmt.Sprintf(", %d of them in their last quarter", r.Urgent)
	}
	for _, x := range []struct {
		n    int64
		what string
	}{{r.Late, "expired while they waited"}, {r.TooLarge, "are too large to copy"}, {r.Broken, "were retracted as damaged"}, {r.Failed, "failed"}, {r.Held, "uses were let go"}} {
		if x.n > 0 {
			parts = append(parts, grouped(x.n)+" "+x.what)
		}
	}
	return strings.Join(parts, "; ")
}

// buildLine is about the last epoch that was built.
func buildLine(now time.Time, b cache.BuildStatus) string {
	switch {
	case b.Building:
		text := fmt.Sprintf("epoch %d: %s of about %s outputs, %.0f%%, begun %s", b.Epoch, grouped(b.Scanned), grouped(max(b.Scanned, b.Total)), 100*b.Share, ago(now, b.Began))
		if b.Error != "" {
			text += "; it waits for this: " + b.Error
		}
		return text
	case b.Epoch == 0:
		return ""
	case b.Error != "":
		return fmt.Sprintf("epoch %d was given up %s: %s", b.Epoch, ago(now, b.Ended), b.Error)
	}
	return fmt.Sprintf("epoch %d was built of %s outputs in %s, %s", b.Epoch, grouped(b.Scanned), took(b.Ended.Sub(b.Began)), ago(now, b.Ended))
}

// lag is a number of seconds, of which parts matter while they are few.
func lag(seconds float64) string {
	if seconds < 120 {
		return fmt.Sprintf("%.1fs", seconds)
	}
	return inWords(toDuration(seconds))
}

func printFindings(w page, now time.Time, s cache.Status) {
	if len(s.Findings) == 0 {
		if !s.Checked.IsZero() {
			w.labelled("checks", fmt.Sprintf("S3, DynamoDB and Redis are set as they should be (%s)", ago(now, s.Checked)))
		}
		return
	}
	fmt.Fprintln(w)
	w.paragraph("", fmt.Sprintf("%s about the services, %s:", countOf(len(s.Findings), "finding"), ago(now, s.Checked)))
	for _, f := range s.Findings {
		w.paragraph("  ", string(f.Severity)+": "+f.String())
	}
}

// printHits shows what runs found in the cache.
func printHits(w page, h *report.HitRatios) error {
	fmt.Fprintln(w)
	if len(h.Runs) == 0 {
		w.paragraph("", "No run has asked the cache yet.")
		return nil
	}
	w.paragraph("", fmt.Sprintf("Hits of the newest %s: %s of %s jobs (%s)",
		countOf(len(h.Runs), "run"), grouped(int64(h.All.Hits)), grouped(int64(h.All.Jobs)), share(h.All)))
	body := make([][]string, 0, len(h.Runs))
	for _, r := range h.Runs {
		body = append(body, []string{r.Run.ID, strconv.Itoa(r.Jobs), strconv.Itoa(r.Hits.Hits), share(r.Hits)})
	}
	if err := w.rows([]string{"RUN", "JOBS", "HITS", "SHARE"}, body); err != nil {
		return err
	}
	if len(h.Tasks) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	body = body[:0]
	for _, t := range h.Tasks {
		body = append(body, []string{t.Task, strconv.Itoa(t.Jobs), strconv.Itoa(t.Hits.Hits), share(t.Hits)})
	}
	return w.rows([]string{"TASK", "JOBS", "HITS", "SHARE"}, body)
}

// share is a hit ratio; "-" where there was nothing to find.
func share(h report.Hits) string {
	if h.Jobs == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", 100*h.Share())
}
