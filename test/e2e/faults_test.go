package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"spate/internal/objects"
	"spate/job"
)

func TestNothingIsLostWithRedis(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: nesting})
	g := newRedisGate(t, strings.TrimPrefix(in.variable("SPATE_REDIS_URL"), "redis://"))
	in.serveWith(t, "SPATE_REDIS_URL", g.URL())

	// Emptied in the middle of a run.
	jobs := newLayers("emptied", 20, 4)
	file := in.write(t, "emptied.yaml", jobs.runFile)
	run := in.submit(t, file)
	in.eventuallyDone(t, run, 8)
	in.emptyRedis(t)
	in.checkRun(t, run, jobs.want)
	in.checkNothingToDo(t, file, len(jobs.want))

	// Emptied between two runs.
	in.emptyRedis(t)
	in.checkNothingToDo(t, file, len(jobs.want))

	// Out of reach in the middle of a run, and during the whole of the next.
	jobs = newLayers("stopped", 20, 4)
	file = in.write(t, "stopped.yaml", jobs.runFile)
	run = in.submit(t, file)
	in.eventuallyDone(t, run, 8)
	g.Cut()
	in.checkRun(t, run, jobs.want)
	in.checkNothingToDo(t, file, len(jobs.want))

	// Back, and empty.
	in.emptyRedis(t)
	g.Mend(t)
	in.checkNothingToDo(t, file, len(jobs.want))
}

func (in *installation) emptyRedis(t *testing.T) {
	t.Helper()
	if err := in.redis.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

// Each job message comes twice, and two workers run each job at the same time, with different results.
func TestOneWholeOutputIsVisibleWhenTwoWorkersFinishTheSameJobDifferently(t *testing.T) {
	t.Parallel()
	meeting := t.TempDir()
	in := install(t, setup{maxWorkers: 4, tasks: fmt.Sprintf(`
dice:
  # It waits for the other worker, and writes two files that tell which attempt they are of.
  command:
    - sh
    - -c
    - |
      me=$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')
      here=%s/$SPATE_JOB_KEY
      mkdir -p "$here" && : > "$here/$me"
      n=0
      while [ $(ls "$here" | wc -l) -lt 2 ] && [ $n -lt 100 ]; do sleep 0.1; n=$((n+1)); done
      echo "$me" > out/one
      cat in/*/one > out/parents 2>/dev/null
      echo "$me" > out/two
  timeout: 30s`, meeting)})
	in.reconfigure(t, "slots: 1\n", "slots: 1\n    min: 4\n") // for two jobs alone there would be two workers
	g := newGate(t, in.variable("AWS_ENDPOINT_URL"))
	var twice sync.Once
	g.Watch(func(c *call) {
		if c.Operation == "SQS.SendMessageBatch" && c.Answered && c.Has(jobsQueue+`"`) {
			in.sendAgain(t, c.Body)
			twice.Do(func() { t.Log("job messages come twice") })
		}
	})
	in.serveThrough(t, g)
	jobs := newLayers("dice", 2, 2)
	file := in.write(t, "run.yaml", jobs.of("dice"))
	run := in.mustSucceed(t, file)
	if p := run.Progress; p.Done != 4 {
		t.Errorf("progress %+v, want 4 jobs done", p)
	}
	eventually(t, "the queue is empty", func() bool { return in.depth(t, jobsQueue) == 0 })
	for id, r := range in.results(t, run.ID) {
		attempts, err := filepath.Glob(filepath.Join(meeting, r.Key.String(), "*"))
		if err != nil || len(attempts) < 2 {
			t.Errorf("job %s was run %d times (%v), the test wants 2", id, len(attempts), err)
		}
		output := in.output(t, r.Key) // compares with the manifest
		if output["one"] == "" || output["one"] != output["two"] {
			t.Errorf("the output of job %s is of several attempts: %q", id, output)
		}
		manifest := in.manifest(t, r.Key)
		want := []string{job.ManifestPath(r.Key)}
		for _, f := range manifest.Files {
			want = append(want, manifest.Object(f))
		}
		slices.Sort(want)
		eventually(t, "the loser's files are gone", func() bool { return slices.Equal(want, in.list(t, job.OutputPrefix(r.Key))) })
	}
	g.Watch(nil)
	in.checkNothingToDo(t, file, 4)
}

// sendAgain repeats a SendMessageBatch, as a standard queue may repeat a delivery.
func (in *installation) sendAgain(t *testing.T, body []byte) {
	t.Helper()
	var batch struct {
		QueueURL string `json:"QueueUrl"`
		Entries  []struct{ MessageBody string }
	}
	if err := json.Unmarshal(body, &batch); err != nil {
		t.Errorf("read a batch of messages: %v", err)
		return
	}
	for _, e := range batch.Entries {
		if _, err := in.clients.SQS.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &batch.QueueURL, MessageBody: &e.MessageBody}); err != nil {
			t.Errorf("send a message again: %v", err)
		}
	}
}

