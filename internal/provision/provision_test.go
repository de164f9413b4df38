package provision_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"spate/internal/awsclient"
	"spate/internal/config"
	"spate/internal/objects"
	"spate/internal/provision"
	"spate/internal/queue"
	"spate/sandbox"
)

const configuration = `
tables: {runs: spate-runs, outputs: spate-outputs}
bucket: spate-data
redis: {url: "redis://127.0.0.1:1"}
queues: {submissions: spate-submissions, events: spate-events, outputs: spate-outputs-created}
pools:
  - {name: rollup, queue: spate-rollup, cluster: hpc, task_definition: spate-rollup, subnets: [a], max: 5, capacity: [{provider: FARGATE, max: 5}]}
  - {name: deals, queue: spate-deals, cluster: near, task_definition: spate-deals, subnets: [a], max: 5, capacity: [{provider: FARGATE, max: 5}]}
`

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func image() provision.Image {
	return provision.Image{Name: "spate@" + digest, Command: []string{"spate", "worker"}, CPU: "ARM64"}
}

// empty is an empty sandbox, and what is to be created in it.
func empty(t *testing.T) (*awsclient.Clients, *config.Config) {
	t.Helper()
	box, err := sandbox.New(sandbox.Options{Log: zerolog.Nop()})
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
	cfg, err := config.Parse("spate.yaml", []byte(configuration), nil)
	if err != nil {
		t.Fatal(err)
	}
	return awsclient.Local(box.Endpoint()), cfg
}

func create(t *testing.T, clients *awsclient.Clients, cfg *config.Config, image provision.Image) {
	t.Helper()
	if err := provision.Create(t.Context(), clients, cfg, image); err != nil {
		t.Fatal(err)
	}
}

func TestEverythingThatAConfigurationNamesIsCreatedAndMayBeCreatedAgain(t *testing.T) {
	clients, cfg := empty(t)
	for _, which := range []string{"first", "second"} {
		create(t, clients, cfg, image())
		t.Run(which, func(t *testing.T) {
			checkTable(t, clients, "spate-runs", []string{"pk", "sk"}, false)
			checkTable(t, clients, "spate-outputs", []string{"key"}, true)
			for _, name := range []string{"spate-submissions", "spate-events", "spate-outputs-created", "spate-rollup", "spate-deals"} {
				checkQueue(t, clients, name)
			}
			checkLifecycle(t, clients, 34)
			checkTaskDefinition(t, clients, "spate-rollup", 1)
			checkTaskDefinition(t, clients, "spate-deals", 1)
			out, err := clients.ECS.DescribeClusters(t.Context(), &ecs.DescribeClustersInput{Clusters: []string{"hpc", "near"}})
			if err != nil || len(out.Clusters) != 2 {
				t.Errorf("clusters are %+v, error %v", out, err)
			}
		})
	}
}

func checkTable(t *testing.T, clients *awsclient.Clients, name string, keys []string, stream bool) {
	t.Helper()
	out, err := clients.DynamoDB.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &name})
	if err != nil {
		t.Error(err)
		return
	}
	var got []string
	for _, k := range out.Table.KeySchema {
		got = append(got, aws.ToString(k.AttributeName))
	}
	if diff := cmp.Diff(keys, got); diff != "" {
		t.Errorf("keys of %s: %s", name, diff)
	}
	spec := out.Table.StreamSpecification
	if on := spec != nil && spec.StreamViewType == dynamodbtypes.StreamViewTypeNewAndOldImages; on != stream {
		t.Errorf("the stream of %s is %+v", name, spec)
	}
	ttl, err := clients.DynamoDB.DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: &name})
	if err != nil {
		t.Error(err)
		return
	}
	if d := ttl.TimeToLiveDescription; d.TimeToLiveStatus != dynamodbtypes.TimeToLiveStatusEnabled || aws.ToString(d.AttributeName) != "expires_at" {
		t.Errorf("expiry of %s is %+v", name, d)
	}
}

// checkLifecycle checks that outputs are removed so many days after they were written.
func checkLifecycle(t *testing.T, clients *awsclient.Clients, days int32) {
	t.Helper()
	out, err := clients.S3.GetBucketLifecycleConfiguration(t.Context(), &s3.GetBucketLifecycleConfigurationInput{Bucket: aws.String("spate-data")})
	if err != nil {
		t.Error(err)
		return
	}
	if r := out.Rules; len(r) != 1 || aws.ToString(r[0].Filter.Prefix) != "outputs/" || aws.ToInt32(r[0].Expiration.Days) != days {
		t.Errorf("lifecycle rules are %+v", r)
	}
}

func attributes(t *testing.T, clients *awsclient.Clients, name string) map[string]string {
	t.Helper()
	q, err := queue.Open(t.Context(), clients.SQS, name)
	if err != nil {
		t.Fatal(err)
	}
	out, err := clients.SQS.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: aws.String(q.URL()), AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameAll},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Attributes
}

