package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"spate/internal/objects"
	"spate/job"
	"spate/planner"
)

// Comparison is what two runs differ in, by job id.
type Comparison struct {
	Before RunRef `json:"before"`
	After  RunRef `json:"after"`
	Jobs   Tally  `json:"jobs"`
	// Causes are the changes of jobs themselves, alike ones together, the most frequent first.
	Causes  []Cause        `json:"causes"`
	Changes []Change       `json:"changes"` // in the order of the later run's manifest
	New     []JobRef       `json:"new"`
	Gone    []JobRef       `json:"gone"`
	Outputs *OutputsTally  `json:"outputs,omitempty"` // of changed jobs; nil when they were not looked at
	ByTask  map[string]int `json:"changed_by_parents_by_task"`
}

// RunRef names a run.
type RunRef struct {
	ID       string       `json:"id"`
	Name     string       `json:"name"`
	State    job.RunState `json:"state"`
	Received time.Time    `json:"received_at"`

	Remarks     []string `json:"remarks,omitempty"`     // what makes it no ordinary run: a part, forced, substituted
	Substituted []string `json:"substituted,omitempty"` // ids of the jobs for which other outputs stand in; of jobs of one key the first asked for
}

func refOf(run *planner.Run) RunRef {
	ref := RunRef{ID: run.ID, Name: run.Name, State: run.State, Received: run.Received, Remarks: run.Remarks()}
	for _, s := range run.Substitutions {
		if !slices.Contains(ref.Substituted, s.Job) {
			ref.Substituted = append(ref.Substituted, s.Job)
		}
	}
	return ref
}

// JobRef names a job.
type JobRef struct {
	ID   string  `json:"id"`
	Task string  `json:"task"`
	Key  job.Key `json:"key"`
}

// Tally is how many jobs there are.
type Tally struct {
	Before    int `json:"before"`
	After     int `json:"after"`
	Same      int `json:"same"`       // same id, same key
	Own       int `json:"own"`        // changed themselves
	ByParents int `json:"by_parents"` // changed only because what they need did
	New       int `json:"new"`
	Gone      int `json:"gone"`
}

// Changed is how many jobs have another key.
func (t Tally) Changed() int { return t.Own + t.ByParents }

// Change is a job whose key differs.
type Change struct {
	ID          string       `json:"id"`
	Task        string       `json:"task"`
	Before      job.Key      `json:"before"`
	After       job.Key      `json:"after"`
	Differences []Difference `json:"differences,omitempty"` // of the job itself; none when only parents changed
	Parents     []string     `json:"parents,omitempty"`     // ids of parents whose key changed
	Output      *OutputDiff  `json:"output,omitempty"`
	// Substituted says that in one of the runs another output stands in for the job's, or for that of a job that it depends on.
	Substituted bool `json:"substituted,omitzero"`

	needs []need // of changed parents
}

// need is the use of a changed parent.
type need struct {
	job   string
	files []string // none means all
}

// Cause is a way in which jobs were changed themselves.
type Cause struct {
	Fields  []string       `json:"fields"` // in which they differ, with [] for any element of a list
	Jobs    int            `json:"jobs"`
	Tasks   map[string]int `json:"tasks"`   // jobs by task type
	Uniform bool           `json:"uniform"` // all of them from the same values to the same
	Example Change         `json:"example"`
}

// CompareOptions say what of two runs is compared.
type CompareOptions struct {
	Jobs    []string // ids; none means all
	Outputs bool     // compare the outputs of changed jobs, too: two reads of S3 for each

	// Progress is told how many jobs, or outputs, have been compared; it may be nil.
	Progress func(what string, done, of int)
}

