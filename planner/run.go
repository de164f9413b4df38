package planner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"spate/internal/table"
	"spate/job"
)

// Run is a run's record, as kept in the runs table: everything about it that people ask for and that does not follow
// from its manifest.
type Run struct {
	table.Key
	ID     string            `dynamodbav:"id"`
	Name   string            `dynamodbav:"name"`
	Pool   string            `dynamodbav:"pool"`
	Owner  string            `dynamodbav:"owner"`
	By     string            `dynamodbav:"by,omitempty"` // who submitted it; may be empty
	Labels map[string]string `dynamodbav:"labels"`

	State  job.RunState `dynamodbav:"state"`
	Reason string       `dynamodbav:"reason"` // why it is in this state, when that needs saying
	Errors []string     `dynamodbav:"errors"` // of a rejected run, at most maxErrors
	Fence  int64        `dynamodbav:"fence"`  // of the controller that wrote it last

	Received time.Time `dynamodbav:"received"`
	Planned  time.Time `dynamodbav:"planned"` // when its jobs were keyed and looked up
	Ended    time.Time `dynamodbav:"ended"`

	Image          string `dynamodbav:"image"`    // digest, pinned
	Platform       string `dynamodbav:"platform"` // of the image
	TaskDefinition string `dynamodbav:"task_definition"`
	Container      string `dynamodbav:"container"` // of the task definition, that runs the worker
	Namespace      string `dynamodbav:"namespace"`
	JobsFrom       string `dynamodbav:"jobs_from"`
	JobsSHA256     string `dynamodbav:"jobs_sha256"`
	Catalogue      string `dynamodbav:"catalogue"` // task types as JSON, pinned

	// Warnings are what the run's owner should know of its task types, as sentences.
	Warnings     []string      `dynamodbav:"warnings"`
	Reproduction *Reproduction `dynamodbav:"reproduction"` // nil unless the run computes another's jobs again

	Whole  int    `dynamodbav:"whole,omitempty"`  // jobs of the run file, where a selection was made from them; else 0
	Force  string `dynamodbav:"force,omitempty"`  // why jobs are computed again; "": they are not
	Forced int    `dynamodbav:"forced,omitempty"` // jobs that are

	// Generation counts how often jobs of the manifest were keyed anew; Substitutions says why, the oldest first.
	Generation    int            `dynamodbav:"generation"`
	Substitutions []Substitution `dynamodbav:"substitutions"`

	Worker   WorkerSize `dynamodbav:"worker"`
	Progress Progress   `dynamodbav:"progress"`

	// Tasks is what the jobs took, by task type, as their workers told. What was told in the last half second before a
	// controller died is not in it.
	Tasks map[string]TaskFigures `dynamodbav:"tasks"`

	// ExpiresAt is when the table's time to live may remove the record, in epoch seconds; 0 while the run has not ended.
	ExpiresAt int64 `dynamodbav:"expires_at,omitempty"`

	Listed bool `dynamodbav:"-"` // among the active runs; only of a record that the controller holds
}

// WorkerSize is what a worker of a run's pool is, pinned with the image, so that it can be said what the run cost.
type WorkerSize struct {
	VCPU      float64  `dynamodbav:"vcpu"`      // 0: not known
	MemoryGB  float64  `dynamodbav:"memory_gb"` // in GiB, as ECS has it; 0: not known
	Slots     int      `dynamodbav:"slots"`     // jobs that it runs at a time
	Providers []string `dynamodbav:"providers"` // where it is launched, most preferred first
}

// isPlanned reports whether the run's jobs are keyed, and some may have been released.
func (r *Run) isPlanned() bool { return r.State == job.RunActive || r.State == job.RunCancelling }

// keepRuns is how long what is known of a run is kept: the record from its end, its log from each entry.
const keepRuns = 90 * 24 * time.Hour

