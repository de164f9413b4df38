package dynamodb_test

import (
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"spate/sandbox/dynamodb"
)

func TestANewTableIsActiveAndDescribesItself(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, types.ScalarAttributeTypeB, types.StreamViewTypeNewAndOldImages)
	if err := client.NewTableExistsWaiter(b.tables).Wait(t.Context(), &client.DescribeTableInput{TableName: aws.String("things")}, time.Second); err != nil {
		t.Fatal(err)
	}
	out, err := b.tables.DescribeTable(t.Context(), &client.DescribeTableInput{TableName: aws.String("things")})
	if err != nil {
		t.Fatal(err)
	}
	d := out.Table
	if *d.TableArn != "arn:aws:dynamodb:us-east-1:000000000000:table/things" || len(d.KeySchema) != 2 || d.LatestStreamArn == nil ||
		d.BillingModeSummary.BillingMode != types.BillingModePayPerRequest || d.CreationDateTime == nil {
		t.Errorf("description is %+v", d)
	}
}

func TestATableCanBeNamedByItsARN(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	_, err := b.tables.PutItem(t.Context(), &client.PutItemInput{
		TableName: aws.String("arn:aws:dynamodb:us-east-1:000000000000:table/things"), Item: item{"pk": str("a")},
	})
	if err != nil || b.get(t, item{"pk": str("a")}) == nil {
		t.Errorf("put by ARN: %v", err)
	}
}

func TestCreatingATableTwiceFails(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	_, err := b.tables.CreateTable(t.Context(), &client.CreateTableInput{
		TableName: aws.String("things"), BillingMode: types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS}},
	})
	wantCode(t, err, "ResourceInUseException", "Table already exists: things")
}

func TestImproperTablesAreRefused(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	proper := func() *client.CreateTableInput {
		return &client.CreateTableInput{
			TableName: aws.String("things"), BillingMode: types.BillingModePayPerRequest,
			KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}},
			AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS}},
		}
	}
	for name, row := range map[string]struct {
		spoil func(*client.CreateTableInput)
		text  string
	}{
		"short name":      {func(in *client.CreateTableInput) { in.TableName = aws.String("ab") }, "at least 3 characters"},
		"bad name":        {func(in *client.CreateTableInput) { in.TableName = aws.String("a b c") }, "regular expression pattern"},
		"range key first": {func(in *client.CreateTableInput) { in.KeySchema[0].KeyType = types.KeyTypeRange }, "Invalid KeySchema"},
		"undefined key":   {func(in *client.CreateTableInput) { in.KeySchema[0].AttributeName = aws.String("id") }, "not defined in AttributeDefinitions"},
		"no throughput":   {func(in *client.CreateTableInput) { in.BillingMode = types.BillingModeProvisioned }, "must both be specified"},
		"secondary indexes": {func(in *client.CreateTableInput) {
			in.GlobalSecondaryIndexes = []types.GlobalSecondaryIndex{{IndexName: aws.String("by"), KeySchema: in.KeySchema, Projection: &types.Projection{}}}
		}, "the sandbox has no secondary indexes"},
		"unused definition": {func(in *client.CreateTableInput) {
			in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: aws.String("x"), AttributeType: types.ScalarAttributeTypeS})
		}, "does not exactly match"},
		"a stream without a view": {func(in *client.CreateTableInput) {
			in.StreamSpecification = &types.StreamSpecification{StreamEnabled: aws.Bool(true)}
		}, "streamViewType"},
	} {
		t.Run(name, func(t *testing.T) {
			in := proper()
			row.spoil(in)
			_, err := b.tables.CreateTable(t.Context(), in)
			wantCode(t, err, "ValidationException", row.text)
		})
	}
}

func TestADeletedTableIsGone(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	b.put(t, item{"pk": str("a")})
	if _, err := b.tables.DeleteTable(t.Context(), &client.DeleteTableInput{TableName: aws.String("things")}); err != nil {
		t.Fatal(err)
	}
	_, err := b.tables.DescribeTable(t.Context(), &client.DescribeTableInput{TableName: aws.String("things")})
	wantCode(t, err, "ResourceNotFoundException", "Table: things not found")
	b.createTable(t, "", "")
	if b.get(t, item{"pk": str("a")}) != nil {
		t.Error("a new table of the same name has the old one's item")
	}
}

func TestListTablesGoesPageByPage(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	want := []string{"t-1", "t-2", "t-3"}
	for _, name := range want {
		if _, err := b.tables.CreateTable(t.Context(), &client.CreateTableInput{
			TableName: aws.String(name), BillingMode: types.BillingModePayPerRequest,
			KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}},
			AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	pages := client.NewListTablesPaginator(b.tables, &client.ListTablesInput{Limit: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, page.TableNames...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("tables are %v, want %v", got, want)
	}
}

func TestTimeToLiveIsDescribedAsItWasSet(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	set := func(enabled bool) error {
		_, err := b.tables.UpdateTimeToLive(t.Context(), &client.UpdateTimeToLiveInput{
			TableName:               aws.String("things"),
			TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("expires_at"), Enabled: aws.Bool(enabled)},
		})
		return err
	}
	if err := set(true); err != nil {
		t.Fatal(err)
	}
	out, err := b.tables.DescribeTimeToLive(t.Context(), &client.DescribeTimeToLiveInput{TableName: aws.String("things")})
	if err != nil {
		t.Fatal(err)
	}
	d := out.TimeToLiveDescription
	if d.TimeToLiveStatus != types.TimeToLiveStatusEnabled || aws.ToString(d.AttributeName) != "expires_at" {
		t.Errorf("description is %+v", d)
	}
	wantCode(t, set(true), "ValidationException", "TimeToLive is already enabled")
	if err := set(false); err != nil {
		t.Fatal(err)
	}
	wantCode(t, set(false), "ValidationException", "TimeToLive is already disabled")
}
