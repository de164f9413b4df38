package worker

import (
	"strings"
	"testing"
	"time"

	"spate/job"
)

func external(o *Options) { o.External = true }

func TestAJobOfAnotherProducerIsRunAndReportedLikeAnyOther(t *testing.T) {
	b := newBench(t)
	key := b.enqueue(orderOf("j", prog("write", "out/x", "X")...))
	b.work(b.worker(external))
	if _, files := b.output(key); files["x"] != "X" {
		t.Errorf("output %v", files)
	}
	if e := b.onlyEvent(); e.Type != job.EventSucceeded {
		t.Errorf("event %+v", e)
	}
	b.checkEmpty()
}

func TestAJobOfAnotherProducerThatFailsGoesBackToTheQueue(t *testing.T) {
	b := newBench(t)
	b.enqueue(orderOf("j", prog("exit", "1")...))
	began := time.Now()
	b.work(b.worker(external))
	left := b.queue.left()
	if len(left) != 1 || left[0].visibleAt.Before(began.Add(producerPauseFirst)) {
		t.Errorf("messages %+v, want the one, hidden for %s", left, producerPauseFirst)
	}
	if events := b.events.all(); len(events) != 0 {
		t.Errorf("events %+v: nobody sends another attempt for them", events)
	}
}

func TestEachFurtherFailureHidesTheMessageLonger(t *testing.T) {
	for receives, want := range map[int]time.Duration{
		0: 10 * time.Second, 1: 10 * time.Second, 2: 20 * time.Second, 5: 160 * time.Second, 8: 15 * time.Minute, 1000: 15 * time.Minute,
	} {
		if v := (verdict{outcome: failed, event: &job.Event{}}).forProducer(job.Message{}, receives); v.after != want || v.event != nil {
			t.Errorf("after %d receives: %+v, want %s", receives, v, want)
		}
	}
}

// A pool without runs launches the newest image. Were messages for another one passed on for ever, it would go on
// launching workers that leave at once.
func TestAMessageForAnImageThatNobodyRunsIsCountedInTheEnd(t *testing.T) {
	b := newBench(t)
	o := orderOf("j", prog("exit", "0")...)
	o.doc.Spec.Image = "sha256:2222"
	b.enqueue(o)
	b.queue.onDelete = nil // it wants copies that are the same to the byte
	left := 0
	for range maxPasses {
		if b.work(b.worker(external)) == ReasonOtherImage {
			left++
		}
	}
	message := b.queue.left()
	if left != maxPasses || len(message) != 1 || message[0].receives != 0 || !strings.Contains(message[0].body, `"passes":20`) {
		t.Fatalf("%d workers left, messages %+v", left, message)
	}
	if reason := b.work(b.worker(external)); reason != ReasonIdle {
		t.Errorf("the next worker left because %s: for each that leaves another is launched", reason)
	}
	if message := b.queue.left(); len(message) != 1 || message[0].receives != 1 || !message[0].visibleAt.After(time.Now()) {
		t.Errorf("messages %+v, want the one, counted and hidden", message)
	}
}
