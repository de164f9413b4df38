package ecs

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Model is an account without a server, for simulations: whoever holds it says what time it is, and takes each task
// through its life, as a [Server] does with a goroutine. Everything that chance decides comes of the seed, ids included.
// It has one cluster. It is not safe for concurrent use.
type Model struct{ account *account }

// NewModel makes an account with these figures.
func NewModel(figures Figures, seed uint64) (*Model, error) {
	if err := figures.validate(); err != nil {
		return nil, err
	}
	m := &Model{newAccount("us-east-1", "000000000000", figures.clone(), seed)}
	m.account.createCluster("", nil, nil)
	return m, nil
}

// Figures are the account's.
func (m *Model) Figures() Figures { return m.account.figures.clone() }

// SetFigures changes them from now on. Tasks that were launched keep the fate they were given.
func (m *Model) SetFigures(f Figures) error {
	if err := f.validate(); err != nil {
		return err
	}
	m.account.figures = f.clone()
	return nil
}

// Define registers the next revision of a task definition, of tasks of so many vCPUs and GB of memory. It returns its ARN.
func (m *Model) Define(now time.Time, family string, vcpus, memoryGB float64) (string, error) {
	const unit = 1024
	body, err := json.Marshal(registered{
		Family: family, CPU: strconv.Itoa(int(vcpus * unit)), Memory: strconv.Itoa(int(memoryGB * unit)), NetworkMode: "awsvpc",
		ContainerDefinitions: []containerDefinition{{Name: "main", Image: family}},
	})
	if err != nil {
		return "", fmt.Errorf("encode task definition: %w", err)
	}
	d, err := m.account.register(now, body)
	if err != nil {
		return "", err
	}
	return d.arn, nil
}

// Launch is what a RunTask asks for.
type Launch struct {
	TaskDefinition string
	Provider       string // FARGATE or FARGATE_SPOT
	Count          int
	Subnets        []string
	ClientToken    string // "": none
	StartedBy      string
}

// Launched is what RunTask answers.
type Launched struct {
	ARNs     []string
	New      []Task   // those launched now: none for a repeated request
	Failures []string // reasons, of tasks that were not launched
}

// RunTask answers one call. Its error is an *awsjson.Error, as an SDK would receive it.
func (m *Model) RunTask(now time.Time, l Launch) (Launched, error) {
	a := m.account
	if err := a.admit(now, changeCalls, runTaskCalls); err != nil {
		return Launched{}, err
	}
	network, err := json.Marshal(map[string]any{"awsvpcConfiguration": map[string]any{"subnets": l.Subnets}})
	if err != nil {
		return Launched{}, fmt.Errorf("encode network: %w", err)
	}
	answer, tasks, err := a.launch(now, launchRequest{
		TaskDefinition: l.TaskDefinition, Count: &l.Count, ClientToken: l.ClientToken, StartedBy: l.StartedBy,
		CapacityProviderStrategy: []strategyItem{{CapacityProvider: l.Provider, Weight: 1}}, NetworkConfiguration: network,
	}, maxCount, "")
	if err != nil {
		return Launched{}, err
	}
	var out Launched
	for _, t := range answer.Tasks {
		out.ARNs = append(out.ARNs, t.TaskARN)
	}
	for _, t := range tasks {
		out.New = append(out.New, Task{t})
	}
	for _, f := range answer.Failures {
		out.Failures = append(out.Failures, f.Reason)
	}
	return out, nil
}

// ListTasks answers one call: a page of up to 100 ARNs of tasks that are to run, of a family or started by somebody; next
// is the start of the page after it, 0 when there is none.
func (m *Model) ListTasks(now time.Time, family, startedBy string, start int) (arns []string, next int, err error) {
	in := listTasksInput{Family: family, StartedBy: startedBy}
	if start > 0 {
		in.NextToken = strconv.Itoa(start)
	}
	if err := in.validate(); err != nil {
		return nil, 0, err
	}
	out, err := m.account.listTasks(now, in)
	if err != nil {
		return nil, 0, err
	}
	if out.NextToken != "" {
		next, err = strconv.Atoi(out.NextToken)
	}
	return out.TaskARNs, next, err
}