// Compare compares two runs job by job. *NotFoundError: a job that was asked for is in neither.
func (r *Reader) Compare(ctx context.Context, before, after *planner.Run, o CompareOptions) (*Comparison, error) {
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	a, err := r.list(ctx, before)
	if err != nil {
		return nil, err
	}
	defer a.close()
	b, err := r.list(ctx, after)
	if err != nil {
		return nil, err
	}
	defer b.close()
	for _, id := range o.Jobs {
		_, inA := a.ids.Find(id)
		if _, inB := b.ids.Find(id); !inA && !inB {
			return nil, r.noJob(ctx, after, id)
		}
	}
	c := &comparing{
		Comparison: &Comparison{Before: refOf(before), After: refOf(after), ByTask: map[string]int{}}, reader: r, a: a, b: b,
		causes: map[string]*Cause{}, element: regexp.MustCompile(`\[\d+\]`),
	}
	if err := c.jobs(ctx, o); err != nil {
		return nil, err
	}
	if o.Outputs {
		if err := r.compareOutputs(ctx, c.Comparison, func(done, of int) { o.Progress("comparing outputs", done, of) }); err != nil {
			return nil, err
		}
	}
	return c.Comparison, nil
}

// comparing is a comparison on its way.
type comparing struct {
	*Comparison
	reader  *Reader
	a, b    *listing
	causes  map[string]*Cause // by their fields
	element *regexp.Regexp    // of a list, in a field's name
}

func (c *comparing) jobs(ctx context.Context, o CompareOptions) error {
	asked := func(id string) bool { return len(o.Jobs) == 0 || slices.Contains(o.Jobs, id) }
	for n := range int32(c.b.len()) {
		id := c.b.ids.At(n)
		if n%1000 == 0 {
			o.Progress("comparing jobs", int(n), c.b.len())
		}
		if !asked(id) {
			continue
		}
		c.Jobs.After++
		at, ok := c.a.ids.Find(id)
		if ok && c.a.keys[at] == c.b.keys[n] {
			c.Jobs.Before++
			c.Jobs.Same++
			continue
		}
		after, err := c.b.job(n)
		if err != nil {
			return err
		}
		if !ok {
			c.Jobs.New++
			c.New = append(c.New, JobRef{id, after.Task, after.Key})
			continue
		}
		c.Jobs.Before++
		before, err := c.a.job(at)
		if err != nil {
			return err
		}
		if err := c.change(ctx, &before, &after); err != nil {
			return err
		}
	}
	for n := range int32(c.a.len()) {
		id := c.a.ids.At(n)
		if _, ok := c.b.ids.Find(id); ok || !asked(id) {
			continue
		}
		gone, err := c.a.job(n)
		if err != nil {
			return err
		}
		c.Jobs.Before++
		c.Jobs.Gone++
		c.Gone = append(c.Gone, JobRef{id, gone.Task, gone.Key})
	}
	for _, cause := range c.causes {
		c.Causes = append(c.Causes, *cause)
	}
	slices.SortFunc(c.Causes, func(a, b Cause) int {
		return cmp.Or(cmp.Compare(b.Jobs, a.Jobs), slices.Compare(a.Fields, b.Fields))
	})
	return nil
}

// change adds a job whose key differs.
func (c *comparing) change(ctx context.Context, before, after *job.Planned) error {
	differences, err := c.reader.differences(ctx, c.a, before, c.b, after)
	if err != nil {
		return err
	}
	change := Change{ID: after.ID, Task: after.Task, Before: before.Key, After: after.Key, Substituted: substituted(before) || substituted(after)}
	for _, d := range differences {
		if d.IsOwn() {
			change.Differences = append(change.Differences, d)
		}
	}
	change.needs = changedParents(before, after)
	for _, n := range change.needs {
		if !slices.Contains(change.Parents, n.job) {
			change.Parents = append(change.Parents, n.job)
		}
	}
	if len(change.Differences) == 0 {
		c.Jobs.ByParents++
		c.ByTask[change.Task]++
	} else {
		c.Jobs.Own++
		c.cause(&change)
	}
	c.Changes = append(c.Changes, change)
	return nil
}

// substituted reports whether what a job's output was made from is not what its run file says.
func substituted(planned *job.Planned) bool {
	return planned.Substituted != nil || len(planned.SubstitutedBy) > 0
}

