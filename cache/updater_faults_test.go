package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"spate/internal/queue"
	"spate/job"
)

// desk is an updater between a queue, a bucket and a table that are all in memory.
type desk struct {
	*Updater
	t       testing.TB
	queue   *fakeQueue
	objects *fakeObjects
	table   *fakeTable
	parking *fakeParking
	life    *life
	now     time.Time
	changes int // of S3
}

// fakeParking keeps messages by their id.
type fakeParking struct {
	mu     sync.Mutex
	parked map[string]Parked
	fail   error
}

func (p *fakeParking) Park(_ context.Context, m Parked) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return p.fail
	}
	p.parked[m.ID] = m
	return nil
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	d := &desk{
		t: t, queue: newFakeQueue(), objects: newFakeObjects(), table: &fakeTable{items: map[job.Key]Output{}},
		parking: &fakeParking{parked: map[string]Parked{}}, now: start,
	}
	d.start(&life{})
	return d
}

// start is a new process, which lives as long as it is told to.
func (d *desk) start(l *life) {
	d.t.Helper()
	ledger, err := NewLedger(LedgerOptions{Client: mortalTable{d.table, l}, Table: outputsTable, Retention: retention})
	if err != nil {
		d.t.Fatal(err)
	}
	d.Updater, err = NewUpdater(UpdaterOptions{
		Queue: mortalQueue{d.queue, l}, Objects: mortalObjects{d.objects, l}, Parking: mortalParking{d.parking, l},
		Ledger: ledger, Bucket: testBucket, Retention: retention, Log: zerolog.Nop(),
	})
	if err != nil {
		d.t.Fatal(err)
	}
	d.life = l
}

// publish puts a manifest and returns S3's notification of it; remove does the opposite.
func (d *desk) publish(k job.Key) string {
	d.objects.publish(k, d.now)
	return d.changed("ObjectCreated:Put", k)
}

func (d *desk) remove(k job.Key) string {
	d.objects.remove(k)
	return d.changed("ObjectRemoved:Delete", k)
}

func (d *desk) changed(event string, k job.Key) string {
	d.changes++
	return sequenced(s3Body(event, testBucket, job.ManifestPath(k)), fmt.Sprintf("%016X", d.changes))
}

// work receives and handles all that is visible, and returns the errors.
func (d *desk) work() (errs error) {
	d.t.Helper()
	for {
		messages, err := d.Queue.Receive(d.t.Context(), queue.MaxBatch, 0, 0)
		if err != nil || len(messages) == 0 {
			return errors.Join(errs, err)
		}
		errs = errors.Join(errs, d.Handle(d.t.Context(), d.now, messages))
	}
}

// deliver hands messages over, which must go well.
func (d *desk) deliver(bodies ...string) {
	d.t.Helper()
	for _, body := range bodies {
		d.queue.send(body)
		if err := d.work(); err != nil {
			d.t.Fatal(err)
		}
	}
}

// holds checks that the ledger has the outputs that S3 has, and no other.
func (d *desk) holds(want ...job.Key) {
	d.t.Helper()
	for k := range d.table.items {
		if !slices.Contains(want, k) {
			d.t.Errorf("the ledger has %s, which S3 does not have", k.Short())
		}
	}
	for _, k := range want {
		if _, ok := d.table.items[k]; !ok {
			d.t.Errorf("the ledger lacks %s", k.Short())
		}
	}
}

// reads is how often S3 was looked at since the last call.
func (d *desk) reads() int {
	d.objects.mu.Lock()
	defer d.objects.mu.Unlock()
	n := d.objects.reads
	d.objects.reads = 0
	return n
}

func TestARepeatedNotificationNeedsNoLook(t *testing.T) {
	d := newDesk(t)
	put := d.publish(testKey(1))
	d.deliver(put, put, put)
	d.holds(testKey(1))
	if reads, s := d.reads(), d.Status(); reads != 1 || s.Stale != 2 || s.Handled != 3 || d.queue.depth() != 0 {
		t.Errorf("%d looks at S3; %+v; %d messages are left", reads, s, d.queue.depth())
	}
}