// Progress is how many jobs of a run stand where. Running is an estimate from the queue.
type Progress struct {
	Jobs      int `dynamodbav:"jobs" json:"jobs"`
	Cached    int `dynamodbav:"cached" json:"cached"`
	Done      int `dynamodbav:"done" json:"done"`
	Running   int `dynamodbav:"running" json:"running"`
	Queued    int `dynamodbav:"queued" json:"queued"`
	Ready     int `dynamodbav:"ready" json:"ready"`
	Waiting   int `dynamodbav:"waiting" json:"waiting"`
	Shared    int `dynamodbav:"shared" json:"shared"`
	Failed    int `dynamodbav:"failed" json:"failed"`
	Blocked   int `dynamodbav:"blocked" json:"blocked"`
	Cancelled int `dynamodbav:"cancelled" json:"cancelled"`
	Retried   int `dynamodbav:"retried" json:"retried"`   // attempts beyond the first
	Reused    int `dynamodbav:"reused" json:"reused"`     // of Done: the worker found the output there
	Executed  int `dynamodbav:"executed" json:"executed"` // of Done: computed for this run
}

// Left is how many jobs have not come to an end.
func (p Progress) Left() int {
	return p.Jobs - p.Cached - p.Done - p.Failed - p.Blocked - p.Cancelled
}

// maxErrors is how many errors of a rejected run its record keeps; a DynamoDB item holds 400 KB.
const maxErrors = 100

// progress summarises a graph.
func progress(g *Graph) Progress {
	c := g.Counts()
	return Progress{
		Jobs: g.Jobs(), Cached: c[job.Cached], Done: c[job.Done], Queued: c[job.Queued], Ready: c[job.Ready],
		Waiting: c[job.Waiting] + c[job.Pending], Shared: c[job.Shared], Failed: c[job.Failed], Blocked: c[job.Blocked], Cancelled: c[job.Cancelled],
	}
}

// Failure is one failed attempt at a job, as kept in the runs table.
type Failure struct {
	table.Key
	JobKey    string    `dynamodbav:"key"`
	Job       string    `dynamodbav:"job"`
	Attempt   int       `dynamodbav:"attempt"`
	ExitCode  *int      `dynamodbav:"exit_code"`
	Cause     string    `dynamodbav:"cause"`
	LastLines []string  `dynamodbav:"last_lines"`
	Log       string    `dynamodbav:"log,omitempty"` // attempt of job.LogPath, when LastLines are not all
	Worker    string    `dynamodbav:"worker"`
	At        time.Time `dynamodbav:"at"`
	Final     bool      `dynamodbav:"final"`   // whatever the task type says, there is no further attempt
	Verdict   string    `dynamodbav:"verdict"` // why it was, or was not, tried again
	Retried   bool      `dynamodbav:"retried"`
	Forgiven  bool      `dynamodbav:"-"` // somebody had the job tried again after it; only as read
	ExpiresAt int64     `dynamodbav:"expires_at,omitempty"`
}

// release is one batch of jobs on their way to the queue: written before it is sent, marked after.
type release struct {
	table.Key
	Jobs     []int32 `dynamodbav:"jobs"` // by their numbers in the manifest, which stay when jobs are keyed anew
	Attempts []int32 `dynamodbav:"attempts"`
	Sent     bool    `dynamodbav:"sent"`

	// Generation is the manifest's: of jobs that have been keyed anew since, the release says nothing.
	Generation int `dynamodbav:"generation"`

	At time.Time `dynamodbav:"at"`

	ExpiresAt int64 `dynamodbav:"expires_at,omitempty"`
}

const (
	releasePrefix = "RELEASE#"
	failurePrefix = "FAILURE#"
)

// store keeps runs, releases and failures in the runs table. Every write carries the fencing number or is tied to it:
// once another controller has claimed a run, an older one can write nothing of it.
type store struct {
	table *table.Table
	fence int64
	leads func() types.TransactWriteItem // nil where nobody else could lead
}

// errFenced says that another controller has taken the run over.
var errFenced = errors.New("another controller has taken over")

// ours holds for a run's record that no later controller has claimed.
func (s store) ours() table.Condition {
	return table.Condition{Expression: "fence <= :fence", Values: map[string]any{":fence": s.fence}}
}

