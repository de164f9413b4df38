package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"spate/internal/objects"
	"spate/job"
	"spate/planner"
)

// Explanation says what a job is and why it ran, or did not.
type Explanation struct {
	Job   string  `json:"job,omitzero"` // empty of a key that no run has
	Task  string  `json:"task"`
	Key   job.Key `json:"key"`
	Run   *RunRef `json:"run,omitempty"` // in which it was looked at
	State string  `json:"state,omitzero"`
	Cause string  `json:"cause,omitzero"` // why it has no output
	// Seconds is how long it ran for this run, if it did and the run has ended. The output that stands now may be another
	// run's all the same, which was told to compute it again, or did when this one had expired.
	Seconds float64 `json:"seconds,omitzero"`

	Verdict     Verdict      `json:"verdict,omitzero"`
	Against     *RunRef      `json:"against,omitempty"`     // the run with which it was compared
	AgainstKey  job.Key      `json:"against_key,omitzero"`  // of the same job there, or the key asked for
	WasState    string       `json:"was_state,omitzero"`    // of the same job there
	ForceReason string       `json:"force_reason,omitzero"` // of VerdictForced
	Differences []Difference `json:"differences"`
	Ancestors   []Ancestor   `json:"ancestors"` // that changed themselves, the nearest first

	// Another output stands in for the job's own; or for those of these jobs, on which it depends.
	Substituted   *job.Substitute `json:"substituted,omitzero"`
	SubstitutedBy []string        `json:"substituted_by,omitempty"`

	Output   *OutputFacts   `json:"output,omitempty"` // nil when there is none
	Document jsontext.Value `json:"document"`         // what the key was derived from, as canonical JSON
	UsedBy   []Use          `json:"used_by,omitempty"`
}

// Verdict is why a job's key was not known before.
type Verdict string

// The verdicts.
const (
	VerdictFirst   Verdict = "first"   // there is no earlier run of that name
	VerdictNew     Verdict = "new"     // the earlier run has no job of that id
	VerdictChanged Verdict = "changed" // the job itself
	VerdictParents Verdict = "parents" // only what it needs
	VerdictSame    Verdict = "same"    // the key was the same
	VerdictForced  Verdict = "forced"  // the run was told to compute it again
)

// Ancestor is a job that another needs, directly or through others, and that changed itself.
type Ancestor struct {
	ID          string       `json:"id"`
	IsNew       bool         `json:"new,omitzero"`          // the earlier run does not have it
	Differences []Difference `json:"differences,omitempty"` // of the job itself
	Through     []string     `json:"through,omitempty"`     // the jobs between, from the ancestor on; at most throughMost
	Between     int          `json:"between"`               // how many they are
}

// OutputFacts is what is known of an output.
type OutputFacts struct {
	Run     string    `json:"run"` // that made it
	Worker  string    `json:"worker"`
	Made    time.Time `json:"made_at"`
	Expires time.Time `json:"expires_at"` // after which it counts as absent
	Image   string    `json:"image"`
	Seconds float64   `json:"seconds"`
	Files   int       `json:"files"`
	Bytes   int64     `json:"bytes"`
}

// Use is a run that has jobs of a key.
type Use struct {
	Run  RunRef   `json:"run"`
	Jobs []string `json:"jobs"`
}

// WhyOptions say how a job is explained.
type WhyOptions struct {
	Run       string // reference of the run to look in; empty means the newest that has the job
	Against   string // reference of a run, or a key, to compare with; empty means the run of the same name before
	Retention time.Duration
}

