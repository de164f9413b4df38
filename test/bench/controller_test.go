package bench

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"spate/internal/awsclient"
	"spate/internal/config"
	"spate/internal/provision"
	"spate/internal/table"
	"spate/planner"
	"spate/sandbox"
	"spate/sandbox/ecs"
)

var (
	outstanding  = flag.Int("outstanding", 0, "jobs on the queue in BenchmarkController, which is left out without it; a million take minutes and gigabytes")
	idleWorkers  = flag.Int("running", 10_000, "tasks that run in BenchmarkController")
	controllerAt = struct{ prepared, rest, watched time.Duration }{20 * time.Minute, 90 * time.Second, 30 * time.Second}
)

// BenchmarkController measures `spate serve`, the program itself: what it has in memory, and takes of a processor, while
// tasks run and jobs are on the queue of which none ends. The sandbox is in the benchmark's process, and its tasks do nothing.
func BenchmarkController(b *testing.B) {
	if *outstanding == 0 {
		b.Skip("left out: it takes minutes and gigabytes; -outstanding 1000000 runs it")
	}
	for b.Loop() {
		serve := startController(b)
		look := time.NewTicker(time.Second)
		defer look.Stop()
		rest := time.After(controllerAt.rest) // until jobs have been silent for so long that they are looked for
		for waiting := true; waiting; {
			select {
			case <-rest:
				waiting = false
			case <-look.C:
				serve.mustRun(b)
			}
		}
		var most residence
		before, began := serve.cpuTime(b), time.Now()
		for time.Since(began) < controllerAt.watched {
			<-look.C
			most = most.or(serve.residence(b))
		}
		b.ReportMetric(100*(serve.cpuTime(b)-before).Seconds()/time.Since(began).Seconds(), "%-of-a-core")
		b.ReportMetric(float64(most.all)/1e6, "VmRSS-MB")
		b.ReportMetric(float64(most.own)/1e6, "RssAnon-MB")
		b.ReportMetric(float64(most.file)/1e6, "RssFile-MB")
		b.ReportMetric(float64(most.peak)/1e6, "VmHWM-MB")
	}
	b.ReportMetric(0, "ns/op") // all of it is waiting
}

// startController starts a controller, has it plan a run and launch workers, and returns when all jobs are on the queue and
// all tasks run.
func startController(b *testing.B) *serving {
	b.Helper()
	dir := b.TempDir()
	program := filepath.Join(dir, "spate")
	build := exec.Command("go", "build", "-o", program, "spate/cmd/spate")
	build.Stderr = os.Stderr
	must(b, build.Run())

	account := sandbox.Instant()
	account.ECS.OnDemand = ecs.Provider{Launches: ecs.Rate{Burst: 1000, PerSecond: 200}, VCPUs: 16 * float64(*idleWorkers)}
	account.ECS.Addresses, account.ECS.Interfaces = *idleWorkers, *idleWorkers
	account.ECS.RunTaskCalls, account.ECS.ChangeCalls = ecs.Rate{Burst: 100, PerSecond: 100}, ecs.Rate{Burst: 100, PerSecond: 100}
	tasks := new(idlers)
	s, err := sandbox.New(sandbox.Options{Runtime: tasks, Account: &account, Log: zerolog.Nop()})
	must(b, err)
	run(b, s.Run)

	configFile, jobsFile, runFile := filepath.Join(dir, "spate.yaml"), filepath.Join(dir, "jobs.jsonl"), filepath.Join(dir, "run.yaml")
	settings := fmt.Sprintf(`environment: bench
tables: {runs: spate-runs, outputs: spate-outputs}
bucket: spate-data
redis: {url: %q}
queues: {submissions: spate-submissions, events: spate-events, outputs: spate-outputs-created}
http: {listen: "127.0.0.1:0"}
tasks: {"true": {command: ["true"]}}
pools:
  - {name: work, queue: work, cluster: hpc, task_definition: work, subnets: [subnet-a], capacity: [{provider: FARGATE, max: %[2]d}], max: %[2]d}
`, s.RedisURL(), *idleWorkers)
	must(b, os.WriteFile(configFile, []byte(settings), 0o600))
	must(b, os.WriteFile(runFile, []byte("name: bench\npool: work\njobs_from: jobs.jsonl\n"), 0o600))
	var jobs strings.Builder
	for i := range *outstanding {
		fmt.Fprintf(&jobs, `{"id":"job-%07d","task":"true","params":{"n":%d}}`+"\n", i, i)
	}
	must(b, os.WriteFile(jobsFile, []byte(jobs.String()), 0o600))
	cfg, err := config.Load(configFile, nil)
	must(b, err)
	clients := awsclient.Local(s.Endpoint())
	must(b, provision.Create(b.Context(), clients, cfg, provision.Image{Name: "bench@" + digest, Command: []string{"spate", "worker"}, CPU: "X86_64"}))

	environment := append(os.Environ(), "AWS_ENDPOINT_URL="+s.Endpoint(), "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x",
		"SPATE_CONFIG="+configFile)
	serve := startServing(b, program, environment)
	submit := exec.Command(program, "submit", runFile)
	submit.Env = environment
	if said, err := submit.CombinedOutput(); err != nil {
		b.Fatalf("submit: %v\n%s", err, said)
	}
	records := table.New(clients.DynamoDB, cfg.Tables.Runs)
	look, late := time.NewTicker(time.Second), time.After(controllerAt.prepared)
	defer look.Stop()
	for queued := 0; queued < *outstanding || int(tasks.running.Load()) < *idleWorkers; {
		select {
		case <-late:
			b.Fatalf("after %s %d jobs are on the queue and %d tasks run", controllerAt.prepared, queued, tasks.running.Load())
		case <-look.C:
		}
		serve.mustRun(b)
		runs, err := planner.ReadActive(b.Context(), records)
		must(b, err)
		if len(runs) == 1 {
			queued = runs[0].Progress.Queued
		}
	}
	return serve
}

