package controller

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"spate/cache"
	"spate/internal/awsclient"
	"spate/internal/config"
	"spate/internal/httpapi"
	"spate/internal/lease"
	"spate/internal/objects"
	"spate/internal/queue"
	"spate/internal/table"
	"spate/internal/telemetry"
	"spate/job"
	"spate/planner"
	"spate/scaler"
)

// Options of a Controller. All are required.
type Options struct {
	Config  *config.Config
	Clients *awsclient.Clients
	Holder  string // who this process is, for people: host and process id, or the task's ARN
	Log     zerolog.Logger
}

// Controller is one of the processes of which one leads.
type Controller struct {
	Options
	opened    redis.UniversalClient
	redis     redis.UniversalClient // the same while it runs, else nil
	runs      *table.Table
	objects   *objects.Store
	queues    queues
	catalogue job.Catalogue

	leading atomic.Bool
	metrics metricSources
}

type queues struct {
	submissions, events, outputs *queue.Queue
	taskEvents                   *queue.Queue // nil when there is none
	pools                        map[string]*queue.Queue
	deadLetters                  map[string]*queue.Queue // by pool; none for a queue without redrive policy
}

// New connects to what the configuration names; a table, bucket or queue that does not exist is an error here, and so are
// settings of theirs with which the cache could answer wrongly. Nothing is started.
func New(ctx context.Context, o Options) (*Controller, error) {
	catalogue, err := Catalogue(o.Config)
	if err != nil {
		return nil, err
	}
	client, err := cache.OpenRedis(o.Config.Redis.URL, o.Config.Redis.Cluster)
	if err != nil {
		return nil, fmt.Errorf("redis.url: %w", err)
	}
	c := &Controller{
		Options: o, opened: client, runs: table.New(o.Clients.DynamoDB, o.Config.Tables.Runs),
		objects: objects.New(o.Clients.S3, o.Config.Bucket), catalogue: catalogue,
		queues: queues{pools: map[string]*queue.Queue{}, deadLetters: map[string]*queue.Queue{}},
	}
	open := func(name string) *queue.Queue {
		if err != nil {
			return nil
		}
		var q *queue.Queue
		q, err = queue.Open(ctx, o.Clients.SQS, name)
		return q
	}
	c.queues.submissions, c.queues.events, c.queues.outputs = open(o.Config.Queues.Submissions), open(o.Config.Queues.Events), open(o.Config.Queues.Outputs)
	if o.Config.Queues.TaskEvents != "" {
		c.queues.taskEvents = open(o.Config.Queues.TaskEvents)
	}
	for _, pool := range o.Config.Pools {
		c.queues.pools[pool.Name] = open(pool.Queue)
	}
	if err != nil {
		return nil, err
	}
	for _, check := range []func(context.Context) error{
		c.runs.Check, table.New(o.Clients.DynamoDB, o.Config.Tables.Outputs).Check, c.objects.Check,
	} {
		if err := check(ctx); err != nil {
			return nil, err
		}
	}
	if err := cache.Refusal(c.inspector().Findings(ctx)); err != nil {
		return nil, err
	}
	for name, q := range c.queues.pools {
		dead, err := q.DeadLetters(ctx)
		if err != nil {
			return nil, err
		}
		if dead == nil {
			o.Log.Warn().Str("pool", name).Msg("the pool's queue has no redrive policy: a job that kills its workers will be received for ever; set one with maxReceiveCount 20")
			continue
		}
		c.queues.deadLetters[name] = dead
	}
	return c, nil
}

// inspector looks at what the cache rests on; at Redis only while the controller runs.
func (c *Controller) inspector() cache.Inspector {
	i := cache.Inspector{
		S3: c.Clients.S3, DynamoDB: c.Clients.DynamoDB, Queue: c.queues.outputs, Bucket: c.Config.Bucket, OutputsTable: c.Config.Tables.Outputs,
		Retention: c.Config.Cache.Retention, ExpectedOutputs: c.Config.Cache.ExpectedOutputs,
	}
	if c.redis != nil {
		i.View = cache.NewView(c.redis, RedisPrefix(c.Config))
	}
	return i
}