// Why explains a job, by its id or key. *NotFoundError: there is no such job, nor an output of such a key.
func (r *Reader) Why(ctx context.Context, now time.Time, ref string, o WhyOptions) (*Explanation, error) {
	found, err := r.FindJob(ctx, ref, o.Run)
	if err != nil {
		key, keyErr := job.ParseKey(ref)
		if _, ok := errors.AsType[*NotFoundError](err); ok && keyErr == nil {
			return r.whyKey(ctx, key, o, err)
		}
		return nil, err
	}
	l, err := r.list(ctx, found.Run)
	if err != nil {
		return nil, err
	}
	defer l.close()
	planned, in := found.Job, refOf(found.Run)
	doc, err := r.documentIn(ctx, l, &planned)
	if err != nil {
		return nil, err
	}
	e := &Explanation{
		Job: planned.ID, Task: planned.Task, Key: planned.Key, Run: &in, Substituted: planned.Substituted, SubstitutedBy: planned.SubstitutedBy,
	}
	if e.Document, err = doc.Canonical(); err != nil {
		return nil, err
	}
	if e.Output, err = r.outputFacts(ctx, planned.Key, o.Retention); err != nil {
		return nil, err
	}
	stated, err := r.stateIn(ctx, now, found.Run, &planned)
	if err != nil {
		return nil, err
	}
	e.State, e.Cause, e.Seconds = stated.State.String(), stated.Cause, stated.Seconds
	if IsKey(ref) && ref != planned.ID {
		if e.UsedBy, err = r.uses(ctx, planned.Key); err != nil {
			return nil, err
		}
	}
	if planned.Forced {
		e.Verdict, e.ForceReason = VerdictForced, found.Run.Force
	}
	return e, r.compareJob(ctx, l, &planned, o, e)
}

// whyKey explains a key that no run has, by its output; notFound is the error when there is none.
func (r *Reader) whyKey(ctx context.Context, key job.Key, o WhyOptions, notFound error) (*Explanation, error) {
	manifest, _, err := r.Manifest(ctx, key)
	if errors.Is(err, objects.ErrNotFound) {
		return nil, notFound
	}
	if err != nil {
		return nil, err
	}
	doc, err := job.ParseDocument(manifest.Document)
	if err != nil {
		return nil, err
	}
	e := &Explanation{Task: doc.Spec.Task.Name, Key: key, Document: manifest.Document}
	if e.Output, err = r.outputFacts(ctx, key, o.Retention); err != nil {
		return nil, err
	}
	if o.Against == "" {
		return e, nil
	}
	return e, r.againstKey(ctx, doc, o.Against, e)
}

// outputFacts reads what is known of an output; nil when there is none.
func (r *Reader) outputFacts(ctx context.Context, key job.Key, retention time.Duration) (*OutputFacts, error) {
	m, info, err := r.Manifest(ctx, key)
	if errors.Is(err, objects.ErrNotFound) {
		return nil, nil //nolint:nilnil // the comment promises it
	}
	if err != nil {
		return nil, err
	}
	return &OutputFacts{
		Run: m.Run, Worker: m.Worker, Made: info.LastModified, Expires: info.LastModified.Add(retention), Image: m.Image, Seconds: m.Seconds,
		Files: len(m.Files), Bytes: m.Bytes(),
	}, nil
}

// stateIn is where a job stands in its run.
func (r *Reader) stateIn(ctx context.Context, now time.Time, run *planner.Run, planned *job.Planned) (Stated, error) {
	for s, err := range r.States(ctx, now, run) {
		if err != nil || s.ID == planned.ID {
			return s, err
		}
	}
	return Stated{}, fmt.Errorf("look for job %s of run %s: its manifest has it no more", planned.ID, run.ID)
}

// uses are the newest runs that have jobs of a key.
func (r *Reader) uses(ctx context.Context, key job.Key) ([]Use, error) {
	runs, err := planner.ReadRuns(ctx, r.Table)
	if err != nil {
		return nil, err
	}
	runs = slices.DeleteFunc(runs, func(run *planner.Run) bool { return !isPlanned(run) })
	var uses []Use
	text := []byte(key.String())
	for _, run := range runs[:min(len(runs), RunsSearched)] {
		use := Use{Run: refOf(run)}
		for planned, err := range jobsWith(ctx, r.Objects, run.ID, func(line []byte) bool { return bytes.Contains(line, text) }) {
			if errors.Is(err, objects.ErrNotFound) {
				break
			}
			if err != nil {
				return nil, err
			}
			if planned.Key == key {
				use.Jobs = append(use.Jobs, planned.ID)
			}
		}
		if len(use.Jobs) > 0 {
			uses = append(uses, use)
		}
	}
	return uses, nil
}

