package main

import (
	"context"
	"errors"
	"os"
	"os/user"
	"time"

	"spate/planner"
)

// answerPatience is how long a controller is waited for; the request stays beyond that.
const answerPatience = 30 * time.Second

// ask puts a request to the controller and waits for its answer. A refusal is an error.
func ask(ctx context.Context, in *installation, r planner.Request) (*planner.Audit, error) {
	r.By = asker()
	id, err := planner.Ask(ctx, in.runs, r)
	if err != nil {
		return nil, err
	}
	audit, err := planner.Answer(ctx, in.runs, r.Run, id, answerPatience)
	switch {
	case errors.Is(err, planner.ErrUnanswered):
		return nil, &problem{what: err.Error(), todo: "What you asked for stays and is done when one runs: is `spate serve` up?", err: err}
	case err != nil:
		return nil, err
	case audit.Refused:
		return nil, &problem{what: audit.Answer}
	}
	return audit, nil
}

// asker is who asks, as records show it.
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