// Run waits for the lease, leads while it holds it, and begins again, until ctx ends. It returns when everything is
// gone.
func (c *Controller) Run(ctx context.Context) error {
	c.redis = c.opened
	defer c.redis.Close()
	c.metrics.process = telemetry.Registry()
	if c.Config.HTTP.Listen == "" {
		return c.elect(ctx)
	}
	server, err := httpapi.Listen(httpapi.Options{Listen: c.Config.HTTP.Listen, Ready: c.ready, Gather: &c.metrics})
	if err != nil {
		return err
	}
	c.Log.Info().Str("address", server.Address()).Msg("serving HTTP: /healthz /readyz /metrics")
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return server.Run(ctx) })
	group.Go(func() error { return c.elect(ctx) })
	return group.Wait()
}

// ready reports the controller's role. A standby is ready: standing by is its part.
func (c *Controller) ready() (string, bool) {
	if c.leading.Load() {
		return "leader", true
	}
	return "standby", true
}

// termPause keeps a controller whose terms fail at once from taking the lease in a tight loop.
const termPause = time.Second

func (c *Controller) elect(ctx context.Context) error {
	l, err := lease.New(lease.Options{Store: lease.InTable(c.runs), Name: "controller", Holder: c.Holder, Log: c.Log})
	if err != nil {
		return err
	}
	for {
		err := l.Run(ctx, c.lead)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, lease.ErrLost) {
			c.Log.Warn().Msg("the lease is lost; standing by")
		} else {
			c.Log.Error().Err(err).Msg("the term ended; standing by")
		}
		timer := time.NewTimer(termPause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// lead is one term. Everything in it is made anew and gone when it returns.
func (c *Controller) lead(ctx context.Context, held *lease.Held) error {
	registry := prometheus.NewRegistry()
	c.metrics.term.Store(registry)
	c.leading.Store(true)
	defer c.leading.Store(false)
	defer c.metrics.term.Store(nil)

	records := cache.NewTableRecords(c.runs)
	outputs, err := cache.New(cache.Options{
		Redis: c.redis, Prefix: RedisPrefix(c.Config), DynamoDB: c.Clients.DynamoDB, Streams: c.Clients.Streams,
		OutputsTable: c.Config.Tables.Outputs, Records: records, Statuses: records, Check: c.inspector().Findings, Queue: c.queues.outputs,
		Objects: c.objects, Bucket: c.Config.Bucket, Retention: c.Config.Cache.Retention,
		WritesPerSecond: c.Config.Cache.LedgerWritesPerSecond, RefreshPerSecond: c.Config.Cache.RefreshObjectsPerSecond, Registerer: registry, Log: c.Log.With().Str("loop", "cache").Logger(),
	})
	if err != nil {
		return err
	}
	wakes := make(chan struct{}, 1)
	wake := func() {
		select {
		case wakes <- struct{}{}:
		default:
		}
	}
	plan, err := planner.New(planner.Options{
		Table: c.runs, Fence: held.Fence, Guard: func() dynamodbtypes.TransactWriteItem { return held.Guard(c.runs) }, Objects: c.objects, Submissions: c.queues.submissions, Events: c.queues.events,
		Outputs: outputs, Images: images{c.Clients.ECS}, Pools: c.plannerPools(), Catalogue: c.catalogue,
		Namespace: c.Config.Namespace, Retention: c.Config.Cache.Retention, VerifyHits: c.Config.Cache.VerifyHits, Registerer: registry,
		Log:  c.Log.With().Str("loop", "planner").Logger(),
		Wake: wake,
	})
	if err != nil {
		return err
	}
	term := term{held, c.runs}
	newest := newNewest(images{c.Clients.ECS}, c.Config, c.Log)
	depths, err := c.depths(wake, registry)
	if err != nil {
		return err
	}
	scale, err := scaler.New(scaler.Options{
		ECS: c.Clients.ECS, Journal: scaler.InTable(c.runs, term), Term: term, Levers: scaler.LeversIn(c.runs, c.objects), Demand: demand(plan, newest, depths),
		Pools: c.scalerPools(), Account: c.account(), Events: c.taskEvents(), Wake: wakes, Registerer: registry, Log: c.Log.With().Str("loop", "scaler").Logger(),
	})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for name, run := range map[string]func(context.Context) error{
		"planner": plan.Run, "scaler": scale.Run, "cache": outputs.Run, "images": newest.run, "depths": depths.Run,
	} {
		group.Go(func() error {
			err := run(ctx)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err == nil:
				return fmt.Errorf("%s: ended by itself", name)
			}
			return fmt.Errorf("%s: %w", name, err)
		})
	}
	return group.Wait()
}
