package controller

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"spate/internal/awsclient"
	"spate/internal/objects"
	"spate/internal/price"
	"spate/internal/provision"
	"spate/internal/queue"
	"spate/internal/simulate"
	"spate/job"
	"spate/sandbox"
	"spate/sandbox/ecs"
	"spate/worker"
)

// TestASimulationIsTrueToTheRealLoops runs a scenario twice: simulated, and with the real loops in virtual time, which means
// controller, SDK clients, the sandbox's services and workers that poll its queues. No figure may differ by more than
// 2 %, so that a simulation cannot flatter.
func TestASimulationIsTrueToTheRealLoops(t *testing.T) {
	for name, change := range map[string]func(*simulate.Scenario){
		"a night's rollup": func(*simulate.Scenario) {},
		"Spot is interrupted": func(s *simulate.Scenario) {
			s.Providers, s.Account.SpotInterruptions = []string{simulate.Spot}, 3
		},
		"On-Demand, two jobs a worker": func(s *simulate.Scenario) { s.Providers, s.Slots = []string{simulate.OnDemand}, 2 },
		"a slower account than documented": func(s *simulate.Scenario) {
			s.Account.OnDemand.Launches, s.Providers = ecs.Rate{Burst: 100, PerSecond: 5}, []string{simulate.OnDemand}
		},
	} {
		t.Run(name, func(t *testing.T) {
			workers, each := 250, 6
			if testing.Short() || raceEnabled {
				workers, each = 40, 4
			}
			s := simulate.NewScenario(workers)
			s.Jobs = workers * each
			s.JobTime, s.IdleTimeout = simulate.Constant(30*time.Second), 3*time.Minute
			s.Account.NeverStart, s.Account.NeverAfter = 0.03, s.Account.NeverAfter/2
			change(&s)
			var full simulate.Figures
			synctest.Test(t, func(t *testing.T) { full, s.Led = newNight(t, s).pass(t) })
			simulated, err := simulate.Run(s)
			if err != nil {
				t.Fatal(err)
			}
			if full.ThrottledShare > 0.1 {
				compareRough(t, simulated.Figures, full)
			}
			compareFigures(t, simulated.Figures, full, full.ThrottledShare > 0.1)
		})
	}
}

// compareFigures finds figures that differ by more than 2 %. Counts may differ by one, which is more than that of a few: among
// calls of one moment it is not said which comes first.
// Those of a throttled ramp are left to compareRough.
func compareFigures(t *testing.T, simulated, full simulate.Figures, throttled bool) {
	t.Helper()
	within := func(name string, a, b, slack float64) {
		t.Logf("%-24s simulated %11.4f  real loops %11.4f", name, a, b)
		if math.Abs(a-b) > max(slack, 0.02*max(math.Abs(a), math.Abs(b)))+1e-9 {
			t.Errorf("%s: simulated %v, real loops %v", name, a, b)
		}
	}
	compare := func(name string, a, b float64) { within(name, a, b, 0) }
	count := func(name string, a, b int) { within(name, float64(a), float64(b), 1) }
	times := func(name string, a, b *float64) {
		if a == nil || b == nil {
			if a != b {
				t.Errorf("%s: simulated %v, real loops %v", name, a, b)
			}
			return
		}
		compare(name, *a, *b)
	}
	if !throttled {
		times("seconds_to_accepted", simulated.SecondsToAccepted, full.SecondsToAccepted)
		times("seconds_to_running", simulated.SecondsToRunning, full.SecondsToRunning)
		times("seconds_to_most_running", simulated.SecondsToMost, full.SecondsToMost)
		count("run_task_calls", simulated.Calls, full.Calls)
		compare("throttled_share", simulated.ThrottledShare, full.ThrottledShare)
	}
	times("seconds_to_finished", simulated.SecondsToFinished, full.SecondsToFinished)
	times("seconds_to_zero", simulated.SecondsToZero, full.SecondsToZero)
	count("overshoot", simulated.Overshoot, full.Overshoot)
	count("useless_workers", simulated.Useless, full.Useless)
	count("launched", simulated.Launched, full.Launched)
	count("interrupted", simulated.Interrupted, full.Interrupted)
	compare("usd", float64(simulated.USD), float64(full.USD))
	compare("usd_to_finished", float64(simulated.USDToFinished), float64(full.USDToFinished))
	compare("billed_seconds", simulated.BilledSeconds, full.BilledSeconds)
	compare("idle_share", simulated.IdleShare, full.IdleShare)
	compare("start_share", simulated.StartShare, full.StartShare)
}

