package sqs_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"spate/sandbox/sqs"
)

// wantAttributesMD5 was computed apart, by the developer guide's description.
const wantAttributesMD5 = "bfec51e12c4567308f7e926df3cb5758"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client is the real SDK's client against a fresh server.
type client struct {
	*awssqs.Client
	server *sqs.Server
}

func newClient(t testing.TB) client {
	t.Helper()
	server := sqs.New(sqs.Options{Region: "us-east-1", AccountID: "000000000000", Log: zerolog.Nop()})
	listener := httptest.NewServer(server)
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		listener.Close()
	})
	return client{
		server: server,
		Client: awssqs.New(awssqs.Options{
			BaseEndpoint: aws.String(listener.URL), Region: "us-east-1", RetryMaxAttempts: 1,
			HTTPClient:  &http.Client{Transport: transport},
			Credentials: credentials.NewStaticCredentialsProvider("sandbox", "sandbox", ""),
		}),
	}
}

func (c client) queue(t testing.TB, name string, attributes map[string]string) string {
	t.Helper()
	out, err := c.CreateQueue(t.Context(), &awssqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		t.Fatalf("create queue: %v", err)
	}
	return *out.QueueUrl
}

func (c client) send(t testing.TB, url, body string) {
	t.Helper()
	if _, err := c.SendMessage(t.Context(), &awssqs.SendMessageInput{QueueUrl: &url, MessageBody: &body}); err != nil {
		t.Fatalf("send: %v", err)
	}
}

func (c client) receive(t testing.TB, in awssqs.ReceiveMessageInput) []types.Message {
	t.Helper()
	out, err := c.ReceiveMessage(t.Context(), &in)
	if err != nil {
		t.Fatalf("receive: %v", err)
	}
	return out.Messages
}

func (c client) attribute(t testing.TB, url string, name types.QueueAttributeName) string {
	t.Helper()
	out, err := c.GetQueueAttributes(t.Context(), &awssqs.GetQueueAttributesInput{
		QueueUrl: &url, AttributeNames: []types.QueueAttributeName{name},
	})
	if err != nil {
		t.Fatalf("get attributes: %v", err)
	}
	return out.Attributes[string(name)]
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var fault smithy.APIError
	if !errors.As(err, &fault) || fault.ErrorCode() != code {
		t.Errorf("got error %v, want code %s", err, code)
	}
}

