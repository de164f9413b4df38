package dynamodb_test

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"spate/sandbox/dynamodb"
)

func puts(n int) []types.WriteRequest {
	requests := make([]types.WriteRequest, n)
	for i := range requests {
		requests[i].PutRequest = &types.PutRequest{Item: item{"pk": str(fmt.Sprint(i))}}
	}
	return requests
}

func TestBatchWritePutsAndDeletes(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	b.put(t, item{"pk": str("old")})
	out, err := b.tables.BatchWriteItem(t.Context(), &client.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{
		"things": append(puts(24), types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: item{"pk": str("old")}}}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if out.UnprocessedItems == nil || len(out.UnprocessedItems) != 0 {
		t.Errorf("UnprocessedItems is %v, want present and empty", out.UnprocessedItems)
	}
	if b.get(t, item{"pk": str("23")}) == nil || b.get(t, item{"pk": str("old")}) != nil {
		t.Error("the batch was not carried out")
	}
}

func TestABatchWithOneInvalidWriteWritesNothing(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	for name, row := range map[string]struct {
		requests []types.WriteRequest
		text     string
	}{
		"26 items":      {puts(26), "Too many items requested for the BatchWriteItem call"},
		"the same key":  {append(puts(2), puts(1)...), "Provided list of item keys contains duplicates"},
		"a missing key": {append(puts(2), types.WriteRequest{PutRequest: &types.PutRequest{Item: item{"x": str("y")}}}), "Missing the key pk in the item"},
		"nothing":       {[]types.WriteRequest{}, "greater than or equal to 1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.tables.BatchWriteItem(t.Context(), &client.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{"things": row.requests}})
			wantCode(t, err, "ValidationException", row.text)
			if b.get(t, item{"pk": str("0")}) != nil {
				t.Error("the first item was written")
			}
		})
	}
}

func TestBatchGetReturnsWhatExists(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	b.put(t, item{"pk": str("a"), "x": num("1")})
	out, err := b.tables.BatchGetItem(t.Context(), &client.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
		"things": {Keys: []map[string]types.AttributeValue{{"pk": str("a")}, {"pk": str("b")}}, ProjectionExpression: aws.String("x")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Responses["things"]) != 1 || len(out.UnprocessedKeys) != 0 {
		t.Fatalf("got %v, unprocessed %v", out.Responses, out.UnprocessedKeys)
	}
	sameItem(t, out.Responses["things"][0], item{"x": num("1")})
}

func TestBatchGetRefusesMoreThan100KeysAndDuplicates(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	keys := make([]map[string]types.AttributeValue, 101)
	for i := range keys {
		keys[i] = item{"pk": str(fmt.Sprint(i))}
	}
	_, err := b.tables.BatchGetItem(t.Context(), &client.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{"things": {Keys: keys}}})
	wantCode(t, err, "ValidationException", "Too many items requested for the BatchGetItem call")
	keys = append(keys[:2], keys[0])
	_, err = b.tables.BatchGetItem(t.Context(), &client.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{"things": {Keys: keys}}})
	wantCode(t, err, "ValidationException", "Provided list of item keys contains duplicates")
}

func TestBatchGetLeavesKeysBeyond16MegabytesUnprocessed(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	large := make([]byte, 390<<10)
	keys := make([]map[string]types.AttributeValue, 50)
	for i := range keys {
		keys[i] = item{"pk": str(fmt.Sprint(i))}
		b.put(t, item{"pk": keys[i]["pk"], "x": &types.AttributeValueMemberB{Value: large}})
	}
	out, err := b.tables.BatchGetItem(t.Context(), &client.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{"things": {Keys: keys}}})
	if err != nil {
		t.Fatal(err)
	}
	got, left := len(out.Responses["things"]), len(out.UnprocessedKeys["things"].Keys)
	if got != 42 || left != 8 {
		t.Errorf("%d items and %d unprocessed keys, want 42 and 8", got, left)
	}
}