func TestAnOutputWhoseManifestWasDeletedIsMadeAgain(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: nesting})
	in.serve(t)
	jobs := newLayers("manifest", 3, 2)
	file := in.write(t, "run.yaml", jobs.runFile)
	run := in.mustSucceed(t, file)
	results := in.results(t, run.ID)
	for _, id := range []string{"manifest-0-1", "manifest-2-0"} { // one that is needed by others, one that is not
		in.delete(t, job.ManifestPath(results[id].Key))
	}
	again := in.mustSucceed(t, file)
	if p := again.Progress; p.Executed != 2 {
		t.Errorf("progress %+v, want the 2 deleted outputs made again and nothing else", p)
	}
	in.checkRun(t, again.ID, jobs.want)
}

func TestAChildMakesItsParentsRunAgainOfWhoseOutputsAFileIsMissingCutOrChanged(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: nesting})
	in.serve(t)
	const text = `{name: %s, pool: work, jobs: [
  {id: missing, task: nest, params: {id: m}},
  {id: cut, task: nest, params: {id: c}},
  {id: changed, task: nest, params: {id: x}},
  {id: sound, task: nest, params: {id: s}},
  {id: child, task: nest, params: {id: %s}, needs: {missing: missing, cut: cut, changed: changed, sound: sound}}]}`
	first := in.mustSucceed(t, in.write(t, "first.yaml", fmt.Sprintf(text, "first", "c1")))
	results := in.results(t, first.ID)
	before := map[string]*job.Manifest{}
	for id, damage := range map[string]func(object string, size int64){
		"missing": func(object string, _ int64) { in.delete(t, object) },
		"cut":     func(object string, size int64) { in.put(t, object, strings.Repeat("c", int(size)-1)) },
		"changed": func(object string, size int64) { in.put(t, object, strings.Repeat("x", int(size))) },
	} {
		before[id] = in.manifest(t, results[id].Key)
		damage(before[id].Object(before[id].Files[0]), before[id].Files[0].Size)
	}
	// The workers of the first run hold the files in their caches, and need them not.
	eventually(t, "the workers have left", func() bool { return in.running(t) == 0 })

	file := in.write(t, "second.yaml", fmt.Sprintf(text, "second", "c2"))
	second := in.mustSucceed(t, file)
	if p := second.Progress; p.Jobs != 5 || p.Executed != 4 {
		t.Errorf("progress %+v, want the child and three parents executed and the sound one not", p)
	}
	in.checkRun(t, second.ID, map[string]string{
		"missing": nested("m"), "cut": nested("c"), "changed": nested("x"), "sound": nested("s"),
		"child": nested("c2") + nested("x") + nested("c") + nested("m") + nested("s"),
	})
	for id, damaged := range before {
		if made := in.manifest(t, damaged.Key); made.Attempt == damaged.Attempt || made.Run != second.ID {
			t.Errorf("the output of %s is still attempt %s of run %s", id, made.Attempt, made.Run)
		}
		eventually(t, "the ledger tells of the new output of "+id, func() bool { return in.ledgerRun(t, damaged.Key) == second.ID })
	}
	if third := in.mustSucceed(t, file); third.Progress.Executed != 0 {
		t.Errorf("progress %+v, want nothing executed", third.Progress)
	}
}

// ledgerRun is the run that the ledger's item of a key names; "" when there is none.
func (in *installation) ledgerRun(t *testing.T, key job.Key) string {
	t.Helper()
	out, err := in.clients.DynamoDB.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: aws.String(outputsTable), ConsistentRead: aws.Bool(true),
		Key: map[string]dynamodbtypes.AttributeValue{"key": &dynamodbtypes.AttributeValueMemberS{Value: key.String()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	run, ok := out.Item["run_id"].(*dynamodbtypes.AttributeValueMemberS)
	if !ok {
		return ""
	}
	return run.Value
}

func (in *installation) put(t *testing.T, object, content string) {
	t.Helper()
	if _, err := in.objects.Put(t.Context(), object, []byte(content), objects.Condition{}); err != nil {
		t.Fatal(err)
	}
}

func (in *installation) delete(t *testing.T, object string) {
	t.Helper()
	if err := in.objects.Delete(t.Context(), object, objects.Condition{}); err != nil {
		t.Fatal(err)
	}
}

// running is how many tasks are meant to run.
func (in *installation) running(t *testing.T) int {
	t.Helper()
	out, err := in.clients.ECS.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String(cluster)})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.TaskArns)
}