func TestANotificationThatComesDaysLateChangesNothing(t *testing.T) {
	d := newDesk(t)
	put, removal := d.publish(testKey(1)), d.remove(testKey(1))
	again := d.publish(testKey(1))
	d.deliver(again)
	d.now = d.now.Add(5 * 24 * time.Hour)
	d.deliver(removal, put)
	d.holds(testKey(1))
	if reads := d.reads(); reads != 1 {
		t.Errorf("%d looks at S3", reads)
	}
	d.start(&life{}) // who remembers nothing looks again, which comes to the same
	d.deliver(put, removal)
	d.holds(testKey(1))
	if reads := d.reads(); reads != 2 {
		t.Errorf("%d looks at S3", reads)
	}
}

func TestAPutAndADeletionToldBackwardsEndWithTheDeletion(t *testing.T) {
	d := newDesk(t)
	put, removal := d.publish(testKey(1)), d.remove(testKey(1))
	d.deliver(removal, put)
	d.holds()
	d.deliver(d.publish(testKey(1)))
	d.holds(testKey(1))
}

func TestTheNextNotificationOfAKeyMakesUpForALostOne(t *testing.T) {
	d := newDesk(t)
	d.deliver(d.publish(testKey(1)))
	d.remove(testKey(1)) // which nobody is told of
	again := d.publish(testKey(1))
	last := d.remove(testKey(1))
	d.deliver(last, again)
	d.holds()
}

func TestAnOutputThatTheLifecycleExpiredBeforeTheLedgerLeavesTheLedger(t *testing.T) {
	d := newDesk(t)
	d.deliver(d.publish(testKey(1)))
	d.now = d.now.Add(retention / 2)
	d.objects.remove(testKey(1))
	d.deliver(d.changed("LifecycleExpiration:Delete", testKey(1)))
	d.holds()
}

func TestAnOutputDeletedByHandLeavesTheLedger(t *testing.T) {
	d := newDesk(t)
	d.deliver(d.publish(testKey(1)), d.publish(testKey(2)), d.remove(testKey(1)))
	d.holds(testKey(2))
}

func TestWhatFailedIsNotRememberedAsHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		put := d.publish(testKey(1))
		for _, broken := range []func(bool){
			func(broken bool) {
				d.objects.fail = nil
				if broken {
					d.objects.fail = func(string) error { return &apiError{"InternalError"} }
				}
			},
			func(broken bool) { d.table.throttle = func() bool { return broken } },
		} {
			broken(true)
			d.queue.send(put)
			if err := d.work(); err == nil {
				t.Fatal("nothing failed")
			}
			broken(false)
		}
		d.holds()
		d.deliver(put) // again, as a duplicate
		d.holds(testKey(1))
		d.queue.surface()
		if err := d.work(); err != nil || d.queue.depth() != 0 {
			t.Errorf("%v; %d messages are left", err, d.queue.depth())
		}
		if s := d.Status(); s.Failed != 2 || s.Stale != 0 || s.Handled != 3 { // what comes again is looked at
			t.Errorf("%+v", s)
		}
	})
}

