package cache

import (
	"testing"
	"testing/synctest"
	"time"

	"spate/internal/queue"
	"spate/job"
)

// receive takes what is visible on the outputs queue.
func (w *world) receive() []queue.Message {
	w.t.Helper()
	messages, err := queue.At(w.clients.SQS, w.queueURL).Receive(w.t.Context(), queue.MaxBatch, 0, updateVisibility)
	if err != nil {
		w.t.Fatal(err)
	}
	return messages
}

// overtaken has one updater look at S3, stand still before it writes, and another one handle the next change meanwhile.
// It returns how the first goes on.
func (w *world) overtaken(first, second *process, then func()) (goesOn func() error) {
	w.t.Helper()
	messages := w.receive()
	first.gate.pauseBefore("BatchWriteItem")
	ended := make(chan error, 1)
	go func() { ended <- first.Updater.Handle(w.t.Context(), time.Now(), messages) }()
	time.Sleep(30 * time.Second) // for which a controller's lease does not last
	then()
	if err := second.Updater.Handle(w.t.Context(), time.Now(), w.receive()); err != nil {
		w.t.Fatal(err)
	}
	return func() error {
		first.gate.continues()
		return <-ended
	}
}

func TestAnUpdaterThatWasOvertakenWhileItStoodStillPutsItsWriteRight(t *testing.T) {
	for name, removed := range map[string]bool{"a put after the removal": true, "a deletion after the put": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, retention)
				defer w.leave()
				k := testKey(1)
				w.publish(k)
				if !removed {
					w.remove(k)
				}
				goesOn := w.overtaken(w.join(), w.join(), func() {
					if removed {
						w.remove(k)
					} else {
						w.publish(k)
					}
				})
				if err := goesOn(); err != nil {
					t.Fatal(err)
				}
				if _, there := w.inLedger([]job.Key{k})[k]; there == removed {
					t.Errorf("the ledger has the output: %v, S3 has it: %v", there, !removed)
				}
			})
		})
	}
}

func TestAnUpdaterThatWasOvertakenAndDiesIsMadeUpForByItsMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, retention)
		defer w.leave()
		k := testKey(1)
		w.publish(k)
		first, second := w.join(), w.join()
		goesOn := w.overtaken(first, second, func() { w.remove(k) })
		first.gate.killAt(1, true)
		if err := goesOn(); err == nil {
			t.Fatal("it has not died")
		}
		if _, there := w.inLedger([]job.Key{k})[k]; !there {
			t.Fatal("it died before its write")
		}
		time.Sleep(updateVisibility)
		if err := second.Updater.Handle(t.Context(), time.Now(), w.receive()); err != nil {
			t.Fatal(err)
		}
		if _, there := w.inLedger([]job.Key{k})[k]; there {
			t.Error("the ledger has an output that S3 does not have")
		}
		if got := w.waiting(); got != "0 and 0" {
			t.Errorf("%s notifications wait", got)
		}
	})
}

func TestARetractionLeavesAnOutputThatWasMadeAnew(t *testing.T) {
	h := newHouse(t)
	k := testKey(1)
	h.put(k)
	h.objects.publish(k, start) // the producer was faster than the retraction
	if err := h.Forget(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	if !h.ledgerHas(k) {
		t.Error("an output that S3 has was forgotten")
	}
}
