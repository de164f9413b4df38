package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"spate/controller"
	"spate/internal/telemetry"
	"spate/planner"
)

type serveCommand struct {
	configFlag
	LogLevel string `help:"Least severity to log: ${enum}." enum:"debug,info,warn,error" default:"info"`
}

// Help tells more.
func (c *serveCommand) Help() string {
	return "It plans runs, launches workers and keeps the record of outputs. Start two or more: one leads, and when it ends another takes over. " +
		"The configuration's http.listen serves /healthz, /readyz and /metrics. SIGTERM and Ctrl-C end it in good order."
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
	contact, cancel := context.WithTimeout(ctx, contactTimeout)
	defer cancel()
	server, err := controller.New(contact, controller.Options{
		Config: in.cfg, Clients: in.clients, Holder: fmt.Sprintf("%s/%d", host, os.Getpid()), Log: log,
	})
	if err != nil {
		return err
	}
	if p.getenv("GOGC") == "" {
		debug.SetGCPercent(planner.GCPercent)
	}
	log.Info().Str("version", version()).Msg("controller started")
	err = server.Run(ctx)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		log.Info().Msg("controller stopped")
		return nil
	}
	return taken(err, "Is another controller running? http.listen, or SPATE_HTTP_LISTEN, gives another address; port 0 takes a free one.")
}