// compareJob says how a job differs from the one of the same id in an earlier run, or from a key.
func (r *Reader) compareJob(ctx context.Context, l *listing, planned *job.Planned, o WhyOptions, e *Explanation) error {
	earlier, err := r.earlier(ctx, l.run, planned.ID, o.Against)
	if err != nil {
		notFound, ok := errors.AsType[*NotFoundError](err)
		if !ok || !IsKey(o.Against) || len(notFound.Near) > 0 {
			return err
		}
		doc, err := job.ParseDocument(e.Document)
		if err != nil {
			return err
		}
		return r.againstKey(ctx, doc, o.Against, e)
	}
	verdict := func(v Verdict) {
		if e.Verdict == "" {
			e.Verdict = v
		}
	}
	if earlier == nil {
		verdict(VerdictFirst)
		return nil
	}
	was := refOf(earlier)
	e.Against = &was
	a, err := r.list(ctx, earlier)
	if err != nil {
		return err
	}
	defer a.close()
	at, ok := a.ids.Find(planned.ID)
	if !ok {
		verdict(VerdictNew)
		return nil
	}
	before, err := a.job(at)
	if err != nil {
		return err
	}
	e.AgainstKey = before.Key
	if before.Key == planned.Key {
		verdict(VerdictSame)
		if earlier.State.Ended() {
			was, err := r.stateIn(ctx, time.Time{}, earlier, &before)
			if err != nil {
				return err
			}
			e.WasState = was.State.String()
		}
		return nil
	}
	if e.Differences, err = r.differences(ctx, a, &before, l, planned); err != nil {
		return err
	}
	if IsOwnChange(e.Differences) {
		verdict(VerdictChanged)
	} else {
		verdict(VerdictParents)
	}
	e.Ancestors, err = r.ancestors(ctx, a, l, planned)
	return err
}

// earlierRuns is in how many runs of the same name a job is looked for, since a run may be of some of the jobs only.
const earlierRuns = 5

// earlier is the run to compare a job with: of the runs of the same name before, the newest that has it, or else the
// newest; nil when there is none.
func (r *Reader) earlier(ctx context.Context, run *planner.Run, id, against string) (*planner.Run, error) {
	if against != "" {
		return r.FindRun(ctx, against)
	}
	newest, err := r.Previous(ctx, run)
	if err != nil {
		return nil, err
	}
	for i, other := 0, newest; i < earlierRuns && other != nil; i++ {
		planned, err := r.jobIn(ctx, other, id)
		if err != nil && !errors.Is(err, objects.ErrNotFound) {
			return nil, err
		}
		if planned != nil {
			return other, nil
		}
		if other, err = r.Previous(ctx, other); err != nil {
			return nil, err
		}
	}
	return newest, nil
}

// againstKey compares a document with that of the output of a key.
func (r *Reader) againstKey(ctx context.Context, doc job.Document, against string, e *Explanation) error {
	key, err := job.ParseKey(against)
	if err != nil {
		found, err := r.FindJob(ctx, against, "")
		if err != nil {
			return err
		}
		key = found.Job.Key
	}
	manifest, _, err := r.Manifest(ctx, key)
	if err != nil {
		return err
	}
	other, err := job.ParseDocument(manifest.Document)
	if err != nil {
		return err
	}
	e.AgainstKey = key
	if e.Differences, err = DiffDocuments(other, doc); err != nil {
		return err
	}
	switch {
	case len(e.Differences) == 0:
		e.Verdict = VerdictSame
	case IsOwnChange(e.Differences):
		e.Verdict = VerdictChanged
	default:
		e.Verdict = VerdictParents
	}
	return nil
}

