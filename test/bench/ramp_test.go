package bench

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/rs/zerolog"

	"spate/internal/awsclient"
	"spate/internal/lease"
	"spate/internal/table"
	"spate/sandbox"
	"spate/sandbox/ecs"
	"spate/sandbox/fault"
	"spate/scaler"
)

// rampTasks is small for the ordinary tests; 3,000 take half a minute of two cores.
var rampTasks = flag.Int("tasks", 600, "tasks of TestRamp: 600 or 3000")

// rampCase is an account, or what goes wrong in it, and how well a ramp must go there.
type rampCase struct {
	name      string
	providers []string
	rate      float64       // tasks a second of each provider, after 100 at once
	after     time.Duration // then the rate is changed to then; 0: never
	then      float64
	faults    []fault.Rule
	never     float64 // share of tasks that never start
	spotRoom  int     // tasks that Spot has room for, where a subnet is small, too; 0: no limit

	// Bounds, of a ramp to 3,000 and of the short one to 600: the ratio to the earliest time, and throttled calls.
	ratio, short float64
	share        float64
}

const (
	onDemand = "FARGATE"
	spot     = "FARGATE_SPOT"
)

func rampCases() []rampCase {
	both := []string{spot, onDemand}
	runTask := func(kind fault.Kind, probability float64) fault.Rule {
		return fault.Rule{Service: fault.ECS, Operation: "RunTask", Kind: kind, Probability: probability, Delay: fault.Duration(time.Minute), Seed: 7}
	}
	return []rampCase{
		{name: "On-Demand", providers: both[1:], rate: 20, ratio: 1.02, short: 1.02, share: 0.01},
		{name: "Spot", providers: both[:1], rate: 20, ratio: 1.02, short: 1.02, share: 0.01},
		{name: "both", providers: both, rate: 20, ratio: 1.02, short: 1.05, share: 0.01},
		{name: "5/s", providers: both[1:], rate: 5, ratio: 1.03, short: 1.1, share: 0.03},
		{name: "100/s", providers: both[1:], rate: 100, ratio: 1.15, short: 2, share: 0.05},
		{name: "20/s, after 15 s 5/s", providers: both[1:], rate: 20, after: 15 * time.Second, then: 5, ratio: 1.05, short: 1.2, share: 0.03},
		{name: "5/s, after 15 s 20/s", providers: both[1:], rate: 5, after: 15 * time.Second, then: 20, ratio: 1.1, short: 1.4, share: 0.05},
		{name: "30 % throttled by chance", providers: both[1:], rate: 20, faults: []fault.Rule{runTask(fault.Throttle, 0.3)}, ratio: 1.3, short: 1.6, share: 0.6},
		{
			name: "5 % without an answer", providers: both[1:], rate: 20, ratio: 1.15, short: 1.6, share: 0.02,
			faults: []fault.Rule{runTask(fault.Delay, 0.025), runTask(fault.Drop, 0.025)},
		},
		{name: "room for 200 on Spot", providers: both, rate: 20, spotRoom: 200, ratio: 1.03, short: 1.1, share: 0.02},
		{name: "1 % never start", providers: both[1:], rate: 20, never: 0.01, ratio: 1.02, short: 1.02, share: 0.01},
	}
}

// floor is when so many tasks can have been accepted at the earliest, by the account's figures alone.
func (c rampCase) floor(tasks int) time.Duration {
	if c.spotRoom > 0 {
		return time.Duration(float64(tasks-c.spotRoom-100) / c.rate * float64(time.Second))
	}
	left := float64(tasks - 100*len(c.providers))
	n := float64(len(c.providers))
	if first := c.after.Seconds() * c.rate * n; c.after > 0 && first < left {
		return c.after + time.Duration((left-first)/(c.then*n)*float64(time.Second))
	}
	return time.Duration(left / (c.rate * n) * float64(time.Second))
}

