package sqs_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"spate/sandbox"
	"spate/sandbox/fault"
	"spate/sandbox/sqs"
)

// inBubble runs a test in virtual time against the whole sandbox, whose queues have these habits.
func inBubble(t *testing.T, habits sqs.Habits, test func(t *testing.T, c client, box *sandbox.Sandbox)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		account := sandbox.Instant()
		account.SQS = habits
		box, err := sandbox.New(sandbox.Options{InProcess: true, Seed: 1, Account: &account, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		ended := make(chan error, 1)
		go func() { ended <- box.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}()
		test(t, client{Client: awssqs.New(awssqs.Options{
			BaseEndpoint: aws.String(box.Endpoint()), Region: "us-east-1", RetryMaxAttempts: 1,
			HTTPClient:  &http.Client{Transport: box.Transport()},
			Credentials: credentials.NewStaticCredentialsProvider("sandbox", "sandbox", ""),
		})}, box)
	})
}

func TestDepthsLagBehindWhatHappened(t *testing.T) {
	inBubble(t, sqs.Habits{DepthLag: fault.Duration(30 * time.Second)}, func(t *testing.T, c client, _ *sandbox.Sandbox) {
		url := c.queue(t, "jobs", nil)
		depth := func() string { return c.attribute(t, url, types.QueueAttributeNameApproximateNumberOfMessages) }
		c.send(t, url, "a")
		time.Sleep(29 * time.Second)
		before := depth()
		time.Sleep(time.Second)
		after := depth()
		got := c.receive(t, awssqs.ReceiveMessageInput{QueueUrl: &url})
		if len(got) != 1 {
			t.Fatal("nothing received")
		}
		still := depth()
		time.Sleep(time.Minute)
		if diff := cmp.Diff([]string{"0", "1", "1", "0"}, []string{before, after, still, depth()}); diff != "" {
			t.Error(diff)
		}
	})
}

func TestDepthsCatchUpWithMessagesWhoseVisibilityTimedOut(t *testing.T) {
	inBubble(t, sqs.Habits{DepthLag: fault.Duration(30 * time.Second)}, func(t *testing.T, c client, _ *sandbox.Sandbox) {
		url := c.queue(t, "jobs", nil)
		c.send(t, url, "a")
		c.receive(t, awssqs.ReceiveMessageInput{QueueUrl: &url, VisibilityTimeout: 60})
		var got []string
		for range 2 { // nobody touches the queue in between: its worker is gone
			time.Sleep(61 * time.Second)
			got = append(got, c.attribute(t, url, types.QueueAttributeNameApproximateNumberOfMessagesNotVisible))
		}
		if diff := cmp.Diff([]string{"1", "0"}, got); diff != "" {
			t.Error(diff)
		}
		if got := c.attribute(t, url, types.QueueAttributeNameApproximateNumberOfMessages); got != "1" {
			t.Errorf("%s messages, want 1", got)
		}
	})
}

