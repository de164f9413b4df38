package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sync/errgroup"

	"spate/internal/awsclient"
	"spate/internal/config"
	"spate/internal/demo"
	"spate/internal/provision"
	"spate/internal/telemetry"
	"spate/sandbox"
)

type sandboxCommand struct {
	Config      string `help:"Create all that this configuration file names." type:"path" env:"SPATE_CONFIG" placeholder:"FILE"`
	Listen      string `help:"Address of the AWS services (default ${default})." default:"127.0.0.1:4566" placeholder:"HOST:PORT"`
	Redis       string `help:"Address of the Redis (default ${default})." default:"127.0.0.1:6380" placeholder:"HOST:PORT"`
	RedisServer string `help:"Start this redis-server program in place of the embedded Redis." type:"path" placeholder:"PATH"`
	Logs        string `help:"Directory for the tasks' logs; left out, they are not kept." type:"path" placeholder:"DIR"`
	Account     string `help:"How the account behaves: instant (AWS's limits; tasks start at once) or usual (they take 30 to 60 seconds, some never start; listings and depths lag, messages come twice)." enum:"instant,usual" default:"instant" placeholder:"HOW"`
	Seed        uint64 `help:"Repeats what is left to chance; left out, one is made and printed." placeholder:"N"`
}

// Help tells more.
func (c *sandboxCommand) Help() string {
	return "ECS, SQS, DynamoDB and S3, as any AWS client knows them, with Fargate's limits: a task is a process here. " +
		"Nothing is kept when it ends, and signatures are not checked: leave it on loopback.\n\n" +
		"What it prints on standard output is for the shells of other terminals: with `| tee sandbox.env` here, `. sandbox.env` there. " +
		"Limits, delays and faults can be changed while it runs, over HTTP: docs/sandbox.md has them all."
}

// Run serves until it is told to stop.
func (c *sandboxCommand) Run(ctx context.Context, p *program) error {
	var cfg *config.Config
	var err error
	if c.Config != "" {
		if cfg, err = loadConfig(c.Config, p.environ); err != nil {
			return err
		}
	}
	programs, err := demo.FindPrograms()
	if err != nil {
		return err
	}
	bin, err := os.MkdirTemp("", "spate-sandbox-")
	if err != nil {
		return fmt.Errorf("make directory of programs: %w", err)
	}
	defer os.RemoveAll(bin)
	if err := programs.Link(bin); err != nil {
		return err
	}
	account := sandbox.Instant()
	if c.Account == "usual" {
		account = sandbox.Usual()
	}
	if cfg != nil {
		account.ECS.Events = cfg.Queues.TaskEvents
	}
	s, err := sandbox.New(sandbox.Options{
		Listen: c.Listen, RedisListen: c.Redis, RedisServer: c.RedisServer, LogDir: c.Logs, TaskPath: []string{bin}, Path: p.getenv("PATH"), Account: &account, Seed: c.Seed,
		Log: telemetry.Logger(p.stderr, "info"),
	})
	if err != nil {
		return taken(err, "Is another sandbox running? --listen and --redis give other addresses; port 0 takes a free one.")
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.Run(ctx) })
	group.Go(func() error {
		if cfg != nil {
			image, err := programs.Image()
			if err != nil {
				return err
			}
			if err := provision.Create(ctx, awsclient.Local(s.Endpoint()), cfg, image); err != nil {
				return err
			}
		}
		c.greet(p, s, cfg)
		return nil
	})
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// greet says how to use what is being served. What a shell can evaluate goes to standard output.
func (c *sandboxCommand) greet(p *program, s *sandbox.Sandbox, cfg *config.Config) {
	for _, e := range s.Env() {
		fmt.Fprintf(p.stdout, "export %s\n", e)
	}
	if c.Config != "" {
		fmt.Fprintf(p.stdout, "export SPATE_CONFIG=%s\n", shellWord(c.Config))
	}
	fmt.Fprintf(p.stdout, "export SPATE_REDIS_URL=%s\n", s.RedisURL())
	g := greeting{endpoint: s.Endpoint(), redis: s.RedisURL(), seed: s.State().Seed, config: c.Config}
	if cfg != nil {
		g.pools = cfg.Pools
	}
	g.print(pageOn(p.stderr))
}

// greeting is what a person is told who has started a sandbox.
type greeting struct {
	endpoint, redis string
	seed            uint64
	config          string // what was created is in it; "" for nothing
	pools           []config.Pool
}

func (g greeting) print(w page) {
	fmt.Fprintf(w, "\nServing ECS, SQS, DynamoDB and S3 at %s\nand Redis at %s, until Ctrl-C. Seed %d.\n", g.endpoint, g.redis, g.seed)
	w.paragraph("", "Signatures are not checked: whoever reaches these ports can run commands as you.")
	fmt.Fprintln(w)
	if g.config == "" {
		w.paragraph("", "Nothing was created: with --config FILE, everything that the file names is.")
		fmt.Fprintln(w, "In other terminals, after the exports above, any AWS client works, such as")
		fmt.Fprint(w, "\naws s3 mb s3://results\n")
	} else {
		w.paragraph("", fmt.Sprintf("Created all that %s names, for %s: %s.", g.config, plural(len(g.pools), "pool"), strings.Join(poolNames(g.pools), ", ")))
		fmt.Fprintf(w, "In other terminals, after the exports above:\n\n%[1]s serve\n%[1]s submit --watch RUN.yaml\n", w.name())
	}
	fmt.Fprint(w, `
What has been asked of it; a bad day, on which ECS is throttled; its end:

curl $AWS_ENDPOINT_URL/_sandbox/state
curl $AWS_ENDPOINT_URL/_sandbox/faults -d '{"service":"ecs","kind":"throttle"}'
curl -X DELETE $AWS_ENDPOINT_URL/_sandbox/faults
`)
}
