package contract

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func queueFacts() []Fact {
	return []Fact{
		{Name: "unknown-queue", Sentence: "A queue that there is not is QueueDoesNotExist, whatever is asked of it", Source: apiReceive, check: unknownQueue},
		{Name: "url-by-name", Sentence: "GetQueueUrl finds a queue by its name", Source: "Amazon SQS API reference, GetQueueUrl", check: urlByName},
		{Name: "create-again", Sentence: "Creating a queue again, alike, gives the one there is", Source: apiQueue, check: createAgain},
		{Name: "create-otherwise", Sentence: "Creating a queue again with other attributes is QueueNameExists", Source: apiQueue, check: createOtherwise},
		{Name: "listed-by-prefix", Sentence: "ListQueues finds queues by the beginning of their names", Source: "Amazon SQS API reference, ListQueues", check: listedByPrefix},
		{Name: "depths", Sentence: "A queue tells how many messages wait, are in flight and are delayed, after a while", Source: apiAttributes, check: depths},
		{Name: "attributes-set", Sentence: "SetQueueAttributes changes a queue", Source: "Amazon SQS API reference, SetQueueAttributes", check: attributesSet},
		{Name: "unknown-attribute", Sentence: "An attribute that there is not is InvalidAttributeName", Source: "Amazon SQS API reference, SetQueueAttributes", check: unknownAttribute},
		{Name: "message-of-1-mib", Sentence: "A queue's maximum can be raised to 1 MiB, and not beyond", Source: sqsQuotas, check: messageOf1MiB},
		{Name: "redrive", Sentence: "A message received more than `maxReceiveCount` times moves to the dead-letter queue", Source: "Amazon SQS developer guide, dead-letter queues", check: redrive},
		{Name: "redrive-needs-a-queue", Sentence: "A redrive policy that names no queue is refused", Source: apiQueue, check: redriveNeedsAQueue},
		{Name: "purge", Sentence: "PurgeQueue takes all messages away", Source: "Amazon SQS API reference, PurgeQueue", check: purge},
		{Name: "deleted-queue", Sentence: "A deleted queue is gone, after a while", Source: "Amazon SQS API reference, DeleteQueue", check: deletedQueue},
		{Name: "unknown-operation", Sentence: "An unknown operation is refused, as such or as invalid", Source: "AWS JSON 1.0 protocol (Smithy)", check: unknownSQSOperation},
		{Name: "unsigned", Sentence: "A request without a signature is answered on loopback", Source: ownDocs, check: unsignedSQS},
	}
}

func number(text string) (int64, error) { return strconv.ParseInt(text, 10, 64) }

func noQueue() []string {
	return codes("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
}

func unknownQueue(p *probe) {
	known := p.queue()
	url := strings.Replace(known.url, known.name, p.name("none"), 1)
	_, err := known.client.ReceiveMessage(p.ctx, &sqs.ReceiveMessageInput{QueueUrl: &url})
	refused(err, noQueue())
	_, err = known.client.SendMessage(p.ctx, &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("job")})
	refused(err, noQueue())
	_, err = known.client.GetQueueUrl(p.ctx, &sqs.GetQueueUrlInput{QueueName: aws.String(p.name("none"))})
	refused(err, noQueue())
}

func urlByName(p *probe) {
	q := p.queue()
	out := must(q.client.GetQueueUrl(p.ctx, &sqs.GetQueueUrlInput{QueueName: &q.name}))
	require(aws.ToString(out.QueueUrl) == q.url, "%s, created as %s", aws.ToString(out.QueueUrl), q.url)
}

func (q *queue) createAgain(attributes ...string) (*sqs.CreateQueueOutput, error) {
	return q.client.CreateQueue(q.ctx, &sqs.CreateQueueInput{QueueName: &q.name, Attributes: pairs(attributes)})
}

func createAgain(p *probe) {
	q := p.queue("VisibilityTimeout", "60")
	require(aws.ToString(must(q.createAgain("VisibilityTimeout", "60")).QueueUrl) == q.url, "another URL")
}

func createOtherwise(p *probe) {
	_, err := p.queue("VisibilityTimeout", "60").createAgain("VisibilityTimeout", "61")
	refused(err, codes("QueueAlreadyExists", "QueueNameExists"))
}

