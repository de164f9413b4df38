package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"spate/sandbox"
	"spate/sandbox/fault"
)

// ask sends a request to the sandbox's own endpoints.
func (r *running) ask(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, r.Endpoint()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := r.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// code is an answer's error code; "ok" without an error.
func code(err error) string {
	if err == nil {
		return "ok"
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return err.Error()
}

func (r *running) arm(t *testing.T, rule fault.Rule) {
	t.Helper()
	if _, err := r.Faults().Add(rule); err != nil {
		t.Fatal(err)
	}
}

func TestAFaultOfAnOperationThatIsNotServedIsRefused(t *testing.T) {
	r := start(t, sandbox.Options{})
	for rule, want := range map[string]string{
		`{"service":"ecs","operation":"Runtask","kind":"throttle"}`:          `operation \"Runtask\": want one of`,
		`{"service":"s3","operation":"TaskStateChange","kind":"duplicate"}`:  "want one of",
		`{"service":"ecs","operation":"TaskStateChange","kind":"duplicate"}`: `"id": "fault-`,
		`{"service":"s3","operation":"Notification","kind":"duplicate"}`:     `"id": "fault-`,
	} {
		if _, text := r.ask(t, "POST", "/_sandbox/faults", rule); !strings.Contains(text, want) {
			t.Errorf("%s: %s", rule, text)
		}
	}
	if n := len(r.Faults().Rules()); n != 2 {
		t.Errorf("%d faults are armed, want 2", n)
	}
}

func TestAFaultIsArmedOverHTTPAndMeetsTheCallsItNames(t *testing.T) {
	r := start(t, sandbox.Options{Seed: 7})
	queue, err := r.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("jobs")})
	if err != nil {
		t.Fatal(err)
	}
	status, text := r.ask(t, "POST", "/_sandbox/faults",
		`{"service":"sqs","operation":"SendMessage","match":"jobs","kind":"throttle","after":1,"count":2}`)
	if status != http.StatusCreated || !strings.Contains(text, `"id": "fault-1"`) {
		t.Fatalf("%d %s", status, text)
	}
	var got []string
	for range 4 {
		_, err := r.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: queue.QueueUrl, MessageBody: aws.String("x")})
		got = append(got, code(err))
	}
	if diff := cmp.Diff([]string{"ok", "RequestThrottled", "RequestThrottled", "ok"}, got); diff != "" {
		t.Error(diff)
	}
	_, text = r.ask(t, "GET", "/_sandbox/state", "")
	var state sandbox.State
	if err := json.Unmarshal([]byte(text), &state); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"ok": 2, "RequestThrottled": 2}, state.Calls["sqs"]["SendMessage"]); diff != "" {
		t.Error(diff)
	}
	if len(state.Faults) != 1 || state.Faults[0].Seen != 4 || state.Faults[0].Applied != 2 || state.Seed != 7 {
		t.Errorf("%+v", state)
	}
	if !strings.Contains(text, `"visible": 2`) {
		t.Errorf("no depth in\n%s", text)
	}
	if status, _ := r.ask(t, "DELETE", "/_sandbox/faults/fault-1", ""); status != http.StatusNoContent {
		t.Errorf("removing: %d", status)
	}
	if status, text := r.ask(t, "DELETE", "/_sandbox/faults/fault-1", ""); status != http.StatusNotFound {
		t.Errorf("removing again: %d %s", status, text)
	}
}

func TestABadFaultIsRefusedWithWhatIsWrong(t *testing.T) {
	r := start(t, sandbox.Options{})
	for body, want := range map[string]string{
		`{"service":"sns","kind":"reject"}`:                  "service",
		`{"service":"sqs","kind":"explode"}`:                 "kind",
		`{"service":"sqs","kind":"reject","chance":1}`:       "chance",
		`{"service":"sqs","kind":"delay"}`:                   "delay",
		`{"service":"sqs","kind":"reject","probability":2}`:  "probability",
		`{"service":"s3","kind":"kill"}`:                     "only tasks",
		`{"service":"sqs","kind":"reject","status":200}`:     "status",
		`{"service":"sqs","kind":"reject"}{"service":"sqs"}`: "more after",
	} {
		status, text := r.ask(t, "POST", "/_sandbox/faults", body)
		if status != http.StatusBadRequest || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
}

func TestADroppedAnswerLeavesTheWorkDone(t *testing.T) {
	r := start(t, sandbox.Options{})
	if _, err := r.s3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("data")}); err != nil {
		t.Fatal(err)
	}
	r.arm(t, fault.Rule{Service: fault.S3, Operation: "PutObject", Kind: fault.Drop, Count: 1})
	put := &s3.PutObjectInput{Bucket: aws.String("data"), Key: aws.String("a"), Body: strings.NewReader("x")}
	_, err := r.s3.PutObject(t.Context(), put)
	if _, answered := errors.AsType[smithy.APIError](err); err == nil || answered {
		t.Fatalf("want a broken connection, got %v", err)
	}
	if _, err := r.s3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: put.Bucket, Key: put.Key}); err != nil {
		t.Errorf("the object is not there: %v", err)
	}
	if got := r.State().Calls["s3"]["PutObject"]["dropped"]; got != 1 {
		t.Errorf("%d dropped", got)
	}
}

