package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"spate/planner"
)

// askFlags are those of commands that ask the controller to do something about a run.
type askFlags struct {
	By   string        `help:"Who asks (default: user@host)." placeholder:"NAME"`
	Wait time.Duration `help:"How long to wait for a controller's answer." default:"30s"`
}

// wholeRun finds the run that something is to be done about. It must be named by its whole id.
func wholeRun(ctx context.Context, in *installation, id string) (*planner.Run, error) {
	reader, err := in.reader()
	if err != nil {
		return nil, err
	}
	contact, cancel := context.WithTimeout(ctx, contactTimeout)
	defer cancel()
	run, err := reader.FindRun(contact, id)
	if err != nil {
		return nil, err
	}
	if run.ID != id {
		return nil, &problem{what: "there is no run " + id, todo: fmt.Sprintf("Do you mean %s? What changes a run wants its whole id.", run.ID)}
	}
	return run, nil
}

// ask puts requests of one run to the controller and waits for the answers. It is an error when all are refused.
func (f askFlags) ask(ctx context.Context, in *installation, requests ...planner.Request) ([]planner.Audit, error) {
	ids := make([]string, len(requests))
	for i, r := range requests {
		if r.By = f.By; r.By == "" {
			r.By = asker()
		}
		contact, cancel := context.WithTimeout(ctx, contactTimeout)
		id, err := planner.Ask(contact, in.runs, r)
		cancel()
		if err != nil {
			return nil, err
		}
		ids[i] = id
	}
	answers := make([]planner.Audit, 0, len(requests))
	refused := 0
	for i, r := range requests {
		a, err := planner.Answer(ctx, in.runs, r.Run, ids[i], f.Wait)
		switch {
		case errors.Is(err, planner.ErrUnanswered):
			return nil, &problem{
				what: err.Error() + "; the request stays, and is dealt with when one does",
				todo: fmt.Sprintf("Is `spate serve` running? `spate status %s` shows the answer once there is one.", r.Run), err: err,
			}
		case err != nil && ctx.Err() != nil:
			return nil, &problem{what: "stopped waiting; the request stays", todo: fmt.Sprintf("`spate status %s` shows the answer once there is one.", r.Run), err: err}
		case err != nil:
			return nil, err
		}
		if answers = append(answers, *a); a.Refused {
			refused++
		}
	}
	if refused == len(answers) {
		return nil, &problem{what: fmt.Sprintf("run %s: %s", requests[0].Run, answers[0].Answer)}
	}
	return answers, nil
}

// asker is who types this: user and host.
func asker() string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}

// auditView is a request and its answer as programs read them.
type auditView struct {
	Kind     planner.RequestKind `json:"kind"`
	By       string              `json:"by"`
	Reason   string              `json:"reason"`
	Jobs     []string            `json:"jobs,omitempty"`
	Asked    time.Time           `json:"asked_at"`
	Answered time.Time           `json:"answered_at,omitzero"`
	Refused  bool                `json:"refused"`
	Answer   string              `json:"answer"`
}

func auditsJSON(audits []planner.Audit) []auditView {
	views := make([]auditView, len(audits))
	for i, a := range audits {
		views[i] = auditView{a.Request.Kind, a.Request.By, a.Request.Reason, a.Request.Jobs, a.Request.At, a.Answered, a.Refused, a.Answer}
	}
	return views
}

// printAnswers prints what came of requests of one run.
func printAnswers(p *program, asJSON bool, run string, answers []planner.Audit) error {
	if asJSON {
		return printJSON(p.stdout, map[string]any{"run": run, "answers": auditsJSON(answers)})
	}
	w := pageOn(p.stdout)
	for _, a := range answers {
		w.paragraph("", fmt.Sprintf("%s: %s", run, a.Answer))
	}
	return nil
}

// printAudits prints what was asked about a run, a line each.
func printAudits(w page, now time.Time, audits []planner.Audit) {
	for _, a := range audits {
		r := a.Request
		about := string(r.Kind)
		if n := len(r.Jobs); n > 0 {
			about += " of " + strings.Join(r.Jobs[:min(n, shownJobs)], ", ")
			if n > shownJobs {
				about += fmt.Sprintf(" and %d more", n-shownJobs)
			}
		}
		text := fmt.Sprintf("%s, asked by %s %s", about, r.By, ago(now, r.At))
		if r.Reason != "" {
			text += fmt.Sprintf(" (%s)", r.Reason)
		}
		switch {
		case a.Answered.IsZero():
			text += ": no controller has answered yet"
		case a.Refused:
			text += ", refused: " + a.Answer
		case r.Kind != planner.RequestSubstitute: // a run's remarks tell its substitutions
			text += ": " + a.Answer
		}
		w.paragraph("  ", text)
	}
}
