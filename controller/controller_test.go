package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"spate/cache"
	"spate/internal/awsclient"
	"spate/internal/config"
	"spate/internal/objects"
	"spate/internal/provision"
	"spate/internal/queue"
	"spate/internal/table"
	"spate/job"
	"spate/planner"
	"spate/sandbox"
	"spate/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func configuration(redisURL string) string {
	return fmt.Sprintf(`
tables: {runs: spate-runs, outputs: spate-outputs}
bucket: spate-data
redis: {url: %q}
queues: {submissions: spate-submissions, events: spate-events, outputs: spate-outputs-created}
http: {listen: "127.0.0.1:0"}
pools:
  - name: rollup
    queue: spate-rollup
    cluster: hpc
    task_definition: spate-rollup
    subnets: [subnet-a]
    max: 2
    slots: 3
    idle_timeout: 7m
    visibility_timeout: 30s
    capacity: [{provider: FARGATE, max: 2}]
tasks:
  greet:
    command: [sh, -c, 'cat "$SPATE_PARAMS" "$SPATE_INPUT_DIR"/*/* > "$SPATE_OUTPUT_DIR/greeting" 2>/dev/null || true']
`, redisURL)
}

// world is a sandbox with all that the configuration names. Its tasks only sleep: workers run in the tests.
type world struct {
	t         *testing.T
	clients   *awsclient.Clients
	cfg       *config.Config
	transport *http.Transport
}

