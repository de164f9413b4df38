package e2e

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"spate/job"
)

// handWritten sends requests as somebody does who has nothing but HTTP and the services' API references.
type handWritten struct {
	*testing.T
	endpoint string
}

// call sends one request of an AWS JSON protocol and returns the answer.
func (h handWritten) call(target, body string) (status int, answer map[string]any) {
	h.Helper()
	response := h.send(http.MethodPost, "/", body, "X-Amz-Target", target, "Content-Type", "application/x-amz-json-1.0")
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		h.Fatal(err)
	}
	answer = map[string]any{}
	if len(data) > 0 {
		decode(h.T, string(data), &answer)
	}
	return response.StatusCode, answer
}

// must is call for a request that must succeed.
func (h handWritten) must(target, body string) map[string]any {
	h.Helper()
	status, answer := h.call(target, body)
	if status != http.StatusOK {
		h.Fatalf("%s: HTTP %d %v", target, status, answer)
	}
	return answer
}

func (h handWritten) send(method, path, body string, header ...string) *http.Response {
	h.Helper()
	request, err := http.NewRequestWithContext(h.Context(), method, h.endpoint+path, strings.NewReader(body))
	if err != nil {
		h.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		h.Fatal(err)
	}
	return response
}

// object gets an object; the status alone when it is not there.
func (h handWritten) object(key string) (status int, content string) {
	h.Helper()
	response := h.send(http.MethodGet, "/"+bucket+"/"+key, "")
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		h.Fatal(err)
	}
	return response.StatusCode, string(data)
}

func (h handWritten) put(key, content string, header ...string) (status int) {
	h.Helper()
	response := h.send(http.MethodPut, "/"+bucket+"/"+key, content, header...)
	defer response.Body.Close()
	return response.StatusCode
}

func TestARunCanBeSubmittedAndReadWithNothingButHTTP(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: `
copy:
  command: [sh, -c, 'cp in/text out/text']
  timeout: 10s`})
	in.serve(t)
	h := handWritten{t, in.variable("AWS_ENDPOINT_URL")}

	// An input, and a run file that is a submission once its message is sent.
	const run = `{"name":"by-hand","pool":"work","jobs":[{"id":"a","task":"copy","inputs":{"text":"s3://` + bucket + `/texts/a"}}]}`
	if status := h.put("texts/a", "hello\n"); status != http.StatusOK {
		t.Fatalf("put an input: HTTP %d", status)
	}
	if status := h.put(job.SubmissionPath("by-hand"), run, "If-None-Match", "*"); status != http.StatusOK {
		t.Fatalf("put a run file: HTTP %d", status)
	}
	if status := h.put(job.SubmissionPath("by-hand"), "{}", "If-None-Match", "*"); status != http.StatusPreconditionFailed {
		t.Errorf("put it again, if there is none: HTTP %d, want 412", status)
	}
	url, _ := h.must("AmazonSQS.GetQueueUrl", `{"QueueName":"`+submissionsQueue+`"}`)["QueueUrl"].(string)
	const body = `{"v":1,"id":"by-hand"}`
	sent := h.must("AmazonSQS.SendMessage", `{"QueueUrl":"`+url+`","MessageBody":"{\"v\":1,\"id\":\"by-hand\"}"}`)
	if sum := md5.Sum([]byte(body)); sent["MD5OfMessageBody"] != hex.EncodeToString(sum[:]) || sent["MessageId"] == "" {
		t.Errorf("sent %v", sent)
	}

	// The run's record in DynamoDB tells how it goes.
	eventually(t, "the run's record says that it succeeded", func() bool {
		item, _ := h.must("DynamoDB_20120810.GetItem", `{"TableName":"`+runsTable+`","ConsistentRead":true,"Key":{"pk":{"S":"RUN"},"sk":{"S":"by-hand"}}}`)["Item"].(map[string]any)
		state, _ := item["state"].(map[string]any)
		return state["S"] == string(job.RunSucceeded)
	})
	// From the index to the manifest to the file.
	status, index := h.object(job.ResultsIndexPath("by-hand"))
	var result struct {
		Key      job.Key `json:"key"`
		Manifest string  `json:"manifest"`
	}
	decode(t, index, &result)
	key := strings.TrimPrefix(result.Manifest, "s3://"+bucket+"/")
	if status != http.StatusOK || key != job.ManifestPath(result.Key) {
		t.Fatalf("index: HTTP %d, manifest %q", status, result.Manifest)
	}
	status, manifest := h.object(key)
	var m struct {
		Attempt string `json:"attempt"`
		Files   []struct {
			Path   string `json:"path"`
			Size   int    `json:"size"`
			SHA256 string `json:"sha256"`
		} `json:"files"`
	}
	decode(t, manifest, &m)
	if status != http.StatusOK || len(m.Files) != 1 {
		t.Fatalf("manifest: HTTP %d\n%s", status, manifest)
	}
	if _, content := h.object(job.AttemptPrefix(result.Key, m.Attempt) + m.Files[0].Path); content != "hello\n" || m.Files[0].Size != len(content) {
		t.Errorf("output %q, its manifest says %+v", content, m.Files[0])
	}
	if status, _ := h.object("no/such/object"); status != http.StatusNotFound {
		t.Errorf("an object that is not there: HTTP %d", status)
	}
}

