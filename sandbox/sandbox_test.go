package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"spate/sandbox"
	"spate/sandbox/ecs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a sandbox that runs, and clients of it.
type running struct {
	*sandbox.Sandbox
	logs string
	end  func() // stops it and waits
	ecs  *awsecs.Client
	sqs  *sqs.Client
	s3   *s3.Client
	http *http.Client
}

func start(t testing.TB, options sandbox.Options) *running {
	t.Helper()
	logs := t.TempDir()
	options.LogDir, options.Log = logs, zerolog.Nop()
	box, err := sandbox.New(options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- box.Run(ctx) }()
	transport := &http.Transport{MaxIdleConnsPerHost: 10}
	stop := func() {
		cancel()
		if err, open := <-ended; open && err != nil {
			t.Errorf("run: %v", err)
		}
		transport.CloseIdleConnections()
	}
	r := &running{Sandbox: box, logs: logs, http: &http.Client{Transport: transport}}
	over := false
	r.end = func() {
		if !over {
			over = true
			stop()
		}
	}
	t.Cleanup(r.end)
	config := aws.Config{
		BaseEndpoint: aws.String(box.Endpoint()), Region: "us-east-1", HTTPClient: r.http, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("sandbox", "sandbox", ""),
	}
	r.ecs, r.sqs = awsecs.NewFromConfig(config), sqs.NewFromConfig(config)
	r.s3 = s3.NewFromConfig(config, func(o *s3.Options) { o.UsePathStyle = true })
	return r
}

// define registers a task definition that runs a shell script.
func (r *running) define(t testing.TB, script string) {
	t.Helper()
	if _, err := r.ecs.CreateCluster(t.Context(), &awsecs.CreateClusterInput{ClusterName: aws.String("hpc")}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ecs.RegisterTaskDefinition(t.Context(), &awsecs.RegisterTaskDefinitionInput{
		Family: aws.String("worker"), Cpu: aws.String("256"), Memory: aws.String("512"),
		RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		ContainerDefinitions: []types.ContainerDefinition{{
			Name: aws.String("main"), Image: aws.String("worker@sha256:abc"), Essential: aws.Bool(true),
			Command: []string{"sh", "-c", script}, Environment: []types.KeyValuePair{{Name: aws.String("FROM"), Value: aws.String("definition")}},
		}},
	}); err != nil {
		t.Fatal(err)
	}
}

func (r *running) launch(t testing.TB, change func(*awsecs.RunTaskInput)) types.Task {
	t.Helper()
	in := &awsecs.RunTaskInput{Cluster: aws.String("hpc"), TaskDefinition: aws.String("worker"), LaunchType: types.LaunchTypeFargate}
	if change != nil {
		change(in)
	}
	out, err := r.ecs.RunTask(t.Context(), in)
	if err != nil || len(out.Tasks) != 1 {
		t.Fatalf("run task: %+v, %v", out, err)
	}
	return out.Tasks[0]
}

// until describes the task until it has the status.
func (r *running) until(t *testing.T, arn, status string) types.Task {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	between := time.NewTicker(50 * time.Millisecond)
	defer between.Stop()
	for {
		out, err := r.ecs.DescribeTasks(t.Context(), &awsecs.DescribeTasksInput{Cluster: aws.String("hpc"), Tasks: []string{arn}})
		if err != nil || len(out.Tasks) != 1 {
			t.Fatalf("describe: %+v, %v", out, err)
		}
		if *out.Tasks[0].LastStatus == status {
			return out.Tasks[0]
		}
		if time.Now().After(deadline) {
			t.Fatalf("task is still %s, want %s", *out.Tasks[0].LastStatus, status)
		}
		<-between.C // reads of tasks have a quota
	}
}

// untilLogged reads the task's log until it has the text.
func (r *running) untilLogged(t *testing.T, arn, text string) string {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		log, err := os.ReadFile(filepath.Join(r.logs, arn[strings.LastIndex(arn, "/")+1:]+".log"))
		if err == nil && strings.Contains(string(log), text) {
			return string(log)
		}
		if time.Now().After(deadline) {
			t.Fatalf("log is %q, %v; want %q", log, err, text)
		}
	}
}

