package scaler

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/rs/zerolog"

	"spate/internal/awsclient"
	"spate/job"
	"spate/sandbox"
	"spate/sandbox/ecs"
	"spate/sandbox/fault"
)

// broken is a stage on a sandbox's account with the usual figures, in virtual time, through the SDK.
type broken struct {
	*stage
	box *sandbox.Sandbox
	api *awsecs.Client

	newest atomic.Value                                         // the task definition that is launched, a string
	work   func(ctx context.Context, task ecs.FunctionTask) int // what a worker does; not changed once the scaler runs
}

func newBroken(t *testing.T, outstanding int, figures func(*ecs.Figures)) *broken {
	t.Helper()
	b := &broken{stage: newStage(t, outstanding), work: func(ctx context.Context, _ ecs.FunctionTask) int {
		<-ctx.Done()
		return 143
	}}
	account := sandbox.Usual()
	figures(&account.ECS)
	box, err := sandbox.New(sandbox.Options{
		InProcess: true, Seed: 1, Account: &account, Log: zerolog.Nop(),
		Runtime: &ecs.FunctionRuntime{Run: func(ctx context.Context, task ecs.FunctionTask) int {
			return b.work(ctx, task)
		}},
	})
	if err != nil {
		t.Fatal(err)
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
	b.box = box
	b.api = awsclient.FromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(box.Endpoint()), HTTPClient: &http.Client{Transport: box.Transport()},
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	}).ECS
	if _, err := b.api.CreateCluster(t.Context(), &awsecs.CreateClusterInput{ClusterName: aws.String("hpc")}); err != nil {
		t.Fatal(err)
	}
	b.pool.Subnets = []string{"subnet-a", "subnet-b"}
	b.jobsOf = func(string) Demand {
		newest, _ := b.newest.Load().(string)
		return Demand{Outstanding: int(b.jobs.Load()), TaskDefinition: newest, At: time.Now(), Known: true}
	}
	b.register("spate@sha256:7")
	return b
}

// register makes a revision the one that is launched.
func (b *broken) register(image string) {
	b.t.Helper()
	out, err := b.api.RegisterTaskDefinition(b.t.Context(), &awsecs.RegisterTaskDefinitionInput{
		Family: aws.String("spate-rollup"), Cpu: aws.String("1024"), Memory: aws.String("2048"), NetworkMode: types.NetworkModeAwsvpc,
		RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		ContainerDefinitions:    []types.ContainerDefinition{{Name: aws.String("spate"), Image: &image, Essential: aws.Bool(true)}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.newest.Store(*out.TaskDefinition.TaskDefinitionArn)
}

func (b *broken) begin() {
	term := b.journal.lead()
	b.run(b.api, term, term)
}

func (b *broken) change(figures func(*ecs.Figures)) {
	b.t.Helper()
	account := b.box.Account()
	figures(&account.ECS)
	if err := b.box.SetAccount(account); err != nil {
		b.t.Fatal(err)
	}
}

func (b *broken) status() Status { return b.journal.status("rollup") }

func (b *broken) launchedTasks() int {
	state, ok := b.box.State().ECS.(ecs.State)
	if !ok {
		b.t.Fatal("the state of ECS is of another type")
	}
	return state.Launched
}

func (b *broken) calls() int {
	n := 0
	for _, times := range b.box.State().Calls["ecs"]["RunTask"] {
		n += times
	}
	return n
}

// awaits is how long it takes until the status is so.
func (b *broken) awaits(what string, most time.Duration, so func(Status) bool) time.Duration {
	b.t.Helper()
	return b.until(what, most, func() bool { return so(b.status()) })
}

func heldBy(kind Limit) func(Status) bool {
	return func(s Status) bool { return len(s.Breakers) == 1 && s.Breakers[0].Kind == kind }
}

func TestAnImageThatCannotBePulledStopsARampAndItsRepairGoesOnByItself(t *testing.T) {
	jobs := 3000
	if testing.Short() || raceEnabled {
		jobs = 1000
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, jobs, func(f *ecs.Figures) { f.NoImages = []string{"sha256:7"} })
		b.begin()
		took := b.awaits("the breaker is open", 2*time.Minute, heldBy(LimitCrashLoop))
		atOnce := b.launchedTasks()
		t.Logf("stopped after %s, %d launched", took, atOnce)
		if atOnce > 100+20*60 {
			t.Errorf("%d launched before the breaker opened", atOnce)
		}
		breaker := b.status().Breakers[0]
		if !strings.Contains(breaker.Reason, "CannotPullContainerError") || !strings.Contains(breaker.Remedy, "image") {
			t.Errorf("breaker %+v", breaker)
		}
		// Trials come at 1, 2, 4, 8, 15, 15 … minutes, each known to have failed within one more.
		time.Sleep(time.Hour)
		if n := b.launchedTasks() - atOnce; n < 5 || n > 8+maxCalls*maxTasksPerCall {
			t.Errorf("%d launched in an hour", n)
		}
		if stops := b.status().Stops; len(stops) == 0 || stops[0].Count < 100 || !strings.Contains(stops[0].Reason, "CannotPull") {
			t.Errorf("stops %+v", stops)
		}
		// Another controller takes over; it knows.
		if err := b.stop(); err != nil {
			t.Fatal(err)
		}
		before := b.launchedTasks()
		b.begin()
		time.Sleep(time.Minute)
		if n := b.launchedTasks() - before; n > 1 || b.status().Limit != LimitCrashLoop {
			t.Errorf("the next controller launched %d: %s", n, b.status().Reason)
		}
		b.change(func(f *ecs.Figures) { f.NoImages = nil })
		b.awaits("all run", 17*time.Minute+4*time.Minute, func(s Status) bool { return s.Running >= jobs*98/100 && len(s.Breakers) == 0 })
		_ = b.stop()
	})
}

func TestAnotherRevisionOfTheTaskDefinitionEndsACrashLoopAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, 20, func(*ecs.Figures) {})
		b.work = func(ctx context.Context, task ecs.FunctionTask) int {
			if strings.HasSuffix(task.Image, "7") {
				return job.ExitNothingReceived
			}
			<-ctx.Done()
			return 143
		}
		b.begin()
		b.awaits("the breaker is open", 3*time.Minute, heldBy(LimitCrashLoop))
		if n := b.launchedTasks(); n > 45 {
			t.Errorf("%d launched", n)
		}
		time.Sleep(10 * time.Minute)
		b.register("spate@sha256:8")
		b.awaits("all run", 2*time.Minute, func(s Status) bool { return s.Running >= 19 && len(s.Breakers) == 0 })
		_ = b.stop()
	})
}

