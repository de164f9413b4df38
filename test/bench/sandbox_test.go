package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/rs/zerolog"

	"spate/internal/awsclient"
	"spate/sandbox"
	"spate/sandbox/ecs"
)

// benchClients is how many call at once.
const benchClients = 64

// BenchmarkSandbox measures calls of the sandbox over loopback HTTP by 64 clients at once: AWS's SDK, and a client that
// writes requests it has made before and does no more with the answers than find their ends. The clients share the
// machine with the sandbox, so that the second is nearer to what the sandbox itself takes.
func BenchmarkSandbox(b *testing.B) {
	for _, call := range calls() {
		b.Run(call.name+"/sdk", func(b *testing.B) {
			l := newLoad(b)
			measure(b, l, func(client int) func(context.Context) error { return call.sdk(l, client) })
		})
		b.Run(call.name+"/lean", func(b *testing.B) {
			l := newLoad(b)
			measure(b, l, func(client int) func(context.Context) error {
				return dial(b, l.endpoint, call.target, call.body(l, client)).call
			})
		})
	}
}

// measure shares the calls among the clients; prepare makes each client's call.
func measure(b *testing.B, l *load, prepare func(client int) func(context.Context) error) {
	b.Helper()
	took := make([][]time.Duration, benchClients)
	do := make([]func(context.Context) error, benchClients)
	for i := range do {
		do[i] = prepare(i)
	}
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var clients sync.WaitGroup
	before := cpuTime(b)
	b.ResetTimer()
	for i := range do {
		clients.Go(func() {
			for next.Add(1) <= int64(b.N) {
				begin := time.Now()
				if err := errors.Join(do[i](b.Context()), l.purge(b.Context())); err != nil {
					failed.Store(&err)
					return
				}
				took[i] = append(took[i], time.Since(begin))
			}
		})
	}
	clients.Wait()
	b.StopTimer()
	if err := failed.Load(); err != nil {
		b.Fatal(*err)
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/call") // of sandbox and clients, however busy the machine is
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
	b.ReportMetric(milliseconds(all[len(all)/2]), "p50-ms")
	b.ReportMetric(milliseconds(all[len(all)*99/100]), "p99-ms")
	b.ReportMetric(0, "ns/op") // the time between two calls of 64 clients says nothing that calls/s does not
}

// cpuTime is what this process has used of all processors.
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// benchCall is one operation, as each of the clients makes it again and again.
type benchCall struct {
	name, target string
	body         func(l *load, client int) string
	sdk          func(l *load, client int) func(context.Context) error
}

func calls() []benchCall {
	return []benchCall{
		{"RunTask", "AmazonEC2ContainerServiceV20141113.RunTask", (*load).runTaskBody, (*load).runTask},
		{"SendMessageBatch", "AmazonSQS.SendMessageBatch", (*load).sendBody, (*load).send},
		{"ReceiveMessage", "AmazonSQS.ReceiveMessage", (*load).receiveBody, (*load).receive},
		{"BatchWriteItem", "DynamoDB_20120810.BatchWriteItem", (*load).writeBody, (*load).write},
	}
}

// load is a sandbox that refuses nothing for being too much.
type load struct {
	endpoint string
	clients  *awsclient.Clients
	// The first queue is sent to. The messages of the second are visible again as soon as they were received.
	sink, source string
	sent         atomic.Int64
}

func newLoad(b *testing.B) *load {
	b.Helper()
	account := sandbox.Instant()
	much := ecs.Rate{Burst: 1e12, PerSecond: 1e12}
	account.ECS.OnDemand = ecs.Provider{Launches: much, VCPUs: 1e12}
	account.ECS.ChangeCalls, account.ECS.RunTaskCalls = much, much
	box, err := sandbox.New(sandbox.Options{
		Account: &account, Log: zerolog.Nop(), // tasks end as soon as they start:
		Runtime: &ecs.FunctionRuntime{Run: func(context.Context, ecs.FunctionTask) int { return 0 }},
	})
	must(b, err)
	run(b, box.Run)
	l := &load{endpoint: box.Endpoint(), clients: awsclient.Local(box.Endpoint())}
	ctx := b.Context()
	_, err = l.clients.ECS.CreateCluster(ctx, &awsecs.CreateClusterInput{ClusterName: aws.String("hpc")})
	must(b, err)
	_, err = l.clients.ECS.RegisterTaskDefinition(ctx, &awsecs.RegisterTaskDefinitionInput{
		Family: aws.String("worker"), Cpu: aws.String("1024"), Memory: aws.String("2048"),
		ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("main"), Image: aws.String("worker@" + digest)}},
	})
	must(b, err)
	for name, url := range map[string]*string{"sink": &l.sink, "source": &l.source} {
		out, err := l.clients.SQS.CreateQueue(ctx, &awssqs.CreateQueueInput{QueueName: &name, Attributes: map[string]string{"VisibilityTimeout": "0"}})
		must(b, err)
		*url = *out.QueueUrl
	}
	for range 10 {
		_, err := l.clients.SQS.SendMessageBatch(ctx, &awssqs.SendMessageBatchInput{QueueUrl: &l.source, Entries: entries()})
		must(b, err)
	}
	_, err = l.clients.DynamoDB.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String("outputs"), BillingMode: dynamodbtypes.BillingModePayPerRequest,
		KeySchema:            []dynamodbtypes.KeySchemaElement{{AttributeName: aws.String("key"), KeyType: dynamodbtypes.KeyTypeHash}},
		AttributeDefinitions: []dynamodbtypes.AttributeDefinition{{AttributeName: aws.String("key"), AttributeType: dynamodbtypes.ScalarAttributeTypeS}},
	})
	must(b, err)
	return l
}

