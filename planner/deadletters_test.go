package planner

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"spate/internal/queue"
	"spate/job"
)

// withDeadLetters gives the pool's queue a redrive policy and starts a planner that reads what it gives up.
func (w *world) withDeadLetters() {
	w.t.Helper()
	ctx := w.t.Context()
	dead, err := w.clients.SQS.CreateQueue(ctx, &awssqs.CreateQueueInput{QueueName: aws.String("rollup-dlq")})
	if err != nil {
		w.t.Fatal(err)
	}
	url := w.queue(testPool).URL()
	_, err = w.clients.SQS.SetQueueAttributes(ctx, &awssqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: map[string]string{
		"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:rollup-dlq","maxReceiveCount":"3"}`,
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	o := w.options(1, nil)
	o.Pools[0].DeadLetters = queue.At(w.clients.SQS, *dead.QueueUrl)
	w.background(w.worker.run)
	w.startPlanner(o)
}

func TestAJobThatKillsItsWorkersEndsAndBlocksOnlyWhatNeedsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		killed := 0
		w.worker.on("killer", func(job.Message) *job.Event {
			killed++
			return &job.Event{} // the worker is gone
		})
		w.withDeadLetters()
		w.submit("run", "killer:\nother:\nafter: killer")
		r := w.await("run")
		if r.State != job.RunFailed {
			t.Fatalf("the run has %s: %s", r.State, r.Reason)
		}
		if want := 3 * w.task.MaxAttempts; killed != want {
			t.Errorf("it killed %d workers, want %d: 3 receives of each attempt", killed, want)
		}
		results := w.results("run")
		if results["other"].State != "done" || results["killer"].State != "failed" || results["after"].State != "blocked" {
			t.Errorf("results: %+v", results)
		}
		failures := w.failures("run")
		if len(failures) != w.task.MaxAttempts || failures[0].Cause != givenUp {
			t.Errorf("failures: %+v", failures)
		}
		time.Sleep(time.Second) // what it learnt is recorded before the message is deleted
		w.wantDepth("rollup-dlq", 0)
	})
}

func TestADeadLetterWhoseOutputExistsIsASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.worker.on("quiet", func(m job.Message) *job.Event {
			if err := w.worker.publish(t.Context(), m); err != nil {
				t.Error(err)
			}
			return &job.Event{} // the worker dies before it says so, each time
		})
		w.withDeadLetters()
		w.submit("run", "quiet:")
		if r := w.await("run"); r.State != job.RunSucceeded || len(w.failures("run")) != 0 {
			t.Errorf("the run has %s: %s", r.State, r.Reason)
		}
	})
}

func TestARunIsNotRecordedByAPlannerThatNoLongerLeads(t *testing.T) {
	w := newWorld(t)
	replaced := store{w.runs, 1, func() dynamodbtypes.TransactWriteItem {
		return dynamodbtypes.TransactWriteItem{ConditionCheck: &dynamodbtypes.ConditionCheck{
			TableName: aws.String("runs"), ConditionExpression: aws.String("attribute_exists(pk)"),
			Key: map[string]dynamodbtypes.AttributeValue{
				"pk": &dynamodbtypes.AttributeValueMemberS{Value: "LEASE"}, "sk": &dynamodbtypes.AttributeValueMemberS{Value: "gone"},
			},
		}}
	}}
	if _, err := replaced.create(t.Context(), &Run{ID: "run"}); !errors.Is(err, errFenced) {
		t.Errorf("error %v, want %v", err, errFenced)
	}
	if r, err := ReadRun(t.Context(), w.runs, "run"); r != nil || err != nil {
		t.Errorf("recorded %+v, %v", r, err)
	}
}
