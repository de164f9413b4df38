package cache

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// State is where an epoch of the view is in its life.
type State string

// The states of an epoch. Only a live one answers.
const (
	StateBuilding  State = "building"  // being filled from the ledger
	StateLive      State = "live"      // answers
	StateSuspect   State = "suspect"   // something was read that contradicts what was written
	StateRetired   State = "retired"   // will not answer again; its keys are being removed
	StateAbandoned State = "abandoned" // its build failed; its keys are being removed
)

// Mark is how far an epoch is known to have been written. The zero Mark is of no epoch.
type Mark struct {
	Epoch    int64
	Sequence int64
	Bits     BucketBits // of the epoch
}

// believable decides whether content that was read between two readings of the sequence is the epoch's: both are there,
// neither is older than what is remembered, and the second not older than the first.
func believable(at Mark, before, after int64) bool {
	return before > 0 && before >= at.Sequence && after >= before
}

// Record is what the runs table remembers of the epochs. Its methods are the transitions; they change a copy.
type Record struct {
	Last         int64      `dynamodbav:"last"`                    // the last epoch number given out
	Live         int64      `dynamodbav:"live"`                    // 0 when none is
	Bits         BucketBits `dynamodbav:"bits,omitempty"`          // of the live epoch
	Sequence     int64      `dynamodbav:"sequence"`                // the live epoch had at least this
	Outputs      int64      `dynamodbav:"outputs,omitempty"`       // about as many were in the epoch that was live last
	Building     int64      `dynamodbav:"building"`                // 0 when none is
	BuildingBits BucketBits `dynamodbav:"building_bits,omitempty"` // of the epoch that is being built
	Dead         []Remains  `dynamodbav:"dead"`                    // whose keys are not yet removed
	Stream       string     `dynamodbav:"stream"`                  // ARN of the ledger's stream that the checkpoints belong to
	At           time.Time  `dynamodbav:"at"`                      // all changes of before are behind the checkpoints, and in the live epoch
	Followed     time.Time  `dynamodbav:"followed"`                // all changes of before are in the live epoch; later than At during a build
	Progress     Progress   `dynamodbav:"progress"`                // of the epoch that is being built
	Follower     string     `dynamodbav:"follower"`                // who wrote this
	Version      int64      `dynamodbav:"version"`                 // grows with each write
}

// Remains are what a retired or abandoned epoch left in Redis.
type Remains struct {
	Epoch int64      `dynamodbav:"epoch"`
	State State      `dynamodbav:"state"`
	Bits  BucketBits `dynamodbav:"bits,omitempty"`
}

// mark is the live epoch's.
func (r Record) mark() Mark { return Mark{Epoch: r.Live, Sequence: r.Sequence, Bits: r.Bits} }

// check refuses a record whose epochs this program cannot map.
func (r Record) check() error {
	for _, d := range r.Dead {
		if err := d.Bits.check(); err != nil {
			return err
		}
	}
	return errors.Join(r.Bits.check(), r.BuildingBits.check())
}

// StateOf is an epoch's state. One that was never begun has none.
func (r Record) StateOf(epoch int64) State {
	for _, d := range r.Dead {
		if d.Epoch == epoch {
			return d.State
		}
	}
	switch {
	case epoch <= 0 || epoch > r.Last:
		return ""
	case epoch == r.Live:
		return StateLive
	case epoch == r.Building:
		return StateBuilding
	default:
		return StateRetired
	}
}

// begin gives out a number for an epoch to build.
func (r Record) begin(bits BucketBits) Record {
	r = r.abandon()
	r.Last++
	r.Building, r.BuildingBits = r.Last, bits
	return r
}

// abandon gives up the epoch that is being built.
func (r Record) abandon() Record {
	r.Dead = bury(r.Dead, Remains{r.Building, StateAbandoned, r.BuildingBits})
	r.Building, r.BuildingBits, r.Progress = 0, 0, Progress{}
	return r
}

// retire gives up the live epoch.
func (r Record) retire() Record {
	r.Dead = bury(r.Dead, Remains{r.Live, StateRetired, r.Bits})
	r.Live, r.Bits, r.Sequence = 0, 0, 0
	return r
}

// flip makes the built epoch the live one.
func (r Record) flip(sequence int64) Record {
	r = r.retire()
	r.Live, r.Bits, r.Sequence = r.Building, r.BuildingBits, sequence
	r.Building, r.BuildingBits, r.Progress = 0, 0, Progress{}
	return r
}

