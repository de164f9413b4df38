package table_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"spate/internal/awsclient"
	"spate/internal/table"
	sandbox "spate/sandbox/dynamodb"
)

// service is the sandbox's DynamoDB, answered in this process so that time may be a bubble's.
type service struct {
	handler http.Handler

	mu     sync.Mutex
	calls  map[string]int
	answer func(operation string) (status int, body string) // 0: the sandbox answers
}

func (s *service) Do(r *http.Request) (*http.Response, error) {
	operation := r.Header.Get("X-Amz-Target")[len(sandbox.TablePrefix):]
	s.mu.Lock()
	s.calls[operation]++
	status, body := 0, ""
	if s.answer != nil {
		status, body = s.answer(operation)
	}
	s.mu.Unlock()
	if status != 0 {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
	answer := httptest.NewRecorder()
	s.handler.ServeHTTP(answer, r)
	response := answer.Result()
	response.Request = r
	return response, nil
}

// failing answers the first n calls of an operation with an error.
func (s *service) failing(operation string, n int, body string) {
	s.answer = func(called string) (int, string) {
		if called != operation || n == 0 {
			return 0, ""
		}
		n--
		return http.StatusBadRequest, body
	}
}

const (
	conflict        = `{"__type":"com.amazonaws.dynamodb.v20120810#TransactionConflictException","message":"Transaction is ongoing for the item"}`
	cancelledFormat = `{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","CancellationReasons":[%s],"Message":"Transaction cancelled"}`
)

func cancelled(codes ...string) string {
	reasons := make([]string, len(codes))
	for i, code := range codes {
		reasons[i] = fmt.Sprintf(`{"Code":%q}`, code)
	}
	return fmt.Sprintf(cancelledFormat, strings.Join(reasons, ","))
}

func open(t *testing.T) (*table.Table, *service) {
	t.Helper()
	server, err := sandbox.New(sandbox.Options{Region: "us-east-1", AccountID: "000000000000", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	s := &service{handler: server, calls: map[string]int{}}
	client := awsclient.FromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String("http://dynamodb.invalid"), HTTPClient: s,
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	}).DynamoDB
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
	return table.New(client, "spate-runs"), s
}

type item struct {
	table.Key
	Name  string         `dynamodbav:"name"`
	Count int64          `dynamodbav:"count"`
	At    time.Time      `dynamodbav:"at"`
	Tags  map[string]int `dynamodbav:"tags,omitempty"`
}

func key(sk string) table.Key { return table.Key{PK: "P", SK: sk} }

func get(t *testing.T, runs *table.Table, k table.Key) *item {
	t.Helper()
	var got item
	ok, err := runs.Get(t.Context(), k, &got)
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return nil
	}
	return &got
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCondition(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, table.ErrCondition) {
		t.Errorf("%s: error is %v", what, err)
	}
}

func TestWhatIsPutIsReadAgain(t *testing.T) {
	runs, _ := open(t)
	want := item{Key: key("a"), Name: "é", Count: 1 << 60, At: time.Date(2026, 11, 21, 9, 43, 0, 123456789, time.UTC), Tags: map[string]int{"x": 1}}
	must(t, runs.Put(t.Context(), want, table.Condition{}))
	if diff := cmp.Diff(&want, get(t, runs, key("a"))); diff != "" {
		t.Error(diff)
	}
	if got := get(t, runs, key("b")); got != nil {
		t.Errorf("got %+v", got)
	}
	must(t, runs.Delete(t.Context(), key("a")))
	must(t, runs.Delete(t.Context(), key("a")))
	if got := get(t, runs, key("a")); got != nil {
		t.Errorf("got %+v", got)
	}
}

func TestATableIsChecked(t *testing.T) {
	runs, s := open(t)
	must(t, runs.Check(t.Context()))
	missing := table.New(runs.Client(), "spate-nothing")
	if err := missing.Check(t.Context()); err == nil || err.Error() != `open table "spate-nothing": it does not exist in this account and Region` {
		t.Errorf("error is %v", err)
	}
	s.failing("DescribeTable", 1, `{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"not you"}`)
	if err := runs.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "not you") {
		t.Errorf("error is %v", err)
	}
}

func TestAnItemThatCannotBeReadIsNotAMissingOne(t *testing.T) {
	runs, s := open(t)
	must(t, runs.Put(t.Context(), struct {
		table.Key
		Count string `dynamodbav:"count"`
	}{key("a"), "many"}, table.Condition{}))
	var got item
	if ok, err := runs.Get(t.Context(), key("a"), &got); ok || err == nil {
		t.Errorf("read %+v, %t, without an error", got, ok)
	}
	s.failing("GetItem", 1, `{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"not you"}`)
	if ok, err := runs.Get(t.Context(), key("a"), &got); ok || err == nil {
		t.Errorf("read %+v, %t, without an error", got, ok)
	}
}

