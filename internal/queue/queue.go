// Package queue is SQS as Spate uses it: batches that tell which entries failed, long polls, and depths that say that
// they are approximate. It decides nothing.
//
// Delivery is at least once and unordered; a message that is neither deleted nor extended comes again after its
// visibility timeout.
package queue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// Limits of one call (Amazon SQS quotas).
const (
	MaxBatch      = 10
	MaxBatchBytes = 256 << 10
	MaxWait       = 20 * time.Second
)

// Queue is one SQS queue. It is safe for concurrent use.
type Queue struct {
	client *sqs.Client
	url    string
}

// MissingError says that there is no such queue.
type MissingError struct{ Name string }

// Error says which.
func (e *MissingError) Error() string {
	return fmt.Sprintf("open queue %q: it does not exist in this account and Region", e.Name)
}

// Open looks a queue up by its name. *MissingError: there is none.
func Open(ctx context.Context, client *sqs.Client, name string) (*Queue, error) {
	out, err := client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name})
	if _, missing := errors.AsType[*types.QueueDoesNotExist](err); missing {
		return nil, &MissingError{name}
	}
	if err != nil {
		return nil, fmt.Errorf("open queue %q: %w", name, err)
	}
	return At(client, aws.ToString(out.QueueUrl)), nil
}

// At uses a queue whose URL is known.
func At(client *sqs.Client, url string) *Queue { return &Queue{client: client, url: url} }

// URL is the queue's URL.
func (q *Queue) URL() string { return q.url }

// ARN asks for the queue's Amazon Resource Name.
func (q *Queue) ARN(ctx context.Context) (string, error) {
	const name = types.QueueAttributeNameQueueArn
	out, err := q.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &q.url, AttributeNames: []types.QueueAttributeName{name}})
	if err != nil {
		return "", fmt.Errorf("get ARN of %s: %w", q.url, err)
	}
	return out.Attributes[string(name)], nil
}

// Message is a message as received.
type Message struct {
	ID           string // stays the same when the message comes again
	Body         string
	Receipt      string
	ReceiveCount int       // how often it was received, this time included; inflated by interruptions
	Sent         time.Time // to the queue; zero when the queue did not say
}

// Receive waits up to wait (at most MaxWait) for up to limit (1 to MaxBatch) messages and hides them from other
// receivers for the visibility timeout, rounded up to whole seconds; 0 takes the queue's own. A context that ends while
// messages are on their way leaves them hidden for that long.
func (q *Queue) Receive(ctx context.Context, limit int, wait, visibility time.Duration) ([]Message, error) {
	in := &sqs.ReceiveMessageInput{
		QueueUrl:            &q.url,
		MaxNumberOfMessages: int32(limit),
		WaitTimeSeconds:     seconds(wait),
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{
			types.MessageSystemAttributeNameApproximateReceiveCount, types.MessageSystemAttributeNameSentTimestamp,
		},
	}
	if visibility > 0 {
		in.VisibilityTimeout = seconds(visibility)
	}
	out, err := q.client.ReceiveMessage(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("receive from %s: %w", q.url, err)
	}
	messages := make([]Message, len(out.Messages))
	for i, m := range out.Messages {
		count, _ := strconv.Atoi(m.Attributes[string(types.MessageSystemAttributeNameApproximateReceiveCount)])
		messages[i] = Message{ID: aws.ToString(m.MessageId), Body: aws.ToString(m.Body), Receipt: aws.ToString(m.ReceiptHandle), ReceiveCount: count}
		sent := m.Attributes[string(types.MessageSystemAttributeNameSentTimestamp)]
		if ms, err := strconv.ParseInt(sent, 10, 64); err == nil {
			messages[i].Sent = time.UnixMilli(ms)
		}
	}
	return messages, nil
}

// SendError is the entries of Send that the queue did not take, by their place in the call.
type SendError struct {
	Failed map[int]error
}

// Error names the number of entries and the first one's reason.
func (e *SendError) Error() string {
	if len(e.Failed) == 0 {
		return "send: no message failed"
	}
	first := slices.Min(slices.Collect(maps.Keys(e.Failed)))
	return fmt.Sprintf("send: %d messages were not taken, the first of them because %v", len(e.Failed), e.Failed[first])
}

