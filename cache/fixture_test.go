package cache

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os/exec"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"spate/internal/awsclient"
	"spate/internal/table"
	"spate/job"
	sandbox "spate/sandbox/dynamodb"
	"spate/sandbox/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is the tests' first moment.
var start = time.Now().Truncate(time.Second)

const (
	outputsTable = "outputs"
	runsTable    = "runs"
	testBucket   = "data"
	retention    = 30 * 24 * time.Hour
)

// openRedis starts a real Redis where redis-server is on PATH, else miniredis.
func openRedis(t testing.TB) *redis.Client {
	t.Helper()
	var address string
	if program, err := exec.LookPath("redis-server"); err == nil {
		address = startRedis(t, program)
		t.Log("redis: redis-server")
	} else {
		address = miniredis.RunT(t).Addr()
		t.Log("redis: miniredis; no redis-server on PATH")
	}
	client := redis.NewClient(&redis.Options{Addr: address, MaxRetries: -1, DisableIdentity: true})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func startRedis(t testing.TB, program string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	_ = listener.Close()
	server := exec.Command(program, "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", t.TempDir())
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	client := redis.NewClient(&redis.Options{Addr: address})
	defer client.Close()
	eventually(t, "redis-server answers", func() bool { return client.Ping(t.Context()).Err() == nil })
	return address
}

// eventually polls until a condition holds, for ten seconds at most.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for !holds() {
		if sleep(ctx, 5*time.Millisecond) != nil {
			t.Fatalf("not within ten seconds: %s", what)
		}
	}
}

