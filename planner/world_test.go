package planner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"spate/internal/awsclient"
	"spate/internal/objects"
	"spate/internal/queue"
	"spate/internal/table"
	"spate/job"
	"spate/sandbox/dynamodb"
	"spate/sandbox/s3"
	"spate/sandbox/sqs"
)

func TestMain(m *testing.M) {
	if os.Getenv(sandboxProcess) != "" {
		if err := serveSandbox(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

const (
	testBucket    = "data"
	testPool      = "rollup"
	testRetention = 30 * 24 * time.Hour
	testImage     = "sha256:11aa"
)

// world is the services that a planner works with, of the sandbox and in this process, so that it fits in a synctest
// bubble; and what the planner's neighbours do.
type world struct {
	t       testing.TB
	handler http.Handler
	remote  string             // endpoint of services in another process, instead of handler
	clients *awsclient.Clients // that never fail
	bucket  *objects.Store
	runs    *table.Table
	images  *fakeImages
	outputs *fakeOutputs
	worker  *fakeWorker
	task    job.TaskType
	began   time.Time
	stops   []func()
}

// services finds the service that a request is for.
type services struct{ queues, tables, objects http.Handler }

func (s services) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch target := r.Header.Get("X-Amz-Target"); {
	case strings.HasPrefix(target, sqs.Target):
		s.queues.ServeHTTP(w, r)
	case target != "":
		s.tables.ServeHTTP(w, r)
	default:
		s.objects.ServeHTTP(w, r)
	}
}

func newServices() (http.Handler, error) {
	tables, err := dynamodb.New(dynamodb.Options{Region: "us-east-1", AccountID: "000000000000", Log: zerolog.Nop()})
	if err != nil {
		return nil, err
	}
	return services{
		queues:  sqs.New(sqs.Options{Region: "us-east-1", AccountID: "000000000000", Log: zerolog.Nop()}),
		objects: s3.New(s3.Options{Region: "us-east-1", Log: zerolog.Nop()}),
		tables:  tables,
	}, nil
}

func newWorld(t testing.TB) *world {
	t.Helper()
	handler, err := newServices()
	if err != nil {
		t.Fatal(err)
	}
	return (&world{t: t, handler: handler}).open()
}

// open provisions the services and adds the neighbours.
func (w *world) open() *world {
	w.t.Helper()
	w.clients = w.connect(nil)
	w.bucket, w.runs = objects.New(w.clients.S3, testBucket), table.New(w.clients.DynamoDB, "runs")
	w.provision()
	w.images = &fakeImages{images: map[string]Image{"family": {
		TaskDefinition: "arn:family:1", Container: "spate", Digest: testImage, Platform: "linux/amd64",
	}}}
	w.outputs = &fakeOutputs{bucket: w.bucket, stale: map[job.Key]bool{}}
	w.worker = &fakeWorker{world: w, jobs: w.queue(testPool), events: w.queue("events"), answers: map[string]answer{}, runs: map[job.Key]int{}, writes: map[string]func(job.Message) string{}}
	w.task = job.TaskType{
		Name: "price", Command: []string{"price"}, InputDir: "in", OutputDirs: []string{"out"},
		Timeout: job.Duration(time.Hour), MaxAttempts: 3, PermanentExitCodes: []int{65}, Deterministic: true,
	}
	w.t.Cleanup(w.stop)
	return w
}

func (w *world) provision() {
	w.t.Helper()
	ctx := w.t.Context()
	_, err := w.clients.S3.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: aws.String(testBucket)})
	for _, name := range []string{"submissions", "events", testPool, "deals"} {
		_, e := w.clients.SQS.CreateQueue(ctx, &awssqs.CreateQueueInput{QueueName: &name})
		err = errors.Join(err, e)
	}
	_, e := w.clients.DynamoDB.CreateTable(ctx, &awsdynamodb.CreateTableInput{
		TableName: aws.String("runs"), BillingMode: dynamodbtypes.BillingModePayPerRequest,
		AttributeDefinitions: []dynamodbtypes.AttributeDefinition{
			{AttributeName: aws.String("pk"), AttributeType: dynamodbtypes.ScalarAttributeTypeS},
			{AttributeName: aws.String("sk"), AttributeType: dynamodbtypes.ScalarAttributeTypeS},
		},
		KeySchema: []dynamodbtypes.KeySchemaElement{
			{AttributeName: aws.String("pk"), KeyType: dynamodbtypes.KeyTypeHash},
			{AttributeName: aws.String("sk"), KeyType: dynamodbtypes.KeyTypeRange},
		},
	})
	if err = errors.Join(err, e); err != nil {
		w.t.Fatal(err)
	}
}