func TestHandWrittenRequestsAreAnsweredAsTheServicesDo(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: someTasks})
	h := handWritten{t, in.variable("AWS_ENDPOINT_URL")}

	url, _ := h.must("AmazonSQS.CreateQueue", `{"QueueName":"theirs","Attributes":{"VisibilityTimeout":"30"}}`)["QueueUrl"].(string)
	h.must("AmazonSQS.SendMessageBatch", `{"QueueUrl":"`+url+`","Entries":[{"Id":"1","MessageBody":"one"},{"Id":"2","MessageBody":"two"}]}`)
	received, _ := h.must("AmazonSQS.ReceiveMessage", `{"QueueUrl":"`+url+`","MaxNumberOfMessages":10,"WaitTimeSeconds":1,"MessageSystemAttributeNames":["All"]}`)["Messages"].([]any)
	if len(received) != 2 {
		t.Fatalf("received %v, want two messages", received)
	}
	first, _ := received[0].(map[string]any)
	receipt, _ := first["ReceiptHandle"].(string)
	attributes, _ := first["Attributes"].(map[string]any)
	if attributes["ApproximateReceiveCount"] != "1" {
		t.Errorf("attributes %v", attributes)
	}
	h.must("AmazonSQS.DeleteMessage", `{"QueueUrl":"`+url+`","ReceiptHandle":"`+receipt+`"}`)
	depth, _ := h.must("AmazonSQS.GetQueueAttributes", `{"QueueUrl":"`+url+`","AttributeNames":["All"]}`)["Attributes"].(map[string]any)
	if depth["ApproximateNumberOfMessages"] != "0" || depth["ApproximateNumberOfMessagesNotVisible"] != "1" {
		t.Errorf("attributes %v, want one message in flight", depth)
	}

	h.must("DynamoDB_20120810.CreateTable", `{"TableName":"theirs","KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"}],"BillingMode":"PAY_PER_REQUEST"}`)
	h.must("DynamoDB_20120810.PutItem", `{"TableName":"theirs","Item":{"id":{"S":"a"},"n":{"N":"41"}},"ConditionExpression":"attribute_not_exists(id)"}`)
	updated := h.must("DynamoDB_20120810.UpdateItem", `{"TableName":"theirs","Key":{"id":{"S":"a"}},"UpdateExpression":"SET n = n + :one","ExpressionAttributeValues":{":one":{"N":"1"}},"ReturnValues":"ALL_NEW"}`)
	item, _ := updated["Attributes"].(map[string]any)
	if n, _ := item["n"].(map[string]any); n["N"] != "42" {
		t.Errorf("updated to %v", updated)
	}

	for target, test := range map[string]struct{ body, kind string }{
		"AmazonSQS.GetQueueUrl":                      {`{"QueueName":"no-such-queue"}`, "QueueDoesNotExist"},
		"AmazonSQS.DeleteMessage":                    {`{"QueueUrl":"` + url + `","ReceiptHandle":"nonsense"}`, "ReceiptHandleIsInvalid"},
		"DynamoDB_20120810.PutItem":                  {`{"TableName":"theirs","Item":{"id":{"S":"a"}},"ConditionExpression":"attribute_not_exists(id)"}`, "ConditionalCheckFailedException"},
		"DynamoDB_20120810.Query":                    {`{"TableName":"no-such-table","KeyConditionExpression":"id = :a","ExpressionAttributeValues":{":a":{"S":"a"}}}`, "ResourceNotFoundException"},
		"DynamoDB_20120810.Frobnicate":               {`{}`, "UnknownOperationException"},
		"AmazonEC2ContainerServiceV20141113.RunTask": {`{"cluster":"no-such-cluster","launchType":"FARGATE","taskDefinition":"` + family + `"}`, "ClusterNotFoundException"},
	} {
		status, answer := h.call(target, test.body)
		if kind, _ := answer["__type"].(string); status != http.StatusBadRequest || !strings.HasSuffix(kind, test.kind) {
			t.Errorf("%s: HTTP %d %v; want 400 and %s", target, status, answer, test.kind)
		}
	}
}

