package cache

import (
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"spate/job"
	"spate/sandbox/fault"
)

// passEvery is how often the worlds' leaders begin a pass.
const passEvery = 30 * time.Second

// reconciled turns a world with a leader, in which some outputs were published a while ago.
func reconciled(t *testing.T, retention time.Duration, outputs int, turn func(t *testing.T, w *world, leader *process)) {
	t.Helper()
	reconciledSampling(t, 1, retention, outputs, turn)
}

func reconciledSampling(t *testing.T, share float64, retention time.Duration, outputs int, turn func(t *testing.T, w *world, leader *process)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, retention)
		defer w.leave()
		leader := w.join()
		r := leader.Reconciler
		r.SampleShare, r.PassEvery, r.WalkEvery, r.Grace = share, passEvery, passEvery, 10*time.Second
		r.lists.SetLimit(100)
		w.run(leader, leader.Run)
		for _, k := range testKeys(0, outputs) {
			w.publish(k)
		}
		time.Sleep(2 * passEvery)
		all(t, leader.askView(t.Context(), time.Now(), testKeys(0, outputs)), job.Hit)
		if s := leader.Reconciler.Status(); s.Found != (Differences{}) || s.Failed != 0 || s.Passes == 0 || share == 1 && s.Sampled == 0 || s.Listed == 0 {
			t.Fatalf("where nothing is wrong: %+v", s)
		}
		turn(t, w, leader)
	})
}

func TestReconciliationPutsBackWhatTheViewLacks(t *testing.T) {
	reconciled(t, 30*24*time.Hour, 20, func(t *testing.T, w *world, leader *process) {
		mark, _ := leader.Epochs.Current(t.Context(), time.Now())
		k := testKey(7)
		if err := leader.redis.SRem(t.Context(), leader.View.bucketKey(mark.Epoch, mark.Bits.bucket(k)), mark.Bits.member(k)).Err(); err != nil {
			t.Fatal(err)
		}
		all(t, leader.askView(t.Context(), time.Now(), []job.Key{k}), job.Miss)
		time.Sleep(2 * passEvery)
		all(t, leader.askView(t.Context(), time.Now(), testKeys(0, 20)), job.Hit)
		if s := leader.Reconciler.Status(); s.Found != (Differences{ViewLacks: 1}) {
			t.Errorf("status is %+v", s)
		}
	})
}

func TestReconciliationDropsWhatTheLedgerLacks(t *testing.T) {
	reconciled(t, 30*24*time.Hour, 20, func(t *testing.T, w *world, leader *process) {
		mark, _ := leader.Epochs.Current(t.Context(), time.Now())
		wrong := testKeys(50, 53)
		for _, k := range wrong {
			if err := leader.redis.SAdd(t.Context(), leader.View.bucketKey(mark.Epoch, mark.Bits.bucket(k)), mark.Bits.member(k)).Err(); err != nil {
				t.Fatal(err)
			}
		}
		all(t, leader.askView(t.Context(), time.Now(), wrong), job.Hit)
		time.Sleep(2 * passEvery)
		all(t, leader.askView(t.Context(), time.Now(), wrong), job.Miss)
		all(t, leader.askView(t.Context(), time.Now(), testKeys(0, 20)), job.Hit)
		if s := leader.Reconciler.Status(); s.Found != (Differences{ViewExtra: 3}) {
			t.Errorf("status is %+v", s)
		}
	})
}

func TestWhatIsExpiredLeavesTheViewThoughTimeToLiveIsDaysLate(t *testing.T) {
	reconciled(t, 100*time.Second, 20, func(t *testing.T, w *world, leader *process) {
		a := w.box.Account()
		a.DynamoDB.TTLDelay = fault.Duration(48 * time.Hour)
		if err := w.box.SetAccount(a); err != nil {
			t.Fatal(err)
		}
		time.Sleep(40*time.Second + 2*passEvery)
		if n := len(w.inLedger(testKeys(0, 20))); n != 20 {
			t.Fatalf("%d items are in the table, want all 20", n)
		}
		all(t, leader.askView(t.Context(), time.Now(), testKeys(0, 20)), job.Miss)
		if s := leader.Reconciler.Status(); s.Found != (Differences{ViewExpired: 20}) {
			t.Errorf("status is %+v", s)
		}
	})
}