// compareRough compares the ramps of an account that throttles much. Which of several calls of one moment meets the empty
// bucket decides what the pace learns, and differs from one run of the real loops to the next: by a tenth of the calls.
func compareRough(t *testing.T, simulated, full simulate.Figures) {
	t.Helper()
	within := func(name string, a, b, slack float64) {
		t.Logf("%-24s simulated %11.4f  real loops %11.4f", name, a, b)
		if math.Abs(a-b) > slack*max(a, b) {
			t.Errorf("%s: simulated %v, real loops %v", name, a, b)
		}
	}
	if simulated.SecondsToAccepted == nil || full.SecondsToAccepted == nil {
		t.Fatal("not all were accepted")
	}
	within("seconds_to_accepted", *simulated.SecondsToAccepted, *full.SecondsToAccepted, 0.1)
	within("run_task_calls", float64(simulated.Calls), float64(full.Calls), 0.25)
	within("throttled_share", simulated.ThrottledShare, full.ThrottledShare, 0.25)
}

// night is a scenario with the real loops. It writes down what happens, and what it cost is reckoned from ECS's own
// descriptions afterwards.
type night struct {
	flood
	s       simulate.Scenario
	clients *awsclient.Clients

	mu               sync.Mutex
	launch, other    *rand.Rand // how long calls take, as in a simulation
	led              time.Time  // the controller's first look
	began            time.Time  // the first launch
	calls, throttled int        // of RunTask
	accepted         time.Time  // when there were as many launches as wanted
	ended            time.Time  // the last job's end
	done             int        // jobs
	busy             map[string]time.Duration
}

func newNight(t *testing.T, s simulate.Scenario) *night {
	t.Helper()
	n := &night{s: s, busy: map[string]time.Duration{}, launch: rand.New(rand.NewPCG(s.Seed, 3)), other: rand.New(rand.NewPCG(s.Seed, 4))}
	account := sandbox.Instant()
	account.ECS = s.Account
	tasks := &ecs.FunctionRuntime{Run: n.work}
	box, err := sandbox.New(sandbox.Options{InProcess: true, Seed: s.Seed, Account: &account, Log: zerolog.Nop(), Runtime: tasks})
	if err != nil {
		t.Fatal(err)
	}
	tasks.Transport = box.Transport()
	n.box = box
	run(t, "sandbox", box.Run)
	n.clients = n.clientsBy(box.Transport())
	var capacity []string
	for _, p := range s.Providers {
		capacity = append(capacity, fmt.Sprintf("{provider: %s, max: %d}", p, s.Workers))
	}
	cfg := parse(t, fmt.Sprintf(`
tables: {runs: spate-runs, outputs: spate-outputs}
bucket: spate-data
redis: {url: "redis://127.0.0.1:1"}
queues: {submissions: spate-submissions, events: spate-events, outputs: spate-outputs-created}
pools:
  - {name: rollup, queue: spate-rollup, cluster: hpc, task_definition: spate-rollup, subnets: [a, b, c], max: %d, slots: %d, idle_timeout: %s, capacity: [%s]}
tasks: {price: {command: ["true"]}}
`, s.Workers, s.Slots, s.IdleTimeout, strings.Join(capacity, ", ")))
	cfg.HTTP.Listen = ""
	if err := provision.Create(t.Context(), n.clients, cfg, provision.Image{Name: "spate@" + testDigest, Command: []string{"spate", "worker"}, CPU: "X86_64"}); err != nil {
		t.Fatal(err)
	}
	c, err := New(t.Context(), Options{Config: cfg, Clients: n.clientsBy(n), Holder: "leader", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	c.opened = redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:1", Dialer: func(context.Context, string, string) (net.Conn, error) { return box.DialRedis() },
	})
	n.controller = c
	run(t, "controller", c.Run)
	return n
}

func (n *night) clientsBy(transport http.RoundTripper) *awsclient.Clients {
	return awsclient.FromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(n.box.Endpoint()), HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
}

// RoundTrip carries the controller's requests. Answers of ECS take the scenario's latency, and those of RunTask are counted.
func (n *night) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := n.box.Transport().RoundTrip(r)
	target := r.Header.Get("X-Amz-Target")
	if !strings.HasPrefix(target, ecs.Target) {
		return response, err
	}
	switch _, operation, _ := strings.Cut(target, "."); operation {
	case "RunTask":
		n.called(err == nil && response.StatusCode == http.StatusOK)
	case "ListTasks":
		n.mu.Lock()
		if n.led.IsZero() {
			n.led = time.Now()
		}
		n.mu.Unlock()
	}
	random := n.other
	if strings.HasSuffix(target, ".RunTask") {
		random = n.launch
	}
	n.mu.Lock()
	latency := n.s.LatencyOf(random)
	n.mu.Unlock()
	timer := time.NewTimer(latency)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
	return response, err
}

