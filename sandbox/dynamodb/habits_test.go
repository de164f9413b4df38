package dynamodb_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	client "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"spate/sandbox"
	"spate/sandbox/dynamodb"
	"spate/sandbox/fault"
	"spate/sandbox/limit"
)

// inBubble runs a test in virtual time against the whole sandbox, whose tables have these habits.
func inBubble(t *testing.T, habits dynamodb.Habits, test func(t *testing.T, b *bench, box *sandbox.Sandbox)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		account := sandbox.Instant()
		account.DynamoDB = habits
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
		test(t, &bench{tables: client.NewFromConfig(config), streams: dynamodbstreams.NewFromConfig(config)}, box)
	})
}

// code is an answer's error code.
func code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

func putKey(pk, sk string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: pk}, "sk": &types.AttributeValueMemberS{Value: sk}}
}

// until calls do until it fails, and returns how often it did not: a thousand times at most.
func until(do func(i int) error) int {
	for i := range 1000 {
		if err := do(i); err != nil {
			return i
		}
	}
	return 1000
}

func TestATableIsThrottledBeyondItsCapacity(t *testing.T) {
	habits := dynamodb.Prompt()
	habits.Writes, habits.Reads = limit.Rate{Burst: 10, PerSecond: 5}, limit.Rate{Burst: 4, PerSecond: 4}
	inBubble(t, habits, func(t *testing.T, b *bench, _ *sandbox.Sandbox) {
		b.createTable(t, types.ScalarAttributeTypeS, "")
		put := func(i int) error {
			_, err := b.tables.PutItem(t.Context(), &client.PutItemInput{TableName: aws.String("things"), Item: putKey(fmt.Sprint(i), "a")})
			if err != nil && code(err) != "ThrottlingException" {
				t.Fatal(err)
			}
			return err
		}
		get := func(i int) error {
			_, err := b.tables.GetItem(t.Context(), &client.GetItemInput{TableName: aws.String("things"), Key: putKey(fmt.Sprint(i), "a"), ConsistentRead: aws.Bool(true)})
			return err
		}
		first, reads := until(put), until(get)
		time.Sleep(2 * time.Second)
		if diff := cmp.Diff([]int{10, 4, 10}, []int{first, reads, until(put)}); diff != "" {
			t.Error(diff)
		}
	})
}

func TestOnePartitionIsThrottledAlone(t *testing.T) {
	habits := dynamodb.Prompt()
	habits.PartitionWrites, habits.PartitionReads = limit.Rate{Burst: 3, PerSecond: 1}, limit.Rate{Burst: 5, PerSecond: 1}
	inBubble(t, habits, func(t *testing.T, b *bench, _ *sandbox.Sandbox) {
		b.createTable(t, types.ScalarAttributeTypeS, "")
		put := func(pk string) func(int) error {
			return func(i int) error {
				_, err := b.tables.PutItem(t.Context(), &client.PutItemInput{TableName: aws.String("things"), Item: putKey(pk, fmt.Sprint(i))})
				return err
			}
		}
		if hot, cold := until(put("hot")), put("cold")(0); hot != 3 || cold != nil {
			t.Errorf("written: %d, %v", hot, cold)
		}
		get := func(pk string) func(int) error {
			return func(i int) error {
				_, err := b.tables.GetItem(t.Context(), &client.GetItemInput{TableName: aws.String("things"), Key: putKey(pk, fmt.Sprint(i)), ConsistentRead: aws.Bool(true)})
				return err
			}
		}
		if hot, cold := until(get("hot")), get("cold")(0); hot != 5 || cold != nil {
			t.Errorf("read: %d, %v", hot, cold)
		}
	})
}