// TestThePlainSDKNeedsNothingButTheEnvironment is not parallel: it sets variables of this process.
func TestThePlainSDKNeedsNothingButTheEnvironment(t *testing.T) {
	in := install(t, setup{tasks: someTasks})
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"} {
		t.Setenv(name, in.variable(name))
	}
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(in.dir, "no-such-file"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(in.dir, "no-such-file"))
	ctx := t.Context()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		t.Fatal(err)
	}
	queues, tables, buckets := sqs.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg), s3.NewFromConfig(cfg)

	url, err := queues.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String(jobsQueue)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := queues.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: url.QueueUrl, MessageBody: aws.String("signed")}); err != nil {
		t.Error(err)
	}
	got, err := queues.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: url.QueueUrl, WaitTimeSeconds: 1})
	if err != nil || len(got.Messages) != 1 || *got.Messages[0].Body != "signed" {
		t.Errorf("received %+v, %v", got, err)
	}
	key := map[string]types.AttributeValue{"key": &types.AttributeValueMemberS{Value: "theirs"}}
	if _, err := tables.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(outputsTable), Item: key}); err != nil {
		t.Error(err)
	}
	if item, err := tables.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String(outputsTable), Key: key}); err != nil || len(item.Item) != 1 {
		t.Errorf("got item %+v, %v", item, err)
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	if _, err := buckets.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("theirs/a b+c"), Body: bytes.NewReader(large)}); err != nil {
		t.Error(err)
	}
	object, err := buckets.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("theirs/a b+c")})
	if err != nil {
		t.Fatal(err)
	}
	defer object.Body.Close()
	if data, err := io.ReadAll(object.Body); err != nil || !bytes.Equal(data, large) {
		t.Errorf("got %d bytes, %v; want %d", len(data), err, len(large))
	}
}

const botoScript = `
import boto3, botocore, json, sys
bucket, runs, queue, submission = sys.argv[1:]
s3, sqs, ddb = boto3.client("s3"), boto3.client("sqs"), boto3.client("dynamodb")
s3.put_object(Bucket=bucket, Key=submission, Body=json.dumps({
    "name": "snake", "pool": "work", "jobs": [{"id": "a", "task": "count", "params": {"by": "boto3"}}]}).encode())
url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"v": 1, "id": "snake"}))
try:
    sqs.get_queue_url(QueueName="no-such-queue")
except sqs.exceptions.QueueDoesNotExist as e:
    print("no such queue")
try:
    s3.get_object(Bucket=bucket, Key="no/such/key")
except s3.exceptions.NoSuchKey:
    print("no such key")
try:
    ddb.put_item(TableName=runs, Item={"pk": {"S": "x"}, "sk": {"S": "y"}}, ConditionExpression="attribute_exists(pk)")
except ddb.exceptions.ConditionalCheckFailedException:
    print("condition failed")
print(len(ddb.query(TableName=runs, KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": "LEASE"}})["Items"]), "lease")
print([o["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="submissions/snake/") for o in page["Contents"]])
`