// cleared forgets an epoch whose keys are gone.
func (r Record) cleared(epoch int64) Record {
	r.Dead = slices.DeleteFunc(slices.Clone(r.Dead), func(d Remains) bool { return d.Epoch == epoch })
	return r
}

func bury(dead []Remains, r Remains) []Remains {
	if r.Epoch == 0 {
		return dead
	}
	return append(slices.Clone(dead), r)
}

// staleAfter is for how long changes of the ledger may go unseen before the view stops to answer: a removal among them
// would be a wrong hit.
const staleAfter = time.Minute

// reloadInterval is how often a process without a live epoch asks the runs table for one.
const reloadInterval = time.Second

// Epochs is what this process remembers: the live epoch and the highest sequence seen of it. Followers tell it what
// they wrote; in a process without one the runs table does. It is safe for concurrent use.
type Epochs struct {
	records Records
	log     zerolog.Logger

	mu      sync.Mutex
	mark    Mark // kept while suspect, so that what comes back must not be older
	state   State
	until   time.Time // all changes of the ledger before it are in the epoch
	loaded  time.Time
	retired int64 // the highest epoch that this process gave up: none up to it answers again, whatever the runs table says
}

// NewEpochs remembers nothing yet.
func NewEpochs(records Records, log zerolog.Logger) *Epochs {
	return &Epochs{records: records, log: log, state: StateRetired}
}

// State is that of the epoch as this process knows it. One that nobody has kept up to date is suspect.
func (e *Epochs) State() State {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state == StateLive && time.Since(e.until) > staleAfter {
		return StateSuspect
	}
	return e.state
}

// Current is the live epoch, or false when this process knows of none that has the changes of up to a minute ago.
// Without one it asks the runs table, at most once a second.
func (e *Epochs) Current(ctx context.Context, now time.Time) (Mark, bool) {
	e.mu.Lock()
	mark, answers := e.mark, e.state == StateLive && now.Sub(e.until) <= staleAfter
	ask := !answers && now.Sub(e.loaded) >= reloadInterval
	if ask {
		e.loaded = now
	}
	e.mu.Unlock()
	if answers {
		return mark, true
	}
	if !ask {
		return Mark{}, false
	}
	record, found, err := e.records.LoadEpoch(ctx)
	if err != nil {
		e.log.Warn().Err(err).Msg("epoch record cannot be read; the view does not answer")
		return Mark{}, false
	}
	if !found || record.Live == 0 || now.Sub(record.Followed) > staleAfter {
		return Mark{}, false
	}
	e.keep(record.Followed)
	return e.confirm(record.mark())
}

// confirm takes an epoch for live, unless it was retired, and remembers the highest sequence of it that was ever seen. It
// returns what is remembered, and whether that answers.
func (e *Epochs) confirm(mark Mark) (Mark, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if mark.Epoch < e.mark.Epoch || mark.Epoch <= e.retired {
		return e.mark, e.state == StateLive // epochs are never given twice: an older one comes from a slow reader
	}
	if mark.Epoch == e.mark.Epoch {
		mark.Sequence = max(mark.Sequence, e.mark.Sequence)
	}
	e.mark, e.state = mark, StateLive
	return mark, true
}

// retire gives an epoch up for good, and all before it.
func (e *Epochs) retire(epoch int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.retired = max(e.retired, epoch)
	if e.mark.Epoch <= e.retired {
		e.state = StateRetired
	}
}

// gone reports whether an epoch was retired.
func (e *Epochs) gone(epoch int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return epoch <= e.retired
}

// keep remembers that the live epoch has all changes up to a time.
func (e *Epochs) keep(until time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if until.After(e.until) {
		e.until = until
	}
}

// takeBack is for when the live epoch proves to have the changes only up to an earlier time than was kept.
func (e *Epochs) takeBack(until time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if until.Before(e.until) {
		e.until = until
	}
}

// seen remembers a sequence that a lookup read.
func (e *Epochs) seen(epoch, sequence int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if epoch == e.mark.Epoch {
		e.mark.Sequence = max(e.mark.Sequence, sequence)
	}
}

// doubt makes an epoch suspect until somebody confirms it. It reports whether it was live.
func (e *Epochs) doubt(epoch int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if epoch != e.mark.Epoch || e.state != StateLive {
		return false
	}
	e.state = StateSuspect
	return true
}
