package cache

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"spate/job"
	"spate/sandbox/fault"
)

var (
	rounds  = flag.Int("rounds", 3, "random histories to try")
	seed    = flag.Uint64("seed", 0, "of the first random history; 0: any")
	verbose = flag.Bool("verbose", false, "print what the processes of random histories log")
)

// A settled key is one that the view must have caught up with: since settlesIn nobody has written its item, and since
// calmFor nothing has gone wrong.
const (
	settlesIn   = 3 * time.Second
	calmFor     = 40 * time.Second // time-outs and the waits between tries, all used up
	healsWithin = 6 * time.Minute  // a message that was being handled comes again after two
)

// TestWhateverHappensTheCacheIsNeverWronglySureAndAlwaysHeals turns random histories of outputs, faults and restarts, in
// virtual time, against what S3 and the ledger hold.
//
//   - Once the view has had the time to see that an output left the ledger, nothing makes anybody call it a hit: no
//     restart, no snapshot, no replay, until it is written again.
//   - Once the view has had the time to see that an output is in the ledger, nobody calls it a miss.
//   - When the faults have ended, view, ledger and S3 become the same.
func TestWhateverHappensTheCacheIsNeverWronglySureAndAlwaysHeals(t *testing.T) {
	count := *rounds
	if testing.Short() {
		count = 1
	}
	first := *seed
	if first == 0 {
		first = rand.Uint64() >> 16
	}
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
	random *rand.Rand
	began  time.Time
	keys   []job.Key
	leader *process // runs the loops; may be dead
	reader *process // only asks
	others []*process
	faults map[string]time.Time // until when

	saved   bool      // Redis was
	trouble time.Time // when something was last wrong
	known   []*knowledge
	lost    map[job.Key]bool // S3 has changed and told nobody
}

// knowledge is what is known of one key's item.
type knowledge struct {
	written time.Time // when a call that names it last began or ended
	present bool      // and when it expires
	expires time.Time
	since   time.Time // when present last changed, as far as seen
	settled bool
}

func newHistory(t *testing.T, s uint64) *history {
	random := rand.New(rand.NewPCG(s, 2))
	retention := []time.Duration{2 * time.Minute, 2 * time.Hour, 30 * 24 * time.Hour}[random.IntN(3)]
	h := &history{
		world: newWorld(t, s, retention), random: random, began: time.Now(), keys: testKeys(0, 10),
		faults: map[string]time.Time{}, lost: map[job.Key]bool{}, trouble: time.Now(),
	}
	for range h.keys {
		h.known = append(h.known, &knowledge{since: time.Now()})
	}
	h.wrote = func(_ string, body []byte) {
		for i, k := range h.keys {
			if strings.Contains(string(body), k.String()) {
				h.set(func() { h.known[i].written, h.known[i].settled = time.Now(), false })
			}
		}
	}
	h.setTTL([]time.Duration{time.Second, 10 * time.Minute, 48 * time.Hour}[random.IntN(3)])
	h.say("retention %s, items deleted %s after their expiry", retention, time.Duration(h.box.Account().DynamoDB.TTLDelay))
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
	h.reader = h.join()
	h.lead()
	for range 12 + h.random.IntN(14) {
		h.act()
		h.pass(time.Duration(h.random.IntN(6000)) * time.Millisecond)
		if h.t.Failed() {
			return
		}
	}
	h.calm()
}

// lead starts another leader.
func (h *history) lead() {
	if h.leader != nil {
		h.others = append(h.others, h.leader)
	}
	h.leader, h.trouble = h.start(), time.Now()
	h.say("a leader starts")
}

func (h *history) key() int { return h.random.IntN(len(h.keys)) }

