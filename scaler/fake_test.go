package scaler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
)

var (
	errThrottled = &smithy.GenericAPIError{Code: "ThrottlingException", Message: "Rate exceeded"}
	errReset     = errors.New("read: connection reset by peer")
)

// fakeECS is an account: tasks, tokens, launch buckets, listings that lag. It fails the test on a request that no real
// ECS could have been sent by a correct scaler.
type fakeECS struct {
	t     testing.TB
	lag   time.Duration // until a task appears in answers
	start time.Duration // until a task runs
	life  time.Duration // until a running task exits with code 0; 0 for never
	rate  Rate          // of launches; the zero value is the documented one

	// refuse answers a RunTask call instead of the account; before: without, after: with its effect.
	refuse func(in *ecs.RunTaskInput) (before, after error)
	// partial limits how many tasks a call launches; the rest become failures with the reason.
	partial func(in *ecs.RunTaskInput) (launch int, reason string)

	mu      sync.Mutex
	tasks   []*fakeTask
	byToken map[string]*fakeAnswer
	tokens  map[string]float64
	filled  map[string]time.Time
	calls   map[string]int
	down    bool         // List, Describe and counts fail
	look    func() error // the error of a List or a Describe, if not nil
	dumb    bool         // only Describe fails

	stopError error // of StopTask
}

type fakeTask struct {
	arn, provider, startedBy, cluster, family, revision string
	created, stopped                                    time.Time
	exit                                                int32
	reason                                              string
}

type fakeAnswer struct {
	request string
	out     *ecs.RunTaskOutput
	arns    []string
}

func newFakeECS(t testing.TB) *fakeECS {
	return &fakeECS{
		t: t, lag: 4 * time.Second, start: 30 * time.Second, rate: Rate{Burst: 100, PerSecond: 20},
		byToken: map[string]*fakeAnswer{}, tokens: map[string]float64{}, filled: map[string]time.Time{}, calls: map[string]int{},
	}
}

func (f *fakeECS) RunTask(ctx context.Context, in *ecs.RunTaskInput, _ ...func(*ecs.Options)) (*ecs.RunTaskOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls["RunTask"]++
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var after error
	if f.refuse != nil {
		var before error
		if before, after = f.refuse(in); before != nil {
			return nil, before
		}
	}
	out, err := f.run(in)
	if err == nil && after != nil {
		return nil, after
	}
	return out, err
}

func (f *fakeECS) run(in *ecs.RunTaskInput) (*ecs.RunTaskOutput, error) {
	n, token, provider := int(aws.ToInt32(in.Count)), aws.ToString(in.ClientToken), aws.ToString(in.CapacityProviderStrategy[0].CapacityProvider)
	if n < 1 || n > 10 || token == "" || len(token) > 64 || token != aws.ToString(in.StartedBy) {
		f.t.Errorf("RunTask with count %d, token %q, startedBy %q", n, token, aws.ToString(in.StartedBy))
	}
	request, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	if known := f.byToken[token]; known != nil {
		if known.request != string(request) {
			f.t.Errorf("token %s came with another request", token)
			return nil, &ecstypes.ConflictException{ResourceIds: known.arns}
		}
		return known.out, nil
	}
	now := time.Now()
	if !f.take(now, provider, n) {
		return nil, errThrottled
	}
	out := &ecs.RunTaskOutput{}
	launch := n
	if f.partial != nil {
		var reason string
		launch, reason = f.partial(in)
		launch = min(n, launch)
		for range n - launch {
			out.Failures = append(out.Failures, ecstypes.Failure{Reason: aws.String(reason)})
		}
	}
	answer := &fakeAnswer{request: string(request), out: out}
	for range launch {
		_, definition, ok := strings.Cut(aws.ToString(in.TaskDefinition), "task-definition/")
		if !ok {
			definition = aws.ToString(in.TaskDefinition)
		}
		family, revision, _ := strings.Cut(definition, ":")
		task := &fakeTask{
			arn: fmt.Sprintf("arn:task/%05d", len(f.tasks)), provider: provider, startedBy: token,
			cluster: aws.ToString(in.Cluster), family: family, revision: revision, created: now,
		}
		if f.life > 0 {
			task.stopped = now.Add(f.start + f.life)
		}
		f.tasks = append(f.tasks, task)
		answer.arns = append(answer.arns, task.arn)
		out.Tasks = append(out.Tasks, ecstypes.Task{TaskArn: aws.String(task.arn)})
	}
	f.byToken[token] = answer
	return out, nil
}

