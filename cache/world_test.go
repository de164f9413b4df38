package cache

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"spate/internal/awsclient"
	"spate/internal/config"
	"spate/internal/objects"
	"spate/internal/provision"
	"spate/internal/queue"
	"spate/internal/table"
	"spate/job"
	"spate/sandbox"
	"spate/sandbox/fault"
)

// world is a whole sandbox in virtual time, deployed as for a real controller, and the processes that share it.
type world struct {
	t         testing.TB
	box       *sandbox.Sandbox
	clients   *awsclient.Clients // the test's own
	eyes      *awsclient.Clients // the test's own, whose calls take no time
	bucket    *objects.Store
	queueURL  string
	retention time.Duration
	stops     []func()

	mu     sync.Mutex
	random *rand.Rand          // what the services leave to chance
	loss   float64             // share of what is sent to Redis that has no answer, half of it no effect either
	full   bool                // Redis refuses to grow
	slow   float64             // share of the calls and answers that are on their way for up to two seconds
	tarry  map[string]tarrying // by DynamoDB's operation, or S3's method
	wrote  func(body []byte)
	turned func(path string, began bool) // told when an object is about to be put or deleted, and afterwards
}

// tarrying is how long, at most, answers to the processes' calls are on their way; of a PUT it is the call itself.
type tarrying struct {
	most  time.Duration
	until time.Time // those that are sent before
}

const worldConfiguration = `
tables: {runs: runs, outputs: outputs}
bucket: data
redis: {url: "redis://127.0.0.1:1"}
queues: {submissions: submissions, events: events, outputs: created}
pools: [{name: rollup, queue: rollup, cluster: hpc, task_definition: rollup, subnets: [a], max: 1, capacity: [{provider: FARGATE, max: 1}]}]
tasks: {price: {command: ["true"]}}
`

// newWorld must be called inside a bubble, and leave before its end.
func newWorld(t testing.TB, seed uint64, retention time.Duration) *world {
	t.Helper()
	account := sandbox.Instant()
	box, err := sandbox.New(sandbox.Options{InProcess: true, Seed: seed + 1, Account: &account, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, box: box, retention: retention, random: rand.New(rand.NewPCG(seed, 1)), slow: 1. / 200,
		wrote: func([]byte) {}, turned: func(string, bool) {}, tarry: map[string]tarrying{},
	}
	w.background(box.Run)
	w.clients, w.eyes = w.connect(nil), w.observer()
	cfg, err := config.Parse("spate.yaml", []byte(worldConfiguration), nil)
	if err != nil {
		t.Fatal(err)
	}
	image := provision.Image{Name: "spate@sha256:" + strings.Repeat("0", 64), Command: []string{"spate"}, CPU: "X86_64"}
	if err := provision.Create(t.Context(), w.clients, cfg, image); err != nil {
		t.Fatal(err)
	}
	out, err := w.clients.SQS.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("created")})
	if err != nil {
		t.Fatal(err)
	}
	late := box.Account()
	late.DynamoDB.TTLDelay = fault.Duration(48 * time.Hour) // the usual time at most (Amazon DynamoDB developer guide, "Using time to live"); and fewer sweeps
	if err := box.SetAccount(late); err != nil {
		t.Fatal(err)
	}
	w.bucket, w.queueURL = objects.New(w.clients.S3, testBucket), aws.ToString(out.QueueUrl)
	return w
}

// background runs something until the world is left.
func (w *world) background(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = run(ctx) // it ends when it is told to
	}()
	w.stops = append(w.stops, func() { cancel(); <-ended })
}

func (w *world) leave() {
	for _, stop := range slices.Backward(w.stops) {
		stop()
	}
	w.stops = nil
}

