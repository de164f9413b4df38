package s3_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"spate/sandbox"
	"spate/sandbox/fault"
	"spate/sandbox/limit"
	"spate/sandbox/s3"
)

// bubble is the whole sandbox in virtual time, with a bucket whose changes a queue is told of.
type bubble struct {
	box     *sandbox.Sandbox
	objects *awss3.Client
	queues  *sqs.Client
	url     *string
}

func inBubble(t *testing.T, habits s3.Habits, test func(t *testing.T, b bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		account := sandbox.Instant()
		account.S3 = habits
		box, err := sandbox.New(sandbox.Options{InProcess: true, Seed: 1, Account: &account, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		ended := make(chan error, 1)
		go func() { ended <- box.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}()
		config := aws.Config{
			BaseEndpoint: aws.String(box.Endpoint()), Region: "us-east-1", HTTPClient: &http.Client{Transport: box.Transport()},
			Credentials: credentials.NewStaticCredentialsProvider("sandbox", "sandbox", ""), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		}
		b := bubble{box: box, objects: awss3.NewFromConfig(config, func(o *awss3.Options) { o.UsePathStyle = true }), queues: sqs.NewFromConfig(config)}
		queue, err := b.queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("events")})
		if err != nil {
			t.Fatal(err)
		}
		b.url = queue.QueueUrl
		if _, err := b.objects.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: bucket}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.objects.PutBucketNotificationConfiguration(t.Context(), &awss3.PutBucketNotificationConfigurationInput{
			Bucket: bucket, NotificationConfiguration: &types.NotificationConfiguration{QueueConfigurations: []types.QueueConfiguration{{
				QueueArn: aws.String(queueARN), Events: []types.Event{"s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"},
			}}},
		}); err != nil {
			t.Fatal(err)
		}
		b.told(t) // the test event
		test(t, b)
	})
}

func (b bubble) put(ctx context.Context, key string) error {
	_, err := b.objects.PutObject(ctx, &awss3.PutObjectInput{Bucket: bucket, Key: &key, Body: strings.NewReader("x")})
	return err
}

// code is an answer's error code.
func code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

func TestKeysAndMetadataHaveALargestSize(t *testing.T) {
	inBubble(t, s3.Habits{}, func(t *testing.T, b bubble) {
		put := func(keyBytes, metadataBytes int) string {
			_, err := b.objects.PutObject(t.Context(), &awss3.PutObjectInput{
				Bucket: bucket, Key: aws.String(strings.Repeat("k", keyBytes)), Body: strings.NewReader("x"),
				Metadata: map[string]string{"m": strings.Repeat("v", metadataBytes-1)},
			})
			return code(err)
		}
		got := []string{put(1024, 2048), put(1025, 1), put(1, 2049)}
		if diff := cmp.Diff([]string{"<nil>", "KeyTooLongError", "MetadataTooLarge"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

// told takes all notifications off the queue.
func (b bubble) told(t *testing.T) []string {
	t.Helper()
	var all []string
	for {
		out, err := b.queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: b.url, MaxNumberOfMessages: 10})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			return all
		}
		for _, m := range out.Messages {
			all = append(all, *m.Body)
			if _, err := b.queues.DeleteMessageBatch(t.Context(), &sqs.DeleteMessageBatchInput{
				QueueUrl: b.url, Entries: []sqstypes.DeleteMessageBatchRequestEntry{{Id: aws.String("m"), ReceiptHandle: m.ReceiptHandle}},
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAPrefixThatIsAskedTooMuchSlowsDown(t *testing.T) {
	inBubble(t, s3.Habits{Writes: limit.Rate{Burst: 5, PerSecond: 5}, Reads: limit.Rate{Burst: 7, PerSecond: 7}}, func(t *testing.T, b bubble) {
		puts := func(prefix string) (n int) {
			for ; n < 1000; n++ {
				if err := b.put(t.Context(), fmt.Sprintf("%s/%d", prefix, n)); err != nil {
					if code(err) != "SlowDown" {
						t.Fatal(err)
					}
					return n
				}
			}
			return n
		}
		gets := func(prefix string) (n int) {
			for ; n < 1000; n++ {
				if _, err := b.objects.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: bucket, Key: aws.String(prefix + "/0")}); err != nil {
					return n
				}
			}
			return n
		}
		got := []int{puts("outputs/aa"), puts("outputs/bb"), gets("outputs/aa")}
		time.Sleep(time.Second)
		got = append(got, puts("outputs/aa/deeper"))
		if diff := cmp.Diff([]int{5, 5, 7, 5}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestNotificationsComeLateTwiceAndInAnotherOrder(t *testing.T) {
	inBubble(t, s3.Habits{NotificationsFrom: fault.Duration(time.Second), NotificationsTo: fault.Duration(5 * time.Second), NotifiedTwice: 0.2}, func(t *testing.T, b bubble) {
		for i := range 100 {
			if err := b.put(t.Context(), fmt.Sprintf("k-%03d", i)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(900 * time.Millisecond)
		early := len(b.told(t))
		time.Sleep(5 * time.Second)
		all := b.told(t)
		inOrder := true
		for i := 1; i < len(all); i++ {
			inOrder = inOrder && all[i-1] <= all[i]
		}
		if early != 0 || len(all) < 105 || len(all) > 140 || inOrder {
			t.Errorf("%d early, %d in all, in order: %t", early, len(all), inOrder)
		}
	})
	inBubble(t, s3.Habits{}, func(t *testing.T, b bubble) {
		for kind, want := range map[fault.Kind]int{fault.Duplicate: 2, fault.Drop: 0} {
			if _, err := b.box.Faults().Add(fault.Rule{Service: fault.S3, Operation: "Notification", Kind: kind, Count: 1}); err != nil {
				t.Fatal(err)
			}
			if err := b.put(t.Context(), "k"); err != nil {
				t.Fatal(err)
			}
			if got := len(b.told(t)); got != want {
				t.Errorf("%s: told %d times", kind, got)
			}
		}
	})
}

func TestAConditionalWriteMayMeetAnother(t *testing.T) {
	inBubble(t, s3.Habits{Conflicts: 1}, func(t *testing.T, b bubble) {
		_, err := b.objects.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: bucket, Key: aws.String("k"), IfNoneMatch: aws.String("*")})
		if code(err) != "ConditionalRequestConflict" {
			t.Errorf("conditional: %v", err)
		}
		if err := b.put(t.Context(), "k"); err != nil {
			t.Errorf("plain: %v", err)
		}
	})
}

func TestAMissingKeyMayBeHidden(t *testing.T) {
	inBubble(t, s3.Habits{HideMissing: true}, func(t *testing.T, b bubble) {
		_, get := b.objects.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: bucket, Key: aws.String("k")})
		_, head := b.objects.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: bucket, Key: aws.String("k")})
		if code(get) != "AccessDenied" || code(head) != "Forbidden" {
			t.Errorf("%v; %v", get, head)
		}
	})
}

func TestWhereKMSEncryptsTheSameBytesPutOrCopiedAgainHaveAnotherETag(t *testing.T) {
	inBubble(t, s3.Habits{KMS: true}, func(t *testing.T, b bubble) {
		seen := map[string]bool{}
		stands := func() *string {
			got, err := b.objects.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: bucket, Key: aws.String("k")})
			if err != nil {
				t.Fatal(err)
			}
			seen[*got.ETag] = true
			return got.ETag
		}
		first, err := b.objects.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: bucket, Key: aws.String("k"), Body: strings.NewReader("x")})
		if err != nil || *first.ETag != *stands() {
			t.Fatalf("%v, %v", first, err)
		}
		if _, err := b.objects.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: bucket, Key: aws.String("k"), Body: strings.NewReader("x"), IfMatch: first.ETag}); err != nil {
			t.Errorf("put on the condition of its ETag: %v", err)
		}
		copied, err := b.objects.CopyObject(t.Context(), &awss3.CopyObjectInput{
			Bucket: bucket, Key: aws.String("k"), CopySource: aws.String("data/k"), CopySourceIfMatch: stands(), MetadataDirective: types.MetadataDirectiveReplace,
		})
		if err != nil || *copied.CopyObjectResult.ETag != *stands() {
			t.Errorf("copied on the condition of its ETag: %v", err)
		}
		if len(seen) != 3 {
			t.Errorf("ETags of three writes: %v", seen)
		}
	})
}

