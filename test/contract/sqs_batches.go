package contract

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func batchFacts() []Fact {
	return []Fact{
		{Name: "batch-sends-each", Sentence: "A batch of ten is sent, and answered entry by entry", Source: apiSendBatch, check: batchSendsEach},
		{Name: "batch-of-eleven", Sentence: "A batch of more than ten is TooManyEntriesInBatchRequest", Source: apiSendBatch, check: batchOfEleven},
		{Name: "batch-of-none", Sentence: "A batch without entries is EmptyBatchRequest", Source: apiSendBatch, check: batchOfNone},
		{Name: "batch-ids-differ", Sentence: "Two entries of the same id are BatchEntryIdsNotDistinct", Source: apiSendBatch, check: batchIDsDiffer},
		{Name: "batch-id-characters", Sentence: "An entry's id with other characters than letters, digits, - and _ is InvalidBatchEntryId", Source: apiSendBatch, check: batchIDCharacters},
		{Name: "batch-too-long", Sentence: "A batch larger than 1 MiB in all is BatchRequestTooLong", Source: sqsQuotas, check: batchTooLong},
		{Name: "batch-fails-in-part", Sentence: "A bad entry of a batch fails by itself, and says that the sender is at fault", Source: "Amazon SQS API reference, BatchResultErrorEntry", check: batchFailsInPart},
		{Name: "batch-deletes", Sentence: "A batch deletes what was received", Source: "Amazon SQS API reference, DeleteMessageBatch", check: batchDeletes},
		{Name: "batch-changes-visibility", Sentence: "A batch returns messages to the queue", Source: "Amazon SQS API reference, ChangeMessageVisibilityBatch", check: batchChangesVisibility},
	}
}

func (q *queue) sendBatch(entries []types.SendMessageBatchRequestEntry) (*sqs.SendMessageBatchOutput, error) {
	return q.client.SendMessageBatch(q.ctx, &sqs.SendMessageBatchInput{QueueUrl: &q.url, Entries: entries})
}

// all receives so many different messages.
func (q *queue) all(count int) []types.Message {
	byBody := map[string]types.Message{}
	q.eventually("all messages are received", func() bool {
		for _, m := range q.receive(1, 60) {
			byBody[aws.ToString(m.Body)] = m
		}
		return len(byBody) >= count
	})
	var out []types.Message
	for _, m := range byBody {
		out = append(out, m)
	}
	return out
}

func batchSendsEach(p *probe) {
	q, texts := p.queue(), numbered("job-", 10)
	out := must(q.sendBatch(entries(texts...)))
	require(len(out.Successful) == 10 && len(out.Failed) == 0, "sent %d, failed %d", len(out.Successful), len(out.Failed))
	require(same(bodies(q.all(10)), texts), "not all came")
}

func batchOfEleven(p *probe) {
	_, err := p.queue().sendBatch(entries(numbered("job-", 11)...))
	refused(err, codes("TooManyEntriesInBatchRequest", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"))
}

func batchOfNone(p *probe) {
	_, err := p.queue().sendBatch([]types.SendMessageBatchRequestEntry{})
	refused(err, codes("EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest"))
}

func batchIDsDiffer(p *probe) {
	batch := entries("a", "b")
	batch[1].Id = batch[0].Id
	_, err := p.queue().sendBatch(batch)
	refused(err, codes("BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"))
}

func batchIDCharacters(p *probe) {
	batch := entries("a")
	batch[0].Id = aws.String("no spaces")
	_, err := p.queue().sendBatch(batch)
	refused(err, codes("InvalidBatchEntryId", "AWS.SimpleQueueService.InvalidBatchEntryId"))
}

func batchTooLong(p *probe) {
	part := strings.Repeat("x", 220<<10)
	_, err := p.queue().sendBatch(entries(part, part, part, part, part))
	refused(err, codes("BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong"))
}

func batchFailsInPart(p *probe) {
	q := p.queue()
	q.send("job")
	m := q.one(60)
	out := must(q.client.DeleteMessageBatch(p.ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &q.url, Entries: []types.DeleteMessageBatchRequestEntry{
		{Id: aws.String("good"), ReceiptHandle: m.ReceiptHandle},
		{Id: aws.String("bad"), ReceiptHandle: aws.String("no handle")},
	}}))
	require(len(out.Successful) == 1 && aws.ToString(out.Successful[0].Id) == "good", "deleted %d", len(out.Successful))
	require(len(out.Failed) == 1 && aws.ToString(out.Failed[0].Id) == "bad" && out.Failed[0].SenderFault &&
		aws.ToString(out.Failed[0].Code) == "ReceiptHandleIsInvalid", "failed %+v", out.Failed)
}

func batchDeletes(p *probe) {
	q := p.queue()
	must(q.sendBatch(entries("a", "b")))
	var batch []types.DeleteMessageBatchRequestEntry
	for _, m := range q.all(2) {
		batch = append(batch, types.DeleteMessageBatchRequestEntry{Id: m.Body, ReceiptHandle: m.ReceiptHandle})
	}
	out := must(q.client.DeleteMessageBatch(p.ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &q.url, Entries: batch}))
	require(len(out.Successful) == 2, "deleted %d of 2", len(out.Successful))
	p.eventually("nothing is in flight", func() bool { return q.attribute("ApproximateNumberOfMessagesNotVisible") == "0" })
}

func batchChangesVisibility(p *probe) {
	q := p.queue()
	must(q.sendBatch(entries("a", "b")))
	var batch []types.ChangeMessageVisibilityBatchRequestEntry
	for _, m := range q.all(2) {
		batch = append(batch, types.ChangeMessageVisibilityBatchRequestEntry{Id: m.Body, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 0})
	}
	out := must(q.client.ChangeMessageVisibilityBatch(p.ctx, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &q.url, Entries: batch}))
	require(len(out.Successful) == 2, "returned %d of 2", len(out.Successful))
	q.all(2)
}
