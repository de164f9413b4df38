package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"spate/test/contract"
)

// findings are what one run of the command found.
type findings struct {
	mu       sync.Mutex
	results  results
	skipped  []string // by name, and why
	notes    []string // exceptions that are not needed any more
	failures []string // of the facts that are broken
	problems []error  // of the clients by others, and of the cache
	caches   []string // servers on which the cache works
}

// atOnce is how many facts are checked on one server at the same time, and how many servers are.
const (
	atOnce        = 6
	serversAtOnce = 3
)

// examine checks all servers, or the one that is named. With an error it gives what it has found before.
func examine(ctx context.Context, k *kit, only string) (*findings, error) {
	f := &findings{results: results{}}
	known := false
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(serversAtOnce)
	for _, s := range servers() {
		if only != "" && s.name != only {
			continue
		}
		known = true
		group.Go(func() error { return f.server(ctx, k, s) })
	}
	if only == "" || only == contract.Sandbox {
		group.Go(func() error { return f.clients(ctx, k) })
	}
	if err := group.Wait(); err != nil {
		return f, err
	}
	if !known {
		return f, fmt.Errorf("there is no server %q", only)
	}
	return f, nil
}

// server checks all facts of one server's services. It fails only when the command is to end.
func (f *findings) server(ctx context.Context, k *kit, s server) error {
	dir, remove, err := scratch()
	if err != nil {
		return err
	}
	defer remove()
	target, stop, err := s.start(ctx, k, dir)
	if err != nil {
		f.skip(s.name, err)
		return nil
	}
	defer stop()
	var group errgroup.Group
	group.SetLimit(atOnce)
	var again []contract.Fact
	var mu sync.Mutex
	for _, fact := range contract.Facts() {
		switch {
		case !slices.Contains(s.services, fact.Service):
		case fact.Alone:
			again = append(again, fact)
		default:
			group.Go(func() error {
				outcome := fact.Check(ctx, target)
				if ctx.Err() != nil {
					return nil // the failure is not the server's
				}
				if verdict, _ := contract.Judge(s.name, fact, outcome); verdict != contract.Broken {
					f.judge(s.name, fact, outcome)
					return nil
				}
				mu.Lock()
				defer mu.Unlock()
				again = append(again, fact)
				return nil
			})
		}
	}
	_ = group.Wait() // none fails
	for _, fact := range again {
		if ctx.Err() != nil {
			break
		}
		if outcome := fact.Check(ctx, target); ctx.Err() == nil {
			f.judge(s.name, fact, outcome)
		}
	}
	if s.cache && ctx.Err() == nil {
		f.runCache(ctx, s.name, target)
	}
	return f.unfinished(ctx, s.name)
}

// runCache has the cache's loops run on a server.
func (f *findings) runCache(ctx context.Context, name string, target contract.Target) {
	expired, err := runCache(ctx, target)
	if ctx.Err() != nil {
		return // the failure is not the server's
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.problems = append(f.problems, fmt.Errorf("the cache on %s: %w", name, err))
		return
	}
	f.caches = append(f.caches, fmt.Sprintf("%s: an expired output left the view after %s", name, expired.Round(100*time.Millisecond)))
}

// unfinished skips the rest of a server when there is no time left. It fails when the command is to end.
func (f *findings) unfinished(ctx context.Context, name string) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		f.skip(name+", in part", context.Cause(ctx))
	case ctx.Err() != nil:
		return fmt.Errorf("check %s: %w", name, ctx.Err())
	}
	return nil
}

func (f *findings) skip(name string, why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.skipped = append(f.skipped, name+": "+why.Error())
}

func (f *findings) judge(name string, fact contract.Fact, outcome error) {
	verdict, exception := contract.Judge(name, fact, outcome)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.results.set(fact.ID(), name, verdict)
	switch verdict {
	case contract.Holds, contract.Differs:
	case contract.Mended:
		f.notes = append(f.notes, fmt.Sprintf("%s: %s holds: take away the exception that %s", name, fact.ID(), exception.Instead))
	case contract.Broken:
		f.failures = append(f.failures, fmt.Sprintf("%s: %v", name, outcome))
	}
}

// print writes the table, and below it whatever is not as it should be.
func (f *findings) print(w io.Writer) {
	text := &strings.Builder{}
	fmt.Fprintf(text, "%-40s", "")
	var names []string
	for _, s := range servers() {
		names = append(names, s.name)
		fmt.Fprintf(text, " %-14s", s.name)
	}
	fmt.Fprintln(text)
	for _, fact := range contract.Facts() {
		fmt.Fprintf(text, "%-40s", fact.ID())
		for _, name := range names {
			fmt.Fprintf(text, " %-14s", f.results[fact.ID()][name])
		}
		fmt.Fprintln(text)
	}
	for _, part := range []struct {
		title string
		lines []string
	}{
		{"THE CACHE'S LOOPS RUN", f.caches},
		{"EXCEPTIONS THAT ARE NOT NEEDED ANY MORE", f.notes},
		{"BROKEN", f.failures},
		{"CLIENTS BY OTHERS, OR THE CACHE, FAILED", texts(f.problems)},
		{"SKIPPED: COULD NOT BE INSTALLED OR STARTED HERE", f.skipped},
	} {
		if len(part.lines) > 0 {
			fmt.Fprintf(text, "\n%s\n", part.title)
			for _, line := range slices.Sorted(slices.Values(part.lines)) {
				fmt.Fprintln(text, " ", line)
			}
		}
	}
	_, _ = io.WriteString(w, text.String())
}

func texts(errs []error) []string {
	var out []string
	for _, err := range errs {
		out = append(out, err.Error())
	}
	return out
}