func listedByPrefix(p *probe) {
	q := p.queue()
	p.queue()
	p.eventually("the queue is listed", func() bool {
		return slices.Equal(must(q.client.ListQueues(p.ctx, &sqs.ListQueuesInput{QueueNamePrefix: &q.name})).QueueUrls, []string{q.url})
	})
}

func depths(p *probe) {
	q := p.queue()
	q.send("a", "b", "c")
	must(q.client.ReceiveMessage(p.ctx, &sqs.ReceiveMessageInput{QueueUrl: &q.url, MaxNumberOfMessages: 1, VisibilityTimeout: 600}))
	must(q.client.SendMessage(p.ctx, &sqs.SendMessageInput{QueueUrl: &q.url, MessageBody: aws.String("d"), DelaySeconds: 600}))
	p.eventually("two wait, one is in flight, one is delayed", func() bool {
		return q.attribute("ApproximateNumberOfMessages") == "2" && q.attribute("ApproximateNumberOfMessagesNotVisible") == "1" &&
			q.attribute("ApproximateNumberOfMessagesDelayed") == "1"
	})
}

func (q *queue) set(attributes ...string) error {
	_, err := q.client.SetQueueAttributes(q.ctx, &sqs.SetQueueAttributesInput{QueueUrl: &q.url, Attributes: pairs(attributes)})
	return err
}

func attributesSet(p *probe) {
	q := p.queue()
	must(0, q.set("VisibilityTimeout", "77"))
	p.eventually("the attribute is changed", func() bool { return q.attribute("VisibilityTimeout") == "77" })
}

func unknownAttribute(p *probe) {
	refused(p.queue().set("Colour", "green"), codes("InvalidAttributeName"))
}

func messageOf1MiB(p *probe) {
	q := p.queue("MaximumMessageSize", "1048576")
	q.send(strings.Repeat("x", 1<<20))
	require(len(aws.ToString(q.one(30).Body)) == 1<<20, "it is shorter")
	refused(q.set("MaximumMessageSize", "1048577"), codes("InvalidAttributeValue", "InvalidParameterValue", "InvalidParameterValueException"))
}

func redrive(p *probe) {
	dead := p.queue()
	q := p.queue("RedrivePolicy", fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":"2"}`, dead.attribute("QueueArn")))
	q.send("poison")
	q.one(1)
	q.one(1)
	again := q.receive(3, 30)
	require(len(again) == 0, "received %v a third time", bodies(again))
	require(aws.ToString(dead.one(30).Body) == "poison", "another message was moved")
}

func redriveNeedsAQueue(p *probe) {
	_, err := p.sqs().CreateQueue(p.ctx, &sqs.CreateQueueInput{
		QueueName:  aws.String(p.name("queue")),
		Attributes: map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:none","maxReceiveCount":"2"}`},
	})
	refused(err, badValue())
}

func purge(p *probe) {
	q := p.queue()
	q.send("a", "b")
	must(q.client.PurgeQueue(p.ctx, &sqs.PurgeQueueInput{QueueUrl: &q.url}))
	p.eventually("the queue is empty", func() bool { return q.attribute(string(types.QueueAttributeNameApproximateNumberOfMessages)) == "0" })
	require(len(q.receive(0, 30)) == 0, "a purged message came")
}

func deletedQueue(p *probe) {
	q := p.queue()
	must(q.client.DeleteQueue(p.ctx, &sqs.DeleteQueueInput{QueueUrl: &q.url}))
	p.eventually("the queue is gone", func() bool { return q.trySend("job") != nil })
	refused(q.trySend("job"), noQueue())
}

func unknownSQSOperation(p *probe) {
	_, err := p.sqs(sqs.WithAPIOptions(unknownOperation)).ListQueues(p.ctx, &sqs.ListQueuesInput{})
	refused(err, codes("UnknownOperationException", "InvalidAction"))
}

func unsignedSQS(p *probe) {
	must(p.sqs(func(o *sqs.Options) { o.Credentials = aws.AnonymousCredentials{} }).ListQueues(p.ctx, &sqs.ListQueuesInput{}))
}