// chance is true for that share of the times.
func (w *world) chance(share float64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.Float64() < share
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// process is one that uses the cache. Its gate can stop it between any two calls.
type process struct {
	*Cache
	gate  *gate
	redis *redis.Client
	aws   *awsclient.Clients
	stop  func()
	ended chan struct{} // closed when its loops have ended; nil when it has none
	err   error         // why they ended
}

// join starts a process without the loops.
func (w *world) join() *process {
	w.t.Helper()
	p := &process{gate: &gate{resume: running()}}
	p.redis = redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:1", DialTimeout: 2 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second,
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			if err := p.gate.enter("dial"); err != nil {
				return nil, err
			}
			conn, err := w.box.DialRedis()
			return &redisConn{Conn: conn, world: w, gate: p.gate}, err
		},
	})
	p.redis.AddHook(fullRedis{w})
	p.aws = w.connect(p.gate)
	var err error
	p.Cache, err = New(Options{
		Redis: p.redis, DynamoDB: p.aws.DynamoDB, Streams: p.aws.Streams, OutputsTable: outputsTable,
		Records: NewTableRecords(table.New(p.aws.DynamoDB, runsTable)), Queue: queue.At(p.aws.SQS, w.queueURL),
		Objects: objects.New(p.aws.S3, testBucket), Bucket: testBucket, Retention: w.retention, RefreshPerSecond: 1000, Log: w.log(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	p.stop = func() { _ = p.redis.Close() }
	w.stops = append(w.stops, func() { p.stop() })
	return p
}

// start starts a process with the loops.
func (w *world) start() *process {
	w.t.Helper()
	p := w.join()
	p.eager()
	w.run(p, p.Run)
	return p
}

// eager makes it reconcile all the time.
func (p *process) eager() {
	r := p.Reconciler // more eager than anybody would have it
	r.SampleShare, r.PassEvery, r.WalkEvery, r.Grace = 0.3, 15*time.Second, 30*time.Second, 5*time.Second
	r.lists.SetLimit(50)
}

// run starts the loops of a process.
func (w *world) run(p *process, loops func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	p.gate.kill, p.ended = cancel, make(chan struct{})
	go func() {
		defer close(p.ended)
		p.err = loops(ctx)
	}()
	p.stop = sync.OnceFunc(func() {
		p.gate.die()
		<-p.ended
		_ = p.redis.Close()
	})
}

func (w *world) log() zerolog.Logger {
	if !*verbose {
		return zerolog.Nop()
	}
	return zerolog.New(zerolog.NewTestWriter(w.t)).With().Timestamp().Logger()
}

// gate stands between a process and the services.
type gate struct {
	mu     sync.Mutex
	calls  int
	last   int  // the call that is the process's last; 0: none
	after  bool // it has its effect
	dead   bool
	kill   func()
	resume chan struct{} // closed unless the process is paused
	before string        // the operation before which the process stands still
}

var errDead = errors.New("connection reset")

func running() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// enter is asked before each call; it waits while the process is paused.
func (g *gate) enter(operation string) error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	if g.before != "" && g.before == operation {
		g.before, g.resume = "", make(chan struct{})
	}
	resume := g.resume
	g.mu.Unlock()
	<-resume
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.calls++; g.calls == g.last && !g.after {
		g.dieLocked()
	}
	if g.dead {
		return errDead
	}
	return nil
}

// left is asked before a call's answer passes.
func (g *gate) left() error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	resume := g.resume
	g.mu.Unlock()
	<-resume
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.last > 0 && g.calls >= g.last && g.after {
		g.dieLocked()
	}
	if g.dead {
		return errDead
	}
	return nil
}

func (g *gate) die() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dieLocked()
}

func (g *gate) dieLocked() {
	if !g.dead && g.kill != nil {
		g.kill()
	}
	g.dead = true
	g.continueLocked()
}

// killAt makes the n-th call from now the last, before or after its effect.
func (g *gate) killAt(n int, after bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last, g.after = g.calls+n, after
}

func (g *gate) isDead() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.dead
}

func (g *gate) isPaused() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.resume:
		return false
	default:
		return true
	}
}