func TestAnEmptyQueueIsNoProofThatTheUpdaterIsUpToDateWhileAChangeFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		put := d.publish(testKey(1))
		d.queue.send(strings.Replace(put, "2026-11-21T09:30:00.125Z", time.Now().Add(-10*time.Minute).UTC().Format(time.RFC3339), 1))
		turns := func() {
			for range 3 {
				_, _ = d.turn(t.Context(), nil, time.Millisecond)
			}
		}
		d.objects.fail = func(string) error { return &apiError{"SlowDown"} }
		for range 5 {
			turns()
			if s := d.Status(); s.LagSeconds < 600 || s.Failed == 0 {
				t.Fatalf("with a change that is ten minutes old and fails: %+v", s)
			}
			time.Sleep(updateVisibility)
			turns() // the queue is a little late
			if s := d.Status(); s.LagSeconds < 600 {
				t.Fatalf("before the change came again: %+v", s)
			}
			d.queue.surface()
		}
		d.objects.fail = nil
		turns()
		time.Sleep(updateVisibility + queue.MaxWait)
		turns()
		if s := d.Status(); s.LagSeconds != 0 || s.Handled != 1 || d.queue.depth() != 0 {
			t.Errorf("when all is done: %+v", s)
		}
	})
}

func TestARetractedOutputStaysAwayAndOneThatIsMadeAgainIsNotMissed(t *testing.T) {
	d := newDesk(t)
	c := &Cache{Ledger: d.Ledger, Updater: d.Updater}
	k := testKey(1)
	put := d.publish(k)
	d.deliver(put)
	d.remove(k)
	if err := c.Forget(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	d.deliver(put) // late
	d.holds()

	// The planner saw it gone, it was made again and told of, and only then the planner retracts: it stays.
	again := d.publish(k)
	d.deliver(again)
	if err := c.Forget(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	d.holds(k)
	d.deliver(again)
	d.holds(k)
}

func TestNothingIsLostWhileS3AsksToSlowDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		asked := 0
		d.objects.fail = func(string) error {
			if asked++; asked%2 == 0 {
				return &apiError{"SlowDown"}
			}
			return nil
		}
		keys := testKeys(0, 200)
		for _, k := range keys {
			d.queue.send(d.publish(k))
		}
		rounds := 0
		for ; d.queue.depth() > 0; rounds++ {
			if rounds > 100 {
				t.Fatalf("%d messages are left", d.queue.depth())
			}
			_ = d.work()
			d.queue.surface()
		}
		d.holds(keys...)
		if rounds < 3 {
			t.Errorf("only %d rounds: nothing was slow", rounds)
		}
	})
}

func TestAMessageThatCannotBeHandledIsParkedTheThirdTime(t *testing.T) {
	d := newDesk(t)
	spoilt, good := testKey(1), testKey(2)
	d.deliver(d.publish(spoilt))
	d.objects.set(job.ManifestPath(spoilt), fakeObject{[]byte(`{"v":`), d.now})
	both := d.changed("ObjectCreated:Put", spoilt)
	d.queue.send("hello", both, d.publish(good))
	for n := range parkAfter {
		if len(d.parking.parked) != 0 {
			t.Fatalf("parked after %d receives: %v", n, d.parking.parked)
		}
		if err := d.work(); err != nil {
			t.Fatal(err)
		}
		d.holds(good) // what cannot be read is no output
		d.queue.surface()
	}
	if d.queue.depth() != 0 || len(d.parking.parked) != 2 || d.Status().Parked != 2 {
		t.Fatalf("%d messages are left; parked: %v", d.queue.depth(), d.parking.parked)
	}
	for _, p := range d.parking.parked {
		if p.ReceiveCount != parkAfter || p.Reason == "" || p.Body != "hello" && p.Body != both {
			t.Errorf("%+v", p)
		}
	}
	d.deliver(d.publish(spoilt)) // a manifest that can be read, at last
	d.holds(good, spoilt)
}

func TestAMessageThatCannotBeParkedStays(t *testing.T) {
	d := newDesk(t)
	d.queue.send("hello")
	d.parking.fail = &apiError{"AccessDeniedException"}
	for range parkAfter + 1 {
		_ = d.work()
		d.queue.surface()
	}
	if d.queue.depth() != 1 || d.Status().Parked != 0 {
		t.Fatal("the message is gone")
	}
	d.parking.fail = nil
	if err := d.work(); err != nil || d.queue.depth() != 0 || len(d.parking.parked) != 1 {
		t.Errorf("%v; %d messages are left, %d parked", err, d.queue.depth(), len(d.parking.parked))
	}
}

