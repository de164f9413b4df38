package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"spate/cache"
	"spate/planner/report"
)

type cacheStatsCommand struct {
	configFlag
	outputFlag
	Runs int `help:"Count the hits of the N newest runs (default ${default}); 0 leaves them out." default:"10" placeholder:"N"`
}

// Help tells more.
func (c *cacheStatsCommand) Help() string {
	return "How the cache does in a sentence, and then what the controller that leads knows of it, which it saves every 5 seconds: the view with its outputs and " +
		"memory, how far the view is behind the ledger and the ledger behind S3, and what is wrong with the services that all rest on, each with what mends " +
		"it. And what the newest runs found in the cache, by run and by task type: a hit is an output that existed when it was needed.\n\n" +
		"The exit code is 0 however the cache does; of JSON, `verdict` is `well`, `attention`, `not_answering` or `unknown`.\n\n" +
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
	view := cacheStatsView{Verdict: cache.VerdictUnknown, Attention: []string{}, Parked: parked, Silent: isSilent(now, status, found), Hits: hits}
	if found {
		view.Status = &status
		view.Verdict, view.Attention = status.Judge(now, parked)
	}
	if c.json() {
		return printJSON(p.stdout, view)
	}
	if c.Runs == 0 {
		view.Hits = nil
	}
	return printCacheStats(pageOn(p.stdout), now, view)
}

// isSilent reports whether no controller has reported on the cache for a while.
func isSilent(now time.Time, s cache.Status, found bool) bool {
	return !found || now.Sub(s.At) > cache.StatusSilence
}

// cacheStatsView is how the cache does as programs read it.
type cacheStatsView struct {
	Verdict   cache.Verdict     `json:"verdict"`
	Attention []string          `json:"attention"` // what somebody should look at, as noun phrases
	Status    *cache.Status     `json:"status"`    // null when no controller ever led
	Silent    bool              `json:"controller_silent"`
	Parked    []cache.Parked    `json:"parked"` // the newest messages that could not be handled
	Hits      *report.HitRatios `json:"hits"`
}

// shownParked is how many parked messages are shown.
const shownParked = 5