// act does one thing.
func (h *history) act() {
	i := h.key()
	k := h.keys[i]
	seconds := func(from, to int) time.Duration { return time.Duration(from+h.random.IntN(to-from)) * time.Second }
	switch h.random.IntN(28) {
	case 0, 1, 2, 3, 4, 5:
		for _, k := range h.keys[i:min(i+1+h.random.IntN(4), len(h.keys))] {
			h.say("published: %s", k.Short())
			h.publish(k)
		}
	case 6, 7, 8:
		h.say("removed: %s", k.Short())
		h.remove(k)
	case 9:
		h.say("retracted: %s", k.Short())
		h.remove(k)
		leader := h.leader
		go func() { _ = leader.Forget(h.t.Context(), k) }() // S3 tells of it too
	case 10:
		h.say("removed, and nobody is told: %s", k.Short())
		h.notifications(fault.Rule{Kind: fault.Drop, ID: "silent"}, func() { h.remove(k) })
		h.lost[k] = true
	case 11:
		h.say("published, and nobody is told: %s", k.Short())
		h.notifications(fault.Rule{Kind: fault.Drop, ID: "silent"}, func() { h.publish(k) })
		h.lost[k] = true
	case 12:
		late := fault.Duration(seconds(1, 100))
		h.say("notifications come twice, and %s late", time.Duration(late))
		h.blame(seconds(1, 20), fault.Rule{Service: fault.S3, Operation: "Notification", Kind: fault.Duplicate})
		h.blame(seconds(1, 20), fault.Rule{Service: fault.S3, Operation: "Notification", Kind: fault.Delay, Delay: late, Probability: 0.7})
	case 13, 14:
		n, after := 1+h.random.IntN(60), h.random.IntN(2) == 0
		down := []time.Duration{0, seconds(1, 10), seconds(60, 600), seconds(3600, 7200), 25 * time.Hour}[h.random.IntN(5)]
		if down > time.Hour && h.random.IntN(3) > 0 {
			down = 0
		}
		h.say("the leader dies within %d calls (after its effect: %v), for %s", n, after, down)
		h.leader.gate.killAt(n, after)
		h.pass(seconds(1, 8))
		h.leader.gate.die()
		h.pass(down)
		h.lead()
	case 15:
		d, alone := seconds(1, 200), h.random.IntN(2) == 0
		h.say("the leader stands still for %s (alone: %v)", d, alone)
		paused := h.leader
		paused.gate.pause()
		if alone {
			h.pass(d)
		} else {
			h.pass(seconds(1, 15))
			h.lead()
			h.pass(d)
		}
		h.trouble = time.Now()
		paused.gate.continues()
	case 16:
		h.say("Redis is emptied")
		h.redisDo(h.box.FlushRedis)
	case 17, 18:
		if !h.saved || h.random.IntN(3) == 0 {
			h.say("Redis is saved")
			h.saved = true
			h.redisDo(h.box.SaveRedis)
			break
		}
		h.say("Redis comes back as it was saved")
		_ = h.box.RestoreRedis(h.t.Context()) // it was empty when it was saved
		h.trouble = time.Now()
	case 19:
		d := seconds(1, 25)
		h.say("Redis hangs for %s", d)
		h.box.HangRedis(d)
		h.faults["hang"] = time.Now().Add(d)
	case 20:
		h.say("a third of what is sent to Redis has no answer")
		h.set(func() { h.loss = 1. / 3 })
		h.faults["loss"] = time.Now().Add(seconds(5, 30))
	case 21:
		h.say("Redis is full")
		h.set(func() { h.full = true })
		h.faults["full"] = time.Now().Add(seconds(2, 30))
	case 22:
		h.say("DynamoDB throttles")
		for _, operation := range []string{"BatchWriteItem", "BatchGetItem", "Scan", "PutItem", "GetItem", "Query", "DescribeTable"} {
			h.blame(seconds(2, 30), fault.Rule{Service: fault.DynamoDB, Operation: operation, Kind: fault.Throttle, Probability: 0.3})
		}
		h.blame(seconds(2, 30), fault.Rule{Service: fault.DynamoDB, Operation: "BatchWriteItem", Kind: fault.Partial, Probability: 0.5})
		h.blame(seconds(2, 30), fault.Rule{Service: fault.DynamoDB, Operation: "BatchGetItem", Kind: fault.Partial, Probability: 0.5})
	case 23:
		h.say("answers get lost")
		for _, service := range []string{fault.Streams, fault.DynamoDB, fault.SQS, fault.S3} {
			for _, operation := range []string{"GetRecords", "DescribeStream", "GetShardIterator", "BatchWriteItem", "PutItem", "DeleteMessageBatch", "ReceiveMessage", "GetObject"} {
				h.blame(seconds(2, 30), fault.Rule{Service: service, Operation: operation, Kind: fault.Drop, Probability: 0.3})
			}
		}
		h.blame(seconds(2, 30), fault.Rule{Service: fault.S3, Operation: "GetObject", Kind: fault.Throttle, Probability: 0.5})
		h.blame(seconds(2, 30), fault.Rule{Service: fault.SQS, Operation: "ReceiveMessage", Kind: fault.Duplicate, Probability: 0.5})
	case 24:
		h.say("the stream's shards split")
		if err := h.box.SplitStream(outputsTable); err != nil {
			h.t.Fatal(err)
		}
		h.trouble = time.Now() // the children are listed within ten seconds
	case 25:
		h.say("flickers: %s", k.Short())
		for range 2 + h.random.IntN(8) {
			if h.random.IntN(2) == 0 {
				h.publish(k)
			} else {
				h.remove(k)
			}
			time.Sleep(time.Duration(h.random.IntN(30)) * time.Millisecond)
		}
	case 26:
		h.say("the view is built anew")
		h.leader.Follower.Rebuild()
	case 27:
		if h.retention <= 2*time.Minute { // until about half of what there is is due
			h.pass(h.retention * 6 / 10)
		}
		h.say("a run rests on all that there is; removed meanwhile: %s", k.Short())
		h.leader.Used(h.keys)
		time.Sleep(time.Duration(h.random.IntN(150)) * time.Millisecond)
		h.remove(k)
	}
}

// blame adds a fault for a while.
func (h *history) blame(d time.Duration, r fault.Rule) {
	added, err := h.box.Faults().Add(r)
	if err != nil {
		h.t.Fatal(err)
	}
	h.faults[added.ID] = time.Now().Add(d)
}

