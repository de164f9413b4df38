package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"spate/controller"
	"spate/examples/reinsurance/portfolio"
	"spate/internal/awsclient"
	"spate/internal/config"
	"spate/internal/objects"
	"spate/internal/price"
	"spate/internal/provision"
	"spate/internal/queue"
	"spate/internal/table"
	"spate/internal/telemetry"
	"spate/internal/watch"
	"spate/job"
	"spate/planner"
	"spate/planner/report"
	"spate/sandbox"
)

// Options of a demo. The zero value of a field takes its default.
type Options struct {
	Jobs    int       // at least so many; default 400
	Workers int       // at most so many; default 8
	Seed    uint64    // of the portfolio; default 1
	Results string    // directory that receives the last run's figures; default "spate-demo"
	Err     io.Writer // progress
	// Keep is called after the runs, with everything still up; the demo ends when it returns. Optional.
	Keep func(ctx context.Context, k Kept) error
}

// Kept is a demo that stays up.
type Kept struct {
	Config  string   // path of its configuration file
	Env     []string // for clients: "NAME=value"
	Dir     string   // of the runs' files and the workers' logs
	Summary *Summary
}

// idleTimeout is short, so that the demo can show its workers leave.
const idleTimeout = 5 * time.Second

// changedShare is the share of the deals that the last run changes.
const changedShare = 0.03

// Summary is what a demo shows.
type Summary struct {
	Runs      []RunSummary   `json:"runs"`
	Workers   WorkerSummary  `json:"workers"`
	Saved     SavedSummary   `json:"saved"`
	Portfolio FiguresSummary `json:"portfolio"`
	Results   string         `json:"results"` // directory
}

// RunSummary is one run's figures.
type RunSummary struct {
	Name     string  `json:"name"`
	Jobs     int     `json:"jobs"`
	Executed int     `json:"executed"`
	Cached   int     `json:"cached"`
	Failed   int     `json:"failed"`
	Seconds  float64 `json:"seconds"` // from submission to outcome, as the user waits

	// Of the cached jobs: what computing them took when they were computed, and what that costs.
	SavedJobSeconds float64 `json:"saved_job_seconds"`

	ChangedDeals     int `json:"changed_deals,omitzero"`
	ExpectedExecuted int `json:"expected_executed,omitzero"` // by the dependency graph alone
}

// SavedSummary is what the cache saved in all runs together: the seconds of the cached jobs, as their outputs' manifests tell
// them, shared by a worker's slots, at the price that such a worker has on AWS.
type SavedSummary struct {
	Jobs             int       `json:"jobs"`
	Estimated        int       `json:"estimated"` // of these jobs, those that were taken for as long as others of their task type
	JobSeconds       float64   `json:"job_seconds"`
	USD              price.USD `json:"usd"`
	Provider         string    `json:"provider"` // of the workers whose price that is: the one that the pool prefers
	WorkerUSDPerHour price.USD `json:"worker_usd_per_hour"`
	Prices           string    `json:"prices"` // where they are from
}

// WorkerSummary counts the workers of all runs, as ECS tells them.
type WorkerSummary struct {
	Launched   int `json:"launched"`
	Peak       int `json:"peak"`
	ExitedIdle int `json:"exited_idle"`
	Failed     int `json:"failed"`
}

// demo is one demo under way.
type demo struct {
	Options
	dir     string
	sandbox *sandbox.Sandbox
	cfg     *config.Config
	clients *awsclient.Clients
	runs    *table.Table
	objects *objects.Store
	submit  *queue.Queue
	catalog job.Catalogue
	summary Summary
	lastRun string
}