func TestObjectsExpireAtTheMidnightAfterTheirDays(t *testing.T) {
	inBubble(t, s3.Habits{LifecycleDelay: fault.Duration(time.Hour)}, func(t *testing.T, b bubble) {
		rule := types.LifecycleRule{
			ID: aws.String("outputs"), Status: types.ExpirationStatusEnabled,
			Filter: &types.LifecycleRuleFilter{Prefix: aws.String("outputs/")}, Expiration: &types.LifecycleExpiration{Days: aws.Int32(2)},
		}
		if _, err := b.objects.PutBucketLifecycleConfiguration(t.Context(), &awss3.PutBucketLifecycleConfigurationInput{
			Bucket: bucket, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{rule}},
		}); err != nil {
			t.Fatal(err)
		}
		got, err := b.objects.GetBucketLifecycleConfiguration(t.Context(), &awss3.GetBucketLifecycleConfigurationInput{Bucket: bucket})
		if err != nil || len(got.Rules) != 1 || *got.Rules[0].Expiration.Days != 2 || *got.Rules[0].Filter.Prefix != "outputs/" {
			t.Fatalf("%+v, %v", got, err)
		}
		midnight := time.Now().Truncate(24 * time.Hour).Add(24 * time.Hour)
		time.Sleep(time.Until(midnight.Add(10 * time.Hour)))
		for _, key := range []string{"outputs/a", "inputs/a"} {
			if err := b.put(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		b.told(t)
		there := func(key string) bool {
			_, err := b.objects.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: bucket, Key: &key})
			return err == nil
		}
		time.Sleep(time.Until(midnight.Add(3*24*time.Hour + 59*time.Minute)))
		before := there("outputs/a")
		time.Sleep(5 * time.Minute)
		told := b.told(t)
		if !before || there("outputs/a") || !there("inputs/a") {
			t.Errorf("there before: %t, after: %t, the other: %t", before, there("outputs/a"), there("inputs/a"))
		}
		if len(told) != 1 || !strings.Contains(told[0], `"eventName":"LifecycleExpiration:Delete"`) {
			t.Errorf("told %v", told)
		}
	})
}