// connect makes clients whose requests pass a gate; nil lets all pass.
func (w *world) connect(gate *gate) *awsclient.Clients {
	if w.remote != "" {
		return awsclient.Local(w.remote)
	}
	return awsclient.FromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String("http://127.0.0.1"), HTTPClient: transport{w.handler, gate},
		Credentials: credentials.NewStaticCredentialsProvider("sandbox", "sandbox", ""),
	})
}

// transport answers requests in this process.
type transport struct {
	handler http.Handler
	gate    *gate
}

func (t transport) Do(r *http.Request) (*http.Response, error) {
	if err := t.gate.enter(r); err != nil {
		return nil, err
	}
	served := r.Clone(r.Context())
	served.Host = r.URL.Host
	if served.Body == nil {
		served.Body = http.NoBody
	}
	if r.ContentLength >= 0 {
		served.Header.Set("Content-Length", fmt.Sprint(r.ContentLength))
	}
	answer := httptest.NewRecorder()
	t.handler.ServeHTTP(answer, served)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if err := t.gate.leave(r); err != nil {
		return nil, err
	}
	response := answer.Result()
	response.Request = r
	return response, nil
}

func (w *world) queue(name string) *queue.Queue {
	w.t.Helper()
	q, err := queue.Open(w.t.Context(), w.clients.SQS, name)
	if err != nil {
		w.t.Fatal(err)
	}
	return q
}

// options are those of a planner whose requests pass the gate.
func (w *world) options(fence int64, gate *gate) Options {
	c := w.connect(gate)
	at := func(name string) *queue.Queue { return queue.At(c.SQS, w.queue(name).URL()) }
	return Options{
		Table: table.New(c.DynamoDB, "runs"), Fence: fence, Objects: objects.New(c.S3, testBucket),
		Submissions: at("submissions"), Events: at("events"), Outputs: w.outputs, Images: w.images,
		Pools:     []Pool{{Name: testPool, Jobs: at(testPool), TaskDefinition: "family"}, {Name: "feeds", External: true, TaskDefinition: "family"}, {Name: "deals", Jobs: at("deals"), TaskDefinition: "family"}},
		Catalogue: job.Catalogue{w.task.Name: w.task}, Namespace: "default", Retention: testRetention, Log: zerolog.Nop(),
	}
}

