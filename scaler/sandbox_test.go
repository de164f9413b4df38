package scaler_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"spate/internal/awsclient"
	"spate/internal/lease"
	"spate/internal/table"
	"spate/sandbox"
	"spate/scaler"
)

// account is a sandbox with a runs table and a task definition whose tasks run a shell script.
type account struct {
	*awsclient.Clients
	table *table.Table
}

func newAccount(t *testing.T, script string) account {
	t.Helper()
	box, err := sandbox.New(sandbox.Options{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- box.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	a := account{Clients: awsclient.FromConfig(aws.Config{
		BaseEndpoint: aws.String(box.Endpoint()), Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider("sandbox", "sandbox", ""),
	})}
	a.table = table.New(a.DynamoDB, "spate-runs")
	key := func(name string, kind dynamodbtypes.KeyType) dynamodbtypes.KeySchemaElement {
		return dynamodbtypes.KeySchemaElement{AttributeName: &name, KeyType: kind}
	}
	_, err = a.DynamoDB.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("spate-runs"), BillingMode: dynamodbtypes.BillingModePayPerRequest,
		KeySchema: []dynamodbtypes.KeySchemaElement{key("pk", dynamodbtypes.KeyTypeHash), key("sk", dynamodbtypes.KeyTypeRange)},
		AttributeDefinitions: []dynamodbtypes.AttributeDefinition{
			{AttributeName: aws.String("pk"), AttributeType: dynamodbtypes.ScalarAttributeTypeS},
			{AttributeName: aws.String("sk"), AttributeType: dynamodbtypes.ScalarAttributeTypeS},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.ECS.CreateCluster(t.Context(), &ecs.CreateClusterInput{ClusterName: aws.String("hpc")}); err != nil {
		t.Fatal(err)
	}
	_, err = a.ECS.RegisterTaskDefinition(t.Context(), &ecs.RegisterTaskDefinitionInput{
		Family: aws.String("spate-rollup"), Cpu: aws.String("256"), Memory: aws.String("512"), NetworkMode: ecstypes.NetworkModeAwsvpc,
		RequiresCompatibilities: []ecstypes.Compatibility{ecstypes.CompatibilityFargate},
		ContainerDefinitions: []ecstypes.ContainerDefinition{{
			Name: aws.String("spate"), Image: aws.String("worker@sha256:abc"), Essential: aws.Bool(true), Command: []string{"sh", "-c", script},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// term is a lease's term, as the controller hands it over.
type term struct {
	*lease.Held
	table *table.Table
}

func (t term) Guard() dynamodbtypes.TransactWriteItem { return t.Held.Guard(t.table) }

// lead calls do as the holder of the lease.
func (a account) lead(t *testing.T, holder string, do func(ctx context.Context, term term)) {
	t.Helper()
	l, err := lease.New(lease.Options{Store: lease.InTable(a.table), Name: "controller", Holder: holder, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	err = l.Run(t.Context(), func(ctx context.Context, held *lease.Held) error {
		do(ctx, term{held, a.table})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWorkersAreLaunchedThroughTheRealSDK(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	a := newAccount(t, `test "$SPATE_POOL" = rollup || exit 7`)
	a.lead(t, "one", func(ctx context.Context, term term) {
		outstanding := make(chan int, 1)
		outstanding <- 12
		wanted := 0
		s, err := scaler.New(scaler.Options{
			ECS: a.ECS, Journal: scaler.InTable(a.table, term), Term: term, Log: zerolog.New(zerolog.NewTestWriter(t)),
			Demand: func(string) scaler.Demand {
				select {
				case wanted = <-outstanding:
				default:
				}
				return scaler.Demand{Outstanding: wanted, TaskDefinition: "spate-rollup:1", At: time.Now(), Known: true}
			},
			Pools: []scaler.Pool{{
				Name: "rollup", Cluster: "hpc", Family: "spate-rollup", Subnets: []string{"subnet-a"}, Slots: 1, Max: 50,
				Capacity: []scaler.Capacity{{Provider: "FARGATE_SPOT", Max: 50}}, Environment: map[string]string{"SPATE_POOL": "rollup"},
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		launched := a.until(t, func(s scaler.Status) bool { return s.Launched >= 12 })
		outstanding <- 0
		last := a.until(t, func(s scaler.Status) bool { return s.Running+s.Pending == 0 && s.Exited == s.Launched && s.Wanted == 0 })
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if launched.Reason == "" || last.Failed != 0 || last.Vanished != 0 {
			t.Errorf("launched %+v, at the end %+v", launched, last)
		}
		intents, status, err := scaler.InTable(a.table, term).Load(t.Context(), "rollup")
		if err != nil || status.Launched != last.Launched {
			t.Errorf("journal: %+v, %v", status, err)
		}
		for _, i := range intents {
			t.Errorf("intent left %s", i.State)
		}
	})
}

// until reads the pool's status until it is so.
func (a account) until(t *testing.T, so func(scaler.Status) bool) scaler.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		statuses, err := scaler.ReadStatus(ctx, a.table)
		if err != nil {
			t.Fatal(err)
		}
		if len(statuses) == 1 && so(statuses[0]) {
			return statuses[0]
		}
		select {
		case <-ctx.Done():
			t.Fatalf("status stays %+v", statuses)
		case <-poll.C:
		}
	}
}

func TestTheJournalKeepsWhatIsOpenAndRefusesAFormerLeader(t *testing.T) {
	a := newAccount(t, "true")
	at := time.Date(2026, 11, 21, 3, 0, 0, 123, time.UTC)
	intent := func(n string, state scaler.IntentState) scaler.Intent {
		return scaler.Intent{
			ID: n, Pool: "rollup", Provider: "FARGATE", Count: 3, Request: `{"Count":3}`, State: state, CreatedAt: at, UpdatedAt: at, Calls: 2,
			Class: awsclient.ClassThrottled, Reason: "slow", Tasks: []string{"a", "b"}, Failures: []scaler.Failure{{Class: awsclient.ClassCapacity, Reason: "full"}},
		}
	}
	open, answered, unsettled := intent("1", scaler.IntentOpen), intent("2", scaler.IntentAnswered), intent("3", scaler.IntentUnsettled)
	closed, refused := intent("4", scaler.IntentClosed), intent("5", scaler.IntentRefused)
	status := scaler.Status{Pool: "rollup", Launched: 5, Limit: scaler.LimitPacing, Reason: "rollup: …", At: at}

	var former scaler.Journal
	a.lead(t, "one", func(ctx context.Context, term term) {
		former = scaler.InTable(a.table, term)
		if err := former.Write(ctx, scaler.Records{Intents: []scaler.Intent{open, answered, unsettled, closed, refused}, Statuses: []scaler.Status{status}}); err != nil {
			t.Fatal(err)
		}
		many := make([]scaler.Intent, 2*table.MaxTransaction)
		for n := range many {
			many[n] = intent(string(rune('一'+n)), scaler.IntentClosed)
		}
		if err := former.Write(ctx, scaler.Records{Intents: many}); err != nil {
			t.Fatal(err)
		}
	})
	a.lead(t, "two", func(ctx context.Context, term term) {
		if err := former.Write(ctx, scaler.Records{Intents: []scaler.Intent{closed}}); !errors.Is(err, scaler.ErrTermOver) {
			t.Errorf("the former leader wrote: %v", err)
		}
		got, gotStatus, err := scaler.InTable(a.table, term).Load(ctx, "rollup")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]scaler.Intent{open, answered, unsettled}, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(status, gotStatus); diff != "" {
			t.Error(diff)
		}
	})
}
