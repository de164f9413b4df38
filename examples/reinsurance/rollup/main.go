// Command rollup runs one task of the reinsurance example: rollup <task>, or the task named by TASK_NAME. With import as
// its first argument it reads an event loss table of your own.
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
	if len(os.Args) > 1 && os.Args[1] == "import" {
		return importMelt(os.Args[2:], os.Stdout, os.Stderr)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return model.Main(ctx, os.Args[1:], os.Getenv, os.Stderr)
}
