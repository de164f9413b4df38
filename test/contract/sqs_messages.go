package contract

import (
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func messageFacts() []Fact {
	return []Fact{
		{Name: "body-kept", Sentence: "A message is received as it was sent, attributes too", Source: apiReceive, check: bodyKept},
		{Name: "hidden-in-hand", Sentence: "A received message is not received again until its visibility timeout ends", Source: apiReceive, check: hiddenInHand},
		{Name: "comes-again", Sentence: "A message that was not deleted comes again, and its receive count has grown", Source: apiReceive, check: comesAgain},
		{Name: "heartbeat-extends", Sentence: "ChangeMessageVisibility hides a message for longer, from now on", Source: apiVisibility, check: heartbeatExtends},
		{Name: "visibility-zero-returns", Sentence: "Visibility 0 returns a message at once", Source: apiVisibility, check: visibilityZeroReturns},
		{Name: "visibility-limit", Sentence: "A visibility of more than 12 hours is refused", Source: apiVisibility, check: visibilityLimit},
		{Name: "deleted-is-gone", Sentence: "A deleted message does not come again", Source: apiDelete, check: deletedIsGone},
		{Name: "delete-twice", Sentence: "Deleting a message again succeeds", Source: apiDelete, check: deleteTwice},
		{Name: "bad-handle", Sentence: "A receipt handle that never was is ReceiptHandleIsInvalid", Source: apiDelete, check: badHandle},
		{Name: "delay", Sentence: "A delayed message comes after its delay, not before", Source: apiSend, check: delayed},
		{Name: "long-poll-wakes", Sentence: "A long poll ends when a message comes", Source: apiReceive, check: longPollWakes},
		{Name: "long-poll-waits", Sentence: "A long poll of an empty queue waits its time and gives nothing, not an error", Source: apiReceive, check: longPollWaits},
		{Name: "poll-of-20-seconds", Sentence: "A poll of more than 20 seconds is refused", Source: apiReceive, check: pollOf20Seconds},
		{Name: "receive-ten", Sentence: "More than ten messages a receive are refused", Source: apiReceive, check: receiveTen},
		{Name: "too-long", Sentence: "A message larger than the queue's maximum is refused", Source: sqsQuotas, check: tooLong},
		{Name: "characters", Sentence: "A body with characters outside XML's is InvalidMessageContents", Source: apiSend, check: characters},
		{Name: "group-on-standard-queue", Sentence: "`MessageGroupId` is accepted on a standard queue and given back", Source: "Amazon SQS developer guide, fair queues", check: groupOnStandardQueue},
		{Name: "sent-timestamp", Sentence: "A message tells when it was sent and first received, in milliseconds", Source: apiReceive, check: sentTimestamp},
	}
}

func badValue() []string { return codes("InvalidParameterValue", "InvalidParameterValueException") }

func bodyKept(p *probe) {
	q, body := p.queue(), `{"job":"deal-00017","text":"Ω ≥ 1"}`
	must(q.client.SendMessage(p.ctx, &sqs.SendMessageInput{QueueUrl: &q.url, MessageBody: &body, MessageAttributes: map[string]types.MessageAttributeValue{
		"kind": {DataType: aws.String("String"), StringValue: aws.String("job")},
	}}))
	m := q.one(30)
	require(aws.ToString(m.Body) == body && aws.ToString(m.MessageAttributes["kind"].StringValue) == "job", "received %q with %v", aws.ToString(m.Body), m.MessageAttributes)
}

func hiddenInHand(p *probe) {
	q := p.queue()
	q.send("job")
	q.one(30)
	again := q.receive(1, 30)
	require(len(again) == 0, "received %v again", bodies(again))
}

func comesAgain(p *probe) {
	q := p.queue()
	q.send("job")
	first, second := q.one(1), q.one(30)
	require(first.Attributes["ApproximateReceiveCount"] == "1" && second.Attributes["ApproximateReceiveCount"] == "2",
		"receive counts %s and %s", first.Attributes["ApproximateReceiveCount"], second.Attributes["ApproximateReceiveCount"])
	require(aws.ToString(first.ReceiptHandle) != aws.ToString(second.ReceiptHandle), "both receives have the same handle")
}

func heartbeatExtends(p *probe) {
	q := p.queue()
	q.send("job")
	must(0, q.hide(q.one(2), 60))
	again := q.receive(4, 30)
	require(len(again) == 0, "received %v again", bodies(again))
}

func visibilityZeroReturns(p *probe) {
	q := p.queue()
	q.send("job")
	must(0, q.hide(q.one(600), 0))
	q.one(600)
}

func visibilityLimit(p *probe) {
	q := p.queue()
	q.send("job")
	refused(q.hide(q.one(30), 12*3600+1), badValue())
}

func deletedIsGone(p *probe) {
	q := p.queue()
	q.send("job")
	q.delete(q.one(1))
	again := q.receive(3, 30)
	require(len(again) == 0, "received %v again", bodies(again))
}

func deleteTwice(p *probe) {
	q := p.queue()
	q.send("job")
	m := q.one(30)
	q.delete(m)
	q.delete(m)
}

func badHandle(p *probe) {
	q := p.queue()
	_, err := q.client.DeleteMessage(p.ctx, &sqs.DeleteMessageInput{QueueUrl: &q.url, ReceiptHandle: aws.String("no handle")})
	refused(err, codes("ReceiptHandleIsInvalid"))
}

func delayed(p *probe) {
	q, start := p.queue(), time.Now()
	must(q.client.SendMessage(p.ctx, &sqs.SendMessageInput{QueueUrl: &q.url, MessageBody: aws.String("later"), DelaySeconds: 2}))
	q.one(30)
	require(time.Since(start) > 1900*time.Millisecond, "came after %s, with a delay of 2s", time.Since(start))
}

func longPollWakes(p *probe) {
	q, ended := p.queue(), make(chan struct{})
	var failure error
	p.after(func() { <-ended })
	go func() {
		defer close(ended)
		timer := time.NewTimer(time.Second)
		defer timer.Stop()
		<-timer.C
		failure = q.trySend("job")
	}()
	start := time.Now()
	q.one(30)
	<-ended
	must(0, failure)
	require(time.Since(start) < 15*time.Second, "the poll ended after %s", time.Since(start))
}

func longPollWaits(p *probe) {
	q, start := p.queue(), time.Now()
	require(len(q.receive(2, 30)) == 0, "an empty queue gave a message")
	require(time.Since(start) > 1900*time.Millisecond, "a poll of 2s took %s", time.Since(start))
}

func (q *queue) tryReceive(change func(*sqs.ReceiveMessageInput)) error {
	in := &sqs.ReceiveMessageInput{QueueUrl: &q.url}
	change(in)
	_, err := q.client.ReceiveMessage(q.ctx, in)
	return err
}

func pollOf20Seconds(p *probe) {
	refused(p.queue().tryReceive(func(in *sqs.ReceiveMessageInput) { in.WaitTimeSeconds = 21 }), badValue())
}

func receiveTen(p *probe) {
	refused(p.queue().tryReceive(func(in *sqs.ReceiveMessageInput) { in.MaxNumberOfMessages = 11 }), badValue())
}

func (q *queue) trySend(body string) error {
	_, err := q.client.SendMessage(q.ctx, &sqs.SendMessageInput{QueueUrl: &q.url, MessageBody: &body})
	return err
}

func tooLong(p *probe) {
	q := p.queue("MaximumMessageSize", "1024")
	must(0, q.trySend(strings.Repeat("x", 1024)))
	refused(q.trySend(strings.Repeat("x", 1025)), badValue())
}

func characters(p *probe) {
	refused(p.queue().trySend("bell \a"), codes("InvalidMessageContents"))
}

func groupOnStandardQueue(p *probe) {
	q := p.queue()
	must(q.client.SendMessage(p.ctx, &sqs.SendMessageInput{QueueUrl: &q.url, MessageBody: aws.String("job"), MessageGroupId: aws.String("run-7")}))
	require(q.one(30).Attributes["MessageGroupId"] == "run-7", "the group is not given back")
}

func sentTimestamp(p *probe) {
	q, now := p.queue(), time.Now()
	q.send("job")
	m := q.one(30)
	for _, name := range []string{"SentTimestamp", "ApproximateFirstReceiveTimestamp"} {
		at := time.UnixMilli(must(number(m.Attributes[name])))
		require(at.Sub(now).Abs() < time.Minute, "%s is %s at %s", name, at, now)
	}
}
