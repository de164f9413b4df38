package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/redis/go-redis/v9"

	"spate/cache"
	"spate/controller"
	"spate/internal/config"
	"spate/internal/queue"
	"spate/internal/table"
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
	redis.SetLogger(telemetry.Printer{Log: log})
	contact, cancel := context.WithTimeout(ctx, contactTimeout)
	defer cancel()
	server, err := controller.New(contact, controller.Options{
		Config: in.cfg, Clients: in.clients, Holder: fmt.Sprintf("%s/%d", host, os.Getpid()), Log: log,
	})
	if err != nil {
		return missing(err, in.cfg)
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

// missing adds to an error about a table or queue that does not exist how to make it, and takes apart what is wrong and
// what to do where settings are not as they must be. Others pass.
func missing(err error, cfg *config.Config) error {
	if refused, ok := errors.AsType[*cache.RefusedError](err); ok {
		p := &problem{what: "a controller does not start like this", err: err}
		for _, f := range refused.Findings {
			p.what += "\n" + f.Text
			p.todo = strings.TrimSpace(p.todo + " " + f.Fix)
		}
		return p
	}
	creation := ""
	if lacks, ok := errors.AsType[*queue.MissingError](err); ok {
		creation = fmt.Sprintf("`aws sqs create-queue --queue-name %s`", lacks.Name)
	}
	if lacks, ok := errors.AsType[*table.MissingError](err); ok {
		keys := "--attribute-definitions AttributeName=pk,AttributeType=S AttributeName=sk,AttributeType=S " +
			"--key-schema AttributeName=pk,KeyType=HASH AttributeName=sk,KeyType=RANGE"
		if lacks.Name == cfg.Tables.Outputs {
			keys = "--attribute-definitions AttributeName=key,AttributeType=S --key-schema AttributeName=key,KeyType=HASH " +
				"--stream-specification StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES"
		}
		creation = fmt.Sprintf("`aws dynamodb create-table --table-name %s --billing-mode PAY_PER_REQUEST %s`", lacks.Name, keys)
	}
	if creation == "" {
		return err
	}
	return &problem{
		what: err.Error(), err: err,
		todo: "Are account and Region right, and does the configuration file name it as it is called? To make it: " + creation +
			". In a sandbox, `spate sandbox --config FILE` makes all that FILE names.",
	}
}