func TestConditionsOfPuts(t *testing.T) {
	runs, _ := open(t)
	must(t, runs.Put(t.Context(), item{Key: key("a"), Count: 1}, table.Absent()))
	wantCondition(t, "put again", runs.Put(t.Context(), item{Key: key("a"), Count: 2}, table.Absent()))
	is := func(n int64) table.Condition {
		return table.Condition{Expression: "#count = :n", Names: map[string]string{"#count": "count"}, Values: map[string]any{":n": n}}
	}
	wantCondition(t, "put over another", runs.Put(t.Context(), item{Key: key("a"), Count: 3}, is(2)))
	if got := get(t, runs, key("a")); got.Count != 1 {
		t.Errorf("count is %d", got.Count)
	}
	must(t, runs.Put(t.Context(), item{Key: key("a"), Count: 4}, is(1)))
	if got := get(t, runs, key("a")); got.Count != 4 {
		t.Errorf("count is %d", got.Count)
	}
}

func TestAnUpdateChangesWhatItNamesAndNothingElse(t *testing.T) {
	runs, _ := open(t)
	must(t, runs.Put(t.Context(), item{Key: key("a"), Name: "one", Count: 1}, table.Condition{}))
	is := table.Condition{Expression: "#n = :n", Names: map[string]string{"#n": "name"}, Values: map[string]any{":n": "one"}}
	// Both names are reserved words of DynamoDB.
	must(t, runs.Update(t.Context(), key("a"), map[string]any{"name": "two", "count": int64(2)}, is))
	wantCondition(t, "update another", runs.Update(t.Context(), key("a"), map[string]any{"count": int64(3)}, is))
	if got := get(t, runs, key("a")); got.Name != "two" || got.Count != 2 {
		t.Errorf("got %+v", got)
	}
	must(t, runs.Update(t.Context(), key("b"), map[string]any{"count": int64(5)}, table.Condition{}))
	if got := get(t, runs, key("b")); got == nil || got.Count != 5 {
		t.Errorf("got %+v", got)
	}
	exists := table.Condition{Expression: "attribute_exists(pk)"}
	wantCondition(t, "update none", runs.Update(t.Context(), key("c"), map[string]any{"count": int64(5)}, exists))
	if err := runs.Update(t.Context(), key("a"), nil, table.Condition{}); err == nil {
		t.Error("an update of nothing is no error")
	}
}

func putOp(t *testing.T, runs *table.Table, it item, c table.Condition) types.TransactWriteItem {
	t.Helper()
	op, err := runs.PutOp(it, c)
	must(t, err)
	return op
}

func TestATransactionWritesAllOrNothing(t *testing.T) {
	runs, _ := open(t)
	must(t, runs.Put(t.Context(), item{Key: key("b")}, table.Condition{}))
	err := runs.Transact(t.Context(), putOp(t, runs, item{Key: key("a")}, table.Absent()), putOp(t, runs, item{Key: key("b")}, table.Absent()))
	wantCondition(t, "one is there", err)
	if got := get(t, runs, key("a")); got != nil {
		t.Errorf("got %+v", got)
	}
	ops := make([]types.TransactWriteItem, table.MaxTransaction)
	for i := range ops {
		ops[i] = putOp(t, runs, item{Key: key(fmt.Sprintf("n%03d", i))}, table.Absent())
	}
	must(t, runs.Transact(t.Context(), ops...))
	n := 0
	for _, err := range table.Query[item](t.Context(), runs, "P", "n") {
		must(t, err)
		n++
	}
	if n != table.MaxTransaction {
		t.Errorf("%d items written", n)
	}
}

func TestAWriteThatMeetsATransactionIsSentAgain(t *testing.T) {
	for operation, call := range map[string]func(ctx context.Context, runs *table.Table) error{
		"PutItem": func(ctx context.Context, runs *table.Table) error {
			return runs.Put(ctx, item{Key: key("a")}, table.Absent())
		},
		"DeleteItem": func(ctx context.Context, runs *table.Table) error { return runs.Delete(ctx, key("a")) },
		"UpdateItem": func(ctx context.Context, runs *table.Table) error {
			return runs.Update(ctx, key("a"), map[string]any{"count": 1}, table.Absent())
		},
	} {
		t.Run(operation, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				runs, s := open(t)
				s.failing(operation, 3, conflict)
				start := time.Now()
				must(t, call(t.Context(), runs))
				if s.calls[operation] != 4 {
					t.Errorf("%d calls", s.calls[operation])
				}
				if d := time.Since(start); d < 30*time.Millisecond || d > 300*time.Millisecond {
					t.Errorf("three conflicts took %s", d)
				}
			})
		})
	}
}

