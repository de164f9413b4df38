package bench

import (
	"context"
	"flag"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"spate/internal/objects"
	"spate/internal/queue"
	"spate/sandbox"
	"spate/sandbox/ecs"
	"spate/worker"
)

// fleetSize is small for the ordinary tests; 3,000 take half a minute of two cores.
var fleetSize = flag.Int("workers", 500, "workers of TestWorkersLeaveAfterFifteenIdleMinutes")

// TestWorkersLeaveAfterFifteenIdleMinutes runs workers as they are, each with an SQS client of its own, as
// functions in virtual time: they poll an empty queue for their idle timeout, and leave. How long that takes in earnest,
// and what a worker weighs, it logs for docs/benchmarks.md.
func TestWorkersLeaveAfterFifteenIdleMinutes(t *testing.T) {
	workers := *fleetSize
	if testing.Short() {
		workers = min(workers, 100)
	}
	dir, begin, before := t.TempDir(), time.Now(), cpuTime(t)
	var perWorker uint64
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, workers, dir)
		before := memory()
		f.launch(t, workers)
		time.Sleep(10 * time.Minute)
		perWorker = (memory() - before) / uint64(workers)
		time.Sleep(3 * time.Minute)
		if n := f.running(t); n != workers {
			t.Errorf("%d workers after 13 minutes", n)
		}
		time.Sleep(4 * time.Minute) // the idle timeout is spread by a tenth
		synctest.Wait()
		if n := f.running(t); n != 0 || f.idle.Load() != int64(workers) {
			t.Errorf("%d workers after 17 minutes; %d of %d left for being idle", n, f.idle.Load(), workers)
		}
	})
	t.Logf("%d workers: %s for 17 virtual minutes, %s of processor time, %d KiB a worker",
		workers, time.Since(begin).Round(100*time.Millisecond), (cpuTime(t) - before).Round(100*time.Millisecond), perWorker>>10)
}

// memory is what lives on the heap and on stacks, in bytes.
func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// fleet is a sandbox in process, on an account that launches all at once, whose tasks are workers.
type fleet struct {
	box  *sandbox.Sandbox
	ecs  *awsecs.Client
	idle atomic.Int64 // workers that left because they had nothing to do
}

func newFleet(t *testing.T, workers int, dir string) *fleet {
	t.Helper()
	account := sandbox.Instant()
	at := ecs.Rate{Burst: float64(workers)}
	account.ECS.OnDemand.Launches, account.ECS.ChangeCalls, account.ECS.RunTaskCalls = at, at, at
	tasks := &ecs.FunctionRuntime{}
	box, err := sandbox.New(sandbox.Options{InProcess: true, Seed: 1, Account: &account, Runtime: tasks, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	config := func(transport http.RoundTripper) aws.Config {
		return aws.Config{
			Region: "us-east-1", BaseEndpoint: aws.String(box.Endpoint()), HTTPClient: &http.Client{Transport: transport},
			Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
		}
	}
	f := &fleet{box: box, ecs: awsecs.NewFromConfig(config(box.Transport()))}
	jobs, err := awssqs.NewFromConfig(config(box.Transport())).CreateQueue(t.Context(), &awssqs.CreateQueueInput{QueueName: aws.String("jobs")})
	if err != nil {
		t.Fatal(err)
	}
	tasks.Transport = box.Transport()
	tasks.Run = func(ctx context.Context, task ecs.FunctionTask) int {
		q := queue.At(awssqs.NewFromConfig(config(task.Transport)), *jobs.QueueUrl)
		store := objects.New(nil, "spate-data")
		w, err := worker.New(worker.Options{
			Jobs: q, Events: q, Objects: store, Inputs: func(string) worker.ObjectReader { return store },
			Identity: worker.Identity{TaskARN: task.ID, Image: digest},
			Slots:    1, IdleTimeout: 15 * time.Minute, Visibility: time.Minute, Retention: 30 * day, StopGrace: time.Second,
			WorkDir: dir, Log: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
		})
		if err != nil {
			t.Error(err)
			return 1
		}
		reason, err := w.Run(ctx)
		if err != nil {
			t.Error(err)
			return 1
		}
		if reason == worker.ReasonIdle {
			f.idle.Add(1)
		}
		return 0
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- box.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f *fleet) launch(t *testing.T, workers int) {
	t.Helper()
	if _, err := f.ecs.CreateCluster(t.Context(), &awsecs.CreateClusterInput{ClusterName: aws.String("hpc")}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ecs.RegisterTaskDefinition(t.Context(), &awsecs.RegisterTaskDefinitionInput{
		Family: aws.String("worker"), Cpu: aws.String("1024"), Memory: aws.String("2048"),
		ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("main"), Image: aws.String("worker@" + digest)}},
	}); err != nil {
		t.Fatal(err)
	}
	for launched := 0; launched < workers; {
		count := min(10, workers-launched)
		out, err := f.ecs.RunTask(t.Context(), &awsecs.RunTaskInput{
			Cluster: aws.String("hpc"), TaskDefinition: aws.String("worker"), LaunchType: types.LaunchTypeFargate, Count: aws.Int32(int32(count)),
		})
		if err != nil {
			t.Fatal(err)
		}
		launched += len(out.Tasks)
	}
}

// running is how many tasks run.
func (f *fleet) running(t *testing.T) int {
	t.Helper()
	state, ok := f.box.State().ECS.(ecs.State)
	if !ok {
		t.Fatal("the state of ECS is of another type")
	}
	return state.Tasks["RUNNING"]
}
