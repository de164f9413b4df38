package planner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"golang.org/x/sync/errgroup"

	"spate/internal/objects"
	"spate/job"
)

// Reproduction is what a run that computes jobs of another run again is about, and what came of it.
type Reproduction struct {
	Run string `dynamodbav:"run" json:"run"` // whose jobs are computed again

	// Jobs of the other run that could not be chosen.
	NotDeterministic int `dynamodbav:"not_deterministic" json:"not_deterministic"` // as their task type says
	WithoutOutput    int `dynamodbav:"without_output" json:"without_output"`       // or none that lives; of those looked at
	Substituted      int `dynamodbav:"substituted" json:"substituted"`             // another output stands for theirs; of those looked at

	Tasks []ReproducedTask `dynamodbav:"tasks" json:"tasks"` // by name, once the run has ended
}

// ReproducedTask is how the jobs of one task type compared.
type ReproducedTask struct {
	Task      string `dynamodbav:"task" json:"task"`
	Compared  int    `dynamodbav:"compared" json:"compared"`   // jobs
	Identical int    `dynamodbav:"identical" json:"identical"` // of Compared: all files have the same bytes
}

// Compared is how many jobs were compared, and how many of them were identical.
func (r *Reproduction) Compared() (compared, identical int) {
	for _, t := range r.Tasks {
		compared += t.Compared
		identical += t.Identical
	}
	return compared, identical
}

// NotDeterministicTasks are the task types of which jobs gave other bytes.
func (r *Reproduction) NotDeterministicTasks() []string {
	var tasks []string
	for _, t := range r.Tasks {
		if t.Compared > t.Identical {
			tasks = append(tasks, t.Task)
		}
	}
	return tasks
}

// PrepareReproduction prepares a run that computes jobs of another run again.
func PrepareReproduction(name string, what job.Reproduction) (*Prepared, error) {
	if err := errors.Join(job.CheckName(name), job.CheckName(what.Run), what.Validate()); err != nil {
		return nil, err
	}
	return &Prepared{RunFile: &job.RunFile{Name: name, Reproduce: &what}}, nil
}

// reproduce makes a run's manifest of jobs of another run, whose image, task types, inputs and parents' outputs it takes
// over. Each gets a key of its own, so that no output is in its way.
func (p *Planner) reproduce(ctx context.Context, r *Run, file *job.RunFile) (*activeRun, error) {
	want := file.Reproduce
	original, err := p.reproducible(ctx, want.Run)
	if err != nil {
		return nil, err
	}
	r.Name, r.Owner, r.Labels = file.Name, cmp.Or(file.Owner, original.Owner), maps.Clone(original.Labels)
	if r.Labels == nil {
		r.Labels = map[string]string{}
	}
	maps.Copy(r.Labels, file.Labels)
	r.Pool, r.Worker, r.Namespace, r.Catalogue = original.Pool, original.Worker, original.Namespace, original.Catalogue
	r.Image, r.Platform, r.TaskDefinition, r.Container = original.Image, original.Platform, original.TaskDefinition, original.Container
	r.Reproduction = &Reproduction{Run: original.ID}

	body, _, err := p.Objects.Open(ctx, job.RunManifestPath(original.ID), objects.Condition{})
	if errors.Is(err, objects.ErrNotFound) {
		return nil, reject("run %s cannot be computed again: its manifest %s is gone", original.ID,
			job.ObjectURL(p.Objects.Bucket(), job.RunManifestPath(original.ID)))
	}
	if err != nil {
		return nil, fmt.Errorf("read jobs of run %s: %w", original.ID, err)
	}
	defer body.Close()
	from, err := spoolFrom(body)
	if err != nil {
		return nil, fmt.Errorf("read jobs of run %s: %w", original.ID, err)
	}
	defer from.close()
	c := chooser{planner: p, original: original, manifest: from, counts: r.Reproduction, seen: map[job.Key]bool{}}
	if err := json.Unmarshal([]byte(original.Catalogue), &c.catalogue); err != nil {
		return nil, fmt.Errorf("read pinned catalogue of run %s: %w", original.ID, err)
	}
	chosen, err := c.choose(ctx, *want)
	if err != nil {
		return nil, err
	}
	return c.again(r, chosen)
}

// reproducible reads the record of a run whose jobs are to be computed again.
func (p *Planner) reproducible(ctx context.Context, id string) (*Run, error) {
	original, err := ReadRun(ctx, p.Table, id)
	switch {
	case err != nil:
		return nil, err
	case original == nil:
		return nil, reject("there is no run %s to compute again", id)
	}
	if err := original.Reproducible(); err != nil {
		return nil, reject("%v", err)
	}
	if p.pools[original.Pool] == nil {
		return nil, reject("pool %s of run %s is not in the configuration any more", original.Pool, id)
	}
	return original, nil
}

// Reproducible returns why no job of the run can be computed again, as far as its record tells.
func (r *Run) Reproducible() error {
	switch {
	case r.Reproduction != nil:
		return fmt.Errorf("run %s is itself a reproduction: reproduce run %s", r.ID, r.Reproduction.Run)
	case !r.State.Ended():
		return fmt.Errorf("run %s is %s: wait until it has ended", r.ID, r.State)
	case r.Planned.IsZero():
		return fmt.Errorf("run %s was %s: it has no jobs to compute again", r.ID, r.State)
	}
	return nil
}

// chooser chooses the jobs of a run that are computed again.
type chooser struct {
	planner   *Planner
	original  *Run
	manifest  *spool
	catalogue job.Catalogue
	counts    *Reproduction
	seen      map[job.Key]bool // looked at
}