// called counts a call of RunTask. This account refuses none but to throttle it.
func (n *night) called(ok bool) {
	launched := 0
	if state, is := n.box.State().ECS.(ecs.State); is {
		launched = state.Launched
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if n.calls == 0 {
		n.began = now
	}
	n.calls++
	if !ok {
		n.throttled++
	}
	if n.accepted.IsZero() && launched >= n.s.Target() {
		n.accepted = now
	}
}

// pass lets the night pass and says what came of it, and how long the controller had led when it began.
func (n *night) pass(t *testing.T) (f simulate.Figures, led time.Duration) {
	time.Sleep(30 * time.Second) // until the controller leads, and has nothing to do
	n.submit(t, n.s.Jobs)
	peak := 0
	for deadline := time.Now().Add(2 * time.Hour); ; time.Sleep(time.Second) {
		state, _ := n.box.State().ECS.(ecs.State)
		alive, wanted := 0, 0
		for status, count := range state.Tasks {
			switch status {
			case "PROVISIONING", "PENDING", "RUNNING":
				wanted += count
				alive += count
			case "STOPPED":
			default:
				alive += count
			}
		}
		peak = max(peak, wanted)
		n.mu.Lock()
		over := n.done >= n.s.Jobs && alive == 0
		n.mu.Unlock()
		if over {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after two hours %d of %d jobs are done, and there are %d workers", n.done, n.s.Jobs, alive)
		}
	}
	return n.figures(n.describe(t), peak), n.began.Sub(n.led)
}

// describe describes all tasks that there ever were.
func (n *night) describe(t *testing.T) []types.Task {
	t.Helper()
	time.Sleep(10 * time.Second) // so that the call budget is full again
	var all []types.Task
	in := &awsecs.ListTasksInput{Cluster: aws.String("hpc"), DesiredStatus: types.DesiredStatusStopped}
	for {
		page, err := n.clients.ECS.ListTasks(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		out, err := n.clients.ECS.DescribeTasks(t.Context(), &awsecs.DescribeTasksInput{Cluster: in.Cluster, Tasks: page.TaskArns})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, out.Tasks...)
		if in.NextToken = page.NextToken; in.NextToken == nil {
			return all
		}
	}
}

// figures reckons.
func (n *night) figures(tasks []types.Task, peak int) simulate.Figures {
	n.mu.Lock()
	defer n.mu.Unlock()
	since := func(at time.Time) *float64 { return new(at.Sub(n.began).Seconds()) }
	target := n.s.Target()
	f := simulate.Figures{
		SecondsToAccepted: since(n.accepted), SecondsToFinished: since(n.ended), Launched: len(tasks), Calls: n.calls,
		ThrottledShare: float64(n.throttled) / float64(n.calls), Overshoot: max(0, peak-target), Most: int(float64(target) * (1 - n.s.Account.NeverStart)),
	}
	type change struct {
		at time.Time
		by int
	}
	var changes []change
	var last time.Time
	var idle, startUp time.Duration
	for _, t := range tasks {
		stopped := aws.ToTime(t.StoppedAt)
		last = latest(last, stopped)
		if t.StopCode == types.TaskStopCodeSpotInterruption {
			f.Interrupted++
		}
		if t.PullStartedAt == nil {
			continue
		}
		perHour := price.TaskPerHour(n.s.VCPU, n.s.MemoryGB, price.X86, aws.ToString(t.CapacityProviderName) == simulate.Spot)
		paid := func(until time.Time) float64 {
			return max(60, math.Ceil(until.Sub(*t.PullStartedAt).Seconds()-0.001)) // ECS tells milliseconds
		}
		f.BilledSeconds += paid(stopped)
		f.USD += perHour * price.USD(paid(stopped)/3600)
		if t.PullStartedAt.Before(n.ended) {
			f.USDToFinished += perHour * price.USD(paid(earliest(stopped, n.ended))/3600)
		}
		if t.StartedAt == nil {
			continue
		}
		busy := n.busy[taskID(aws.ToString(t.TaskArn))]
		if busy == 0 {
			f.Useless++
		}
		changes = append(changes, change{*t.StartedAt, 1}, change{stopped, -1})
		startUp += t.StartedAt.Sub(*t.PullStartedAt)
		idle += stopped.Sub(*t.StartedAt) - busy
	}
	f.SecondsToZero = since(last)
	f.IdleShare, f.StartShare = idle.Seconds()/f.BilledSeconds, startUp.Seconds()/f.BilledSeconds
	slices.SortFunc(changes, func(a, b change) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.by, b.by)) })
	running := 0
	for _, c := range changes {
		running += c.by
		if running >= f.Most && f.SecondsToMost == nil {
			f.SecondsToMost = since(c.at)
		}
		if running >= target && f.SecondsToRunning == nil {
			f.SecondsToRunning = since(c.at)
		}
	}
	return f
}

