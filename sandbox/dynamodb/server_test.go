package dynamodb_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	client "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	"go.uber.org/goleak"

	"spate/sandbox/dynamodb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a server with its clients.
type bench struct {
	server  *dynamodb.Server
	tables  *client.Client
	streams *dynamodbstreams.Client
	url     string
	http    *http.Client
}

func newBench(t testing.TB, options dynamodb.Options) *bench {
	t.Helper()
	options.Region, options.AccountID = "us-east-1", "000000000000"
	server, err := dynamodb.New(options)
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	return &bench{
		server: server,
		tables: client.New(client.Options{
			BaseEndpoint: aws.String(listener.URL), Region: "us-east-1", HTTPClient: listener.Client(),
			Credentials: credentials.NewStaticCredentialsProvider("sandbox", "sandbox", ""), Retryer: aws.NopRetryer{},
		}),
		streams: dynamodbstreams.New(dynamodbstreams.Options{
			BaseEndpoint: aws.String(listener.URL), Region: "us-east-1", HTTPClient: listener.Client(),
			Credentials: credentials.NewStaticCredentialsProvider("sandbox", "sandbox", ""), Retryer: aws.NopRetryer{},
		}),
		url: listener.URL, http: listener.Client(),
	}
}

// createTable makes a table "things" with the hash key pk, a string, and a range key sk of the given type, if any.
func (b *bench) createTable(t testing.TB, rangeType types.ScalarAttributeType, stream types.StreamViewType) {
	t.Helper()
	in := &client.CreateTableInput{
		TableName:            aws.String("things"),
		BillingMode:          types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS}},
	}
	if rangeType != "" {
		in.KeySchema = append(in.KeySchema, types.KeySchemaElement{AttributeName: aws.String("sk"), KeyType: types.KeyTypeRange})
		in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: aws.String("sk"), AttributeType: rangeType})
	}
	if stream != "" {
		in.StreamSpecification = &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: stream}
	}
	if _, err := b.tables.CreateTable(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

type item = map[string]types.AttributeValue

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func num(n string) types.AttributeValue { return &types.AttributeValueMemberN{Value: n} }

func (b *bench) put(t testing.TB, it item) {
	t.Helper()
	if _, err := b.tables.PutItem(t.Context(), &client.PutItemInput{TableName: aws.String("things"), Item: it}); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) get(t testing.TB, key item) item {
	t.Helper()
	out, err := b.tables.GetItem(t.Context(), &client.GetItemInput{TableName: aws.String("things"), Key: key, ConsistentRead: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	return out.Item
}

func (b *bench) update(t testing.TB, key item, text string, values item) (item, error) {
	t.Helper()
	out, err := b.tables.UpdateItem(t.Context(), &client.UpdateItemInput{
		TableName: aws.String("things"), Key: key, UpdateExpression: aws.String(text),
		ExpressionAttributeValues: values, ReturnValues: types.ReturnValueAllNew,
	})
	if err != nil {
		return nil, err
	}
	return out.Attributes, nil
}

// wantCode checks that err is an exception with the code, and that its message holds the text.
func wantCode(t testing.TB, err error, code, text string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) {
		t.Fatalf("error is %v, want %s", err, code)
	}
	if api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), text) {
		t.Fatalf("error is %s: %q, want %s: …%q…", api.ErrorCode(), api.ErrorMessage(), code, text)
	}
}

func TestUnknownOperationIsNamedInTheError(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	_, err := b.tables.DescribeLimits(t.Context(), &client.DescribeLimitsInput{})
	wantCode(t, err, "UnknownOperationException", "DescribeLimits")
}

// The SDK compares each response with its checksum, and complains of one that has none.
func TestResponsesCarryTheChecksumThatTheSDKExpects(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	var complaints strings.Builder
	quiet := func(o *client.Options) { o.Logger = logging.NewStandardLogger(&complaints) }
	if _, err := b.tables.ListTables(t.Context(), &client.ListTablesInput{}, quiet); err != nil {
		t.Fatal(err)
	}
	_, err := b.tables.DescribeTable(t.Context(), &client.DescribeTableInput{TableName: aws.String("missing")}, quiet)
	wantCode(t, err, "ResourceNotFoundException", "")
	if complaints.Len() > 0 {
		t.Errorf("the SDK complains: %s", complaints.String())
	}
}

func TestOptionsOutOfRangeAreRefused(t *testing.T) {
	for name, options := range map[string]dynamodb.Options{
		"no region":       {AccountID: "1"},
		"negative delay":  {Region: "r", AccountID: "1", Habits: &dynamodb.Habits{TTLDelay: -1}},
		"too many shards": {Region: "r", AccountID: "1", StreamShards: 1001},
	} {
		if _, err := dynamodb.New(options); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.server.Run(ctx); err != nil {
		t.Fatalf("Run returned %v", err)
	}
}