// Send puts any number of messages on the queue, in order and in as few calls as that allows, one after another. An
// error other than [SendError] leaves it unknown which messages were taken.
func (q *Queue) Send(ctx context.Context, bodies ...string) error {
	failed := map[int]error{}
	for start := 0; start < len(bodies); {
		end, size := start, 0
		var entries []types.SendMessageBatchRequestEntry
		for end < len(bodies) && len(entries) < MaxBatch && (len(entries) == 0 || size+len(bodies[end]) <= MaxBatchBytes) {
			entries = append(entries, types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(end)), MessageBody: &bodies[end]})
			size += len(bodies[end])
			end++
		}
		out, err := q.client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &q.url, Entries: entries})
		if tooLong, ok := errors.AsType[*types.BatchRequestTooLong](err); ok && len(entries) == 1 {
			failed[start] = tooLong // alone and still too long: the queue will never take it
			start = end
			continue
		}
		if err != nil {
			return fmt.Errorf("send %d messages to %s: %w", len(entries), q.url, err)
		}
		if len(out.Successful)+len(out.Failed) != len(entries) {
			return fmt.Errorf("send %d messages to %s: the answer is about %d", len(entries), q.url, len(out.Successful)+len(out.Failed))
		}
		for _, f := range out.Failed {
			i, err := strconv.Atoi(aws.ToString(f.Id))
			if err != nil || i < start || i >= end {
				return fmt.Errorf("send to %s: entry %q failed, which was not sent", q.url, aws.ToString(f.Id))
			}
			failed[i] = entryError(f)
		}
		start = end
	}
	if len(failed) > 0 {
		return &SendError{failed}
	}
	return nil
}

// Delete removes messages. Receipts that have expired are no error: the message comes again, as at-least-once delivery
// has it. After an error some may have been deleted.
func (q *Queue) Delete(ctx context.Context, receipts ...string) error {
	var failed error
	for start := 0; start < len(receipts); start += MaxBatch {
		end := min(start+MaxBatch, len(receipts))
		entries := make([]types.DeleteMessageBatchRequestEntry, 0, MaxBatch)
		for i := start; i < end; i++ {
			entries = append(entries, types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &receipts[i]})
		}
		out, err := q.client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &q.url, Entries: entries})
		if err != nil {
			return fmt.Errorf("delete %d messages from %s: %w", len(entries), q.url, err)
		}
		for _, f := range out.Failed {
			if !f.SenderFault && failed == nil {
				failed = fmt.Errorf("delete from %s: %w", q.url, entryError(f))
			}
		}
	}
	return failed
}

// Extend hides a message for d from now on, rounded up to whole seconds; 0 gives it back at once.
func (q *Queue) Extend(ctx context.Context, receipt string, d time.Duration) error {
	_, err := q.client.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{
		QueueUrl: &q.url, ReceiptHandle: &receipt, VisibilityTimeout: seconds(d),
	})
	if err != nil {
		return fmt.Errorf("change visibility on %s: %w", q.url, err)
	}
	return nil
}

// Depth is what SQS says of a queue's contents. The numbers are approximate and may lag by a minute or more: zero is no
// proof of emptiness.
type Depth struct {
	Visible  int // waiting to be received
	InFlight int // received, neither deleted nor visible again
	Delayed  int // sent and not visible yet
}

// Depth asks for the approximate depth.
func (q *Queue) Depth(ctx context.Context) (Depth, error) {
	names := []types.QueueAttributeName{
		types.QueueAttributeNameApproximateNumberOfMessages, types.QueueAttributeNameApproximateNumberOfMessagesNotVisible,
		types.QueueAttributeNameApproximateNumberOfMessagesDelayed,
	}
	out, err := q.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &q.url, AttributeNames: names})
	if err != nil {
		return Depth{}, fmt.Errorf("get depth of %s: %w", q.url, err)
	}
	var d Depth
	for name, into := range map[types.QueueAttributeName]*int{names[0]: &d.Visible, names[1]: &d.InFlight, names[2]: &d.Delayed} {
		n, err := strconv.Atoi(out.Attributes[string(name)])
		if err != nil {
			return Depth{}, fmt.Errorf("get depth of %s: attribute %s: %w", q.url, name, err)
		}
		*into = n
	}
	return d, nil
}

func entryError(f types.BatchResultErrorEntry) error {
	return fmt.Errorf("%s: %s", aws.ToString(f.Code), aws.ToString(f.Message))
}

// seconds rounds up: 0 has a meaning of its own, which a short time must not take on.
func seconds(d time.Duration) int32 { return int32((d + time.Second - 1) / time.Second) }
