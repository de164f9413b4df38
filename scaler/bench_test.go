package scaler

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/rs/zerolog"
)

// crowd is an account whose tasks all run, and the hands of an engine on it: they answer at once and cost next to nothing,
// so that what is measured is the engine.
type crowd struct {
	Hands // what is not expected to be asked for
	pages []ecs.ListTasksOutput
	index map[string]types.Task
	next  []func(now time.Time) error
	calls int
}

func newCrowd(workers int) *crowd {
	c := &crowd{index: map[string]types.Task{}}
	definition := "arn:aws:ecs:eu-west-1:111122223333:task-definition/spate-rollup:7"
	created, started := planNow.Add(-time.Hour), planNow.Add(-time.Hour+40*time.Second)
	for n := range workers {
		if n%100 == 0 {
			c.pages = append(c.pages, ecs.ListTasksOutput{})
		}
		arn := fmt.Sprintf("arn:aws:ecs:eu-west-1:111122223333:task/hpc/%032x", n)
		page := &c.pages[len(c.pages)-1]
		page.TaskArns = append(page.TaskArns, arn)
		page.NextToken = aws.String(strconv.Itoa(len(c.pages)))
		c.index[arn] = types.Task{
			TaskArn: &arn, TaskDefinitionArn: &definition, LastStatus: aws.String("RUNNING"), DesiredStatus: aws.String("RUNNING"),
			CapacityProviderName: aws.String("FARGATE_SPOT"), Version: 4, CreatedAt: &created, StartedAt: &started,
		}
	}
	c.pages[len(c.pages)-1].NextToken = nil
	return c
}

func (c *crowd) later(f func(now time.Time) error) { c.calls++; c.next = append(c.next, f) }

func (c *crowd) ListTasks(in *ecs.ListTasksInput, done func(time.Time, *ecs.ListTasksOutput, error) error) {
	page := 0
	if in.NextToken != nil {
		page, _ = strconv.Atoi(*in.NextToken)
	}
	out := c.pages[page]
	c.later(func(now time.Time) error { return done(now, &out, nil) })
}

func (c *crowd) DescribeTasks(in *ecs.DescribeTasksInput, done func(time.Time, *ecs.DescribeTasksOutput, error) error) {
	out := &ecs.DescribeTasksOutput{}
	for _, arn := range in.Tasks {
		out.Tasks = append(out.Tasks, c.index[arn])
	}
	c.later(func(now time.Time) error { return done(now, out, nil) })
}

func (c *crowd) DescribeClusters(_ *ecs.DescribeClustersInput, done func(time.Time, *ecs.DescribeClustersOutput, error) error) {
	value := func(name string, n int) types.KeyValuePair {
		return types.KeyValuePair{Name: &name, Value: aws.String(strconv.Itoa(n))}
	}
	out := &ecs.DescribeClustersOutput{Clusters: []types.Cluster{{Statistics: []types.KeyValuePair{
		value("runningFargateTasksCount", len(c.index)), value("pendingFargateTasksCount", 0),
	}}}}
	c.later(func(now time.Time) error { return done(now, out, nil) })
}

func (c *crowd) Write(Records) error { return nil }

// watching is an engine that knows ten thousand workers, with a million jobs outstanding.
type watching struct {
	b     testing.TB
	now   time.Time
	crowd *crowd
	e     *Engine
}

func newWatching(b testing.TB) *watching {
	w := &watching{b: b, now: planNow, crowd: newCrowd(10_000)}
	var err error
	w.e, err = NewEngine(w.now, Options{
		Term: &term{}, Log: zerolog.Nop(),
		Demand: func(string) Demand {
			return Demand{Outstanding: 1_000_000, TaskDefinition: "spate-rollup:7", JobDuration: time.Minute, At: w.now, Known: true}
		},
		Pools: []Pool{{
			Name: "rollup", Cluster: "hpc", Family: "spate-rollup", Subnets: []string{"a"}, Slots: 1, Max: 10_000,
			Capacity: []Capacity{{Provider: "FARGATE_SPOT", Max: 10_000}},
		}},
	}, w.crowd)
	if err != nil {
		b.Fatal(err)
	}
	for range 60 {
		w.second()
	}
	if running := w.e.pools[0].observed.Workers.Running; running != 10_000 {
		b.Fatalf("%d workers known after a minute", running)
	}
	return w
}

// second lets a second pass.
func (w *watching) second() {
	for end := w.now.Add(time.Second); w.now.Before(end); {
		if err := w.e.Turn(w.now); err != nil {
			w.b.Fatal(err)
		}
		for len(w.crowd.next) > 0 {
			next := w.crowd.next
			w.crowd.next = nil
			for _, f := range next {
				if err := f(w.now); err != nil {
					w.b.Fatal(err)
				}
			}
		}
		w.now = earlier(end, w.e.Due(w.now))
	}
}

// BenchmarkSecond is what the scaler does in a second with 10,000 workers and a million jobs outstanding: a tick, and a
// fifteenth of a listing.
func BenchmarkSecond(b *testing.B) {
	w := newWatching(b)
	b.ReportAllocs()
	for b.Loop() {
		w.second()
	}
	b.ReportMetric(100*b.Elapsed().Seconds()/float64(b.N), "%core")
}

// BenchmarkTaskEvent is what one state-change event costs, from its text on.
func BenchmarkTaskEvent(b *testing.B) {
	w := newWatching(b)
	body := []byte(eventOf("arn:aws:ecs:eu-west-1:111122223333:task/hpc/"+strings.Repeat("0", 32), "RUNNING", "RUNNING", 5))
	b.ReportAllocs()
	for b.Loop() {
		c, err := ParseTaskChange(body)
		if err != nil || w.e.TaskChanges(w.now, []TaskChange{c}) != 1 {
			b.Fatal(err)
		}
	}
}

// TestTenThousandWorkersTakeLittle holds watching them to its price. The bounds are far above what is measured, as machines
// of tests are slow and busy.
func TestTenThousandWorkersTakeLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("measures")
	}
	before := heap()
	w := newWatching(t)
	weight := heap() - before
	minutes := 10
	if testing.Short() {
		minutes = 2
	}
	began := processorTime(t)
	for range minutes * 60 {
		w.second()
	}
	share := (processorTime(t) - began).Seconds() / float64(minutes*60)
	calls := float64(w.crowd.calls) / w.now.Sub(planNow).Seconds()
	t.Logf("10,000 workers and a million jobs: %.2f %% of a core, %d KiB, %.1f calls a second, %s resident in all", 100*share, weight>>10, calls, resident(t))
	if share > 0.05 {
		t.Errorf("takes %.1f %% of a core", 100*share)
	}
	if weight > 50<<20 {
		t.Errorf("weighs %d MiB", weight>>20)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident is the most memory that the process has had, where the system tells.
func resident(t *testing.T) string {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "an unknown amount"
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	peak, _, _ = strings.Cut(peak, "\n")
	return strings.TrimSpace(peak)
}
