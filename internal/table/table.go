// Package table is DynamoDB as Spate's runs table uses it: one table, keyed by pk and sk, where each package owns the
// items below its prefixes and their layout. It decides nothing.
//
// Structs are items by their `dynamodbav` tags; every item struct embeds or holds [Key].
package table

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Partition keys of the runs table, and who owns them.
const (
	RunRecords   = "RUN"     // planner: one record a run; sk is the run id
	RunPrefix    = "RUN#"    // planner: + run id; its releases and failures
	IntentPrefix = "INTENT#" // scaler: + pool; its journal
	PoolRecords  = "POOL"    // scaler: one status a pool; sk is the pool
	LeaseRecords = "LEASE"   // lease
	CacheRecords = "CACHE"   // cache: epoch and stream checkpoints
)

// ErrCondition says that a conditional write found the item other than the condition wants it.
var ErrCondition = errors.New("condition failed")

// Key is the primary key of an item.
type Key struct {
	PK string `dynamodbav:"pk"`
	SK string `dynamodbav:"sk"`
}

// Table is the runs table. It is safe for concurrent use.
type Table struct {
	client *dynamodb.Client
	name   string
}

// New uses a table.
func New(client *dynamodb.Client, name string) *Table { return &Table{client: client, name: name} }

// Client and Name are for requests that this package has no word for.
func (t *Table) Client() *dynamodb.Client { return t.client }

// Name is the table's name.
func (t *Table) Name() string { return t.name }

// Get reads an item into the struct that into points to, strongly consistent. It returns whether there was one.
func (t *Table) Get(ctx context.Context, key Key, into any) (bool, error) {
	av, err := attributevalue.MarshalMap(key)
	if err != nil {
		return false, fmt.Errorf("get %s/%s: %w", key.PK, key.SK, err)
	}
	out, err := t.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &t.name, Key: av, ConsistentRead: aws.Bool(true)})
	if err != nil {
		return false, fmt.Errorf("get %s/%s: %w", key.PK, key.SK, err)
	}
	if out.Item == nil {
		return false, nil
	}
	if err := attributevalue.UnmarshalMap(out.Item, into); err != nil {
		return false, fmt.Errorf("get %s/%s: %w", key.PK, key.SK, err)
	}
	return true, nil
}

// Condition is a condition expression with its values (of plain Go types). The zero value is none.
type Condition struct {
	Expression string
	Names      map[string]string
	Values     map[string]any
}

// Absent holds when there is no such item.
func Absent() Condition { return Condition{Expression: "attribute_not_exists(pk)"} }

func (c Condition) parts() (expression *string, values map[string]types.AttributeValue, err error) {
	if c.Expression == "" {
		return nil, nil, nil
	}
	if len(c.Values) > 0 {
		values = make(map[string]types.AttributeValue, len(c.Values))
		for name, v := range c.Values {
			if values[name], err = attributevalue.Marshal(v); err != nil {
				return nil, nil, err
			}
		}
	}
	return &c.Expression, values, nil
}

// Put writes an item. ErrCondition: the condition did not hold.
func (t *Table) Put(ctx context.Context, item any, c Condition) error {
	op, err := t.PutOp(item, c)
	if err != nil {
		return err
	}
	_, err = t.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: op.Put.TableName, Item: op.Put.Item, ConditionExpression: op.Put.ConditionExpression,
		ExpressionAttributeNames: op.Put.ExpressionAttributeNames, ExpressionAttributeValues: op.Put.ExpressionAttributeValues,
	})
	return wrap("put item", err)
}

// PutOp is the same put as part of a transaction.
func (t *Table) PutOp(item any, c Condition) (types.TransactWriteItem, error) {
	av, err := attributevalue.MarshalMap(item)
	if err != nil {
		return types.TransactWriteItem{}, fmt.Errorf("put item: %w", err)
	}
	expression, values, err := c.parts()
	if err != nil {
		return types.TransactWriteItem{}, fmt.Errorf("put item: %w", err)
	}
	return types.TransactWriteItem{Put: &types.Put{
		TableName: &t.name, Item: av, ConditionExpression: expression,
		ExpressionAttributeNames: c.Names, ExpressionAttributeValues: values,
	}}, nil
}

