package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"spate/cache"
	"spate/job"
	"spate/planner/report"
)

type cacheWhyCommand struct {
	configFlag
	outputFlag
	Ref string `arg:"" name:"output" help:"Output, by its key or at least 8 digits of it, or by the job whose it is: JOB, of the newest of the 20 newest runs that has it, or RUN/JOB."`
}

// Help tells more.
func (c *cacheWhyCommand) Help() string {
	return "Says whether an output is cached, asking view, ledger and S3 each; since when and until when; and which run made it, with which image and in what time. " +
		"If it is not cached: what became of it, as far as that can be known, and how its key differs from that of the same job in the run of the same " +
		"name before.\n\nThe view is asked where Redis can be reached from here. `spate why` tells why a job ran, cached or not."
}

// Run says whether an output is cached.
func (c *cacheWhyCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	reader, err := in.reader()
	if err != nil {
		return err
	}
	now := time.Now()
	view, err := c.look(ctx, now, in, reader)
	if err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, view)
	}
	printCacheWhy(pageOn(p.stdout), now, view)
	return nil
}

// cacheWhyView is what is known of an output and its places as programs read it.
type cacheWhyView struct {
	Key      job.Key             `json:"key"`
	Job      string              `json:"job,omitzero"`
	Run      string              `json:"run,omitzero"`
	Cached   bool                `json:"cached"` // S3 has it, and those that answer for S3 say so
	View     string              `json:"view"`   // hit, miss or unknown, as the following
	Ledger   string              `json:"ledger"`
	S3       string              `json:"s3"`
	ViewFail string              `json:"view_error,omitzero"` // why the view could not be asked
	Since    time.Time           `json:"since,omitzero"`
	Until    time.Time           `json:"until,omitzero"`
	Output   *report.OutputFacts `json:"output,omitempty"` // of the manifest, which may have expired
	Reasons  []string            `json:"reasons"`          // why it is not cached, as sentences

	Forgotten []cache.Forgotten `json:"forgotten"`         // who took it back, the newest last
	Earlier   *earlierView      `json:"earlier,omitempty"` // the same job in the run of the same name before
}

type earlierView struct {
	Run         report.RunRef       `json:"run"`
	Key         job.Key             `json:"key"`
	Cached      bool                `json:"cached"`
	State       string              `json:"state,omitzero"` // of the job there, where the key is the same
	Differences []report.Difference `json:"differences"`
	Ancestors   []report.Ancestor   `json:"ancestors"`
}

// look asks whoever may know something of the output.
func (c *cacheWhyCommand) look(ctx context.Context, now time.Time, in *installation, reader *report.Reader) (*cacheWhyView, error) {
	run, name := splitJob(c.Ref)
	v := &cacheWhyView{Reasons: []string{}}
	e, err := reader.Why(ctx, now, name, report.WhyOptions{Run: run, Retention: in.cfg.Cache.Retention})
	if err != nil {
		if v.Key, _ = job.ParseKey(c.Ref); v.Key.IsZero() || !isMissing(err) {
			return nil, noSuchKey(c.Ref, err)
		}
		e = &report.Explanation{Key: v.Key}
	}
	v.Key, v.Job, v.Output = e.Key, e.Job, e.Output
	if e.Run != nil {
		v.Run = e.Run.ID
	}
	keys := []job.Key{v.Key}
	if !e.AgainstKey.IsZero() {
		keys = append(keys, e.AgainstKey)
	}
	witnesses, release, err := in.witnesses()
	if err != nil {
		return nil, err
	}
	defer release()
	told, err := witnesses.Ask(ctx, now, keys...)
	if _, isView := errors.AsType[*cache.ViewError](err); isView {
		v.ViewFail = err.Error()
	} else if err != nil {
		return nil, err
	}
	t := told[0]
	v.View, v.Ledger, v.S3 = t.View.String(), t.Ledger.String(), t.S3.String()
	if t.S3 == job.Hit {
		v.Since, v.Until = t.Made, t.Made.Add(in.cfg.Cache.Retention)
	}
	v.Cached = isCached(t)
	if v.Forgotten, err = cache.ReadForgotten(ctx, in.runs, v.Key); err != nil {
		return nil, err
	}
	leftovers, err := witnesses.Leftovers(ctx, v.Key)
	if err != nil {
		return nil, err
	}
	v.Reasons = notCached(now, in.cfg.Cache.Retention, t, traces{leftovers, v.Forgotten, e})
	if e.Against != nil && len(told) > 1 {
		v.Earlier = &earlierView{*e.Against, e.AgainstKey, isCached(told[1]), e.WasState, e.Differences, e.Ancestors}
	}
	return v, nil
}

