package sandbox_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/google/go-cmp/cmp"

	"spate/sandbox"
	"spate/sandbox/limit"
)

// The figures are those that the services' documents give ("Amazon ECS service quotas", "AWS Fargate throttling quotas",
// "Request throttling for the Amazon ECS API", "On-demand capacity mode", "Optimizing Amazon S3 performance"): what Spate
// is shown to bear on this account it was shown to bear on AWS's terms.
func TestTheUsualAccountHasTheDocumentedFigures(t *testing.T) {
	account := sandbox.Usual()
	text, err := json.Marshal(account)
	if err != nil {
		t.Fatal(err)
	}
	var told sandbox.Account // as /_sandbox/account tells it
	if err := json.Unmarshal(text, &told); err != nil {
		t.Fatal(err)
	}
	e, d, s := told.ECS, told.DynamoDB, told.S3
	got := map[string]limit.Rate{
		"on_demand.launches": e.OnDemand.Launches, "spot.launches": e.Spot.Launches,
		"change_calls": e.ChangeCalls, "run_task_calls": e.RunTaskCalls, "look_calls": e.LookCalls, "cluster_calls": e.ClusterCalls,
		"dynamodb.writes": d.Writes, "dynamodb.partition_writes": d.PartitionWrites, "dynamodb.partition_reads": d.PartitionReads,
		"s3.writes": s.Writes, "s3.reads": s.Reads,
	}
	want := map[string]limit.Rate{
		"on_demand.launches": {Burst: 100, PerSecond: 20}, "spot.launches": {Burst: 100, PerSecond: 20},
		"change_calls": {Burst: 100, PerSecond: 40}, "run_task_calls": {Burst: 20, PerSecond: 20},
		"look_calls": {Burst: 100, PerSecond: 20}, "cluster_calls": {Burst: 50, PerSecond: 20},
		"dynamodb.writes":           {Burst: 4000, PerSecond: 4000},
		"dynamodb.partition_writes": {Burst: 1000, PerSecond: 1000}, "dynamodb.partition_reads": {Burst: 3000, PerSecond: 3000},
		"s3.writes": {Burst: 3500, PerSecond: 3500}, "s3.reads": {Burst: 5500, PerSecond: 5500},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if e.Interfaces != 5000 || e.NeverStart != 0.01 || time.Duration(e.Pending.To) == 0 || told.SQS.DepthLag == 0 || d.TTLDelay == 0 {
		t.Errorf("%s", text)
	}
}

func TestAStreamIsSplitOverHTTP(t *testing.T) {
	r := start(t, sandbox.Options{})
	config := aws.Config{
		BaseEndpoint: aws.String(r.Endpoint()), Region: "us-east-1", HTTPClient: r.http, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("sandbox", "sandbox", ""),
	}
	created, err := dynamodb.NewFromConfig(config).CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("things"), BillingMode: types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS}},
		StreamSpecification:  &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeKeysOnly},
	})
	if err != nil {
		t.Fatal(err)
	}
	streams := dynamodbstreams.NewFromConfig(config)
	shards := func() (open, closed int) {
		out, err := streams.DescribeStream(t.Context(), &dynamodbstreams.DescribeStreamInput{StreamArn: created.TableDescription.LatestStreamArn})
		if err != nil {
			t.Fatal(err)
		}
		for _, shard := range out.StreamDescription.Shards {
			if shard.SequenceNumberRange.EndingSequenceNumber == nil {
				open++
			} else {
				closed++
			}
		}
		return open, closed
	}
	before, _ := shards()
	if status, text := r.ask(t, http.MethodPost, "/_sandbox/split?table=things", ""); status != http.StatusNoContent {
		t.Fatalf("%d %s", status, text)
	}
	if open, closed := shards(); open != 2*before || closed != before {
		t.Errorf("%d open and %d closed after the split of %d", open, closed, before)
	}
	for _, path := range []string{"/_sandbox/split", "/_sandbox/split?table=nothing"} {
		if status, text := r.ask(t, http.MethodPost, path, ""); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}
