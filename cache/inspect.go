package cache

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// Lifecycles is what an Inspector uses of *s3.Client, whose contract it is.
type Lifecycles interface {
	GetBucketLifecycleConfiguration(context.Context, *s3.GetBucketLifecycleConfigurationInput, ...func(*s3.Options)) (*s3.GetBucketLifecycleConfigurationOutput, error)
}

// TableDescriber is what an Inspector uses of *dynamodb.Client, whose contract it is.
type TableDescriber interface {
	DescribeTable(context.Context, *dynamodb.DescribeTableInput, ...func(*dynamodb.Options)) (*dynamodb.DescribeTableOutput, error)
	DescribeTimeToLive(context.Context, *dynamodb.DescribeTimeToLiveInput, ...func(*dynamodb.Options)) (*dynamodb.DescribeTimeToLiveOutput, error)
}

// Inspector looks at the services that the cache rests on. All fields but View and ExpectedOutputs are required.
type Inspector struct {
	S3              Lifecycles
	DynamoDB        TableDescriber
	View            *View // nil: Redis is not looked at
	Bucket          string
	OutputsTable    string
	Retention       time.Duration
	ExpectedOutputs int64 // 0: half as many again as the ledger has now
}

// inspectionTime bounds the look at each service.
const inspectionTime = 10 * time.Second

// Findings looks at everything once. What cannot be read is a finding, too.
func (i Inspector) Findings(ctx context.Context) []Finding {
	var found []Finding
	look := func(at func(ctx context.Context) []Finding) {
		ctx, cancel := context.WithTimeout(ctx, inspectionTime)
		defer cancel()
		found = append(found, at(ctx)...)
	}
	look(i.lifecycle)
	look(i.expiry)
	var items int64
	look(func(ctx context.Context) []Finding {
		out, err := i.DynamoDB.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &i.OutputsTable})
		if err != nil {
			return []Finding{unread(CheckStream, "The stream of table "+i.OutputsTable, "dynamodb:DescribeTable", err)}
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
		return []Finding{unread(CheckLifecycle, "When S3 removes outputs from bucket "+i.Bucket, "s3:GetLifecycleConfiguration", err)}
	}
	return judgeLifecycle(i.Bucket, i.Retention, rules)
}

func (i Inspector) expiry(ctx context.Context) []Finding {
	out, err := i.DynamoDB.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &i.OutputsTable})
	if err != nil {
		return []Finding{unread(CheckExpiry, "The time to live of table "+i.OutputsTable, "dynamodb:DescribeTimeToLive", err)}
	}
	return judgeExpiry(i.OutputsTable, out.TimeToLiveDescription)
}

// redis looks at Redis, given how many items the ledger has.
func (i Inspector) redis(ctx context.Context, items int64) []Finding {
	server, err := i.View.Server(ctx)
	if err != nil {
		return []Finding{unread(CheckMemory, "The memory, eviction policy and version of Redis", "the command INFO (ACL +info)", err)}
	}
	expected := i.ExpectedOutputs
	if expected == 0 {
		expected = items + items/2
	}
	return judgeRedis(server, items, expected)
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
