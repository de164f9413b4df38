// Command rollup runs one task of the reinsurance example: rollup <task>, or the task named by TASK_NAME. With import as
// its first argument it reads an event loss table of your own.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"spate/examples/reinsurance/model"
)

func main() {
	os.Exit(run())
}

// collectFrom is the amount of memory, in bytes, from which on garbage is collected.
const collectFrom = 256 << 20

func run() int {
	if len(os.Args) > 1 && os.Args[1] == "import" {
		return importMelt(os.Args[2:], os.Stdout, os.Stderr)
	}
	// A task holds a few megabytes and ends after milliseconds: collecting garbage before there is much of it takes longer.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(collectFrom)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return model.Main(ctx, os.Args[1:], os.Getenv, os.Stderr)
}
