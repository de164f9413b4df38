package contract

import (
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func tableFacts() []Fact {
	return []Fact{
		{Name: "unknown-table", Sentence: "A table that there is not is a ResourceNotFoundException", Source: "Amazon DynamoDB developer guide, error handling", check: unknownTable},
		{Name: "table-twice", Sentence: "Creating a table again is a ResourceInUseException", Source: apiCreateTable, check: tableTwice},
		{Name: "table-described", Sentence: "A table is described with its ARN, keys and way of billing", Source: "Amazon DynamoDB API reference, DescribeTable", check: tableDescribed},
		{Name: "tables-listed", Sentence: "Pages of ListTables give each table once", Source: "Amazon DynamoDB API reference, ListTables", check: tablesListed},
		{Name: "table-deleted", Sentence: "A deleted table is gone, after a while", Source: "Amazon DynamoDB API reference, DeleteTable", check: tableDeleted},
		{Name: "key-attributes-defined", Sentence: "A table whose key is not among its attributes is refused", Source: apiCreateTable, check: keyAttributesDefined},
		{Name: "ttl-described", Sentence: "Time to live is described as it was switched on", Source: "Amazon DynamoDB API reference, UpdateTimeToLive", check: ttlDescribed},
		{Name: "ttl-deletes", Sentence: "An item past its time to live is deleted, in time", Source: dynamoTTL, check: ttlDeletes},
		{Name: "ttl-in-seconds", Sentence: "An expiry that is no number of seconds keeps the item", Source: dynamoTTL, check: ttlInSeconds},
		{Name: "unknown-operation", Sentence: "An unknown operation is an UnknownOperationException", Source: "AWS JSON 1.0 protocol (Smithy)", check: unknownDynamoDBOperation},
		{Name: "unsigned", Sentence: "A request without a signature is answered on loopback", Source: ownDocs, check: unsignedDynamoDB},
	}
}

func large() types.AttributeValue { return text(strings.Repeat("x", 350_000)) }

func unknownTable(p *probe) {
	t := &table{probe: p, client: p.dynamodb(), name: p.name("none")}
	refused(t.tryPut(at("a", "b")), codes("ResourceNotFoundException"))
	_, err := t.client.DescribeTable(p.ctx, &dynamodb.DescribeTableInput{TableName: &t.name})
	refused(err, codes("ResourceNotFoundException"))
}

func (t *table) create(attribute string) error {
	_, err := t.client.CreateTable(t.ctx, &dynamodb.CreateTableInput{
		TableName: &t.name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: &attribute, AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}},
	})
	return err
}

func tableTwice(p *probe) { refused(p.table().create("pk"), codes("ResourceInUseException")) }

func keyAttributesDefined(p *probe) {
	t := &table{probe: p, client: p.dynamodb(), name: p.name("table")}
	refused(t.create("other"), badRequest())
}

func tableDescribed(p *probe) {
	t := p.table()
	d := t.describe()
	require(strings.HasSuffix(aws.ToString(d.TableArn), ":table/"+t.name), "ARN %s", aws.ToString(d.TableArn))
	require(len(d.KeySchema) == 2 && aws.ToString(d.KeySchema[0].AttributeName) == "pk" && d.KeySchema[1].KeyType == types.KeyTypeRange, "keys %v", d.KeySchema)
	require(d.BillingModeSummary != nil && d.BillingModeSummary.BillingMode == types.BillingModePayPerRequest, "billing %v", d.BillingModeSummary)
}

func tablesListed(p *probe) {
	made := map[string]int{p.table().name: 0, p.table().name: 0, p.table().name: 0}
	for pages := dynamodb.NewListTablesPaginator(p.dynamodb(), &dynamodb.ListTablesInput{Limit: aws.Int32(2)}); pages.HasMorePages(); {
		for _, name := range must(pages.NextPage(p.ctx)).TableNames {
			if _, mine := made[name]; mine {
				made[name]++
			}
		}
	}
	for name, times := range made {
		require(times == 1, "%s is listed %d times", name, times)
	}
}

func tableDeleted(p *probe) {
	t := p.table()
	must(t.client.DeleteTable(p.ctx, &dynamodb.DeleteTableInput{TableName: &t.name}))
	p.eventually("the table is gone", func() bool { return t.tryPut(at("a", "b")) != nil })
	p.eventually("the table is not described", func() bool {
		_, err := t.client.DescribeTable(p.ctx, &dynamodb.DescribeTableInput{TableName: &t.name})
		return err != nil
	})
}

func (t *table) expires() {
	must(t.client.UpdateTimeToLive(t.ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName:               &t.name,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("expires_at"), Enabled: aws.Bool(true)},
	}))
}

func ttlDescribed(p *probe) {
	t := p.table()
	t.expires()
	d := must(t.client.DescribeTimeToLive(p.ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &t.name})).TimeToLiveDescription
	require(aws.ToString(d.AttributeName) == "expires_at" && (d.TimeToLiveStatus == types.TimeToLiveStatusEnabled || d.TimeToLiveStatus == types.TimeToLiveStatusEnabling),
		"%s of %s", d.TimeToLiveStatus, aws.ToString(d.AttributeName))
}

// inSeconds is an expiry.
func inSeconds(d time.Duration) types.AttributeValue {
	return digits(strconv.FormatInt(time.Now().Add(d).Unix(), 10))
}

func ttlDeletes(p *probe) {
	t := p.table()
	t.expires()
	t.put(with(at("a", "past"), "expires_at", inSeconds(-time.Minute)))
	t.put(with(at("a", "future"), "expires_at", inSeconds(time.Hour)))
	p.eventually("the expired item is deleted", func() bool { return t.get(at("a", "past")) == nil })
	require(t.get(at("a", "future")) != nil, "the other item is deleted too")
}

func ttlInSeconds(p *probe) {
	t := p.table()
	t.expires()
	t.put(with(at("a", "text"), "expires_at", text(strconv.FormatInt(time.Now().Add(-time.Minute).Unix(), 10))))
	t.put(with(at("a", "past"), "expires_at", inSeconds(-time.Minute)))
	p.eventually("the expired item is deleted", func() bool { return t.get(at("a", "past")) == nil })
	require(t.get(at("a", "text")) != nil, "the item with a text is deleted too")
}

func unknownDynamoDBOperation(p *probe) {
	_, err := p.dynamodb(dynamodb.WithAPIOptions(unknownOperation)).ListTables(p.ctx, &dynamodb.ListTablesInput{})
	refused(err, codes("UnknownOperationException"))
}

func unsignedDynamoDB(p *probe) {
	must(p.dynamodb(func(o *dynamodb.Options) { o.Credentials = aws.AnonymousCredentials{} }).ListTables(p.ctx, &dynamodb.ListTablesInput{}))
}
