package watch_test

import (
	"bytes"
	"context"
	"errors"
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
	"github.com/rs/zerolog"

	"spate/internal/awsclient"
	"spate/internal/table"
	"spate/internal/watch"
	"spate/job"
	"spate/planner"
	sandbox "spate/sandbox/dynamodb"
)

// service is the sandbox's DynamoDB in this process, which can be away.
type service struct {
	handler http.Handler
	mu      sync.Mutex
	away    bool
}

func (s *service) Do(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(
			`{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"not now"}`)), Request: r}, nil
	}
	answer := httptest.NewRecorder()
	s.handler.ServeHTTP(answer, r)
	response := answer.Result()
	response.Request = r
	return response, nil
}

func (s *service) leave(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

func open(t *testing.T) (*table.Table, *service) {
	t.Helper()
	server, err := sandbox.New(sandbox.Options{Region: "us-east-1", AccountID: "000000000000", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	s := &service{handler: server}
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

func TestARunIsWatchedToItsEndThroughAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs, s := open(t)
		write := func(state job.RunState, done int) {
			t.Helper()
			r := planner.Run{Key: table.Key{PK: table.RunRecords, SK: "r1"}, ID: "r1", State: state, Progress: planner.Progress{Jobs: 10, Done: done}}
			if err := runs.Put(t.Context(), r, table.Condition{}); err != nil {
				t.Fatal(err)
			}
		}
		type result struct {
			run *planner.Run
			err error
		}
		var out bytes.Buffer
		ended := make(chan result, 1)
		go func() {
			run, err := watch.Run(t.Context(), "r1", watch.Options{Table: runs, Out: &out, Serve: "bin/spate serve"})
			ended <- result{run, err}
		}()
		time.Sleep(7 * time.Second)
		write(job.RunActive, 4)
		time.Sleep(6 * time.Second)
		s.leave(true)
		time.Sleep(4 * time.Second)
		s.leave(false)
		write(job.RunSucceeded, 10)
		last := <-ended
		if last.err != nil || last.run.State != job.RunSucceeded || last.run.Progress.Done != 10 {
			t.Errorf("the result is %+v", last)
		}
		at := 0
		for _, want := range []string{"no controller has taken the run up yet, and none has ever reported: start one with `bin/spate serve`\n", "r1  4/10", "r1  no answer since ", "r1  10/10"} {
			i := strings.Index(out.String()[at:], want)
			if i < 0 {
				t.Fatalf("no %q after %q", want, out.String())
			}
			at += i
		}
		if n := strings.Count(out.String(), "\n"); n != 4 {
			t.Errorf("%d lines: %s", n, out.String())
		}
	})
}

func TestARunThatIsGoneEndsWatching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs, _ := open(t)
		key := table.Key{PK: table.RunRecords, SK: "r1"}
		if err := runs.Put(t.Context(), planner.Run{Key: key, ID: "r1", State: job.RunActive}, table.Condition{}); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := watch.Run(t.Context(), "r1", watch.Options{Table: runs})
			ended <- err
		}()
		time.Sleep(2 * time.Second)
		if err := runs.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "run r1 is gone") {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestWatchingEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs, _ := open(t)
		ctx, cancel := context.WithTimeout(t.Context(), 3250*time.Millisecond)
		defer cancel()
		start := time.Now()
		run, err := watch.Run(ctx, "r1", watch.Options{Table: runs})
		if run != nil || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3250*time.Millisecond {
			t.Errorf("run %v, error %v, after %s", run, err, time.Since(start))
		}
	})
}
