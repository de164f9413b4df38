package dynamodb_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"spate/sandbox/dynamodb"
)

// sameItem compares items of the SDK's types.
func sameItem(t testing.TB, got, want item) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(
		types.AttributeValueMemberS{}, types.AttributeValueMemberN{}, types.AttributeValueMemberB{}, types.AttributeValueMemberBOOL{},
		types.AttributeValueMemberNULL{}, types.AttributeValueMemberL{}, types.AttributeValueMemberM{}, types.AttributeValueMemberSS{},
		types.AttributeValueMemberNS{}, types.AttributeValueMemberBS{},
	)); diff != "" {
		t.Errorf("item differs (-want +got):\n%s", diff)
	}
}

func TestEveryDataTypeComesBackAsItWasPut(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	want := item{
		"pk":   str("käse \"\\\n\u2028"),
		"n":    num("-12.5"),
		"bin":  &types.AttributeValueMemberB{Value: []byte{0, 255, 7}},
		"yes":  &types.AttributeValueMemberBOOL{Value: true},
		"null": &types.AttributeValueMemberNULL{Value: true},
		"list": &types.AttributeValueMemberL{Value: []types.AttributeValue{num("1"), str("")}},
		"map":  &types.AttributeValueMemberM{Value: item{"deep": &types.AttributeValueMemberL{Value: []types.AttributeValue{}}}},
		"ss":   &types.AttributeValueMemberSS{Value: []string{"a", "b"}},
		"ns":   &types.AttributeValueMemberNS{Value: []string{"2", "10"}},
		"bs":   &types.AttributeValueMemberBS{Value: [][]byte{{1}, {2}}},
	}
	b.put(t, want)
	sameItem(t, b.get(t, item{"pk": want["pk"]}), want)
}

func TestNumbersKeep38DigitsAndLoseTheirSpelling(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	for given, want := range map[string]string{
		"1.0": "1", "1e3": "1000", "-0": "0", "000.500": "0.5",
		"12345678901234567890123456789012345678": "12345678901234567890123456789012345678",
	} {
		b.put(t, item{"pk": str("a"), "n": num(given)})
		sameItem(t, b.get(t, item{"pk": str("a")}), item{"pk": str("a"), "n": num(want)})
	}
	_, err := b.tables.PutItem(t.Context(), &client.PutItemInput{TableName: aws.String("things"), Item: item{"pk": str("a"), "n": num("123456789012345678901234567890123456789")}})
	wantCode(t, err, "ValidationException", "more than 38 significant digits")
}

func TestGetOfAMissingItemReturnsNone(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	if got := b.get(t, item{"pk": str("nobody")}); got != nil {
		t.Fatalf("got %v", got)
	}
}

func TestGetReturnsTheProjectionOnly(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	b.put(t, item{
		"pk": str("a"), "other": num("1"),
		"m": &types.AttributeValueMemberM{Value: item{"x": num("1"), "y": num("2")}},
		"l": &types.AttributeValueMemberL{Value: []types.AttributeValue{num("0"), num("1"), num("2")}},
	})
	out, err := b.tables.GetItem(t.Context(), &client.GetItemInput{
		TableName: aws.String("things"), Key: item{"pk": str("a")},
		ProjectionExpression: aws.String("#m.x, l[2], l[0], missing"), ExpressionAttributeNames: map[string]string{"#m": "m"},
	})
	if err != nil {
		t.Fatal(err)
	}
	sameItem(t, out.Item, item{
		"m": &types.AttributeValueMemberM{Value: item{"x": num("1")}},
		"l": &types.AttributeValueMemberL{Value: []types.AttributeValue{num("0"), num("2")}},
	})
}

func TestPutRefusesImproperItems(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, types.ScalarAttributeTypeN, "")
	for name, row := range map[string]struct {
		item item
		text string
	}{
		"missing hash key":  {item{"sk": num("1")}, "Missing the key pk in the item"},
		"missing range key": {item{"pk": str("a")}, "Missing the key sk in the item"},
		"wrong type":        {item{"pk": str("a"), "sk": str("1")}, "Type mismatch for key sk expected: N actual: S"},
		"empty key":         {item{"pk": str(""), "sk": num("1")}, "cannot contain an empty string value. Key: pk"},
		"too large":         {item{"pk": str("a"), "sk": num("1"), "x": str(strings.Repeat("x", 400<<10))}, "Item size has exceeded the maximum allowed size"},
		"empty set":         {item{"pk": str("a"), "sk": num("1"), "x": &types.AttributeValueMemberSS{Value: []string{}}}, "may not be empty"},
		"duplicate in set":  {item{"pk": str("a"), "sk": num("1"), "x": &types.AttributeValueMemberNS{Value: []string{"1", "1.0"}}}, "contains duplicates"},
		"not a number":      {item{"pk": str("a"), "sk": num("one")}, "cannot be converted to a numeric value: one"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.tables.PutItem(t.Context(), &client.PutItemInput{TableName: aws.String("things"), Item: row.item})
			wantCode(t, err, "ValidationException", row.text)
		})
	}
}

func TestPutToAMissingTableFails(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	_, err := b.tables.PutItem(t.Context(), &client.PutItemInput{TableName: aws.String("nothing"), Item: item{"pk": str("a")}})
	wantCode(t, err, "ResourceNotFoundException", "Requested resource not found")
}