// isCached reports whether a run that is planned now would not compute the output again.
func isCached(t cache.Testimony) bool {
	return t.S3 == job.Hit && (t.View == job.Hit || t.View == job.Unknown && t.Ledger == job.Hit)
}

// traces are what is left of an output that may be gone.
type traces struct {
	leftovers cache.Leftovers
	forgotten []cache.Forgotten
	known     *report.Explanation // what runs know of it
}

// notCached says why an output is not cached, or not wholly; nothing when all is well.
func notCached(now time.Time, retention time.Duration, t cache.Testimony, left traces) []string {
	leftovers, forgotten := left.leftovers, left.forgotten
	reasons := takenBack(now, forgotten)
	switch t.Disagreement(retention) {
	case cache.WrongHit:
		if len(forgotten) > 0 && t.Ledger != job.Hit {
			return append(reasons, "S3 and the ledger do not have it any more; the view follows within seconds, when a controller runs.")
		}
		return append(reasons, fmt.Sprintf("S3 has no live manifest of it, and yet %s it is there: S3's notification is on its way, or was lost. A run that counts on it finds "+
			"out before it ends. `spate cache forget %s` puts it right.", saysSo(t), t.Key))
	case cache.NotInLedger:
		return append(reasons, "S3 has it and the ledger does not: S3's notification is on its way, or was lost. Comparing the ledger with S3 finds it in time; "+
			"`spate cache rebuild --from-s3` finds all such outputs now.")
	case cache.NotInView:
		return []string{"S3 and the ledger have it and the view does not: the follower has not come to it yet, or lost it. `spate cache rebuild` builds the view anew."}
	case cache.LateExpiry:
		return []string{fmt.Sprintf("The ledger promises it until %s, longer than S3's copy counts.", at(t.Item.ExpiresAt))}
	}
	if t.S3 != job.Miss {
		return []string{}
	}
	switch {
	case !t.Made.IsZero():
		reasons = append(reasons, fmt.Sprintf("It was made %s and expired %s, after %s. Its files are still in S3, and count for nothing.",
			at(t.Made), ago(now, t.Made.Add(retention)), retentionOf(retention)))
	case len(forgotten) > 0:
	case t.Item != nil:
		reasons = append(reasons, fmt.Sprintf("It was made %s and expired %s; S3 has removed it.", at(t.Item.CreatedAt), ago(now, t.Item.ExpiresAt)))
	case wasIn(now, retention, left.known) != "":
		reasons = append(reasons, wasIn(now, retention, left.known))
	case leftovers.Files > 0:
		reasons = append(reasons, fmt.Sprintf("There is no manifest, but %s of an attempt, the last written %s: the output was taken back, or the worker ended before it had published it.",
			countOf(leftovers.Files, "file"), at(leftovers.Newest)))
	default:
		reasons = append(reasons, "There is no trace of it: it was never made, or S3 has removed it after it expired.")
	}
	return reasons
}

// wasIn says that a run had an output of which nothing is left, though nobody took it back; "" when no run is known to have had it.
func wasIn(now time.Time, retention time.Duration, e *report.Explanation) string {
	if e.Run == nil || e.Substituted != nil || e.State != job.Done.String() && e.State != job.Cached.String() {
		return ""
	}
	if e.Seconds > 0 && now.Sub(e.Run.Received) < retention { // it ran for this run
		return fmt.Sprintf("Run %s, submitted %s, made it. It would not have expired yet: it was deleted since, and not by `spate cache forget`.", e.Run.ID, ago(now, e.Run.Received))
	}
	return fmt.Sprintf("Run %s, submitted %s, had it. It has expired since, or was deleted, and not by `spate cache forget`.", e.Run.ID, ago(now, e.Run.Received))
}

// takenBack says who took an output back.
func takenBack(now time.Time, forgotten []cache.Forgotten) []string {
	var reasons []string
	for _, f := range forgotten {
		text := fmt.Sprintf("%s took it back %s", f.By, ago(now, f.At))
		if f.Reason != "" {
			text += ": " + f.Reason
		}
		reasons = append(reasons, text+".")
	}
	return reasons
}

