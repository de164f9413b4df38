package report

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/rs/zerolog"

	"spate/internal/awsclient"
	"spate/internal/objects"
	"spate/internal/table"
	"spate/job"
	"spate/planner"
	"spate/sandbox/dynamodb"
	"spate/sandbox/s3"
)

// noon is when things are looked at.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// past is what runs left behind, in services of this process, and a Reader of it.
type past struct {
	*Reader
	t       *testing.T
	outputs *fakeOutputs
	bucket  *s3.Server
	sealed  int // outputs; it makes the names of their attempts
}

// services finds the service that a request is for.
type services struct{ tables, objects http.Handler }

// Do answers a request in this process.
func (s services) Do(r *http.Request) (*http.Response, error) {
	served := r.Clone(r.Context())
	served.Host = r.URL.Host
	if served.Body == nil {
		served.Body = http.NoBody
	}
	served.Header.Set("Content-Length", fmt.Sprint(r.ContentLength))
	handler := s.objects
	if r.Header.Get("X-Amz-Target") != "" {
		handler = s.tables
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, served)
	response := answer.Result()
	response.Request = r
	return response, r.Context().Err()
}

func newPast(t *testing.T) *past {
	t.Helper()
	tables, err := dynamodb.New(dynamodb.Options{Region: "us-east-1", AccountID: "000000000000", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	bucket := s3.New(s3.Options{Region: "us-east-1", Log: zerolog.Nop()})
	clients := awsclient.FromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String("http://127.0.0.1"),
		HTTPClient:  services{tables, bucket},
		Credentials: credentials.NewStaticCredentialsProvider("sandbox", "sandbox", ""),
	})
	if _, err := clients.S3.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: aws.String("data")}); err != nil {
		t.Fatal(err)
	}
	if _, err := clients.DynamoDB.CreateTable(t.Context(), &awsdynamodb.CreateTableInput{
		TableName: aws.String("runs"), BillingMode: dynamodbtypes.BillingModePayPerRequest,
		AttributeDefinitions: []dynamodbtypes.AttributeDefinition{
			{AttributeName: aws.String("pk"), AttributeType: dynamodbtypes.ScalarAttributeTypeS},
			{AttributeName: aws.String("sk"), AttributeType: dynamodbtypes.ScalarAttributeTypeS},
		},
		KeySchema: []dynamodbtypes.KeySchemaElement{
			{AttributeName: aws.String("pk"), KeyType: dynamodbtypes.KeyTypeHash},
			{AttributeName: aws.String("sk"), KeyType: dynamodbtypes.KeyTypeRange},
		},
	}); err != nil {
		t.Fatal(err)
	}
	outputs := &fakeOutputs{presence: map[job.Key]job.Presence{}}
	return &past{&Reader{table.New(clients.DynamoDB, "runs"), objects.New(clients.S3, "data"), outputs}, t, outputs, bucket, 0}
}

// fakeOutputs answers as it is told; of other keys it says that they are missing.
type fakeOutputs struct {
	presence map[job.Key]job.Presence
	err      error
}

func (f *fakeOutputs) Lookup(_ context.Context, _ time.Time, keys []job.Key) ([]job.Presence, error) {
	answers := make([]job.Presence, len(keys))
	for i, k := range keys {
		if answers[i] = job.Miss; f.presence[k] != job.Unknown {
			answers[i] = f.presence[k]
		}
	}
	return answers, f.err
}

func (p *past) put(object, content string) {
	p.t.Helper()
	if _, err := p.Objects.Put(p.t.Context(), object, []byte(content), objects.Condition{}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *past) item(item any) {
	p.t.Helper()
	if err := p.Table.Put(p.t.Context(), item, table.Condition{}); err != nil {
		p.t.Fatal(err)
	}
}

// task is a task type by that name.
func task(name string) job.TaskType {
	return job.TaskType{Name: name, Command: []string{"model", name}, InputDir: "in", OutputDirs: []string{"out"}, Deterministic: true}
}

// run writes the record of a run of tasks "price" and "sum".
func (p *past) run(id, name string, state job.RunState, received time.Time) *planner.Run {
	p.t.Helper()
	catalogue, err := json.Marshal(job.Catalogue{"price": task("price"), "sum": task("sum")})
	if err != nil {
		p.t.Fatal(err)
	}
	run := &planner.Run{
		Key: table.Key{PK: table.RunRecords, SK: id}, ID: id, Name: name, Pool: "rollup", State: state, Received: received,
		Planned: received.Add(time.Second), Image: "sha256:11aa", Platform: "linux/amd64", Namespace: "default", Catalogue: string(catalogue),
	}
	p.item(run)
	return run
}

// manifest keys jobs, given parents first, and stores them as a run's manifest.
func (p *past) manifest(run *planner.Run, jobs ...job.Planned) []job.Planned {
	p.t.Helper()
	common, err := run.Documents()
	if err != nil {
		p.t.Fatal(err)
	}
	var lines []byte
	keys := map[string]job.Key{}
	for i := range jobs {
		for name, need := range jobs[i].Needs {
			need.Key = keys[need.Job]
			jobs[i].Needs[name] = need
		}
		if jobs[i].Key, err = jobs[i].Document(common[jobs[i].Task]).Key(); err != nil {
			p.t.Fatal(err)
		}
		keys[jobs[i].ID] = jobs[i].Key
		if lines, err = jobs[i].AppendLine(lines); err != nil {
			p.t.Fatal(err)
		}
	}
	p.put(job.RunManifestPath(run.ID), string(lines))
	return jobs
}

// index stores a run's results index.
func (p *past) index(run string, jobs []job.Planned, states ...string) {
	p.t.Helper()
	var lines strings.Builder
	for i, planned := range jobs {
		line, err := json.Marshal(planner.Result{ID: planned.ID, Task: planned.Task, Key: planned.Key, State: states[i]})
		if err != nil {
			p.t.Fatal(err)
		}
		lines.Write(append(line, '\n'))
	}
	p.put(job.ResultsIndexPath(run), lines.String())
}

// deal is a job without parents.
func deal(id string, params string) job.Planned {
	return job.Planned{ID: id, Task: "price", Params: jsontext.Value(params)}
}

// sum is a job whose parents are staged under their ids.
func sum(id string, parents ...string) job.Planned {
	planned := job.Planned{ID: id, Task: "sum", Needs: map[string]job.PlannedNeed{}}
	for _, parent := range parents {
		planned.Needs[parent] = job.PlannedNeed{Job: parent}
	}
	return planned
}