// idlers is a runtime whose tasks do nothing until they are stopped.
type idlers struct{ running atomic.Int64 }

func (i *idlers) Start(context.Context, ecs.TaskSpec) (ecs.Process, error) {
	i.running.Add(1)
	return &idler{stopped: make(chan struct{})}, nil
}

// serving is a controller's process.
type serving struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
}

func startServing(b *testing.B, program string, environment []string) *serving {
	b.Helper()
	s := &serving{cmd: exec.Command(program, "serve"), log: filepath.Join(b.TempDir(), "serve.log"), ended: make(chan struct{})}
	log, err := os.Create(s.log)
	must(b, err)
	defer log.Close()
	s.cmd.Env, s.cmd.Stderr = environment, log
	must(b, s.cmd.Start())
	go func() {
		_ = s.cmd.Wait() // its log tells
		close(s.ended)
	}()
	b.Cleanup(func() {
		s.mustRun(b)
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		<-s.ended
	})
	return s
}

func (s *serving) mustRun(b *testing.B) {
	b.Helper()
	select {
	case <-s.ended:
		log, _ := os.ReadFile(s.log)
		b.Fatalf("the controller ended:\n%s", log)
	default:
	}
}

// cpuTime is what the process has used of all processors so far.
func (s *serving) cpuTime(b *testing.B) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	must(b, err)
	_, after, _ := strings.Cut(string(text), ") ") // the program's name may have spaces
	var user, system int64                         // in hundredths of a second
	_, err = fmt.Sscanf(strings.Join(strings.Fields(after)[11:13], " "), "%d %d", &user, &system)
	must(b, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// residence is what a process has in memory, in bytes: of its own, of files, of both, and the most of both so far.
type residence struct{ own, file, all, peak int64 }

// or is the greater one.
func (r residence) or(o residence) residence {
	if o.all > r.all {
		return o
	}
	return r
}

func (s *serving) residence(b *testing.B) residence {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	must(b, err)
	var r residence
	into := map[string]*int64{"RssAnon": &r.own, "RssFile": &r.file, "VmRSS": &r.all, "VmHWM": &r.peak}
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		if figure := into[name]; figure != nil {
			_, err := fmt.Sscanf(rest, "%d kB", figure)
			must(b, err)
			*figure <<= 10
		}
	}
	if r.all == 0 {
		b.Fatal("the system does not tell what the controller has in memory")
	}
	return r
}
