package cache

import (
	"testing"
	"testing/synctest"
	"time"

	"spate/internal/objects"
	"spate/job"
)

// The model of ninety nights in small, with all the real parts: S3 that dates its objects, its notifications, the table's
// expiry, its stream, the view. A night is a thirtieth of the retention.
func TestOutputsInUseOutliveTheirRetentionAndOthersDoNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			life  = 4 * time.Minute
			night = life / 30
		)
		w := newWorld(t, 1, life)
		defer w.leave()
		used, unused := testKeys(0, 30), testKeys(30, 35)
		for _, k := range append(used, unused...) {
			w.publish(k)
		}
		leader := w.start()
		time.Sleep(night)
		dated := func(k job.Key) time.Time {
			info, err := w.bucket.Head(t.Context(), job.ManifestPath(k))
			if err != nil {
				t.Fatal(err)
			}
			return info.LastModified
		}
		before := dated(used[0])
		refreshed := map[int64]int{} // by night
		for n := range 65 {
			was := leader.Refresher.Status().Refreshed
			all(t, leader.Lookup(t.Context(), used), job.Hit)
			leader.Used(used)
			time.Sleep(night)
			refreshed[int64(n)] += int(leader.Refresher.Status().Refreshed - was)
		}
		s := leader.Refresher.Status()
		if s.Refreshed < 2*int64(len(used)) || s.Failed+s.Broken+s.Late+s.Held != 0 || s.Objects != 2*s.Refreshed || s.Waiting+s.Offered != 0 {
			t.Errorf("after more than two lives: %+v", s)
		}
		for n, count := range refreshed {
			if count > len(used)/2 {
				t.Errorf("night %d refreshed %d of %d outputs", n, count, len(used))
			}
		}
		if dated(used[0]).Sub(before) < life {
			t.Error("the first output is as old as ever")
		}
		file := (&job.Manifest{Key: used[0], Attempt: "a"}).Object(job.File{Path: "out"})
		if info, err := w.bucket.Head(t.Context(), file); err != nil || info.LastModified.After(dated(used[0])) {
			t.Errorf("its file is of %s, younger than the manifest; error %v", info.LastModified, err)
		}
		for k, expires := range w.inLedger(used) {
			if want := dated(k).Add(life); !expires.Equal(want) {
				t.Errorf("the ledger says that %s expires at %s, the manifest at %s", k.Short(), expires, want)
			}
		}
		all(t, leader.Lookup(t.Context(), unused), job.Miss)

		// What is retracted while it is due stays retracted.
		gone := used[:5]
		time.Sleep(life * 2 / 3)
		leader.Used(used)
		for _, k := range gone {
			if err := w.bucket.Delete(t.Context(), job.ManifestPath(k), objects.Condition{}); err != nil {
				t.Fatal(err)
			}
			if err := leader.Forget(t.Context(), k); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(night)
		all(t, leader.Lookup(t.Context(), gone), job.Miss)
		for _, k := range gone {
			if w.inS3(k) {
				t.Errorf("%s is back", k.Short())
			}
		}
	})
}