func TestATransactionThatMeetsOthersIsSentAgainUnlessItWouldFailAnyway(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		calls  int
		want   func(error) bool
	}{
		"conflict":               {cancelled("None", "TransactionConflict"), 4, func(err error) bool { return err == nil }},
		"throttled":              {cancelled("ThrottlingError", "TransactionConflict"), 4, func(err error) bool { return err == nil }},
		"conflict and condition": {cancelled("TransactionConflict", "ConditionalCheckFailed"), 1, func(err error) bool { return errors.Is(err, table.ErrCondition) }},
		"invalid":                {cancelled("ValidationError", "None"), 1, func(err error) bool { return err != nil && !errors.Is(err, table.ErrCondition) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				runs, s := open(t)
				s.failing("TransactWriteItems", 3, c.answer)
				err := runs.Transact(t.Context(), putOp(t, runs, item{Key: key("a")}, table.Absent()))
				if !c.want(err) || s.calls["TransactWriteItems"] != c.calls {
					t.Errorf("error is %v after %d calls", err, s.calls["TransactWriteItems"])
				}
			})
		})
	}
}

func TestConflictsWithoutEndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs, s := open(t)
		s.failing("PutItem", 1000, conflict)
		start := time.Now()
		err := runs.Put(t.Context(), item{Key: key("a")}, table.Condition{})
		if err == nil || errors.Is(err, table.ErrCondition) {
			t.Errorf("error is %v", err)
		}
		if d := time.Since(start); d < time.Second || d > 3*time.Second {
			t.Errorf("it took %s", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start = time.Now()
		if err := runs.Put(ctx, item{Key: key("a")}, table.Condition{}); err == nil || time.Since(start) != 100*time.Millisecond {
			t.Errorf("error is %v after %s", err, time.Since(start))
		}
	})
}

func TestAQueryIsOfOnePrefixInOrderAndWhole(t *testing.T) {
	runs, s := open(t)
	long := strings.Repeat("x", 300<<10) // three and a half fill a page of 1 MB
	var want []string
	for i := range 10 {
		sk := fmt.Sprintf("release#%02d", i)
		want = append(want, sk)
		must(t, runs.Put(t.Context(), item{Key: key(sk), Name: long}, table.Condition{}))
	}
	must(t, runs.Put(t.Context(), item{Key: key("failure#1")}, table.Condition{}))
	must(t, runs.Put(t.Context(), item{Key: table.Key{PK: "Q", SK: "release#00"}}, table.Condition{}))
	list := func(prefix string) (sks []string) {
		t.Helper()
		for it, err := range table.Query[item](t.Context(), runs, "P", prefix) {
			must(t, err)
			sks = append(sks, it.SK)
		}
		return sks
	}
	if diff := cmp.Diff(want, list("release#")); diff != "" {
		t.Error(diff)
	}
	if s.calls["Query"] < 3 {
		t.Errorf("%d pages: nothing was paged", s.calls["Query"])
	}
	if diff := cmp.Diff(append([]string{"failure#1"}, want...), list("")); diff != "" {
		t.Error(diff)
	}
	if got := list("nothing"); got != nil {
		t.Errorf("got %v", got)
	}
}

func TestTheLastItemsOfAPrefixComeTheLastFirst(t *testing.T) {
	runs, s := open(t)
	long := strings.Repeat("x", 300<<10) // three and a half fill a page of 1 MB
	for i := range 10 {
		must(t, runs.Put(t.Context(), item{Key: key(fmt.Sprintf("release#%02d", i)), Name: long}, table.Condition{}))
	}
	must(t, runs.Put(t.Context(), item{Key: key("zeal")}, table.Condition{}))
	for limit, want := range map[int][]string{
		0: nil, 1: {"release#09"}, 5: {"release#09", "release#08", "release#07", "release#06", "release#05"},
	} {
		items, err := table.QueryLast[item](t.Context(), runs, "P", "release#", limit)
		must(t, err)
		var sks []string
		for _, it := range items {
			sks = append(sks, it.SK)
		}
		if diff := cmp.Diff(want, sks); diff != "" {
			t.Error(diff)
		}
	}
	items, err := table.QueryLast[item](t.Context(), runs, "P", "release#", 100)
	if err != nil || len(items) != 10 {
		t.Errorf("%d items, error %v", len(items), err)
	}
	s.failing("Query", 1, `{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"not you"}`)
	if _, err := table.QueryLast[item](t.Context(), runs, "P", "release#", 1); err == nil {
		t.Error("no error")
	}
}

func TestAnErrorEndsAQuery(t *testing.T) {
	runs, s := open(t)
	must(t, runs.Put(t.Context(), struct {
		table.Key
		Count string `dynamodbav:"count"`
	}{key("a"), "many"}, table.Condition{}))
	must(t, runs.Put(t.Context(), item{Key: key("b")}, table.Condition{}))
	errs := func() (n int, last error) {
		for _, err := range table.Query[item](t.Context(), runs, "P", "") {
			n, last = n+1, err
		}
		return n, last
	}
	if n, err := errs(); n != 1 || err == nil {
		t.Errorf("%d results, the last with error %v: an unreadable item ends the query", n, err)
	}
	s.failing("Query", 1, `{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"not you"}`)
	if n, err := errs(); n != 1 || err == nil {
		t.Errorf("%d results, the last with error %v", n, err)
	}
}