func (f *fakeECS) take(now time.Time, provider string, n int) bool {
	if _, ok := f.filled[provider]; !ok {
		f.tokens[provider] = float64(f.rate.Burst)
	} else {
		f.tokens[provider] = min(float64(f.rate.Burst), f.tokens[provider]+now.Sub(f.filled[provider]).Seconds()*f.rate.PerSecond)
	}
	f.filled[provider] = now
	if f.tokens[provider] < float64(n)-1e-6 {
		return false
	}
	f.tokens[provider] -= float64(n)
	return true
}

func (t *fakeTask) gone(now time.Time) bool { return !t.stopped.IsZero() && !now.Before(t.stopped) }

func (f *fakeECS) ListTasks(_ context.Context, in *ecs.ListTasksInput, _ ...func(*ecs.Options)) (*ecs.ListTasksOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls["ListTasks"]++
	if f.down {
		return nil, &ecstypes.ServerException{}
	}
	if f.look != nil {
		if err := f.look(); err != nil {
			return nil, err
		}
	}
	if in.StartedBy != nil && in.Family != nil {
		f.t.Error("ListTasks with startedBy and another filter")
	}
	now := time.Now()
	var arns []string
	for _, task := range f.tasks {
		if task.gone(now) || now.Sub(task.created) < f.lag || task.cluster != aws.ToString(in.Cluster) {
			continue
		}
		if (in.StartedBy != nil && *in.StartedBy == task.startedBy) || (in.Family != nil && *in.Family == task.family) {
			arns = append(arns, task.arn)
		}
	}
	from := 0
	if in.NextToken != nil {
		from = slices.Index(arns, *in.NextToken)
		if from < 0 {
			from = len(arns)
		}
	}
	out := &ecs.ListTasksOutput{TaskArns: arns[from:min(len(arns), from+100)]}
	if from+100 < len(arns) {
		out.NextToken = aws.String(arns[from+100])
	}
	return out, nil
}

func (f *fakeECS) DescribeTasks(_ context.Context, in *ecs.DescribeTasksInput, _ ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls["DescribeTasks"]++
	if f.down || f.dumb {
		return nil, &ecstypes.ServerException{}
	}
	if f.look != nil {
		if err := f.look(); err != nil {
			return nil, err
		}
	}
	if len(in.Tasks) == 0 || len(in.Tasks) > 100 {
		f.t.Errorf("DescribeTasks of %d tasks", len(in.Tasks))
	}
	now := time.Now()
	out := &ecs.DescribeTasksOutput{}
	for _, arn := range in.Tasks {
		i := f.find(arn)
		if i < 0 || now.Sub(f.tasks[i].created) < f.lag || (f.tasks[i].gone(now) && now.Sub(f.tasks[i].stopped) > time.Hour) {
			out.Failures = append(out.Failures, ecstypes.Failure{Arn: aws.String(arn), Reason: aws.String("MISSING")})
			continue
		}
		out.Tasks = append(out.Tasks, f.tasks[i].describe(now, f.start))
	}
	return out, nil
}

func (f *fakeECS) StopTask(_ context.Context, in *ecs.StopTaskInput, _ ...func(*ecs.Options)) (*ecs.StopTaskOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls["StopTask"]++
	if f.stopError != nil {
		return nil, f.stopError
	}
	now := time.Now()
	i := slices.IndexFunc(f.tasks, func(t *fakeTask) bool { return t.arn == aws.ToString(in.Task) && t.cluster == aws.ToString(in.Cluster) })
	if i < 0 {
		return nil, &ecstypes.InvalidParameterException{Message: aws.String("The referenced task was not found.")}
	}
	if task := f.tasks[i]; !task.gone(now) {
		task.stopped, task.exit, task.reason = now, 143, aws.ToString(in.Reason)
	}
	return &ecs.StopTaskOutput{Task: new(f.tasks[i].describe(now, f.start))}, nil
}

func (f *fakeECS) DescribeClusters(_ context.Context, in *ecs.DescribeClustersInput, _ ...func(*ecs.Options)) (*ecs.DescribeClustersOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls["DescribeClusters"]++
	if f.down {
		return nil, &ecstypes.ServerException{}
	}
	now := time.Now()
	out := &ecs.DescribeClustersOutput{}
	for _, name := range in.Clusters {
		running, pending := 0, 0
		for _, task := range f.tasks {
			switch {
			case task.cluster != name || task.gone(now):
			case now.Sub(task.created) >= f.start:
				running++
			default:
				pending++
			}
		}
		out.Clusters = append(out.Clusters, ecstypes.Cluster{ClusterName: &name, Statistics: []ecstypes.KeyValuePair{
			{Name: aws.String("runningFargateTasksCount"), Value: aws.String(strconv.Itoa(running))},
			{Name: aws.String("pendingFargateTasksCount"), Value: aws.String(strconv.Itoa(pending))},
		}})
	}
	return out, nil
}

