package contract

import (
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	apiPutItem     = "Amazon DynamoDB API reference, PutItem"
	apiUpdateItem  = "Amazon DynamoDB API reference, UpdateItem"
	apiBatchWrite  = "Amazon DynamoDB API reference, BatchWriteItem"
	apiBatchGet    = "Amazon DynamoDB API reference, BatchGetItem"
	apiTransact    = "Amazon DynamoDB API reference, TransactWriteItems"
	apiQuery       = "Amazon DynamoDB API reference, Query"
	apiScan        = "Amazon DynamoDB API reference, Scan"
	apiCreateTable = "Amazon DynamoDB API reference, CreateTable"
	dynamoTypes    = "Amazon DynamoDB developer guide, supported data types"
	dynamoQuotas   = "Amazon DynamoDB developer guide, quotas"
	dynamoTTL      = "Amazon DynamoDB developer guide, time to live"
)

func dynamodbFacts() []Fact {
	return slices.Concat(itemFacts(), manyItemsFacts(), tableFacts())
}

type item = map[string]types.AttributeValue

// table is one table with the keys pk and sk, and its client.
type table struct {
	*probe
	client *dynamodb.Client
	name   string
	stream string // its ARN, when it has one
}

func (p *probe) dynamodb(options ...func(*dynamodb.Options)) *dynamodb.Client {
	return dynamodb.NewFromConfig(p.target.config(), options...)
}

func (p *probe) table() *table { return p.makeTable(nil) }

func (p *probe) makeTable(change func(*dynamodb.CreateTableInput)) *table {
	t := &table{probe: p, client: p.dynamodb(), name: p.name("table")}
	in := &dynamodb.CreateTableInput{
		TableName: &t.name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("sk"), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String("sk"), KeyType: types.KeyTypeRange},
		},
	}
	if change != nil {
		change(in)
	}
	must(t.client.CreateTable(p.ctx, in))
	p.eventually("the table is active", func() bool { return t.describe().TableStatus == types.TableStatusActive })
	t.stream = aws.ToString(t.describe().LatestStreamArn)
	return t
}

func (t *table) describe() *types.TableDescription {
	return must(t.client.DescribeTable(t.ctx, &dynamodb.DescribeTableInput{TableName: &t.name})).Table
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func digits(s string) types.AttributeValue { return &types.AttributeValueMemberN{Value: s} }

// at is the key of an item.
func at(pk, sk string) item { return item{"pk": text(pk), "sk": text(sk)} }

// with is the item with one more attribute.
func with(i item, name string, value types.AttributeValue) item {
	i[name] = value
	return i
}

func (t *table) put(i item) {
	must(t.client.PutItem(t.ctx, &dynamodb.PutItemInput{TableName: &t.name, Item: i}))
}

// putIf puts on a condition; the values it names are :v.
func (t *table) putIf(i item, condition string, value types.AttributeValue) error {
	in := &dynamodb.PutItemInput{
		TableName: &t.name, Item: i, ConditionExpression: &condition,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	if value != nil {
		in.ExpressionAttributeValues = item{":v": value}
	}
	_, err := t.client.PutItem(t.ctx, in)
	return err
}

// get reads one item with strong consistency; nil when there is none.
func (t *table) get(key item) item {
	return must(t.client.GetItem(t.ctx, &dynamodb.GetItemInput{TableName: &t.name, Key: key, ConsistentRead: aws.Bool(true)})).Item
}

// value is an attribute as text, whether a string or a number.
func value(i item, name string) string {
	switch v := i[name].(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberN:
		return v.Value
	}
	return ""
}

func values(items []item, name string) []string {
	var out []string
	for _, i := range items {
		out = append(out, value(i, name))
	}
	return out
}

// fill puts n items of one partition, with sort keys that count up.
func (t *table) fill(pk string, n int) []string {
	keys := numbered("row-", n)
	for some := range slices.Chunk(keys, 25) {
		var requests []types.WriteRequest
		for _, sk := range some {
			requests = append(requests, putRequest(with(at(pk, sk), "n", digits(strconv.Itoa(len(requests))))))
		}
		out := must(t.batchWrite(requests))
		require(len(out.UnprocessedItems) == 0, "%d items are unprocessed", len(out.UnprocessedItems[t.name]))
	}
	return keys
}

func putRequest(i item) types.WriteRequest {
	return types.WriteRequest{PutRequest: &types.PutRequest{Item: i}}
}

func (t *table) batchWrite(requests []types.WriteRequest) (*dynamodb.BatchWriteItemOutput, error) {
	return t.client.BatchWriteItem(t.ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{t.name: requests}})
}
