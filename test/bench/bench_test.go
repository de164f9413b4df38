// Package bench measures what crosses packages: how soon work begins, and what a worker adds to a job. docs/benchmarks.md
// has the figures.
package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"spate/controller"
	"spate/internal/awsclient"
	"spate/internal/config"
	"spate/internal/objects"
	"spate/internal/provision"
	"spate/internal/queue"
	"spate/job"
	"spate/planner"
	"spate/sandbox"
	"spate/sandbox/ecs"
	"spate/worker"
)

const (
	digest = "sha256:5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e"
	day    = 24 * time.Hour

	calm     = 1100 * time.Millisecond
	patience = 30 * time.Second // until something that must happen soon has happened
)

// installation is a sandbox, with what a configuration of some pools names.
type installation struct {
	cfg       *config.Config
	clients   *awsclient.Clients
	catalogue job.Catalogue
}

func install(b *testing.B, pools int, runtime ecs.Runtime) installation {
	b.Helper()
	s, err := sandbox.New(sandbox.Options{Runtime: runtime, Log: zerolog.Nop()})
	must(b, err)
	run(b, s.Run)
	var yaml strings.Builder
	fmt.Fprintf(&yaml, `environment: bench
tables: {runs: spate-runs, outputs: spate-outputs}
bucket: spate-data
redis: {url: %q}
queues: {submissions: spate-submissions, events: spate-events, outputs: spate-outputs-created}
http: {listen: "127.0.0.1:0"}
tasks: {"true": {command: ["true"]}}
pools:
`, s.RedisURL())
	for i := range pools {
		fmt.Fprintf(&yaml, "  - {name: %[1]s, queue: %[1]s, cluster: hpc, task_definition: %[1]s, subnets: [subnet-a], "+
			"capacity: [{provider: FARGATE, max: 1}], max: 1}\n", poolName(i))
	}
	in := installation{clients: awsclient.Local(s.Endpoint())}
	in.cfg, err = config.Parse("spate.yaml", []byte(yaml.String()), nil)
	must(b, err)
	in.catalogue, err = controller.Catalogue(in.cfg)
	must(b, err)
	must(b, provision.Create(b.Context(), in.clients, in.cfg, provision.Image{
		Name: "bench@" + digest, Command: []string{"spate", "worker"}, CPU: "X86_64",
	}))
	return in
}

func poolName(i int) string { return fmt.Sprintf("pool-%d", i) }

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// run runs something until the benchmark ends.
func run(b *testing.B, f func(context.Context) error) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			b.Error(err)
		}
	})
}

// launches is a runtime whose tasks do nothing until they are stopped; it tells when each was started.
type launches chan time.Time

