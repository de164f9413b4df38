package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// BucketDescriber is what an Inspector uses of *s3.Client, whose contract it is.
type BucketDescriber interface {
	GetBucketLifecycleConfiguration(context.Context, *s3.GetBucketLifecycleConfigurationInput, ...func(*s3.Options)) (*s3.GetBucketLifecycleConfigurationOutput, error)
	GetBucketNotificationConfiguration(context.Context, *s3.GetBucketNotificationConfigurationInput, ...func(*s3.Options)) (*s3.GetBucketNotificationConfigurationOutput, error)
}

// Addressed is what an Inspector uses of *queue.Queue, whose contract it is.
type Addressed interface {
	ARN(ctx context.Context) (string, error)
}

// TableDescriber is what an Inspector uses of *dynamodb.Client, whose contract it is.
type TableDescriber interface {
	DescribeTable(context.Context, *dynamodb.DescribeTableInput, ...func(*dynamodb.Options)) (*dynamodb.DescribeTableOutput, error)
	DescribeTimeToLive(context.Context, *dynamodb.DescribeTimeToLiveInput, ...func(*dynamodb.Options)) (*dynamodb.DescribeTimeToLiveOutput, error)
}

// Inspector looks at the services that the cache rests on. All fields but View and ExpectedOutputs are required.
type Inspector struct {
	S3              BucketDescriber
	DynamoDB        TableDescriber
	Queue           Addressed // of the bucket's notifications
	View            *View     // nil: Redis is not looked at
	Bucket          string
	OutputsTable    string
	Retention       time.Duration
	ExpectedOutputs int64 // 0: half as many again as the ledger has now
}

// inspectionTime bounds the look at each service.
const inspectionTime = 10 * time.Second

// unknownItems is how many items a ledger has that does not tell.
const unknownItems = -1

// Findings looks at everything once, with six calls at most. What cannot be read is a finding, too.
func (i Inspector) Findings(ctx context.Context) []Finding {
	var found []Finding
	look := func(at func(ctx context.Context) []Finding) {
		ctx, cancel := context.WithTimeout(ctx, inspectionTime)
		defer cancel()
		found = append(found, at(ctx)...)
	}
	look(i.lifecycle)
	look(i.notifications)
	look(i.expiry)
	items := int64(unknownItems)
	look(func(ctx context.Context) []Finding {
		out, err := i.DynamoDB.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &i.OutputsTable})
		if err != nil {
			return []Finding{unread(CheckStream, "The stream of table "+i.OutputsTable, "dynamodb:DescribeTable",
				fmt.Sprintf("It should be enabled with the view type NEW_AND_OLD_IMAGES: `aws dynamodb describe-table --table-name %s`.", i.OutputsTable), err)}
		}
		if out.Table.ItemCount != nil {
			items = *out.Table.ItemCount
		}
		return judgeStream(i.OutputsTable, out.Table.StreamSpecification)
	})
	if i.View != nil {
		look(func(ctx context.Context) []Finding { return i.redis(ctx, items) })
	}
	return found
}

func (i Inspector) lifecycle(ctx context.Context) []Finding {
	var rules []s3types.LifecycleRule
	out, err := i.S3.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &i.Bucket})
	if answer, ok := errors.AsType[smithy.APIError](err); ok && answer.ErrorCode() == "NoSuchLifecycleConfiguration" {
		err = nil
	} else if err == nil {
		rules = out.Rules
	}
	if err != nil {
		return []Finding{unread(CheckLifecycle, "The lifecycle rules of bucket "+i.Bucket, "s3:GetLifecycleConfiguration",
			fmt.Sprintf("They should remove outputs after %d days or more: `aws s3api get-bucket-lifecycle-configuration --bucket %s`.", LifecycleDays(i.Retention), i.Bucket), err)}
	}
	return judgeLifecycle(i.Bucket, i.Retention, rules)
}

func (i Inspector) notifications(ctx context.Context) []Finding {
	byHand := fmt.Sprintf("It should tell the queue of %s and %s below %s: `aws s3api get-bucket-notification-configuration --bucket %s`.", eventCreated, eventRemoved, outputsPrefix, i.Bucket)
	queue, err := i.Queue.ARN(ctx)
	if err != nil {
		return []Finding{unread(CheckNotifications, "The address of the queue for the notifications of bucket "+i.Bucket, "sqs:GetQueueAttributes", byHand, err)}
	}
	out, err := i.S3.GetBucketNotificationConfiguration(ctx, &s3.GetBucketNotificationConfigurationInput{Bucket: &i.Bucket})
	if err != nil {
		return []Finding{unread(CheckNotifications, "The notification configuration of bucket "+i.Bucket, "s3:GetBucketNotification", byHand, err)}
	}
	return judgeNotifications(i.Bucket, queue, out)
}

func (i Inspector) expiry(ctx context.Context) []Finding {
	out, err := i.DynamoDB.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &i.OutputsTable})
	if err != nil {
		return []Finding{unread(CheckExpiry, "The time to live of table "+i.OutputsTable, "dynamodb:DescribeTimeToLive",
			fmt.Sprintf("It should be enabled for the attribute %s: `aws dynamodb describe-time-to-live --table-name %s`.", expiryAttribute, i.OutputsTable), err)}
	}
	return judgeExpiry(i.OutputsTable, out.TimeToLiveDescription)
}

// redis looks at Redis, given how many items the ledger has.
func (i Inspector) redis(ctx context.Context, items int64) []Finding {
	silence := "it does not tell"
	server, err := i.View.Server(ctx)
	if err != nil {
		silence = err.Error()
		if strings.Contains(silence, "NOPERM") {
			silence = "its user may not run INFO, which `ACL SETUSER USER +info` allows"
		}
	}
	expected := i.ExpectedOutputs
	if expected == 0 {
		expected = items
		if items > 0 {
			expected = items + items/2
		}
	}
	return judgeRedis(server, silence, items, expected)
}

// RefusedError says why a controller must not start.
type RefusedError struct{ Findings []Finding }

// Error is what was found, and how to put it right.
func (e *RefusedError) Error() string {
	texts := make([]string, len(e.Findings))
	for i, f := range e.Findings {
		texts[i] = f.String()
	}
	return "the cache could promise outputs that are gone: " + strings.Join(texts, " ")
}

// Refusal is a *RefusedError when some of the findings could make answers wrong; else nil.
func Refusal(findings []Finding) error {
	if wrong := Wrong(findings); len(wrong) > 0 {
		return &RefusedError{wrong}
	}
	return nil
}
