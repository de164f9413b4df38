package cache

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"spate/internal/objects"
	"spate/internal/table"
	"spate/job"
)

func (h *house) relist(l *listing, change func(*LedgerRebuildOptions)) (LedgerRebuild, error) {
	h.t.Helper()
	o := LedgerRebuildOptions{
		Objects: l, Ledger: h.Ledger, Cursors: NewTableRecords(table.New(h.clients.DynamoDB, runsTable)), Retention: retention, PagesPerSecond: 1_000_000, Log: zerolog.Nop(),
	}
	if change != nil {
		change(&o)
	}
	return RebuildLedger(h.t.Context(), o, nil)
}

// prefixed are the first n test keys that begin with the same two digits as the first of all.
func prefixed(n int) []job.Key {
	var keys []job.Key
	for i := 0; len(keys) < n; i++ {
		if k := testKey(i); k[0] == testKey(0)[0] {
			keys = append(keys, k)
		}
	}
	return keys
}

func TestALostLedgerIsRebuiltFromTheBucket(t *testing.T) {
	h := newHouse(t)
	l := newListing(h.objects)
	now := time.Now().Truncate(time.Second)
	for _, k := range testKeys(0, 100) {
		h.objects.publish(k, now.Add(-time.Hour))
		h.objects.set(job.AttemptPrefix(k, "a")+"out", fakeObject{make([]byte, 7), now})
	}
	for _, k := range testKeys(100, 110) {
		h.objects.publish(k, now.Add(-retention-time.Hour))
	}
	h.objects.set(job.ManifestPath(testKey(200)), fakeObject{[]byte("{"), now})
	h.put(testKeys(0, 30)...) // younger than the manifests: to be left alone
	old := make([]Output, 0, 10)
	for _, k := range testKeys(30, 40) { // the refresh of these has not reached the ledger
		old = append(old, Output{Key: k, CreatedAt: now.Add(-48 * time.Hour), ExpiresAt: now.Add(retention - 48*time.Hour), Bytes: 7, Run: "older"})
	}
	if err := h.Ledger.Write(t.Context(), old, nil); err != nil {
		t.Fatal(err)
	}

	got, err := h.relist(l, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Prefixes != 256 || got.Done != 256 || got.Objects != 211 || got.Outputs != 101 || got.Written != 70 || got.Gone != 0 || got.Unread != 1 {
		t.Errorf("result is %+v", got)
	}
	if !slices.Equal(got.UnreadKeys, []job.Key{testKey(200)}) {
		t.Errorf("unreadable are %v", got.UnreadKeys)
	}
	have, err := h.Ledger.Get(t.Context(), now, testKeys(0, 201)...)
	if err != nil {
		t.Fatal(err)
	}
	if len(have) != 100 {
		t.Errorf("the ledger has %d outputs, want 100", len(have))
	}
	want := Output{Key: testKey(35), CreatedAt: now.Add(-time.Hour), ExpiresAt: now.Add(retention - time.Hour), Bytes: 7, Run: "run"}
	if o := have[testKey(35)]; !o.CreatedAt.Equal(want.CreatedAt) || !o.ExpiresAt.Equal(want.ExpiresAt) || o.Bytes != 7 || o.Run != "run" {
		t.Errorf("the ledger has %+v, want %+v", o, want)
	}

	got, err = h.relist(l, nil)
	if err != nil || got.Resumed || got.Written != 0 || got.Objects != 211 {
		t.Errorf("the second time: %+v, error %v; want everything listed and nothing written", got, err)
	}
}

func TestARebuildFromTheBucketGoesOnWhereItStopped(t *testing.T) {
	h := newHouse(t)
	l := newListing(h.objects)
	keys := append(testKeys(0, 50), prefixed(25)...)
	for _, k := range keys {
		h.objects.publish(k, time.Now())
	}
	long := job.OutputsBelow(testKey(0).String()[:2])
	var mu sync.Mutex
	lists := map[string]int{}
	l.pages = func(prefix string) error {
		mu.Lock()
		defer mu.Unlock()
		if lists[prefix]++; prefix == long && lists[prefix] == 3 {
			return errors.New("connection reset")
		}
		return nil
	}
	first, err := h.relist(l, func(o *LedgerRebuildOptions) { o.Parallel = 1 })
	if err == nil || first.Done == 256 {
		t.Fatalf("result is %+v, error %v; want an interrupted one", first, err)
	}
	before := maps.Clone(lists)
	second, err := h.relist(l, nil)
	if err != nil || !second.Resumed || second.Done != 256 || !second.Began.Equal(first.Began) {
		t.Fatalf("result is %+v, error %v", second, err)
	}
	again := 0
	for p, n := range lists {
		if p != long && before[p] > 0 && n > before[p] {
			again++
		}
	}
	if again > 0 {
		t.Errorf("%d prefixes were listed twice", again)
	}
	have, err := h.Ledger.Get(t.Context(), time.Now(), keys...)
	if err != nil || len(have) != len(distinct(keys)) {
		t.Errorf("the ledger has %d of %d outputs, error %v", len(have), len(distinct(keys)), err)
	}
	if third, err := h.relist(l, func(o *LedgerRebuildOptions) { o.Fresh = true }); err != nil || third.Resumed {
		t.Errorf("result is %+v, error %v", third, err)
	}
}

func TestARebuildFromTheBucketGoesOnInTheMiddleOfAPrefix(t *testing.T) {
	h := newHouse(t)
	l := newListing(h.objects)
	keys := prefixed(30)
	for _, k := range keys {
		h.objects.publish(k, time.Now())
	}
	digits := testKey(0).String()[:2]
	middle := l.page(job.OutputsBelow(digits), "")[9].Key
	cursor := Cursor{Prefix: digits, Began: time.Now().UTC().Add(-cursorsLast - time.Hour), After: middle}
	for _, want := range []LedgerRebuild{{Objects: 30, Written: 30}, {Objects: 20, Resumed: true}} { // too old, and then not
		if err := NewTableRecords(table.New(h.clients.DynamoDB, runsTable)).SaveCursor(t.Context(), cursor); err != nil {
			t.Fatal(err)
		}
		got, err := h.relist(l, nil)
		if err != nil || got.Objects != want.Objects || got.Written != want.Written || got.Resumed != want.Resumed {
			t.Errorf("result is %+v, error %v; want %+v", got, err, want)
		}
		cursor.Began = got.Began
	}
}

func TestAnOutputThatGoesAwayBetweenTheLookAndTheWriteIsNotLeftInTheLedger(t *testing.T) {
	h := newHouse(t)
	l := newListing(h.objects)
	for _, k := range testKeys(0, 20) {
		h.objects.publish(k, time.Now())
	}
	l.get = func(key string) {
		if key == job.ManifestPath(testKey(3)) {
			h.objects.remove(testKey(3))
			if err := h.Ledger.Write(t.Context(), nil, testKeys(3, 4)); err != nil { // the notification, handled
				t.Error(err)
			}
		}
	}
	got, err := h.relist(l, nil)
	if err != nil || got.Written != 19 || got.Gone != 1 {
		t.Fatalf("result is %+v, error %v", got, err)
	}
	if h.ledgerHas(testKey(3)) {
		t.Error("the ledger has an output that was deleted before it was written")
	}
}

func TestAnOutputThatIsRenewedBetweenTheLookAndTheWriteHasItsNewDate(t *testing.T) {
	h := newHouse(t)
	l := newListing(h.objects)
	renewed := time.Now().Add(-time.Minute).Truncate(time.Second)
	h.objects.publish(testKey(3), renewed.Add(-time.Hour))
	l.get = func(string) {
		h.objects.publish(testKey(3), renewed)
		l.get = nil
	}
	if got, err := h.relist(l, nil); err != nil || got.Written != 1 {
		t.Fatalf("result is %+v, error %v", got, err)
	}
	have, err := h.Ledger.Get(t.Context(), renewed, testKey(3))
	if err != nil || !have[testKey(3)].CreatedAt.Equal(renewed) {
		t.Errorf("the ledger has %+v, error %v; want it made at %s", have, err, renewed)
	}
}

func TestARebuildFromTheBucketThatDiesBetweenTheWriteAndTheSecondLookIsPutRightByTheNext(t *testing.T) {
	h := newHouse(t)
	l := newListing(h.objects)
	k := testKey(3)
	h.objects.publish(k, time.Now())
	ctx, cancel := context.WithCancel(t.Context())
	l.head = func(string) error {
		cancel()
		return ctx.Err()
	}
	o := LedgerRebuildOptions{Objects: l, Ledger: h.Ledger, Cursors: NewTableRecords(table.New(h.clients.DynamoDB, runsTable)), Retention: retention}
	if _, err := RebuildLedger(ctx, o, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("error is %v, want %v", err, context.Canceled)
	}
	if !h.ledgerHas(k) {
		t.Fatal("the ledger was not written: the test proves nothing")
	}
	l.head = nil
	h.objects.remove(k) // and its notification was handled before the write
	for _, fresh := range []bool{false, true} {
		if _, err := h.relist(l, func(o *LedgerRebuildOptions) { o.Fresh = fresh }); err != nil {
			t.Fatal(err)
		}
		if h.ledgerHas(k) {
			t.Fatal("the ledger has an output that does not exist")
		}
	}
}

func TestAnOutputThatIsMadeAnewWhileItIsTakenForGoneStays(t *testing.T) {
	h := newHouse(t)
	l := newListing(h.objects)
	k := testKey(1)
	h.objects.publish(k, start)
	looks := 0
	l.get = func(string) {
		if looks++; looks == 1 { // the first look found nothing; a worker is done, and its notification is handled
			h.objects.publish(k, start)
			h.put(k)
		}
	}
	h.objects.fail = func(string) error { // deleted after it was listed
		if looks == 0 {
			h.objects.objects = map[string]fakeObject{}
		}
		return nil
	}
	got, err := h.relist(l, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !h.ledgerHas(k) {
		t.Error("the ledger lacks an output that S3 has")
	}
	if looks != 2 || got.Gone != 0 || got.Written != 1 {
		t.Errorf("%d looks, result is %+v", looks, got)
	}
}

func TestABucketThatIsMissingIsNoProofThatOutputsAre(t *testing.T) {
	h := newHouse(t)
	l := newListing(h.objects)
	h.objects.publish(testKey(1), time.Now())
	h.put(testKey(2))
	h.objects.fail = func(string) error { return &objects.NoBucketError{Bucket: testBucket} }
	if s := h.Updater.look(t.Context(), time.Now(), testKey(2)); s.result != resultFailed {
		t.Errorf("a look says %q, want %q", s.result, resultFailed)
	}
	if result, err := h.Refresher.refresh(t.Context(), time.Now(), testKey(2)); result != refreshFailed || err == nil {
		t.Errorf("a refresh says %q, error %v", result, err)
	}
	if err := h.Forget(t.Context(), testKey(2)); err == nil {
		t.Error("it is forgotten without an error")
	}
	if err := h.Refresher.settle(t.Context(), testKey(2), Output{}, ""); err == nil { // of a HEAD S3 says no more than that it is not there
		t.Error("a refresh settles without an error")
	}
	l.pages = func(string) error { return &objects.NoBucketError{Bucket: testBucket} }
	if _, err := h.relist(l, nil); err == nil {
		t.Error("no error")
	}
	if !h.ledgerHas(testKey(2)) {
		t.Error("an output was removed")
	}
}