// background runs something until it is stopped, or the world ends. stop waits for it and returns its error.
func (w *world) background(run func(ctx context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	w.stops = append(w.stops, func() { _ = stop() })
	return stop
}

func (w *world) stop() {
	for _, stop := range slices.Backward(w.stops) {
		stop()
	}
	w.stops = nil
}

// startPlanner starts a planner.
func (w *world) startPlanner(o Options) (p *Planner, stop func() error) {
	w.t.Helper()
	p, err := New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return p, w.background(p.Run)
}

// start starts a worker and a planner, neither of which ever fails.
func (w *world) start() *Planner {
	w.t.Helper()
	w.background(w.worker.run)
	p, _ := w.startPlanner(w.options(1, nil))
	return p
}

// write writes a run file, and its jobs beside it when there are any.
func (w *world) write(run, jobs string) (path string) {
	w.t.Helper()
	dir := w.t.TempDir()
	path = filepath.Join(dir, "run.yaml")
	if err := errors.Join(os.WriteFile(path, []byte(run), 0o600), os.WriteFile(filepath.Join(dir, "jobs.jsonl"), []byte(jobs), 0o600)); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// submit submits jobs, each a line "id: its parents" or "id params: its parents", to the pool.
func (w *world) submit(id, jobs string) string {
	w.t.Helper()
	return w.submitTo(testPool, id, jobs)
}

func (w *world) submitTo(pool, id, jobs string) string {
	w.t.Helper()
	return w.submitFile(id, w.write("name: nightly\npool: "+pool+"\nowner: risk\nlabels: {desk: property}\njobs_from: jobs.jsonl\n", jobLines(jobs)))
}

func (w *world) submitFile(id, path string) string {
	w.t.Helper()
	prepared, err := Prepare(path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer prepared.Close()
	if id, err = Submit(w.t.Context(), w.bucket, w.queue("submissions"), id, prepared); err != nil {
		w.t.Fatal(err)
	}
	return id
}

// jobLines writes jobs as JSON lines. A job's parameters are its id unless they are given.
func jobLines(jobs string) string {
	var b strings.Builder
	for line := range strings.Lines(jobs) {
		name, parents, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "" {
			continue
		}
		id, params, given := strings.Cut(name, " ")
		if !given {
			params = id
		}
		var needs []string
		for parent := range strings.FieldsSeq(parents) {
			needs = append(needs, fmt.Sprintf("%q:%q", parent, parent))
		}
		fmt.Fprintf(&b, `{"id":%q,"task":"price","params":{"p":%q},"needs":{%s},"labels":{"job":%q}}`+"\n", id, params, strings.Join(needs, ","), id)
	}
	return b.String()
}

// await waits until a run has ended and returns its record.
func (w *world) await(id string) *Run {
	w.t.Helper()
	return w.awaitState(id, job.RunState.Ended)
}

func (w *world) awaitState(id string, is func(job.RunState) bool) *Run {
	w.t.Helper()
	const patience = 2 * time.Hour // of a bubble's clock
	var r *Run
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(500 * time.Millisecond) {
		var err error
		if r, err = ReadRun(w.t.Context(), w.runs, id); err != nil {
			w.t.Fatal(err)
		}
		if r != nil && is(r.State) {
			return r
		}
	}
	w.t.Fatalf("run %s has not come so far: %+v", id, r)
	return nil
}

// results reads a run's index, by job id.
func (w *world) results(id string) map[string]Result {
	w.t.Helper()
	results := map[string]Result{}
	for r, err := range ReadResults(w.t.Context(), w.bucket, id) {
		if err != nil {
			w.t.Fatal(err)
		}
		results[r.ID] = r
	}
	return results
}

// keys are a run's keys, by job id.
func (w *world) keys(id string) map[string]job.Key {
	w.t.Helper()
	data, _, err := w.bucket.Get(w.t.Context(), job.RunManifestPath(id))
	if err != nil {
		w.t.Fatal(err)
	}
	keys := map[string]job.Key{}
	for line := range strings.Lines(string(data)) {
		planned, err := job.ParsePlanned([]byte(line))
		if err != nil {
			w.t.Fatal(err)
		}
		keys[planned.ID] = planned.Key
	}
	return keys
}

// manifests counts the outputs that exist, and their executions that can be seen.
func (w *world) manifests() int {
	w.t.Helper()
	n := 0
	for info, err := range w.bucket.List(w.t.Context(), "outputs/") {
		if err != nil {
			w.t.Fatal(err)
		}
		if _, ok := job.ParseManifestPath(info.Key); ok {
			n++
		}
	}
	return n
}

// wantDepth wants so many messages on a queue, seen or in flight.
func (w *world) wantDepth(name string, want int) {
	w.t.Helper()
	d, err := w.queue(name).Depth(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if d.Visible+d.InFlight != want {
		w.t.Errorf("queue %s has %d messages and %d in flight, want %d", name, d.Visible, d.InFlight, want)
	}
}

// fakeImages resolves what it is told.
type fakeImages struct {
	mu     sync.Mutex
	images map[string]Image
	err    error
}

func (f *fakeImages) Resolve(_ context.Context, family string) (Image, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return Image{}, f.err
	}
	image, ok := f.images[family]
	if !ok {
		return Image{}, fmt.Errorf("no task definition %q", family)
	}
	return image, nil
}

func (f *fakeImages) set(image Image, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.images["family"], f.err = image, err
}

// fakeOutputs answers from S3, as a perfect cache would, except where it is told to know nothing, or something wrong.
type fakeOutputs struct {
	bucket *objects.Store

	mu     sync.Mutex
	blind  bool             // answers Unknown
	stale  map[job.Key]bool // said to exist
	forgot []job.Key
	used   []job.Key
}

func (f *fakeOutputs) setBlind(blind bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blind = blind
}

// claim makes it say that an output exists.
func (f *fakeOutputs) claim(key job.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stale[key] = true
}

func (f *fakeOutputs) Lookup(ctx context.Context, keys []job.Key) []job.Presence {
	f.mu.Lock()
	blind, stale := f.blind, maps.Clone(f.stale)
	f.mu.Unlock()
	found := make([]job.Presence, len(keys))
	for i, key := range keys {
		_, err := f.bucket.Head(ctx, job.ManifestPath(key))
		switch {
		case blind:
		case stale[key] || err == nil:
			found[i] = job.Hit
		case errors.Is(err, objects.ErrNotFound):
			found[i] = job.Miss
		}
	}
	return found
}

func (f *fakeOutputs) Forget(_ context.Context, key job.Key) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.stale, key)
	f.forgot = append(f.forgot, key)
	return nil
}

func (f *fakeOutputs) Used(keys []job.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.used = append(f.used, keys...)
}