// claim puts our fencing number on a run's record, so that an older controller can change nothing of the run from then
// on, and reads the record after that.
func (s store) claim(ctx context.Context, id string) (*Run, error) {
	err := s.table.Update(ctx, table.Key{PK: table.RunRecords, SK: id}, map[string]any{"fence": s.fence}, s.ours())
	if errors.Is(err, table.ErrCondition) {
		return nil, fmt.Errorf("claim run %s: %w", id, errFenced)
	}
	if err != nil {
		return nil, fmt.Errorf("claim run %s: %w", id, err)
	}
	r, err := ReadRun(ctx, s.table, id)
	if err == nil && r == nil {
		err = fmt.Errorf("claim run %s: its record is gone", id)
	}
	if err == nil {
		r.Listed = !r.State.Ended()
	}
	return r, err
}

// create writes a run's first record. It returns false when there is one already.
func (s store) create(ctx context.Context, r *Run) (bool, error) {
	r.Key, r.Fence = table.Key{PK: table.RunRecords, SK: r.ID}, s.fence
	put, err := s.table.PutOp(r, table.Absent())
	if err != nil {
		return false, fmt.Errorf("create run %s: %w", r.ID, err)
	}
	list, err := s.listing(r)
	if err != nil {
		return false, fmt.Errorf("create run %s: %w", r.ID, err)
	}
	err = s.table.Transact(ctx, append(s.guard(), put, list)...)
	if !errors.Is(err, table.ErrCondition) {
		if err != nil {
			return false, fmt.Errorf("create run %s: %w", r.ID, err)
		}
		r.Listed = true
		return true, nil
	}
	// Either there is one, or this controller no longer leads.
	switch existing, err := ReadRun(ctx, s.table, r.ID); {
	case err != nil:
		return false, err
	case existing == nil:
		return false, fmt.Errorf("create run %s: %w", r.ID, errFenced)
	}
	return false, nil
}

// guard makes a transaction fail once another controller leads. A run that a paused controller recorded late would be
// seen by nobody: its successor has read the runs already.
func (s store) guard() []types.TransactWriteItem {
	if s.leads == nil {
		return nil
	}
	return []types.TransactWriteItem{s.leads()}
}

// save writes a run's record, and with it whether the run is one of the active ones.
func (s store) save(ctx context.Context, r *Run) error {
	r.Fence = s.fence
	var err error
	if listed := !r.State.Ended(); listed == r.Listed {
		err = s.table.Put(ctx, r, s.ours())
	} else if err = s.saveListed(ctx, r); err == nil {
		r.Listed = listed
	}
	if errors.Is(err, table.ErrCondition) {
		return fmt.Errorf("save run %s: %w", r.ID, errFenced)
	}
	if err != nil {
		return fmt.Errorf("save run %s: %w", r.ID, err)
	}
	return nil
}

func (s store) saveListed(ctx context.Context, r *Run) error {
	put, err := s.table.PutOp(r, s.ours())
	if err != nil {
		return err
	}
	list, err := s.listing(r)
	if err != nil {
		return err
	}
	return s.table.Transact(ctx, put, list)
}

// listing puts a run on the list of active ones, or takes one that has ended off it.
func (s store) listing(r *Run) (types.TransactWriteItem, error) {
	key := table.Key{PK: table.ActiveRuns, SK: r.ID}
	if r.State.Ended() {
		return s.table.DeleteOp(key, table.Condition{})
	}
	return s.table.PutOp(key, table.Condition{})
}

func runKey(id, sk string) table.Key { return table.Key{PK: table.RunPrefix + id, SK: sk} }

func releaseKey(run string, number int) table.Key {
	return runKey(run, fmt.Sprintf("%s%08d", releasePrefix, number))
}

func (s store) saveRelease(ctx context.Context, run string, r release) error {
	r.ExpiresAt = r.At.Add(keepRuns).Unix()
	if err := s.append(ctx, run, r); err != nil {
		return fmt.Errorf("save release of run %s: %w", run, err)
	}
	return nil
}

// append writes an item of a run's log, as long as the run is ours.
func (s store) append(ctx context.Context, run string, item any) error {
	put, err := s.table.PutOp(item, table.Condition{})
	if err != nil {
		return err
	}
	check, err := s.checkOurs(run)
	if err != nil {
		return err
	}
	err = s.table.Transact(ctx, put, check)
	if errors.Is(err, table.ErrCondition) {
		return errFenced
	}
	return err
}

