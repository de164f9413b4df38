package planner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"spate/internal/table"
	"spate/job"
)

// RequestRetry gives failed jobs a fresh allowance of attempts: those named, or all. What they blocked waits for them
// again, and a run that had failed is active again.
const RequestRetry RequestKind = "retry"

// forgiveness says of jobs up to which attempt their failures count no more.
type forgiveness struct {
	table.Key
	Request  string    `dynamodbav:"request"`
	Keys     []string  `dynamodbav:"keys"`
	Attempts []int     `dynamodbav:"attempts"`
	At       time.Time `dynamodbav:"at"`

	ExpiresAt int64 `dynamodbav:"expires_at,omitempty"`
}

const forgivenPrefix = "FORGIVEN#"

func (s store) saveForgiveness(ctx context.Context, run string, f forgiveness) error {
	f.Key, f.ExpiresAt = runKey(run, forgivenPrefix+newRequestID(f.At)), f.At.Add(keepRuns).Unix()
	if err := s.append(ctx, run, f); err != nil {
		return fmt.Errorf("forgive failures of run %s: %w", run, err)
	}
	return nil
}

// readForgiven reads up to which attempt each key's failures are forgiven.
func readForgiven(ctx context.Context, t *table.Table, run string) (map[string]int, error) {
	forgiven := map[string]int{}
	for f, err := range table.Query[forgiveness](ctx, t, table.RunPrefix+run, forgivenPrefix) {
		if err != nil {
			return nil, fmt.Errorf("read failures of run %s: %w", run, err)
		}
		for i, key := range f.Keys[:min(len(f.Keys), len(f.Attempts))] {
			forgiven[key] = max(forgiven[key], f.Attempts[i])
		}
	}
	return forgiven, nil
}

// hasForgiven reports whether a request was dealt with, in whole or in part, and then its answer could not be written.
func (l *loop) hasForgiven(ctx context.Context, r Request) (bool, error) {
	for f, err := range table.Query[forgiveness](ctx, l.Table, table.RunPrefix+r.Run, forgivenPrefix) {
		if err != nil {
			return false, fmt.Errorf("read failures of run %s: %w", r.Run, err)
		}
		if f.Request == r.ID() {
			return true, nil
		}
	}
	return false, nil
}

func (l *loop) retry(ctx context.Context, r Request, run *Run) (reply, error) {
	switch run.State {
	case job.RunActive:
		a := l.active[run.ID]
		switch {
		case a == nil && !l.known(run.ID):
			return refuse("the run's pool %s is not in this controller's configuration", run.Pool), nil
		case a == nil || a.closing:
			return reply{}, errLater
		}
		return l.forgive(ctx, r, a)
	case job.RunFailed:
		return l.retryEnded(ctx, r, run)
	case job.RunReceived, job.RunPlanning:
		return refuse("nothing has failed yet: the run is %s", run.State), nil
	case job.RunSucceeded:
		if begun, err := l.hasForgiven(ctx, r); err != nil || begun {
			return done("the failed jobs were tried again"), err
		}
		return refuse("nothing has failed: the run has succeeded"), nil
	case job.RunCancelling, job.RunCancelled:
		return refuse("the run was cancelled: submit it again; what has an output will not run again"), nil
	case job.RunRejected:
		return refuse("the run was rejected: correct it and submit it again"), nil
	}
	return refuse("the run is in a state that this controller does not know: %s", run.State), nil
}

// retryEnded loads a run that has failed, and makes it active again if there is something to try.
func (l *loop) retryEnded(ctx context.Context, r Request, run *Run) (reply, error) {
	if l.pools[run.Pool] == nil {
		return refuse("the run's pool %s is not in this controller's configuration", run.Pool), nil
	}
	in, loaded := l.revived[run.ID]
	if !loaded {
		l.revive(ctx, run.ID)
	}
	if in == nil {
		return reply{}, errLater
	}
	delete(l.revived, run.ID)
	if broken, ok := errors.AsType[*brokenError](in.err); ok {
		return refuse("%s", broken.Error()), nil
	}
	if in.err != nil {
		return reply{}, in.err
	}
	a := in.active
	l.replay(a, in.history)
	what, err := l.forgive(ctx, r, a)
	if err == nil && what.refused && !a.graph.Settled() { // outputs have gone since it ended
		what = done("the run is active again: what has no output is tried again")
	}
	if err == nil && !what.refused {
		err = l.reactivate(ctx, a)
	}
	if err != nil || what.refused {
		l.dismiss(a)
		return what, err
	}
	l.activate(a, nil)
	return what, nil
}

// revive loads a run that has ended, beside the loop.
func (l *loop) revive(ctx context.Context, id string) {
	l.revived[id] = nil
	l.background.Go(func() error {
		in := intake{run: &Run{ID: id}}
		if in.run, in.err = l.store.claim(ctx, id); in.err == nil {
			in.active, in.history, in.err = l.load(ctx, in.run)
		} else {
			in.run = &Run{ID: id}
		}
		select {
		case l.revivals <- in:
		case <-ctx.Done():
			if in.active != nil {
				in.active.spool.close()
			}
		}
		return nil
	})
}