func TestAnExpiredOutputLeavesTheViewWithinSecondsThoughPassesAreFarApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const retention = 1000 * time.Second
		w := newWorld(t, 1, retention)
		defer w.leave()
		a := w.box.Account()
		a.DynamoDB.TTLDelay = fault.Duration(48 * time.Hour)
		if err := w.box.SetAccount(a); err != nil {
			t.Fatal(err)
		}
		leader := w.join()
		leader.Reconciler.PassEvery = 10 * time.Minute
		w.run(leader, leader.Run)
		time.Sleep(700 * time.Second) // a pass begins after 600, 1200 and 1800 seconds, and they end after 1700
		keys := testKeys(0, 20)
		for _, k := range keys[10:] {
			w.publish(k)
		}
		time.Sleep(retention - 20*time.Second)
		began := time.Now()
		passes := leader.Reconciler.Status().Passes
		for _, k := range keys[:10] {
			w.publish(k)
		}
		time.Sleep(10 * time.Second)
		all(t, leader.askView(t.Context(), time.Now(), keys), job.Hit)
		time.Sleep(20 * time.Second)
		all(t, leader.askView(t.Context(), time.Now(), keys[10:]), job.Miss)
		all(t, leader.askView(t.Context(), time.Now(), keys[:10]), job.Hit)
		if s := leader.Reconciler.Status(); s.Found != (Differences{ViewExpired: 10}) || s.Passes != passes || s.PassBegan.After(began) {
			t.Errorf("status is %+v", s)
		}
		if n := len(w.inLedger(keys)); n != 20 {
			t.Errorf("%d items are in the table, want all 20", n)
		}
	})
}

func TestWhatEndsFirstIsRememberedWhereThereIsNotRoomForAll(t *testing.T) {
	e := newEndings(30)
	for i, k := range testKeys(0, 100) {
		e.add(k, start.Add(time.Duration(99-i)*time.Minute))
		e.add(k, start.Add(time.Duration(99-i)*time.Minute)) // the next pass sees it again
	}
	if got := e.take(start.Add(-time.Second), 100); len(got) != 0 {
		t.Errorf("%d are taken before their end", len(got))
	}
	if got := e.take(start.Add(9*time.Minute), 4); len(got) != 4 {
		t.Errorf("%d are taken, want 4", len(got))
	}
	got := keySet{}
	got.add(e.take(start.Add(9*time.Minute+expireEvery), 100)...)
	got.add(e.take(start.Add(100*time.Minute), 100)...)
	if len(got) != 26 {
		t.Errorf("%d were left, want 26", len(got))
	}
	for _, k := range testKeys(0, 70) {
		if _, is := got[k]; is {
			t.Errorf("%s is remembered, though 30 end before it", k.Short())
		}
	}
}

func TestAnOutputOfWhichNobodyWasToldIsFoundInTheBucket(t *testing.T) {
	reconciled(t, 30*24*time.Hour, 20, func(t *testing.T, w *world, leader *process) {
		silently(t, w, func() { w.publish(testKey(50)) })
		time.Sleep(5 * time.Second)
		all(t, leader.askView(t.Context(), time.Now(), testKeys(50, 51)), job.Miss)
		time.Sleep(2 * passEvery)
		all(t, leader.askView(t.Context(), time.Now(), testKeys(50, 51)), job.Hit)
		if s := leader.Reconciler.Status(); s.Found != (Differences{LedgerLacks: 1}) || s.LedgerLacked.IsZero() {
			t.Errorf("status is %+v", s)
		}
	})
}

func TestAnOutputOfWhichNobodyWasToldIsFoundInTheBucketThoughRedisIsAway(t *testing.T) {
	reconciled(t, 30*24*time.Hour, 20, func(t *testing.T, w *world, leader *process) {
		w.set(func() { w.loss = 1 })
		time.Sleep(2 * staleAfter)
		all(t, leader.askView(t.Context(), time.Now(), testKeys(0, 20)), job.Unknown)
		silently(t, w, func() { w.publish(testKey(50)) })
		for began := time.Now(); len(w.inLedger(testKeys(50, 51))) == 0; time.Sleep(passEvery) {
			if time.Since(began) > time.Hour {
				t.Fatalf("the ledger lacks it after an hour: %+v", leader.Reconciler.Status())
			}
		}
		if s := leader.Reconciler.Status(); s.Found != (Differences{LedgerLacks: 1}) {
			t.Errorf("status is %+v", s)
		}
		w.set(func() { w.loss = 0 })
		time.Sleep(2 * time.Minute)
		all(t, leader.askView(t.Context(), time.Now(), testKeys(50, 51)), job.Hit)
	})
}

