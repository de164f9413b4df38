package simulate

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
	"github.com/rs/zerolog"

	"spate/sandbox/awsjson"
	"spate/sandbox/ecs"
	"spate/scaler"
)

const (
	poolName    = "pool"
	clusterName = "default"
	container   = "main"
)

// spate launches workers with the scaler's engine, the same that a controller runs: its plan, its pacing, its intents. What
// it asks for is done on the world's account, and its calls take the scenario's latency, each its own.
type spate struct {
	w             *world
	engine        *scaler.Engine
	turn          *event     // when the engine is due
	launch, other *rand.Rand // how long calls of RunTask take, and others
}

// begin lets the engine look around: it has led for a while when the jobs come.
func (x *spate) begin(w *world) error {
	x.w, x.launch, x.other = w, rand.New(rand.NewPCG(w.s.Seed, 3)), rand.New(rand.NewPCG(w.s.Seed, 4))
	var err error
	x.engine, err = scaler.NewEngine(w.now, scaler.Options{
		Term: forever{}, Demand: x.demand, Account: w.s.Limits, Log: zerolog.Nop(),
		Pools: []scaler.Pool{{
			Name: poolName, Cluster: clusterName, Family: family, Subnets: w.s.subnets(), Capacity: w.s.capacity(), Max: w.s.Workers, Slots: w.s.Slots,
			Within: w.s.Within,
		}},
	}, x)
	if err != nil {
		return err
	}
	x.engine.Resume(w.now, poolName, nil, scaler.Status{})
	x.arm()
	return nil
}

func (x *spate) submitted(w *world) error {
	err := x.engine.Tick(w.now)
	x.arm()
	return err
}

func (x *spate) finished(*world) {}

// demand is what the planner would say: it counts what is not done, and knows how long such jobs took lately.
func (x *spate) demand(string) scaler.Demand {
	var runs []scaler.RunWork
	if x.w.outstanding > 0 {
		runs = []scaler.RunWork{{Submitted: x.w.began, Jobs: x.w.outstanding, JobDuration: x.w.lately.mean}}
	}
	return scaler.Demand{
		Runs: runs, Outstanding: x.w.outstanding, TaskDefinition: x.w.definition, Container: container, At: x.w.now, Known: true,
		JobDuration: x.w.lately.mean, Worker: scaler.WorkerSize{VCPU: x.w.s.VCPU, MemoryGB: x.w.s.MemoryGB, Arch: x.w.s.Arch},
	}
}

// arm sets the clock for the engine's next turn.
func (x *spate) arm() {
	x.turn.callOff()
	x.turn = x.w.after(x.engine.Due(x.w.now).Sub(x.w.now), func() {
		if err := x.engine.Turn(x.w.now); err != nil {
			x.w.fail(err)
			return
		}
		x.arm()
	})
}

// answer calls the engine back when the call has taken its time.
func answer[T any](x *spate, random *rand.Rand, done func(time.Time, T, error) error, out T, err error) {
	if refused, ok := errors.AsType[*awsjson.Error](err); ok {
		err = &smithy.GenericAPIError{Code: refused.Code, Message: refused.Message}
	}
	x.w.after(x.w.s.LatencyOf(random), func() {
		if err := done(x.w.now, out, err); err != nil {
			x.w.fail(err)
			return
		}
		x.arm()
	})
}

func (x *spate) RunTask(in *awsecs.RunTaskInput, allowed func(time.Time) bool, done func(time.Time, *awsecs.RunTaskOutput, error) error) {
	if !allowed(x.w.now) {
		answer(x, x.launch, done, nil, scaler.ErrNotSent)
		return
	}
	launched, err := x.w.launch(ecs.Launch{
		TaskDefinition: aws.ToString(in.TaskDefinition), Provider: aws.ToString(in.CapacityProviderStrategy[0].CapacityProvider), Count: int(aws.ToInt32(in.Count)),
		Subnets: in.NetworkConfiguration.AwsvpcConfiguration.Subnets, ClientToken: aws.ToString(in.ClientToken), StartedBy: aws.ToString(in.StartedBy),
	})
	out := &awsecs.RunTaskOutput{}
	for _, arn := range launched.ARNs {
		out.Tasks = append(out.Tasks, types.Task{TaskArn: aws.String(arn)})
	}
	for _, reason := range launched.Failures {
		out.Failures = append(out.Failures, types.Failure{Reason: aws.String(reason)})
	}
	answer(x, x.launch, done, out, err)
}

