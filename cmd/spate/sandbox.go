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
	Config string `help:"Create what this configuration file names." type:"path" env:"SPATE_CONFIG" placeholder:"FILE"`
	Listen string `help:"Address of the AWS services." default:"127.0.0.1:4566"`
	Redis  string `help:"Address of the Redis." default:"127.0.0.1:6380"`
	Logs   string `help:"Directory for the tasks' logs; left out, they are not kept." type:"path" placeholder:"DIR"`
}

// Run serves until it is told to stop.
func (c *sandboxCommand) Run(ctx context.Context, p *program) error {
	var cfg *config.Config
	var err error
	if c.Config != "" {
		if cfg, err = config.Load(c.Config, p.environ); err != nil {
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
	s, err := sandbox.New(sandbox.Options{
		Listen: c.Listen, RedisListen: c.Redis, LogDir: c.Logs, TaskPath: []string{bin}, Path: p.getenv("PATH"),
		Log: telemetry.Logger(p.stderr, "info"),
	})
	if err != nil {
		return err
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
		fmt.Fprintf(p.stdout, "export SPATE_CONFIG=%s\n", c.Config)
	}
	fmt.Fprintf(p.stdout, "export SPATE_REDIS_URL=%s\n", s.RedisURL())
	w := p.stderr
	fmt.Fprintf(w, "\nServing ECS, SQS, DynamoDB and S3 at %s, Redis at %s; Ctrl-C ends it and everything in it.\n", s.Endpoint(), s.RedisURL())
	if cfg == nil {
		fmt.Fprintln(w, "Nothing was created: with --config FILE, everything that the file names is.")
		return
	}
	pools := make([]string, len(cfg.Pools))
	for i, pool := range cfg.Pools {
		pools[i] = pool.Name
	}
	fmt.Fprintf(w, "Created all that %s names (pools %s). In another terminal, after the exports above:\n", c.Config, strings.Join(pools, ", "))
	fmt.Fprintf(w, "  spate serve\n  spate submit RUN.yaml --watch\n")
}
