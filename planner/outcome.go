package planner

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"golang.org/x/sync/errgroup"

	"spate/job"
)

// Result is one line of a run's results index.
type Result struct {
	ID       string            `json:"id"`
	Task     string            `json:"task"`
	Key      job.Key           `json:"key"`
	State    string            `json:"state"`
	Labels   map[string]string `json:"labels,omitempty"`
	Manifest string            `json:"manifest,omitzero"` // URL of the output's manifest
	Cause    string            `json:"cause,omitzero"`    // why there is no output
	Seconds  float64           `json:"seconds,omitzero"`  // that it ran, if this run computed it
	Bytes    int64             `json:"bytes,omitzero"`    // of its output, if this run computed it
	Forced   bool              `json:"forced,omitzero"`   // the run was told to compute it again

	// Another output stands in for the job's; or for those of these jobs, which it depends on.
	Substituted   *job.Substitute `json:"substituted,omitzero"`
	SubstitutedBy []string        `json:"substituted_by,omitempty"`

	// Of a job of a reproduction: the key of the job that it computes again; whether their outputs could be compared; and the
	// files in which they differ.
	Original    job.Key              `json:"original,omitzero"`
	Compared    bool                 `json:"compared,omitzero"`
	Differences []job.FileDifference `json:"differences,omitempty"`
}

// ended is what closing a settled run found.
type ended struct {
	run      *activeRun
	compared *comparison // of a reproduction
	lost     []int32     // outputs that only the cache knew of, and S3 denies; the run goes on
	found    []int32     // failed jobs whose output is there after all; the run goes on
	err      error
}

// finish closes a settled run: it looks in S3 for every output that no worker told of, and for those of failed jobs, as
// a copy of their message may have succeeded; when nothing has changed it writes the results index. It reads the run,
// which the loop leaves alone meanwhile.
func (p *Planner) finish(ctx context.Context, a *activeRun) ended {
	var nodes []int32
	for n := range int32(a.graph.Nodes()) {
		if s := a.graph.State(n); s == job.Failed || s.HasOutput() && !a.confirmed.get(n) {
			nodes = append(nodes, n)
		}
	}
	exist, err := p.exist(ctx, a, nodes)
	if err != nil {
		return ended{run: a, err: err}
	}
	e := ended{run: a}
	for i, n := range nodes {
		switch failed := a.graph.State(n) == job.Failed; {
		case failed && exist[i]:
			e.found = append(e.found, n)
		case !failed && !exist[i]:
			e.lost = append(e.lost, n)
		}
	}
	p.countClosing(a, nodes, exist)
	if len(e.lost)+len(e.found) > 0 {
		p.forget(ctx, a, e.lost)
		return e
	}
	if e.err = p.learn(ctx, a); e.err != nil {
		return e
	}
	if e.err = p.saved(ctx, a); e.err != nil {
		return e
	}
	if e.compared, e.err = p.compare(ctx, a); e.err == nil {
		e.err = p.writeIndex(ctx, a, e.compared)
	}
	return e
}

// forgetCalls is how many outputs are retracted from the cache at once.
const forgetCalls = 32

// forget retracts outputs that are gone. What cannot be retracted now is found gone again.
func (p *Planner) forget(ctx context.Context, a *activeRun, nodes []int32) {
	var group errgroup.Group
	group.SetLimit(forgetCalls)
	for _, n := range nodes {
		group.Go(func() error {
			if err := p.Outputs.Forget(ctx, a.graph.Key(n)); err != nil && ctx.Err() == nil {
				p.Log.Error().Err(err).Str("run", a.ID).Msg("cannot forget an output that is gone")
			}
			return nil
		})
	}
	_ = group.Wait()
}

func (p *Planner) writeIndex(ctx context.Context, a *activeRun, compared *comparison) error {
	out, err := newSpool()
	if err != nil {
		return err
	}
	defer out.close()
	w, in, causes := out.writer(), a.spool.reader(), a.graph.Causes()
	for i := range a.graph.Jobs() {
		planned, err := in.planned(i)
		if err != nil {
			return err
		}
		n := a.graph.NodeOf(i)
		result := a.result(planned, n, causes[n], p.Objects.Bucket())
		if compared != nil {
			result.Original = planned.Original
			result.Differences, result.Compared = compared.differences[n]
		}
		line, err := json.Marshal(result, json.Deterministic(true))
		if err != nil {
			return fmt.Errorf("write index of run %s: %w", a.ID, err)
		}
		if err := w.append(append(line, '\n')); err != nil {
			return err
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	if err := out.upload(ctx, p.Objects, job.ResultsIndexPath(a.ID)); err != nil {
		return fmt.Errorf("write index of run %s: %w", a.ID, err)
	}
	return nil
}

// result is a job's line of the index. cause is the failed node on whose account it is blocked, if it is.
func (a *activeRun) result(planned job.Planned, n, cause int32, bucket string) Result {
	r := Result{
		ID: planned.ID, Task: planned.Task, Key: planned.Key, State: a.graph.State(n).String(), Labels: a.labels(planned), Forced: planned.Forced,
		Substituted: planned.Substituted, SubstitutedBy: planned.SubstitutedBy,
	}
	r.Seconds, r.Bytes, _ = a.figures.of(n)
	switch {
	case a.graph.State(n).HasOutput():
		r.Manifest = job.ObjectURL(bucket, job.ManifestPath(planned.Key))
	case a.graph.State(n) == job.Failed:
		r.Cause = a.failureText(n)
	case a.graph.State(n) == job.Cancelled:
		r.Cause = "the run was cancelled"
	case a.graph.State(n) == job.Blocked:
		if failed, err := a.planned(cause); err == nil {
			r.Cause = fmt.Sprintf("job %s failed: %s", failed.ID, a.failureText(cause))
		}
	}
	return r
}

// labels are the run's with the job's over them.
func (a *activeRun) labels(planned job.Planned) map[string]string {
	if len(planned.Labels) == 0 {
		return a.Labels
	}
	labels := maps.Clone(a.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, planned.Labels)
	return labels
}

func (a *activeRun) failureText(n int32) string {
	failures := a.failures[n]
	if len(failures) == 0 {
		return "failed"
	}
	last := failures[len(failures)-1]
	return last.Cause + "; " + last.Verdict
}

// summary is why a run ended as it did: a sentence for its record.
func (a *activeRun) summary() string {
	var failed []string
	for _, n := range slices.Sorted(maps.Keys(a.failures)) {
		if a.graph.State(n) != job.Failed {
			continue
		}
		if len(failed) == 3 {
			failed = append(failed, "…")
			break
		}
		if planned, err := a.planned(n); err == nil {
			failed = append(failed, fmt.Sprintf("%s (%s)", planned.ID, a.failureText(n)))
		}
	}
	p := progress(a.graph)
	text := fmt.Sprintf("%s failed: %s", jobs(p.Failed), strings.Join(failed, ", "))
	if p.Blocked > 0 {
		text += fmt.Sprintf("; %s blocked by that", jobs(p.Blocked))
	}
	return text
}

// join joins what there is to say.
func join(sentences ...string) string {
	return strings.Join(slices.DeleteFunc(sentences, func(s string) bool { return s == "" }), "; ")
}

func jobs(n int) string { return counted(n, "job", "jobs") }

func counted(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
