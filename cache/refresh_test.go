package cache

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"spate/internal/objects"
	"spate/job"
)

// refreshery is a refresher on the sandbox's DynamoDB and a bucket whose clock the tests set.
type refreshery struct {
	*Refresher
	t       *testing.T
	objects *fakeObjects
	faults  *faults
	night   time.Time // of the refresh
}

// newRefreshery makes one with an output of two files and a log that is four fifths through its life, and due.
func newRefreshery(t *testing.T) (*refreshery, job.Key, *job.Manifest) {
	t.Helper()
	_, clients := openDynamoDB(t)
	r := &refreshery{t: t, objects: newFakeObjects(), faults: &faults{DynamoDB: clients.DynamoDB}, night: start.Add(retention * 4 / 5)}
	r.Refresher = r.process()
	r.objects.now = r.night
	key := testKey(1)
	manifest := r.objects.publishFiles(key, "a1", start, true, 7, 11)
	r.put(key, start)
	return r, key, manifest
}

// process is another process's refresher on the same services.
func (r *refreshery) process() *Refresher {
	r.t.Helper()
	ledger, err := NewLedger(LedgerOptions{Client: r.faults, Table: outputsTable, Retention: retention})
	if err != nil {
		r.t.Fatal(err)
	}
	refresher, err := NewRefresher(RefresherOptions{
		Objects: r.objects, Ledger: ledger, Retention: retention, ObjectsPerSecond: 100_000, Log: zerolog.Nop(),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return refresher
}

func (r *refreshery) put(key job.Key, created time.Time) {
	r.t.Helper()
	o := Output{Key: key, CreatedAt: created, ExpiresAt: created.Add(retention), Bytes: 18, Run: "run"}
	if err := r.Ledger.Write(r.t.Context(), []Output{o}, nil); err != nil {
		r.t.Fatal(err)
	}
}

// item is what the ledger holds of a key; nil: nothing.
func (r *refreshery) item(key job.Key) *Output {
	r.t.Helper()
	items, err := r.Ledger.Get(r.t.Context(), start, key)
	if err != nil {
		r.t.Fatal(err)
	}
	if o, ok := items[key]; ok {
		return &o
	}
	return nil
}

// refreshes refreshes once, and checks what came of it.
func (r *refreshery) refreshes(key job.Key, want string) {
	r.t.Helper()
	got, err := r.refresh(r.t.Context(), r.night, key)
	if err != nil || got != want {
		r.t.Fatalf("refresh: %q, error %v; want %q", got, err, want)
	}
}

// renewed checks that ledger and bucket hold the output as of the night.
func (r *refreshery) renewed(key job.Key, m *job.Manifest) {
	r.t.Helper()
	paths := []string{job.ManifestPath(key), m.Object(m.Files[0]), m.Object(m.Files[1]), job.LogPath(key, m.Attempt)}
	for _, path := range paths {
		if got := r.objects.modified(path); !got.Equal(r.night) {
			r.t.Errorf("%s is of %s, want %s", path, got, r.night)
		}
	}
	want := &Output{Key: key, CreatedAt: r.night, ExpiresAt: r.night.Add(retention), Bytes: 18, Run: "run"}
	if diff := cmp.Diff(want, r.item(key)); diff != "" {
		r.t.Errorf("the ledger: %s", diff)
	}
}

// absent checks that neither the bucket has the manifest nor the ledger the item.
func (r *refreshery) absent(key job.Key) {
	r.t.Helper()
	if at := r.objects.modified(job.ManifestPath(key)); !at.IsZero() || r.item(key) != nil {
		r.t.Errorf("manifest is of %s, item %v; want neither", at, r.item(key))
	}
}

func TestFilesAreRefreshedBeforeTheirManifestAndThenTheLedger(t *testing.T) {
	r, key, m := newRefreshery(t)
	var order []string
	r.objects.before = func(verb, path string) error {
		order = append(order, verb+" "+path[strings.LastIndex(path, "/")+1:])
		return nil
	}
	r.refreshes(key, refreshDone)
	want := []string{"renew file-0", "renew file-1", "renew a1.txt", "put _manifest.json", "head _manifest.json"}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Errorf("order: %s", diff)
	}
	r.renewed(key, m)
}

func TestTheLedgerTellsNoLaterEndThanTheManifestHas(t *testing.T) {
	r, key, _ := newRefreshery(t)
	r.objects.now = r.night.Add(-time.Hour) // S3's clock, not ours
	r.refreshes(key, refreshDone)
	if got, want := r.item(key).ExpiresAt, r.objects.modified(job.ManifestPath(key)).Add(retention); !got.Equal(want) {
		t.Errorf("it expires at %s, want %s", got, want)
	}
}

func TestAnOutputThatSomebodyRefreshedIsLeftAloneAndTheLedgerFollows(t *testing.T) {
	r, key, m := newRefreshery(t)
	r.objects.publishFiles(key, m.Attempt, r.night.Add(-time.Hour), true, 7, 11)
	r.refreshes(key, refreshYoung)
	if got := r.item(key).CreatedAt; !got.Equal(r.night.Add(-time.Hour)) {
		t.Errorf("the ledger says created at %s", got)
	}
}

func TestAnItemFromBeforeALongerRetentionLivesAsLongAsItsOutput(t *testing.T) {
	r, key, _ := newRefreshery(t)
	created := r.night.Add(-retention / 4)
	r.objects.publishFiles(key, "a1", created, true, 7, 11)
	o := Output{Key: key, CreatedAt: created, ExpiresAt: created.Add(retention / 3), Bytes: 18, Run: "run"}
	if err := r.Ledger.Write(t.Context(), []Output{o}, nil); err != nil {
		t.Fatal(err)
	}
	r.refreshes(key, refreshYoung)
	if got, want := r.item(key).ExpiresAt, created.Add(retention); !got.Equal(want) {
		t.Errorf("it expires at %s, want %s", got, want)
	}
}

func TestAnExpiredOutputIsNotRefreshed(t *testing.T) {
	r, key, m := newRefreshery(t)
	r.night = start.Add(retention)
	r.refreshes(key, refreshGone)
	if !r.objects.modified(m.Object(m.Files[0])).Equal(start) || !r.objects.modified(job.ManifestPath(key)).Equal(start) {
		t.Error("something of it was touched")
	}
}

func TestAnOutputWithoutManifestLeavesTheLedger(t *testing.T) {
	r, key, _ := newRefreshery(t)
	r.objects.remove(key)
	r.refreshes(key, refreshGone)
	r.absent(key)
}

func TestARefreshNeverBringsADeletedManifestBack(t *testing.T) {
	for _, when := range []string{"renew file-0", "renew a1.txt", "put _manifest.json"} {
		t.Run(when, func(t *testing.T) {
			r, key, _ := newRefreshery(t)
			r.objects.before = func(verb, path string) error {
				if verb+" "+path[strings.LastIndex(path, "/")+1:] == when {
					r.objects.remove(key)
				}
				return nil
			}
			r.refreshes(key, refreshReplaced)
			r.absent(key)
		})
	}
}

func TestARefreshLeavesAManifestThatReplacedTheOldOne(t *testing.T) {
	r, key, _ := newRefreshery(t)
	again := r.night.Add(time.Minute)
	r.objects.before = func(verb, _ string) error {
		if verb == "put" {
			r.objects.publishFiles(key, "a2", again, false, 5)
			r.put(key, again)
		}
		return nil
	}
	r.refreshes(key, refreshReplaced)
	if at := r.objects.modified(job.ManifestPath(key)); !at.Equal(again) || !r.item(key).CreatedAt.Equal(again) {
		t.Errorf("manifest is of %s, the ledger says %s; want %s", at, r.item(key).CreatedAt, again)
	}
}

func TestARetractionAfterTheRefreshOfTheManifestWins(t *testing.T) {
	r, key, _ := newRefreshery(t)
	r.objects.after = func(verb, _ string, err error) error {
		if verb == "put" { // a worker found a file corrupt; the planner of this process forgets the output
			r.objects.remove(key)
			if err := r.Ledger.Write(t.Context(), nil, []job.Key{key}); err != nil {
				t.Error(err)
			}
		}
		return err
	}
	r.refreshes(key, refreshDone)
	r.absent(key)
}

func TestARetractionByAnotherProcessWinsOverTheLedgersRenewal(t *testing.T) {
	r, key, _ := newRefreshery(t)
	other := r.process()
	r.objects.after = func(verb, _ string, err error) error {
		if verb == "head" { // after the last look at S3, and before the write
			r.objects.remove(key)
			if err := other.Ledger.Write(t.Context(), nil, []job.Key{key}); err != nil {
				t.Error(err)
			}
		}
		return err
	}
	r.refreshes(key, refreshDone)
	r.absent(key)
}

func TestAnOlderRefreshDoesNotMakeAYoungerOutputOld(t *testing.T) {
	r, key, _ := newRefreshery(t)
	younger := r.night.Add(time.Hour)
	r.objects.after = func(verb, _ string, err error) error {
		if verb == "head" {
			r.put(key, younger)
		}
		return err
	}
	r.refreshes(key, refreshDone)
	if got := r.item(key).CreatedAt; !got.Equal(younger) {
		t.Errorf("the ledger says created at %s, want %s", got, younger)
	}
}

func TestAnOutputThatLacksAFileIsRetractedInsteadOfRefreshed(t *testing.T) {
	for name, harm := range map[string]func(o *fakeObjects, file string){
		"missing": func(o *fakeObjects, file string) { delete(o.objects, file) },
		"cut":     func(o *fakeObjects, file string) { o.set(file, fakeObject{make([]byte, 10), start}) },
		"longer":  func(o *fakeObjects, file string) { o.set(file, fakeObject{make([]byte, 12), start}) },
	} {
		t.Run(name, func(t *testing.T) {
			r, key, m := newRefreshery(t)
			harm(r.objects, m.Object(m.Files[1]))
			r.refreshes(key, refreshBroken)
			r.absent(key)
		})
	}
}

func TestABrokenOutputThatWasReplacedMeanwhileStays(t *testing.T) {
	r, key, m := newRefreshery(t)
	delete(r.objects.objects, m.Object(m.Files[1]))
	r.objects.before = func(verb, _ string) error {
		if verb == "delete" {
			r.objects.publishFiles(key, "a2", r.night, false, 5)
		}
		return nil
	}
	r.refreshes(key, refreshReplaced)
	if r.objects.modified(job.ManifestPath(key)).IsZero() || r.item(key) == nil {
		t.Error("the new output was retracted")
	}
}

func TestALogThatIsGoneDoesNotMatter(t *testing.T) {
	r, key, m := newRefreshery(t)
	delete(r.objects.objects, job.LogPath(key, m.Attempt))
	r.refreshes(key, refreshDone)
}

func TestEachPartOfALargeFileIsARequest(t *testing.T) {
	r, key, _ := newRefreshery(t)
	before := r.Status().Objects
	r.refreshes(key, refreshDone)
	whole := r.Status().Objects - before
	r, key, m := newRefreshery(t)
	largest := m.Files[0].Size
	for _, f := range m.Files {
		largest = max(largest, f.Size)
	}
	r.Copies = objects.CopyLimits{Whole: largest - 1, Part: 2}
	want := whole
	for _, f := range m.Files {
		if f.Size == largest {
			want += (largest+1)/2 + 1 // its parts, their beginning and their end, and no copy of the whole
		}
	}
	r.refreshes(key, refreshDone)
	if got := r.Status().Objects; got != want {
		t.Errorf("%d requests, want %d; %d when all is copied whole", got, want, whole)
	}
}

func TestAManifestOfANewerProgramIsLeftAlone(t *testing.T) {
	r, key, _ := newRefreshery(t)
	r.objects.set(job.ManifestPath(key), fakeObject{[]byte(`{"v": 99}`), start})
	r.refreshes(key, refreshUnread)
	if r.objects.modified(job.ManifestPath(key)).IsZero() || r.item(key) == nil {
		t.Error("it was retracted")
	}
}

// TestARefreshThatEndsAnywhereIsFinishedByTheNext stops at each request, before and after its effect.
func TestARefreshThatEndsAnywhereIsFinishedByTheNext(t *testing.T) {
	stopped := errors.New("stopped")
	for step := 1; ; step++ {
		for _, late := range []bool{false, true} {
			r, key, m := newRefreshery(t)
			n, hit := 0, false
			stop := func() error {
				if n++; n == step {
					hit = true
					return stopped
				}
				return nil
			}
			if late {
				r.objects.after = func(_, _ string, err error) error { return errors.Join(err, stop()) }
			} else {
				r.objects.before = func(string, string) error { return stop() }
			}
			result, err := r.refresh(t.Context(), r.night, key)
			if !hit {
				if step < 5 {
					t.Fatalf("only %d requests were made", step-1)
				}
				return
			}
			if !errors.Is(err, stopped) || result != refreshFailed {
				t.Fatalf("step %d: %q, error %v", step, result, err)
			}
			if item, at := r.item(key), r.objects.modified(job.ManifestPath(key)); item.ExpiresAt.After(at.Add(retention)) {
				t.Errorf("step %d: the ledger says %s, the manifest is of %s", step, item.ExpiresAt, at)
			}
			r.objects.before, r.objects.after = nil, nil
			if _, err := r.refresh(t.Context(), r.night, key); err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
			r.renewed(key, m)
		}
	}
}

func TestTwoControllersThatRefreshTheSameOutputDoNoHarm(t *testing.T) {
	r, key, m := newRefreshery(t)
	other := r.process()
	var both sync.WaitGroup
	for _, refresher := range []*Refresher{r.Refresher, other} {
		both.Go(func() {
			result, err := refresher.refresh(t.Context(), r.night, key)
			if err != nil || result != refreshDone && result != refreshYoung {
				t.Errorf("%q, error %v", result, err)
			}
		})
	}
	both.Wait()
	r.renewed(key, m)
}

func TestTheNotificationOfARefreshChangesNothing(t *testing.T) {
	h := newHouse(t)
	key := testKey(1)
	h.objects.now = time.Now().Truncate(time.Second)
	aged := h.objects.now.Add(-retention * 4 / 5)
	h.objects.publishFiles(key, "a1", aged, false, 7)
	if err := h.Ledger.Write(t.Context(), []Output{{Key: key, CreatedAt: aged, ExpiresAt: aged.Add(retention), Bytes: 7, Run: "run"}}, nil); err != nil {
		t.Fatal(err)
	}
	if result, err := h.Refresher.refresh(t.Context(), h.objects.now, key); err != nil || result != refreshDone {
		t.Fatalf("%q, error %v", result, err)
	}
	before, err := h.Ledger.Get(t.Context(), start, key)
	if err != nil {
		t.Fatal(err)
	}
	h.queue.send(createdBody(job.ManifestPath(key)))
	if err := h.update(); err != nil {
		t.Fatal(err)
	}
	after, err := h.Ledger.Get(t.Context(), start, key)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" || !after[key].CreatedAt.Equal(h.objects.now) {
		t.Errorf("the notification changed the ledger, which says %v: %s", after[key], diff)
	}
}

