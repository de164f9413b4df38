package scaler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// ECS is what the scaler asks of ECS. Calls may overlap. RunTask must not be retried below it: errors are classified
// and paced here, and a request that may have had its effect is only repeated whole.
type ECS interface {
	RunTask(ctx context.Context, in *ecs.RunTaskInput, options ...func(*ecs.Options)) (*ecs.RunTaskOutput, error)
	ListTasks(ctx context.Context, in *ecs.ListTasksInput, options ...func(*ecs.Options)) (*ecs.ListTasksOutput, error)
	DescribeTasks(ctx context.Context, in *ecs.DescribeTasksInput, options ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error)
	StopTask(ctx context.Context, in *ecs.StopTaskInput, options ...func(*ecs.Options)) (*ecs.StopTaskOutput, error)
	DescribeClusters(ctx context.Context, in *ecs.DescribeClustersInput, options ...func(*ecs.Options)) (*ecs.DescribeClustersOutput, error)
}

// Options of a scaler, or of an engine. All are required that are not said to be optional.
type Options struct {
	ECS     ECS     // an engine has hands instead
	Journal Journal // as before
	Term    Term
	// Demand says how much work a pool has. It must not block: it is called each tick by the loop.
	Demand func(pool string) Demand
	Pools  []Pool
	// Account bounds what all pools take together. Optional.
	Account Account
	// Levers say what people want of pools. Optional: without them nobody wants anything.
	Levers Levers
	// Events tell of changes of tasks as they happen. Optional; a nil one means that there is no such queue.
	Events EventQueue
	// StaleAfter is how old an observation may be; default one minute.
	StaleAfter time.Duration
	// LaunchRate is the account's launch rate of each provider; default the documented 100, then 20 a second.
	LaunchRate Rate
	// Wake makes a scaler's tick come at once; it is never closed. Optional.
	Wake <-chan struct{}
	Log  zerolog.Logger
	// Registerer takes the metrics. Optional.
	Registerer prometheus.Registerer
}

// Pool is one pool of workers. Its task definition family is its own: every task of it counts as a worker.
type Pool struct {
	Name           string
	Cluster        string
	Family         string // of the task definition
	Subnets        []string
	SecurityGroups []string
	Capacity       []Capacity // in order of preference
	Min, Max       int        // workers
	Slots          int        // jobs at a time in one worker
	Priority       int        // the higher launches first
	// Within is how long after its submission a run's work should be done; 0: as soon as possible.
	Within time.Duration
	// IdleTimeout is how long a worker waits for a job before it leaves; 0: not known. One that leaves much sooner is none.
	IdleTimeout time.Duration
	// Environment is handed to the workers' container.
	Environment map[string]string
}

func (p Pool) policy(staleAfter time.Duration) PoolPolicy {
	return PoolPolicy{
		Name: p.Name, Min: p.Min, Max: p.Max, Slots: p.Slots, Priority: p.Priority, Capacity: p.Capacity, Within: p.Within,
		StaleAfter: staleAfter,
	}
}

func (p Pool) validate() error {
	if p.Name == "" || p.Cluster == "" || p.Family == "" || len(p.Subnets) == 0 || len(p.Capacity) == 0 {
		return errors.New("name, cluster, family, subnets and capacity are required")
	}
	if p.Slots < 1 || p.Min < 0 || p.Max < p.Min || p.Max < 1 {
		return fmt.Errorf("slots %d, min %d, max %d: slots and max must be at least 1, and min from 0 to max", p.Slots, p.Min, p.Max)
	}
	seen := map[string]bool{}
	for _, c := range p.Capacity {
		if c.Provider == "" || c.Max < 1 || c.Min < 0 || c.Min > c.Max || seen[c.Provider] {
			return fmt.Errorf("capacity %q: a provider is named once, with a maximum of at least 1 and a minimum up to it", c.Provider)
		}
		seen[c.Provider] = true
	}
	length, err := overridesLength(environment(time.Unix(0, 999_999_999), p)) // a time as long as any
	if err != nil {
		return err
	}
	if length > maxOverrides {
		return fmt.Errorf("the environment takes %d characters of a request's overrides, more than %d", length, maxOverrides)
	}
	return nil
}

func (o *Options) validate() error {
	if o.ECS == nil || o.Journal == nil {
		return errors.New("scaler: ECS and journal are required")
	}
	return o.validateEngine()
}

// validateEngine checks what an engine uses.
func (o *Options) validateEngine() error {
	if o.Term == nil || o.Demand == nil {
		return errors.New("scaler: term and demand are required")
	}
	if o.StaleAfter == 0 {
		o.StaleAfter = time.Minute
	}
	if o.LaunchRate == (Rate{}) {
		o.LaunchRate = launchRate()
	}
	if o.StaleAfter < 0 || o.LaunchRate.Burst < maxTasksPerCall || o.LaunchRate.PerSecond <= 0 {
		return fmt.Errorf("scaler: stale after %s and a launch rate of %v make no sense", o.StaleAfter, o.LaunchRate)
	}
	seen := map[string]bool{}
	for _, p := range o.Pools {
		if err := p.validate(); err != nil {
			return fmt.Errorf("scaler: pool %q: %w", p.Name, err)
		}
		if seen[p.Name] {
			return fmt.Errorf("scaler: pool %q is there twice", p.Name)
		}
		seen[p.Name] = true
	}
	return nil
}
