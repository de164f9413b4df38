package cache

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/rs/zerolog"

	"spate/internal/objects"
	"spate/internal/table"
	"spate/sandbox/fault"
)

// act is something that happens to a key, or to all.
type act struct {
	weight int
	do     func(h *history, i int)
}

func acts() []act {
	return []act{
		{2, (*history).publishedMore},
		{2, (*history).flickers},
		{2, (*history).removedUnnoticed},
		{2, (*history).publishedUnnoticed},
		{3, (*history).retracted},
		{3, (*history).retractedWhileItIsWritten},
		{2, (*history).forgottenByHand},
		{4, (*history).inUse},
		{1, (*history).pastItsLife},
		{2, (*history).plantedInView},
		{3, (*history).plantedAndRetracted},
		{1, (*history).plantedInLedger},
		{2, (*history).spoiltInLedger},
		{1, (*history).lostFromLedger},
		{2, (*history).toldAgain},
		{2, (*history).toldLate},
		{1, (*history).s3Slows},
		{1, (*history).ledgerRebuilt},
		{1, (*history).viewRebuilt},
		{4, (*history).removedBehindABuild},
		{4, (*history).leaderDies},
		{4, (*history).leaderStandsStill},
		{5, (*history).leaderIsOvertaken},
		{4, (*history).redisComesBackWhileNobodyLeads},
		{1, (*history).readerStandsStill},
		{1, (*history).checkpointsLost},
		{1, (*history).shardsSplit},
		{1, (*history).redisEmptied},
		{4, (*history).redisComesBack},
		{3, (*history).redisFails},
		{2, (*history).dynamoDBThrottles},
		{2, (*history).answersGetLost},
		{1, (*history).networkIsSlow},
	}
}

// act does one thing, more often than not to the key that the last one was done to.
func (h *history) act() {
	if h.random.IntN(3) == 0 {
		h.hot = h.random.IntN(len(h.keys))
	}
	sum := 0
	for _, a := range acts() {
		sum += a.weight
	}
	n := h.random.IntN(sum)
	for _, a := range acts() {
		if n -= a.weight; n < 0 {
			a.do(h, h.hot)
			return
		}
	}
}

// tellOf says what is done to a key.
func (h *history) tellOf(i int, what string) {
	h.say("%s: %s", what, h.keys[i].Short())
	h.note(i, "%s", what)
}

func (h *history) seconds(from, to int) time.Duration {
	return time.Duration(from+h.random.IntN(to-from)) * time.Second
}

// errand does something beside the history. Meanwhile there is an excuse for these keys.
func (h *history) errand(keys []int, do func(ctx context.Context)) {
	count := func(n int) {
		h.set(func() {
			for _, i := range keys {
				h.known[i].calls += n
				h.known[i].excused = time.Now()
			}
		})
	}
	count(+1)
	h.errands.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		do(ctx)
		count(-1)
	})
}

// excuse says why nobody tells the ledger of a key; "": somebody did.
func (h *history) excuse(i int, why string) {
	h.set(func() { h.known[i].excuse = why })
}

// publish and remove are meant.
func (h *history) publish(i int) {
	h.set(func() { h.known[i].wanted = true })
	h.world.publish(h.keys[i])
}

func (h *history) remove(i int) {
	h.set(func() { h.known[i].wanted = false })
	h.world.remove(h.keys[i])
}

// comesOrGoes has an output made, or deleted by hand.
func (h *history) comesOrGoes(i int) {
	if h.random.IntN(2) == 0 {
		h.tellOf(i, "published")
		h.publish(i)
		return
	}
	h.tellOf(i, "removed")
	h.remove(i)
}

func (h *history) publishedMore(int) {
	for i := range h.keys {
		if h.random.IntN(2) == 0 {
			h.tellOf(i, "published")
			h.publish(i)
		}
	}
}