// run runs a refresher until the test ends.
func (r *refreshery) run() {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = r.Run(ctx)
	}()
	r.t.Cleanup(func() {
		cancel()
		<-ended
	})
	eventually(r.t, "the refresher runs", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.running
	})
}

// idle waits until nothing is left to do.
func (r *refreshery) idle() RefreshStatus {
	r.t.Helper()
	eventually(r.t, "nothing is left to refresh", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.known) == 0
	})
	return r.Status()
}

// lived publishes an output of an age, as a share of its life, counted from the wall clock.
func (r *refreshery) lived(key job.Key, share float64) {
	r.t.Helper()
	created := start.Add(-time.Duration(share * float64(retention)))
	r.objects.publishFiles(key, "a1", created, false, 3)
	r.put(key, created)
}

func TestOnlyOutputsThatAreUsedAndDueAreRefreshed(t *testing.T) {
	r, _, _ := newRefreshery(t)
	r.objects.now = start
	young, old, unused := testKey(2), testKey(3), testKey(4)
	r.lived(young, 0.45)
	r.lived(old, 0.75)
	r.lived(unused, 0.75)
	r.Offer([]job.Key{old}) // before it runs: nobody listens
	r.run()
	if s := r.idle(); s.Refreshed != 0 {
		t.Fatalf("status is %+v", s)
	}
	r.Offer([]job.Key{young, old, old, testKey(5)})
	s := r.idle()
	if s.Refreshed != 1 || s.Objects != 2 || s.LastAt.IsZero() {
		t.Errorf("status is %+v", s)
	}
	for key, want := range map[job.Key]bool{young: false, old: true, unused: false} {
		if got := r.objects.modified(job.ManifestPath(key)).Equal(start); got != want {
			t.Errorf("%s was refreshed: %v, want %v", key.Short(), got, want)
		}
	}
}

