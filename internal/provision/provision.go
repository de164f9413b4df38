// Package provision creates, in a sandbox, what a configuration names: tables, bucket, notifications, queues, clusters
// and task definitions, through the same API calls that a deployment tool makes against AWS. It decides nothing.
//
// Everything is created in a way that may be repeated. It is meant for empty accounts: what exists is left as it is.
package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"spate/internal/awsclient"
	"spate/internal/config"
)

// maxReceiveCount is how often a message may be received before it moves to the dead-letter queue. Interruptions of
// workers count too, so that it must be far above the number of attempts at a job.
const maxReceiveCount = 20

// Container is the name of the workers' container in the task definitions.
const Container = "spate"

// Image is what the workers run.
type Image struct {
	Name    string   // pinned: "name@sha256:…"
	Command []string // of the container
	CPU     string   // "X86_64" or "ARM64"
}

// Create makes everything that cfg names.
func Create(ctx context.Context, clients *awsclient.Clients, cfg *config.Config, image Image) error {
	p := provisioner{clients, cfg, image}
	for _, step := range []func(context.Context) error{p.tables, p.queues, p.bucket, p.pools} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

type provisioner struct {
	*awsclient.Clients
	cfg   *config.Config
	image Image
}

func (p provisioner) tables(ctx context.Context) error {
	runs := &dynamodb.CreateTableInput{
		TableName: &p.cfg.Tables.Runs,
		AttributeDefinitions: []dynamodbtypes.AttributeDefinition{
			{AttributeName: aws.String("pk"), AttributeType: dynamodbtypes.ScalarAttributeTypeS},
			{AttributeName: aws.String("sk"), AttributeType: dynamodbtypes.ScalarAttributeTypeS},
		},
		KeySchema: []dynamodbtypes.KeySchemaElement{
			{AttributeName: aws.String("pk"), KeyType: dynamodbtypes.KeyTypeHash},
			{AttributeName: aws.String("sk"), KeyType: dynamodbtypes.KeyTypeRange},
		},
		BillingMode: dynamodbtypes.BillingModePayPerRequest,
	}
	outputs := &dynamodb.CreateTableInput{
		TableName: &p.cfg.Tables.Outputs,
		AttributeDefinitions: []dynamodbtypes.AttributeDefinition{
			{AttributeName: aws.String("key"), AttributeType: dynamodbtypes.ScalarAttributeTypeS},
		},
		KeySchema:   []dynamodbtypes.KeySchemaElement{{AttributeName: aws.String("key"), KeyType: dynamodbtypes.KeyTypeHash}},
		BillingMode: dynamodbtypes.BillingModePayPerRequest,
		StreamSpecification: &dynamodbtypes.StreamSpecification{
			StreamEnabled: aws.Bool(true), StreamViewType: dynamodbtypes.StreamViewTypeNewAndOldImages,
		},
	}
	for _, table := range []*dynamodb.CreateTableInput{runs, outputs} {
		_, err := p.DynamoDB.CreateTable(ctx, table)
		if _, exists := errors.AsType[*dynamodbtypes.ResourceInUseException](err); err != nil && !exists {
			return fmt.Errorf("create table %s: %w", *table.TableName, err)
		}
		if err := p.expiry(ctx, table.TableName); err != nil {
			return fmt.Errorf("enable expiry of table %s: %w", *table.TableName, err)
		}
	}
	return nil
}

// expiry lets a table delete items by their attribute expires_at; to enable it twice is an error.
func (p provisioner) expiry(ctx context.Context, table *string) error {
	now, err := p.DynamoDB.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: table})
	if err != nil {
		return err
	}
	if d := now.TimeToLiveDescription; d != nil && (d.TimeToLiveStatus == dynamodbtypes.TimeToLiveStatusEnabled || d.TimeToLiveStatus == dynamodbtypes.TimeToLiveStatusEnabling) {
		return nil
	}
	_, err = p.DynamoDB.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName:               table,
		TimeToLiveSpecification: &dynamodbtypes.TimeToLiveSpecification{AttributeName: aws.String("expires_at"), Enabled: aws.Bool(true)},
	})
	return err
}

func (p provisioner) queues(ctx context.Context) error {
	names := []string{p.cfg.Queues.Submissions, p.cfg.Queues.Events, p.cfg.Queues.Outputs}
	if p.cfg.Queues.TaskEvents != "" {
		names = append(names, p.cfg.Queues.TaskEvents)
	}
	for _, pool := range p.cfg.Pools {
		names = append(names, pool.Queue)
	}
	for _, name := range names {
		deadLetters, err := p.queue(ctx, name+"-dlq", nil)
		if err != nil {
			return err
		}
		redrive := fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":%d}`, deadLetters, maxReceiveCount)
		if _, err := p.queue(ctx, name, map[string]string{string(sqstypes.QueueAttributeNameRedrivePolicy): redrive}); err != nil {
			return err
		}
	}
	return nil
}

// queue creates a queue and returns its ARN.
func (p provisioner) queue(ctx context.Context, name string, attributes map[string]string) (string, error) {
	created, err := p.SQS.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		return "", fmt.Errorf("create queue %s: %w", name, err)
	}
	out, err := p.SQS.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: created.QueueUrl, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameQueueArn},
	})
	if err != nil {
		return "", fmt.Errorf("create queue %s: %w", name, err)
	}
	return out.Attributes[string(sqstypes.QueueAttributeNameQueueArn)], nil
}