func (l launches) Start(ctx context.Context, _ ecs.TaskSpec) (ecs.Process, error) {
	select {
	case l <- time.Now():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return &idler{stopped: make(chan struct{})}, nil
}

type idler struct {
	once    sync.Once
	stopped chan struct{}
}

func (p *idler) Stop(time.Duration) { p.once.Do(func() { close(p.stopped) }) }

func (p *idler) Wait() ecs.Exit {
	<-p.stopped
	return ecs.Exit{}
}

// BenchmarkSubmitToFirstTask measures the time from a submission's call to the start of the first task that RunTask
// launches for it, once for each of a few pools where nothing runs, at changing moments of the controller's second.
func BenchmarkSubmitToFirstTask(b *testing.B) {
	const pools = 9 // the first is submitted to while the controller starts, and not counted
	started := make(launches, pools)
	var took []time.Duration
	for b.Loop() {
		in := install(b, pools, started)
		c, err := controller.New(b.Context(), controller.Options{Config: in.cfg, Clients: in.clients, Holder: "bench", Log: zerolog.Nop()})
		must(b, err)
		run(b, c.Run)
		submissions, err := queue.Open(b.Context(), in.clients.SQS, in.cfg.Queues.Submissions)
		must(b, err)
		for i := range pools {
			// Right behind a launch the next one waits for the scaler's tick of a second, whoever it is for.
			<-time.After(calm + time.Duration(i)*73*time.Millisecond)
			prepared := in.prepare(b, poolName(i))
			begin := time.Now()
			_, err := planner.Submit(b.Context(), objects.New(in.clients.S3, in.cfg.Bucket), submissions, poolName(i), prepared)
			must(b, err)
			must(b, prepared.Close())
			select {
			case at := <-started:
				if i > 0 {
					took = append(took, at.Sub(begin))
				}
			case <-time.After(patience):
				b.Fatalf("no task for %s within %s", poolName(i), patience)
			}
		}
	}
	slices.Sort(took)
	b.ReportMetric(milliseconds(took[len(took)/2]), "median-ms")
	b.ReportMetric(milliseconds(took[len(took)-1]), "most-ms")
	b.ReportMetric(0, "ns/op") // the controller's start is in it
}

// prepare is a run of one job.
func (in installation) prepare(b *testing.B, pool string) *planner.Prepared {
	b.Helper()
	path := filepath.Join(b.TempDir(), "run.yaml")
	must(b, os.WriteFile(path, []byte("name: bench\npool: "+pool+"\njobs: [{id: a, task: \"true\", params: {pool: "+pool+"}}]\n"), 0o600))
	prepared, err := planner.Prepare(path, in.catalogue)
	must(b, err)
	return prepared
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

// BenchmarkWorkerJob runs jobs whose command is true, one after another, with the sandbox's SQS and S3 over HTTP: each is
// received, looked up, staged, run, published, told of and deleted. exec-ms is what starting true takes by itself; the
// rest is the worker's overhead, and the sandbox's.
func BenchmarkWorkerJob(b *testing.B) {
	const batch = 300
	in := install(b, 1, nil)
	open := func(name string) *queue.Queue {
		q, err := queue.Open(b.Context(), in.clients.SQS, name)
		must(b, err)
		return q
	}
	jobs, store := open(poolName(0)), objects.New(in.clients.S3, in.cfg.Bucket)
	events := toldEvents{open(in.cfg.Queues.Events), make(chan struct{}, batch)}
	w, err := worker.New(worker.Options{
		Jobs: jobs, Events: events, Objects: store, Inputs: func(string) worker.ObjectReader { return store },
		Identity: worker.Identity{TaskARN: "arn:aws:ecs:us-east-1:000000000000:task/hpc/bench", Image: digest},
		Slots:    1, IdleTimeout: time.Hour, Visibility: time.Minute, Retention: 30 * day, StopGrace: time.Second,
		WorkDir: b.TempDir(), Path: os.Getenv("PATH"), Log: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
	})
	must(b, err)
	run(b, func(ctx context.Context) error {
		_, err := w.Run(ctx)
		return err
	})
	var exec, each time.Duration
	ops := 0
	for b.Loop() {
		exec += startTrue(b, batch)
		must(b, jobs.Send(b.Context(), in.messages(b, ops*batch, batch)...))
		events.await(b)
		begin := time.Now()
		for range batch - 1 {
			events.await(b)
		}
		each += time.Since(begin) / (batch - 1)
		ops++
	}
	exec, each = exec/time.Duration(ops), each/time.Duration(ops)
	b.ReportMetric(milliseconds(each), "ms/job")
	b.ReportMetric(milliseconds(exec), "exec-ms")
	b.ReportMetric(milliseconds(each-exec), "overhead-ms")
	b.ReportMetric(0, "ns/op") // of a batch, and of little use
}

// toldEvents tells of each event that the queue has taken.
type toldEvents struct {
	worker.EventQueue
	told chan struct{}
}

func (e toldEvents) Send(ctx context.Context, bodies ...string) error {
	if err := e.EventQueue.Send(ctx, bodies...); err != nil {
		return err
	}
	for range bodies {
		e.told <- struct{}{}
	}
	return nil
}

func (e toldEvents) await(b *testing.B) {
	b.Helper()
	select {
	case <-e.told:
	case <-time.After(patience):
		b.Fatalf("no event within %s", patience)
	}
}

// startTrue is how long one process takes from start to end.
func startTrue(b *testing.B, times int) time.Duration {
	b.Helper()
	begin := time.Now()
	for range times {
		must(b, exec.CommandContext(b.Context(), "true").Run())
	}
	return time.Since(begin) / time.Duration(times)
}

// messages are those of count jobs that differ in a number.
func (in installation) messages(b *testing.B, first, count int) []string {
	b.Helper()
	task := in.catalogue["true"]
	bodies := make([]string, count)
	for i := range bodies {
		doc := job.Document{Spec: job.SpecDocument{
			V: job.DocumentVersion, Namespace: "bench", Image: digest, Platform: "linux/amd64", Task: task.Document(),
			Params: jsontext.Value(fmt.Sprintf(`{"n":%d}`, first+i)),
		}}
		key, err := doc.Key()
		must(b, err)
		canonical, err := doc.Canonical()
		must(b, err)
		body, err := job.Message{
			V: job.MessageVersion, Run: "bench", Job: fmt.Sprintf("job-%d", first+i), Key: key, Document: canonical, Attempt: 1, Timeout: task.Timeout,
		}.Encode()
		must(b, err)
		bodies[i] = string(body)
	}
	return bodies
}