func checkQueue(t *testing.T, clients *awsclient.Clients, name string) {
	t.Helper()
	var policy struct {
		DeadLetterTargetArn string
		MaxReceiveCount     json.Number
	}
	text := attributes(t, clients, name)["RedrivePolicy"]
	if err := json.Unmarshal([]byte(text), &policy); err != nil {
		t.Errorf("redrive policy of %s is %q: %v", name, text, err)
	}
	if policy.MaxReceiveCount != "20" || policy.DeadLetterTargetArn != attributes(t, clients, name+"-dlq")["QueueArn"] {
		t.Errorf("redrive policy of %s is %s", name, text)
	}
}

func checkTaskDefinition(t *testing.T, clients *awsclient.Clients, family string, revision int32) {
	t.Helper()
	out, err := clients.ECS.DescribeTaskDefinition(t.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: &family})
	if err != nil {
		t.Error(err)
		return
	}
	d := out.TaskDefinition
	if d.Revision != revision || len(d.ContainerDefinitions) != 1 {
		t.Errorf("revision %d with %d containers", d.Revision, len(d.ContainerDefinitions))
		return
	}
	c := d.ContainerDefinitions[0]
	if aws.ToString(c.Name) != provision.Container || !strings.HasSuffix(aws.ToString(c.Image), digest) ||
		!slices.Equal(c.Command, []string{"spate", "worker"}) || d.RuntimePlatform.CpuArchitecture != "ARM64" {
		t.Errorf("container is %+v on %+v", c, d.RuntimePlatform)
	}
}

func TestOnlyManifestsOfOutputsAreNotified(t *testing.T) {
	clients, cfg := empty(t)
	create(t, clients, cfg, image())
	bucket := objects.New(clients.S3, "spate-data")
	for _, key := range []string{"outputs/ab/abcd/a1/out.csv", "manifests/r1/_manifest.json", "outputs/ab/abcd/_manifest.json"} {
		if _, err := bucket.Put(t.Context(), key, []byte("{}"), objects.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
	q, err := queue.Open(t.Context(), clients.SQS, "spate-outputs-created")
	if err != nil {
		t.Fatal(err)
	}
	var notified []string
	for len(notified) == 0 || !strings.Contains(notified[len(notified)-1], "_manifest.json") {
		messages, err := q.Receive(t.Context(), 1, 10*time.Second, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if len(messages) == 0 {
			t.Fatalf("no notification but %v", notified)
		}
		if !strings.Contains(messages[0].Body, "s3:TestEvent") { // sent when notifications are configured
			notified = append(notified, messages[0].Body)
		}
	}
	if len(notified) != 1 || !strings.Contains(notified[0], "outputs/ab/abcd/_manifest.json") {
		t.Errorf("notified of %v", notified)
	}
}

func TestAnotherImageIsAnotherRevision(t *testing.T) {
	clients, cfg := empty(t)
	create(t, clients, cfg, image())
	other := image()
	other.Name = "old@sha256:" + strings.Repeat("f", 64)
	create(t, clients, cfg, other)
	create(t, clients, cfg, image())
	create(t, clients, cfg, image())
	checkTaskDefinition(t, clients, "spate-rollup", 3)
}

func TestWhatAnInterruptionLeftOutIsMadeUpFor(t *testing.T) {
	clients, cfg := empty(t)
	_, err := clients.DynamoDB.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("spate-runs"), BillingMode: dynamodbtypes.BillingModePayPerRequest,
		AttributeDefinitions: []dynamodbtypes.AttributeDefinition{
			{AttributeName: aws.String("pk"), AttributeType: dynamodbtypes.ScalarAttributeTypeS},
			{AttributeName: aws.String("sk"), AttributeType: dynamodbtypes.ScalarAttributeTypeS},
		},
		KeySchema: []dynamodbtypes.KeySchemaElement{
			{AttributeName: aws.String("pk"), KeyType: dynamodbtypes.KeyTypeHash},
			{AttributeName: aws.String("sk"), KeyType: dynamodbtypes.KeyTypeRange},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clients.S3.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("spate-data")}); err != nil {
		t.Fatal(err)
	}
	create(t, clients, cfg, image())
	checkTable(t, clients, "spate-runs", []string{"pk", "sk"}, false)
	out, err := clients.S3.GetBucketNotificationConfiguration(t.Context(), &s3.GetBucketNotificationConfigurationInput{Bucket: aws.String("spate-data")})
	if err != nil || len(out.QueueConfigurations) != 1 {
		t.Errorf("notifications are %+v, error %v", out, err)
	}
}

func TestAnErrorNamesWhatCouldNotBeCreated(t *testing.T) {
	clients, cfg := empty(t)
	cfg.Queues.Events = "no good name"
	err := provision.Create(t.Context(), clients, cfg, image())
	if err == nil || !strings.HasPrefix(err.Error(), "create queue no good name-dlq: ") {
		t.Errorf("error is %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := provision.Create(ctx, clients, cfg, image()); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}