// notifications does something while a rule is about S3's notifications.
func (h *history) notifications(r fault.Rule, do func()) {
	r.Service, r.Operation = fault.S3, "Notification"
	if _, err := h.box.Faults().Add(r); err != nil {
		h.t.Fatal(err)
	}
	do()
	h.box.Faults().Remove(r.ID)
}

func (h *history) redisDo(do func(context.Context) error) {
	if err := do(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	h.trouble = time.Now()
}

// pass lets time pass and looks on, each second while somebody leads.
func (h *history) pass(d time.Duration) {
	for until := time.Now().Add(d); ; {
		h.mend()
		h.observe()
		left := time.Until(until)
		if left <= 0 || h.t.Failed() {
			return
		}
		step := time.Second
		if h.leader.gate.isDead() {
			step = max(step, d/20)
		}
		time.Sleep(min(step, left))
	}
}

// mend ends the faults whose time is over, and puts another leader in the place of one that has left by itself.
func (h *history) mend() {
	if h.leader.gate.isPaused() {
		h.trouble = time.Now()
	}
	for id, until := range h.faults {
		h.trouble = time.Now()
		if time.Now().Before(until) {
			continue
		}
		delete(h.faults, id)
		switch id {
		case "hang": // ends by itself
		case "loss":
			h.set(func() { h.loss = 0 })
		case "full":
			h.set(func() { h.full = false })
		default:
			h.box.Faults().Remove(id)
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
	h.look()
	h.ask("a reader", h.reader)
	if !h.leader.gate.isDead() && !h.leader.gate.isPaused() {
		h.ask("the leader", h.leader)
	}
	if h.random.IntN(10) == 0 {
		fresh := h.join()
		h.ask("a new reader", fresh)
		fresh.stop()
	}
}

func (h *history) look() {
	now := time.Now()
	items := h.inLedger(h.keys)
	for i, key := range h.keys {
		h.set(func() {
			k := h.known[i]
			expires, present := items[key]
			if k.present != present || !k.expires.Equal(expires) {
				*k = knowledge{written: k.written, present: present, expires: expires, since: now}
			}
			wait := staleAfter + settlesIn
			if now.Sub(h.trouble) >= calmFor && !h.leader.gate.isDead() && !h.leader.gate.isPaused() {
				wait = settlesIn
			}
			if now.Sub(k.since) >= wait && now.Sub(k.written) >= wait {
				k.settled = true
			}
		})
	}
}

// ask compares the answers for what was settled before and still is.
func (h *history) ask(who string, p *process) {
	snapshot := func() []knowledge {
		var all []knowledge
		h.set(func() {
			for _, k := range h.known {
				all = append(all, *k)
			}
		})
		return all
	}
	before := snapshot()
	answers := p.Lookup(h.t.Context(), h.keys)
	now, after := time.Now(), snapshot()
	for i, k := range after {
		if !k.settled || before[i] != k {
			continue
		}
		switch {
		case !k.present && answers[i] == job.Hit:
			h.t.Errorf("%9.3fs %s calls %s a hit, which has not been in the ledger for %s", now.Sub(h.began).Seconds(), who, h.keys[i].Short(), now.Sub(k.since))
		case k.present && now.Before(k.expires) && answers[i] == job.Miss:
			h.t.Errorf("%9.3fs %s calls %s a miss, which has been in the ledger for %s", now.Sub(h.began).Seconds(), who, h.keys[i].Short(), now.Sub(k.since))
		}
	}
}

// calm ends all faults and waits until view, ledger and S3 are the same.
func (h *history) calm() {
	h.say("all faults end")
	h.box.Faults().Clear()
	for id := range h.faults {
		h.faults[id] = time.Now()
	}
	for _, p := range append(h.others, h.leader) {
		p.gate.continues()
	}
	if h.leader.gate.isDead() {
		h.lead()
	}
	told := h.random.IntN(2) == 0 // else it is for reconciliation to find
	for _, k := range h.keys {
		if h.lost[k] && told { // days late
			if _, err := h.clients.SQS.SendMessage(h.t.Context(), &sqs.SendMessageInput{QueueUrl: &h.queueURL, MessageBody: aws.String(createdBody(job.ManifestPath(k)))}); err != nil {
				h.t.Fatal(err)
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

func (h *history) differences() []string {
	var all []string
	if n := h.waiting(); n != "0 and 0" {
		all = append(all, n+" notifications wait")
	}
	items := h.inLedger(h.keys)
	answers := h.leader.askView(h.t.Context(), time.Now(), h.keys)
	for i, k := range h.keys {
		inLedger := time.Now().Before(items[k])
		if inS3 := h.inS3(k); inS3 != inLedger {
			all = append(all, fmt.Sprintf("%s: in S3 %v, in the ledger %v", k.Short(), inS3, inLedger))
		}
		if inView := answers[i] == job.Hit; answers[i] == job.Unknown || inView != inLedger {
			all = append(all, fmt.Sprintf("%s: in the ledger %v, in the view %s", k.Short(), inLedger, answers[i]))
		}
	}
	return all
}
