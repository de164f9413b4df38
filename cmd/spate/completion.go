package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/alecthomas/kong"

	"spate/internal/completion"
)

type completionCommand struct {
	Shell string `arg:"" help:"bash, zsh or fish." enum:"bash,zsh,fish"`
}

// Help tells more.
func (c *completionCommand) Help() string {
	return "Prints what a shell must read so that the tab key completes commands, flags, their values, files and, where a configuration is found, " +
		"pools and runs. The shell asks this program each time; runs are asked for during one second at most.\n\n" +
		"bash, in ~/.bashrc:\n\n    eval \"$(spate completion bash)\"\n\n" +
		"zsh, in ~/.zshrc, after compinit:\n\n    source <(spate completion zsh)\n\n" +
		"fish, once:\n\n    spate completion fish >~/.config/fish/completions/spate.fish"
}

// Run prints a shell's script.
func (c *completionCommand) Run(p *program) error {
	script, err := completion.Script(c.Shell)
	if err != nil {
		return err
	}
	_, err = io.WriteString(pageOn(p.stdout).Writer, script)
	return err
}

// completeCommand is what the scripts call.
type completeCommand struct {
	Words []string `arg:"" optional:"" sep:"none" help:"The words after the program's name, up to the cursor."`
}

// Run prints what can follow. It is silent about what it cannot find out: nobody wants to read that between two keys.
func (c *completeCommand) Run(ctx context.Context, p *program, line *kong.Context) error {
	answer := completion.Complete(line.Model, c.Words)
	if answer.Runs {
		ctx, cancel := context.WithTimeout(ctx, completionTime)
		defer cancel()
		offerRuns(ctx, p, answer)
	}
	if answer.Pools {
		offerPools(p, answer)
	}
	return answer.Print(pageOn(p.stdout).Writer)
}

const (
	completionTime = time.Second
	runsOffered    = 50 // the newest
)

// configOf is the configuration file that the command line names, or means.
func configOf(p *program, answer *completion.Answer) string {
	return cmp.Or(answer.Given["config"], p.getenv("SPATE_CONFIG"), "spate.yaml")
}

// offerPools adds the pools of the configuration.
func offerPools(p *program, answer *completion.Answer) {
	cfg, err := loadConfig(configOf(p, answer), p.environ)
	if err != nil {
		return
	}
	for _, pool := range cfg.Pools {
		answer.Add(pool.Name, fmt.Sprintf("%d to %s", pool.Min, countOf(pool.Max, "worker")))
	}
}

// offerRuns adds runs, the newest first, and their names where those will do.
func offerRuns(ctx context.Context, p *program, answer *completion.Answer) {
	in, err := configFlag{configOf(p, answer)}.open(ctx, p)
	if err != nil {
		return
	}
	reader, err := in.reader()
	if err != nil {
		return
	}
	runs := reader.RunsBeginning(ctx, answer.Value)
	named := map[string]bool{}
	for _, run := range runs[:min(len(runs), runsOffered)] {
		if answer.Names && !named[run.Name] && run.Name != run.ID {
			named[run.Name] = true
			answer.Add(run.Name, "the newest run of that name")
		}
		answer.Add(run.ID, fmt.Sprintf("%s, %s", run.State, ago(time.Now(), run.Received)))
	}
}