func TestAnOutputOfWhoseRemovalNobodyWasToldIsFoundMissing(t *testing.T) {
	reconciled(t, 30*24*time.Hour, 20, func(t *testing.T, w *world, leader *process) {
		silently(t, w, func() { w.remove(testKey(7)) })
		time.Sleep(2 * passEvery)
		all(t, leader.askView(t.Context(), time.Now(), testKeys(7, 8)), job.Miss)
		if n := len(w.inLedger(testKeys(0, 20))); n != 19 {
			t.Errorf("the ledger has %d outputs, want 19", n)
		}
		if s := leader.Reconciler.Status(); s.Found != (Differences{LedgerExtra: 1}) || s.Missing != 1 {
			t.Errorf("status is %+v", s)
		}
	})
}

func TestAnOutputThatTheListingDoesNotHaveIsLookedForByThePass(t *testing.T) {
	reconciledSampling(t, 1e-9, 30*24*time.Hour, 20, func(t *testing.T, w *world, leader *process) {
		silently(t, w, func() { w.remove(testKey(7)) })
		time.Sleep(4 * passEvery)
		all(t, leader.askView(t.Context(), time.Now(), testKeys(7, 8)), job.Miss)
		if s := leader.Reconciler.Status(); s.Found != (Differences{LedgerExtra: 1}) || s.Missing != 1 {
			t.Errorf("status is %+v", s)
		}
		all(t, leader.askView(t.Context(), time.Now(), testKeys(8, 20)), job.Hit)
	})
}

func TestAnItemThatPromisesAnOutputForTooLongIsPutRight(t *testing.T) {
	h := newHouse(t)
	over, young := testKey(0), testKey(1)
	h.objects.publish(over, h.now.Add(-retention-time.Hour)) // its retention was longer once; the lifecycle comes four days later
	h.objects.publish(young, h.now.Add(-time.Hour))
	for _, k := range []job.Key{over, young} {
		o := Output{Key: k, CreatedAt: h.now, ExpiresAt: h.now.Add(retention)}
		if err := h.Ledger.Write(t.Context(), []Output{o}, nil); err != nil {
			t.Fatal(err)
		}
		h.Reconciler.sample(t.Context(), o)
	}
	items, err := h.Ledger.Get(t.Context(), h.now, over, young)
	if err != nil {
		t.Fatal(err)
	}
	if _, is := items[over]; is {
		t.Error("the ledger still promises what no longer counts")
	}
	if got, want := items[young].ExpiresAt, h.now.Add(retention-time.Hour); !got.Equal(want) {
		t.Errorf("it expires at %s, want %s", got, want)
	}
}

func TestSuspectsAreOfOneEpochAndAreTakenOnce(t *testing.T) {
	var s suspects
	mark := Mark{Epoch: 2, Bits: 16}
	at := func(k job.Key) place { return place{mark.Bits.bucket(k), mark.Bits.member(k)} }
	low, high := job.Key{0, 1}, job.Key{0xff, 1}
	s.replace(2, 0, 256, []place{at(low)})
	s.replace(2, 0xff00, 0x10000, []place{at(high)})
	if s.take(Mark{Epoch: 3, Bits: 16}, low) || s.take(mark, job.Key{0, 2}) || !s.take(mark, low) || s.take(mark, low) {
		t.Error("a suspect is taken once, in its epoch")
	}
	s.replace(2, 0xff00, 0x10000, nil)
	if s.take(mark, high) {
		t.Error("one that a later listing has is no suspect")
	}
}

