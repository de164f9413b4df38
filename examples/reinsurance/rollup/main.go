// Command rollup runs one task of the reinsurance example: rollup <task>, or the task named by TASK_NAME. With import as
// its first argument it reads an event loss table of your own; see rollup --help.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"spate/examples/reinsurance/model"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// collectFrom is the amount of memory, in bytes, from which on garbage is collected.
const collectFrom = 256 << 20

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	first := ""
	if len(args) > 0 {
		first = args[0]
	}
	switch {
	case first == "import":
		return importMelt(args[1:], stdout, stderr)
	case slices.Contains([]string{"--help", "-help", "-h", "help"}, first):
		fmt.Fprint(stdout, help())
		return model.Succeeded
	case first == "" && os.Getenv("TASK_NAME") == "", first != "" && !slices.Contains(model.TaskNames(), first):
		fmt.Fprintf(stderr, "rollup: %s\n  --help tells more.\n", notKnown(first))
		return usageError
	}
	// A task holds a few megabytes and ends after milliseconds: collecting garbage before there is much of it takes longer.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(collectFrom)
	return model.Main(ctx, args, os.Getenv, stderr)
}

func notKnown(word string) string {
	are := fmt.Sprintf("import, or one of the tasks %s", strings.Join(model.TaskNames(), ", "))
	if word == "" {
		return "no task is named: " + are
	}
	return fmt.Sprintf("there is no %q: %s", word, are)
}

func help() string {
	return `rollup import --out FILE TABLE
    checks an event loss table of your own and writes it as the tasks read it;
    rollup import --help tells more

rollup TASK
    runs a task, which jobs do. It reads the JSON file SPATE_PARAMS and the
    directory SPATE_INPUT_DIR, and writes to the directory SPATE_OUTPUT_DIR.
    TASK_NAME may name the task instead. Tasks:
        ` + strings.Join(model.TaskNames(), "\n        ") + `
`
}