// cause counts a job that was changed itself with those that were changed alike. Equal differences are kept once.
func (c *comparing) cause(change *Change) {
	var fields []string
	for _, d := range change.Differences {
		if field := c.element.ReplaceAllString(d.Field, "[]"); !slices.Contains(fields, field) {
			fields = append(fields, field)
		}
	}
	name := strings.Join(fields, "\x00")
	cause, ok := c.causes[name]
	if !ok {
		cause = &Cause{Fields: fields, Tasks: map[string]int{}, Uniform: true, Example: *change}
		c.causes[name] = cause
	}
	cause.Jobs++
	cause.Tasks[change.Task]++
	if equal(cause.Example.Differences, change.Differences) {
		change.Differences = cause.Example.Differences
	} else {
		cause.Uniform = false
	}
}

func equal(a, b []Difference) bool {
	return slices.EqualFunc(a, b, func(a, b Difference) bool {
		return a.Field == b.Field && string(a.Before) == string(b.Before) && string(a.After) == string(b.After)
	})
}

// differences are those of the documents of a job of two runs. Where another job is staged under the same name, the job
// itself was changed.
func (r *Reader) differences(ctx context.Context, a *listing, before *job.Planned, b *listing, after *job.Planned) ([]Difference, error) {
	docA, err := r.documentIn(ctx, a, before)
	if err != nil {
		return nil, err
	}
	docB, err := r.documentIn(ctx, b, after)
	if err != nil {
		return nil, err
	}
	differences, err := DiffDocuments(docA, docB)
	if err != nil {
		return nil, err
	}
	if len(differences) == 0 && before.Key != after.Key { // what the one that stood in was made from is not known any more
		d := Difference{Kind: KindOther, Field: "output"}
		if d.Before, err = json.Marshal(before.Key); err == nil {
			d.After, err = json.Marshal(after.Key)
		}
		return []Difference{d}, err
	}
	for i, d := range differences {
		name, ok := strings.CutSuffix(strings.TrimPrefix(d.Field, "needs."), ".key")
		if d.Kind != KindParent || !ok || before.Needs[name].Job == after.Needs[name].Job {
			continue
		}
		differences[i] = Difference{Kind: KindNeeds, Field: "needs." + name + ".job"}
		if differences[i].Before, err = json.Marshal(before.Needs[name].Job); err != nil {
			return nil, fmt.Errorf("compare job %s: %w", after.ID, err)
		}
		if differences[i].After, err = json.Marshal(after.Needs[name].Job); err != nil {
			return nil, fmt.Errorf("compare job %s: %w", after.ID, err)
		}
	}
	return differences, nil
}

// documentIn is what a job's key was derived from. Where the run's record does not give that key, as for an output that
// stands in for another, the output's manifest tells; of one that is gone nothing is known but what it stood in for.
func (r *Reader) documentIn(ctx context.Context, l *listing, planned *job.Planned) (job.Document, error) {
	doc := l.document(planned)
	key, err := doc.Key()
	if err != nil {
		return job.Document{}, fmt.Errorf("derive key of job %s of run %s: %w", planned.ID, l.run.ID, err)
	}
	if key == planned.Key {
		return doc, nil
	}
	manifest, _, err := r.Manifest(ctx, planned.Key)
	if errors.Is(err, objects.ErrNotFound) && planned.Substituted != nil {
		return doc, nil
	}
	if err != nil {
		return job.Document{}, fmt.Errorf("explain key of job %s of run %s: %w", planned.ID, l.run.ID, err)
	}
	return job.ParseDocument(manifest.Document)
}

// changedParents are the uses of parents whose key is another than before, by staged name.
func changedParents(before, after *job.Planned) []need {
	var found []need
	for _, name := range slices.Sorted(maps.Keys(after.Needs)) {
		now := after.Needs[name]
		if was, ok := before.Needs[name]; ok && was.Job == now.Job && was.Key != now.Key {
			found = append(found, need{now.Job, now.Files})
		}
	}
	return found
}