// Run runs a demo to its end and leaves nothing behind but the results.
func Run(ctx context.Context, o Options) (_ *Summary, err error) {
	if o.Jobs == 0 {
		o.Jobs = 400
	}
	if o.Workers == 0 {
		o.Workers = 8
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	if o.Results == "" {
		o.Results = "spate-demo"
	}
	if o.Err == nil {
		o.Err = io.Discard
	}
	if o.Jobs < 1 || o.Workers < 1 {
		return nil, errors.New("demo: jobs and workers must be at least 1")
	}
	d := &demo{Options: o}
	if d.dir, err = os.MkdirTemp("", "spate-demo-"); err != nil {
		return nil, fmt.Errorf("make work directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	return d.run(ctx)
}

// run starts everything, plays the runs, and stops everything.
func (d *demo) run(ctx context.Context) (*Summary, error) {
	logFile, err := os.Create(filepath.Join(d.dir, "spate.log"))
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer logFile.Close()
	log := telemetry.Logger(logFile, "info")
	if err := d.open(log); err != nil {
		return nil, err
	}
	// The sandbox ends last: the controller gives its lease back, and workers their messages.
	sandboxCtx, stopSandbox := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSandbox()
	sandboxEnded := make(chan error, 1)
	go func() { sandboxEnded <- d.sandbox.Run(sandboxCtx) }()

	err = d.withController(ctx, log)
	stopSandbox()
	err = errors.Join(err, <-sandboxEnded)
	if err != nil {
		return nil, d.explain(err, logFile.Name())
	}
	return &d.summary, nil
}

// open makes the sandbox and everything in it that the configuration names.
func (d *demo) open(log zerolog.Logger) error {
	bin := filepath.Join(d.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return fmt.Errorf("make directory of programs: %w", err)
	}
	programs, err := FindPrograms()
	if err != nil {
		return err
	}
	if err := programs.Link(bin); err != nil {
		return err
	}
	logs := filepath.Join(d.dir, "workers")
	if err := os.Mkdir(logs, 0o755); err != nil {
		return err
	}
	d.sandbox, err = sandbox.New(sandbox.Options{TaskPath: []string{bin}, LogDir: logs, Log: log.With().Str("loop", "sandbox").Logger()})
	if err != nil {
		return err
	}
	path := filepath.Join(d.dir, "spate.yaml")
	if err := writeConfig(path, configValues{Redis: d.sandbox.RedisURL(), Workers: d.Workers, Idle: idleTimeout.String()}); err != nil {
		return err
	}
	if d.cfg, err = config.Load(path, nil); err != nil {
		return err
	}
	if d.catalog, err = controller.Catalogue(d.cfg); err != nil {
		return err
	}
	d.clients = awsclient.Local(d.sandbox.Endpoint())
	d.runs = table.New(d.clients.DynamoDB, d.cfg.Tables.Runs)
	d.objects = objects.New(d.clients.S3, d.cfg.Bucket)
	return nil
}

// withController plays the runs while a controller works.
func (d *demo) withController(ctx context.Context, log zerolog.Logger) error {
	programs, err := FindPrograms()
	if err != nil {
		return err
	}
	image, err := programs.Image()
	if err != nil {
		return err
	}
	if err := provision.Create(ctx, d.clients, d.cfg, image); err != nil {
		return err
	}
	if d.submit, err = queue.Open(ctx, d.clients.SQS, d.cfg.Queues.Submissions); err != nil {
		return err
	}
	c, err := controller.New(ctx, controller.Options{Config: d.cfg, Clients: d.clients, Holder: "demo", Log: log})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	controllerCtx, stopController := context.WithCancel(ctx)
	group.Go(func() error {
		err := c.Run(controllerCtx)
		if errors.Is(err, context.Canceled) && controllerCtx.Err() != nil {
			return nil //nolint:nilerr // it was told to stop
		}
		return err
	})
	group.Go(func() error {
		defer stopController()
		return d.play(ctx)
	})
	return group.Wait()
}

// explain adds to an error what the log says last.
func (d *demo) explain(err error, logFile string) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	data, readErr := os.ReadFile(logFile)
	if readErr != nil || len(data) == 0 {
		return err
	}
	return fmt.Errorf("%w\nthe log ends with:\n%s", err, data[max(0, len(data)-2000):])
}

// play submits the four runs, one after another.
func (d *demo) play(ctx context.Context) error {
	p, err := portfolio.Generate(portfolio.Options{Deals: portfolio.ForJobs(d.Jobs), Seed: d.Seed})
	if err != nil {
		return err
	}
	p = p.Relabel(map[string]string{"as_of": "2026-11-20"})
	nextDay := p.Relabel(map[string]string{"as_of": "2026-11-21"})
	changed, deals := nextDay.Change(changedShare, d.Seed)
	workers := d.watchWorkers(ctx)
	for _, run := range []struct {
		name      string
		portfolio portfolio.Portfolio
		changed   []string
	}{{"first", p, nil}, {"unchanged", p, nil}, {"next-day", nextDay, nil}, {"changed", changed, deals}} {
		s, err := d.playRun(ctx, run.name, run.portfolio)
		if err != nil {
			return err
		}
		if run.changed != nil {
			s.ChangedDeals, s.ExpectedExecuted = len(run.changed), portfolio.ExpectedExecuted(run.portfolio, run.changed)
		}
		d.summary.Runs = append(d.summary.Runs, s)
	}
	if err := d.fetch(ctx); err != nil {
		return err
	}
	fmt.Fprintln(d.Err, "waiting for the workers to find nothing more to do")
	if d.summary.Workers, err = workers.gone(ctx); err != nil {
		return err
	}
	if d.Keep != nil {
		return d.Keep(ctx, Kept{Config: filepath.Join(d.dir, "spate.yaml"), Env: d.sandbox.Env(), Dir: d.dir, Summary: &d.summary})
	}
	return nil
}

// playRun writes a run's files, submits them as a user would, and watches.
func (d *demo) playRun(ctx context.Context, name string, p portfolio.Portfolio) (RunSummary, error) {
	dir := filepath.Join(d.dir, "runs", name)
	if err := writeRun(dir, p); err != nil {
		return RunSummary{}, err
	}
	started := time.Now()
	prepared, err := planner.Prepare(filepath.Join(dir, "run.yaml"), d.catalog)
	if err != nil {
		return RunSummary{}, err
	}
	defer prepared.Close()
	id, err := planner.Submit(ctx, d.objects, d.submit, "demo-"+name, prepared)
	if err != nil {
		return RunSummary{}, err
	}
	run, err := watch.Run(ctx, id, watch.Options{Table: d.runs, Out: d.Err, Label: name, Every: 50 * time.Millisecond})
	if err != nil {
		return RunSummary{}, err
	}
	if run.State != job.RunSucceeded {
		return RunSummary{}, fmt.Errorf("run %s %s: %s %v", id, run.State, run.Reason, run.Errors)
	}
	took := time.Since(started)
	d.lastRun = id
	saved, err := d.saved(run)
	if err != nil {
		return RunSummary{}, err
	}
	return RunSummary{
		SavedJobSeconds: saved,
		Name:            name, Jobs: run.Progress.Jobs, Executed: run.Progress.Executed,
		Cached: run.Progress.Cached + run.Progress.Reused, Failed: run.Progress.Failed + run.Progress.Blocked,
		Seconds: took.Round(10 * time.Millisecond).Seconds(),
	}, nil
}

// saved adds what the cache saved a run to the summary, and returns its seconds.
func (d *demo) saved(run *planner.Run) (seconds float64, err error) {
	cost, ok := report.CostOfRun(run, nil)
	if !ok {
		return 0, fmt.Errorf("run %s does not tell what it took", run.ID)
	}
	s := &d.summary.Saved
	for _, f := range run.Tasks {
		s.Jobs += f.Cached
	}
	s.Jobs -= cost.SavedUnknown
	s.Estimated += cost.SavedEstimated
	s.JobSeconds += cost.Saved.JobSeconds
	s.USD += cost.Saved.USD
	s.Provider, s.WorkerUSDPerHour, s.Prices = cost.Provider, cost.WorkerUSDPerHour, cost.Prices
	return cost.Saved.JobSeconds, nil
}

func writeRun(dir string, p portfolio.Portfolio) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, write := range map[string]func(io.Writer) error{
		"jobs.jsonl": p.WriteJSONL,
		"run.yaml":   func(w io.Writer) error { return p.WriteRunFile(w, "jobs.jsonl") },
	} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if err := errors.Join(write(f), f.Close()); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}