func TestOneInAHundredThatNeverStartsStopsNoRamp(t *testing.T) {
	workers := 3000
	if testing.Short() || raceEnabled {
		workers = 600
	}
	for name, figures := range map[string]func(*ecs.Figures){
		"late":  func(f *ecs.Figures) { f.NeverStart = 0.01 },
		"early": func(f *ecs.Figures) { f.NeverStart, f.NeverAfter = 0.01, fault.Duration(8*time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroken(t, workers, figures)
				b.begin()
				b.until("all run", 10*time.Minute, func() bool {
					if s := b.status(); len(s.Breakers) > 0 {
						t.Fatalf("breakers %+v", s.Breakers)
					}
					return b.status().Running >= workers*99/100
				})
				_ = b.stop()
			})
		})
	}
}

func TestAQuotaHoldsGrowthAndIsAskedAboutOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(t, 80, func(f *ecs.Figures) { f.NeverStart, f.OnDemand.VCPUs = 0, 24 })
		b.begin()
		b.awaits("the breaker is open", time.Minute, heldBy(LimitQuota))
		time.Sleep(2 * time.Minute)
		s, calls := b.status(), b.calls()
		if s.Running != 24 || !strings.Contains(s.Reason, "L-3032A538") || !strings.Contains(s.Breakers[0].Remedy, "request-service-quota-increase") {
			t.Errorf("status %+v", s)
		}
		time.Sleep(10 * time.Minute)
		if n := b.calls() - calls; n < 8 || n > 11 {
			t.Errorf("%d calls in ten minutes", n)
		}
		b.change(func(f *ecs.Figures) { f.OnDemand.VCPUs = 100 })
		b.awaits("all run", 4*time.Minute, func(s Status) bool { return s.Running == 80 && len(s.Breakers) == 0 })
		_ = b.stop()
	})
}

func TestAWrongSubnetStopsThePoolUntilItIsPutRight(t *testing.T) {
	for what, c := range map[string]struct{ code, sentence, remedy string }{
		"subnet": {"InvalidParameterException", "The subnet ID 'subnet-a' does not exist", "subnets"},
		"role":   {"ClientException", "ECS was unable to assume the role 'arn:aws:iam::123456789012:role/spate' that was provided for this task.", "task role"},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroken(t, 60, func(f *ecs.Figures) { f.NeverStart = 0 })
				wrong, err := b.box.Faults().Add(fault.Rule{
					Service: fault.ECS, Operation: "RunTask", Kind: fault.Reject, Code: c.code, Message: c.sentence, Status: 400,
				})
				if err != nil {
					t.Fatal(err)
				}
				b.begin()
				b.awaits("the breaker is open", 10*time.Second, heldBy(LimitConfiguration))
				time.Sleep(time.Hour)
				if n := b.calls(); n > 6+10 || n < 6+5 { // at the beginning, and trials at 30 s, 1, 2, 4, 8, 15, 15 … minutes
					t.Errorf("%d calls in an hour", n)
				}
				s := b.status()
				if s.Limit != LimitConfiguration || !strings.Contains(s.Reason, c.sentence) || !strings.Contains(s.Reason, c.remedy) {
					t.Errorf("status %+v", s)
				}
				b.box.Faults().Remove(wrong.ID)
				b.awaits("all run", 18*time.Minute, func(s Status) bool { return s.Running == 60 && len(s.Breakers) == 0 })
				_ = b.stop()
			})
		})
	}
}