// openDynamoDB serves the sandbox's DynamoDB with both tables made.
func openDynamoDB(t testing.TB) (*sandbox.Server, *awsclient.Clients) {
	t.Helper()
	server, err := sandbox.New(sandbox.Options{Region: "us-east-1", AccountID: "000000000000", Habits: &sandbox.Habits{TTLDelay: fault.Duration(10 * time.Millisecond)}, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	endpoint := httptest.NewServer(server)
	t.Cleanup(endpoint.Close)
	clients := awsclient.FromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: &endpoint.URL, HTTPClient: endpoint.Client(),
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
	attribute := func(name string) types.AttributeDefinition {
		return types.AttributeDefinition{AttributeName: &name, AttributeType: types.ScalarAttributeTypeS}
	}
	key := func(name string, kind types.KeyType) types.KeySchemaElement {
		return types.KeySchemaElement{AttributeName: &name, KeyType: kind}
	}
	for _, in := range []*dynamodb.CreateTableInput{
		{
			TableName: aws.String(outputsTable), BillingMode: types.BillingModePayPerRequest,
			AttributeDefinitions: []types.AttributeDefinition{attribute("key")},
			KeySchema:            []types.KeySchemaElement{key("key", types.KeyTypeHash)},
			StreamSpecification:  &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewAndOldImages},
		},
		{
			TableName: aws.String(runsTable), BillingMode: types.BillingModePayPerRequest,
			AttributeDefinitions: []types.AttributeDefinition{attribute("pk"), attribute("sk")},
			KeySchema:            []types.KeySchemaElement{key("pk", types.KeyTypeHash), key("sk", types.KeyTypeRange)},
		},
	} {
		if _, err := clients.DynamoDB.CreateTable(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	return server, clients
}

// house is a cache on the sandbox's DynamoDB and a Redis, without its loops: the tests turn them by hand.
type house struct {
	*Cache
	t       testing.TB
	redis   *redis.Client
	server  *sandbox.Server
	clients *awsclient.Clients
	records Records
	faults  *faults
	queue   *fakeQueue
	objects *fakeObjects
	session *session
	now     time.Time
}

func newHouse(t testing.TB) *house {
	t.Helper()
	return newHouseOn(t, openRedis(t))
}

// newHouseOn uses a Redis, which must be empty.
func newHouseOn(t testing.TB, client *redis.Client) *house {
	t.Helper()
	h := &house{t: t, redis: client, now: time.Now().Truncate(time.Second)} // not start: a view that is a minute old answers nothing
	h.server, h.clients = openDynamoDB(t)
	h.faults = &faults{DynamoDB: h.clients.DynamoDB, Streams: h.clients.Streams}
	h.records = NewTableRecords(table.New(h.clients.DynamoDB, runsTable))
	h.queue, h.objects = newFakeQueue(), newFakeObjects()
	h.Cache = h.process()
	t.Cleanup(h.leave)
	return h
}

// process is another process's cache on the same services.
func (h *house) process() *Cache {
	h.t.Helper()
	c, err := New(Options{
		Redis: h.redis, DynamoDB: h.faults, Streams: h.faults, OutputsTable: outputsTable,
		Records: h.records, Queue: h.queue, Objects: newListing(h.objects), Bucket: testBucket, Retention: retention, WritesPerSecond: 1_000_000, RefreshPerSecond: 1_000_000, Log: zerolog.Nop(),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// leave ends the follower's session, as a process that ends does.
func (h *house) leave() {
	if h.session != nil {
		h.session.close()
		h.session = nil
	}
}

// follow does one round of the follower, a second after the last, opening a session when there is none.
func (h *house) follow() error {
	h.t.Helper()
	h.now = h.now.Add(time.Second)
	if h.session == nil {
		s, err := h.Follower.open(h.t.Context(), h.now)
		if err != nil {
			return err
		}
		h.session = s
	}
	_, err := h.session.round(h.t.Context(), h.now)
	if errors.Is(err, ErrSuperseded) || errors.Is(err, errMissed) {
		h.leave()
	}
	return err
}

// settle follows until an epoch is live and nothing changes any more.
func (h *house) settle() {
	h.t.Helper()
	quiet := 0
	var err error
	for range 300 {
		err = h.follow()
		if h.session != nil && h.session.build != nil {
			<-h.session.build.done
		}
		if err == nil && h.session.live != nil && h.session.build == nil && len(h.session.waiting) == 0 {
			quiet++
		} else {
			quiet = 0
		}
		if quiet == 12 { // long enough for new shards to be listed and read
			return
		}
	}
	h.t.Fatalf("the follower does not settle: %v", err)
}

// liveEpoch is the epoch that the runs table remembers as live.
func (h *house) liveEpoch() int64 {
	h.t.Helper()
	record, _, err := h.records.LoadEpoch(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return record.Live
}

// put writes outputs straight into the ledger.
func (h *house) put(keys ...job.Key) {
	h.t.Helper()
	outputs := make([]Output, len(keys))
	for i, k := range keys {
		outputs[i] = Output{Key: k, CreatedAt: start, ExpiresAt: start.Add(retention), Bytes: 1, Run: "run"}
	}
	if err := h.Ledger.Write(h.t.Context(), outputs, nil); err != nil {
		h.t.Fatal(err)
	}
}

// view asks the view alone.
func (h *house) view(keys ...job.Key) []job.Presence {
	return h.askView(h.t.Context(), h.now, keys)
}

func testKey(n int) job.Key {
	k, err := job.KeyOf([job.KeySize]byte{byte(n), byte(n >> 8), byte(n >> 16)}, nil)
	if err != nil {
		panic(err)
	}
	return k
}

func testKeys(from, to int) []job.Key {
	keys := make([]job.Key, 0, to-from)
	for n := from; n < to; n++ {
		keys = append(keys, testKey(n))
	}
	return keys
}

// all checks that every answer is the wanted one.
func all(t testing.TB, got []job.Presence, want job.Presence) {
	t.Helper()
	counts := map[job.Presence]int{}
	for _, p := range got {
		counts[p]++
	}
	if counts[want] != len(got) {
		t.Fatalf("answers are %s, want %d × %s", fmt.Sprint(counts), len(got), want)
	}
}
