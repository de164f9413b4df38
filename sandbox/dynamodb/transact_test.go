package dynamodb_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"spate/sandbox/dynamodb"
)

func transactPut(pk, condition string) types.TransactWriteItem {
	put := &types.Put{TableName: aws.String("things"), Item: item{"pk": str(pk)}}
	if condition != "" {
		put.ConditionExpression = aws.String(condition)
	}
	return types.TransactWriteItem{Put: put}
}

func TestATransactionMakesEveryKindOfWrite(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	b.put(t, item{"pk": str("gone")})
	b.put(t, item{"pk": str("lease"), "fence": num("7")})
	_, err := b.tables.TransactWriteItems(t.Context(), &client.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		{ConditionCheck: &types.ConditionCheck{
			TableName: aws.String("things"), Key: item{"pk": str("lease")}, ConditionExpression: aws.String("fence = :f"),
			ExpressionAttributeValues: item{":f": num("7")},
		}},
		transactPut("new", "attribute_not_exists(pk)"),
		{Update: &types.Update{
			TableName: aws.String("things"), Key: item{"pk": str("count")}, UpdateExpression: aws.String("ADD n :one"),
			ExpressionAttributeValues: item{":one": num("1")},
		}},
		{Delete: &types.Delete{TableName: aws.String("things"), Key: item{"pk": str("gone")}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	sameItem(t, b.get(t, item{"pk": str("new")}), item{"pk": str("new")})
	sameItem(t, b.get(t, item{"pk": str("count")}), item{"pk": str("count"), "n": num("1")})
	sameItem(t, b.get(t, item{"pk": str("lease")}), item{"pk": str("lease"), "fence": num("7")})
	if b.get(t, item{"pk": str("gone")}) != nil {
		t.Error("the deleted item is still there")
	}
}

func TestACancelledTransactionSaysWhyAndWritesNothing(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	b.put(t, item{"pk": str("there"), "v": num("1")})
	conflict := transactPut("there", "attribute_not_exists(pk)")
	conflict.Put.ReturnValuesOnConditionCheckFailure = types.ReturnValuesOnConditionCheckFailureAllOld
	_, err := b.tables.TransactWriteItems(t.Context(), &client.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		transactPut("new", ""), conflict,
	}})
	var cancelled *types.TransactionCanceledException
	if !errors.As(err, &cancelled) {
		t.Fatalf("error is %v", err)
	}
	var codes []string
	for _, reason := range cancelled.CancellationReasons {
		codes = append(codes, aws.ToString(reason.Code))
	}
	if !slices.Equal(codes, []string{"None", "ConditionalCheckFailed"}) {
		t.Errorf("reasons are %v", codes)
	}
	wantCode(t, err, "TransactionCanceledException", "[None, ConditionalCheckFailed]")
	sameItem(t, cancelled.CancellationReasons[1].Item, item{"pk": str("there"), "v": num("1")})
	if b.get(t, item{"pk": str("new")}) != nil {
		t.Error("the transaction wrote its first item")
	}
}

func TestATransactionRepeatedWithItsTokenIsMadeOnce(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	in := &client.TransactWriteItemsInput{
		ClientRequestToken: aws.String("token-1"),
		TransactItems: []types.TransactWriteItem{{Update: &types.Update{
			TableName: aws.String("things"), Key: item{"pk": str("count")}, UpdateExpression: aws.String("ADD n :one, m :two"),
			ExpressionAttributeValues: item{":one": num("1"), ":two": num("2")},
		}}},
	}
	for range 5 {
		if _, err := b.tables.TransactWriteItems(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	sameItem(t, b.get(t, item{"pk": str("count")}), item{"pk": str("count"), "n": num("1"), "m": num("2")})
	in.TransactItems = []types.TransactWriteItem{transactPut("other", "")}
	_, err := b.tables.TransactWriteItems(t.Context(), in)
	wantCode(t, err, "IdempotentParameterMismatchException", "")
}

func TestACancelledTransactionLeavesItsTokenFree(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	in := &client.TransactWriteItemsInput{
		ClientRequestToken: aws.String("token-1"),
		TransactItems:      []types.TransactWriteItem{transactPut("a", "attribute_exists(pk)")},
	}
	_, err := b.tables.TransactWriteItems(t.Context(), in)
	wantCode(t, err, "TransactionCanceledException", "ConditionalCheckFailed")
	b.put(t, item{"pk": str("a")})
	if _, err := b.tables.TransactWriteItems(t.Context(), in); err != nil {
		t.Errorf("the same transaction, now that its condition holds: %v", err)
	}
}

func TestImproperTransactionsAreRefused(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	many := make([]types.TransactWriteItem, 101)
	for i := range many {
		many[i] = transactPut(fmt.Sprint(i), "")
	}
	for name, row := range map[string]struct {
		items []types.TransactWriteItem
		text  string
	}{
		"101 items":     {many, "Member must have length from 1 to 100"},
		"one key twice": {[]types.TransactWriteItem{many[0], many[0]}, "Transaction request cannot include multiple operations on one item"},
		"two in one":    {[]types.TransactWriteItem{{Put: many[0].Put, Delete: &types.Delete{TableName: aws.String("things"), Key: item{"pk": str("b")}}}}, "TransactItems can only contain one of Check, Put, Update or Delete"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.tables.TransactWriteItems(t.Context(), &client.TransactWriteItemsInput{TransactItems: row.items})
			wantCode(t, err, "ValidationException", row.text)
		})
	}
}

func TestTransactionalReadsNeverSeeHalfATransaction(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	move := func(pk, by string) types.TransactWriteItem {
		return types.TransactWriteItem{Update: &types.Update{
			TableName: aws.String("things"), Key: item{"pk": str(pk)}, UpdateExpression: aws.String("ADD n :by"),
			ExpressionAttributeValues: item{":by": num(by)},
		}}
	}
	var writers sync.WaitGroup
	for range 2 {
		writers.Go(func() {
			for range 50 {
				if _, err := b.tables.TransactWriteItems(t.Context(), &client.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{move("a", "1"), move("b", "1")}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 50 {
		out, err := b.tables.TransactGetItems(t.Context(), &client.TransactGetItemsInput{TransactItems: []types.TransactGetItem{
			{Get: &types.Get{TableName: aws.String("things"), Key: item{"pk": str("a")}, ProjectionExpression: aws.String("n")}},
			{Get: &types.Get{TableName: aws.String("things"), Key: item{"pk": str("b")}, ProjectionExpression: aws.String("n")}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		sameItem(t, out.Responses[0].Item, out.Responses[1].Item)
	}
	writers.Wait()
	sameItem(t, b.get(t, item{"pk": str("a")}), item{"pk": str("a"), "n": num("100")})
}
