package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"spate/controller"
	"spate/internal/telemetry"
)

type serveCommand struct {
	configFlag
	LogLevel string `help:"Least level of what is logged: ${enum}." enum:"debug,info,warn,error" default:"info"`
}

// Run runs a controller until it is told to stop.
func (c *serveCommand) Run(ctx context.Context, p *program) error {
	in, err := c.open(ctx, p)
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("find host name: %w", err)
	}
	log := telemetry.Logger(p.stderr, c.LogLevel).With().Str("environment", in.cfg.Environment).Logger()
	server, err := controller.New(ctx, controller.Options{
		Config: in.cfg, Clients: in.clients, Holder: fmt.Sprintf("%s/%d", host, os.Getpid()), Log: log,
	})
	if err != nil {
		return err
	}
	log.Info().Str("version", version()).Msg("controller started")
	err = server.Run(ctx)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		log.Info().Msg("controller stopped")
		return nil
	}
	return err
}
