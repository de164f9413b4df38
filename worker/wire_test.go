package worker

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"spate/internal/objects"
	"spate/internal/queue"
	"spate/job"
	"spate/sandbox/s3"
	"spate/sandbox/sqs"
)

// serve serves a handler on loopback for a test and returns its address and a client for it.
func serve(t *testing.T, handler http.Handler) (string, *http.Client) {
	t.Helper()
	server := httptest.NewServer(handler)
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
	})
	return server.URL, &http.Client{Transport: transport}
}

func TestAWorkerSpeaksToS3AndSQSOverTheWire(t *testing.T) {
	ctx := t.Context()
	identity := credentials.NewStaticCredentialsProvider("sandbox", "sandbox", "")
	sqsServer := sqs.New(sqs.Options{Region: "us-east-1", AccountID: "000000000000", Log: zerolog.Nop()})
	sqsURL, sqsHTTP := serve(t, sqsServer)
	sqsClient := awssqs.New(awssqs.Options{BaseEndpoint: &sqsURL, Region: "us-east-1", HTTPClient: sqsHTTP, Credentials: identity})
	s3URL, s3HTTP := serve(t, s3.New(s3.Options{Region: "us-east-1", Queues: sqsServer, Log: zerolog.Nop()}))
	s3Client := awss3.New(awss3.Options{BaseEndpoint: &s3URL, Region: "us-east-1", HTTPClient: s3HTTP, Credentials: identity, UsePathStyle: true})
	for _, bucket := range []string{"data", "other"} {
		if _, err := s3Client.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
			t.Fatal(err)
		}
	}
	open := func(name string) *queue.Queue {
		if _, err := sqsClient.CreateQueue(ctx, &awssqs.CreateQueueInput{QueueName: &name}); err != nil {
			t.Fatal(err)
		}
		q, err := queue.Open(ctx, sqsClient, name)
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	jobs, events, store := open("jobs"), open("events"), objects.New(s3Client, "data")
	etag, err := store.In("other").Put(ctx, "elt.csv", []byte("MELT"), objects.Condition{})
	if err != nil {
		t.Fatal(err)
	}

	b := newBench(t)
	parent := orderOf("parent", prog("write", "out/deep/table", "TABLE")...)
	child := orderOf("child", prog("describe")...)
	child.inputs = map[string]string{"melt.csv": "s3://other/elt.csv"}
	child.doc.Spec.Inputs["melt.csv"] = job.InputIdentity{ETag: etag, Size: 4}
	child.doc.Parents["events"] = job.ParentOutputs{Key: b.message(parent).Key}
	changed := orderOf("changed", prog("describe")...)
	changed.inputs = child.inputs
	changed.doc.Spec.Inputs["melt.csv"] = job.InputIdentity{ETag: "0123456789abcdef0123456789abcdef", Size: 4}
	orphan := orderOf("orphan", prog("describe")...)
	orphan.doc.Parents["p"] = job.ParentOutputs{Key: job.Key{7}}

	var got []string
	for _, o := range []*order{parent, child, child, changed, orphan} { // one after another: the child needs its parent
		body, err := b.message(o).Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := jobs.Send(ctx, string(body)); err != nil {
			t.Fatal(err)
		}
		b.work(b.worker(func(o *Options) {
			o.Jobs, o.Events, o.Objects = jobs, events, store
			o.Inputs = func(bucket string) ObjectReader { return store.In(bucket) }
		}))
		messages, err := events.Receive(ctx, 10, 0, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			e, err := job.ParseEvent([]byte(m.Body))
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s %s reused=%t", e.Job, e.Type, e.Reused))
		}
	}
	want := []string{
		"parent succeeded reused=false", "child succeeded reused=false", "child succeeded reused=true",
		"changed input_changed reused=false", "orphan parent_lost reused=false",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if depth, err := jobs.Depth(ctx); err != nil || depth != (queue.Depth{}) {
		t.Errorf("the job queue has %+v, %v; want nothing", depth, err)
	}
	data, _, err := store.Get(ctx, job.ManifestPath(b.message(child).Key))
	if err != nil {
		t.Fatal(err)
	}
	m, err := job.ParseManifest(data, b.message(child).Key)
	if err != nil || len(m.Files) != 1 {
		t.Fatalf("manifest %+v, %v", m, err)
	}
	if content, _, err := store.Get(ctx, m.Object(m.Files[0])); err != nil || digest(content) != m.Files[0].SHA256 {
		t.Errorf("the output's file is not what the manifest says: %v", err)
	}
}