func (x *spate) ListTasks(in *awsecs.ListTasksInput, done func(time.Time, *awsecs.ListTasksOutput, error) error) {
	start, err := strconv.Atoi(aws.ToString(in.NextToken))
	if err != nil {
		start = 0 // the first page
	}
	arns, next, err := x.w.account.ListTasks(x.w.now, aws.ToString(in.Family), aws.ToString(in.StartedBy), start)
	out := &awsecs.ListTasksOutput{TaskArns: arns}
	if next > 0 {
		out.NextToken = aws.String(strconv.Itoa(next))
	}
	answer(x, x.other, done, out, err)
}

func (x *spate) DescribeTasks(in *awsecs.DescribeTasksInput, done func(time.Time, *awsecs.DescribeTasksOutput, error) error) {
	found, missing, err := x.w.account.DescribeTasks(x.w.now, in.Tasks)
	out := &awsecs.DescribeTasksOutput{}
	for _, t := range found {
		out.Tasks = append(out.Tasks, described(t.State()))
	}
	for _, arn := range missing {
		out.Failures = append(out.Failures, types.Failure{Arn: aws.String(arn), Reason: aws.String("MISSING")})
	}
	answer(x, x.other, done, out, err)
}

func (x *spate) StopTask(in *awsecs.StopTaskInput, done func(time.Time, *awsecs.StopTaskOutput, error) error) {
	t, err := x.w.account.StopTask(x.w.now, aws.ToString(in.Task), aws.ToString(in.Reason))
	out := &awsecs.StopTaskOutput{}
	if err == nil {
		if m := x.w.tasks[t]; m != nil {
			x.w.stop(m)
		}
		task := described(t.State())
		out.Task = &task
	}
	answer(x, x.other, done, out, err)
}

func (x *spate) DescribeClusters(_ *awsecs.DescribeClustersInput, done func(time.Time, *awsecs.DescribeClustersOutput, error) error) {
	running, pending, err := x.w.account.Counts(x.w.now)
	statistic := func(name string, n int) types.KeyValuePair {
		return types.KeyValuePair{Name: aws.String(name), Value: aws.String(strconv.Itoa(n))}
	}
	out := &awsecs.DescribeClustersOutput{Clusters: []types.Cluster{{
		ClusterName: aws.String(clusterName), Status: aws.String("ACTIVE"), RunningTasksCount: int32(running), PendingTasksCount: int32(pending),
		Statistics: []types.KeyValuePair{statistic("runningFargateTasksCount", running), statistic("pendingFargateTasksCount", pending)},
	}}}
	answer(x, x.other, done, out, err)
}

// Write keeps nothing, as no other leader ever reads it, but for what holds the pool back.
func (x *spate) Write(r scaler.Records) error {
	for _, s := range r.Statuses {
		x.w.tally.heldBy(x.w.now, s.Limit)
	}
	return nil
}

// ReadControls and MarkDrained are not called: nobody pulls levers in a simulation.
func (x *spate) ReadControls(func(time.Time, map[string]scaler.Control, error) error) {}

// MarkDrained is not called either.
func (x *spate) MarkDrained(string, time.Time, func(time.Time, struct{}, error) error) {}

// described is a task as the SDK describes it.
func described(s ecs.TaskState) types.Task {
	t := types.Task{
		TaskArn: aws.String(s.ARN), TaskDefinitionArn: aws.String(s.TaskDefinition), CapacityProviderName: aws.String(s.Provider),
		LaunchType: types.LaunchTypeFargate, LastStatus: aws.String(s.LastStatus), DesiredStatus: aws.String(s.DesiredStatus),
		StopCode: types.TaskStopCode(s.StopCode), StoppedReason: aws.String(s.StoppedReason), Version: int64(s.Version),
		CreatedAt: moment(s.Created), PullStartedAt: moment(s.Pulled), StartedAt: moment(s.Started), StoppingAt: moment(s.Stopping), StoppedAt: moment(s.Stopped),
		Containers: []types.Container{{Name: aws.String(container), TaskArn: aws.String(s.ARN)}},
	}
	if s.ExitCode != nil {
		t.Containers[0].ExitCode = aws.Int32(int32(*s.ExitCode))
	}
	return t
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// forever is the term of a leader that nobody replaces.
type forever struct{}

func (forever) Valid(time.Time) bool                   { return true }
func (forever) Guard() dynamodbtypes.TransactWriteItem { return dynamodbtypes.TransactWriteItem{} }
