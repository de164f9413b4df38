package cache

import (
	"flag"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"spate/internal/queue"
	"spate/job"
)

// rounds is how many random histories are tried. A failing one says the seed (-rapid.seed) that repeats it.
var rounds = flag.Int("rounds", 15, "random histories to try")

// TestRandomHistories turns publishing, removal, notification, following, crashes and Redis's accidents in random order
// and compares with a model. At every moment: an output that was settled as absent and not published since is no hit,
// one settled as present and not removed since is no miss. After quiescence the view says exactly what S3 holds.
func TestRandomHistories(t *testing.T) {
	if testing.Short() {
		t.Skip("many histories")
	}
	if err := flag.Set("rapid.checks", strconv.Itoa(*rounds)); err != nil {
		t.Fatal(err)
	}
	client := openRedis(t)
	rapid.Check(t, func(r *rapid.T) {
		h := newHouseOn(t, client)
		defer h.flush()
		defer h.leave()
		hist := &history{house: h, keys: testKeys(0, 12), present: map[job.Key]bool{}, touched: map[job.Key]bool{}}
		var snapshots []snapshot
		for range rapid.IntRange(5, 25).Draw(r, "steps") {
			k := hist.keys[rapid.IntRange(0, len(hist.keys)-1).Draw(r, "key")]
			switch action := rapid.SampledFrom([]string{
				"publish", "publish", "publish", "remove", "remove", "forget", "deliver", "deliver", "follow", "follow", "follow",
				"crash", "flush", "snapshot", "restore", "split", "rebuild", "settle",
			}).Draw(r, "action"); action {
			case "publish":
				h.objects.publish(k, start)
				hist.touch(k, true, createdBody(job.ManifestPath(k)))
			case "remove":
				h.objects.remove(k)
				hist.touch(k, false, removedBody(job.ManifestPath(k)))
			case "forget": // as the planner does: the manifest first
				h.objects.remove(k)
				hist.touch(k, false)
				if err := h.Forget(t.Context(), k); err != nil {
					r.Fatal(err)
				}
			case "deliver":
				hist.deliver(r, rapid.IntRange(1, queue.MaxBatch).Draw(r, "messages"), rapid.Bool().Draw(r, "repeat"))
			case "follow":
				_ = h.follow()
			case "crash":
				h.leave()
				h.Cache = h.process()
			case "flush":
				h.flush()
			case "snapshot":
				snapshots = append(snapshots, takeSnapshot(t, h.redis))
			case "restore":
				if len(snapshots) > 0 {
					snapshots[rapid.IntRange(0, len(snapshots)-1).Draw(r, "snapshot")].restore(t, h.redis)
				}
			case "split":
				if err := h.server.SplitStream(outputsTable); err != nil {
					r.Fatal(err)
				}
			case "rebuild":
				h.Follower.Rebuild()
			case "settle":
				hist.settle(r)
			}
			hist.check(r, false)
		}
		hist.settle(r)
		hist.check(r, true)
	})
}

type history struct {
	*house
	keys    []job.Key
	present map[job.Key]bool // in S3
	touched map[job.Key]bool // since the last time that everything was settled
}

func (h *history) touch(k job.Key, present bool, notifications ...string) {
	h.present[k] = present
	h.touched[k] = true
	h.queue.send(notifications...)
}

// deliver handles some messages, and again when the queue delivers them twice.
func (h *history) deliver(r *rapid.T, limit int, repeat bool) {
	messages, err := h.queue.Receive(h.t.Context(), limit, 0, 0)
	if err != nil {
		r.Fatal(err)
	}
	if err := h.Updater.Handle(h.t.Context(), h.now, messages); err != nil {
		r.Fatal(err)
	}
	if repeat {
		for _, m := range messages {
			h.queue.send(m.Body)
		}
	}
}

func (h *history) settle(r *rapid.T) {
	if err := h.update(); err != nil {
		r.Fatal(err)
	}
	h.house.settle()
	clear(h.touched)
}

func (h *history) check(r *rapid.T, settled bool) {
	for i, got := range h.view(h.keys...) {
		k := h.keys[i]
		want := job.Miss
		if h.present[k] {
			want = job.Hit
		}
		if h.touched[k] || got == want || got == job.Unknown && !settled {
			continue
		}
		r.Fatalf("%s is %s, want %s (settled: %v)", k.Short(), got, want, settled)
	}
}
