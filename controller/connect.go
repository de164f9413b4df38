package controller

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"spate/internal/config"
	"spate/internal/lease"
	"spate/internal/price"
	"spate/internal/table"
	"spate/job"
	"spate/planner"
	"spate/scaler"
)

// Catalogue is the configuration's task types.
func Catalogue(cfg *config.Config) (job.Catalogue, error) {
	catalogue := job.Catalogue{}
	for name, t := range cfg.Tasks {
		if err := job.CheckName(name); err != nil {
			return nil, fmt.Errorf("tasks: %w", err)
		}
		catalogue[name] = job.TaskType{
			Name: name, Command: t.Command, Before: t.Before, After: t.After, OnFailure: t.OnFailure,
			InputDir: t.InputDir, OutputDirs: t.OutputDirs, Env: t.Env, Timeout: job.Duration(t.Timeout),
			MaxAttempts: t.MaxAttempts, PermanentExitCodes: t.PermanentExitCodes, Deterministic: *t.Deterministic,
			Params: taskParams{t},
		}
	}
	return catalogue, nil
}

type taskParams struct{ task config.Task }

func (p taskParams) CheckParams(params jsontext.Value) error { return p.task.CheckParams(params) }

// term is a lease's term as the scaler sees it.
type term struct {
	held *lease.Held
	runs *table.Table
}

func (t term) Valid(now time.Time) bool               { return t.held.Valid(now) }
func (t term) Guard() dynamodbtypes.TransactWriteItem { return t.held.Guard(t.runs) }

// images resolves task definitions.
type images struct{ client *ecs.Client }

// Resolve finds the newest revision of a family and what it runs. The image must be pinned by its digest: a tag may
// stand for other bytes tomorrow, and the digest is part of every key.
func (i images) Resolve(ctx context.Context, family string) (planner.Image, error) {
	out, err := i.client.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: &family})
	if err != nil {
		return planner.Image{}, fmt.Errorf("describe task definition %s: %w", family, err)
	}
	definition := out.TaskDefinition
	container, err := workerContainer(definition.ContainerDefinitions)
	if err != nil {
		return planner.Image{}, fmt.Errorf("task definition %s: %w", family, err)
	}
	_, digest, _ := strings.Cut(aws.ToString(container.Image), "@")
	if !isDigest(digest) {
		return planner.Image{}, fmt.Errorf("task definition %s: its image %s is not pinned: register a revision with name@sha256:…",
			family, aws.ToString(container.Image))
	}
	platform := "linux/amd64"
	if p := definition.RuntimePlatform; p != nil && p.CpuArchitecture == ecstypes.CPUArchitectureArm64 {
		platform = "linux/arm64"
	}
	return planner.Image{
		TaskDefinition: aws.ToString(definition.TaskDefinitionArn), Container: aws.ToString(container.Name), Digest: digest, Platform: platform,
		VCPU: from1024ths(definition.Cpu), MemoryGB: from1024ths(definition.Memory),
	}, nil
}

// from1024ths reads a task definition's size, which ECS gives in 1024ths of a vCPU and in MiB. 0: it says nothing.
func from1024ths(units *string) float64 {
	n, err := strconv.ParseFloat(aws.ToString(units), 64)
	if err != nil || n < 0 {
		return 0
	}
	return n / 1024
}

// isDigest reports whether a text is an image's digest: "sha256:" and 64 hexadecimal digits (OCI image specification).
func isDigest(s string) bool {
	digits, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(digits) == 2*sha256.Size && strings.Trim(digits, "0123456789abcdef") == ""
}

// workerContainerName is the container that runs the worker where a task definition has several.
const workerContainerName = "spate"

func workerContainer(containers []ecstypes.ContainerDefinition) (ecstypes.ContainerDefinition, error) {
	for _, c := range containers {
		if len(containers) == 1 || aws.ToString(c.Name) == workerContainerName {
			return c, nil
		}
	}
	return ecstypes.ContainerDefinition{}, fmt.Errorf("it has %d containers and none is called %q", len(containers), workerContainerName)
}

// newestEvery is how often the newest revision is looked up.
const newestEvery = 30 * time.Second

// newest knows the newest revision of the task definitions of pools that launch workers without a run: those that keep
// some without work, and those that other producers feed. Where workers are bounded by what they take of the account, it
// knows those of all pools, as there may be workers of each that have no run any more.
type newest struct {
	images images
	pools  []config.Pool
	log    zerolog.Logger

	mu    sync.Mutex
	known map[string]planner.Image
}

func newNewest(i images, cfg *config.Config, log zerolog.Logger) *newest {
	n := &newest{images: i, log: log, known: map[string]planner.Image{}}
	bounded := cfg.Budget.MaxUSDPerHour > 0 || cfg.Account.FargateVCPUs > 0 || cfg.Account.FargateSpotVCPUs > 0
	for _, p := range cfg.Pools {
		if bounded || launchesWithoutRun(p) {
			n.pools = append(n.pools, p)
		}
	}
	return n
}

func launchesWithoutRun(p config.Pool) bool { return p.Min > 0 || p.Source == config.SourceExternal }

// launches reports whether the pool launches workers of the newest revision.
func (n *newest) launches(pool string) bool {
	return slices.ContainsFunc(n.pools, func(p config.Pool) bool { return p.Name == pool && launchesWithoutRun(p) })
}