func TestFailedConditionReturnsTheItemWhenAsked(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	b.put(t, item{"pk": str("a"), "v": num("1")})
	put := &client.PutItemInput{
		TableName: aws.String("things"), Item: item{"pk": str("a"), "v": num("2")},
		ConditionExpression:                 aws.String("attribute_not_exists(pk)"),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	_, err := b.tables.PutItem(t.Context(), put)
	var failed *types.ConditionalCheckFailedException
	if !errors.As(err, &failed) {
		t.Fatalf("error is %v", err)
	}
	if failed.ErrorMessage() != "The conditional request failed" {
		t.Errorf("message is %q", failed.ErrorMessage())
	}
	sameItem(t, failed.Item, item{"pk": str("a"), "v": num("1")})

	put.ReturnValuesOnConditionCheckFailure = ""
	_, err = b.tables.PutItem(t.Context(), put)
	if !errors.As(err, &failed) || failed.Item != nil {
		t.Errorf("without ALL_OLD: %v with %v", err, failed.Item)
	}
	sameItem(t, b.get(t, item{"pk": str("a")}), item{"pk": str("a"), "v": num("1")})
}

func TestOnlyOneOfManyConditionalPutsWins(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	wins := make(chan string, 16)
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			owner := fmt.Sprint(i)
			_, err := b.tables.PutItem(t.Context(), &client.PutItemInput{
				TableName: aws.String("things"), Item: item{"pk": str("lease"), "owner": str(owner)},
				ConditionExpression: aws.String("attribute_not_exists(pk)"),
			})
			if err == nil {
				wins <- owner
			}
		})
	}
	group.Wait()
	close(wins)
	if len(wins) != 1 {
		t.Fatalf("%d puts won", len(wins))
	}
	sameItem(t, b.get(t, item{"pk": str("lease")}), item{"pk": str("lease"), "owner": str(<-wins)})
}

func TestParallelCountersLoseNothing(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 25 {
				if _, err := b.update(t, item{"pk": str("c")}, "ADD n :one", item{":one": num("1")}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	sameItem(t, b.get(t, item{"pk": str("c")}), item{"pk": str("c"), "n": num("200")})
}

func TestUpdateCreatesAMissingItem(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	got, err := b.update(t, item{"pk": str("a")}, "SET n = if_not_exists(n, :zero) + :one", item{":zero": num("0"), ":one": num("1")})
	if err != nil {
		t.Fatal(err)
	}
	sameItem(t, got, item{"pk": str("a"), "n": num("1")})
}

func TestUpdateOfAKeyAttributeIsRefused(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	_, err := b.update(t, item{"pk": str("a")}, "SET pk = :v", item{":v": str("b")})
	wantCode(t, err, "ValidationException", "Cannot update attribute pk. This attribute is part of the key")
}

func TestUpdateReturnsWhatItTouched(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	for want, result := range map[types.ReturnValue]item{
		types.ReturnValueUpdatedOld: {"x": num("1")},
		types.ReturnValueUpdatedNew: {"x": num("2")},
		types.ReturnValueAllOld:     {"pk": str("a"), "x": num("1"), "y": num("5")},
		types.ReturnValueNone:       nil,
	} {
		b.put(t, item{"pk": str("a"), "x": num("1"), "y": num("5")})
		out, err := b.tables.UpdateItem(t.Context(), &client.UpdateItemInput{
			TableName: aws.String("things"), Key: item{"pk": str("a")}, UpdateExpression: aws.String("SET x = :v"),
			ExpressionAttributeValues: item{":v": num("2")}, ReturnValues: want,
		})
		if err != nil {
			t.Fatal(err)
		}
		sameItem(t, out.Attributes, result)
	}
}

func TestDeleteReturnsTheOldItemAndIsIdempotent(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	b.put(t, item{"pk": str("a"), "v": num("1")})
	in := &client.DeleteItemInput{TableName: aws.String("things"), Key: item{"pk": str("a")}, ReturnValues: types.ReturnValueAllOld}
	out, err := b.tables.DeleteItem(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	sameItem(t, out.Attributes, item{"pk": str("a"), "v": num("1")})
	if out, err = b.tables.DeleteItem(t.Context(), in); err != nil || out.Attributes != nil {
		t.Fatalf("second delete: %v, %v", out, err)
	}
}

func TestLeftoverNamesAndValuesAreRefused(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	_, err := b.update(t, item{"pk": str("a")}, "SET x = :v", item{":v": num("1"), ":w": num("2")})
	wantCode(t, err, "ValidationException", "Value provided in ExpressionAttributeValues unused in expressions: keys: {:w}")
	_, err = b.tables.GetItem(t.Context(), &client.GetItemInput{TableName: aws.String("things"), Key: item{"pk": str("a")}, ExpressionAttributeNames: map[string]string{"#x": "x"}})
	wantCode(t, err, "ValidationException", "ExpressionAttributeNames can only be specified when using expressions")
}

func TestLegacyParametersAreRefused(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	_, err := b.tables.GetItem(t.Context(), &client.GetItemInput{TableName: aws.String("things"), Key: item{"pk": str("a")}, AttributesToGet: []string{"x"}})
	wantCode(t, err, "ValidationException", "AttributesToGet")
}

func TestConsumedCapacityFollowsTheItemsSize(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	out, err := b.tables.PutItem(t.Context(), &client.PutItemInput{
		TableName: aws.String("things"), Item: item{"pk": str("a"), "x": str(strings.Repeat("x", 5000))},
		ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := aws.ToFloat64(out.ConsumedCapacity.CapacityUnits); got != 5 {
		t.Errorf("writing 5,006 bytes took %v units, want 5", got)
	}
	read, err := b.tables.GetItem(t.Context(), &client.GetItemInput{TableName: aws.String("things"), Key: item{"pk": str("a")}, ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal})
	if err != nil {
		t.Fatal(err)
	}
	if got := aws.ToFloat64(read.ConsumedCapacity.CapacityUnits); got != 1 {
		t.Errorf("reading 5,006 bytes, eventually consistent, took %v units, want 1", got)
	}
}