func TestABatchLeavesUnprocessedWhatIsThrottled(t *testing.T) {
	habits := dynamodb.Prompt()
	habits.Writes, habits.Reads = limit.Rate{Burst: 15, PerSecond: 1}, limit.Rate{Burst: 3, PerSecond: 1}
	inBubble(t, habits, func(t *testing.T, b *bench, box *sandbox.Sandbox) {
		b.createTable(t, types.ScalarAttributeTypeS, "")
		var requests []types.WriteRequest
		var keys []map[string]types.AttributeValue
		for i := range 25 {
			requests = append(requests, types.WriteRequest{PutRequest: &types.PutRequest{Item: putKey(fmt.Sprint(i), "a")}})
			keys = append(keys, putKey(fmt.Sprint(i), "a"))
		}
		write := func() (*client.BatchWriteItemOutput, error) {
			return b.tables.BatchWriteItem(t.Context(), &client.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{"things": requests}})
		}
		out, err := write()
		if err != nil || len(out.UnprocessedItems["things"]) != 10 {
			t.Fatalf("%d unprocessed, %v", len(out.UnprocessedItems["things"]), err)
		}
		if _, err := write(); code(err) != "ThrottlingException" {
			t.Errorf("nothing left: %v", err)
		}
		got, err := b.tables.BatchGetItem(t.Context(), &client.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{"things": {Keys: keys, ConsistentRead: aws.Bool(true)}}})
		if err != nil || len(got.Responses["things"]) != 3 || len(got.UnprocessedKeys["things"].Keys) != 22 {
			t.Errorf("%d, %d, %v", len(got.Responses["things"]), len(got.UnprocessedKeys["things"].Keys), err)
		}
		account := box.Account()
		account.DynamoDB = dynamodb.Prompt()
		if err := box.SetAccount(account); err != nil {
			t.Fatal(err)
		}
		for _, operation := range []string{"BatchWriteItem", "BatchGetItem"} {
			if _, err := box.Faults().Add(fault.Rule{Service: fault.DynamoDB, Operation: operation, Kind: fault.Partial, Share: 0.2, Count: 1}); err != nil {
				t.Fatal(err)
			}
		}
		out, err = write()
		if err != nil || len(out.UnprocessedItems["things"]) != 5 {
			t.Errorf("%d unprocessed, %v", len(out.UnprocessedItems["things"]), err)
		}
		got, err = b.tables.BatchGetItem(t.Context(), &client.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{"things": {Keys: keys}}})
		if err != nil || len(got.Responses["things"]) != 20 || len(got.UnprocessedKeys["things"].Keys) != 5 {
			t.Errorf("%d, %d, %v", len(got.Responses["things"]), len(got.UnprocessedKeys["things"].Keys), err)
		}
	})
}

func TestStreamRecordsAreSeenAfterTheLagAndShardsEnd(t *testing.T) {
	habits := dynamodb.Prompt()
	habits.StreamLag, habits.ShardLife, habits.StreamRetention = fault.Duration(2*time.Second), fault.Duration(time.Hour), fault.Duration(3*time.Hour)
	inBubble(t, habits, func(t *testing.T, b *bench, _ *sandbox.Sandbox) {
		b.createTable(t, types.ScalarAttributeTypeS, types.StreamViewTypeNewAndOldImages)
		put := func(sk string) {
			if _, err := b.tables.PutItem(t.Context(), &client.PutItemInput{TableName: aws.String("things"), Item: putKey("one", sk)}); err != nil {
				t.Fatal(err)
			}
		}
		put("a")
		first := len(b.shards(t))
		time.Sleep(1900 * time.Millisecond)
		before := len(b.allRecords(t))
		time.Sleep(100 * time.Millisecond)
		after := len(b.allRecords(t))
		time.Sleep(time.Hour + time.Minute)
		put("b")
		time.Sleep(2 * time.Second)
		shards := b.shards(t)
		if before != 0 || after != 1 || len(shards) != 2*first || len(b.allRecords(t)) != 2 {
			t.Errorf("%d, %d records; %d shards, then %d; %d records at last", before, after, first, len(shards), len(b.allRecords(t)))
		}
		for _, shard := range shards[:first] {
			if shard.SequenceNumberRange.EndingSequenceNumber == nil {
				t.Errorf("%s is open after its life", *shard.ShardId)
			}
		}
		for _, shard := range shards[first:] {
			if shard.ParentShardId == nil {
				t.Errorf("%s has no parent", *shard.ShardId)
			}
		}
		time.Sleep(4 * time.Hour)
		if left := b.allRecords(t); len(left) != 0 {
			t.Errorf("%d records are there beyond the horizon", len(left))
		}
	})
}

func TestExpiredItemsStayUntilTheDelayIsOver(t *testing.T) {
	habits := dynamodb.Prompt()
	habits.TTLDelay = fault.Duration(12 * time.Hour)
	inBubble(t, habits, func(t *testing.T, b *bench, _ *sandbox.Sandbox) {
		b.createTable(t, types.ScalarAttributeTypeS, "")
		if _, err := b.tables.UpdateTimeToLive(t.Context(), &client.UpdateTimeToLiveInput{
			TableName: aws.String("things"), TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("expires_at"), Enabled: aws.Bool(true)},
		}); err != nil {
			t.Fatal(err)
		}
		item := putKey("one", "a")
		item["expires_at"] = &types.AttributeValueMemberN{Value: fmt.Sprint(time.Now().Add(time.Minute).Unix())}
		if _, err := b.tables.PutItem(t.Context(), &client.PutItemInput{TableName: aws.String("things"), Item: item}); err != nil {
			t.Fatal(err)
		}
		there := func() bool {
			out, err := b.tables.GetItem(t.Context(), &client.GetItemInput{TableName: aws.String("things"), Key: putKey("one", "a")})
			if err != nil {
				t.Fatal(err)
			}
			return out.Item != nil
		}
		time.Sleep(12 * time.Hour)
		late := there()
		time.Sleep(2 * time.Minute)
		if !late || there() {
			t.Errorf("there after 12 h: %t, and after its time: %t", late, there())
		}
	})
}
