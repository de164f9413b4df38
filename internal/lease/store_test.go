package lease_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"spate/internal/awsclient"
	"spate/internal/lease"
	"spate/internal/table"
	sandbox "spate/sandbox/dynamodb"
)

// openTable is a runs table in the sandbox's DynamoDB.
func openTable(t *testing.T) *table.Table {
	t.Helper()
	server, err := sandbox.New(sandbox.Options{Region: "us-east-1", AccountID: "000000000000", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	client := awsclient.Local(listener.URL).DynamoDB
	_, err = client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("spate-runs"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("sk"), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String("sk"), KeyType: types.KeyTypeRange},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return table.New(client, "spate-runs")
}

// The fake keeps what the table keeps.
func TestAStoreSwapsOnlyWhatItStillHolds(t *testing.T) {
	for name, s := range map[string]lease.Store{"memory": &store{memory: &memory{}}, "table": lease.InTable(openTable(t))} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			read := func() *lease.Record {
				t.Helper()
				r, err := s.Load(ctx, "controller")
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			swap := func(previous *lease.Record, next lease.Record, want error) {
				t.Helper()
				if err := s.Swap(ctx, previous, next); !errors.Is(err, want) {
					t.Errorf("error is %v, want %v", err, want)
				}
			}
			if r := read(); r != nil {
				t.Fatalf("the record is %+v before there is one", r)
			}
			first := lease.Record{Key: table.Key{PK: table.LeaseRecords, SK: "controller"}, Holder: "one", Fence: 1, Candidacy: "a"}
			swap(&first, first, table.ErrCondition)
			swap(nil, first, nil)
			swap(nil, first, table.ErrCondition)
			second := first
			second.Renewal, second.Released = 1, true
			swap(&first, second, nil)
			swap(&first, second, table.ErrCondition)
			third := second
			third.Fence, third.Renewal = 2, 0
			swap(&second, third, nil)
			swap(&second, first, table.ErrCondition)
			if diff := cmp.Diff(&third, read()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAGuardedWriteFailsOnceSomebodyElseHolds(t *testing.T) {
	runs := openTable(t)
	var held *lease.Held
	write := func() error {
		op, err := runs.PutOp(struct{ table.Key }{table.Key{PK: "POOL", SK: "rollup"}}, table.Condition{})
		if err != nil {
			t.Fatal(err)
		}
		return runs.Transact(t.Context(), op, held.Guard(runs))
	}
	lead := func(holder string) {
		t.Helper()
		err := newLease(t, lease.InTable(runs), holder).Run(t.Context(), func(_ context.Context, h *lease.Held) error {
			held = h
			return write()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	lead("one")
	if err := write(); err != nil {
		t.Errorf("nobody else holds yet, but the error is %v", err)
	}
	first := held
	lead("two")
	if err := write(); err != nil {
		t.Errorf("error is %v", err)
	}
	held = first
	if err := write(); !errors.Is(err, table.ErrCondition) {
		t.Errorf("error is %v", err)
	}
}
