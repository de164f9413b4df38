package scaler

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"spate/internal/price"
)

var chaosSeed = flag.Uint64("chaos-seed", 0, "the one seed of the chaos test to run again; 0: some")

// TestNothingIsLaunchedTwiceNorTooOftenWhateverFails lets controllers ramp pools up, one after another being killed at
// random steps, while calls are refused, answered in part or lost before or after their effect, listings fail and the journal
// fails. At no moment may a pool have more workers than were ever wanted of it, nor all pools together more than quotas,
// interfaces and budget allow. When the faults end, each pool must come to have exactly what is wanted, or what the account
// has room for; when there is no work any more the workers leave, and nobody stops them.
func TestNothingIsLaunchedTwiceNorTooOftenWhateverFails(t *testing.T) {
	seeds := []uint64{*chaosSeed}
	if *chaosSeed == 0 {
		n := 60
		if testing.Short() || raceEnabled {
			n = 6
		}
		seeds = seeds[:0]
		for range n {
			seeds = append(seeds, rand.Uint64())
		}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("chaos-seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newChaos(t, seed).run() })
		})
	}
}

// chaos is a stage on which everything goes wrong for a while.
type chaos struct {
	*stage
	pools []Pool

	mu    sync.Mutex
	dice  *rand.Rand
	calm  bool
	jobs  map[string]int // by pool
	most  map[string]int // that was ever wanted
	share struct{ before, after, partial, journal float64 }

	bound   Account
	bounded bool // by the account: not all that is wanted may be had
}

func newChaos(t *testing.T, seed uint64) *chaos {
	c := &chaos{stage: newStage(t, 0), dice: rand.New(&sharedDice{source: rand.NewPCG(seed, 0)}), jobs: map[string]int{}, most: map[string]int{}}
	for i := range 1 + c.dice.IntN(3) {
		p := c.pool
		p.Name = fmt.Sprintf("pool%d", i)
		p.Family, p.Priority, p.Max = "spate-"+p.Name, c.dice.IntN(3), 10+c.dice.IntN(150)
		p.Capacity = []Capacity{{Provider: "FARGATE_SPOT", Max: p.Max}, {Provider: "FARGATE", Max: p.Max}}[:1+c.dice.IntN(2)]
		p.Slots = 1 + c.dice.IntN(3)
		c.pools = append(c.pools, p)
	}
	c.ecs.lag, c.ecs.start = c.upTo(15*time.Second), c.upTo(time.Minute)
	c.ecs.rate = Rate{Burst: 10 + c.dice.IntN(100), PerSecond: 2 + 30*c.dice.Float64()}
	c.share.before, c.share.after, c.share.partial, c.share.journal = c.oneOf(0, 0.1, 0.5), c.oneOf(0, 0.05, 0.5, 1), c.oneOf(0, 0.3), c.oneOf(0, 0.1)
	if c.bounded = c.dice.IntN(2) == 0; c.bounded {
		c.bound = Account{
			VCPUs:             map[string]float64{"FARGATE": float64(5 + c.dice.IntN(100)), "FARGATE_SPOT": float64(5 + c.dice.IntN(100))},
			NetworkInterfaces: 5 + c.dice.IntN(200),
			PerHour:           price.USD(0.5 + 10*c.dice.Float64()),
		}
	}
	c.ecs.refuse, c.ecs.partial, c.journal.fail = c.refuse, c.part, c.failJournal
	return c
}

// sharedDice may be thrown by several goroutines.
type sharedDice struct {
	mu     sync.Mutex
	source rand.Source
}

func (d *sharedDice) Uint64() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.source.Uint64()
}

func (c *chaos) upTo(d time.Duration) time.Duration { return time.Duration(c.dice.Int64N(int64(d))) }

func (c *chaos) oneOf(shares ...float64) float64 { return shares[c.dice.IntN(len(shares))] }

// happens is called with or without the stage's own lock.
func (c *chaos) happens(share float64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.calm && c.dice.Float64() < share
}

func (c *chaos) refuse(*ecs.RunTaskInput) (before, after error) {
	if c.happens(c.share.before) {
		c.mu.Lock()
		defer c.mu.Unlock()
		errs := []error{errThrottled, errReset, &ecstypes.ServerException{}, &ecstypes.InvalidParameterException{
			Message: aws.String("Rate exceeded: RequestLimitExceeded"),
		}}
		return errs[c.dice.IntN(len(errs))], nil
	}
	if c.happens(c.share.after) {
		return nil, errReset
	}
	return nil, nil
}

