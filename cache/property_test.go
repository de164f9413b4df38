package cache

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"golang.org/x/sync/errgroup"

	"spate/job"
	"spate/sandbox/fault"
)

var (
	rounds  = flag.Int("rounds", 6, "random histories to try")
	seed    = flag.Uint64("seed", 1, "of the first random history; 0: any, which is for a soak")
	verbose = flag.Bool("verbose", false, "print what the processes of random histories log")
)

// TestWhateverHappensTheCacheIsNeverWronglySureAndAlwaysHeals turns random histories of outputs, faults and restarts, in
// virtual time, against a model of what S3 holds, who is told of it, and who has an excuse.
//
// While a history runs:
//
//   - Nobody calls an output a hit that S3 lacks, and nobody a miss that S3 has, once there is no excuse left and the time is over that the documentation gives: three seconds,
//     and a minute more while something keeps the follower from its work. Excuses are a notification that is dropped, held back, or not
//     dealt with yet, and what is done by hand to ledger and view.
//   - The ledger says what S3 says, two seconds after the last excuse. It never promises an output for longer than S3's copy
//     counts, and who reads it past that finds none.
//   - Once the view has had the time to see that an output left the ledger, nothing makes anybody call it a hit: no
//     restart, no snapshot, no replay, until it is written again. And the other way round.
//
// In five of six histories nobody reconciles, so that nothing wrong is put right before somebody sees it. In the end the faults
// do, somebody reconciles, and view, ledger and S3 become the same.
//
// What is done depends on the seed alone; which goroutine comes first at a moment does not. -rounds is how many histories there are, from -seed on,
// which is always the same one unless it is told: -rounds 1000 -seed 0 makes a soak of it.
func TestWhateverHappensTheCacheIsNeverWronglySureAndAlwaysHeals(t *testing.T) {
	count := *rounds
	if testing.Short() {
		count = 1
	}
	first := *seed
	if first == 0 {
		first = rand.Uint64() >> 16
	}
	t.Logf("%d histories from -seed %d on", count, first)
	for n := range count {
		s := first + uint64(n)
		t.Run(fmt.Sprintf("seed=%d", s), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newHistory(t, s).turn() })
			if t.Failed() {
				t.Logf("again: go test ./cache -run TestWhateverHappens -rounds 1 -seed %d", s)
			}
		})
	}
}

// history is a random one and the model that it is compared with.
type history struct {
	*world
	seed       uint64
	random     *rand.Rand // of the act under way
	eyesight   *rand.Rand // who is asked
	began      time.Time
	keys       []job.Key
	hot        int      // the key of the last act
	reconciles bool     // while things happen, not only in the end
	leader     *process // runs the loops; may be dead
	reader     *process // only asks
	idle       *process // asks now and then, and remembers old epochs
	others     []*process
	errands    sync.WaitGroup // done beside the history

	faults   map[string]time.Time // until when
	takeover time.Time            // when somebody else leads, because the leader stands still; zero when it does not
	saved    bool                 // Redis was
	trouble  time.Time            // when something last kept the view from following
	heard    []string             // what S3 told earlier

	// Guarded by the world's lock.
	known   []*knowledge
	delays  []delay   // of what S3 tells; several add up
	s3Fails time.Time // until when S3 does not answer each time
}

// delay is one of what S3 tells until then.
type delay struct {
	until time.Time
	by    time.Duration // at most
}

func newHistory(t *testing.T, s uint64) *history {
	random := rand.New(rand.NewPCG(s, 2))
	retention := []time.Duration{2 * time.Minute, 2 * time.Minute, 2 * time.Hour, 30 * 24 * time.Hour}[random.IntN(4)]
	h := &history{
		world: newWorld(t, s, retention), seed: s, random: random, eyesight: rand.New(rand.NewPCG(s, 3)), began: time.Now(), keys: testKeys(0, 6),
		reconciles: random.IntN(6) == 0, faults: map[string]time.Time{}, trouble: time.Now(),
	}
	h.slow = 0
	for range h.keys {
		h.known = append(h.known, &knowledge{item: item{since: time.Now()}})
	}
	h.listen()
	h.setTTL([]time.Duration{time.Second, 10 * time.Minute, 48 * time.Hour, 48 * time.Hour}[random.IntN(4)])
	h.say("retention %s, items deleted %s after their expiry, reconciliation %v", retention, time.Duration(h.box.Account().DynamoDB.TTLDelay), h.reconciles)
	return h
}

func (h *history) say(format string, args ...any) {
	h.t.Logf("%9.3fs %s", time.Since(h.began).Seconds(), fmt.Sprintf(format, args...))
}

func (h *history) setTTL(d time.Duration) {
	a := h.box.Account()
	a.DynamoDB.TTLDelay, a.DynamoDB.StreamLag = fault.Duration(d), fault.Duration(500*time.Millisecond)
	if err := h.box.SetAccount(a); err != nil {
		h.t.Fatal(err)
	}
}

func (h *history) turn() {
	defer h.leave()
	defer h.errands.Wait()
	h.reader, h.idle = h.join(), h.join()
	h.lead()
	for i := range h.keys {
		h.publish(i)
	}
	h.pass(time.Duration(h.random.IntN(5)) * time.Second)
	for n := range 12 + h.random.IntN(12) {
		h.random = rand.New(rand.NewPCG(h.seed, 1000+uint64(n))) // whatever the acts before have used
		h.act()
		h.linger()
		for range h.random.IntN(3) { // whatever goes wrong, outputs come and go
			h.comesOrGoes(h.hot)
			h.linger()
		}
		if h.t.Failed() {
			return
		}
	}
	h.quiet()
	h.pass(endsQuietly)
	h.calm()
}

