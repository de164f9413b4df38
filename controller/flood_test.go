package controller

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"spate/internal/awsclient"
	"spate/internal/objects"
	"spate/internal/provision"
	"spate/planner"
	"spate/sandbox"
	"spate/sandbox/ecs"
)

// flood is a sandbox in virtual time, in process, on an account with the usual figures, whose workers only sleep; and a
// controller for it, with SDK clients as they are.
type flood struct {
	box        *sandbox.Sandbox
	controller *Controller
}

func newFlood(t *testing.T, capacity string) flood {
	t.Helper()
	return newFloodOf(t, sandbox.Usual(), sleeping(), fmt.Sprintf(`
tables: {runs: spate-runs, outputs: spate-outputs}
bucket: spate-data
redis: {url: "redis://127.0.0.1:1"}
queues: {submissions: spate-submissions, events: spate-events, outputs: spate-outputs-created}
pools:
  - {name: rollup, queue: spate-rollup, cluster: hpc, task_definition: spate-rollup, subnets: [a, b, c], max: 3000, capacity: [%s]}
tasks: {price: {command: ["true"]}}
`, capacity))
}

// sleeping are workers that do nothing until they are stopped.
func sleeping() *ecs.FunctionRuntime {
	return &ecs.FunctionRuntime{Run: func(ctx context.Context, _ ecs.FunctionTask) int {
		<-ctx.Done()
		return 143
	}}
}

// newFloodOf is a flood with a configuration, an account and workers of its own.
func newFloodOf(t *testing.T, account sandbox.Account, workers *ecs.FunctionRuntime, configuration string) flood {
	t.Helper()
	box, err := sandbox.New(sandbox.Options{
		InProcess: true, Seed: 1, Account: &account, Log: zerolog.Nop(), Runtime: workers,
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, "sandbox", box.Run)
	clients := awsclient.FromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(box.Endpoint()), HTTPClient: &http.Client{Transport: box.Transport()},
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
	cfg := parse(t, configuration)
	cfg.HTTP.Listen = "" // a bubble of virtual time has no ports
	if err := provision.Create(t.Context(), clients, cfg, provision.Image{Name: "spate@" + testDigest, Command: []string{"spate", "worker"}, CPU: "X86_64"}); err != nil {
		t.Fatal(err)
	}
	c, err := New(t.Context(), Options{Config: cfg, Clients: clients, Holder: "leader", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	c.opened = redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:1", Dialer: func(context.Context, string, string) (net.Conn, error) { return box.DialRedis() },
	})
	run(t, "controller", c.Run)
	return flood{box, c}
}

// run runs something until the test ends.
func run(t *testing.T, what string, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && ctx.Err() == nil {
			t.Errorf("%s: %v", what, err)
		}
	})
}

func (f flood) launched(t *testing.T) int {
	t.Helper()
	state, ok := f.box.State().ECS.(ecs.State)
	if !ok {
		t.Fatal("the state of ECS is of another type")
	}
	return state.Launched
}

// submit submits a run of so many jobs.
func (f flood) submit(t *testing.T, jobs int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run.yaml")
	text := "name: flood\npool: rollup\njobs:\n"
	for i := range jobs {
		text += fmt.Sprintf("  - {id: job-%d, task: price, params: {n: %d}}\n", i, i)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	prepared, err := planner.Prepare(path, f.controller.catalogue)
	if err != nil {
		t.Fatal(err)
	}
	c := f.controller
	if _, err := planner.Submit(t.Context(), objects.New(c.Clients.S3, c.Config.Bucket), c.queues.submissions, "flood", prepared); err != nil {
		t.Fatal(err)
	}
	if err := prepared.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestARunHasItsThreeThousandTasksAsSoonAsTheAccountLetsIt(t *testing.T) {
	for name, tc := range map[string]struct {
		capacity string
		burst    int
		rate     int // a second
	}{
		"On-Demand": {"{provider: FARGATE, max: 3000}", 100, 20},
		"both":      {"{provider: FARGATE_SPOT, max: 3000}, {provider: FARGATE, max: 3000}", 200, 40},
	} {
		t.Run(name, func(t *testing.T) {
			tasks := 3000
			if testing.Short() {
				tasks = 600
			}
			synctest.Test(t, func(t *testing.T) {
				f := newFlood(t, tc.capacity)
				time.Sleep(30 * time.Second) // until the controller leads, and has nothing to do
				f.submit(t, tasks)
				const glance = 50 * time.Millisecond
				for f.launched(t) == 0 {
					time.Sleep(glance)
				}
				first := time.Now()
				for f.launched(t) < tasks {
					if time.Since(first) > 10*time.Minute {
						t.Fatalf("%d tasks launched after ten minutes", f.launched(t))
					}
					time.Sleep(glance)
				}
				took, want := time.Since(first), time.Duration((tasks-tc.burst)/tc.rate)*time.Second
				t.Logf("%d tasks accepted in %s", tasks, took)
				const kept = 500 * time.Millisecond // as the pace leaves a few tokens in a full bucket, a call comes later
				if took < want-want/100 || took > want+want/100+kept {
					t.Errorf("took %s, want %s within 1 %% and %s", took, want, kept)
				}
			})
		})
	}
}