// pause keeps every call waiting until continues.
func (g *gate) pause() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.dead {
		g.resume = make(chan struct{})
	}
}

// pauseBefore does so when the next call of an operation is due.
func (g *gate) pauseBefore(operation string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.before = operation
}

// stands reports whether the process stands still, or is about to.
func (g *gate) stands() bool {
	g.mu.Lock()
	about := g.before != ""
	g.mu.Unlock()
	return about || g.isPaused()
}

func (g *gate) continues() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.before = ""
	g.continueLocked()
}

func (g *gate) continueLocked() {
	select {
	case <-g.resume:
	default:
		close(g.resume)
	}
}

// connect makes clients whose calls pass a gate.
func (w *world) connect(g *gate) *awsclient.Clients {
	return awsclient.FromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(w.box.Endpoint()), HTTPClient: &http.Client{Transport: passage{w, g}},
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
}

// observer makes clients that nothing stands in the way of, and whose calls take no time.
func (w *world) observer() *awsclient.Clients {
	return awsclient.FromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(w.box.Endpoint()), HTTPClient: &http.Client{Transport: w.box.Transport()},
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
}

// travel takes as long as a call or its answer is on the way: some milliseconds, now and then seconds.
func (w *world) travel() {
	w.mu.Lock()
	d := time.Duration(w.random.Int64N(int64(10 * time.Millisecond)))
	if w.random.Float64() < w.slow {
		d *= 200
	}
	w.mu.Unlock()
	time.Sleep(d)
}

// tarries is how long a call of now tarries.
func (w *world) tarries(operation string) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.tarry[operation]
	if !time.Now().Before(t.until) {
		return 0
	}
	return time.Duration(w.random.Int64N(int64(t.most)))
}

type passage struct {
	world *world
	gate  *gate
}

// RoundTrip carries one call to the sandbox. It tells the world of writes to tables and objects, before and after.
func (p passage) RoundTrip(r *http.Request) (*http.Response, error) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if err := p.gate.enter(operation); err != nil {
		return nil, err
	}
	tell := func(bool) {}
	switch operation {
	case "BatchWriteItem", "PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems":
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
		tell = func(bool) { p.world.wrote(body) }
	case "":
		if r.Method == http.MethodPut || r.Method == http.MethodDelete {
			tell = func(began bool) { p.world.turned(r.URL.Path, began) }
		}
	}
	var tarries time.Duration
	if p.gate != nil {
		tarries = p.world.tarries(cmp.Or(operation, r.Method))
	}
	p.world.travel()
	if r.Method == http.MethodPut {
		time.Sleep(tarries)
		tarries = 0
	}
	tell(true)
	response, err := p.world.box.Transport().RoundTrip(r)
	tell(false)
	time.Sleep(tarries)
	p.world.travel()
	if failed := p.gate.left(); failed != nil {
		return nil, failed
	}
	return response, err
}

// redisConn is a process's connection to Redis. What is sent may get lost on its way or on the way back; either way the
// process waits until its time is over.
type redisConn struct {
	net.Conn
	world      *world
	gate       *gate
	lost, mute bool
}

func (c *redisConn) Write(data []byte) (int, error) {
	paused := time.Now()
	if err := c.gate.enter("redis"); err != nil {
		_ = c.Close()
		return 0, err
	}
	if time.Since(paused) > 0 { // the process does not know how long it stood still
		_ = c.SetDeadline(time.Now().Add(time.Second))
	}
	c.world.mu.Lock()
	loss := c.world.loss
	c.world.mu.Unlock()
	if !c.lost && !c.mute && c.world.chance(loss) {
		c.lost = c.world.chance(0.5)
		c.mute = !c.lost
	}
	if c.lost {
		return len(data), nil
	}
	return c.Conn.Write(data)
}

func (c *redisConn) Read(data []byte) (int, error) {
	for {
		n, err := c.Conn.Read(data)
		if dead := c.gate.left(); dead != nil {
			_ = c.Close()
			return 0, dead
		}
		if err != nil || !c.mute {
			return n, err
		}
	}
}

