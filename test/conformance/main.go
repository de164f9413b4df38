package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"spate/test/contract"
)

//go:generate go run . -table

// Where the results are kept, seen from the root of the checkout.
const (
	resultsFile = "test/conformance/results.json"
	tableFile   = "docs/sandbox.md"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	update := flag.Bool("update", false, "write "+resultsFile+" and the table of "+tableFile)
	table := flag.Bool("table", false, "only write the table of "+tableFile+" from "+resultsFile)
	only := flag.String("only", "", "the one server to check: sandbox, moto, dynamodb-local, elasticmq, redis-server or valkey")
	cache := flag.String("cache", "", "directory for what is installed (default: spate-conformance in the user's cache directory)")
	within := flag.Duration("within", 15*time.Minute, "give up after this long")
	flag.Parse()
	root, err := findRoot()
	if err != nil {
		return err
	}
	if *table {
		return writeTable(root)
	}
	if *cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("find cache directory: %w", err)
		}
		*cache = filepath.Join(user, "spate-conformance")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, *within, fmt.Errorf("not done within %s", *within))
	defer cancel()
	return check(ctx, &kit{cache: *cache, sources: filepath.Join(root, "test", "conformance")}, root, *only, *update)
}

// check checks the servers, tells what came out, and keeps it if asked to.
func check(ctx context.Context, k *kit, root, only string, update bool) error {
	found, err := examine(ctx, k, only)
	found.print(os.Stdout)
	if err != nil {
		return err
	}
	if update && len(found.skipped) > 0 {
		return fmt.Errorf("not updated: %d parts were skipped", len(found.skipped))
	}
	if update && only == "" {
		if err := found.results.save(root); err != nil {
			return err
		}
		if err := writeTable(root); err != nil {
			return err
		}
	}
	if broken := found.results.count(contract.Broken); broken > 0 {
		return fmt.Errorf("%d facts are broken", broken)
	}
	if len(found.problems) > 0 {
		return errors.Join(found.problems...)
	}
	return nil
}

// findRoot is the directory with go.mod, at or above the working directory.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find checkout: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find checkout: no go.mod here or above")
		}
		dir = parent
	}
}