func printCacheStats(w page, now time.Time, v cacheStatsView) error {
	w.paragraph("", verdictLine(now, v))
	if v.Status != nil {
		fmt.Fprintln(w)
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

// verdictLine is how the cache does in a sentence or two.
func verdictLine(now time.Time, v cacheStatsView) string {
	wanted := ""
	if n := len(v.Attention); n > 0 {
		wanted = fmt.Sprintf("%s: %s.", either(n, "1 thing wants attention", "%d things want attention"), strings.Join(v.Attention, "; "))
	}
	if v.Status == nil {
		return "No controller has reported on the cache yet: start one with `spate serve`."
	}
	s := *v.Status
	switch v.Verdict {
	case cache.VerdictNotAnswering:
		return strings.TrimSpace(fmt.Sprintf("The cache does not answer: %s; jobs are looked up in the ledger. %s", s.Obstacle(), strings.Replace(wanted, "thing", "more thing", 1)))
	case cache.VerdictAttention:
		return "The cache answers, but " + wanted
	case cache.VerdictWell:
		text := fmt.Sprintf("The cache is well: it has %s and is %s", many(s.View.Outputs, "output"), behind(s))
		if n := notChecked(s); n > 0 {
			text += "; " + either(n, "1 check could not be made", "%d checks could not be made")
		}
		return text + "."
	case cache.VerdictUnknown:
	}
	return fmt.Sprintf("No controller has reported on the cache for %s: is `spate serve` running? What follows is what the last one knew.", inWords(now.Sub(s.At)))
}

// behind is how far the view is behind S3.
func behind(s cache.Status) string {
	if untold(s) {
		return "not known how far behind S3"
	}
	if s.Updater.UpToDate() && s.Follower.UpToDate() {
		return "up to date"
	}
	return lag(s.Updater.LagSeconds+s.Follower.LagSeconds) + " behind S3"
}

// untold reports whether S3 is known not to tell of all changes: then nobody knows how far the ledger is behind.
func untold(s cache.Status) bool {
	return slices.ContainsFunc(s.Findings, func(f cache.Finding) bool { return f.Check == cache.CheckNotifications && !f.IsNote() })
}

// notChecked is how many checks could not be made.
func notChecked(s cache.Status) int {
	n := 0
	for _, f := range s.Findings {
		if f.Severity == cache.SeverityUnread {
			n++
		}
	}
	return n
}

func printCacheStatus(w page, now time.Time, s cache.Status) {
	for _, line := range []struct{ part, text string }{
		{"view", viewLine(s)},
		{"memory", memoryLine(s.View)},
		{"updater", updaterLine(now, s)},
		{"follower", followerLine(now, s)},
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
	cause := s.Obstacle()
	if cause != "" {
		text += "the view does not answer: " + cause + "; the ledger answers instead"
	} else {
		text += fmt.Sprintf("live, %s, %s", many(s.View.Outputs, "output"), behind(s))
	}
	if s.Build.Building && (cause == "" || s.Follower.Error == "" && s.Build.Error == "") {
		text += fmt.Sprintf("; epoch %d is %.0f%% built", s.Build.Epoch, 100*s.Build.Share)
	}
	if n := len(cache.Wrong(s.Findings)); n > 0 {
		text += fmt.Sprintf("; %s to put right", countOf(n, "finding"))
	}
	return text + " (`spate cache stats`)"
}

// viewLine says whether the view answers, and with how much.
func viewLine(s cache.Status) string {
	if cause := s.Obstacle(); cause != "" {
		return "does not answer: " + cause + "; the ledger answers instead, one read a key"
	}
	text := fmt.Sprintf("live: epoch %d", s.Epoch)
	if s.View.Epoch == s.Epoch {
		text += fmt.Sprintf(" with %s in %s buckets", many(s.View.Outputs, "output"), grouped(1<<s.View.BucketBits))
	}
	return text
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
		text += "; it has evicted " + many(v.Evicted, "key")
	}
	return text
}

// followerLine says how far the view is behind the ledger.
func followerLine(now time.Time, s cache.Status) string {
	f := s.Follower
	if f.At.IsZero() {
		text := "has not looked at the ledger's stream yet"
		if f.Error != "" {
			text += "; it waits for this: " + f.Error
		}
		return text
	}
	text := fmt.Sprintf("the view is %s behind the ledger", lag(f.LagSeconds))
	if f.UpToDate() {
		text = "the view is up to date with the ledger" + lastChange(now, f.Changed)
	}
	if f.Added+f.Removed > 0 {
		text += fmt.Sprintf("; %s added and %s removed, from %s", grouped(f.Added), grouped(f.Removed), countOf(f.Shards, "shard"))
	}
	if f.Waiting > 0 {
		text += "; " + either(f.Waiting, "1 change waits", "%d changes wait")
	}
	if f.Behind {
		text += fmt.Sprintf("; the stream drops what was not read in %s", inWords(toDuration(f.TrimmedInSeconds)))
	}
	if f.Error != "" {
		text += "; it waits for this: " + f.Error
	}
	return text
}

// lastChange says when there was something to do the last time.
func lastChange(now, t time.Time) string {
	if t.IsZero() {
		return ": nothing has changed yet"
	}
	return ", the last change " + ago(now, t)
}

// updaterLine says how far the ledger is behind S3.
func updaterLine(now time.Time, s cache.Status) string {
	u := s.Updater
	text := fmt.Sprintf("the ledger is %s behind S3", lag(u.LagSeconds))
	switch {
	case untold(s):
		text = "how far the ledger is behind S3 is not known; no notification has come yet"
		if !u.LastHandled.IsZero() {
			text = "how far the ledger is behind S3 is not known; the last notification came " + ago(now, u.LastHandled)
		}
	case u.UpToDate():
		text = "the ledger is up to date with S3" + lastChange(now, u.LastHandled)
	}
	if u.Handled > 0 {
		text += "; " + many(u.Handled, "change") + " handled"
	}
	for _, x := range []struct {
		n    int64
		what string
	}{{u.Foreign, "of other objects"}, {u.Failed, "failed and came again"}, {u.Parked, "parked"}} {
		if x.n > 0 {
			text += ", " + grouped(x.n) + " " + x.what
		}
	}
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
	text := fmt.Sprintf("first pass, %s so far", many(r.Scanned, "output"))
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
	text := many(r.Refreshed, "output") + " refreshed"
	if !r.LastAt.IsZero() {
		text += ", the last " + ago(now, r.LastAt)
	}
	parts := []string{text, either(r.Waiting, "1 waits", "%d wait")}
	if r.Refreshed == 0 && r.Waiting == 0 {
		parts = []string{"nothing to do yet"}
	}
	if r.Urgent > 0 {
		parts[len(parts)-1] += fmt.Sprintf(", %d of them in the last quarter of their life", r.Urgent)
	}
	for _, x := range []struct {
		n    int64
		what string
	}{{r.Late, "expired while they waited"}, {r.Broken, "were retracted as damaged"}, {r.Failed, "failed"}, {r.Held, "uses were let go"}} {
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
	return fmt.Sprintf("epoch %d was built of %s in %s, %s", b.Epoch, many(b.Scanned, "output"), took(b.Ended.Sub(b.Began)), ago(now, b.Ended))
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
			w.labelled("checks", fmt.Sprintf("S3, DynamoDB and Redis are set as they should be (looked at %s)", ago(now, s.Checked)))
		}
		return
	}
	fmt.Fprintln(w)
	w.paragraph("", fmt.Sprintf("%s about the services, looked at %s:", countOf(len(s.Findings), "finding"), ago(now, s.Checked)))
	for _, f := range s.Findings {
		word := string(f.Severity)
		if f.IsNote() {
			word = "note"
		}
		w.paragraph("  ", word+": "+f.String())
	}
}

// printHits shows what runs found in the cache.
func printHits(w page, h *report.HitRatios) error {
	if h == nil { // nobody asked
		return nil
	}
	fmt.Fprintln(w)
	if len(h.Runs) == 0 {
		w.paragraph("", "No run has asked the cache yet.")
		return nil
	}
	w.paragraph("", fmt.Sprintf("Hits of the newest %s: %s of %s jobs (%s)",
		countOf(len(h.Runs), "run"), grouped(int64(h.All.Hits)), grouped(int64(h.All.Jobs)), share(h.All)))
	body := make([][]string, 0, len(h.Runs))
	for _, r := range h.Runs {
		body = append(body, []string{r.Run.ID, grouped(int64(r.Jobs)), grouped(int64(r.Hits.Hits)), share(r.Hits)})
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
		body = append(body, []string{t.Task, grouped(int64(t.Jobs)), grouped(int64(t.Hits.Hits)), share(t.Hits)})
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