func TestATaskIsAProcessWithTheEnvironmentOfItsDefinitionAndOverride(t *testing.T) {
	t.Setenv("SECRET_OF_THE_HOST", "must not leak")
	r := start(t, sandbox.Options{})
	r.define(t, `env; echo "$0 in $PWD"; exit 3`)
	task := r.launch(t, func(in *awsecs.RunTaskInput) {
		in.Overrides = &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{
			Name: aws.String("main"), Environment: []types.KeyValuePair{
				{Name: aws.String("FROM"), Value: aws.String("override")}, {Name: aws.String("POOL"), Value: aws.String("rollup")},
			},
		}}}
	})
	ended := r.until(t, *task.TaskArn, "STOPPED")
	if *ended.Containers[0].ExitCode != 3 || ended.StopCode != types.TaskStopCodeEssentialContainerExited ||
		*ended.StoppedReason != "Essential container in task exited" {
		t.Errorf("ended as %d, %s, %s", *ended.Containers[0].ExitCode, ended.StopCode, *ended.StoppedReason)
	}
	log := r.untilLogged(t, *task.TaskArn, "sh in ")
	for _, want := range append(r.Env(), "FROM=override", "POOL=rollup", "ECS_CONTAINER_METADATA_URI_V4="+r.Endpoint()+"/_sandbox/metadata/v4/") {
		if !strings.Contains(log, want) {
			t.Errorf("environment lacks %s", want)
		}
	}
	for _, unwanted := range []string{"SECRET_OF_THE_HOST", "FROM=definition"} {
		if strings.Contains(log, unwanted) {
			t.Errorf("environment has %s", unwanted)
		}
	}
}

func TestTheCommandIsFoundOnTheTaskPathFirst(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sh"), []byte("#!/bin/sh\necho the other sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := start(t, sandbox.Options{TaskPath: []string{dir}})
	r.define(t, "echo the usual sh")
	r.untilLogged(t, *r.launch(t, nil).TaskArn, "the other sh")
}

func TestAnUnknownCommandIsATaskThatFailedToStart(t *testing.T) {
	r := start(t, sandbox.Options{})
	r.define(t, "true")
	task := r.launch(t, func(in *awsecs.RunTaskInput) {
		in.Overrides = &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{
			Name: aws.String("main"), Command: []string{"no-such-program"},
		}}}
	})
	ended := r.until(t, *task.TaskArn, "STOPPED")
	if ended.StopCode != types.TaskStopCodeTaskFailedToStart || !strings.HasPrefix(*ended.StoppedReason, "CannotStartContainerError: ") {
		t.Errorf("%s: %s", ended.StopCode, *ended.StoppedReason)
	}
}

func TestStopTaskSendsSIGTERM(t *testing.T) {
	r := start(t, sandbox.Options{})
	r.define(t, `trap 'echo leaving; exit 7' TERM; echo ready; while :; do sleep 0.05; done`)
	arn := *r.launch(t, nil).TaskArn
	r.untilLogged(t, arn, "ready")
	if _, err := r.ecs.StopTask(t.Context(), &awsecs.StopTaskInput{Cluster: aws.String("hpc"), Task: &arn, Reason: aws.String("enough")}); err != nil {
		t.Fatal(err)
	}
	ended := r.until(t, arn, "STOPPED")
	if *ended.Containers[0].ExitCode != 7 || *ended.StoppedReason != "enough" || ended.StopCode != types.TaskStopCodeUserInitiated {
		t.Errorf("ended with %d, %q, %s", *ended.Containers[0].ExitCode, *ended.StoppedReason, ended.StopCode)
	}
}

func TestNoTaskOutlivesTheSandbox(t *testing.T) {
	r := start(t, sandbox.Options{StopGrace: 100 * time.Millisecond})
	// A shell that ignores SIGTERM, with a child of its own.
	r.define(t, `trap '' TERM; sleep 600 & echo "pids $$ $! end"; wait`)
	arn := *r.launch(t, nil).TaskArn
	fields := strings.Fields(r.untilLogged(t, arn, "end"))
	r.end()
	for _, pid := range fields[1:3] {
		untilGone(t, pid)
	}
}

func TestWhatATaskLeavesBehindEndsWithIt(t *testing.T) {
	r := start(t, sandbox.Options{})
	r.define(t, `sleep 600 & echo "pid $! end"`)
	arn := *r.launch(t, nil).TaskArn
	fields := strings.Fields(r.untilLogged(t, arn, "end"))
	r.until(t, arn, "STOPPED")
	untilGone(t, fields[1])
}

// untilGone waits for the end of a process.
func untilGone(t *testing.T, text string) {
	t.Helper()
	pid, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for alive(pid) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d of the task is still there", pid)
		}
	}
}