// reactivate writes that an ended run is active again.
func (l *loop) reactivate(ctx context.Context, a *activeRun) error {
	before := *a.Run
	a.State, a.Reason, a.Ended, a.ExpiresAt = job.RunActive, "", time.Time{}, 0
	a.Progress = a.progress(0)
	if err := l.store.save(ctx, a.Run); err != nil {
		*a.Run = before
		return err
	}
	return nil
}

// dismiss forgets a loaded run that does not become active.
func (l *loop) dismiss(a *activeRun) {
	l.detach(a)
	a.spool.close()
}

// forgive gives failed jobs a fresh allowance, durably first. An error may come when some have it already: asked again,
// the others get theirs.
func (l *loop) forgive(ctx context.Context, r Request, a *activeRun) (reply, error) {
	nodes, others, err := a.retriable(r.Jobs)
	if err != nil {
		return reply{}, err
	}
	if len(nodes) == 0 {
		begun, err := l.hasForgiven(ctx, r)
		if err != nil || begun {
			return done("the failed jobs are tried again"), err
		}
		if others == "" {
			others = "no job of the run has failed"
		}
		return refuse("nothing to retry: %s", others), nil
	}
	before := progress(a.graph)
	for batch := range slices.Chunk(nodes, releaseBatch) {
		f := forgiveness{Request: r.ID(), At: time.Now().UTC()}
		for _, n := range batch {
			f.Keys = append(f.Keys, a.graph.Key(n).String())
			f.Attempts = append(f.Attempts, a.lastFailed(n))
		}
		if err := l.store.saveForgiveness(ctx, a.ID, f); err != nil {
			return reply{}, err
		}
		for _, n := range batch {
			for i := range a.failures[n] {
				a.failures[n][i].Forgiven = true
			}
			a.attempts[n] = a.lastFailed(n) + 1
			a.retried++
			a.graph.Retry(n)
		}
	}
	after := progress(a.graph)
	text := counted(before.Failed-after.Failed, "job is", "jobs are") + " tried again"
	if freed := before.Blocked - after.Blocked; freed > 0 {
		text += "; " + counted(freed, "blocked job goes on", "blocked jobs go on")
	}
	if others != "" {
		text += "; " + others
	}
	return done("%s", text), nil
}

// lastFailed is a node's last failed attempt.
func (a *activeRun) lastFailed(n int32) int {
	if f := a.failures[n]; len(f) > 0 {
		return f[len(f)-1].Attempt
	}
	return a.attempt(n)
}

// retriable are the failed nodes of the jobs with these ids, of all when there are none, and what is to be said about
// the others. A job whose place another output took, which is gone, is none: nobody makes it in this run.
func (a *activeRun) retriable(ids []string) (nodes []int32, others string, err error) {
	wanted := make(map[string]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	seen := map[int32]bool{}
	var fine, gone []string
	in := a.spool.reader()
	for i := range a.graph.Jobs() {
		n := a.graph.NodeOf(i)
		failed := a.graph.State(n) == job.Failed
		if len(ids) == 0 && (!failed || seen[n]) {
			continue
		}
		if len(ids) > 0 && len(wanted) == 0 {
			break
		}
		id := ""
		if len(ids) > 0 || a.standsIn[n] {
			if id, err = in.id(i); err != nil {
				return nil, "", err
			}
		}
		if len(ids) > 0 && !wanted[id] {
			continue
		}
		delete(wanted, id)
		switch {
		case !failed:
			fine = append(fine, fmt.Sprintf("%s (%s)", id, a.graph.State(n)))
		case a.standsIn[n]:
			gone = append(gone, id)
		case !seen[n]:
			nodes = append(nodes, n)
		}
		seen[n] = true
	}
	var unknown, parts []string
	for _, id := range ids {
		if wanted[id] {
			unknown = append(unknown, id)
		}
	}
	for _, p := range []struct {
		what string
		ids  []string
	}{{"not failed: ", fine}, {"what stood in is gone, and another must: ", gone}, {"not in the run: ", unknown}} {
		if len(p.ids) > 0 {
			parts = append(parts, p.what+some(p.ids))
		}
	}
	return nodes, strings.Join(parts, "; "), nil
}

// some names the first of many.
func some(names []string) string {
	const most = 10
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// id reads the id of job i of a spooled normalised manifest, with which its line begins.
func (r *spoolReader) id(i int) (string, error) {
	line, err := r.line(i)
	if err != nil {
		return "", err
	}
	if rest, ok := bytes.CutPrefix(line, []byte(`{"id":"`)); ok {
		if id, _, ok := bytes.Cut(rest, []byte(`"`)); ok && !bytes.ContainsRune(id, '\\') {
			return string(id), nil
		}
	}
	planned, err := job.ParsePlanned(line)
	return planned.ID, err
}