// fullRedis refuses what would make Redis grow, as it does when it has reached maxmemory under noeviction: a transaction
// that holds such a command does nothing.
type fullRedis struct{ world *world }

func (f fullRedis) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f fullRedis) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if f.refuses(cmd) {
			cmd.SetErr(errFull)
			return errFull
		}
		return next(ctx, cmd)
	}
}

func (f fullRedis) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if slices.ContainsFunc(cmds, f.refuses) {
			return failAll(cmds, errFull)
		}
		return next(ctx, cmds)
	}
}

func (f fullRedis) refuses(cmd redis.Cmder) bool {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	name := strings.ToLower(cmd.Name())
	return f.world.full && (name == "sadd" || name == "set")
}

// errFull is Redis's sentence (Redis documentation, key eviction).
var errFull = redisError("OOM command not allowed when used memory > 'maxmemory'.")

type redisError string

func (e redisError) Error() string { return string(e) }
func (redisError) RedisError()     {}

// publish puts a file and a manifest, as workers do, in the place of any there are.
func (w *world) publish(k job.Key) {
	w.t.Helper()
	m := job.Manifest{V: job.MessageVersion, Key: k, Attempt: "a", Run: "run", Files: []job.File{{Path: "out", Size: 7}}}
	data, err := m.Encode()
	if err == nil {
		_, err = w.bucket.Put(w.t.Context(), m.Object(m.Files[0]), make([]byte, 7), objects.Condition{})
	}
	if err == nil {
		_, err = w.bucket.Put(w.t.Context(), job.ManifestPath(k), data, objects.Condition{})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) remove(k job.Key) {
	w.t.Helper()
	if err := w.bucket.Delete(w.t.Context(), job.ManifestPath(k), objects.Condition{}); err != nil {
		w.t.Fatal(err)
	}
}

// inS3 says whether an output is there and younger than the retention.
func (w *world) inS3(k job.Key) bool {
	w.t.Helper()
	made := w.made(k)
	return !made.IsZero() && time.Since(made) < w.retention
}

// made is when an output's manifest was last put; zero when there is none.
func (w *world) made(k job.Key) time.Time {
	w.t.Helper()
	info, err := objects.New(w.eyes.S3, testBucket).Head(w.t.Context(), job.ManifestPath(k))
	if err != nil && !errors.Is(err, objects.ErrNotFound) {
		w.t.Fatal(err)
	}
	return info.LastModified
}

// inLedger reads when items expire, by a call that no fault is about. One that cannot be read counts as absent.
func (w *world) inLedger(keys []job.Key) map[job.Key]time.Time {
	w.t.Helper()
	in := &dynamodb.TransactGetItemsInput{}
	for _, k := range keys {
		in.TransactItems = append(in.TransactItems, types.TransactGetItem{Get: &types.Get{TableName: aws.String(outputsTable), Key: itemKey(k)}})
	}
	out, err := w.eyes.DynamoDB.TransactGetItems(w.t.Context(), in)
	if err != nil {
		w.t.Fatal(err)
	}
	expires := map[job.Key]time.Time{}
	for i, r := range out.Responses {
		if len(r.Item) == 0 {
			continue
		}
		if o, err := parseOutput(r.Item); err == nil {
			expires[keys[i]] = o.ExpiresAt
		}
	}
	return expires
}

// waiting counts the notifications that nobody has handled.
func (w *world) waiting() string {
	w.t.Helper()
	out, err := w.clients.SQS.GetQueueAttributes(w.t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: &w.queueURL, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameAll},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	visible := out.Attributes[string(sqstypes.QueueAttributeNameApproximateNumberOfMessages)]
	hidden := out.Attributes[string(sqstypes.QueueAttributeNameApproximateNumberOfMessagesNotVisible)]
	return fmt.Sprintf("%s and %s", visible, hidden)
}