func TestRefusalsAreInEachServicesForm(t *testing.T) {
	r := start(t, sandbox.Options{})
	tables := dynamodb.NewFromConfig(aws.Config{
		BaseEndpoint: aws.String(r.Endpoint()), Region: "us-east-1", HTTPClient: r.http, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("sandbox", "sandbox", ""),
	})
	for _, tc := range []struct {
		service                    string
		call                       func() error
		throttled, failed, unasked string
	}{
		{"ecs", func() error { _, err := r.ecs.ListClusters(t.Context(), nil); return err }, "ThrottlingException", "ServerException", "ok"},
		{"sqs", func() error { _, err := r.sqs.ListQueues(t.Context(), nil); return err }, "RequestThrottled", "InternalFailure", "ok"},
		{
			"dynamodb", func() error { _, err := tables.ListTables(t.Context(), nil); return err },
			"ProvisionedThroughputExceededException", "InternalServerError", "ok",
		},
		{"s3", func() error {
			_, err := r.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})
			return err
		}, "SlowDown", "InternalError", "NoSuchBucket"},
	} {
		r.arm(t, fault.Rule{Service: tc.service, Kind: fault.Throttle, Count: 1})
		throttled := code(tc.call())
		r.arm(t, fault.Rule{Service: tc.service, Kind: fault.Reject, Count: 1})
		failed := code(tc.call())
		r.arm(t, fault.Rule{Service: tc.service, Kind: fault.Reject, Count: 1, Code: "AccessDenied", Status: 403})
		denied := code(tc.call())
		want := []string{tc.throttled, tc.failed, "AccessDenied", tc.unasked}
		if diff := cmp.Diff(want, []string{throttled, failed, denied, code(tc.call())}); diff != "" {
			t.Errorf("%s: %s", tc.service, diff)
		}
	}
}

func TestTheSameSeedMeetsTheSameCalls(t *testing.T) {
	pattern := func(seed uint64) string {
		i := fault.New(seed)
		if _, err := i.Add(fault.Rule{Service: fault.ECS, Kind: fault.Reject, Probability: 0.5}); err != nil {
			t.Fatal(err)
		}
		var s strings.Builder
		for range 64 {
			fmt.Fprint(&s, len(i.Decide(fault.Call{Service: fault.ECS, Operation: "RunTask"})))
		}
		return s.String()
	}
	if again := pattern(1); again != pattern(1) {
		t.Error("one seed, two patterns")
	}
	if pattern(1) == pattern(2) {
		t.Error("two seeds, one pattern")
	}
}

func TestTheWholeSandboxRunsInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box, err := sandbox.New(sandbox.Options{InProcess: true, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- box.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}()
		config := aws.Config{
			BaseEndpoint: aws.String(box.Endpoint()), Region: "us-east-1", HTTPClient: &http.Client{Transport: box.Transport()},
			Credentials: credentials.NewStaticCredentialsProvider("sandbox", "sandbox", ""),
		}
		queues := sqs.NewFromConfig(config)
		queue, err := queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("jobs")})
		if err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		for range 45 {
			out, err := queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: queue.QueueUrl, WaitTimeSeconds: 20})
			if err != nil || len(out.Messages) > 0 {
				t.Fatalf("%v %v", out, err)
			}
		}
		if waited := time.Since(started); waited != 15*time.Minute {
			t.Errorf("waited %s", waited)
		}
		objects := s3.NewFromConfig(config, func(o *s3.Options) { o.UsePathStyle = true })
		if _, err := objects.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("data")}); err != nil {
			t.Fatal(err)
		}
		if _, err := objects.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: aws.String("data"), Key: aws.String("a"), Body: strings.NewReader("x"), IfNoneMatch: aws.String("*"),
		}); err != nil {
			t.Fatal(err)
		}
		head, err := objects.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("data"), Key: aws.String("a")})
		if err != nil || aws.ToInt64(head.ContentLength) != 1 {
			t.Errorf("%+v %v", head, err)
		}
		cache := redis.NewClient(&redis.Options{
			Addr: "127.0.0.1:1", Dialer: func(context.Context, string, string) (net.Conn, error) { return box.DialRedis() },
		})
		defer cache.Close()
		if err := cache.Set(t.Context(), "k", "v", time.Minute).Err(); err != nil {
			t.Error(err)
		}
		time.Sleep(61 * time.Second)
		if n, err := cache.Exists(t.Context(), "k").Result(); err != nil || n != 0 {
			t.Errorf("%d %v", n, err)
		}
		if _, err := box.Faults().Add(fault.Rule{Service: fault.SQS, Kind: fault.Drop, Count: 3}); err != nil {
			t.Fatal(err)
		}
		if _, err := queues.ListQueues(t.Context(), nil); !errors.Is(err, fault.ErrDropped) {
			t.Errorf("dropped: %v", err)
		}
	})
}