func (h *history) flickers(i int) {
	h.tellOf(i, "flickers")
	for range 2 + h.random.IntN(8) {
		if h.random.IntN(2) == 0 {
			h.publish(i)
		} else {
			h.remove(i)
		}
		time.Sleep(time.Duration(h.random.IntN(30)) * time.Millisecond)
	}
}

// silently does something to a key of which S3 tells nobody.
func (h *history) silently(i int, do func(int)) {
	rule := fault.Rule{ID: "silent", Service: fault.S3, Operation: "Notification", Match: h.keys[i].String(), Kind: fault.Drop}
	if _, err := h.box.Faults().Add(rule); err != nil {
		h.t.Fatal(err)
	}
	h.excuse(i, nobodyIsTold)
	do(i)
	h.excuse(i, nobodyIsTold) // also where a look came in between
	h.box.Faults().Remove(rule.ID)
}

func (h *history) removedUnnoticed(i int) {
	h.tellOf(i, "removed, and nobody is told")
	h.silently(i, h.remove)
}

func (h *history) publishedUnnoticed(i int) {
	h.tellOf(i, "published, and nobody is told")
	h.silently(i, h.publish)
}

// retracted has a run find that an output is gone, of which S3 may have told or not. From then on there is no excuse: not even
// when the view alone has it.
func (h *history) retracted(i int) {
	if h.random.IntN(2) == 0 {
		h.tellOf(i, "removed and retracted")
		h.remove(i)
	} else {
		h.tellOf(i, "removed, and nobody is told but a run, which retracts it")
		h.silently(i, h.remove)
	}
	h.retract(i)
}

// retractedWhileItIsWritten has the updater look at an output that is retracted before it writes what it saw.
func (h *history) retractedWhileItIsWritten(i int) {
	h.tellOf(i, "published, and S3's answers take seconds")
	h.tarries("GET", 4*time.Second, 3*time.Second)
	h.publish(i)
	time.Sleep(time.Duration(100+h.random.IntN(900)) * time.Millisecond)
	h.tellOf(i, "removed, and nobody is told but a run, which retracts it")
	h.silently(i, h.remove)
	h.retract(i)
}

// tarries has answers to the processes' calls take up to so long, for a while.
func (h *history) tarries(call string, most, span time.Duration) {
	h.set(func() { h.tarry[call] = tarrying{most, time.Now().Add(span)} })
}

// retract has a run that finds an output gone say so.
func (h *history) retract(i int) {
	p := h.leader
	if p.gate.isDead() || p.gate.stands() {
		return
	}
	h.errand([]int{i}, func(ctx context.Context) {
		err := p.Forget(ctx, h.keys[i])
		h.note(i, "retracted: %v", err)
		h.set(func() {
			k := h.known[i]
			switch {
			case err != nil:
				k.excuse = "a retraction failed"
			case time.Now().Before(h.s3Fails):
				k.excuse = "it may have been retracted without a look at S3"
			default:
				k.excuse, k.planted = "", false
			}
		})
	})
}

// desk is where an operator works.
func (h *history) desk() (*process, Witnesses) {
	p := h.join()
	return p, Witnesses{
		View: p.View, Epochs: NewEpochs(NewTableRecords(table.New(p.aws.DynamoDB, runsTable)), zerolog.Nop()),
		Ledger: p.Ledger, S3: objects.New(p.aws.S3, testBucket), Retention: h.retention,
	}
}

func (h *history) forgottenByHand(i int) {
	h.tellOf(i, "taken back by an operator")
	p, w := h.desk()
	h.errand([]int{i}, func(ctx context.Context) {
		told, err := w.Ask(ctx, time.Now(), h.keys[i])
		if err == nil {
			_, err = w.Forget(ctx, table.New(p.aws.DynamoDB, runsTable), told[0], "ada", "")
		}
		h.note(i, "taken back: %v", err)
		if err != nil {
			h.excuse(i, "an operator could not take it back")
			return
		}
		h.set(func() { h.known[i].excuse, h.known[i].planted = "", false })
	})
}