// alive says whether the process runs; one that only waits to be reaped by init
// does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestATaskReadsItsImageFromTheMetadataEndpoint(t *testing.T) {
	r := start(t, sandbox.Options{})
	r.define(t, `sleep 600`)
	task := r.launch(t, nil)
	get := func(path string, into any) {
		t.Helper()
		response, err := r.http.Get(r.Endpoint() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if err := json.NewDecoder(response.Body).Decode(into); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	id := (*task.TaskArn)[strings.LastIndex(*task.TaskArn, "/")+1:]
	var container struct{ Name, ImageID string }
	get("/_sandbox/metadata/v4/"+id, &container)
	if container.Name != "main" || container.ImageID != "sha256:abc" {
		t.Errorf("container %+v", container)
	}
	var whole struct {
		TaskARN, Family, Revision, LaunchType string
		Containers                            []struct{ ImageID string }
	}
	get("/_sandbox/metadata/v4/"+id+"/task", &whole)
	if whole.TaskARN != *task.TaskArn || whole.Family != "worker" || whole.Revision != "1" || whole.Containers[0].ImageID != "sha256:abc" {
		t.Errorf("task %+v", whole)
	}
}

func TestAChangedRequestWithAKnownTokenIsAConflictForTheSDK(t *testing.T) {
	r := start(t, sandbox.Options{})
	r.define(t, "true")
	first := r.launch(t, func(in *awsecs.RunTaskInput) { in.ClientToken = aws.String("intent-1") })
	again := r.launch(t, func(in *awsecs.RunTaskInput) { in.ClientToken = aws.String("intent-1") })
	if *first.TaskArn != *again.TaskArn {
		t.Error("the repeated request launched another task")
	}
	_, err := r.ecs.RunTask(t.Context(), &awsecs.RunTaskInput{
		Cluster: aws.String("hpc"), TaskDefinition: aws.String("worker"), LaunchType: types.LaunchTypeFargate,
		ClientToken: aws.String("intent-1"), StartedBy: aws.String("other"),
	})
	var conflict *types.ConflictException
	if !errors.As(err, &conflict) || len(conflict.ResourceIds) != 1 || conflict.ResourceIds[0] != *first.TaskArn {
		t.Errorf("got %v", err)
	}
}

func TestAnUnknownOperationIsRefusedInTheProtocolsOwnWay(t *testing.T) {
	r := start(t, sandbox.Options{})
	_, err := r.ecs.ListServices(t.Context(), &awsecs.ListServicesInput{})
	var fault smithy.APIError
	if !errors.As(err, &fault) || fault.ErrorCode() != "UnknownOperationException" {
		t.Errorf("got %v", err)
	}
}

func TestBucketNotificationsArriveInTheQueue(t *testing.T) {
	r := start(t, sandbox.Options{})
	queue, err := r.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("events")})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(*queue.QueueUrl, r.Endpoint()) {
		t.Errorf("queue URL %s", *queue.QueueUrl)
	}
	if _, err := r.s3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("data")}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.s3.PutBucketNotificationConfiguration(t.Context(), &s3.PutBucketNotificationConfigurationInput{
		Bucket: aws.String("data"), NotificationConfiguration: &s3types.NotificationConfiguration{
			QueueConfigurations: []s3types.QueueConfiguration{{
				QueueArn: aws.String("arn:aws:sqs:us-east-1:000000000000:events"), Events: []s3types.Event{"s3:ObjectCreated:*"},
			}},
		},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.s3.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("data"), Key: aws.String("k"), Body: strings.NewReader("x"),
	}); err != nil {
		t.Fatal(err)
	}
	out, err := r.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: queue.QueueUrl, MaxNumberOfMessages: 10})
	if err != nil || len(out.Messages) != 2 || !strings.Contains(*out.Messages[1].Body, `"eventName":"ObjectCreated:Put"`) {
		t.Errorf("received %+v, %v", out, err)
	}
}

func TestDynamoDBAnswersOnTheSamePort(t *testing.T) {
	r := start(t, sandbox.Options{})
	client := dynamodb.New(dynamodb.Options{
		BaseEndpoint: aws.String(r.Endpoint()), Region: "us-east-1", HTTPClient: r.http,
		Credentials: credentials.NewStaticCredentialsProvider("sandbox", "sandbox", ""),
	})
	if out, err := client.ListTables(t.Context(), &dynamodb.ListTablesInput{}); err != nil || len(out.TableNames) != 0 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestRedisAnswersAndExpires(t *testing.T) {
	r := start(t, sandbox.Options{})
	options, err := redis.ParseURL(r.RedisURL())
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	if err := client.Set(t.Context(), "k", "v", 50*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		if err := client.Get(t.Context(), "k").Err(); errors.Is(err, redis.Nil) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the key did not expire")
		}
	}
}

func TestHealthIsAnswered(t *testing.T) {
	r := start(t, sandbox.Options{})
	response, err := r.http.Get(r.Endpoint() + "/_sandbox/health")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "{\"status\":\"ok\"}\n" {
		t.Errorf("%q, %v", body, err)
	}
}

func TestALongPollEndsWithTheSandbox(t *testing.T) {
	r := start(t, sandbox.Options{})
	queue, err := r.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("jobs")})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// Whether the poll is told or cut off, it must not hold up the end.
		_, _ = r.sqs.ReceiveMessage(context.WithoutCancel(t.Context()), &sqs.ReceiveMessageInput{QueueUrl: queue.QueueUrl, WaitTimeSeconds: 20})
	}()
	began := time.Now()
	r.end()
	<-ended
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func BenchmarkRunTask(b *testing.B) {
	account := sandbox.Instant()
	plenty := ecs.Rate{Burst: 1e6, PerSecond: 1e6}
	account.ECS.OnDemand.Launches, account.ECS.ChangeCalls, account.ECS.RunTaskCalls = plenty, plenty, plenty
	r := start(b, sandbox.Options{Account: &account})
	r.define(b, "exit 0")
	for b.Loop() {
		r.launch(b, nil)
	}
}
