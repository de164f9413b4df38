package dynamodb_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streamtypes "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"spate/sandbox/dynamodb"
)

func TestAnUpdateCannotMakeAnItemTooLarge(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	before := item{"pk": str("a"), "x": str(strings.Repeat("x", 300<<10))}
	b.put(t, before)
	_, err := b.update(t, item{"pk": str("a")}, "SET y = :y", item{":y": str(strings.Repeat("y", 100<<10))})
	wantCode(t, err, "ValidationException", "Item size to update has exceeded the maximum allowed size")
	sameItem(t, b.get(t, item{"pk": str("a")}), before)
}

func TestKeysHaveALargestSize(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, types.ScalarAttributeTypeS, "")
	b.put(t, item{"pk": str(strings.Repeat("p", 2048)), "sk": str(strings.Repeat("s", 1024))})
	for text, key := range map[string]item{
		"Size of hashkey":  {"pk": str(strings.Repeat("p", 2049)), "sk": str("s")},
		"Size of rangekey": {"pk": str("p"), "sk": str(strings.Repeat("s", 1025))},
	} {
		_, err := b.tables.PutItem(t.Context(), &client.PutItemInput{TableName: aws.String("things"), Item: key})
		wantCode(t, err, "ValidationException", text)
	}
}

func TestATransactionHoldsFourMegabytes(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	var items []types.TransactWriteItem
	for i := range 11 {
		put := transactPut(fmt.Sprint(i), "")
		put.Put.Item["x"] = str(strings.Repeat("x", 399<<10))
		items = append(items, put)
	}
	_, err := b.tables.TransactWriteItems(t.Context(), &client.TransactWriteItemsInput{TransactItems: items})
	wantCode(t, err, "ValidationException", "4MB")
	if b.get(t, item{"pk": str("0")}) != nil {
		t.Error("the refused transaction wrote an item")
	}
	if _, err := b.tables.TransactWriteItems(t.Context(), &client.TransactWriteItemsInput{TransactItems: items[:10]}); err != nil {
		t.Errorf("just under four megabytes: %v", err)
	}
}

func TestGetRecordsReturnsAboutOneMegabyte(t *testing.T) {
	b := newBench(t, dynamodb.Options{StreamShards: 1})
	b.createTable(t, "", types.StreamViewTypeNewImage)
	for i := range 5 {
		b.put(t, item{"pk": str(fmt.Sprint(i)), "x": str(strings.Repeat("x", 390<<10))})
	}
	iterator := b.iterator(t, b.shards(t)[0].ShardId, streamtypes.ShardIteratorTypeTrimHorizon, nil)
	out, err := b.streams.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: iterator})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Records) != 2 {
		t.Errorf("%d records of 390 KB in one answer, want 2", len(out.Records))
	}
	if rest, _ := b.drain(t, out.NextShardIterator, 1000); len(rest) != 3 {
		t.Errorf("%d records in the rest, want 3", len(rest))
	}
}

func TestGetRecordsReturnsAThousandRecordsAtMost(t *testing.T) {
	b := newBench(t, dynamodb.Options{StreamShards: 1})
	b.createTable(t, "", types.StreamViewTypeKeysOnly)
	for first := 0; first < 1025; first += 25 {
		requests := make([]types.WriteRequest, 25)
		for i := range requests {
			requests[i].PutRequest = &types.PutRequest{Item: item{"pk": str(fmt.Sprint(first + i))}}
		}
		if _, err := b.tables.BatchWriteItem(t.Context(), &client.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{"things": requests}}); err != nil {
			t.Fatal(err)
		}
	}
	iterator := b.iterator(t, b.shards(t)[0].ShardId, streamtypes.ShardIteratorTypeTrimHorizon, nil)
	out, err := b.streams.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: iterator})
	if err != nil || len(out.Records) != 1000 {
		t.Fatalf("%d records, %v", len(out.Records), err)
	}
	_, err = b.streams.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: iterator, Limit: aws.Int32(1001)})
	wantCode(t, err, "ValidationException", "less than or equal to 1000")
}