func (n *newest) run(ctx context.Context) error {
	ticker := time.NewTicker(newestEvery)
	defer ticker.Stop()
	for {
		for _, p := range n.pools {
			image, err := n.images.Resolve(ctx, p.TaskDefinition)
			if err != nil {
				if ctx.Err() == nil {
					n.log.Error().Err(err).Str("pool", p.Name).Msg("cannot resolve the newest task definition")
				}
				continue
			}
			n.mu.Lock()
			n.known[p.Name] = image
			n.mu.Unlock()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

func (n *newest) of(pool string) planner.Image {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.known[pool]
}

// demander is the planner, as far as the scaler needs it.
type demander interface {
	Demand(pool string) (planner.Demand, bool)
}

// demand is a pool's demand as the scaler asks for it: the planner's, or how deep its queue is where others fill it.
func demand(p demander, n *newest, depths *scaler.Depths) func(pool string) scaler.Demand {
	return func(pool string) scaler.Demand {
		if depths.Reads(pool) {
			jobs, at, known := depths.Jobs(pool)
			image := n.of(pool)
			return scaler.Demand{
				Outstanding: jobs, TaskDefinition: image.TaskDefinition, Container: image.Container, Worker: sizeOf(image), At: at, Known: known,
			}
		}
		d, ok := p.Demand(pool)
		worker := scaler.WorkerSize{VCPU: d.Worker.VCPU, MemoryGB: d.Worker.MemoryGB, Arch: price.ArchOf(d.Platform)}
		if d.TaskDefinition == "" {
			image := n.of(pool)
			worker = sizeOf(image)
			if n.launches(pool) {
				d.TaskDefinition, d.Container = image.TaskDefinition, image.Container
			}
		}
		return scaler.Demand{
			Outstanding: d.Outstanding, JobDuration: d.JobDuration, Runs: runWork(d.Runs),
			TaskDefinition: d.TaskDefinition, Container: d.Container, Worker: worker,
			QueueEmptySince: d.QueueEmptySince, At: d.At, Known: ok,
		}
	}
}

func sizeOf(image planner.Image) scaler.WorkerSize {
	return scaler.WorkerSize{VCPU: image.VCPU, MemoryGB: image.MemoryGB, Arch: price.ArchOf(image.Platform)}
}

func runWork(runs []planner.RunWork) []scaler.RunWork {
	if len(runs) == 0 {
		return nil
	}
	work := make([]scaler.RunWork, len(runs))
	for i, r := range runs {
		work[i] = scaler.RunWork(r)
	}
	return work
}

// account is what all pools together may take.
func (c *Controller) account() scaler.Account {
	return scaler.Account{
		VCPUs:             map[string]float64{"FARGATE": c.Config.Account.FargateVCPUs, "FARGATE_SPOT": c.Config.Account.FargateSpotVCPUs},
		NetworkInterfaces: c.Config.Account.NetworkInterfaces,
		PerHour:           price.USD(c.Config.Budget.MaxUSDPerHour),
	}
}

func (c *Controller) plannerPools() []planner.Pool {
	pools := make([]planner.Pool, 0, len(c.Config.Pools))
	for _, p := range c.Config.Pools {
		pool := plannerPool(p)
		if pool.External {
			pools = append(pools, pool)
			continue
		}
		pool.Jobs = c.queues.pools[p.Name]
		if dead := c.queues.deadLetters[p.Name]; dead != nil {
			pool.DeadLetters = dead
		}
		pools = append(pools, pool)
	}
	return pools
}

// plannerPool is a pool as the planner knows it, without its queues.
func plannerPool(p config.Pool) planner.Pool {
	pool := planner.Pool{Name: p.Name, TaskDefinition: p.TaskDefinition, Slots: p.Slots, External: p.Source == config.SourceExternal}
	for _, x := range p.Capacity {
		pool.Providers = append(pool.Providers, x.Provider)
	}
	return pool
}

func (c *Controller) scalerPools() []scaler.Pool {
	pools := make([]scaler.Pool, 0, len(c.Config.Pools))
	for _, p := range c.Config.Pools {
		capacity := make([]scaler.Capacity, len(p.Capacity))
		for i, x := range p.Capacity {
			capacity[i] = scaler.Capacity{Provider: x.Provider, Min: x.Min, Max: x.Max}
		}
		pools = append(pools, scaler.Pool{
			Name: p.Name, Cluster: p.Cluster, Family: p.TaskDefinition, Subnets: p.Subnets, SecurityGroups: p.SecurityGroups,
			Capacity: capacity, Min: p.Min, Max: p.Max, Slots: p.Slots, Priority: p.Priority, Within: p.Sizing.Within,
			IdleTimeout: p.IdleTimeout,
			Environment: map[string]string{
				"SPATE_POOL": p.Name, "SPATE_QUEUE_URL": c.queues.pools[p.Name].URL(), "SPATE_EVENTS_QUEUE_URL": c.queues.events.URL(),
				"SPATE_BUCKET": c.Config.Bucket, "SPATE_SLOTS": strconv.Itoa(p.Slots), "SPATE_IDLE_TIMEOUT": p.IdleTimeout.String(),
				"SPATE_VISIBILITY_TIMEOUT": p.VisibilityTimeout.String(), "SPATE_RETENTION": c.Config.Cache.Retention.String(),
				"SPATE_SOURCE": p.Source,
			},
		})
	}
	return pools
}

// taskEvents is the queue of state-change events, or nil.
func (c *Controller) taskEvents() scaler.EventQueue {
	if c.queues.taskEvents == nil {
		return nil
	}
	return c.queues.taskEvents
}

// depths reads the queues that other producers fill.
func (c *Controller) depths(wake func(), registry prometheus.Registerer) (*scaler.Depths, error) {
	queues := map[string]scaler.DepthQueue{}
	for _, p := range c.Config.Pools {
		if p.Source == config.SourceExternal {
			queues[p.Name] = c.queues.pools[p.Name]
		}
	}
	return scaler.NewDepths(scaler.DepthsOptions{Queues: queues, Grew: wake, Log: c.Log.With().Str("loop", "depths").Logger(), Registerer: registry})
}
