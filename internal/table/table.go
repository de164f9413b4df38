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
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Partition keys of the runs table, and who owns them.
const (
	RunRecords   = "RUN"     // planner: one record a run; sk is the run id
	ActiveRuns   = "ACTIVE"  // planner: an item for each run that has not ended; sk is the run id
	RunPrefix    = "RUN#"    // planner: + run id; its releases, failures and audit records
	ControlInbox = "CONTROL" // planner: requests that nobody has answered yet; sk is the request's id
	IntentPrefix = "INTENT#" // scaler: + pool; its journal
	PoolRecords  = "POOL"    // scaler: one status a pool; sk is the pool
	RateRecords  = "RATE"    // scaler: one launch rate a capacity provider; sk is the provider

	ControlRecords = "LEVER"     // scaler: what people want of a pool; sk is the pool
	LeverPrefix    = "LEVER#"    // scaler: + pool; its audit
	DecisionPrefix = "DECISION#" // scaler: + pool; its decisions
	LeaseRecords   = "LEASE"     // lease
	CacheRecords   = "CACHE"     // cache: epoch, stream checkpoints and parked messages
	TaskRecords    = "TASK"      // planner: task types that are known not to be deterministic
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

// MissingError says that there is no such table.
type MissingError struct{ Name string }

// Error says which.
func (e *MissingError) Error() string {
	return fmt.Sprintf("open table %q: it does not exist in this account and Region", e.Name)
}

// Check returns an error when the table does not exist, *MissingError, or may not be used.
func (t *Table) Check(ctx context.Context) error {
	_, err := t.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &t.name})
	if _, missing := errors.AsType[*types.ResourceNotFoundException](err); missing {
		return &MissingError{t.name}
	}
	if err != nil {
		return fmt.Errorf("open table %q: %w", t.name, err)
	}
	return nil
}

// Get reads an item into the zero struct that into points to, strongly consistent. It returns whether there was one.
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

// Put writes an item. ErrCondition: the condition did not hold, perhaps because an earlier try of this put had its effect
// although it seemed to fail.
func (t *Table) Put(ctx context.Context, item any, c Condition) error {
	op, err := t.PutOp(item, c)
	if err != nil {
		return err
	}
	err = pastConflicts(ctx, func() error {
		_, err := t.client.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: op.Put.TableName, Item: op.Put.Item, ConditionExpression: op.Put.ConditionExpression,
			ExpressionAttributeNames: op.Put.ExpressionAttributeNames, ExpressionAttributeValues: op.Put.ExpressionAttributeValues,
		})
		return err
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

// DeleteOp is a deletion as part of a transaction.
func (t *Table) DeleteOp(key Key, c Condition) (types.TransactWriteItem, error) {
	av, err := attributevalue.MarshalMap(key)
	if err != nil {
		return types.TransactWriteItem{}, fmt.Errorf("delete %s/%s: %w", key.PK, key.SK, err)
	}
	expression, values, err := c.parts()
	if err != nil {
		return types.TransactWriteItem{}, fmt.Errorf("delete %s/%s: %w", key.PK, key.SK, err)
	}
	return types.TransactWriteItem{Delete: &types.Delete{
		TableName: &t.name, Key: av, ConditionExpression: expression,
		ExpressionAttributeNames: c.Names, ExpressionAttributeValues: values,
	}}, nil
}

// CheckOp makes a transaction fail where an item is other than the condition wants it.
func (t *Table) CheckOp(key Key, c Condition) (types.TransactWriteItem, error) {
	av, err := attributevalue.MarshalMap(key)
	if err != nil {
		return types.TransactWriteItem{}, fmt.Errorf("check %s/%s: %w", key.PK, key.SK, err)
	}
	expression, values, err := c.parts()
	if err != nil {
		return types.TransactWriteItem{}, fmt.Errorf("check %s/%s: %w", key.PK, key.SK, err)
	}
	return types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
		TableName: &t.name, Key: av, ConditionExpression: expression,
		ExpressionAttributeNames: c.Names, ExpressionAttributeValues: values,
	}}, nil
}

// MaxTransaction is the most operations of one transaction (DynamoDB TransactWriteItems).
const MaxTransaction = 100

// Transact writes all or nothing. ErrCondition: a condition did not hold.
func (t *Table) Transact(ctx context.Context, ops ...types.TransactWriteItem) error {
	err := pastConflicts(ctx, func() error {
		_, err := t.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: ops})
		return err
	})
	return wrap("transact", err)
}

