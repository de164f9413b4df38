package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"spate/sandbox"
)

// clients lets boto3 drive every operation that the sandbox serves, and looks at the sandbox's own counts for those that it left out.
func (f *findings) clients(ctx context.Context, k *kit) error {
	python, err := k.python(ctx)
	if err != nil {
		f.skip("boto3", err)
		return nil
	}
	dir, remove, err := scratch()
	if err != nil {
		return err
	}
	defer remove()
	box, stop, err := launch(ctx, sandbox.Options{LogDir: dir})
	if err != nil {
		return err
	}
	defer stop()
	if err := k.do(ctx, python, filepath.Join(k.sources, "clients.py"), box.Endpoint()); err != nil {
		if ctx.Err() != nil {
			return f.unfinished(ctx, "boto3")
		}
		f.problem(fmt.Errorf("boto3: %w", err))
	}
	calls := box.State().Calls
	for service, operations := range box.Operations() {
		for _, operation := range operations {
			if calls[service][operation]["ok"] == 0 {
				f.problem(fmt.Errorf("boto3: %s of %s: %v", operation, service, slices.Collect(maps.Keys(calls[service][operation]))))
			}
		}
	}
	return nil
}

func (f *findings) problem(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.problems = append(f.problems, err)
}
