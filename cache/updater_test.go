package cache

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spate/internal/queue"
	"spate/job"
)

// update receives everything that is visible and handles it.
func (h *house) update() error {
	h.t.Helper()
	for {
		messages, err := h.queue.Receive(h.t.Context(), queue.MaxBatch, 0, 0)
		if err != nil || len(messages) == 0 {
			return err
		}
		if err := h.Updater.Handle(h.t.Context(), h.now, messages); err != nil {
			return err
		}
	}
}

func (h *house) ledgerHas(k job.Key) bool {
	h.t.Helper()
	outputs, err := h.Ledger.Get(h.t.Context(), h.now, k)
	if err != nil {
		h.t.Fatal(err)
	}
	_, ok := outputs[k]
	return ok
}

func TestAPublishedOutputIsWrittenOnceHoweverOftenItIsNotified(t *testing.T) {
	h := newHouse(t)
	k := testKey(1)
	made := start.Add(-time.Hour)
	h.objects.publish(k, made)
	for range 25 {
		h.queue.send(createdBody(job.ManifestPath(k)))
	}
	if err := h.update(); err != nil {
		t.Fatal(err)
	}
	outputs, err := h.Ledger.Get(t.Context(), h.now, k)
	if err != nil {
		t.Fatal(err)
	}
	want := Output{Key: k, CreatedAt: made, ExpiresAt: made.Add(retention), Bytes: 7, Run: "run"}
	if diff := cmp.Diff(want, outputs[k]); diff != "" {
		t.Error(diff)
	}
	if h.queue.depth() != 0 {
		t.Errorf("%d messages are left", h.queue.depth())
	}
}

func TestNotificationsOutOfOrderEndWithWhatS3Holds(t *testing.T) {
	h := newHouse(t)
	gone, back := testKey(1), testKey(2)
	h.objects.publish(back, start)
	for _, bodies := range [][]string{
		{removedBody(job.ManifestPath(gone)), createdBody(job.ManifestPath(gone))}, // put, then removed, told backwards
		{createdBody(job.ManifestPath(back)), removedBody(job.ManifestPath(back))}, // removed, then put again, told backwards
	} {
		for _, body := range bodies {
			h.queue.send(body)
			if err := h.update(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if h.ledgerHas(gone) || !h.ledgerHas(back) {
		t.Errorf("ledger has the removed one: %v, the present one: %v", h.ledgerHas(gone), h.ledgerHas(back))
	}
}

func TestARemovedOutputLeavesTheLedger(t *testing.T) {
	h := newHouse(t)
	k := testKey(1)
	h.put(k)
	h.queue.send(removedBody(job.ManifestPath(k)))
	if err := h.update(); err != nil {
		t.Fatal(err)
	}
	if h.ledgerHas(k) {
		t.Error("the ledger has an output that S3 does not have")
	}
}

func TestAnOutputOlderThanTheRetentionIsNotWritten(t *testing.T) {
	h := newHouse(t)
	k := testKey(1)
	h.objects.publish(k, start.Add(-retention))
	h.queue.send(createdBody(job.ManifestPath(k)))
	if err := h.update(); err != nil {
		t.Fatal(err)
	}
	written, err := h.Ledger.Get(t.Context(), start.Add(-2*retention), k)
	if err != nil || len(written) != 0 || h.queue.depth() != 0 {
		t.Errorf("in the ledger: %v, error %v; %d messages are left", written, err, h.queue.depth())
	}
}

func TestMessagesThatCannotBeReadStayAndDoNotHoldUpTheOthers(t *testing.T) {
	h := newHouse(t)
	good, bad := testKey(1), testKey(2)
	h.objects.publish(good, start)
	h.objects.set(job.ManifestPath(bad), fakeObject{[]byte(`{"v":1`), start})
	h.queue.send("hello", createdBody(job.ManifestPath(bad)), createdBody(job.ManifestPath(good)), createdBody("other/object"))
	if err := h.update(); err != nil {
		t.Fatal(err)
	}
	if !h.ledgerHas(good) || h.ledgerHas(bad) {
		t.Errorf("ledger has the good one: %v, the bad one: %v", h.ledgerHas(good), h.ledgerHas(bad))
	}
	if h.queue.depth() != 2 {
		t.Errorf("%d messages are left, want the two that cannot be read", h.queue.depth())
	}
}

func TestMessagesAreDeletedOnlyOnceTheLedgerHasWhatTheySay(t *testing.T) {
	h := newHouse(t)
	k := testKey(1)
	h.objects.publish(k, start)
	broken := errors.New("broken")
	h.queue.send(createdBody(job.ManifestPath(k)))

	h.objects.fail = func(string) error { return broken }
	if err := h.update(); !errors.Is(err, broken) {
		t.Fatalf("error is %v, want %v", err, broken)
	}
	h.objects.fail = nil
	h.queue.surface()
	denied := &apiError{"AccessDeniedException"}
	h.faults.set(func(f *faults) { f.write = func() error { return denied } })
	if err := h.update(); !errors.Is(err, denied) {
		t.Fatalf("error is %v, want %v", err, denied)
	}
	if h.queue.depth() != 1 {
		t.Fatal("the message was deleted before its effect")
	}
	h.faults.set(func(f *faults) { f.write = nil })
	h.queue.surface()
	if err := h.update(); err != nil {
		t.Fatal(err)
	}
	if !h.ledgerHas(k) || h.queue.depth() != 0 {
		t.Errorf("in the ledger: %v; %d messages are left", h.ledgerHas(k), h.queue.depth())
	}
}

func TestAKeyIsLockedFromTheLookAtS3UntilTheLedgerIsWritten(t *testing.T) {
	h := newHouse(t)
	k := testKey(1)
	looked, wrote := 0, 0
	free := func() bool {
		h.Ledger.locks.mu.Lock()
		defer h.Ledger.locks.mu.Unlock()
		return !h.Ledger.locks.heldAny([]job.Key{k})
	}
	h.objects.publish(k, start)
	h.objects.fail = func(string) error {
		if looked++; free() {
			t.Error("the key is free while S3 is looked at")
		}
		return nil
	}
	h.faults.set(func(f *faults) {
		f.write = func() error {
			if wrote++; free() {
				t.Error("the key is free while the ledger is written")
			}
			return nil
		}
	})
	h.queue.send(createdBody(job.ManifestPath(k)))
	if err := h.update(); err != nil {
		t.Fatal(err)
	}
	if err := h.Forget(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	if looked != 3 || wrote != 2 || !free() {
		t.Errorf("%d looks, %d writes, free afterwards: %v", looked, wrote, free())
	}
}

func TestKeyLocksExclude(t *testing.T) {
	var locks keyLocks
	keys := testKeys(0, 3)
	unlock := locks.lock(keys)
	second := make(chan struct{})
	go func() {
		locks.lock([]job.Key{keys[2], keys[2], keys[1]})()
		close(second)
	}()
	select {
	case <-second:
		t.Error("two hold one key")
	case <-time.After(20 * time.Millisecond):
	}
	unlock()
	<-second
}
