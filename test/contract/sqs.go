package contract

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const (
	apiSend       = "Amazon SQS API reference, SendMessage"
	apiSendBatch  = "Amazon SQS API reference, SendMessageBatch"
	apiReceive    = "Amazon SQS API reference, ReceiveMessage"
	apiDelete     = "Amazon SQS API reference, DeleteMessage"
	apiVisibility = "Amazon SQS API reference, ChangeMessageVisibility"
	apiQueue      = "Amazon SQS API reference, CreateQueue"
	apiAttributes = "Amazon SQS API reference, GetQueueAttributes"
	sqsQuotas     = "Amazon SQS developer guide, message quotas"
)

func sqsFacts() []Fact {
	return slices.Concat(messageFacts(), batchFacts(), queueFacts())
}

// queue is one queue and its client.
type queue struct {
	*probe
	client *sqs.Client
	name   string
	url    string
}

func (p *probe) sqs(options ...func(*sqs.Options)) *sqs.Client {
	config := p.target.config()
	if p.target.QueueEndpoint != "" {
		config.BaseEndpoint = aws.String(p.target.QueueEndpoint)
	}
	return sqs.NewFromConfig(config, options...)
}

// queue makes a queue; attributes are names and values in turn.
func (p *probe) queue(attributes ...string) *queue {
	q := &queue{probe: p, client: p.sqs(), name: p.name("queue")}
	q.url = aws.ToString(must(q.client.CreateQueue(p.ctx, &sqs.CreateQueueInput{QueueName: &q.name, Attributes: pairs(attributes)})).QueueUrl)
	return q
}

func pairs(attributes []string) map[string]string {
	out := map[string]string{}
	for pair := range slices.Chunk(attributes, 2) {
		out[pair[0]] = pair[1]
	}
	return out
}

func (q *queue) send(bodies ...string) {
	for _, body := range bodies {
		must(q.client.SendMessage(q.ctx, &sqs.SendMessageInput{QueueUrl: &q.url, MessageBody: &body}))
	}
}

// receive receives what comes within the wait, in seconds, and hides it for so many.
func (q *queue) receive(wait, hidden int32) []types.Message {
	return must(q.client.ReceiveMessage(q.ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &q.url, MaxNumberOfMessages: 10, WaitTimeSeconds: wait, VisibilityTimeout: hidden,
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
		MessageAttributeNames:       []string{"All"},
	})).Messages
}

// one receives one message, which must come.
func (q *queue) one(hidden int32) types.Message {
	found := q.receive(20, hidden)
	require(len(found) == 1, "received %d messages, want one", len(found))
	return found[0]
}

func (q *queue) delete(m types.Message) {
	must(q.client.DeleteMessage(q.ctx, &sqs.DeleteMessageInput{QueueUrl: &q.url, ReceiptHandle: m.ReceiptHandle}))
}

func (q *queue) hide(m types.Message, seconds int32) error {
	_, err := q.client.ChangeMessageVisibility(q.ctx, &sqs.ChangeMessageVisibilityInput{
		QueueUrl: &q.url, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: seconds,
	})
	return err
}

// attribute is one of the queue's.
func (q *queue) attribute(name string) string {
	out := must(q.client.GetQueueAttributes(q.ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &q.url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeName(name)},
	}))
	return out.Attributes[name]
}

// entries are messages of a batch, with ids 0, 1, ...
func entries(bodies ...string) []types.SendMessageBatchRequestEntry {
	var out []types.SendMessageBatchRequestEntry
	for i, body := range bodies {
		out = append(out, types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(body)})
	}
	return out
}

// numbered are n texts.
func numbered(prefix string, n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("%s%03d", prefix, i))
	}
	return out
}

func bodies(messages []types.Message) []string {
	var out []string
	for _, m := range messages {
		out = append(out, aws.ToString(m.Body))
	}
	return out
}