func TestAPassThatAnEpochsEndCutsShortIsThrownAway(t *testing.T) {
	reconciled(t, 30*24*time.Hour, 20, func(t *testing.T, w *world, leader *process) {
		passes := leader.Reconciler.Status().Passes
		for leader.Follower.watched.Load() == nil { // until the next pass begins
			time.Sleep(time.Second)
		}
		leader.Follower.Rebuild()
		for began := time.Now(); leader.Reconciler.Status().Discarded == 0 && time.Since(began) < time.Minute; {
			time.Sleep(time.Second)
		}
		if s := leader.Reconciler.Status(); s.Discarded != 1 || s.Passes != passes || s.Error != "" {
			t.Errorf("status is %+v, %d passes before; want one thrown away, and nothing said of it", s, passes)
		}
		time.Sleep(2 * passEvery)
		if s := leader.Reconciler.Status(); s.Passes == passes || s.Found != (Differences{}) {
			t.Errorf("status is %+v; want passes of the new epoch", s)
		}
	})
}

func TestWhatChangesDuringAPassIsNotDropped(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 10)...)
	h.settle()
	mark := h.session.live.Mark()
	at := func(k job.Key) place { return place{mark.Bits.bucket(k), mark.Bits.member(k)} }
	h.redis.SAdd(t.Context(), h.View.bucketKey(mark.Epoch, mark.Bits.bucket(testKey(50))), mark.Bits.member(testKey(50)))

	w := &watch{bits: mark.Bits, end: uint32(mark.Bits.buckets()), changed: map[place]struct{}{}}
	h.Follower.watched.Store(w)
	h.put(testKeys(20, 22)...) // behind the pass's back
	h.settle()
	correct := func(c *correction) corrected {
		done := make(chan corrected)
		go func() { done <- h.Follower.correct(t.Context(), c) }()
		for {
			select {
			case out := <-done:
				return out
			default:
				_ = h.follow()
			}
		}
	}
	out := correct(&correction{epoch: mark.Epoch, drop: []place{at(testKey(20)), at(testKey(21)), at(testKey(50))}, watch: w})
	if out.err != nil || out.removed != 1 {
		t.Errorf("outcome is %+v, want one removal", out)
	}
	all(t, h.view(testKeys(20, 22)...), job.Hit)
	all(t, h.view(testKey(50)), job.Miss)

	w.overflow = true
	if out := correct(&correction{epoch: mark.Epoch, drop: []place{at(testKey(1))}, watch: w}); !errors.Is(out.err, errRestless) {
		t.Errorf("error is %v, want %v", out.err, errRestless)
	}
	if out := correct(&correction{epoch: mark.Epoch + 1, look: testKeys(60, 61)}); !errors.Is(out.err, errOtherEpoch) {
		t.Errorf("error is %v, want %v", out.err, errOtherEpoch)
	}
	all(t, h.view(testKeys(0, 10)...), job.Hit)
}

func TestAnAdditionIsReadInTheLedgerOnceMore(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 10)...)
	h.settle()
	done := make(chan corrected)
	go func() {
		done <- h.Follower.correct(t.Context(), &correction{epoch: h.session.live.Mark().Epoch, look: testKeys(5, 15)})
	}()
	var out corrected
	for received := false; !received; {
		select {
		case out = <-done:
			received = true
		default:
			_ = h.follow()
		}
	}
	if out.err != nil || out.added != 5 || out.removed != 5 {
		t.Errorf("outcome is %+v", out)
	}
	all(t, h.view(testKeys(10, 15)...), job.Miss)
}

func TestOfTheLastStepNoMoreIsForgottenThanThereIsNotRoomFor(t *testing.T) {
	e := newEndings(30)
	for i, k := range testKeys(0, 30) {
		e.add(k, start.Add(time.Duration(i/5)*time.Minute))
	}
	e.take(start.Add(expireEvery), 100) // five, whose room is taken again
	for _, k := range testKeys(30, 42) {
		e.add(k, start.Add(2*time.Minute))
	}
	e.add(testKey(42), start.Add(time.Hour))
	for minute, want := range []int{0, 5, 5 + 12, 5, 3, 0} {
		if got := len(e.take(start.Add(time.Duration(minute)*time.Minute+expireEvery), 100)); got != want {
			t.Errorf("%d end in minute %d, want %d", got, minute, want)
		}
	}
}

