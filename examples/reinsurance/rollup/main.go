// Command rollup runs one task of the reinsurance example: rollup <task>, or the task named by TASK_NAME.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"spate/examples/reinsurance/model"
)

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return model.Main(ctx, os.Args[1:], os.Getenv, os.Stderr)
}