// defaultLocation is the Region in which a bucket is created unless another is named; it must not be named itself.
const defaultLocation = "us-east-1"

func (p provisioner) bucket(ctx context.Context) error {
	create := &s3.CreateBucketInput{Bucket: &p.cfg.Bucket}
	if p.Region != defaultLocation {
		create.CreateBucketConfiguration = &s3types.CreateBucketConfiguration{LocationConstraint: s3types.BucketLocationConstraint(p.Region)}
	}
	_, err := p.S3.CreateBucket(ctx, create)
	if _, exists := errors.AsType[*s3types.BucketAlreadyOwnedByYou](err); err != nil && !exists {
		return fmt.Errorf("create bucket %s: %w", p.cfg.Bucket, err)
	}
	target, err := p.queue(ctx, p.cfg.Queues.Outputs, nil)
	if err != nil {
		return err
	}
	_, err = p.S3.PutBucketNotificationConfiguration(ctx, &s3.PutBucketNotificationConfigurationInput{
		Bucket: &p.cfg.Bucket,
		NotificationConfiguration: &s3types.NotificationConfiguration{QueueConfigurations: []s3types.QueueConfiguration{{
			Id: aws.String("outputs"), QueueArn: &target,
			Events: []s3types.Event{"s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"},
			Filter: &s3types.NotificationConfigurationFilter{Key: &s3types.S3KeyFilter{FilterRules: []s3types.FilterRule{
				{Name: s3types.FilterRuleNamePrefix, Value: aws.String("outputs/")},
				{Name: s3types.FilterRuleNameSuffix, Value: aws.String("/_manifest.json")},
			}}},
		}}},
	})
	if err != nil {
		return fmt.Errorf("configure notifications of bucket %s: %w", p.cfg.Bucket, err)
	}
	return p.lifecycle(ctx)
}

// lifecycle lets the bucket remove outputs once nobody counts on them, unless it has rules already.
func (p provisioner) lifecycle(ctx context.Context) error {
	_, err := p.S3.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &p.cfg.Bucket})
	if answer, ok := errors.AsType[smithy.APIError](err); !ok || answer.ErrorCode() != "NoSuchLifecycleConfiguration" {
		return err
	}
	_, err = p.S3.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{
		Bucket: &p.cfg.Bucket,
		LifecycleConfiguration: &s3types.BucketLifecycleConfiguration{Rules: []s3types.LifecycleRule{{
			ID: aws.String("outputs"), Status: s3types.ExpirationStatusEnabled, Filter: &s3types.LifecycleRuleFilter{Prefix: aws.String("outputs/")},
			Expiration: &s3types.LifecycleExpiration{Days: aws.Int32(lifecycleDays(p.cfg.Cache.Retention))},
		}}},
	})
	if err != nil {
		return fmt.Errorf("configure lifecycle of bucket %s: %w", p.cfg.Bucket, err)
	}
	return nil
}

// lifecycleDays is when the bucket may remove an output: four days after the retention, rounded up to a whole day.
func lifecycleDays(retention time.Duration) int32 {
	const day = 24 * time.Hour
	return int32((retention+day-1)/day) + 4
}

func (p provisioner) pools(ctx context.Context) error {
	for _, pool := range p.cfg.Pools {
		if _, err := p.ECS.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: &pool.Cluster}); err != nil {
			return fmt.Errorf("create cluster %s: %w", pool.Cluster, err)
		}
		if err := p.taskDefinition(ctx, &pool.TaskDefinition); err != nil {
			return fmt.Errorf("register task definition %s: %w", pool.TaskDefinition, err)
		}
	}
	return nil
}

// taskDefinition registers a revision unless the newest one runs the same already: each revision is for runs to be
// pinned to.
func (p provisioner) taskDefinition(ctx context.Context, family *string) error {
	newest, err := p.ECS.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: family})
	if err == nil && p.runs(newest.TaskDefinition) {
		return nil
	}
	if _, none := errors.AsType[*ecstypes.ClientException](err); err != nil && !none {
		return err
	}
	_, err = p.ECS.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
		Family:                  family,
		RequiresCompatibilities: []ecstypes.Compatibility{ecstypes.CompatibilityFargate},
		NetworkMode:             ecstypes.NetworkModeAwsvpc,
		Cpu:                     aws.String("1024"),
		Memory:                  aws.String("2048"),
		RuntimePlatform: &ecstypes.RuntimePlatform{
			CpuArchitecture: ecstypes.CPUArchitecture(p.image.CPU), OperatingSystemFamily: ecstypes.OSFamilyLinux,
		},
		ContainerDefinitions: []ecstypes.ContainerDefinition{{
			Name: aws.String(Container), Image: &p.image.Name, Command: p.image.Command, Essential: aws.Bool(true),
		}},
	})
	return err
}

// runs reports whether a task definition runs the image.
func (p provisioner) runs(d *ecstypes.TaskDefinition) bool {
	return len(d.ContainerDefinitions) == 1 && aws.ToString(d.ContainerDefinitions[0].Image) == p.image.Name &&
		slices.Equal(d.ContainerDefinitions[0].Command, p.image.Command) &&
		d.RuntimePlatform != nil && d.RuntimePlatform.CpuArchitecture == ecstypes.CPUArchitecture(p.image.CPU)
}