func TestALifeThatEndsWhileARoundLastsIsOver(t *testing.T) {
	h := newHouse(t)
	k, end := testKey(1), time.Now().Truncate(time.Second)
	h.put(k)
	h.settle()
	all(t, h.view(k), job.Hit)
	if err := h.Ledger.Write(t.Context(), []Output{{Key: k, CreatedAt: start, ExpiresAt: end, Bytes: 1, Run: "run"}}, nil); err != nil {
		t.Fatal(err)
	}
	done := make(chan corrected)
	go func() {
		done <- h.Follower.correct(t.Context(), &correction{epoch: h.session.live.Mark().Epoch, look: []job.Key{k}})
	}()
	eventually(t, "the correction is made", func() bool {
		if err := h.session.takeCorrection(t.Context(), end.Add(-time.Second)); err != nil { // the round began before the end
			t.Fatal(err)
		}
		select {
		case out := <-done:
			if out.err != nil || out.added != 0 || out.removed != 1 {
				t.Errorf("outcome is %+v, want one removal", out)
			}
			return true
		default:
			return false
		}
	})
	all(t, h.view(k), job.Miss)
}

func TestTheRangesOfPassesCoverEveryBucketOnce(t *testing.T) {
	for _, outputs := range []int64{0, 1000, 10_000_000, 100_000_000} {
		mark := Mark{Epoch: 3, Bits: 18}
		turn := turns{next: rand.Uint32()}
		seen := make([]int, mark.Bits.buckets())
		for n := 1; ; n++ {
			first, end := turn.begin(mark, outputs, 32<<20)
			for b := first; b < end; b++ {
				seen[b]++
			}
			if share := float64(end-first) / float64(len(seen)) * float64(outputs) * rememberedBytes; share > 1.01*(32<<20) {
				t.Fatalf("a range of %d outputs takes %.0f bytes", outputs, share)
			}
			if turn.ended() {
				if uint32(n) != turn.ranges {
					t.Fatalf("all compared after %d passes of %d", n, turn.ranges)
				}
				break
			}
		}
		for b, n := range seen {
			if n != 1 {
				t.Fatalf("%d outputs: bucket %d was compared %d times", outputs, b, n)
			}
		}
	}
	turn := turns{}
	turn.begin(Mark{Epoch: 1, Bits: 16}, 0, 1000)
	turn.tooMany()
	if first, end := turn.begin(Mark{Epoch: 1, Bits: 16}, 0, 1000); first != 0 || end != 1<<15 {
		t.Errorf("after too many the range is %d to %d, want the first half", first, end)
	}
}

func TestAPlaceIsTheBeginOfItsKey(t *testing.T) {
	for bits := minBucketBits; bits <= maxBucketBits; bits++ {
		for n := range 200 {
			k := testKey(n)
			p := place{bits.bucket(k), bits.member(k)}
			begin := p.key(bits)
			if bits.bucket(begin) != p.bucket || bits.member(begin) != p.member {
				t.Fatalf("%d bits: the place of %s is %v, that of its begin %d, %d", bits, k, p, bits.bucket(begin), bits.member(begin))
			}
			if [9]byte(begin[:9]) != [9]byte(k[:9]) {
				t.Fatalf("%d bits: %s begins as %s", bits, k, begin)
			}
		}
	}
}

func TestAPassKeepsToItsMemory(t *testing.T) {
	m := &memory{bits: 16, first: 0, members: make([][]int64, 1<<16), left: 10}
	for _, k := range testKeys(0, 11) {
		m.add(k)
	}
	if m.left >= 0 {
		t.Errorf("room for %d more", m.left)
	}
	part := &memory{bits: 16, first: 16, members: make([][]int64, 16)}
	for _, k := range []job.Key{{0, 15}, {0, 16}, {0, 31}, {0, 32}, {0xff, 0xff}} {
		part.add(k)
	}
	if part.left != -2 || len(part.members[0]) != 1 || len(part.members[15]) != 1 {
		t.Errorf("of five keys %d are remembered, want the two of buckets 16 to 31", -part.left)
	}
	if lacks := part.lacks(0, []int64{0, 5, 7}); len(lacks) != 2 || lacks[0] != 5 {
		t.Errorf("lacking are %v, want 5 and 7", lacks)
	}
}

// silently does something of which S3 tells nobody.
func silently(t *testing.T, w *world, do func()) {
	t.Helper()
	rule, err := w.box.Faults().Add(fault.Rule{Service: fault.S3, Operation: "Notification", Kind: fault.Drop})
	if err != nil {
		t.Fatal(err)
	}
	do()
	w.box.Faults().Remove(rule.ID)
}