// inUse has outputs copied in place, and one of them removed meanwhile.
func (h *history) inUse(i int) {
	if h.retention <= 2*time.Minute { // until about half of what there is is due
		h.pass(h.retention * 6 / 10)
	}
	h.tellOf(i, "a run rests on all that there is, and this is removed meanwhile")
	most := 150
	if h.random.IntN(2) == 0 {
		most = 3000
		h.tarries("PUT", 3*time.Second, 10*time.Second)
	}
	h.leader.Used(h.keys)
	time.Sleep(time.Duration(h.random.IntN(most)) * time.Millisecond)
	h.remove(i)
}

// pastItsLife has the lifecycle remove what has expired.
func (h *history) pastItsLife(int) {
	if h.retention > 2*time.Minute {
		return
	}
	h.pass(h.retention)
	for i, k := range h.snapshot() {
		if !k.made.IsZero() && !k.lives(time.Now(), h.retention) {
			h.tellOf(i, "removed by the lifecycle")
			h.remove(i)
		}
	}
}

// plantedInView puts a member into the live epoch of which nobody knows.
func (h *history) plantedInView(i int) {
	record, found, err := NewTableRecords(table.New(h.eyes.DynamoDB, runsTable)).LoadEpoch(h.t.Context())
	if err != nil || !found || record.Live == 0 || h.faulty("hang", "loss", "full") {
		return
	}
	k := h.keys[i]
	h.tellOf(i, "put into the view by hand")
	h.set(func() { h.known[i].planted = true })
	p := h.join()
	p.redis.SAdd(h.t.Context(), p.View.bucketKey(record.Live, record.Bits.bucket(k)), record.Bits.member(k))
	p.stop()
}

// plantedAndRetracted puts into the view what neither S3 nor the ledger has, and has a run find that out.
func (h *history) plantedAndRetracted(i int) {
	h.tellOf(i, "removed")
	h.remove(i)
	h.pass(h.seconds(2, 6))
	h.plantedInView(i)
	h.retract(i)
}

func (h *history) faulty(ids ...string) bool {
	for _, id := range ids {
		if _, is := h.faults[id]; is {
			return true
		}
	}
	return false
}

// byHand puts an item into the ledger.
func (h *history) byHand(i int, what string, expires types.AttributeValue) {
	h.tellOf(i, what)
	h.excuse(i, what)
	item := itemKey(h.keys[i])
	item["created_at"], item["expires_at"] = &types.AttributeValueMemberN{Value: "1"}, expires
	h.change(i, types.TransactWriteItem{Put: &types.Put{TableName: aws.String(outputsTable), Item: item}})
}

// change writes the ledger by a call that no fault is about.
func (h *history) change(i int, write types.TransactWriteItem) {
	if _, err := h.eyes.DynamoDB.TransactWriteItems(h.t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{write}}); err != nil {
		h.t.Fatal(err)
	}
	h.set(func() { h.known[i].item.written, h.known[i].item.settled = time.Now(), false })
}

func (h *history) plantedInLedger(i int) {
	h.byHand(i, "put into the ledger by hand", &types.AttributeValueMemberN{Value: "9999999999"})
}

func (h *history) spoiltInLedger(i int) {
	h.byHand(i, "spoilt in the ledger", &types.AttributeValueMemberS{Value: "tomorrow"})
}

func (h *history) lostFromLedger(i int) {
	h.tellOf(i, "deleted from the ledger by hand")
	h.excuse(i, "deleted by hand")
	h.change(i, types.TransactWriteItem{Delete: &types.Delete{TableName: aws.String(outputsTable), Key: itemKey(h.keys[i])}})
}

// toldAgain repeats what S3 told earlier.
func (h *history) toldAgain(int) {
	for range min(len(h.heard), 3) {
		h.say("told again what was told before")
		h.tell(h.heard[h.random.IntN(len(h.heard))])
	}
}