func taskID(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// work is a worker's process: it receives, publishes and reports by the real clients as workers do, but a job is nothing
// but time.
func (n *night) work(ctx context.Context, task ecs.FunctionTask) int {
	clients := n.clientsBy(task.Transport)
	p := &sleeper{
		night: n, task: task, jobs: queue.At(clients.SQS, task.Getenv("SPATE_QUEUE_URL")), events: queue.At(clients.SQS, task.Getenv("SPATE_EVENTS_QUEUE_URL")),
		store: objects.New(clients.S3, task.Getenv("SPATE_BUCKET")), free: make(chan struct{}, n.s.Slots), since: time.Now(),
	}
	for range n.s.Slots {
		p.free <- struct{}{}
	}
	code := p.receive(ctx)
	p.running.Wait()
	return code
}

// sleeper is one worker.
type sleeper struct {
	night        *night
	task         ecs.FunctionTask
	jobs, events *queue.Queue
	store        *objects.Store
	free         chan struct{}
	running      sync.WaitGroup

	mu    sync.Mutex
	hand  int       // jobs in hand
	since time.Time // when that last changed from or to none
}

// receive takes jobs until there have been none for long enough, or the task is to stop.
func (p *sleeper) receive(ctx context.Context) int {
	timeout := worker.IdleTimeout(p.night.s.IdleTimeout, "arn:aws:ecs:us-east-1:000000000000:task/default/"+p.task.ID) // as simulated
	for {
		select {
		case <-p.free:
		case <-ctx.Done():
			return 0
		}
		messages, err := p.jobs.Receive(ctx, 1, p.wait(timeout), 5*time.Minute)
		switch {
		case ctx.Err() != nil:
			return 0
		case err != nil:
			return 1
		case len(messages) == 0:
			p.free <- struct{}{}
			if p.wait(timeout) == 0 {
				return 0
			}
			continue
		}
		p.count(1)
		p.running.Go(func() {
			defer func() { p.free <- struct{}{} }()
			defer p.count(-1)
			p.do(ctx, messages[0])
		})
	}
}

// wait is how long the next poll may take; 0: the worker has been idle for long enough.
func (p *sleeper) wait(timeout time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hand > 0 {
		return queue.MaxWait
	}
	left := timeout - time.Since(p.since)
	return max(0, min((left+time.Second-1).Truncate(time.Second), queue.MaxWait))
}

// count notes jobs taken in hand or out of it.
func (p *sleeper) count(by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.hand > 0 && p.hand+by == 0 {
		p.night.mu.Lock()
		p.night.busy[p.task.ID] += now.Sub(p.since)
		p.night.mu.Unlock()
	}
	if p.hand == 0 || p.hand+by == 0 {
		p.since = now
	}
	p.hand += by
}

// do is one job. When the task is to stop, it has the grace left, then it goes back to the queue.
func (p *sleeper) do(ctx context.Context, received queue.Message) {
	takes := time.NewTimer(p.night.s.JobTime.Mean())
	defer takes.Stop()
	select {
	case <-takes.C:
	case <-ctx.Done():
		select {
		case <-takes.C:
		case <-time.After(p.night.s.StopGrace):
			_ = p.jobs.Extend(context.WithoutCancel(ctx), received.Receipt, 0)
			return
		}
	}
	p.publish(context.WithoutCancel(ctx), received)
}

func (p *sleeper) publish(ctx context.Context, received queue.Message) {
	m, _, err := job.ParseMessage([]byte(received.Body))
	if err != nil {
		return
	}
	seconds := p.night.s.JobTime.Mean().Seconds()
	manifest := job.Manifest{
		V: job.MessageVersion, Key: m.Key, Attempt: "a", Image: testDigest, Run: m.Run, Document: m.Document, At: time.Now(), Seconds: seconds, Worker: p.task.ID,
	}
	event := job.Event{
		V: job.MessageVersion, Type: job.EventSucceeded, Run: m.Run, Job: m.Job, Key: m.Key, Attempt: m.Attempt, Worker: p.task.ID, Seconds: seconds, At: time.Now(),
	}
	output, err := manifest.Encode()
	if err != nil {
		return
	}
	body, err := event.Encode()
	if err != nil {
		return
	}
	if _, err := p.store.Put(ctx, job.ManifestPath(m.Key), output, objects.Condition{IfAbsent: true}); err != nil {
		return
	}
	if p.events.Send(ctx, string(body)) != nil || p.jobs.Delete(ctx, received.Receipt) != nil {
		return
	}
	p.night.mu.Lock()
	defer p.night.mu.Unlock()
	p.night.done++
	p.night.ended = time.Now()
}