// MaxTransaction is the most operations of one transaction (DynamoDB TransactWriteItems).
const MaxTransaction = 100

// transactionTries is how often a transaction that met another one on the same item is sent again.
const transactionTries = 10

// Transact writes all or nothing. ErrCondition: a condition did not hold.
func (t *Table) Transact(ctx context.Context, ops ...types.TransactWriteItem) error {
	var err error
	for range transactionTries {
		_, err = t.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: ops})
		var cancelled *types.TransactionCanceledException
		if !errors.As(err, &cancelled) || !conflictOnly(cancelled) {
			break
		}
	}
	return wrap("transact", err)
}

func conflictOnly(e *types.TransactionCanceledException) bool {
	conflict := false
	for _, reason := range e.CancellationReasons {
		switch aws.ToString(reason.Code) {
		case "None", "":
		case "TransactionConflict":
			conflict = true
		default:
			return false
		}
	}
	return conflict
}

// Update changes single attributes of an item, creating it when there is none: every value of set is written, of
// plain Go types.
func (t *Table) Update(ctx context.Context, key Key, set map[string]any, c Condition) error {
	av, err := attributevalue.MarshalMap(key)
	if err != nil {
		return fmt.Errorf("update %s/%s: %w", key.PK, key.SK, err)
	}
	expression, values, err := c.parts()
	if err != nil {
		return fmt.Errorf("update %s/%s: %w", key.PK, key.SK, err)
	}
	if values == nil {
		values = map[string]types.AttributeValue{}
	}
	names := map[string]string{}
	for short, name := range c.Names {
		names[short] = name
	}
	update, n := "SET ", 0
	for name, v := range set {
		if n > 0 {
			update += ", "
		}
		update += fmt.Sprintf("#set%d = :set%d", n, n)
		names[fmt.Sprintf("#set%d", n)] = name
		if values[fmt.Sprintf(":set%d", n)], err = attributevalue.Marshal(v); err != nil {
			return fmt.Errorf("update %s/%s: %w", key.PK, key.SK, err)
		}
		n++
	}
	_, err = t.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &t.name, Key: av, UpdateExpression: &update, ConditionExpression: expression,
		ExpressionAttributeNames: names, ExpressionAttributeValues: values,
	})
	return wrap("update item", err)
}

// Delete removes an item; one that does not exist is no error.
func (t *Table) Delete(ctx context.Context, key Key) error {
	av, err := attributevalue.MarshalMap(key)
	if err != nil {
		return fmt.Errorf("delete %s/%s: %w", key.PK, key.SK, err)
	}
	_, err = t.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &t.name, Key: av})
	return wrap("delete item", err)
}

// Query yields the items of a partition whose sort key begins with a prefix, in order, strongly consistent. An error
// ends it.
func Query[T any](ctx context.Context, t *Table, pk, prefix string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		in := &dynamodb.QueryInput{
			TableName: &t.name, ConsistentRead: aws.Bool(true),
			KeyConditionExpression:    aws.String("pk = :pk"),
			ExpressionAttributeValues: map[string]types.AttributeValue{":pk": &types.AttributeValueMemberS{Value: pk}},
		}
		if prefix != "" {
			in.KeyConditionExpression = aws.String("pk = :pk AND begins_with(sk, :prefix)")
			in.ExpressionAttributeValues[":prefix"] = &types.AttributeValueMemberS{Value: prefix}
		}
		pages := dynamodb.NewQueryPaginator(t.client, in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(zero, fmt.Errorf("query %s: %w", pk, err))
				return
			}
			for _, av := range page.Items {
				var item T
				if err := attributevalue.UnmarshalMap(av, &item); err != nil {
					yield(zero, fmt.Errorf("query %s: %w", pk, err))
					return
				}
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}

func wrap(verb string, err error) error {
	if err == nil {
		return nil
	}
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		return fmt.Errorf("%s: %w", verb, ErrCondition)
	}
	var cancelled *types.TransactionCanceledException
	if errors.As(err, &cancelled) {
		for _, reason := range cancelled.CancellationReasons {
			if aws.ToString(reason.Code) == "ConditionalCheckFailed" {
				return fmt.Errorf("%s: %w", verb, ErrCondition)
			}
		}
	}
	return fmt.Errorf("%s: %w", verb, err)
}