// saysSo is who says that an output is there.
func saysSo(t cache.Testimony) string {
	switch {
	case t.View == job.Hit && t.Ledger == job.Hit:
		return "view and ledger say"
	case t.View == job.Hit:
		return "the view says"
	}
	return "the ledger says"
}

// at is a moment to the minute.
func at(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

// retentionOf is a retention in days where it is whole ones.
func retentionOf(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return countOf(int(d/day), "day")
	}
	return inWords(d)
}

func printCacheWhy(w page, now time.Time, v *cacheWhyView) {
	who := v.Key.Short()
	if v.Job != "" {
		who = fmt.Sprintf("%s of run %s", v.Job, v.Run)
	}
	places := fmt.Sprintf("view: %s, ledger: %s, S3: %s", v.View, v.Ledger, v.S3)
	if v.Cached {
		w.paragraph("", fmt.Sprintf("%s is cached (%s).", who, places))
	} else {
		w.paragraph("", fmt.Sprintf("%s is not cached (%s).", who, places))
	}
	w.paragraph("  ", "key "+v.Key.String())
	if !v.Since.IsZero() {
		w.paragraph("  ", fmt.Sprintf("since %s (%s), until %s (in %s)", at(v.Since), ago(now, v.Since), at(v.Until), left(v.Until.Sub(now))))
	}
	if o := v.Output; o != nil {
		w.paragraph("  ", fmt.Sprintf("made by run %s in %s: %s, %s", o.Run, seconds(o.Seconds), countOf(o.Files, "file"), memory(o.Bytes)))
		w.paragraph("  ", fmt.Sprintf("image %s, worker %s", shortImage(o.Image), o.Worker[strings.LastIndexByte(o.Worker, '/')+1:]))
	}
	for _, reason := range v.Reasons {
		w.paragraph("  ", reason)
	}
	if v.ViewFail != "" {
		w.paragraph("  ", "The view could not be asked from here, so it may answer otherwise: "+v.ViewFail)
	}
	if e := v.Earlier; e != nil && !v.Cached {
		printEarlier(w, now, v, e)
	}
}

// printEarlier says how the key differs from that of the same job before.
func printEarlier(w page, now time.Time, v *cacheWhyView, e *earlierView) {
	fmt.Fprintln(w)
	run := fmt.Sprintf("run %s (%s, %s)", e.Run.ID, e.Run.State, ago(now, e.Run.Received))
	if e.Key == v.Key {
		text := fmt.Sprintf("In %s, the one of that name before, %s had the same key", run, v.Job)
		if e.State != "" {
			text += " and was " + e.State
		}
		w.paragraph("", text+".")
		return
	}
	cached := "is not cached either"
	if e.Cached {
		cached = "is cached"
	}
	w.paragraph("", fmt.Sprintf("The nearest earlier key of %s is %s, in %s; it %s. What differs:", v.Job, e.Key.Short(), run, cached))
	printDifferences(w, e.Differences)
	printAncestors(w, e.Ancestors)
}

// shortImage is an image's digest, as far as people compare it.
func shortImage(digest string) string { return digest[:min(len(digest), len("sha256:")+12)] }

// left is how long something lasts yet, in days when they are many.
func left(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day {
		return countOf(int((d+day-1)/day), "day")
	}
	return strings.TrimSuffix(inWords(d.Truncate(time.Minute)), "0s")
}

// noSuchKey says what to write where a key may have been meant and was not found. Other errors pass.
func noSuchKey(ref string, err error) error {
	switch {
	case !isMissing(err) || strings.Trim(ref, "0123456789abcdef") != "" || len(ref) >= 2*job.KeySize:
		return err
	case len(ref) < report.MinKeyDigits:
		return &problem{what: err.Error(), err: err, todo: fmt.Sprintf("If a key is meant: at least %d of its digits are needed.", report.MinKeyDigits)}
	}
	return &problem{
		what: fmt.Sprintf("no output's key begins with %s in the %d newest runs, nor is there such a job", ref, report.RunsSearched), err: err,
		todo: fmt.Sprintf("Of an output that they do not have, give all %d digits.", 2*job.KeySize),
	}
}

// isMissing reports whether an error is about a run or job that there is not.
func isMissing(err error) bool {
	missing, ok := errors.AsType[*report.NotFoundError](err)
	return ok && !missing.Ambiguous
}