func (h *history) toldLate(int) {
	late, span := h.seconds(1, 100), h.seconds(1, 20)
	h.say("for %s notifications come twice, and %s late", span, late)
	h.set(func() { h.delays = append(h.delays, delay{time.Now().Add(span + time.Second), late}) })
	h.blame(span, fault.Rule{Service: fault.S3, Operation: "Notification", Kind: fault.Duplicate})
	h.blame(span, fault.Rule{Service: fault.S3, Operation: "Notification", Kind: fault.Delay, Delay: fault.Duration(late), Probability: 0.7})
}

func (h *history) s3Slows(int) {
	span := h.seconds(2, 30)
	h.say("S3 asks to slow down for %s", span)
	h.s3Suffers(span, fault.Throttle)
}

func (h *history) s3Suffers(span time.Duration, kind fault.Kind) {
	h.set(func() { h.s3Fails = later(h.s3Fails, time.Now().Add(span+30*time.Second)) })
	h.blame(span, fault.Rule{Service: fault.S3, Operation: "GetObject", Kind: kind, Probability: []float64{0.5, 0.9}[h.random.IntN(2)]})
}

// ledgerRebuilt has an operator bring into the ledger what S3 has, or try.
func (h *history) ledgerRebuilt(int) {
	h.say("the ledger is rebuilt from S3")
	p, w := h.desk()
	all := make([]int, len(h.keys))
	for i := range all {
		all[i] = i
		h.note(i, "the ledger is rebuilt from S3")
	}
	var dies time.Duration
	if h.random.IntN(2) == 0 {
		dies = time.Duration(h.random.IntN(4000)) * time.Millisecond
	}
	h.errand(all, func(ctx context.Context) {
		if dies > 0 {
			timer := time.AfterFunc(dies, p.gate.die)
			defer timer.Stop()
		}
		_, err := RebuildLedger(ctx, LedgerRebuildOptions{
			Objects: objects.New(p.aws.S3, testBucket), Ledger: w.Ledger, Cursors: NewTableRecords(table.New(p.aws.DynamoDB, runsTable)),
			Retention: h.retention, Log: zerolog.Nop(),
		}, nil)
		for i := range h.keys {
			h.note(i, "the ledger was rebuilt: %v", err)
			if err != nil {
				h.excuse(i, "a rebuild may have stopped between its write and its second look")
			}
		}
	})
}

func (h *history) viewRebuilt(int) {
	h.say("the view is built anew")
	h.leader.Follower.Rebuild()
}

// removedBehindABuild removes what the scans of a build have read, and not written. The leader may die when some of them
// have.
func (h *history) removedBehindABuild(i int) {
	if h.snapshot()[i].made.IsZero() {
		h.tellOf(i, "published")
		h.publish(i)
		h.pass(3 * time.Second)
	}
	h.say("the view is built anew, and the ledger's answers take seconds")
	h.tarries("Scan", 8*time.Second, 5*time.Second)
	h.leader.Follower.Rebuild()
	h.pass(time.Duration(300+h.random.IntN(700)) * time.Millisecond)
	for k := range h.keys {
		if k == i || h.random.IntN(2) == 0 {
			h.tellOf(k, "removed")
			h.remove(k)
		}
	}
	if h.random.IntN(2) == 0 {
		h.pass(h.seconds(3, 7))
		h.say("the leader dies")
		h.leader.gate.die()
		h.lead()
	}
	h.pass(10 * time.Second)
}

func (h *history) leaderDies(int) {
	n, after := 1+h.random.IntN(40), h.random.IntN(2) == 0
	down := []time.Duration{0, 0, 0, h.seconds(1, 10), h.seconds(60, 600), h.seconds(60, 600)}[h.random.IntN(6)]
	if h.random.IntN(40) == 0 {
		down = []time.Duration{h.seconds(3600, 7200), 25 * time.Hour}[h.random.IntN(2)]
	}
	h.say("the leader dies within %d calls (after its effect: %v), for %s", n, after, down)
	h.leader.gate.killAt(n, after)
	h.pass(h.seconds(1, 5))
	h.leader.gate.die()
	if down >= time.Minute { // and nobody tells the view
		h.lostFromLedger(h.random.IntN(len(h.keys)))
		h.lostFromLedger(h.random.IntN(len(h.keys)))
	}
	h.pass(down)
	h.lead()
}

