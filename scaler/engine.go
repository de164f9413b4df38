package scaler

import (
	"cmp"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/rs/zerolog"
)

const (
	busyTick = time.Second     // while there is work, or anything unsettled
	idleTick = 5 * time.Second // else
)

// Engine is the scaler without clock, goroutines and I/O: it decides what to observe, what to launch and what to write
// down, and has it done by its [Hands]. Who drives it resumes each pool, then calls Turn whenever Due says so, and lets
// nothing of it overlap: neither Turn nor what its hands call back. It is the same engine whether a [Scaler] drives it by
// the clock or a simulation by a queue of events.
type Engine struct {
	o       Options
	hands   Hands
	metrics *metrics

	pools      []*pool
	paces      map[string]*Pace     // by provider
	launched   map[string]time.Time // when tasks of a provider were last launched
	remembered map[string]Learnt    // as written, by provider
	calls      *Bucket              // of RunTask
	calling    int                  // RunTask calls under way
	looks      *Bucket              // of ListTasks and DescribeTasks
	inquiries  []*inquiry           // that have not ended, oldest first
	clusters   []*cluster
	eventsAt   time.Time // when the queue of task events last answered
	nextTick   time.Time
	planNext   time.Time // when there may be room for further launches, if not before
	controls   controls
}

// Hands carry out what an Engine asks for. The calls of ECS take place beside the engine; done is called exactly once with
// the time and the answer, but not after the engine's life has ended, and never while the engine is at work: not even
// from within the method itself. An error that done returns ends the engine's life.
type Hands interface {
	// RunTask sends the request unless allowed says, asked right before, that it must not be sent any more: ErrNotSent.
	RunTask(in *ecs.RunTaskInput, allowed func(now time.Time) bool, done func(now time.Time, out *ecs.RunTaskOutput, err error) error)
	ListTasks(in *ecs.ListTasksInput, done func(now time.Time, out *ecs.ListTasksOutput, err error) error)
	DescribeTasks(in *ecs.DescribeTasksInput, done func(now time.Time, out *ecs.DescribeTasksOutput, err error) error)
	// StopTask's calls share their rate with RunTask's.
	StopTask(in *ecs.StopTaskInput, done func(now time.Time, out *ecs.StopTaskOutput, err error) error)
	DescribeClusters(in *ecs.DescribeClustersInput, done func(now time.Time, out *ecs.DescribeClustersOutput, err error) error)
	// Write stores records as [Journal] does. The engine waits for it.
	Write(r Records) error
	// ReadControls and MarkDrained are those of [Levers]. They are not called where the options have none.
	ReadControls(done func(now time.Time, controls map[string]Control, err error) error)
	MarkDrained(pool string, at time.Time, done func(now time.Time, none struct{}, err error) error)
}

// pool is what the engine knows of one pool.
type pool struct {
	Pool
	log     zerolog.Logger
	demand  Demand
	fleet   *fleet
	cluster *cluster
	intents map[string]*record
	made    int // intents, in this engine's life
	holds   []Hold
	last    Decision

	breakers breakers
	rooms    rooms

	observed PoolObservation // what last was decided for
	fell     time.Time       // when there were fewer outstanding jobs than before, or no worker running

	looking    bool // a listing is under way
	describing bool // descriptions of what is listed are
	watching   bool // descriptions between listings are
	nextLook   time.Time
	nextWatch  time.Time

	size      WorkerSize // as last known
	decisions decisionLog
	unwritten []Decided // of the log, oldest first
	drain     drainMark
	stopError string // ECS's words when it last refused to stop a task of a killed pool

	status  Status // as it should be written; its counters are the pool's
	written Status // as it was written
}

// record is an intent that has not ended, and how far it has come here.
type record struct {
	Intent
	number     int      // among those of one time, in the order in which they were made; 0 for a former leader's
	definition string   // the task definition that its request names
	stored     bool     // written at least once; else its request must not be sent
	dirty      bool     // changed since
	busy       bool     // a call or a question about it is under way
	unsure     bool     // its request may have been sent and have launched something, for all that is known
	seen       []string // its tasks that ECS has shown while its answer is unknown
	surplus    bool     // not wanted as of the last plan, so that it is not sent
	due        time.Time

	// Of its last call: whether its tokens are taken, whether they were a probe's, and when it was sent.
	paid, probe bool
	sent        time.Time
}

// NewEngine makes an engine that knows nothing yet: Resume tells it of each pool. Of the options it uses neither ECS, nor
// the journal, nor what wakes a Scaler.
func NewEngine(now time.Time, o Options, hands Hands) (*Engine, error) {
	if err := o.validateEngine(); err != nil {
		return nil, err
	}
	return newEngine(now, o, hands, newMetrics(o.Registerer)), nil
}