func TestAMessageWithSomethingToRepeatIsNotParked(t *testing.T) {
	d := newDesk(t)
	spoilt, waits := testKey(1), testKey(2)
	d.objects.set(job.ManifestPath(spoilt), fakeObject{[]byte(`{"v":`), d.now})
	d.objects.fail = func(key string) error {
		if key == job.ManifestPath(waits) {
			return &apiError{"SlowDown"}
		}
		return nil
	}
	d.publish(waits)
	both := `{"Records":[` + recordOf(d.changed("ObjectCreated:Put", spoilt)) + `,` + recordOf(d.changed("ObjectCreated:Put", waits)) + `]}`
	d.queue.send(both)
	for range parkAfter + 1 {
		_ = d.work()
		d.queue.surface()
	}
	if len(d.parking.parked) != 0 || d.queue.depth() != 1 {
		t.Fatal("parked, though one of its outputs has not been looked at")
	}
	d.objects.fail = nil
	if err := d.work(); err != nil || len(d.parking.parked) != 1 || d.queue.depth() != 0 {
		t.Errorf("%v; %d parked", err, len(d.parking.parked))
	}
	d.holds(waits)
}

// recordOf is the only record of a message.
func recordOf(body string) string { return body[len(`{"Records":[`) : len(body)-len(`]}`)] }

func TestReceiversComeWithABacklogAndLeaveWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.objects.took = 30 * time.Millisecond
		keys := testKeys(0, 5000)
		for _, k := range keys {
			d.queue.send(d.publish(k))
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- d.Run(ctx) }()
		began, most := time.Now(), 0
		for d.queue.depth() > 0 {
			time.Sleep(10 * time.Millisecond)
			most = max(most, d.Status().Receivers)
		}
		if took := time.Since(began); most != d.Receivers || took > 5*time.Second {
			t.Errorf("%d receivers at most; it took %s", most, took)
		}
		d.holds(keys...)
		time.Sleep(10 * time.Second)
		if s := d.Status(); s.Receivers != 1 || s.LagSeconds != 0 || s.Handled != 5000 {
			t.Errorf("when all is done: %+v", s)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestReceiversDoNotCrowdAServiceThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		asked := 0
		d.objects.fail = func(string) error { asked++; return &apiError{"SlowDown"} }
		for _, k := range testKeys(0, 1000) {
			d.queue.send(d.publish(k))
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- d.Run(ctx) }()
		time.Sleep(time.Minute)
		if s := d.Status(); s.Receivers != 1 || asked > 60*queue.MaxBatch {
			t.Errorf("%d receivers, %d reads in a minute", s.Receivers, asked)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestTheLedgerHasWhatS3HasThoughDynamoDBThrottlesThreeCallsOfTenAndLeavesItemsUnprocessed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		random := rand.New(rand.NewPCG(7, 8))
		d.table.took = 5 * time.Millisecond
		d.table.throttle = func() bool { return random.IntN(10) < 3 }
		d.table.leave = func(sent int) int { return random.IntN(sent + 1) }
		var there []job.Key
		for n, k := range testKeys(0, 3000) {
			d.queue.send(d.publish(k))
			if n%5 == 0 {
				d.queue.send(d.remove(k))
			} else {
				there = append(there, k)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- d.Run(ctx) }()
		for began := time.Now(); d.queue.depth() > 0; {
			if time.Since(began) > time.Hour {
				t.Fatalf("after an hour: %+v", d.Status())
			}
			time.Sleep(updateVisibility)
			d.queue.surface()
		}
		d.holds(there...)
		if d.table.refused < 3000 {
			t.Errorf("%d items were refused", d.table.refused)
		}
		if s := d.Status(); s.Failed == 0 {
			t.Errorf("%+v: nothing failed", s)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
