package sqs

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

func testQueue(now time.Time) *queue {
	return newQueue("jobs", "arn", now, defaultSettings(), &chance{random: rand.New(rand.NewPCG(1, 0))})
}

func TestAHiddenMessageIsVisibleAgainWhenItsTimeIsUp(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	q := testQueue(start)
	q.add(start, &message{id: "m", sent: start}, 5*time.Second)
	if got := q.take(start.Add(4*time.Second), 10, time.Minute, false); len(got) != 0 {
		t.Fatalf("took %d before the delay was over", len(got))
	}
	if got := q.take(start.Add(5*time.Second), 10, time.Minute, false); len(got) != 1 {
		t.Fatalf("took %d after the delay", len(got))
	}
	if got := q.take(start.Add(64*time.Second), 10, time.Minute, false); len(got) != 0 {
		t.Fatalf("took %d in flight", len(got))
	}
	again := q.take(start.Add(65*time.Second), 10, time.Minute, false)
	if len(again) != 1 || again[0].message.receives != 2 {
		t.Fatalf("took %+v after the visibility timeout", again)
	}
}

func TestAMessageOlderThanTheRetentionIsGone(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	q := testQueue(start)
	q.add(start, &message{id: "m", sent: start}, 0)
	if got := q.take(start.Add(defaultRetention), 10, time.Minute, false); len(got) != 0 {
		t.Fatalf("took %d", len(got))
	}
	if len(q.messages) != 0 || q.counts[visible] != 0 {
		t.Errorf("the queue still has %d messages, %d of them visible", len(q.messages), q.counts[visible])
	}
}

func TestAFullFlightGivesNothing(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	q := testQueue(start)
	q.chance.InFlight = 2
	for i := range 3 {
		q.add(start, &message{id: fmt.Sprint(i), sent: start}, 0)
	}
	first := q.take(start, 10, time.Minute, false)
	if len(first) != 2 || len(q.take(start, 10, time.Minute, false)) != 0 {
		t.Fatalf("took %d at first", len(first))
	}
	q.remove(first[0].message.id, 1)
	if got := q.take(start, 10, time.Minute, false); len(got) != 1 {
		t.Errorf("took %d after a delete", len(got))
	}
}

func TestADefaultQueueHasAHundredAndTwentyThousandInFlight(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	q := testQueue(start)
	for i := range 120_001 {
		q.add(start, &message{id: fmt.Sprint(i), sent: start}, 0)
	}
	if got := q.take(start, 200_000, time.Minute, false); len(got) != 120_000 {
		t.Errorf("took %d", len(got))
	}
}

func TestVisibilityEndsTwelveHoursAfterTheReceive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Region: "us-east-1", AccountID: "1", Log: zerolog.Nop()})
		if _, err := s.createQueue(t.Context(), createQueueInput{QueueName: "jobs"}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.sendMessage(t.Context(), sendInput{QueueURL: "jobs", outgoing: outgoing{MessageBody: "x"}}); err != nil {
			t.Fatal(err)
		}
		receive := func(visibility int) (receiveOutput, error) {
			return s.receiveMessage(t.Context(), receiveInput{QueueURL: "jobs", VisibilityTimeout: &visibility})
		}
		if _, err := receive(12*60*60 + 1); err == nil {
			t.Error("received for more than 12 hours")
		}
		got, err := receive(12 * 60 * 60)
		if err != nil || len(got.Messages) != 1 {
			t.Fatalf("%+v, %v", got, err)
		}
		extend := func(seconds int) error {
			_, err := s.changeMessageVisibility(t.Context(), visibilityInput{
				QueueURL: "jobs", ReceiptHandle: got.Messages[0].ReceiptHandle, VisibilityTimeout: &seconds,
			})
			return err
		}
		time.Sleep(11*time.Hour + 55*time.Minute)
		if err := extend(5 * 60); err != nil {
			t.Errorf("to 12 hours: %v", err)
		}
		if err := extend(5*60 + 1); err == nil {
			t.Error("beyond 12 hours: no error")
		}
	})
}

func TestALongPollIsOfTwentySecondsAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Region: "us-east-1", AccountID: "1", Log: zerolog.Nop()})
		if _, err := s.createQueue(t.Context(), createQueueInput{QueueName: "jobs"}); err != nil {
			t.Fatal(err)
		}
		for wait, isServed := range map[int]bool{20: true, 21: false, -1: false} {
			if _, err := s.receiveMessage(t.Context(), receiveInput{QueueURL: "jobs", WaitTimeSeconds: &wait}); (err == nil) != isServed {
				t.Errorf("%d seconds: %v", wait, err)
			}
		}
	})
}

func TestAZeroVisibilityGivesEachMessageOnceACall(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	q := testQueue(start)
	for i := range 3 {
		q.add(start, &message{id: fmt.Sprint(i), sent: start}, 0)
	}
	if got := q.take(start, 10, 0, false); len(got) != 3 {
		t.Errorf("took %d", len(got))
	}
	if q.counts[visible] != 3 || q.counts[inFlight] != 0 {
		t.Errorf("counts %v", q.counts)
	}
}

func TestALongPollEndsAfterItsTimeAndServesReturningMessagesBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Region: "us-east-1", AccountID: "1", Log: zerolog.Nop()})
		if _, err := s.createQueue(t.Context(), createQueueInput{QueueName: "jobs"}); err != nil {
			t.Fatal(err)
		}
		receive := func(wait int) []received {
			out, err := s.receiveMessage(t.Context(), receiveInput{QueueURL: "jobs", WaitTimeSeconds: &wait})
			if err != nil {
				t.Fatal(err)
			}
			return out.Messages
		}
		start := time.Now()
		if got := receive(20); len(got) != 0 || time.Since(start) != 20*time.Second {
			t.Fatalf("got %d messages after %v", len(got), time.Since(start))
		}
		if _, err := s.sendMessage(t.Context(), sendInput{QueueURL: "jobs", outgoing: outgoing{MessageBody: "x"}}); err != nil {
			t.Fatal(err)
		}
		if got := receive(0); len(got) != 1 {
			t.Fatalf("got %d messages", len(got))
		}
		start = time.Now()
		receive(20)
		if got := receive(20); len(got) != 1 || time.Since(start) != defaultVisibility {
			t.Errorf("got %d messages again after %v", len(got), time.Since(start))
		}
	})
}

func TestThousandsOfLongPollsShareWhatComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pollers = 3000
		s := New(Options{Region: "us-east-1", AccountID: "1", Log: zerolog.Nop()})
		if _, err := s.createQueue(t.Context(), createQueueInput{QueueName: "jobs"}); err != nil {
			t.Fatal(err)
		}
		wait, got := 20, make(chan int, pollers)
		for range pollers {
			go func() {
				out, err := s.receiveMessage(t.Context(), receiveInput{QueueURL: "jobs", WaitTimeSeconds: &wait})
				if err != nil {
					t.Error(err)
				}
				got <- len(out.Messages)
			}()
		}
		synctest.Wait()
		for i := range pollers / 2 {
			if _, err := s.sendMessage(t.Context(), sendInput{QueueURL: "jobs", outgoing: outgoing{MessageBody: fmt.Sprint("m", i)}}); err != nil {
				t.Fatal(err)
			}
		}
		total := 0
		for range pollers {
			total += <-got
		}
		if total != pollers/2 {
			t.Errorf("%d messages received, want %d", total, pollers/2)
		}
	})
}