func newEngine(now time.Time, o Options, hands Hands, m *metrics) *Engine {
	e := &Engine{
		o: o, hands: hands, metrics: m, paces: map[string]*Pace{}, launched: map[string]time.Time{}, remembered: map[string]Learnt{}, calls: NewBucket(now, callRate()), looks: NewBucket(now, lookRate()),
		nextTick: now,
	}
	for _, p := range o.Pools {
		e.pools = append(e.pools, &pool{
			Pool: p, log: o.Log.With().Str("pool", p.Name).Logger(), fleet: newFleet(), intents: map[string]*record{},
			status: Status{Pool: p.Name}, breakers: breakers{idleTimeout: p.IdleTimeout},
		})
		for _, c := range p.Capacity {
			e.paces[c.Provider] = NewPace(now, o.LaunchRate, Learnt{})
		}
	}
	e.clusters = clustersOf(e.pools)
	return e
}

// Resume takes over where the leader before stopped: with a pool's intents that have not ended, and its status.
func (e *Engine) Resume(now time.Time, name string, intents []Intent, status Status) {
	for _, p := range e.pools {
		if p.Name == name {
			p.resume(now, intents, status)
		}
	}
}

// ResumeRates takes over the launch rates that leaders before have learnt.
func (e *Engine) ResumeRates(now time.Time, rates []Learnt) {
	for _, l := range rates {
		if l.PerSecond > 0 {
			e.paces[l.Provider] = NewPace(now, e.o.LaunchRate, l)
			e.remembered[l.Provider] = l
		}
	}
}

// ResetBreakers lets a pool that its breakers stop try again at once: somebody says that what was wrong is not any more.
func (e *Engine) ResetBreakers(now time.Time, name string) {
	for _, p := range e.pools {
		if p.Name == name {
			p.breakers.reset(now)
		}
	}
}

func (p *pool) resume(now time.Time, intents []Intent, status Status) {
	if status.Pool == p.Name {
		p.status, p.written, p.decisions.counted = status, status, status.Launched
		p.breakers.takeOver(now, status.Breakers)
	}
	for _, i := range intents {
		r := &record{Intent: i, stored: true, unsure: true}
		p.intents[i.ID] = r
		request, err := i.decodeRequest()
		if err != nil {
			p.unreadable(now, r, err)
		} else {
			r.definition = aws.ToString(request.TaskDefinition)
		}
		if i.State == IntentAnswered {
			p.fleet.launched(i.UpdatedAt, i.Provider, r.definition, i.Tasks)
		}
	}
	for _, m := range p.fleet.members {
		m.due = now
	}
	if len(intents) > 0 {
		p.log.Info().Int("intents", len(intents)).Msg("intents of the leader before taken over")
	}
}

// unreadable gives up an intent that waits for an answer to a request which cannot be decoded. One that has its answer
// needs the request no more.
func (p *pool) unreadable(now time.Time, r *record, why error) {
	if err := r.step(func(i Intent) (Intent, error) { return i.Unreadable(now, why) }); err == nil {
		p.log.Error().Err(why).Str("intent", r.ID).Int("count", r.Count).Msg("intent given up: its stored request cannot be read")
	}
}

// Turn does what is due. Its error ends the engine's life: ErrTermOver, or a record that contradicts itself.
func (e *Engine) Turn(now time.Time) error {
	e.readControls(now)
	if now.Before(e.nextTick) {
		e.inquire(now)
		return e.between(now)
	}
	return e.Tick(now)
}

// Tick makes a whole round, whether or not one is due: something has happened, such as a submission.
func (e *Engine) Tick(now time.Time) error {
	err := e.tick(now)
	e.nextTick = now.Add(idleTick)
	if slices.ContainsFunc(e.pools, (*pool).busy) {
		e.nextTick = now.Add(busyTick)
	}
	return err
}

// Due is when Turn should be called next, unless something happens before.
func (e *Engine) Due(now time.Time) time.Time {
	due := e.controls.due(e.o, e.nextTick)
	if e.planNext.After(now) {
		due = earlier(due, e.planNext)
	}
	if call := e.callDue(now); !call.IsZero() {
		due = earlier(due, later(call, now.Add(time.Millisecond)))
	}
	if look, ok := e.nextInquiry(now); ok {
		due = earlier(due, look)
	}
	return due
}

func (p *pool) busy() bool {
	return p.demand.Outstanding > 0 || len(p.intents) > 0 || len(p.fleet.members) > 0 || !p.fleet.known
}

// step moves an intent on.
func (r *record) step(next func(Intent) (Intent, error)) error {
	i, err := next(r.Intent)
	if err != nil {
		return err
	}
	r.Intent, r.dirty = i, true
	return nil
}

// sorted are those of the pool's intents that are asked for, oldest first.
func (p *pool) sorted(which func(r *record) bool) []*record {
	var records []*record
	for _, r := range p.intents {
		if which(r) {
			records = append(records, r)
		}
	}
	slices.SortFunc(records, func(a, b *record) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.number, b.number), cmp.Compare(a.ID, b.ID))
	})
	return records
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
