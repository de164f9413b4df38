package planner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"spate/job"
)

// RequestSubstitute lets another output stand in for that of a job that failed, or that is blocked: Request.Jobs names the
// job, Request.From the key of the other output, Request.Reason why. What depends on the job is keyed anew, as if the
// other output's job had been its parent.
const RequestSubstitute RequestKind = "substitute"

// Substitution is an output that stands in for a job's, as a run's record keeps it.
type Substitution struct {
	Request    string    `dynamodbav:"request" json:"-"`
	Job        string    `dynamodbav:"job" json:"job"`
	Jobs       int       `dynamodbav:"jobs" json:"jobs"`             // with those of the same key, which is the same work
	For        string    `dynamodbav:"for" json:"for"`               // the job's own key
	Key        string    `dynamodbav:"key" json:"key"`               // of the output that stands in
	Run        string    `dynamodbav:"run" json:"run"`               // that made it
	Dependents int       `dynamodbav:"dependents" json:"dependents"` // jobs that depend on it
	Reason     string    `dynamodbav:"reason" json:"reason"`
	By         string    `dynamodbav:"by" json:"by"`
	At         time.Time `dynamodbav:"at" json:"at"` // when it was asked for

	// Generation is that of the manifest in which it stands. Affected is how many jobs of that manifest depend on this or
	// an earlier substitution.
	Generation int `dynamodbav:"generation" json:"-"`
	Affected   int `dynamodbav:"affected" json:"-"`
}

// String is a sentence.
func (s Substitution) String() string {
	what := "job " + s.Job
	if s.Jobs > 1 {
		what += fmt.Sprintf(" (and %d more of its key)", s.Jobs-1)
	}
	return fmt.Sprintf("%s: output %s of run %s stands in, as %q; %s", what, s.Key[:12], s.Run, s.Reason, depend(s.Dependents))
}

func depend(n int) string {
	if n == 1 {
		return "1 job depends on it"
	}
	return jobs(n) + " depend on it"
}

// substituted is a sentence about a run's outcome; "" when every output is the job's own.
func (r *Run) substituted() string {
	n := r.Substituted()
	if n == 0 {
		return ""
	}
	last := r.Substitutions[len(r.Substitutions)-1]
	text := fmt.Sprintf("%d substituted jobs, ", n)
	if n == 1 {
		return "with 1 substituted job, " + depend(last.Affected)
	}
	if last.Affected == 1 {
		return "with " + text + "1 job depends on them"
	}
	return "with " + text + jobs(last.Affected) + " depend on them"
}

// Substituted is how many jobs another output stands in for.
func (r *Run) Substituted() int {
	own := map[string]int{}
	for _, s := range r.Substitutions {
		own[s.Job] = s.Jobs // the last one counts
	}
	n := 0
	for _, jobs := range own {
		n += jobs
	}
	return n
}

// maxSubstitutions is how many a run's record keeps; a DynamoDB item holds 400 KB.
const maxSubstitutions = 200

// rekeying is a manifest that is being keyed anew, beside the loop.
type rekeying struct {
	done   chan struct{}
	result Substitution
	err    error // a *rejection when it is refused
}

// substitute makes another output stand in for a job's. The manifest is rewritten beside the loop, in the place of the one
// that was read; the run's record is what makes it count, and the run is then taken up again as by a new controller. The
// rewritten manifest names the request, so that after an accident between any two of these steps it is found as it is.
func (l *loop) substitute(ctx context.Context, r Request, run *Run) (reply, error) {
	if i := slices.IndexFunc(run.Substitutions, func(s Substitution) bool { return s.Request == r.ID() }); i >= 0 {
		return done("%s", run.Substitutions[i]), nil
	}
	key, refusal := l.refuseSubstitute(r, run)
	if refusal != "" {
		return refuse("%s", refusal), nil
	}
	a := l.active[run.ID]
	switch {
	case run.State == job.RunActive && (a == nil || a.closing), a == nil && l.known(run.ID):
		return reply{}, errLater
	case l.rekeyings[r.ID()] == nil:
		k := &rekeying{done: make(chan struct{})}
		l.rekeyings[r.ID()] = k
		if a != nil {
			a.rekeying = true
		}
		of := *run
		l.background.Go(func() error {
			defer close(k.done)
			k.result, k.err = l.rekey(ctx, &of, r, key)
			return nil
		})
		return reply{}, errLater
	}
	k := l.rekeyings[r.ID()]
	select {
	case <-k.done:
	default:
		return reply{}, errLater
	}
	delete(l.rekeyings, r.ID())
	if a != nil {
		a.rekeying = false
	}
	if rejected, ok := errors.AsType[*rejection](k.err); ok {
		return refuse("%s", rejected.reason), nil
	}
	if k.err != nil {
		return reply{}, k.err
	}
	return l.adopt(ctx, run, k.result)
}

// refuseSubstitute says why a request cannot be fulfilled, as far as the run's record tells; else "" and the key that
// stands in.
func (l *loop) refuseSubstitute(r Request, run *Run) (key job.Key, why string) {
	key, err := job.ParseKey(r.From)
	reason := job.CheckReason(r.Reason)
	switch {
	case err != nil:
		return key, err.Error()
	case reason != nil:
		return key, reason.Error()
	case len(r.Jobs) != 1:
		return key, fmt.Sprintf("%s named: one output stands in for one job", jobs(len(r.Jobs)))
	case run.State != job.RunActive && run.State != job.RunFailed:
		return key, fmt.Sprintf("the run is %s: an output can stand in for another while it is active, or once it has failed", run.State)
	case run.Reproduction != nil:
		return key, "a reproduction computes jobs again to compare them: no other output can stand in"
	case l.pools[run.Pool] == nil:
		return key, fmt.Sprintf("the run's pool %s is not in this controller's configuration", run.Pool)
	case len(run.Substitutions) >= maxSubstitutions:
		return key, fmt.Sprintf("the run has %d substitutions already: submit it anew with what failed put right", maxSubstitutions)
	}
	return key, ""
}

// adopt makes a rewritten manifest the run's, and has the run taken up again.
func (l *loop) adopt(ctx context.Context, run *Run, s Substitution) (reply, error) {
	next := *run
	next.Generation, next.Substitutions = s.Generation, append(slices.Clip(run.Substitutions), s)
	next.State, next.Reason, next.Ended, next.ExpiresAt = job.RunActive, "", time.Time{}, 0
	if err := l.store.save(ctx, &next); err != nil {
		return reply{}, err
	}
	if a := l.active[run.ID]; a != nil {
		l.detach(a)
		a.spool.close()
		delete(l.active, run.ID)
	}
	l.waiting = slices.Insert(l.waiting, 0, &next)
	return done("%s", s), nil
}

// bereave settles a node whose output stood in for others and is gone: nobody can make it in this run.
func (a *activeRun) bereave(n int32) {
	a.failures[n] = []Failure{{
		Attempt: 1, Cause: "output " + a.graph.Key(n).Short() + ", which stood in for it, is gone", Verdict: "another must stand in",
	}}
	a.graph.Fail(n)
}