func TestDepthsThatBeginToLagAreThoseOfThen(t *testing.T) {
	inBubble(t, sqs.Habits{}, func(t *testing.T, c client, box *sandbox.Sandbox) {
		url := c.queue(t, "jobs", nil)
		c.send(t, url, "a")
		var got []string
		for _, lag := range []time.Duration{30 * time.Second, time.Minute} {
			account := box.Account()
			account.SQS.DepthLag = fault.Duration(lag)
			if err := box.SetAccount(account); err != nil {
				t.Fatal(err)
			}
			c.send(t, url, "another")
			got = append(got, c.attribute(t, url, types.QueueAttributeNameApproximateNumberOfMessages))
			time.Sleep(lag)
			got = append(got, c.attribute(t, url, types.QueueAttributeNameApproximateNumberOfMessages))
		}
		if diff := cmp.Diff([]string{"1", "2", "2", "3"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestADeliveryMayComeTwiceWhileTheFirstIsInHand(t *testing.T) {
	inBubble(t, sqs.Habits{}, func(t *testing.T, c client, box *sandbox.Sandbox) {
		url := c.queue(t, "jobs", nil)
		if _, err := box.Faults().Add(fault.Rule{Service: fault.SQS, Operation: "ReceiveMessage", Kind: fault.Duplicate, Count: 1}); err != nil {
			t.Fatal(err)
		}
		c.send(t, url, "a")
		first := c.receive(t, awssqs.ReceiveMessageInput{QueueUrl: &url, VisibilityTimeout: 60})
		second := c.receive(t, awssqs.ReceiveMessageInput{QueueUrl: &url, VisibilityTimeout: 60, WaitTimeSeconds: 2})
		third := c.receive(t, awssqs.ReceiveMessageInput{QueueUrl: &url, VisibilityTimeout: 60, WaitTimeSeconds: 2})
		if len(first) != 1 || len(second) != 1 || len(third) != 0 || *first[0].MessageId != *second[0].MessageId {
			t.Errorf("%d, %d, %d deliveries", len(first), len(second), len(third))
		}
	})
	inBubble(t, sqs.Habits{Duplicates: 0.1}, func(t *testing.T, c client, _ *sandbox.Sandbox) {
		url := c.queue(t, "jobs", nil)
		for range 200 {
			c.send(t, url, "a")
		}
		delivered := 0
		for range 300 {
			delivered += len(c.receive(t, awssqs.ReceiveMessageInput{QueueUrl: &url, VisibilityTimeout: 600, WaitTimeSeconds: 2}))
		}
		if delivered < 210 || delivered > 240 {
			t.Errorf("%d deliveries of 200 messages, a tenth of which should be repeated", delivered)
		}
	})
}

func TestTheOrderIsOnlyAtBestKept(t *testing.T) {
	order := func(shuffle int) (changed bool) {
		inBubble(t, sqs.Habits{Shuffle: shuffle}, func(t *testing.T, c client, _ *sandbox.Sandbox) {
			url := c.queue(t, "jobs", nil)
			for i := range 50 {
				c.send(t, url, fmt.Sprint(i))
			}
			for i := range 50 {
				got := c.receive(t, awssqs.ReceiveMessageInput{QueueUrl: &url, VisibilityTimeout: 600})
				if len(got) != 1 {
					t.Fatalf("%d messages", len(got))
				}
				changed = changed || *got[0].Body != fmt.Sprint(i)
			}
		})
		return changed
	}
	if order(0) || !order(10) {
		t.Error("want the order kept without the habit, and changed with it")
	}
}

func TestAShortPollMayFindNothingAndALongOneFindsIt(t *testing.T) {
	inBubble(t, sqs.Habits{EmptyReceives: 1}, func(t *testing.T, c client, _ *sandbox.Sandbox) {
		url := c.queue(t, "jobs", nil)
		c.send(t, url, "a")
		short := c.receive(t, awssqs.ReceiveMessageInput{QueueUrl: &url})
		long := c.receive(t, awssqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 1})
		if len(short) != 0 || len(long) != 1 {
			t.Errorf("%d, %d", len(short), len(long))
		}
	})
}

func TestALimitOfMessagesInFlightGivesNothingAndNoError(t *testing.T) {
	inBubble(t, sqs.Habits{InFlight: 3}, func(t *testing.T, c client, _ *sandbox.Sandbox) {
		url := c.queue(t, "jobs", nil)
		for range 5 {
			c.send(t, url, "a")
		}
		first := c.receive(t, awssqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10})
		second := c.receive(t, awssqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10, WaitTimeSeconds: 1})
		if len(first) != 3 || len(second) != 0 {
			t.Errorf("%d, %d", len(first), len(second))
		}
	})
}

func TestABatchMayFailInPart(t *testing.T) {
	inBubble(t, sqs.Habits{}, func(t *testing.T, c client, box *sandbox.Sandbox) {
		url := c.queue(t, "jobs", nil)
		for _, operation := range []string{"SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"} {
			if _, err := box.Faults().Add(fault.Rule{Service: fault.SQS, Operation: operation, Kind: fault.Partial, Share: 0.25, Count: 1}); err != nil {
				t.Fatal(err)
			}
		}
		entries := make([]types.SendMessageBatchRequestEntry, 8)
		for i := range entries {
			entries[i] = types.SendMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), MessageBody: aws.String("x")}
		}
		sent, err := c.SendMessageBatch(t.Context(), &awssqs.SendMessageBatchInput{QueueUrl: &url, Entries: entries})
		if err != nil || len(sent.Successful) != 6 || len(sent.Failed) != 2 || sent.Failed[0].SenderFault || *sent.Failed[0].Id != "6" {
			t.Fatalf("%+v, %v", sent, err)
		}
		got := c.receive(t, awssqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10})
		if len(got) != 6 {
			t.Fatalf("%d messages", len(got))
		}
		var deletes []types.DeleteMessageBatchRequestEntry
		var changes []types.ChangeMessageVisibilityBatchRequestEntry
		for i, m := range got {
			deletes = append(deletes, types.DeleteMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), ReceiptHandle: m.ReceiptHandle})
			changes = append(changes, types.ChangeMessageVisibilityBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), ReceiptHandle: m.ReceiptHandle})
		}
		deleted, err := c.DeleteMessageBatch(t.Context(), &awssqs.DeleteMessageBatchInput{QueueUrl: &url, Entries: deletes})
		if err != nil || len(deleted.Failed) != 1 {
			t.Errorf("%+v, %v", deleted, err)
		}
		changed, err := c.ChangeMessageVisibilityBatch(t.Context(), &awssqs.ChangeMessageVisibilityBatchInput{QueueUrl: &url, Entries: changes[5:]})
		if err != nil || len(changed.Failed) != 1 {
			t.Errorf("%+v, %v", changed, err)
		}
		if left := c.attribute(t, url, types.QueueAttributeNameApproximateNumberOfMessagesNotVisible); left != "1" {
			t.Errorf("%s left in flight", left)
		}
	})
}