// runTask launches one task.
func (l *load) runTask(int) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := l.clients.ECS.RunTask(ctx, &awsecs.RunTaskInput{
			Cluster: aws.String("hpc"), TaskDefinition: aws.String("worker"), LaunchType: types.LaunchTypeFargate, StartedBy: aws.String("intent"),
		})
		return err
	}
}

func (l *load) runTaskBody(int) string {
	return `{"cluster":"hpc","taskDefinition":"worker","launchType":"FARGATE","startedBy":"intent"}`
}

// entries are ten messages of half a kilobyte.
func entries() []sqstypes.SendMessageBatchRequestEntry {
	all := make([]sqstypes.SendMessageBatchRequestEntry, 10)
	for i := range all {
		all[i] = sqstypes.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(strings.Repeat("m", 512))}
	}
	return all
}

// send sends ten messages.
func (l *load) send(int) func(context.Context) error {
	in := &awssqs.SendMessageBatchInput{QueueUrl: &l.sink, Entries: entries()}
	return func(ctx context.Context) error {
		_, err := l.clients.SQS.SendMessageBatch(ctx, in)
		return err
	}
}

func (l *load) sendBody(int) string {
	list := make([]string, 10)
	for i := range list {
		list[i] = fmt.Sprintf(`{"Id":"%d","MessageBody":%q}`, i, strings.Repeat("m", 512))
	}
	return fmt.Sprintf(`{"QueueUrl":%q,"Entries":[%s]}`, l.sink, strings.Join(list, ","))
}

// receive receives ten messages.
func (l *load) receive(int) func(context.Context) error {
	return func(ctx context.Context) error {
		out, err := l.clients.SQS.ReceiveMessage(ctx, &awssqs.ReceiveMessageInput{QueueUrl: &l.source, MaxNumberOfMessages: 10})
		if err == nil && len(out.Messages) != 10 {
			return fmt.Errorf("received %d messages", len(out.Messages))
		}
		return err
	}
}

func (l *load) receiveBody(int) string {
	return fmt.Sprintf(`{"QueueUrl":%q,"MaxNumberOfMessages":10}`, l.source)
}

// outputKey is the key of a client's output.
func outputKey(client, i int) string { return fmt.Sprintf("%064x", client*1000+i) }

// write writes 25 outputs, the same ones for each client's calls.
func (l *load) write(client int) func(context.Context) error {
	requests := make([]dynamodbtypes.WriteRequest, 25)
	for i := range requests {
		requests[i].PutRequest = &dynamodbtypes.PutRequest{Item: map[string]dynamodbtypes.AttributeValue{
			"key":    &dynamodbtypes.AttributeValueMemberS{Value: outputKey(client, i)},
			"run_id": &dynamodbtypes.AttributeValueMemberS{Value: "run-20261121-000001"}, "bytes": &dynamodbtypes.AttributeValueMemberN{Value: "1048576"},
			"created_at": &dynamodbtypes.AttributeValueMemberN{Value: "1763715600"}, "expires_at": &dynamodbtypes.AttributeValueMemberN{Value: "1766307600"},
		}}
	}
	in := &dynamodb.BatchWriteItemInput{RequestItems: map[string][]dynamodbtypes.WriteRequest{"outputs": requests}}
	return func(ctx context.Context) error {
		_, err := l.clients.DynamoDB.BatchWriteItem(ctx, in)
		return err
	}
}

func (l *load) writeBody(client int) string {
	list := make([]string, 25)
	for i := range list {
		list[i] = fmt.Sprintf(`{"PutRequest":{"Item":{"key":{"S":%q},"run_id":{"S":"run-20261121-000001"},"bytes":{"N":"1048576"},`+
			`"created_at":{"N":"1763715600"},"expires_at":{"N":"1766307600"}}}}`, outputKey(client, i))
	}
	return `{"RequestItems":{"outputs":[` + strings.Join(list, ",") + `]}}`
}

// purge empties the queue that is sent to, now and then, so that the benchmark is not one of memory.
func (l *load) purge(ctx context.Context) error {
	if l.sent.Add(1)%5000 != 0 {
		return nil
	}
	_, err := l.clients.SQS.PurgeQueue(ctx, &awssqs.PurgeQueueInput{QueueUrl: &l.sink})
	return err
}

// lean is a client that makes one request again and again over one connection.
type lean struct {
	conn    net.Conn
	reader  *bufio.Reader
	request []byte
}

func dial(b *testing.B, endpoint, target, body string) *lean {
	b.Helper()
	address := strings.TrimPrefix(endpoint, "http://")
	conn, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", address)
	must(b, err)
	b.Cleanup(func() { must(b, conn.Close()) })
	return &lean{conn: conn, reader: bufio.NewReader(conn), request: fmt.Appendf(nil,
		"POST / HTTP/1.1\r\nHost: %s\r\nX-Amz-Target: %s\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n%s",
		address, target, len(body), body)}
}

// call sends the request and reads to the answer's end.
func (c *lean) call(context.Context) error {
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return err
	}
	status, length := string(line), 0
	for {
		if line, err = c.reader.ReadSlice('\n'); err != nil {
			return err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	if !strings.HasPrefix(status, "HTTP/1.1 200") {
		body, err := io.ReadAll(io.LimitReader(c.reader, int64(length)))
		return errors.Join(fmt.Errorf("%s%s", status, body), err)
	}
	_, err = c.reader.Discard(length)
	return err
}