func TestAMessageIsReceivedWithItsAttributes(t *testing.T) {
	c := newClient(t)
	url := c.queue(t, "jobs", nil)
	sent, err := c.SendMessage(t.Context(), &awssqs.SendMessageInput{
		QueueUrl: &url, MessageBody: aws.String("héllo"),
		MessageAttributes: map[string]types.MessageAttributeValue{
			"zone":  {DataType: aws.String("String"), StringValue: aws.String("b")},
			"count": {DataType: aws.String("Number"), StringValue: aws.String("7")},
			"blob":  {DataType: aws.String("Binary"), BinaryValue: []byte{1, 2}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := aws.ToString(sent.MD5OfMessageAttributes); got != wantAttributesMD5 {
		t.Errorf("MD5 of attributes %s, want %s", got, wantAttributesMD5)
	}
	messages := c.receive(t, awssqs.ReceiveMessageInput{
		QueueUrl: &url, MessageAttributeNames: []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"},
	})
	if len(messages) != 1 || *messages[0].Body != "héllo" || *messages[0].MessageId != *sent.MessageId {
		t.Fatalf("received %+v", messages)
	}
	m := messages[0]
	if *m.MessageAttributes["count"].StringValue != "7" || string(m.MessageAttributes["blob"].BinaryValue) != "\x01\x02" {
		t.Errorf("attributes %+v", m.MessageAttributes)
	}
	if m.Attributes["ApproximateReceiveCount"] != "1" || m.Attributes["SentTimestamp"] == "" {
		t.Errorf("system attributes %v", m.Attributes)
	}
}

func TestAReceivedMessageIsInvisibleUntilItIsReturned(t *testing.T) {
	c := newClient(t)
	url := c.queue(t, "jobs", nil)
	c.send(t, url, "one")
	first := c.receive(t, awssqs.ReceiveMessageInput{QueueUrl: &url})
	if again := c.receive(t, awssqs.ReceiveMessageInput{QueueUrl: &url}); len(again) != 0 {
		t.Fatalf("received %d messages in flight", len(again))
	}
	if got := c.attribute(t, url, "ApproximateNumberOfMessagesNotVisible"); got != "1" {
		t.Errorf("not visible: %s", got)
	}
	if _, err := c.ChangeMessageVisibility(t.Context(), &awssqs.ChangeMessageVisibilityInput{
		QueueUrl: &url, ReceiptHandle: first[0].ReceiptHandle, VisibilityTimeout: 0,
	}); err != nil {
		t.Fatal(err)
	}
	if again := c.receive(t, awssqs.ReceiveMessageInput{QueueUrl: &url}); len(again) != 1 {
		t.Errorf("received %d messages after the return", len(again))
	}
}

func TestAStaleReceiptHandleDeletesNothing(t *testing.T) {
	c := newClient(t)
	url := c.queue(t, "jobs", nil)
	c.send(t, url, "one")
	stale := c.receive(t, awssqs.ReceiveMessageInput{QueueUrl: &url, VisibilityTimeout: 0})
	// A zero visibility in the request means the queue's; return it by hand.
	if _, err := c.ChangeMessageVisibility(t.Context(), &awssqs.ChangeMessageVisibilityInput{
		QueueUrl: &url, ReceiptHandle: stale[0].ReceiptHandle,
	}); err != nil {
		t.Fatal(err)
	}
	fresh := c.receive(t, awssqs.ReceiveMessageInput{QueueUrl: &url})
	if _, err := c.DeleteMessage(t.Context(), &awssqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: stale[0].ReceiptHandle}); err != nil {
		t.Errorf("delete by a stale handle: %v", err)
	}
	if got := c.attribute(t, url, "ApproximateNumberOfMessagesNotVisible"); got != "1" {
		t.Fatalf("in flight after the stale delete: %s", got)
	}
	for range 2 { // deleting twice is no error
		if _, err := c.DeleteMessage(t.Context(), &awssqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: fresh[0].ReceiptHandle}); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.attribute(t, url, "ApproximateNumberOfMessagesNotVisible"); got != "0" {
		t.Errorf("in flight after the delete: %s", got)
	}
}

func TestALongPollIsWokenByASend(t *testing.T) {
	c := newClient(t)
	url := c.queue(t, "jobs", nil)
	received := make(chan []types.Message, 1)
	go func() {
		received <- c.receive(t, awssqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 20})
	}()
	c.send(t, url, "late")
	if messages := <-received; len(messages) != 1 || *messages[0].Body != "late" {
		t.Errorf("received %v", messages)
	}
}

func TestALongPollThatIsGivenUpTakesNothing(t *testing.T) {
	c := newClient(t)
	url := c.queue(t, "jobs", nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.ReceiveMessage(ctx, &awssqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 20}); err == nil {
		t.Fatal("the poll ended before its context")
	}
	deadline, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for c.server.Waiting(url) > 0 {
		if deadline.Err() != nil {
			t.Fatal("the poll is still waiting")
		}
	}
	c.send(t, url, "one")
	if messages := c.receive(t, awssqs.ReceiveMessageInput{QueueUrl: &url}); len(messages) != 1 {
		t.Errorf("received %d messages", len(messages))
	}
}

func TestABatchFailsAsAWholeOnlyForWhatConcernsItAsAWhole(t *testing.T) {
	c := newClient(t)
	url := c.queue(t, "jobs", nil)
	entries := func(count, bytes int) []types.SendMessageBatchRequestEntry {
		var all []types.SendMessageBatchRequestEntry
		for i := range count {
			all = append(all, types.SendMessageBatchRequestEntry{
				Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(strings.Repeat("x", bytes)),
			})
		}
		return all
	}
	twice := entries(2, 1)
	twice[1].Id = twice[0].Id
	for name, tc := range map[string]struct {
		entries []types.SendMessageBatchRequestEntry
		code    string
	}{
		"too many":  {entries(11, 1), "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"},
		"too long":  {entries(10, 30<<10), "AWS.SimpleQueueService.BatchRequestTooLong"},
		"ambiguous": {twice, "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"},
		"empty":     {[]types.SendMessageBatchRequestEntry{}, "AWS.SimpleQueueService.EmptyBatchRequest"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.SendMessageBatch(t.Context(), &awssqs.SendMessageBatchInput{QueueUrl: &url, Entries: tc.entries})
			wantCode(t, err, tc.code)
		})
	}
	mixed := entries(2, 10)
	mixed[1].MessageBody = aws.String("\x01")
	out, err := c.SendMessageBatch(t.Context(), &awssqs.SendMessageBatchInput{QueueUrl: &url, Entries: mixed})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Successful) != 1 || len(out.Failed) != 1 || *out.Failed[0].Id != "1" || *out.Failed[0].Code != "InvalidMessageContents" {
		t.Errorf("got %+v", out)
	}
}

func TestTheSizeLimitIsTheQueues(t *testing.T) {
	c := newClient(t)
	small := c.queue(t, "small", nil)
	large := c.queue(t, "large", map[string]string{"MaximumMessageSize": "1048576"})
	body := strings.Repeat("x", 256<<10+1)
	_, err := c.SendMessage(t.Context(), &awssqs.SendMessageInput{QueueUrl: &small, MessageBody: &body})
	wantCode(t, err, "InvalidParameterValue")
	c.send(t, large, body)
}