func TestWhatFailsIsTriedAgainWhenItIsUsedAgain(t *testing.T) {
	r, _, _ := newRefreshery(t)
	r.objects.now = start
	key := testKey(2)
	r.lived(key, 0.75)
	var broken sync.Once
	r.objects.before = func(string, string) (err error) {
		broken.Do(func() { err = errTimeout })
		return err
	}
	r.run()
	r.Offer([]job.Key{key})
	if s := r.idle(); s.Failed != 1 || s.Refreshed != 0 {
		t.Fatalf("status is %+v", s)
	}
	r.Offer([]job.Key{key})
	if s := r.idle(); s.Failed != 1 || s.Refreshed != 1 {
		t.Fatalf("status is %+v", s)
	}
}

func TestThoseGoFirstWhoseLifeEndsFirst(t *testing.T) {
	var q dueQueue
	for n, days := range []int{9, 3, 12, 0, 1, 7} {
		q.push(dueOutput{key: testKey(n), created: start.Add(-retention), expires: start.AddDate(0, 0, days)})
	}
	var order []job.Key
	gone := 0
	for {
		o, late, ok := q.pop(start.Add(time.Hour))
		gone += len(late)
		if !ok {
			break
		}
		order = append(order, o.key)
	}
	want := []job.Key{testKey(4), testKey(1), testKey(5), testKey(0), testKey(2)}
	if !slices.Equal(order, want) || gone != 1 {
		t.Errorf("order is %v, %d too late", order, gone)
	}
}

func TestARefresherWithoutALimitRefreshesNothing(t *testing.T) {
	r, key, _ := newRefreshery(t)
	r.ObjectsPerSecond = 0
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	r.Offer([]job.Key{key})
	if s := r.Status(); s.Offered != 0 {
		t.Errorf("status is %+v", s)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