func (c *chaos) part(in *ecs.RunTaskInput) (launch int, reason string) {
	n := int(aws.ToInt32(in.Count))
	if !c.happens(c.share.partial) {
		return n, ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dice.IntN(n), "Capacity is unavailable at this time. Please try again later or in a different availability zone"
}

func (c *chaos) failJournal() (before, after error) {
	if c.happens(c.share.journal) {
		return errReset, nil
	}
	if c.happens(c.share.journal) {
		return nil, errReset
	}
	return nil, nil
}

func (c *chaos) demand(pool string) Demand {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Demand{Outstanding: c.jobs[pool], TaskDefinition: "spate-" + pool + ":7", Worker: chaosWorker, At: time.Now(), Known: true}
}

// want changes how many jobs there are.
func (c *chaos) want(p Pool, jobs int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jobs[p.Name] = jobs
	c.most[p.Name] = max(c.most[p.Name], c.wanted(p))
}

func (c *chaos) wanted(p Pool) int { return min(p.Max, (c.jobs[p.Name]+p.Slots-1)/p.Slots) }

// alive are a pool's tasks that have not stopped.
func (c *chaos) alive(p Pool) int {
	n, now := 0, time.Now()
	c.ecs.set(func() {
		for _, task := range c.ecs.tasks {
			if task.family == p.Family && !task.gone(now) {
				n++
			}
		}
	})
	return n
}

// chaosWorker is the size of every worker.
var chaosWorker = WorkerSize{VCPU: 1, MemoryGB: 2, Arch: price.X86}

// use is what all workers take of the account.
func (c *chaos) use() (tasks int, vcpus map[string]float64, perHour price.USD) {
	vcpus = map[string]float64{}
	now := time.Now()
	c.ecs.set(func() {
		for _, task := range c.ecs.tasks {
			if task.gone(now) {
				continue
			}
			tasks++
			vcpus[task.provider] += chaosWorker.VCPU
			perHour += price.TaskPerHour(chaosWorker.VCPU, chaosWorker.MemoryGB, chaosWorker.Arch, task.provider == "FARGATE_SPOT")
		}
	})
	return tasks, vcpus, perHour
}

// checkAccount finds what goes beyond the account's bounds.
func (c *chaos) checkAccount() {
	c.t.Helper()
	if !c.bounded {
		return
	}
	tasks, vcpus, perHour := c.use()
	for provider, n := range vcpus {
		if n > c.bound.VCPUs[provider] {
			c.t.Fatalf("%v vCPUs on %s, the quota is %v", n, provider, c.bound.VCPUs[provider])
		}
	}
	if tasks > c.bound.NetworkInterfaces || perHour > c.bound.PerHour+1e-9 {
		c.t.Fatalf("%d workers for %s an hour, beyond %d interfaces or %s", tasks, perHour, c.bound.NetworkInterfaces, c.bound.PerHour)
	}
}

// full reports whether no further worker of the pool fits into the account.
func (c *chaos) full(p Pool) bool {
	if !c.bounded {
		return false
	}
	tasks, vcpus, perHour := c.use()
	for _, x := range p.Capacity {
		one := price.TaskPerHour(chaosWorker.VCPU, chaosWorker.MemoryGB, chaosWorker.Arch, x.Provider == "FARGATE_SPOT")
		if tasks < c.bound.NetworkInterfaces && vcpus[x.Provider]+1 <= c.bound.VCPUs[x.Provider] && perHour+one <= c.bound.PerHour {
			return false
		}
	}
	return true
}

func (c *chaos) check() {
	c.t.Helper()
	c.checkAccount()
	for _, p := range c.pools {
		if n := c.alive(p); n > c.most[p.Name] {
			c.t.Fatalf("%s has %d workers; of at most %d, never more than %d were wanted", p.Name, n, p.Max, c.most[p.Name])
		}
	}
}

// lead runs a controller that dies at its step at; 0: not by itself.
func (c *chaos) lead(at int) *mortal {
	m := &mortal{world: c.ecs, term: c.journal.lead(), at: at, after: c.dice.IntN(2) == 0}
	c.pool, c.jobsOf, c.account = c.pools[0], c.demand, c.bound
	c.stage.run(m, m, m, c.pools[1:]...)
	return m
}

func (c *chaos) run() {
	for range 1 + c.dice.IntN(5) {
		for _, p := range c.pools { // more work, never less: workers do not leave yet
			c.want(p, c.jobs[p.Name]+c.dice.IntN(200))
		}
		m := c.lead(3 + c.dice.IntN(500))
		down, life := c.dice.IntN(3) == 0, time.Duration(c.oneOf(4, 4, 16))*time.Minute // beyond the time of an intent, too
		for until := time.Now().Add(10*time.Second + c.upTo(life)); time.Now().Before(until) && !m.died(); {
			c.ecs.set(func() { c.ecs.down = down && c.dice.IntN(2) == 0 })
			time.Sleep(time.Second)
			synctest.Wait()
			c.check()
		}
		_ = c.stop()
	}
	c.mu.Lock()
	c.calm = true
	c.mu.Unlock()
	c.ecs.set(func() { c.ecs.down = false })
	c.lead(0)
	complete := func(p Pool) bool {
		alive := c.alive(p)
		return (alive == c.wanted(p) || c.full(p)) && c.journal.status(p.Name).Running == alive
	}
	c.until("every pool has what is wanted of it", 40*time.Minute, func() bool {
		c.check()
		return !slices.ContainsFunc(c.pools, func(p Pool) bool { return !complete(p) })
	})
	for _, p := range c.pools {
		c.want(p, 0)
	}
	time.Sleep(2 * time.Second)
	c.ecs.set(func() { // the workers leave
		for _, task := range c.ecs.tasks {
			task.stopped = time.Now().Add(c.upTo(time.Minute))
		}
	})
	launched := c.ecs.launched()
	c.until("every worker is seen to have left", 5*time.Minute, func() bool {
		return !slices.ContainsFunc(c.pools, func(p Pool) bool {
			s := c.journal.status(p.Name)
			return s.Running+s.Pending > 0
		})
	})
	if n := c.ecs.launched(); n != launched {
		c.t.Errorf("%d tasks were launched after the work", n-launched)
	}
	if n := c.ecs.called("StopTask"); n > 0 {
		c.t.Errorf("%d tasks were stopped", n)
	}
	if err := c.stop(); err != nil {
		c.t.Error(err)
	}
}
