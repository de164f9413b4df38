package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"spate/internal/awsclient"
	"spate/internal/objects"
	"spate/internal/queue"
	"spate/job"
	"spate/sandbox"
	"spate/sandbox/ecs"
	"spate/scaler"
	"spate/worker"
)

const feedsConfiguration = `
tables: {runs: spate-runs, outputs: spate-outputs}
bucket: spate-data
redis: {url: "redis://127.0.0.1:1"}
queues: {submissions: spate-submissions, events: spate-events, outputs: spate-outputs-created, task_events: spate-task-events}
pools:
  - {name: feeds, queue: spate-feeds, source: external, cluster: hpc, task_definition: spate-feeds, subnets: [a], max: 300, capacity: [{provider: FARGATE, max: 300}]}
tasks: {price: {command: ["true"]}}
`

// realWorkers are workers as they are, in process.
func realWorkers(t *testing.T, box func() *sandbox.Sandbox) *ecs.FunctionRuntime {
	dir := t.TempDir()
	return &ecs.FunctionRuntime{Run: func(ctx context.Context, task ecs.FunctionTask) int {
		settings, err := worker.ReadSettings(func(name string) string {
			if name == "PATH" {
				return "/usr/bin:/bin"
			}
			return task.Getenv(name)
		})
		if err != nil {
			t.Error(err)
			return 1
		}
		clients := awsclient.FromConfig(aws.Config{
			Region: "us-east-1", BaseEndpoint: aws.String(box().Endpoint()), HTTPClient: &http.Client{Transport: box().Transport()},
			Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
		})
		store := objects.New(clients.S3, settings.Bucket)
		w, err := worker.New(worker.Options{
			Jobs: queue.At(clients.SQS, settings.QueueURL), Events: queue.At(clients.SQS, settings.EventsQueueURL), Objects: store,
			Inputs: func(bucket string) worker.ObjectReader { return store.In(bucket) }, Identity: worker.Identity{TaskARN: task.ID, Image: testDigest},
			External: settings.External, Slots: settings.Slots, IdleTimeout: settings.IdleTimeout, Visibility: settings.Visibility,
			Retention: settings.Retention, StopGrace: settings.StopGrace, WorkDir: dir, Path: settings.Path,
			Log: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
		})
		if err != nil {
			t.Error(err)
			return 1
		}
		if _, err := w.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
			return 1
		}
		return 0
	}}
}

// messageOf is a job as another producer would send it, made from the documented format.
func messageOf(t *testing.T, n int) (job.Key, string) {
	t.Helper()
	text := fmt.Sprintf(`{"spec":{"v":1,"namespace":"default","image":%q,"platform":"linux/amd64",`+
		`"task":{"name":"price","command":["true"],"input_dir":"in","output_dirs":["out"]},"params":{"n":%d},"inputs":{},"env":{}},"parents":{}}`, testDigest, n)
	doc, err := job.ParseDocument([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	key, err := doc.Key()
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{
		"v": 1, "run": "feed", "job": fmt.Sprintf("job-%d", n), "key": key, "document": json.RawMessage(text), "attempt": 1, "timeout": "10m",
	})
	if err != nil {
		t.Fatal(err)
	}
	return key, string(body)
}

// until waits in virtual time.
func until(t *testing.T, what string, most time.Duration, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); time.Sleep(time.Second) {
		if time.Since(began) > most {
			t.Fatalf("not within %s: %s", most, what)
		}
	}
}