// choose takes the jobs that were named, or a sample of those that can be computed again, in the order of the manifest.
func (c *chooser) choose(ctx context.Context, want job.Reproduction) ([]job.Planned, error) {
	named := map[string]bool{}
	for _, id := range want.Jobs {
		named[id] = true
	}
	candidates := strata{}
	for line := range c.manifest.len() {
		planned, err := c.manifest.planned(line)
		if err != nil {
			return nil, fmt.Errorf("read jobs of run %s, line %d: %w", c.original.ID, line+1, err)
		}
		if len(want.Jobs) > 0 && !named[planned.ID] {
			continue
		}
		delete(named, planned.ID)
		if c.catalogue[planned.Task].Deterministic {
			candidates.add(planned, line, want.Seed)
		} else {
			c.counts.NotDeterministic++
		}
	}
	if len(named) > 0 {
		return nil, reject("run %s has no %s", c.original.ID, nameJobs(slices.Sorted(maps.Keys(named))))
	}
	size := want.Sample
	if len(want.Jobs) > 0 {
		size = len(want.Jobs)
	}
	quotas := candidates.quotas(size)
	lines := map[int]job.Planned{}
	for _, task := range candidates.tasks() {
		if err := c.take(ctx, candidates.ranked(task), quotas[task], lines); err != nil {
			return nil, err
		}
	}
	leftOut := c.counts.NotDeterministic + c.counts.WithoutOutput + c.counts.Substituted
	if len(lines) == 0 || len(want.Jobs) > 0 && leftOut > 0 {
		return nil, reject("%s", c.why(len(want.Jobs)))
	}
	chosen := make([]job.Planned, 0, len(lines))
	for _, line := range slices.Sorted(maps.Keys(lines)) {
		chosen = append(chosen, lines[line])
	}
	return chosen, nil
}

// why says why nothing, or not all that was named, can be computed again.
func (c *chooser) why(named int) string {
	what := "no job of run " + c.original.ID + " can be computed again"
	if named > 0 {
		what = "not all of these jobs of run " + c.original.ID + " can be computed again"
	}
	for _, x := range []struct {
		count  int
		reason string
	}{
		{c.counts.NotDeterministic, "of task types that are declared not deterministic"},
		{c.counts.WithoutOutput, "without an output to compare with"},
		{c.counts.Substituted, "for which another output stands"},
	} {
		if x.count > 0 {
			what += fmt.Sprintf("; %s %s", jobs(x.count), x.reason)
		}
	}
	return what
}

func nameJobs(ids []string) string {
	text := "job " + ids[0]
	if len(ids) > 1 {
		text = fmt.Sprintf("jobs %s and %d more", ids[0], len(ids)-1)
	}
	return text
}

// take looks at candidates, in their order, until it has found quota jobs that can be computed again.
func (c *chooser) take(ctx context.Context, candidates []candidate, quota int, into map[int]job.Planned) error {
	common := commonDocuments(c.original, c.catalogue)
	for quota > 0 && len(candidates) > 0 {
		next := candidates[:min(quota, len(candidates))]
		candidates = candidates[len(next):]
		live := make([]bool, len(next))
		jobs := make([]job.Planned, len(next))
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(headLookups)
		for i, x := range next {
			var err error
			if jobs[i], err = c.manifest.planned(x.line); err != nil {
				return errors.Join(err, group.Wait())
			}
			group.Go(func() error {
				var err error
				live[i], err = c.planner.exists(ctx, jobs[i].Key, job.Replaced{})
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		for i, planned := range jobs {
			key, err := planned.Document(common[planned.Task]).Key()
			switch {
			case err != nil:
				return err
			case c.seen[planned.Key]: // one of the same key was looked at
				continue
			case !live[i]:
				c.counts.WithoutOutput++
			case key != planned.Key:
				c.counts.Substituted++
			default:
				into[next[i].line] = planned
				quota--
			}
			c.seen[planned.Key] = true
		}
	}
	return nil
}

// again keys the jobs that were chosen as ones computed again, and writes the run's manifest to a local file.
func (c *chooser) again(r *Run, chosen []job.Planned) (_ *activeRun, err error) {
	out, err := newSpool()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			out.close()
		}
	}()
	common := commonDocuments(r, c.catalogue)
	w := out.writer()
	for _, original := range chosen {
		planned := original
		planned.Original, planned.Forced, planned.Replaces = original.Key, false, job.Replaced{}
		planned.Needs = make(map[string]job.PlannedNeed, len(original.Needs))
		for name, need := range original.Needs {
			planned.Needs[name] = job.PlannedNeed{Key: need.Key, Files: need.Files}
		}
		if planned.Key, err = planned.Document(common[planned.Task]).Key(); err != nil {
			return nil, fmt.Errorf("key job %s: %w", planned.ID, err)
		}
		if _, err := message(r, planned, math.MaxInt32, common[planned.Task], c.catalogue[planned.Task].Timeout); err != nil {
			return nil, reject("job %s cannot be computed again: %v", planned.ID, err)
		}
		line, err := planned.AppendLine(nil)
		if err != nil {
			return nil, err
		}
		if err := w.append(line); err != nil {
			return nil, err
		}
	}
	if err := w.flush(); err != nil {
		return nil, err
	}
	return newActiveRun(r, out)
}

// reproduced says what a reproduction found, as a run's reason; "" when all was identical.
func (r *Reproduction) reproduced() string {
	compared, identical := r.Compared()
	if compared == identical {
		return ""
	}
	tasks := r.NotDeterministicTasks()
	verb := "is"
	if len(tasks) > 1 {
		verb = "are"
	}
	return fmt.Sprintf("%d of %s gave other bytes: %s %s not deterministic", compared-identical, jobs(compared), strings.Join(tasks, ", "), verb)
}
