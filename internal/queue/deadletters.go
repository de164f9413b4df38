package queue

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/go-json-experiment/json"
)

// DeadLetters is the queue to which this one's redrive policy moves messages that were received too often; nil when it
// has none.
func (q *Queue) DeadLetters(ctx context.Context) (*Queue, error) {
	out, err := q.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &q.url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameRedrivePolicy},
	})
	if err != nil {
		return nil, fmt.Errorf("get redrive policy of %s: %w", q.url, err)
	}
	text := out.Attributes[string(types.QueueAttributeNameRedrivePolicy)]
	if text == "" {
		return nil, nil //nolint:nilnil // the doc comment promises it
	}
	var policy struct {
		Target string `json:"deadLetterTargetArn"`
	}
	if err := json.Unmarshal([]byte(text), &policy); err != nil {
		return nil, fmt.Errorf("read redrive policy of %s: %w", q.url, err)
	}
	// arn:aws:sqs:us-east-1:123456789012:name
	parts := strings.Split(policy.Target, ":")
	if len(parts) != 6 {
		return nil, fmt.Errorf("read redrive policy of %s: %q is no queue's ARN", q.url, policy.Target)
	}
	found, err := q.client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &parts[5], QueueOwnerAWSAccountId: &parts[4]})
	if err != nil {
		return nil, fmt.Errorf("open dead-letter queue of %s: %w", q.url, err)
	}
	return At(q.client, aws.ToString(found.QueueUrl)), nil
}
