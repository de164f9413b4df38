package main

import (
	"context"
	"fmt"

	"spate/internal/awsclient"
	"spate/internal/objects"
	"spate/internal/queue"
	"spate/internal/telemetry"
	"spate/worker"
)

// taskVariable is set in every task on Fargate (Amazon ECS task metadata endpoint version 4).
const taskVariable = "ECS_CONTAINER_METADATA_URI_V4"

type workerCommand struct {
	LogLevel string `help:"Least severity to log: ${enum}." enum:"debug,info,warn,error" default:"info" env:"SPATE_LOG_LEVEL"`
}

// Help tells more.
func (c *workerCommand) Help() string {
	return "This is the command of a pool's ECS task definition, in an image with the programs of the jobs. The controller that launches a task " +
		"tells it by SPATE_ variables what to work on. It leaves by itself when it has been idle.\n\n" +
		"Exit code 78: it ended before it reached its queue for the first time. A pool whose workers end so is stopped after a few."
}

// Run runs a worker until it has a reason to leave.
func (c *workerCommand) Run(ctx context.Context, p *program) error {
	if p.getenv(taskVariable) == "" {
		return &problem{
			what: "this is no ECS task, so that there is nothing for a worker to do",
			todo: "Controllers launch workers and tell them what to work on. To see that on this machine: `spate demo`, or `spate sandbox` with `spate serve`.",
		}
	}
	w, err := c.worker(ctx, p)
	if err != nil {
		return fmt.Errorf("%w: %w", worker.ErrNothingReceived, err)
	}
	reason, err := w.Run(ctx)
	if err != nil {
		return fmt.Errorf("worker left (%s): %w", reason, err)
	}
	return nil
}

func (c *workerCommand) worker(ctx context.Context, p *program) (*worker.Worker, error) {
	if err := checkEndpoints(p.environ); err != nil {
		return nil, err
	}
	settings, err := worker.ReadSettings(p.getenv)
	if err != nil {
		return nil, err
	}
	identity, err := worker.Identify(ctx, p.getenv)
	if err != nil {
		return nil, err
	}
	clients, err := awsclient.Load(ctx, "")
	if err != nil {
		return nil, err
	}
	log := telemetry.Logger(p.stderr, c.LogLevel).With().Str("pool", settings.Pool).Str("task", identity.TaskARN).Logger()
	store := objects.New(clients.S3, settings.Bucket)
	return worker.New(worker.Options{
		Jobs: queue.At(clients.SQS, settings.QueueURL), Events: queue.At(clients.SQS, settings.EventsQueueURL),
		Objects: store, Inputs: func(bucket string) worker.ObjectReader { return store.In(bucket) },
		Identity: identity, Pool: settings.Pool, Launched: settings.Launched, External: settings.External, Slots: settings.Slots, IdleTimeout: settings.IdleTimeout, Visibility: settings.Visibility,
		Retention: settings.Retention, StopGrace: settings.StopGrace, WorkDir: settings.WorkDir, Path: settings.Path,
		Log: log, Registerer: telemetry.Registry(),
	})
}