func TestBoto3CanSubmitARun(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("SKIPPED: there is no python3 on PATH, and so no boto3 to try against the sandbox")
	}
	if out, err := exec.Command(python, "-c", "import boto3").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: python3 has no boto3 to try against the sandbox: %s", out)
	}
	in := install(t, setup{tasks: someTasks})
	in.serve(t)
	eventually(t, "the controller has the lease", func() bool {
		items, err := in.clients.DynamoDB.Query(t.Context(), &dynamodb.QueryInput{
			TableName: aws.String(runsTable), KeyConditionExpression: aws.String("pk = :pk"),
			ExpressionAttributeValues: map[string]types.AttributeValue{":pk": &types.AttributeValueMemberS{Value: "LEASE"}},
		})
		return err == nil && items.Count == 1
	})
	out := in.theirs(t, python, "-c", botoScript, bucket, runsTable, submissionsQueue, job.SubmissionPath("snake"))
	const want = "no such queue\nno such key\ncondition failed\n1 lease\n['submissions/snake/run.json']\n"
	if out != want {
		t.Errorf("boto3 printed %q, want %q", out, want)
	}
	if run := in.ended(t, "snake"); run.State != string(job.RunSucceeded) || run.Progress.Executed != 1 {
		t.Errorf("run %+v", run)
	}
}

func TestTheAWSCommandLineReadsWhatARunLeft(t *testing.T) {
	t.Parallel()
	cli, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("SKIPPED: there is no aws on PATH to try against the sandbox")
	}
	if out, err := exec.Command(cli, "--version").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: the aws on PATH does not work, so it is not tried against the sandbox: %s", out)
	}
	in := install(t, setup{tasks: someTasks})
	in.serve(t)
	in.mustSucceed(t, in.write(t, "run.yaml", `{name: cli, pool: work, jobs: [{id: a, task: count}]}`), "--id", "cli")
	if out := in.theirs(t, cli, "s3", "ls", "s3://"+bucket+"/results/cli/"); !strings.HasSuffix(out, " index.jsonl\n") {
		t.Errorf("aws s3 ls: %q", out)
	}
	state := in.theirs(t, cli, "dynamodb", "get-item", "--table-name", runsTable, "--key", `{"pk":{"S":"RUN"},"sk":{"S":"cli"}}`, "--query", "Item.state.S", "--output", "text")
	if strings.TrimSpace(state) != string(job.RunSucceeded) {
		t.Errorf("aws dynamodb get-item: state %q", state)
	}
	if out := in.theirs(t, cli, "ecs", "list-clusters", "--query", "clusterArns[0]", "--output", "text"); !strings.HasSuffix(out, "cluster/"+cluster+"\n") {
		t.Errorf("aws ecs list-clusters: %q", out)
	}
}

// theirs runs a program by others and returns what it prints.
func (in *installation) theirs(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	// Their home has what makes them run; their configuration must not reach the test.
	cmd.Env = append([]string{
		"AWS_DEFAULT_REGION=" + in.variable("AWS_REGION"), "AWS_CONFIG_FILE=" + in.dir + "/none", "AWS_SHARED_CREDENTIALS_FILE=" + in.dir + "/none",
		"AWS_PAGER=",
	}, in.env...)
	cmd.Env = append(cmd.Env, "HOME="+os.Getenv("HOME"))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(program), err, stderr.String())
	}
	return stdout.String()
}