// TestRamp launches tasks with the scaler as it is, SDK clients and all, on the sandbox's account in virtual time,
// and prints how long that took, as a ratio to the earliest possible.
func TestRamp(t *testing.T) {
	tasks := *rampTasks
	var report strings.Builder
	fmt.Fprintf(&report, "%-28s %9s %9s %7s %11s %9s\n", "account", "accepted", "earliest", "ratio", "throttled", "launched")
	for _, c := range rampCases() {
		t.Run(c.name, func(t *testing.T) {
			var r rampResult
			synctest.Test(t, func(t *testing.T) { r = c.run(t, tasks) })
			floor := c.floor(tasks)
			ratio, share := r.took.Seconds()/floor.Seconds(), float64(r.throttled)/float64(r.calls)
			fmt.Fprintf(&report, "%-28s %7.1f s %7.1f s %7.3f %3d of %4d %9d\n", c.name, r.took.Seconds(), floor.Seconds(), ratio, r.throttled, r.calls, r.launched)
			bound, most := c.ratio, c.share
			if tasks < 3000 {
				bound, most = c.short, c.share+0.15 // finding a limit out takes as many throttled calls in a short ramp
			}
			if ratio > bound || ratio < 0.97 || share > most {
				t.Errorf("accepted after %s: %.3f of the earliest possible, want at most %.2f; %.2f %% throttled, want at most %.0f %%",
					r.took, ratio, bound, 100*share, 100*most)
			}
			if over := r.launched - tasks; over < 0 || (c.never == 0 && over > 0) || over > tasks/20 {
				t.Errorf("%d launched for %d", r.launched, tasks)
			}
		})
	}
	t.Logf("%d tasks\n%s", tasks, report.String())
}

type rampResult struct {
	took             time.Duration // from the first accepted task to the last one wanted
	calls, throttled int           // of RunTask
	launched         int           // tasks, a while later
}

func (c rampCase) run(t *testing.T, tasks int) rampResult {
	account := sandbox.Usual()
	account.ECS.NeverStart = c.never
	limit := func(rate float64) {
		account.ECS.OnDemand.Launches.PerSecond, account.ECS.Spot.Launches.PerSecond = rate, rate
	}
	limit(c.rate)
	if c.spotRoom > 0 {
		account.ECS.SubnetAddresses = map[string]int{"subnet-a": 150}
		account.ECS.Spot.Capacity = map[string]int{"subnet-a": c.spotRoom / 2, "subnet-b": c.spotRoom / 2, "subnet-c": 0}
	}
	box, err := sandbox.New(sandbox.Options{
		InProcess: true, Seed: 1, Account: &account, Log: zerolog.Nop(),
		Runtime: &ecs.FunctionRuntime{Run: func(ctx context.Context, _ ecs.FunctionTask) int {
			<-ctx.Done()
			return 143
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	background(t, "sandbox", box.Run)
	slow := fault.Rule{Service: fault.ECS, Operation: "RunTask", Kind: fault.Delay, Delay: fault.Duration(100 * time.Millisecond)}
	for _, rule := range append([]fault.Rule{slow}, c.faults...) {
		if _, err := box.Faults().Add(rule); err != nil {
			t.Fatal(err)
		}
	}
	clients := awsclient.FromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(box.Endpoint()), HTTPClient: &http.Client{Transport: box.Transport()},
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
	watched := &watchedECS{ECS: clients.ECS, wanted: tasks, done: make(chan struct{})}
	background(t, "scaler", func(ctx context.Context) error { return c.scale(ctx, clients, watched, tasks) })
	if c.after > 0 {
		watched.first(t)
		time.Sleep(c.after)
		limit(c.then)
		if err := box.SetAccount(account); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-watched.done:
	case <-time.After(time.Hour):
		t.Fatal("not launched within an hour")
	}
	r := watched.result()
	time.Sleep(5 * time.Minute) // for too many to be launched
	state, ok := box.State().ECS.(ecs.State)
	if !ok {
		t.Fatal("the state of ECS is of another type")
	}
	r.launched = state.Launched
	return r
}

// scale runs a scaler for one pool with so many jobs, as the holder of the lease.
func (c rampCase) scale(ctx context.Context, clients *awsclient.Clients, watched *watchedECS, tasks int) error {
	runs := table.New(clients.DynamoDB, "spate-runs")
	if err := prepare(ctx, clients); err != nil {
		return err
	}
	l, err := lease.New(lease.Options{Store: lease.InTable(runs), Name: "controller", Holder: "one", Log: zerolog.Nop()})
	if err != nil {
		return err
	}
	return l.Run(ctx, func(ctx context.Context, held *lease.Held) error {
		pool := scaler.Pool{Name: "rollup", Cluster: "hpc", Family: "spate-rollup", Subnets: []string{"subnet-a", "subnet-b", "subnet-c"}, Slots: 1, Max: tasks}
		for _, provider := range c.providers {
			pool.Capacity = append(pool.Capacity, scaler.Capacity{Provider: provider, Max: tasks})
		}
		s, err := scaler.New(scaler.Options{
			ECS: watched, Journal: scaler.InTable(runs, guard{held, runs}), Term: held, Pools: []scaler.Pool{pool}, Log: zerolog.Nop(),
			Demand: func(string) scaler.Demand {
				return scaler.Demand{Outstanding: tasks, TaskDefinition: "spate-rollup:1", Container: "spate", At: time.Now(), Known: true}
			},
		})
		if err != nil {
			return err
		}
		return s.Run(ctx)
	})
}

type guard struct {
	*lease.Held
	table *table.Table
}

func (g guard) Guard() dynamodbtypes.TransactWriteItem { return g.Held.Guard(g.table) }

// prepare makes the table, the cluster and the task definition.
func prepare(ctx context.Context, clients *awsclient.Clients) error {
	key := func(name string, kind dynamodbtypes.KeyType) dynamodbtypes.KeySchemaElement {
		return dynamodbtypes.KeySchemaElement{AttributeName: &name, KeyType: kind}
	}
	if _, err := clients.DynamoDB.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String("spate-runs"), BillingMode: dynamodbtypes.BillingModePayPerRequest,
		KeySchema: []dynamodbtypes.KeySchemaElement{key("pk", dynamodbtypes.KeyTypeHash), key("sk", dynamodbtypes.KeyTypeRange)},
		AttributeDefinitions: []dynamodbtypes.AttributeDefinition{
			{AttributeName: aws.String("pk"), AttributeType: dynamodbtypes.ScalarAttributeTypeS},
			{AttributeName: aws.String("sk"), AttributeType: dynamodbtypes.ScalarAttributeTypeS},
		},
	}); err != nil {
		return fmt.Errorf("create table: %w", err)
	}
	if _, err := clients.ECS.CreateCluster(ctx, &awsecs.CreateClusterInput{ClusterName: aws.String("hpc")}); err != nil {
		return fmt.Errorf("create cluster: %w", err)
	}
	if _, err := clients.ECS.RegisterTaskDefinition(ctx, &awsecs.RegisterTaskDefinitionInput{
		Family: aws.String("spate-rollup"), Cpu: aws.String("1024"), Memory: aws.String("2048"), NetworkMode: types.NetworkModeAwsvpc,
		RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		ContainerDefinitions:    []types.ContainerDefinition{{Name: aws.String("spate"), Image: aws.String("worker@" + digest), Essential: aws.Bool(true)}},
	}); err != nil {
		return fmt.Errorf("register task definition: %w", err)
	}
	return nil
}

// background runs something until the test ends.
func background(t *testing.T, what string, run func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && ctx.Err() == nil {
			t.Errorf("%s: %v", what, err)
		}
	})
}