// checkOurs makes a transaction fail once a later controller has claimed a run.
func (s store) checkOurs(run string) (types.TransactWriteItem, error) {
	return s.table.CheckOp(table.Key{PK: table.RunRecords, SK: run}, s.ours())
}

func (s store) saveFailure(ctx context.Context, run string, f Failure) error {
	f.ExpiresAt = time.Now().Add(keepRuns).Unix()
	f.Key = runKey(run, fmt.Sprintf("%s%s#%06d", failurePrefix, f.JobKey, f.Attempt))
	if err := s.append(ctx, run, f); err != nil {
		return fmt.Errorf("save failure of run %s: %w", run, err)
	}
	return nil
}

// ReadRun reads one run's record; nil when there is none.
func ReadRun(ctx context.Context, t *table.Table, id string) (*Run, error) {
	var r Run
	ok, err := t.Get(ctx, table.Key{PK: table.RunRecords, SK: id}, &r)
	if err != nil {
		return nil, fmt.Errorf("read run %s: %w", id, err)
	}
	if !ok {
		return nil, nil //nolint:nilnil // the doc comment promises it
	}
	return &r, nil
}

// ReadActive reads the records of the runs that have not ended, the newest first. It does not read those that have: after
// some months they are many.
func ReadActive(ctx context.Context, t *table.Table) ([]*Run, error) {
	var runs []*Run
	for key, err := range table.Query[table.Key](ctx, t, table.ActiveRuns, "") {
		if err != nil {
			return nil, fmt.Errorf("read active runs: %w", err)
		}
		r, err := ReadRun(ctx, t, key.SK)
		if err != nil {
			return nil, err
		}
		if r != nil && !r.State.Ended() { // it may have ended meanwhile
			runs = append(runs, r)
		}
	}
	sortNewest(runs)
	return runs, nil
}

func sortNewest(runs []*Run) {
	slices.SortStableFunc(runs, func(a, b *Run) int { return b.Received.Compare(a.Received) })
}

// ReadRuns reads every run's record, the newest first.
func ReadRuns(ctx context.Context, t *table.Table) ([]*Run, error) {
	var runs []*Run
	for r, err := range table.Query[Run](ctx, t, table.RunRecords, "") {
		if err != nil {
			return nil, fmt.Errorf("read runs: %w", err)
		}
		runs = append(runs, &r)
	}
	sortNewest(runs)
	return runs, nil
}

// ReadFailures reads a run's failed attempts, by key and attempt.
func ReadFailures(ctx context.Context, t *table.Table, run string) ([]Failure, error) {
	return readFailures(ctx, t, run, failurePrefix)
}

// ReadFailuresOf reads a run's failed attempts at one key, in order.
func ReadFailuresOf(ctx context.Context, t *table.Table, run string, key job.Key) ([]Failure, error) {
	return readFailures(ctx, t, run, failurePrefix+key.String()+"#")
}

func readFailures(ctx context.Context, t *table.Table, run, prefix string) ([]Failure, error) {
	var failures []Failure
	for f, err := range table.Query[Failure](ctx, t, table.RunPrefix+run, prefix) {
		if err != nil {
			return nil, fmt.Errorf("read failures of run %s: %w", run, err)
		}
		failures = append(failures, f)
	}
	if len(failures) == 0 {
		return nil, nil
	}
	forgiven, err := readForgiven(ctx, t, run)
	if err != nil {
		return nil, err
	}
	for i, f := range failures {
		failures[i].Forgiven = f.Attempt <= forgiven[f.JobKey]
	}
	return failures, nil
}

func (s store) releases(ctx context.Context, run string) ([]release, error) {
	var all []release
	for r, err := range table.Query[release](ctx, s.table, table.RunPrefix+run, releasePrefix) {
		if err != nil {
			return nil, fmt.Errorf("read releases of run %s: %w", run, err)
		}
		all = append(all, r)
	}
	return all, nil
}