// Update changes single attributes of an item, creating it when there is none: every value of set, which is not empty,
// is written, of plain Go types. ErrCondition: as for Put.
func (t *Table) Update(ctx context.Context, key Key, set map[string]any, c Condition) error {
	in, err := t.update(key, set, c)
	if err != nil {
		return fmt.Errorf("update %s/%s: %w", key.PK, key.SK, err)
	}
	err = pastConflicts(ctx, func() error {
		_, err := t.client.UpdateItem(ctx, in)
		return err
	})
	return wrap("update item", err)
}

func (t *Table) update(key Key, set map[string]any, c Condition) (*dynamodb.UpdateItemInput, error) {
	av, err := attributevalue.MarshalMap(key)
	if err != nil {
		return nil, err
	}
	condition, values, err := c.parts()
	if err != nil {
		return nil, err
	}
	if values == nil {
		values = map[string]types.AttributeValue{}
	}
	names := map[string]string{}
	maps.Copy(names, c.Names)
	var assignments []string
	for n, name := range slices.Sorted(maps.Keys(set)) {
		short, value := fmt.Sprintf("#set%d", n), fmt.Sprintf(":set%d", n)
		assignments = append(assignments, short+" = "+value)
		names[short] = name
		if values[value], err = attributevalue.Marshal(set[name]); err != nil {
			return nil, err
		}
	}
	return &dynamodb.UpdateItemInput{
		TableName: &t.name, Key: av, UpdateExpression: aws.String("SET " + strings.Join(assignments, ", ")), ConditionExpression: condition,
		ExpressionAttributeNames: names, ExpressionAttributeValues: values,
	}, nil
}

// Delete removes an item; one that does not exist is no error.
func (t *Table) Delete(ctx context.Context, key Key) error {
	av, err := attributevalue.MarshalMap(key)
	if err != nil {
		return fmt.Errorf("delete %s/%s: %w", key.PK, key.SK, err)
	}
	err = pastConflicts(ctx, func() error {
		_, err := t.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &t.name, Key: av})
		return err
	})
	return wrap("delete item", err)
}

// Query yields the items of a partition whose sort key begins with a prefix, in order, strongly consistent. An error
// ends it.
func Query[T any](ctx context.Context, t *Table, pk, prefix string) iter.Seq2[T, error] {
	if prefix == "" {
		return query[T](ctx, t, pk, "pk = :pk", nil)
	}
	return query[T](ctx, t, pk, "pk = :pk AND begins_with(sk, :prefix)", map[string]string{":prefix": prefix})
}

// QueryFrom yields the items of a partition from a sort key on, as Query does.
func QueryFrom[T any](ctx context.Context, t *Table, pk, from string) iter.Seq2[T, error] {
	return query[T](ctx, t, pk, "pk = :pk AND sk >= :from", map[string]string{":from": from})
}

// QueryLast returns up to limit items of a partition whose sort key begins with a prefix, the last one first, strongly
// consistent.
func QueryLast[T any](ctx context.Context, t *Table, pk, prefix string, limit int) ([]T, error) {
	in := &dynamodb.QueryInput{
		TableName: &t.name, ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(false),
		KeyConditionExpression: aws.String("pk = :pk AND begins_with(sk, :prefix)"),
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":pk": &types.AttributeValueMemberS{Value: pk}, ":prefix": &types.AttributeValueMemberS{Value: prefix},
		},
	}
	var items []T
	for len(items) < limit {
		in.Limit = aws.Int32(int32(limit - len(items)))
		page, err := t.client.Query(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("query %s: %w", pk, err)
		}
		var some []T
		if err := attributevalue.UnmarshalListOfMaps(page.Items, &some); err != nil {
			return nil, fmt.Errorf("query %s: %w", pk, err)
		}
		items = append(items, some...)
		if len(page.LastEvaluatedKey) == 0 {
			break
		}
		in.ExclusiveStartKey = page.LastEvaluatedKey
	}
	return items, nil
}

func query[T any](ctx context.Context, t *Table, pk, condition string, values map[string]string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		in := &dynamodb.QueryInput{
			TableName: &t.name, ConsistentRead: aws.Bool(true),
			KeyConditionExpression:    &condition,
			ExpressionAttributeValues: map[string]types.AttributeValue{":pk": &types.AttributeValueMemberS{Value: pk}},
		}
		for name, value := range values {
			in.ExpressionAttributeValues[name] = &types.AttributeValueMemberS{Value: value}
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

// wrap names what failed, and turns the service's words for a condition that did not hold into ErrCondition.
func wrap(verb string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return fmt.Errorf("%s: %w", verb, ErrCondition)
	}
	if cancelled, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
		for _, reason := range cancelled.CancellationReasons {
			if aws.ToString(reason.Code) == "ConditionalCheckFailed" {
				return fmt.Errorf("%s: %w", verb, ErrCondition)
			}
		}
	}
	return fmt.Errorf("%s: %w", verb, err)
}
