// Command spate is Spate: controller, worker, command line, sandbox and demo in one program. See `spate --help`.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"spate/examples/reinsurance/model"
	"spate/internal/demo"
	"spate/job"
	"spate/worker"
)

// Exit codes.
const (
	exitFailure = 1
	exitUsage   = 2
)

const programName = "spate"

type commands struct {
	Demo       demoCommand       `cmd:"" help:"Show on this machine what Spate does: four runs of a risk rollup."`
	Submit     submitCommand     `cmd:"" help:"Submit a run file."`
	Plan       planCommand       `cmd:"" help:"Show what a run file would run, why, for how long and at what cost; nothing is submitted."`
	WhatIf     whatIfCommand     `cmd:"" name:"what-if" help:"Run a run's jobs with changed parameters, and show which figures moved."`
	Status     statusCommand     `cmd:"" help:"Show pools and the runs that are under way, or one run."`
	Runs       runsCommand       `cmd:"" help:"List runs, the newest first."`
	Results    resultsCommand    `cmd:"" help:"List what a run's jobs wrote, and download it."`
	Failed     failedCommand     `cmd:"" help:"Show what failed in a run, grouped by cause."`
	Retry      retryCommand      `cmd:"" help:"Try a run's failed jobs again."`
	Substitute substituteCommand `cmd:"" help:"Let another output stand in for that of a job that failed."`
	Cancel     cancelCommand     `cmd:"" help:"Cancel a run: nothing more of it is started."`
	Logs       logsCommand       `cmd:"" help:"Show what a job printed."`
	Compare    compareCommand    `cmd:"" help:"Show what two runs differ in: which jobs changed, why, and which outputs."`
	Why        whyCommand        `cmd:"" help:"Explain why a job ran, or did not; or what a key stands for."`
	Graph      graphCommand      `cmd:"" help:"Show a run level by level, its critical path, and what its end results wait for."`
	Pools      poolsCommand      `cmd:"" help:"Show pools: what they want and have, what holds them back, and what people want of them."`
	Decisions  decisionsCommand  `cmd:"" help:"Show what was decided for a pool, and why."`
	Pause      pauseCommand      `cmd:"" help:"Launch no more workers for a pool."`
	Drain      drainCommand      `cmd:"" help:"Launch no more workers for a pool, and let those there are leave after their jobs."`
	Kill       killCommand       `cmd:"" help:"Launch no more workers for a pool, and stop those there are."`
	Resume     resumeCommand     `cmd:"" help:"Let a paused, drained or killed pool run again."`
	Cap        capCommand        `cmd:"" help:"Bound a pool's workers for now."`
	Reproduce  reproduceCommand  `cmd:"" help:"Compute jobs of a run again and compare the bytes of their files."`
	Cache      cacheCommand      `cmd:"" help:"See into the output cache: how it does, what is in it and why; verify, rebuild, forget."`
	Simulate   simulateCommand   `cmd:"" help:"Say how soon so many workers run, when the work is done and what it costs, before it is submitted."`
	Serve      serveCommand      `cmd:"" help:"Run a controller: it leads, or stands by until it can."`
	Worker     workerCommand     `cmd:"" help:"Run a worker. Controllers launch it, as an ECS task."`
	Sandbox    sandboxCommand    `cmd:"" help:"Serve the AWS services that Spate uses, and Redis, on this machine."`
	Completion completionCommand `cmd:"" help:"Print a script that lets a shell complete command lines."`
	Complete   completeCommand   `cmd:"" hidden:"" help:"Say what can follow on a command line. Completion scripts call it."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
}

const description = "Runs large sets of mostly deterministic jobs on AWS Fargate.\n\n" +
	"Start with `spate demo`. What talks to an installation (submit, status, runs, serve) needs a configuration file and, " +
	"as any AWS client, a Region and credentials; AWS_ENDPOINT_URL points it at a sandbox.\n\n" +
	"Exit codes: 0 success, 1 failure, 2 wrong usage."

// program is what commands need of their surroundings.
type program struct {
	stdin   io.Reader
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
	self := calledAs()
	p := program{os.Stdin, newPage(os.Stdout, self, os.Getenv("COLUMNS")), newPage(os.Stderr, self, ""), os.Environ(), os.Getenv}
	os.Exit(run(p, os.Args[1:]))
}

// calledAs is what a user types to run this program: its name where a shell finds it by that, else the path it was called by.
func calledAs() string {
	if found, err := exec.LookPath(programName); err == nil {
		self, selfErr := os.Executable()
		a, aErr := os.Stat(found)
		b, bErr := os.Stat(self)
		if selfErr == nil && aErr == nil && bErr == nil && os.SameFile(a, b) {
			return programName
		}
	}
	return os.Args[0]
}

// run parses the arguments, runs a command until it ends or the process is told to stop, and returns the exit code.
func run(p program, args []string) int {
	help, exited, code := p.stdout, false, 0
	if len(args) == 0 {
		args, help = []string{"--help"}, p.stderr
	}
	args = asMeant(args)
	var cli commands
	parser, err := kong.New(&cli,
		kong.Name(programName), kong.Description(description),
		kong.Writers(help, p.stderr),
		kong.Exit(func(c int) { exited, code = true, c }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Bind(&p),
	)
	if err != nil {
		fmt.Fprintln(p.stderr, "spate:", err)
		return exitFailure
	}
	parsed, err := parser.Parse(args)
	if exited {
		if help == p.stderr {
			return exitUsage
		}
		return code
	}
	if err != nil {
		reportError(p, args, &problem{what: err.Error(), todo: fmt.Sprintf("Try `%s --help`.", commandOf(err))})
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals()...)
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	if err = told(ctx, parsed.Run(ctx, &p)); err == nil {
		return 0
	}
	reportError(p, args, err)
	if wrong, ok := errors.AsType[*problem](err); ok && wrong.usage {
		return exitUsage
	}
	if errors.Is(err, worker.ErrNothingReceived) {
		return job.ExitNothingReceived
	}
	return exitFailure
}

// told is a command's error as it should be read: one that was stopped and does not say what that means has been stopped.
func told(ctx context.Context, err error) error {
	if _, says := errors.AsType[*problem](err); !says && errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return &problem{what: "stopped"}
	}
	return err
}

// asMeant is a command line in the form that the parser knows: help and --version are spelt its way, and a number below zero
// is joined to its flag, as the parser takes it for a flag of its own.
func asMeant(args []string) []string {
	switch args[0] {
	case "help":
		args = append(slices.Clone(args[1:]), "--help")
	case "--version":
		args = append([]string{"version"}, args[1:]...)
	}
	var meant []string
	for i, arg := range args {
		if arg == "--" {
			return append(meant, args[i:]...)
		}
		last := len(meant) - 1
		_, err := strconv.ParseFloat(arg, 64)
		if err == nil && arg[0] == '-' && last >= 0 && strings.HasPrefix(meant[last], "--") && !strings.Contains(meant[last], "=") {
			meant[last] += "=" + arg
			continue
		}
		meant = append(meant, arg)
	}
	return meant
}

// commandOf is the command whose arguments are wrong, as far as that was understood.
func commandOf(err error) string {
	wrong, ok := errors.AsType[*kong.ParseError](err)
	if ok && wrong.Context != nil && wrong.Context.Selected() != nil {
		return wrong.Context.Selected().FullPath()
	}
	return "spate"
}

// signals are those that end a command in good order. A hang-up does, too, unless nohup or its like had it ignored: what
// a closed terminal leaves behind must be nothing.
func signals() []os.Signal {
	all := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		all = append(all, syscall.SIGHUP)
	}
	return all
}