func TestAPoolThatOthersFeedGrowsWithItsQueueAndShrinksToNothing(t *testing.T) {
	const jobs = 25
	synctest.Test(t, func(t *testing.T) {
		account := sandbox.Usual()
		account.ECS.NeverStart = 0
		account.ECS.Events = "spate-task-events"
		var f flood
		f = newFloodOf(t, account, realWorkers(t, func() *sandbox.Sandbox { return f.box }), feedsConfiguration)
		feeds := f.controller.queues.pools["feeds"]
		dead := f.controller.queues.deadLetters["feeds"]
		deadLetters := func() int {
			depth, err := dead.Depth(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return depth.Visible
		}
		redrive(t, f, feeds.URL(), 3)
		time.Sleep(2 * time.Minute)
		if n := f.launched(t); n != 0 {
			t.Fatalf("%d workers for nothing", n)
		}

		keys := make([]job.Key, jobs)
		bodies := []string{"this is no job of Spate's"}
		for n := range jobs {
			var body string
			keys[n], body = messageOf(t, n)
			bodies = append(bodies, body)
		}
		if err := feeds.Send(t.Context(), bodies...); err != nil {
			t.Fatal(err)
		}
		until(t, "a worker for each message", 2*time.Minute, func() bool { return f.launched(t) == jobs+1 })
		until(t, "all outputs", 5*time.Minute, func() bool {
			for _, key := range keys {
				if _, _, err := f.controller.objects.Get(t.Context(), job.ManifestPath(key)); err != nil {
					return false
				}
			}
			return true
		})
		until(t, "the stray message given up", 10*time.Minute, func() bool { return deadLetters() == 1 })
		until(t, "no worker left", 40*time.Minute, func() bool { return f.alive(t) == 0 })
		time.Sleep(10 * time.Minute)
		if n := f.launched(t); n != jobs+1 {
			t.Errorf("%d workers were launched for %d messages", n, jobs+1)
		}
		statuses, err := scaler.ReadStatus(t.Context(), f.controller.runs)
		if err != nil || len(statuses) != 1 || statuses[0].Outstanding != 0 || statuses[0].Exited != jobs+1 || statuses[0].Parts.Events.IsZero() {
			t.Errorf("%+v, %v", statuses, err)
		}
	})
}

// redrive says how often a message of a queue may be received.
func redrive(t *testing.T, f flood, url string, most int) {
	t.Helper()
	_, err := f.controller.Clients.SQS.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: map[string]string{
		"RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:spate-feeds-dlq","maxReceiveCount":%d}`, most),
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// alive is how many tasks have not stopped.
func (f flood) alive(t *testing.T) int {
	t.Helper()
	state, ok := f.box.State().ECS.(ecs.State)
	if !ok {
		t.Fatal("the state of ECS is of another type")
	}
	n := 0
	for status, tasks := range state.Tasks {
		if status != "STOPPED" {
			n += tasks
		}
	}
	return n
}

// slowest is the longest time for which the pool's status showed fewer running workers than there were, while as many
// start as there are messages.
func (f flood) slowest(t *testing.T, workers int) time.Duration {
	t.Helper()
	var bodies []string
	for n := range workers {
		_, body := messageOf(t, n)
		bodies = append(bodies, body)
	}
	if err := f.controller.queues.pools["feeds"].Send(t.Context(), bodies...); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	ran := make([]time.Time, 0, workers) // when the first, the second, … worker ran
	shown := 0
	var slowest time.Duration
	for shown < workers {
		if time.Since(began) > 10*time.Minute {
			t.Fatalf("%d of %d workers running, %d shown", len(ran), workers, shown)
		}
		time.Sleep(250 * time.Millisecond)
		state, ok := f.box.State().ECS.(ecs.State)
		if !ok {
			t.Fatal("the state of ECS is of another type")
		}
		for len(ran) < state.Tasks["RUNNING"] {
			ran = append(ran, time.Now())
		}
		statuses, err := scaler.ReadStatus(t.Context(), f.controller.runs)
		if err != nil || len(statuses) != 1 {
			t.Fatalf("%+v, %v", statuses, err)
		}
		for ; shown < min(statuses[0].Running, len(ran)); shown++ {
			slowest = max(slowest, time.Since(ran[shown]))
		}
	}
	return slowest
}

func TestTaskEventsTellOfEachStartWithinSeconds(t *testing.T) {
	took := map[bool]time.Duration{}
	for _, events := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			account := sandbox.Usual()
			account.ECS.NeverStart = 0
			if events {
				account.ECS.Events = "spate-task-events"
			}
			configuration := feedsConfiguration
			if !events {
				configuration = strings.Replace(configuration, ", task_events: spate-task-events", "", 1)
			}
			f := newFloodOf(t, account, sleeping(), configuration)
			time.Sleep(10 * time.Second)
			took[events] = f.slowest(t, 150)
		})
	}
	t.Logf("the slowest start was shown after %s with events, %s without", took[true], took[false])
	if took[true] > 4*time.Second || took[false] < 5*time.Second {
		t.Errorf("the slowest start was shown after %s with events, %s without", took[true], took[false])
	}
}