// linger lets a moment pass, or some seconds.
func (h *history) linger() {
	switch n := h.random.IntN(10); {
	case n < 5:
		h.pass(time.Duration(h.random.IntN(200)) * time.Millisecond)
	case n < 9:
		h.pass(time.Duration(h.random.IntN(3000)) * time.Millisecond)
	default:
		h.pass(time.Duration(3000+h.random.IntN(5000)) * time.Millisecond)
	}
}

// lead starts another leader.
func (h *history) lead() {
	if h.leader != nil {
		h.others = append(h.others, h.leader)
	}
	p := h.join()
	if h.reconciles {
		p.eager()
		p.Reconciler.PassEvery, p.Reconciler.WalkEvery = 30*time.Second, time.Minute
		h.run(p, p.Run)
	} else {
		h.run(p, func(ctx context.Context) error {
			loops, ctx := errgroup.WithContext(ctx)
			loops.Go(func() error { return p.Updater.Run(ctx) })
			loops.Go(func() error { return p.Follower.Run(ctx) })
			loops.Go(func() error { return p.Refresher.Run(ctx) })
			return loops.Wait()
		})
	}
	h.leader, h.trouble, h.takeover = p, time.Now(), time.Time{}
	h.say("a leader starts")
}

// pass lets time pass and looks on, each second while somebody leads and until all is known.
func (h *history) pass(d time.Duration) {
	for until := time.Now().Add(d); ; {
		h.mend()
		h.observe()
		left := time.Until(until)
		if left <= 0 || h.t.Failed() {
			return
		}
		step := time.Second
		if h.leader.gate.isDead() || d >= time.Minute {
			step = max(step, d/20)
		}
		time.Sleep(min(step, left))
	}
}

// mend ends the faults whose time is over, and puts another leader in the place of one that has left by itself or stands
// still.
func (h *history) mend() {
	if h.leader.gate.stands() {
		h.trouble = time.Now()
	}
	for id, until := range h.faults {
		h.trouble = time.Now()
		if time.Now().Before(until) {
			continue
		}
		delete(h.faults, id)
		switch id {
		case "loss":
			h.set(func() { h.loss = 0 })
		case "full":
			h.set(func() { h.full = false })
		case "slow":
			h.set(func() { h.slow = 0 })
		} // the others end by themselves
	}
	if !h.takeover.IsZero() && !time.Now().Before(h.takeover) {
		h.takeover = time.Time{}
		if h.leader.gate.isPaused() && !h.leader.gate.isDead() {
			h.lead()
			return
		}
	}
	select {
	case <-h.leader.ended:
	default:
		return
	}
	if h.leader.gate.isDead() {
		return
	}
	if !errors.Is(h.leader.err, ErrSuperseded) {
		h.t.Errorf("the leader left: %v", h.leader.err)
	}
	h.say("the leader left: %v", h.leader.err)
	h.lead()
}

// observe brings what is known up to date and asks everybody.
func (h *history) observe() {
	for i := range h.keys {
		for _, body := range h.box.Messages(created) {
			if strings.Contains(body, h.keys[i].String()) && len(h.heard) < 100 {
				h.heard = append(h.heard, body)
			}
		}
	}
	h.ask("a reader", h.reader)
	if !h.leader.gate.isDead() && !h.leader.gate.stands() {
		h.ask("the leader", h.leader)
	}
	switch h.eyesight.IntN(10) {
	case 0:
		fresh := h.join()
		h.ask("a new reader", fresh)
		fresh.stop()
	case 1:
		h.ask("a reader that seldom asks", h.idle)
	case 2, 3, 4:
		h.askLedger("a reader", h.reader)
	}
}

// quiet ends all faults.
func (h *history) quiet() {
	h.say("all faults end")
	h.box.Faults().Clear()
	h.set(func() { clear(h.tarry) })
	for id := range h.faults {
		h.faults[id] = time.Now()
	}
	for _, p := range append(h.others, h.leader) {
		p.gate.continues()
	}
	h.takeover = time.Time{}
	if h.leader.gate.isDead() {
		h.lead()
	}
}

// calm waits until view, ledger and S3 are the same, which somebody sees to.
func (h *history) calm() {
	if h.t.Failed() {
		return
	}
	if !h.reconciles {
		h.leader.stop()
		h.reconciles = true
		h.lead()
	}
	if h.random.IntN(2) == 0 { // else all that was not told is for reconciliation to find
		for i, k := range h.snapshot() {
			if k.excuse == nobodyIsTold { // days late
				h.tell(createdBody(job.ManifestPath(h.keys[i])))
			}
		}
	}
	var differences []string
	for began := time.Now(); time.Since(began) < healsWithin; {
		h.pass(2 * time.Second)
		if h.t.Failed() {
			return
		}
		if differences = h.differences(); len(differences) == 0 {
			h.say("healed after %s", time.Since(began))
			return
		}
	}
	h.t.Errorf("after %s: %s", healsWithin, strings.Join(differences, "; "))
}

// tell puts a message on the queue.
func (h *history) tell(body string) {
	if _, err := h.eyes.SQS.SendMessage(h.t.Context(), &sqs.SendMessageInput{QueueUrl: &h.queueURL, MessageBody: aws.String(body)}); err != nil {
		h.t.Fatal(err)
	}
}
