// Command spate is Spate: controller, worker, command line, sandbox and demo in one program. See `spate --help`.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/alecthomas/kong"

	"spate/examples/reinsurance/model"
	"spate/internal/config"
	"spate/internal/demo"
	"spate/job"
)

// Exit codes.
const (
	exitFailure = 1
	exitUsage   = 2
)

type commands struct {
	Demo    demoCommand    `cmd:"" help:"Show the main job on real data: sandbox, controller and workers on this machine."`
	Submit  submitCommand  `cmd:"" help:"Submit a run file."`
	Status  statusCommand  `cmd:"" help:"Show pools and runs that are under way, or one run."`
	Runs    runsCommand    `cmd:"" help:"List runs, the newest first."`
	Serve   serveCommand   `cmd:"" help:"Run a controller: it leads, or stands by until it can."`
	Worker  workerCommand  `cmd:"" help:"Run a worker. The scaler launches it; its settings come from the environment."`
	Sandbox sandboxCommand `cmd:"" help:"Serve ECS, SQS, DynamoDB, S3 and Redis on loopback, with all that a configuration names."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// program is what commands need of their surroundings.
type program struct {
	stdout  io.Writer
	stderr  io.Writer
	environ []string
	getenv  func(string) string
}

func main() {
	// Called rollup, this program is the example's model, so that the demo works where only this file was built. The
	// model is a program of its own all the same: it gets files and environment variables like any job's process.
	if filepath.Base(os.Args[0]) == demo.ModelProgram {
		os.Exit(model.Main(context.Background(), os.Args[1:], os.Getenv, os.Stderr))
	}
	p := program{os.Stdout, os.Stderr, os.Environ(), os.Getenv}
	os.Exit(run(p, os.Args[1:]))
}

// run parses the arguments, runs a command until it ends or the process is told to stop, and returns the exit code.
func run(p program, args []string) int {
	var cli commands
	exited, code := false, 0
	parser, err := kong.New(&cli,
		kong.Name("spate"),
		kong.Description("Runs large sets of mostly deterministic jobs on AWS Fargate.\n\nStart with `spate demo`. Commands other than demo and worker take a configuration file (--config, SPATE_CONFIG) and AWS credentials from the usual places; AWS_ENDPOINT_URL points them at a sandbox."),
		kong.Writers(p.stdout, p.stderr),
		kong.Exit(func(c int) { exited, code = true, c }),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Bind(&p),
	)
	if err != nil {
		fmt.Fprintln(p.stderr, "spate:", err)
		return exitFailure
	}
	parsed, err := parser.Parse(args)
	if exited {
		return code
	}
	if err != nil {
		fmt.Fprintf(p.stderr, "spate: %v\nTry `spate --help`.\n", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	err = parsed.Run(ctx, &p)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		fmt.Fprintln(p.stderr, "spate: stopped")
		return exitFailure
	}
	report(p.stderr, err)
	return exitFailure
}

// report prints an error; each of a file's errors has a line of its own, beginning with its place.
func report(w io.Writer, err error) {
	var many *job.Errors
	if errors.As(err, &many) {
		fmt.Fprintln(w, many.Error())
		fmt.Fprintf(w, "spate: %s; nothing was submitted\n", countOf(many.Len(), "error"))
		return
	}
	var setting *config.Error
	if errors.As(err, &setting) {
		fmt.Fprintln(w, err)
		fmt.Fprintln(w, "spate: the configuration is wrong; nothing was done")
		return
	}
	fmt.Fprintln(w, "spate:", err)
}

func countOf(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