// ancestors finds the jobs that changed themselves among those that a job needs, directly or through others.
func (r *Reader) ancestors(ctx context.Context, a, b *listing, planned *job.Planned) ([]Ancestor, error) {
	var found []Ancestor
	seen := map[string]bool{planned.ID: true}
	for queue := []*descent{{needs: planned.Needs}}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for _, name := range slices.Sorted(maps.Keys(at.needs)) {
			need := at.needs[name]
			n, ok := b.ids.Find(need.Job)
			if !ok || seen[need.Job] { // of a job of another run nothing is known
				continue
			}
			seen[need.Job] = true
			was, ok := a.ids.Find(need.Job)
			if !ok {
				found = append(found, Ancestor{ID: need.Job, IsNew: true, Through: at.through(), Between: at.depth})
				continue
			}
			if a.keys[was] == b.keys[n] {
				continue
			}
			before, err := a.job(was)
			if err != nil {
				return nil, err
			}
			after, err := b.job(n)
			if err != nil {
				return nil, err
			}
			differences, err := r.differences(ctx, a, &before, b, &after)
			if err != nil {
				return nil, err
			}
			if own := slices.DeleteFunc(differences, func(d Difference) bool { return !d.IsOwn() }); len(own) > 0 {
				found = append(found, Ancestor{ID: need.Job, Differences: own, Through: at.through(), Between: at.depth})
			}
			queue = append(queue, &descent{id: need.Job, needs: after.Needs, below: at, depth: at.depth + 1})
		}
		at.needs = nil
	}
	return found, nil
}

// throughMost is how many of the jobs between an ancestor and a job are named: chains may be long, and each of their jobs
// an ancestor that changed.
const throughMost = 20

// descent is the way from an ancestor that changed down to the job that is explained.
type descent struct {
	id    string
	needs map[string]job.PlannedNeed
	below *descent // nil of the job itself
	depth int      // jobs, without that
}

// through names the jobs of the way.
func (d *descent) through() []string {
	var ids []string
	for ; d.below != nil && len(ids) < throughMost; d = d.below {
		ids = append(ids, d.id)
	}
	return ids
}

// Because is the reason in a clause for people: "it was changed: params.limit 5 → 6".
func (e *Explanation) Because() string {
	switch e.Verdict {
	case VerdictFirst:
		return "there is no earlier run of this name to compare with"
	case VerdictNew:
		return "it is new: " + e.Against.ID + " has no such job"
	case VerdictForced:
		return fmt.Sprintf("the run was told to compute it again: %q", e.ForceReason)
	case VerdictSame:
		return e.becauseSame()
	case VerdictChanged:
		return "it was changed: " + texts(e.Differences, Difference.IsOwn)
	case VerdictParents:
		if len(e.Ancestors) == 0 {
			return "what it needs changed: " + texts(e.Differences, func(Difference) bool { return true })
		}
		first := e.Ancestors[0]
		switch {
		case len(e.Ancestors) > 1:
			return fmt.Sprintf("jobs on which it depends changed, %d in all: %s: %s", len(e.Ancestors), first.ID, first.text())
		case len(first.Through) > 0:
			return fmt.Sprintf("%s, on which it depends, changed: %s", first.ID, first.text())
		}
		return fmt.Sprintf("its parent %s changed: %s", first.ID, first.text())
	}
	return ""
}

func (e *Explanation) becauseSame() string {
	if e.Against == nil {
		return "the key is the same"
	}
	switch e.WasState {
	case "":
		return "its key is that of " + e.Against.ID + ", which has not ended"
	case job.Cached.String(), job.Done.String():
		return "its key is that of " + e.Against.ID + ", but the output was not there any more"
	}
	return "its key is that of " + e.Against.ID + ", where it had no output: it was " + e.WasState
}

// text says how an ancestor changed.
func (a Ancestor) text() string {
	if a.IsNew {
		return "it is new"
	}
	return texts(a.Differences, Difference.IsOwn)
}

// texts are those of the differences that are meant.
func texts(differences []Difference, meant func(Difference) bool) string {
	var found []string
	for _, d := range differences {
		if meant(d) {
			found = append(found, d.String())
		}
	}
	return strings.Join(found, "; ")
}
