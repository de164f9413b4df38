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

type workerCommand struct {
	LogLevel string `help:"Least level of what is logged: ${enum}." enum:"debug,info,warn,error" default:"info" env:"SPATE_LOG_LEVEL"`
}

// Run runs a worker until it has a reason to leave.
func (c *workerCommand) Run(ctx context.Context, p *program) error {
	settings, err := worker.ReadSettings(p.getenv)
	if err != nil {
		return err
	}
	identity, err := worker.Identify(ctx, p.getenv)
	if err != nil {
		return err
	}
	clients, err := awsclient.Load(ctx, "")
	if err != nil {
		return err
	}
	log := telemetry.Logger(p.stderr, c.LogLevel).With().Str("pool", settings.Pool).Str("task", identity.TaskARN).Logger()
	store := objects.New(clients.S3, settings.Bucket)
	w, err := worker.New(worker.Options{
		Jobs: queue.At(clients.SQS, settings.QueueURL), Events: queue.At(clients.SQS, settings.EventsQueueURL),
		Objects: store, Inputs: func(bucket string) worker.ObjectReader { return store.In(bucket) },
		Identity: identity, Slots: settings.Slots, IdleTimeout: settings.IdleTimeout, Visibility: settings.Visibility,
		Retention: settings.Retention, StopGrace: settings.StopGrace, WorkDir: settings.WorkDir, Path: settings.Path,
		Log: log, Registerer: telemetry.Registry(),
	})
	if err != nil {
		return err
	}
	reason, err := w.Run(ctx)
	if err != nil {
		return fmt.Errorf("worker left (%s): %w", reason, err)
	}
	log.Info().Str("reason", string(reason)).Msg("worker leaves")
	return nil
}