// DescribeTasks answers one call for up to 100 tasks.
func (m *Model) DescribeTasks(now time.Time, arns []string) (found []Task, missing []string, err error) {
	if len(arns) == 0 || len(arns) > maxDescribed {
		return nil, nil, errInvalid("Tasks must be 1 to %d.", maxDescribed)
	}
	tasks, missing, err := m.account.describeTasks(now, "", arns)
	for _, t := range tasks {
		found = append(found, Task{t})
	}
	return found, missing, err
}

// StopTask answers one call. What becomes of the task is the caller's: it is told to stop.
func (m *Model) StopTask(now time.Time, arn, reason string) (Task, error) {
	a := m.account
	if err := a.admit(now, changeCalls); err != nil {
		return Task{}, err
	}
	c, err := a.cluster("")
	if err != nil {
		return Task{}, err
	}
	t := a.task(c, arn)
	if t == nil {
		return Task{}, errInvalid("The referenced task was not found.")
	}
	t.askToStop(now, userInitiated, reason)
	return Task{t}, nil
}

// Counts answers one DescribeClusters: how many tasks run, and are about to.
func (m *Model) Counts(now time.Time) (running, pending int, err error) {
	a := m.account
	if err := a.admit(now, clusterCalls); err != nil {
		return 0, 0, err
	}
	c, err := a.cluster("")
	if err != nil {
		return 0, 0, err
	}
	view := c.view(nil)
	return view.RunningTasksCount, view.PendingTasksCount, nil
}

// Launched is how many tasks were launched since the start.
func (m *Model) Launched() int { return m.account.launched }

// Task is a task of a model. Two are equal if they are the same task.
type Task struct{ t *task }

// TaskState is how a task stands, in AWS's words.
type TaskState struct {
	ARN, TaskDefinition, Provider string
	LastStatus, DesiredStatus     string
	StopCode, StoppedReason       string
	ExitCode                      *int
	Version                       int
	// Created is when it was launched, Pulled when the pull of its image began, and so on; zero: not yet.
	Created, Pulled, Started, Stopping, Stopped time.Time
}

// State is how the task stands.
func (t Task) State() TaskState {
	return TaskState{
		ARN: t.t.arn, TaskDefinition: t.t.definition.arn, Provider: t.t.providerName(),
		LastStatus: string(t.t.last), DesiredStatus: string(t.t.desired),
		StopCode: t.t.stopCode, StoppedReason: t.t.stoppedReason, ExitCode: t.t.exitCode, Version: t.t.version,
		Created: t.t.created, Pulled: t.t.pullStarted, Started: t.t.started, Stopping: t.t.stopAsked, Stopped: t.t.ended,
	}
}

// ARN is the task's name.
func (t Task) ARN() string { return t.t.arn }

// Fate is what chance has decided of a task.
type Fate struct {
	Provisioning time.Duration // until it is PENDING, or stopped if it never starts
	Pending      time.Duration // from then on, until it runs
	NeverStarts  bool
	Interruption time.Duration // after it runs; 0: never
}

// Fate is the task's. Whoever drives the model makes it come true.
func (t Task) Fate() Fate {
	f := t.t.fate
	return Fate{Provisioning: f.provisioning, Pending: f.pending, NeverStarts: f.never, Interruption: f.interruption}
}

// Pull takes the task from PROVISIONING to PENDING.
func (t Task) Pull(now time.Time) { t.t.pull(now) }

// Start takes it from PENDING to RUNNING.
func (t Task) Start(now time.Time) { t.t.start(now) }

// Exit stops it after its process has ended.
func (t Task) Exit(now time.Time, code int) { t.t.exit(now, code, "") }

// FailToStart stops it instead of starting it.
func (t Task) FailToStart(now time.Time) { t.t.failStart(now, reasonNeverStarted) }

// Interrupt tells it that its Spot capacity is taken back. Its process has its stop timeout left.
func (t Task) Interrupt(now time.Time) { t.t.askToStop(now, spotInterruption, reasonSpot) }

// AskToStop tells it to stop, as a service does that has too many.
func (t Task) AskToStop(now time.Time) {
	t.t.askToStop(now, serviceInitiated, "Scaling activity initiated by deployment")
}

// IsAskedToStop says whether it was told to stop, or has stopped.
func (t Task) IsAskedToStop() bool { return t.t.desired == stopped }

// HasStopped says whether it is gone.
func (t Task) HasStopped() bool { return t.t.last == stopped }