// redisComesBackWhileNobodyLeads has it come back without what was written since it was saved, between two leaders.
func (h *history) redisComesBackWhileNobodyLeads(i int) {
	h.say("Redis is saved")
	h.redisDo(h.box.SaveRedis)
	h.saved = true
	h.turnsAround(i)
	h.turnsAround(h.random.IntN(len(h.keys)))
	h.pass(h.seconds(3, 7))
	h.say("the leader dies, and Redis comes back as it was saved")
	h.leader.gate.die()
	_ = h.box.RestoreRedis(h.t.Context()) // it was empty when it was saved
	h.trouble = time.Now()
	h.pass(h.seconds(0, 3))
	h.lead()
}

// turnsAround has an output made that is not there, and one that is, removed.
func (h *history) turnsAround(i int) {
	if h.snapshot()[i].wanted {
		h.tellOf(i, "removed")
		h.remove(i)
		return
	}
	h.tellOf(i, "published")
	h.publish(i)
}

// leaderIsOvertaken has it stand still between a look at S3 and the write, and the next one handle the next change meanwhile. It may
// die when it has written.
func (h *history) leaderIsOvertaken(i int) {
	p := h.leader
	if p.gate.isDead() || p.gate.stands() {
		return
	}
	h.say("the leader stands still before its next write, and another takes over")
	p.gate.pauseBefore("BatchWriteItem")
	h.takeover = time.Now().Add(h.seconds(10, 16))
	h.turnsAround(i)
	h.pass(18 * time.Second)
	h.turnsAround(i)
	h.pass(h.seconds(3, 8))
	dies := h.random.IntN(2) == 0
	h.say("the one that stood still goes on, and dies: %v", dies)
	if dies {
		p.gate.killAt(1+h.random.IntN(6), true)
	}
	p.gate.continues()
	if dies {
		h.pass(updateVisibility + 5*time.Second) // its messages come again
	}
}

// leaderStandsStill may happen just before it does something, and for long enough to be overtaken, which takes the lease ten seconds.
func (h *history) leaderStandsStill(i int) {
	d := h.seconds(1, 120)
	before := []string{"", "BatchWriteItem", "BatchWriteItem", "DeleteMessageBatch", "PutItem", "UpdateItem", "GetRecords", "redis"}[h.random.IntN(8)]
	p := h.leader
	if p.gate.isDead() || p.gate.stands() {
		return
	}
	if h.random.IntN(2) == 0 {
		h.takeover = time.Now().Add(h.seconds(10, 16))
	}
	h.say("the leader stands still before its next %q, for %s; another takes over: %v", before, d, !h.takeover.IsZero())
	if before == "" {
		p.gate.pause()
	} else {
		p.gate.pauseBefore(before)
	}
	time.AfterFunc(d, p.gate.continues)
	if h.random.IntN(2) == 0 {
		h.comesOrGoes(i)
	}
}

// readerStandsStill has one that has begun to ask go on much later.
func (h *history) readerStandsStill(int) {
	d := h.seconds(5, 100)
	h.say("a reader stands still for %s", d)
	p := h.join()
	h.ask("a new reader", p)
	q := h.question("a reader that stood still", p)
	p.gate.pauseBefore("redis")
	time.AfterFunc(d, p.gate.continues)
	h.errands.Go(func() {
		h.judge(q, p.Lookup(context.Background(), h.keys))
	})
}

func (h *history) checkpointsLost(int) {
	h.say("the checkpoints are lost")
	records := NewTableRecords(table.New(h.eyes.DynamoDB, runsTable))
	checkpoints, err := records.LoadCheckpoints(h.t.Context())
	if err != nil {
		return // throttled
	}
	for _, c := range checkpoints {
		_ = records.DeleteCheckpoint(h.t.Context(), c.Shard) // the same
	}
}

