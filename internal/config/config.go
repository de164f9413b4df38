package config

import (
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:generate go run ./schemagen -o ../../docs/config.schema.json

// Config is the whole configuration file.
type Config struct {
	// Environment names this installation in logs, such as prod. Optional.
	Environment string `yaml:"environment"`
	// Namespace is part of every job's key, so that installations that share a bucket share no outputs. Lower case
	// letters, digits and dashes, 63 at most.
	Namespace string `yaml:"namespace"`
	// Region is the AWS Region. Left out, the standard AWS environment variables decide.
	Region string `yaml:"region"`
	// Tables names the DynamoDB tables.
	Tables Tables `yaml:"tables" jsonschema:"required"`
	// Bucket is the S3 bucket of inputs, manifests and outputs.
	Bucket string `yaml:"bucket" jsonschema:"required"`
	// Redis holds the view of which outputs exist.
	Redis Redis `yaml:"redis" jsonschema:"required"`
	// Queues names the SQS queues that belong to no pool. All are standard queues.
	Queues Queues `yaml:"queues" jsonschema:"required"`
	// Cache says how long outputs are kept and how quickly they are recorded.
	Cache Cache `yaml:"cache"`
	// HTTP is the API, which also serves metrics.
	HTTP HTTP `yaml:"http"`
	// Budget bounds what all workers together may cost.
	Budget Budget `yaml:"budget"`
	// Account says which quotas of the AWS account and Region are left to the pools. What is not known need not be given:
	// where ECS refuses for a quota, growth is held until it has room.
	Account Account `yaml:"account"`
	// Pools are the sets of workers, each with a queue of its own. At least one.
	Pools []Pool `yaml:"pools" jsonschema:"required,minItems=1"`
	// Tasks is the catalogue: for each name that a job may give as its task, how that job runs. A name is lower case
	// letters, digits and dashes, 63 at most.
	Tasks map[string]Task `yaml:"tasks"`
}

// Tables names the DynamoDB tables.
type Tables struct {
	// Runs is the table of runs, release logs, intents, the lease and controls.
	Runs string `yaml:"runs" jsonschema:"required"`
	// Outputs is the ledger: an item for each output, with its expiry.
	Outputs string `yaml:"outputs" jsonschema:"required"`
}

// Redis says where the view is kept.
type Redis struct {
	// URL is redis://host:port or, with TLS, rediss://host:port, with user:password@ before the host where Redis asks for
	// them.
	URL string `yaml:"url" jsonschema:"required"`
	// Cluster says that the URL is that of a node of a Redis Cluster, or of a serverless offering. It may name more nodes:
	// ?addr=host:port&addr=…
	Cluster bool `yaml:"cluster"`
}

// Queues names the SQS queues that belong to no pool.
type Queues struct {
	// Submissions is where every way to submit a run sends its message.
	Submissions string `yaml:"submissions" jsonschema:"required"`
	// Events is where workers report what became of jobs.
	Events string `yaml:"events" jsonschema:"required"`
	// Outputs is where S3 notifies of new output manifests.
	Outputs string `yaml:"outputs" jsonschema:"required"`
	// TaskEvents is the queue to which an EventBridge rule sends ECS task state changes of the pools' clusters. Left
	// out, tasks are only looked at from time to time.
	TaskEvents string `yaml:"task_events"`
}

// The values of Pool.Source.
const (
	SourcePlanner  = "planner"
	SourceExternal = "external"
)

// Cache says how long outputs are kept and how quickly they are recorded.
type Cache struct {
	// Retention is how long an output counts as existing after it was written; at least 1s. S3's lifecycle must keep the files
	// four days longer.
	Retention time.Duration `yaml:"retention"`
	// LedgerWritesPerSecond bounds how fast outputs are written to the ledger, at least 1. A new on-demand DynamoDB
	// table takes 4,000 writes a second.
	LedgerWritesPerSecond int `yaml:"ledger_writes_per_second" jsonschema:"minimum=1"`
	// ExpectedOutputs is for how many outputs Redis is to have memory, which is checked when a controller starts. 0 is half as
	// many again as there are.
	ExpectedOutputs int64 `yaml:"expected_outputs" jsonschema:"minimum=0"`
	// VerifyHits is the share of a run's cached outputs that is looked for in S3 before the run relies on them: at least 10
	// and at most 1,000 of them, all when it is 1, none when it is 0. If one is missing, all are looked for. At the end of a run
	// all are in any case.
	VerifyHits float64 `yaml:"verify_hits" jsonschema:"minimum=0,maximum=1"`
	// RefreshObjectsPerSecond bounds how fast objects of outputs in use are copied in place, which keeps them from expiring
	// together. 0 lets them expire. A copy costs $0.000005 (Amazon S3 pricing), a day at 100 a second at most $43.
	RefreshObjectsPerSecond int `yaml:"refresh_objects_per_second" jsonschema:"minimum=0"`
}

// HTTP is where the API listens.
type HTTP struct {
	// Listen is host:port; port 0 takes a free one. An empty string, written out as "", serves nothing.
	Listen string `yaml:"listen"`
}

// Budget bounds what all workers together may cost.
type Budget struct {
	// MaxUSDPerHour is what the workers of all pools may cost an hour at list prices: nothing is launched that would cost
	// more. 0 is no bound. Workers that run are never stopped for it.
	MaxUSDPerHour float64 `yaml:"max_usd_per_hour" jsonschema:"minimum=0"`
}

// Account is quotas of the AWS account in the Region, as far as all pools together may use them. 0 is not known.
type Account struct {
	// FargateVCPUs is how many vCPUs of Fargate On-Demand there may be at once (quota L-3032A538).
	FargateVCPUs float64 `yaml:"fargate_vcpus" jsonschema:"minimum=0"`
	// FargateSpotVCPUs is the same of Fargate Spot (quota L-36FBB829).
	FargateSpotVCPUs float64 `yaml:"fargate_spot_vcpus" jsonschema:"minimum=0"`
	// NetworkInterfaces is how many workers may have a network interface at once, which each takes one of; by default
	// AWS allows 5,000 in a Region.
	NetworkInterfaces int `yaml:"network_interfaces" jsonschema:"minimum=0"`
}

// The values of Sizing.Mode.
const (
	SizingASAP     = "asap"
	SizingDeadline = "deadline"
)

// Sizing says how soon a pool's work should be done.
type Sizing struct {
	// Mode is asap, a worker for every slots jobs at once, or deadline, as many workers as bring each run to its end in
	// time.
	Mode string `yaml:"mode" jsonschema:"enum=asap,enum=deadline"`
	// Within is how long after its submission a run should be done, at least 10m; for deadline, which requires it.
	Within time.Duration `yaml:"within"`
}

// Pool is a set of like workers that receive jobs from one queue.
type Pool struct {
	// Name of the pool, which runs refer to: lower case letters, digits and dashes, 63 at most.
	Name string `yaml:"name" jsonschema:"required"`
	// Queue is the SQS queue of the pool's jobs. No two pools share one.
	Queue string `yaml:"queue" jsonschema:"required"`
	// Source says who fills the queue: planner, which releases the jobs of runs, or external, other producers. A pool of
	// external producers is as large as its queue is deep, and takes no runs.
	Source string `yaml:"source" jsonschema:"enum=planner,enum=external"`
	// Cluster is the ECS cluster in which the workers run: its name or ARN.
	Cluster string `yaml:"cluster" jsonschema:"required"`
	// TaskDefinition is the family of the workers' ECS task definition, without a revision: each run is pinned to
	// the newest one.
	TaskDefinition string `yaml:"task_definition" jsonschema:"required"`
	// Subnets in which workers get their addresses. At least one.
	Subnets []string `yaml:"subnets" jsonschema:"required,minItems=1"`
	// SecurityGroups of the workers; left out, the VPC's default group applies.
	SecurityGroups []string `yaml:"security_groups"`
	// Capacity is where workers may be launched, most preferred first. At least one, and enough for max together.
	Capacity []Capacity `yaml:"capacity" jsonschema:"required,minItems=1"`
	// Min is how many workers there are even without work, 0 to max.
	Min int `yaml:"min" jsonschema:"minimum=0"`
	// Max is how many workers there are at most, at least 1. Times slots it may not exceed 100,000: an SQS queue lets about
	// 120,000 messages be in flight.
	Max int `yaml:"max" jsonschema:"required,minimum=1"`
	// Slots is how many jobs one worker runs at a time, at least 1.
	Slots int `yaml:"slots" jsonschema:"minimum=1"`
	// IdleTimeout is how long a worker waits for another job before it leaves. More than 0; where other producers feed the
	// pool, 3m at least.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
	// VisibilityTimeout is how long a received job stays hidden from other workers without a heartbeat of its worker:
	// 3s to 12h, in whole seconds.
	VisibilityTimeout time.Duration `yaml:"visibility_timeout"`
	// Priority decides who launches first when launches are scarce: the higher goes first.
	Priority int `yaml:"priority"`
	// Sizing says how soon the pool's work should be done.
	Sizing Sizing `yaml:"sizing"`
}

// Capacity is one source of Fargate tasks for a pool.
type Capacity struct {
	// Provider is FARGATE or FARGATE_SPOT.
	Provider string `yaml:"provider" jsonschema:"required,enum=FARGATE,enum=FARGATE_SPOT"`
	// Min is how many of the workers that are wanted are launched on this provider before any on others, 0 to max: a
	// floor of On-Demand, for example. Where the provider has no room, others get them.
	Min int `yaml:"min" jsonschema:"minimum=0"`
	// Max is how many workers the pool takes from this provider, at least 1.
	Max int `yaml:"max" jsonschema:"required,minimum=1"`
}

// Task says how jobs of one type run.
type Task struct {
	// Command is the program and its arguments. It runs in the job's own work directory.
	Command []string `yaml:"command" jsonschema:"required,minItems=1"`
	// InputDir is where inputs are staged, relative to the work directory.
	InputDir string `yaml:"input_dir"`
	// OutputDirs are the directories, relative to the work directory, whose files are the job's output.
	OutputDirs []string `yaml:"output_dirs"`
	// Timeout is how long one attempt may take: more than 0, and 12h at most, as SQS lets a message stay in flight no
	// longer.
	Timeout time.Duration `yaml:"timeout"`
	// MaxAttempts is how often a job is tried before it counts as failed, at least 1.
	MaxAttempts int `yaml:"max_attempts" jsonschema:"minimum=1"`
	// PermanentExitCodes are never retried: 1 to 255.
	PermanentExitCodes []int `yaml:"permanent_exit_codes"`
	// Deterministic tells whether the same job gives the same output, which may then serve other runs. False makes the
	// run part of the job's key.
	Deterministic *bool `yaml:"deterministic"`
	// Before is a program and its arguments that runs before the command; when it fails, so does the attempt.
	Before []string `yaml:"before"`
	// After is a program and its arguments that runs after the command succeeded.
	After []string `yaml:"after"`
	// OnFailure is a program and its arguments that runs after the command failed.
	OnFailure []string `yaml:"on_failure"`
	// Env holds further environment variables of the command and the hooks. They are part of a job's key.
	Env map[string]string `yaml:"env"`
	// ParamsSchema is the path, relative to this file, of a JSON Schema that each job's params must satisfy.
	ParamsSchema string `yaml:"params_schema"`

	params *jsonschema.Schema
}

// The defaults. A value that the file leaves out, or gives as null, keeps them.

func (c *Config) setDefaults() {
	c.Namespace = "default"
	c.Cache.Retention = 30 * day
	c.Cache.LedgerWritesPerSecond = 2000
	c.Cache.VerifyHits = 0.01
	c.Cache.RefreshObjectsPerSecond = 100
	c.HTTP.Listen = "127.0.0.1:8080"
}

func (p *Pool) setDefaults() {
	p.Source = SourcePlanner
	p.Slots = 1
	p.Sizing.Mode = SizingASAP
	p.IdleTimeout = 15 * time.Minute
	p.VisibilityTimeout = 2 * time.Minute
}

func (t *Task) setDefaults() {
	t.InputDir = "in"
	t.OutputDirs = []string{"out"}
	t.Timeout = time.Hour
	t.MaxAttempts = 3
	deterministic := true
	t.Deterministic = &deterministic
}