// find is a task's place, which its ARN tells; -1 for none.
func (f *fakeECS) find(arn string) int {
	digits, ok := strings.CutPrefix(arn, "arn:task/")
	i, err := strconv.Atoi(digits)
	if !ok || err != nil || i >= len(f.tasks) || f.tasks[i].arn != arn {
		return -1
	}
	return i
}

func (t *fakeTask) describe(now time.Time, start time.Duration) ecstypes.Task {
	task := ecstypes.Task{
		TaskArn: aws.String(t.arn), CapacityProviderName: aws.String(t.provider), StartedBy: aws.String(t.startedBy),
		TaskDefinitionArn: aws.String("arn:aws:ecs:eu-west-1:111122223333:task-definition/" + t.family + ":" + t.revision),
		LastStatus:        aws.String("PENDING"), DesiredStatus: aws.String("RUNNING"), CreatedAt: &t.created,
	}
	if started := t.created.Add(start); !started.After(now) && (t.stopped.IsZero() || started.Before(t.stopped)) {
		task.StartedAt = &started
	}
	switch {
	case t.gone(now):
		task.LastStatus, task.DesiredStatus = aws.String("STOPPED"), aws.String("STOPPED")
		task.StopCode, task.StoppedReason = ecstypes.TaskStopCodeEssentialContainerExited, aws.String(t.reason)
		if t.reason == stopReason {
			task.StopCode = ecstypes.TaskStopCodeUserInitiated
		}
		task.StoppedAt = &t.stopped
		task.Containers = []ecstypes.Container{{ExitCode: aws.Int32(t.exit)}}
	case now.Sub(t.created) >= start:
		task.LastStatus = aws.String("RUNNING")
	}
	return task
}

// launched is how many tasks there ever were.
func (f *fakeECS) launched() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.tasks)
}

// alive is how many tasks have not stopped.
func (f *fakeECS) alive() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, task := range f.tasks {
		if !task.gone(time.Now()) {
			n++
		}
	}
	return n
}

// called is how often an operation was called.
func (f *fakeECS) called(operation string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[operation]
}

func (f *fakeECS) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// fakeJournal keeps records in memory, under the fence of whoever leads.
type fakeJournal struct {
	mu        sync.Mutex
	fence     int
	intents   map[string]Intent
	statuses  map[string]Status
	decisions []Decided
	rates     map[string]Learnt
	fail      func() (before, after error)
	t         testing.TB
}

func newFakeJournal(t testing.TB) *fakeJournal {
	return &fakeJournal{t: t, intents: map[string]Intent{}, statuses: map[string]Status{}, rates: map[string]Learnt{}}
}

// term is one leader's use of the journal.
type term struct {
	*fakeJournal
	fence int
	over  func(now time.Time) bool
}

func (j *fakeJournal) lead() *term {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fence++
	return &term{fakeJournal: j, fence: j.fence}
}

func (t *term) Valid(now time.Time) bool       { return t.over == nil || !t.over(now) }
func (t *term) Guard() types.TransactWriteItem { return types.TransactWriteItem{} }

func (t *term) Load(_ context.Context, pool string) ([]Intent, Status, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var intents []Intent
	for _, i := range t.intents {
		if i.Pool == pool && !i.State.Ended() {
			intents = append(intents, i)
		}
	}
	slices.SortFunc(intents, func(a, b Intent) int { return strings.Compare(a.ID, b.ID) })
	return intents, t.statuses[pool], nil
}

func (t *term) LoadRates(context.Context) ([]Learnt, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Values(t.rates)), nil
}

func (t *term) Write(ctx context.Context, r Records) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if t.fence != t.fakeJournal.fence {
		return ErrTermOver
	}
	var after error
	if t.fail != nil {
		var before error
		if before, after = t.fail(); before != nil {
			return before
		}
	}
	for _, i := range r.Intents {
		if old, ok := t.intents[i.ID]; ok && (old.State.Ended() && old.State != i.State || old.Request != i.Request) {
			t.t.Errorf("intent %s rewritten: %s to %s", i.ID, old.State, i.State)
		}
		t.intents[i.ID] = i
	}
	t.decisions = append(t.decisions, r.Decisions...)
	for _, l := range r.Rates {
		t.rates[l.Provider] = l
	}
	for _, s := range r.Statuses {
		for what, n := range map[string]int{" running": s.Running - s.Listed, " not described yet": s.Listed, " starting": s.Pending} {
			if strings.Contains(s.Reason, what) && !strings.Contains(s.Reason, " "+commas(n)+what) {
				t.t.Errorf("the status has %d%s, and says %q", n, what, s.Reason)
			}
		}
		t.statuses[s.Pool] = s
	}
	return after
}

func (j *fakeJournal) status(pool string) Status {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.statuses[pool]
}

func (j *fakeJournal) open() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, i := range j.intents {
		if !i.State.Ended() {
			n++
		}
	}
	return n
}