func TestFaultsHaveSQSsCodes(t *testing.T) {
	c := newClient(t)
	url := c.queue(t, "jobs", nil)
	missing := strings.Replace(url, "jobs", "missing", 1)
	_, err := c.ReceiveMessage(t.Context(), &awssqs.ReceiveMessageInput{QueueUrl: &missing})
	wantCode(t, err, "AWS.SimpleQueueService.NonExistentQueue")
	_, err = c.GetQueueUrl(t.Context(), &awssqs.GetQueueUrlInput{QueueName: aws.String("missing")})
	if _, ok := errors.AsType[*types.QueueDoesNotExist](err); !ok {
		t.Errorf("GetQueueUrl: %v is not QueueDoesNotExist", err)
	}
	_, err = c.ReceiveMessage(t.Context(), &awssqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 11})
	wantCode(t, err, "InvalidParameterValue")
	_, err = c.DeleteMessage(t.Context(), &awssqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: aws.String("!")})
	wantCode(t, err, "ReceiptHandleIsInvalid")
	_, err = c.CreateQueue(t.Context(), &awssqs.CreateQueueInput{
		QueueName: aws.String("jobs"), Attributes: map[string]string{"VisibilityTimeout": "1"},
	})
	wantCode(t, err, "QueueAlreadyExists")

	c.send(t, url, "one")
	handle := c.receive(t, awssqs.ReceiveMessageInput{QueueUrl: &url})[0].ReceiptHandle
	change := func(seconds int32) error {
		_, err := c.ChangeMessageVisibility(t.Context(), &awssqs.ChangeMessageVisibilityInput{
			QueueUrl: &url, ReceiptHandle: handle, VisibilityTimeout: seconds,
		})
		return err
	}
	if err := change(0); err != nil {
		t.Fatal(err)
	}
	wantCode(t, change(10), "AWS.SimpleQueueService.MessageNotInflight")
}

func TestAMessageReceivedTooOftenGoesToTheDeadLetterQueue(t *testing.T) {
	c := newClient(t)
	dead := c.queue(t, "dead", nil)
	url := c.queue(t, "jobs", map[string]string{
		"RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":"2"}`, c.attribute(t, dead, "QueueArn")),
	})
	c.send(t, url, "poison")
	for range 2 {
		m := c.receive(t, awssqs.ReceiveMessageInput{QueueUrl: &url})
		if len(m) != 1 {
			t.Fatalf("received %d", len(m))
		}
		if _, err := c.ChangeMessageVisibility(t.Context(), &awssqs.ChangeMessageVisibilityInput{
			QueueUrl: &url, ReceiptHandle: m[0].ReceiptHandle,
		}); err != nil {
			t.Fatal(err)
		}
	}
	if m := c.receive(t, awssqs.ReceiveMessageInput{QueueUrl: &url}); len(m) != 0 {
		t.Fatalf("received a third time: %v", m)
	}
	if m := c.receive(t, awssqs.ReceiveMessageInput{QueueUrl: &dead}); len(m) != 1 || *m[0].Body != "poison" {
		t.Errorf("dead-letter queue gave %v", m)
	}
}

func TestPushReachesAQueueByItsARN(t *testing.T) {
	c := newClient(t)
	url := c.queue(t, "events", nil)
	arn := c.attribute(t, url, "QueueArn")
	if err := c.server.Push(arn, "pushed"); err != nil {
		t.Fatal(err)
	}
	if m := c.receive(t, awssqs.ReceiveMessageInput{QueueUrl: &url}); len(m) != 1 || *m[0].Body != "pushed" {
		t.Errorf("received %v", m)
	}
	if err := c.server.Push(arn+"x", "lost"); err == nil {
		t.Error("pushed to a queue that does not exist")
	}
}

func TestQueuesAreListedAndDeleted(t *testing.T) {
	c := newClient(t)
	for _, name := range []string{"b-1", "a-1", "a-2"} {
		c.queue(t, name, nil)
	}
	list := func() []string {
		out, err := c.ListQueues(t.Context(), &awssqs.ListQueuesInput{QueueNamePrefix: aws.String("a-")})
		if err != nil {
			t.Fatal(err)
		}
		return out.QueueUrls
	}
	urls := list()
	if len(urls) != 2 || !strings.HasSuffix(urls[0], "/000000000000/a-1") {
		t.Fatalf("listed %v", urls)
	}
	if _, err := c.DeleteQueue(t.Context(), &awssqs.DeleteQueueInput{QueueUrl: &urls[0]}); err != nil {
		t.Fatal(err)
	}
	if urls := list(); len(urls) != 1 {
		t.Errorf("listed %v after the delete", urls)
	}
}

func BenchmarkSendMessageBatch(b *testing.B) {
	c := newClient(b)
	url := c.queue(b, "jobs", nil)
	var entries []types.SendMessageBatchRequestEntry
	for i := range 10 {
		entries = append(entries, types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(strings.Repeat("x", 1000))})
	}
	for b.Loop() {
		if _, err := c.SendMessageBatch(b.Context(), &awssqs.SendMessageBatchInput{QueueUrl: &url, Entries: entries}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReceiveMessage(b *testing.B) {
	c := newClient(b)
	url := c.queue(b, "jobs", nil)
	for range 10 {
		c.send(b, url, strings.Repeat("x", 1000))
	}
	for b.Loop() {
		m := c.receive(b, awssqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 1})
		if _, err := c.ChangeMessageVisibility(b.Context(), &awssqs.ChangeMessageVisibilityInput{
			QueueUrl: &url, ReceiptHandle: m[0].ReceiptHandle,
		}); err != nil {
			b.Fatal(err)
		}
	}
}
