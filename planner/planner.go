package planner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"spate/internal/objects"
	"spate/internal/queue"
	"spate/internal/table"
	"spate/job"
)

// Sender puts messages on a queue, each at least once. A *queue.SendError names those that were not taken; after any
// other error each may or may not have been.
type Sender interface {
	Send(ctx context.Context, bodies ...string) error
}

// Receiver takes messages from a queue. One that is not deleted comes again after its visibility timeout.
type Receiver interface {
	Receive(ctx context.Context, limit int, wait, visibility time.Duration) ([]queue.Message, error)
	Delete(ctx context.Context, receipts ...string) error
}

// JobQueue is where a pool's workers take their jobs from. Depth is approximate: zero is no proof of emptiness.
type JobQueue interface {
	Sender
	Depth(ctx context.Context) (queue.Depth, error)
}

// Outputs knows which outputs exist. Lookup answers per key and errs towards a miss; an answer it cannot have is
// Unknown. Forget makes it say nothing of a key whose output proved gone. Used says that a run rests on outputs, which had
// better not expire then; it returns at once.
type Outputs interface {
	Lookup(ctx context.Context, keys []job.Key) []job.Presence
	Forget(ctx context.Context, key job.Key) error
	Used(keys []job.Key)
}

// Image is what a task definition's newest revision runs, pinned.
type Image struct {
	TaskDefinition string // ARN with its revision
	Container      string
	Digest         string  // "sha256:…"
	Platform       string  // "linux/amd64"
	VCPU           float64 // of the task; 0: not known
	MemoryGB       float64 // of the task, in GiB; 0: not known
}

// Images resolves a task definition family to its newest revision.
type Images interface {
	Resolve(ctx context.Context, family string) (Image, error)
}

// Pool is what the planner needs to know of one.
type Pool struct {
	Name           string
	Jobs           JobQueue
	DeadLetters    Receiver // where Jobs' redrive policy moves messages; nil when it has none
	TaskDefinition string   // family
	Slots          int      // jobs that a worker runs at a time
	Providers      []string // where workers are launched, most preferred first
	External       bool     // other producers fill its queue: it takes no runs, and needs no queues here
}

// noRunsIn says why a run cannot be for a pool.
func noRunsIn(pool string) string {
	return fmt.Sprintf("pool %q takes no runs: its jobs come from other producers (source: external)", pool)
}

// Options of a Planner. All but VerifyHits, Guard, Log, Registerer and Wake are required.
type Options struct {
	Table       *table.Table
	Fence       int64                          // of the lease under which this planner works
	Guard       func() types.TransactWriteItem // fails a transaction once somebody else has the lease; nil: nobody could
	Objects     *objects.Store
	Submissions Receiver
	Events      Receiver
	Outputs     Outputs
	Images      Images
	Pools       []Pool
	Catalogue   job.Catalogue
	Namespace   string
	Retention   time.Duration // after which an output counts as absent
	VerifyHits  float64       // the share of a run's hits that is looked for in S3 before the run rests on them: 0 to 1
	Wake        func()        // called when a pool's demand has grown
	Log         zerolog.Logger
	Registerer  prometheus.Registerer
}

func (o Options) validate() error {
	switch {
	case o.Table == nil, o.Objects == nil, o.Submissions == nil, o.Events == nil, o.Outputs == nil, o.Images == nil:
		return errors.New("planner: table, objects, submissions, events, outputs and images are required")
	case len(o.Pools) == 0:
		return errors.New("planner: no pools")
	case o.Namespace == "":
		return errors.New("planner: no namespace")
	case o.Retention <= 0:
		return errors.New("planner: retention must be more than 0")
	case !(o.VerifyHits >= 0 && o.VerifyHits <= 1):
		return errors.New("planner: the share of verified hits must be from 0 to 1")
	}
	return nil
}

// GCPercent is what a process that plans gives [runtime/debug.SetGCPercent]. A run of a million jobs is some 70 MB of
// few pointers, which are collected quickly, beside much that is needed for a moment only: at Go's own 100 the garbage
// may take as much again. At 15 the collector has some 4 % of the processor time of planning a million jobs, at 25 it has
// 3 %, and the controller has 6 MB more (BenchmarkPlan, BenchmarkController of test/bench).
const GCPercent = 15

// Planner runs runs. Make it with New, start it with Run.
type Planner struct {
	Options
	store   store
	metrics metrics
	pools   map[string]*poolState
	recent  recent

	// Owned by the loop.
	active    map[string]*activeRun
	shared    map[flight][]flight // of a flight: those of other runs that wait for it
	durations durations

	mu       sync.Mutex
	demand   map[string]Demand
	dropping map[string]bool // pools with a run that is being cancelled
}

type poolState struct {
	Pool
	depth        queue.Depth
	emptySince   time.Time // zero while the queue shows anything, or cannot be asked
	restingSince time.Time // zero while anything is in flight, or the queue cannot be asked
}

// New checks the options. Nothing is started.
func New(o Options) (*Planner, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Wake == nil {
		o.Wake = func() {}
	}
	p := &Planner{
		Options: o, store: store{o.Table, o.Fence, o.Guard}, metrics: newMetrics(o.Registerer), pools: map[string]*poolState{},
		active: map[string]*activeRun{}, shared: map[flight][]flight{}, durations: durations{}, demand: map[string]Demand{},
	}
	for _, pool := range o.Pools {
		if pool.External {
			continue
		}
		p.pools[pool.Name] = &poolState{Pool: pool}
	}
	return p, nil
}

func byAge(a, b *activeRun) int {
	if c := a.Received.Compare(b.Received); c != 0 {
		return c
	}
	if a.ID < b.ID {
		return -1
	}
	return 1
}

// runs are the active runs, the oldest first.
func (p *Planner) runs() []*activeRun {
	return slices.SortedFunc(maps.Values(p.active), byAge)
}

// turns is, by pool, the run that decides whose turn it is. It is made once a round: there may be thousands of runs.
type turns map[string]*activeRun

// turnsOf finds, of each pool's runs, the oldest that has jobs out, else the oldest. Settled runs have no turn, and neither
// has one that is being cancelled: nobody is launched for its jobs, or waits for them.
func (p *Planner) turnsOf(runs []*activeRun) turns {
	t := turns{}
	for _, a := range runs { // the oldest first
		if !a.takesTurns() {
			continue
		}
		if first := t[a.Pool]; first == nil || first.graph.Count(job.Queued) == 0 && a.graph.Count(job.Queued) > 0 {
			t[a.Pool] = a
		}
	}
	return t
}

func (a *activeRun) takesTurns() bool { return a.State == job.RunActive && !a.graph.Settled() }

// of reports whether a run may release jobs now. A pool works on one image at a time: workers of another would only hand
// its messages back. The oldest run goes first, unless jobs of another image are out already.
func (t turns) of(a *activeRun) (bool, string) {
	if first := t[a.Pool]; first != nil && first.Image != a.Image {
		return false, fmt.Sprintf("waits for run %s of pool %s, which works with another image", first.ID, a.Pool)
	}
	return true, ""
}