func (h *history) shardsSplit(int) {
	h.say("the stream's shards split")
	if err := h.box.SplitStream(outputsTable); err != nil {
		h.t.Fatal(err)
	}
	h.trouble = time.Now() // the children are listed within ten seconds
}

func (h *history) redisDo(do func(context.Context) error) {
	if err := do(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	h.trouble = time.Now()
}

func (h *history) redisEmptied(int) {
	h.say("Redis is emptied")
	h.redisDo(h.box.FlushRedis)
}

func (h *history) redisComesBack(int) {
	if !h.saved || h.random.IntN(3) == 0 {
		h.say("Redis is saved")
		h.saved = true
		h.redisDo(h.box.SaveRedis)
		return
	}
	h.say("Redis comes back as it was saved")
	_ = h.box.RestoreRedis(h.t.Context()) // it was empty when it was saved
	h.trouble = time.Now()
}

func (h *history) redisFails(int) {
	switch d := h.seconds(1, 25); h.random.IntN(3) {
	case 0:
		h.say("Redis hangs for %s", d)
		h.box.HangRedis(d)
		h.faults["hang"] = time.Now().Add(d)
	case 1:
		h.say("a third of what is sent to Redis has no answer, for %s", d)
		h.set(func() { h.loss = 1. / 3 })
		h.faults["loss"] = time.Now().Add(d)
	default:
		h.say("Redis is full, for %s", d)
		h.set(func() { h.full = true })
		h.faults["full"] = time.Now().Add(d)
	}
	h.trouble = time.Now()
}

func (h *history) dynamoDBThrottles(int) {
	h.say("DynamoDB throttles")
	for _, operation := range []string{"BatchWriteItem", "BatchGetItem", "Scan", "PutItem", "GetItem", "Query", "DescribeTable"} {
		h.blame(h.seconds(2, 30), fault.Rule{Service: fault.DynamoDB, Operation: operation, Kind: fault.Throttle, Probability: 0.3})
	}
	if h.random.IntN(2) == 0 {
		h.blame(h.seconds(10, 40), fault.Rule{Service: fault.DynamoDB, Operation: "BatchWriteItem", Kind: fault.Throttle})
	}
	h.blame(h.seconds(2, 30), fault.Rule{Service: fault.DynamoDB, Operation: "BatchWriteItem", Kind: fault.Partial, Probability: 0.5})
	h.blame(h.seconds(2, 30), fault.Rule{Service: fault.DynamoDB, Operation: "BatchGetItem", Kind: fault.Partial, Probability: 0.5})
}

func (h *history) answersGetLost(int) {
	h.say("answers get lost")
	for _, service := range []string{fault.Streams, fault.DynamoDB, fault.SQS} {
		for _, operation := range []string{"GetRecords", "DescribeStream", "GetShardIterator", "BatchWriteItem", "PutItem", "DeleteMessageBatch", "ReceiveMessage"} {
			h.blame(h.seconds(2, 30), fault.Rule{Service: service, Operation: operation, Kind: fault.Drop, Probability: 0.3})
		}
	}
	h.s3Suffers(h.seconds(2, 30), fault.Drop)
	h.blame(h.seconds(2, 30), fault.Rule{Service: fault.SQS, Operation: "ReceiveMessage", Kind: fault.Duplicate, Probability: 0.5})
}

// networkIsSlow has some calls take seconds.
func (h *history) networkIsSlow(int) {
	h.say("the network is slow")
	h.set(func() { h.slow = 1. / 30 })
	h.faults["slow"] = time.Now().Add(h.seconds(5, 30))
	h.trouble = time.Now()
}

// blame adds a fault for a while, which is over on time also when whoever looks on has to wait long for an answer.
func (h *history) blame(d time.Duration, r fault.Rule) {
	added, err := h.box.Faults().Add(r)
	if err != nil {
		h.t.Fatal(err)
	}
	h.faults[added.ID] = time.Now().Add(d)
	time.AfterFunc(d, func() { h.box.Faults().Remove(added.ID) })
}