// A worker that ECS stops gives its message back at once, not when the visibility timeout ends.
func TestAJobRunsElsewhereAtOnceWhenItsWorkerIsStopped(t *testing.T) {
	t.Parallel()
	marks := filepath.Join(t.TempDir(), "attempts")
	in := install(t, setup{maxWorkers: 1, tasks: fmt.Sprintf(`
slow:
  # The first attempt does not end by itself.
  command: [sh, -c, 'echo "$$" >> %[1]s; [ $(wc -l < %[1]s) -gt 1 ] || sleep 600; echo done > out/value']
  timeout: 15m`, marks)})
	in.reconfigure(t, "visibility_timeout: "+visibility.String(), "visibility_timeout: 2m")
	in.setStopGrace(t, "1s")
	in.serve(t)
	started := time.Now()
	run := in.submit(t, in.write(t, "run.yaml", `{name: stopped, pool: work, jobs: [{id: a, task: slow}]}`))
	eventually(t, "the job runs", func() bool { return lines(marks) == 1 })
	in.stopTasks(t)
	eventually(t, "the job runs on another worker", func() bool { return lines(marks) == 2 })
	v := in.ended(t, run)
	if v.State != "succeeded" || len(v.Failures) > 0 || v.Progress.Retried != 0 {
		t.Errorf("run is %s with failures %+v and progress %+v, want success at the first attempt", v.State, v.Failures, v.Progress)
	}
	if took := time.Since(started); took > time.Minute {
		t.Errorf("the run took %s: the message came back by its visibility timeout", took)
	}
	if tasks := in.tasks(t); len(tasks) != 2 {
		t.Errorf("there were %d workers, want 2", len(tasks))
	}
}

// reconfigure changes the configuration of controllers that are started from now on.
func (in *installation) reconfigure(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(in.config)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(data), from) != 1 {
		t.Fatalf("the configuration does not say %q once:\n%s", from, data)
	}
	in.write(t, filepath.Base(in.config), strings.ReplaceAll(string(data), from, to))
}

// setStopGrace registers a revision of the pool's task definition that leaves workers less time to stop.
func (in *installation) setStopGrace(t *testing.T, grace string) {
	t.Helper()
	out, err := in.clients.ECS.DescribeTaskDefinition(t.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String(family)})
	if err != nil {
		t.Fatal(err)
	}
	d := out.TaskDefinition
	d.ContainerDefinitions[0].Environment = append(d.ContainerDefinitions[0].Environment, ecstypes.KeyValuePair{Name: aws.String("SPATE_STOP_GRACE"), Value: &grace})
	_, err = in.clients.ECS.RegisterTaskDefinition(t.Context(), &ecs.RegisterTaskDefinitionInput{
		Family: d.Family, RequiresCompatibilities: d.RequiresCompatibilities, NetworkMode: d.NetworkMode, Cpu: d.Cpu, Memory: d.Memory,
		RuntimePlatform: d.RuntimePlatform, ContainerDefinitions: d.ContainerDefinitions,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// All of S3's notifications are lost, and then the controller's memory.
func TestNothingIsExecutedAgainWhenNotificationsAreLost(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: nesting})
	g := newGate(t, in.variable("AWS_ENDPOINT_URL"))
	var mu sync.Mutex
	lost := map[string]bool{}
	g.Watch(func(c *call) {
		if c.Operation != "SQS.ReceiveMessage" || !c.Answered || !c.Has(outputsQueue+`"`) {
			return
		}
		url, handles := received(c)
		mu.Lock()
		defer mu.Unlock()
		for _, handle := range handles {
			if _, err := in.clients.SQS.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: &handle}); err != nil {
				t.Errorf("lose a notification: %v", err)
			}
			lost[handle] = true
		}
		c.Answer = []byte("{}")
	})
	controller := in.serveThrough(t, g)
	jobs := newLayers("notices", 4, 5)
	file := in.write(t, "run.yaml", jobs.runFile)
	in.checkRun(t, in.submit(t, file), jobs.want)
	eventually(t, "all notifications are lost", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(lost) >= len(jobs.want)
	})
	in.checkNothingToDo(t, file, len(jobs.want))
	controller.stop(t)
	in.serve(t)
	again := in.mustSucceed(t, file)
	if p := again.Progress; p.Executed != 0 || p.Reused+p.Cached != len(jobs.want) {
		t.Errorf("progress %+v, want nothing executed", p)
	} else {
		t.Logf("%d notifications lost: %d jobs cached, %d found by workers", len(lost), p.Cached, p.Reused)
	}
}