func newWorld(t *testing.T) *world {
	t.Helper()
	box, err := sandbox.New(sandbox.Options{Log: zerolog.Nop(), StopGrace: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	w.start("sandbox", func(ctx context.Context) error { return box.Run(ctx) })
	t.Cleanup(w.transport.CloseIdleConnections)
	w.clients = awsclient.FromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(box.Endpoint()), HTTPClient: &http.Client{Transport: w.transport},
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
	w.cfg = parse(t, configuration(box.RedisURL()))
	image := provision.Image{Name: "spate@" + testDigest, Command: []string{"sleep", "600"}, CPU: "X86_64"}
	if err := provision.Create(t.Context(), w.clients, w.cfg, image); err != nil {
		t.Fatal(err)
	}
	return w
}

// start runs something until it is stopped or the test ends; stop waits for it.
func (w *world) start(what string, run func(ctx context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil && !errors.Is(err, context.Canceled) {
				w.t.Errorf("%s: %v", what, err)
			}
		case <-time.After(20 * time.Second):
			w.t.Errorf("%s does not end", what)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

func (w *world) controller(holder string) *Controller {
	w.t.Helper()
	c, err := New(w.t.Context(), Options{Config: w.cfg, Clients: w.clients, Holder: holder, Log: zerolog.Nop()})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// await waits until something holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within 30 s: %s", what)
		case <-ticker.C:
		}
	}
}

func (w *world) queue(name string) *queue.Queue {
	w.t.Helper()
	q, err := queue.Open(w.t.Context(), w.clients.SQS, name)
	if err != nil {
		w.t.Fatal(err)
	}
	return q
}

// work runs a worker.
func (w *world) work() (stop func()) {
	w.t.Helper()
	store := objects.New(w.clients.S3, w.cfg.Bucket)
	worker, err := worker.New(worker.Options{
		Jobs: w.queue("spate-rollup"), Events: w.queue("spate-events"), Objects: store,
		Inputs:   func(bucket string) worker.ObjectReader { return store.In(bucket) },
		Identity: worker.Identity{TaskARN: "arn:aws:ecs:us-east-1:000000000000:task/hpc/test", Image: testDigest},
		Slots:    2, IdleTimeout: time.Hour, Visibility: 30 * time.Second, Retention: w.cfg.Cache.Retention, StopGrace: time.Second,
		WorkDir: w.t.TempDir(), Path: os.Getenv("PATH"), Log: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.start("worker", func(ctx context.Context) error {
		_, err := worker.Run(ctx)
		return err
	})
}

// submit submits a run of two jobs, the second of which needs the first.
func (w *world) submit(id string) {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "run.yaml")
	run := `
name: nightly
pool: rollup
jobs:
  - {id: parent, task: greet, params: {who: one}}
  - {id: child, task: greet, params: {who: two}, needs: {before: parent}}
`
	if err := os.WriteFile(path, []byte(run), 0o600); err != nil {
		w.t.Fatal(err)
	}
	catalogue, err := Catalogue(w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := planner.Prepare(path, catalogue)
	if err != nil {
		w.t.Fatal(err)
	}
	defer p.Close()
	if _, err := planner.Submit(w.t.Context(), objects.New(w.clients.S3, w.cfg.Bucket), w.queue("spate-submissions"), id, p); err != nil {
		w.t.Fatal(err)
	}
}

// ended waits for a run's end.
func (w *world) ended(id string) *planner.Run {
	w.t.Helper()
	var run *planner.Run
	await(w.t, "the end of run "+id, func() bool {
		var err error
		if run, err = planner.ReadRun(w.t.Context(), table.New(w.clients.DynamoDB, w.cfg.Tables.Runs), id); err != nil {
			w.t.Fatal(err)
		}
		return run != nil && run.State.Ended()
	})
	return run
}

func metrics(t *testing.T, c *Controller) map[string]bool {
	t.Helper()
	families, err := c.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range families {
		names[f.GetName()] = true
	}
	return names
}

func leads(c *Controller) func() bool {
	return func() bool {
		role, ok := c.ready()
		return role == "leader" && ok
	}
}

func TestARunGoesThroughTheWholeControllerAndWhatItMadeIsNotMadeAgain(t *testing.T) {
	w := newWorld(t)
	stop := w.start("controller", w.controller("one").Run)
	w.submit("first")
	await(t, "a worker is launched", func() bool {
		out, err := w.clients.ECS.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String("hpc"), Family: aws.String("spate-rollup")})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.TaskArns) == 0 {
			return false
		}
		w.checkEnvironment(out.TaskArns[:1])
		return true
	})
	w.work()
	first := w.ended("first")
	want := planner.Progress{Jobs: 2, Done: 2, Executed: 2}
	if diff := cmp.Diff(want, first.Progress); first.State != job.RunSucceeded || diff != "" {
		t.Errorf("%s (%s): %s", first.State, first.Reason, diff)
	}
	w.submit("second")
	second := w.ended("second")
	want = planner.Progress{Jobs: 2, Cached: 2}
	if diff := cmp.Diff(want, second.Progress); second.State != job.RunSucceeded || diff != "" {
		t.Errorf("%s (%s): %s", second.State, second.Reason, diff)
	}
	stop()

	// Another controller begins from the tables and S3. The view may not have followed the newest outputs yet: then a
	// worker finds them, and makes nothing again either.
	w.start("controller", w.controller("two").Run)
	w.submit("third")
	third := w.ended("third")
	if p := third.Progress; third.State != job.RunSucceeded || p.Executed != 0 || p.Cached+p.Reused != 2 {
		t.Errorf("%s (%s): %+v", third.State, third.Reason, p)
	}
}

// checkEnvironment looks at what a launched worker was told.
func (w *world) checkEnvironment(tasks []string) {
	w.t.Helper()
	out, err := w.clients.ECS.DescribeTasks(w.t.Context(), &ecs.DescribeTasksInput{Cluster: aws.String("hpc"), Tasks: tasks})
	if err != nil {
		w.t.Fatal(err)
	}
	got := map[string]string{}
	overrides := out.Tasks[0].Overrides.ContainerOverrides[0]
	for _, e := range overrides.Environment {
		got[aws.ToString(e.Name)] = aws.ToString(e.Value)
	}
	want := map[string]string{
		"SPATE_POOL": "rollup", "SPATE_QUEUE_URL": w.queue("spate-rollup").URL(), "SPATE_EVENTS_QUEUE_URL": w.queue("spate-events").URL(),
		"SPATE_BUCKET": "spate-data", "SPATE_SLOTS": "3", "SPATE_IDLE_TIMEOUT": "7m0s", "SPATE_VISIBILITY_TIMEOUT": "30s", "SPATE_RETENTION": "720h0m0s", "SPATE_SOURCE": "planner",
	}
	if at, err := time.Parse(time.RFC3339Nano, got["SPATE_LAUNCHED_AT"]); err != nil || at.IsZero() {
		w.t.Errorf("when it was launched reads %q: %v", got["SPATE_LAUNCHED_AT"], err)
	}
	delete(got, "SPATE_LAUNCHED_AT")
	if diff := cmp.Diff(want, got); diff != "" || aws.ToString(overrides.Name) != provision.Container {
		w.t.Errorf("container %s: %s", aws.ToString(overrides.Name), diff)
	}
	values := func(key string) string {
		value := want[key]
		return value
	}
	if _, err := worker.ReadSettings(values); err != nil {
		w.t.Errorf("a worker cannot read what it is told: %v", err)
	}
}

func TestALostLeaseEndsTheTermAndTheNextOneBeginsAnew(t *testing.T) {
	w := newWorld(t)
	one := w.controller("one")
	w.start("controller", one.Run)
	await(t, "it leads", leads(one))
	before := metrics(t, one)
	if len(before) == 0 {
		t.Fatal("no metrics")
	}
	first := one.metrics.term.Load()

	// Somebody takes the lease away: an operator who deletes the record.
	runs := table.New(w.clients.DynamoDB, w.cfg.Tables.Runs)
	if err := runs.Delete(t.Context(), table.Key{PK: table.LeaseRecords, SK: "controller"}); err != nil {
		t.Fatal(err)
	}
	await(t, "the term ends", func() bool { return one.metrics.term.Load() != first })
	await(t, "it leads again", func() bool { return leads(one)() && one.metrics.term.Load() != nil && one.metrics.term.Load() != first })
	await(t, "the same metrics again", func() bool { // some more may have come in the longer term
		now := metrics(t, one)
		for name := range before {
			if !now[name] {
				return false
			}
		}
		return true
	})
	w.work()
	w.submit("after")
	if run := w.ended("after"); run.State != job.RunSucceeded {
		t.Errorf("%s (%s)", run.State, run.Reason)
	}
}

func TestAStandbyTakesOverFromAControllerThatLeaves(t *testing.T) {
	w := newWorld(t)
	one, two := w.controller("one"), w.controller("two")
	stop := w.start("one", one.Run)
	await(t, "one leads", leads(one))
	w.start("two", two.Run)
	if role, ok := two.ready(); role != "standby" || !ok {
		t.Errorf("the second is %s, ready: %t", role, ok)
	}
	stop()
	await(t, "two leads", leads(two))
}

func TestWhatIsMissingIsNamedAtTheStart(t *testing.T) {
	w := newWorld(t)
	for want, change := range map[string]func(c *config.Config){
		`open queue "nothing": it does not exist in this account and Region`: func(c *config.Config) { c.Queues.Events = "nothing" },
		`open queue "none": it does not exist in this account and Region`:    func(c *config.Config) { c.Pools[0].Queue = "none" },
		`open table "runs": it does not exist in this account and Region`:    func(c *config.Config) { c.Tables.Runs = "runs" },
		`open table "ledger": it does not exist in this account and Region`:  func(c *config.Config) { c.Tables.Outputs = "ledger" },
		`there is no bucket data`: func(c *config.Config) { c.Bucket = "data" },
		`redis.url: `:             func(c *config.Config) { c.Redis.URL = "redis://x:y:z" },
	} {
		cfg := *w.cfg
		cfg.Pools = append([]config.Pool(nil), w.cfg.Pools...)
		change(&cfg)
		_, err := New(t.Context(), Options{Config: &cfg, Clients: w.clients, Holder: "one", Log: zerolog.Nop()})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
}

func TestAnInstallationAsItIsProvisionedHasNothingToFind(t *testing.T) {
	w := newWorld(t)
	for _, f := range w.controller("one").inspector().Findings(t.Context()) {
		t.Errorf("found: %s", f)
	}
}

func TestABucketThatTellsNobodyOfOutputsIsFoundUntilItDoes(t *testing.T) {
	w := newWorld(t)
	c := w.controller("one")
	was, err := w.clients.S3.GetBucketNotificationConfiguration(t.Context(), &s3.GetBucketNotificationConfigurationInput{Bucket: &w.cfg.Bucket})
	if err != nil {
		t.Fatal(err)
	}
	configure := func(queues []s3types.QueueConfiguration) {
		if _, err := w.clients.S3.PutBucketNotificationConfiguration(t.Context(), &s3.PutBucketNotificationConfigurationInput{
			Bucket: &w.cfg.Bucket, NotificationConfiguration: &s3types.NotificationConfiguration{QueueConfigurations: queues},
		}); err != nil {
			t.Fatal(err)
		}
	}
	configure(nil)
	found := c.inspector().Findings(t.Context())
	if len(found) != 1 || found[0].Check != cache.CheckNotifications || !strings.Contains(found[0].Fix, "put-bucket-notification-configuration") {
		t.Errorf("found %v", found)
	}
	configure(was.QueueConfigurations)
	if found := c.inspector().Findings(t.Context()); len(found) != 0 {
		t.Errorf("found %v when it was mended", found)
	}
}

func TestALifecycleThatRemovesWhatTheCachePromisesStopsAControllerFromStarting(t *testing.T) {
	w := newWorld(t)
	w.cfg.Cache.Retention += 24 * time.Hour // the bucket's rule stays as it was provisioned
	_, err := New(t.Context(), Options{Config: w.cfg, Clients: w.clients, Holder: "one", Log: zerolog.Nop()})
	if err == nil || !strings.Contains(err.Error(), "Set its days to 35 or more, or cache.retention to 30d or less") {
		t.Errorf("error is %v", err)
	}
}

func TestTheLeaderSavesTheCachesStatus(t *testing.T) {
	w := newWorld(t)
	c := w.controller("one")
	if _, found, err := cache.ReadStatus(t.Context(), c.runs); found || err != nil {
		t.Fatalf("a status before the first: %t, error %v", found, err)
	}
	w.start("one", c.Run)
	await(t, "the status says that the view is live", func() bool {
		s, found, err := cache.ReadStatus(t.Context(), c.runs)
		return err == nil && found && s.State == cache.StateLive && s.Epoch > 0 && !s.Checked.IsZero()
	})
}

func TestAQueueWithoutDeadLettersIsWarnedOf(t *testing.T) {
	w := newWorld(t)
	if _, err := w.clients.SQS.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("bare")}); err != nil {
		t.Fatal(err)
	}
	w.cfg.Pools[0].Queue = "bare"
	var log bytes.Buffer
	if _, err := New(t.Context(), Options{Config: w.cfg, Clients: w.clients, Holder: "one", Log: zerolog.New(&log)}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "no redrive policy") || !strings.Contains(log.String(), `"pool":"rollup"`) {
		t.Errorf("the log is %s", log.String())
	}
}

func TestATakenAddressIsAnErrorOfRun(t *testing.T) {
	w := newWorld(t)
	w.cfg.HTTP.Listen = strings.TrimPrefix(aws.ToString(w.clients.SQS.Options().BaseEndpoint), "http://") // the sandbox's
	err := w.controller("one").Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("error is %v", err)
	}
}