// watchedECS is the SDK's client, and counts what RunTask answers.
type watchedECS struct {
	scaler.ECS
	wanted int
	done   chan struct{} // closed when so many tasks are accepted

	mu               sync.Mutex
	begun, ended     time.Time
	accepted         int
	calls, throttled int
}

func (w *watchedECS) RunTask(ctx context.Context, in *awsecs.RunTaskInput, options ...func(*awsecs.Options)) (*awsecs.RunTaskOutput, error) {
	out, err := w.ECS.RunTask(ctx, in, options...)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	switch {
	case awsclient.Classify(err) == awsclient.ClassThrottled:
		w.throttled++
	case err == nil:
		if w.accepted == 0 {
			w.begun = time.Now()
		}
		w.ended = time.Now()
		if before := w.accepted; before < w.wanted {
			w.accepted += len(out.Tasks)
			if w.accepted >= w.wanted {
				close(w.done)
			}
		}
	}
	return out, err
}

// first waits until a task is accepted.
func (w *watchedECS) first(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		w.mu.Lock()
		begun := !w.begun.IsZero()
		w.mu.Unlock()
		if begun {
			return
		}
		if time.Now().After(end) {
			t.Fatal("no task is accepted within a minute")
		}
	}
}

func (w *watchedECS) result() rampResult {
	w.mu.Lock()
	defer w.mu.Unlock()
	return rampResult{took: w.ended.Sub(w.begun), calls: w.calls, throttled: w.throttled}
}
