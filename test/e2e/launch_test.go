package e2e

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"spate/internal/awsclient"
	"spate/internal/table"
	"spate/scaler"
)

// The controller dies before and after each of its steps of a launch, several times over.
func TestNoIntentIsLaunchedTwiceByControllersThatDieWhileTheyLaunch(t *testing.T) {
	t.Parallel()
	const workers, rounds = 20, 2
	in := install(t, setup{maxWorkers: workers, tasks: `
wait:
  command: [sh, -c, 'sleep 1; echo "$SPATE_JOB_KEY" > out/value']
  timeout: 30s`})
	g := newGate(t, in.variable("AWS_ENDPOINT_URL"))
	jobs := newLayers("launch", 1, 8*workers)
	file := in.write(t, "run.yaml", jobs.of("wait"))
	run := in.submit(t, file)

	journal := func(c *call, state scaler.IntentState) bool {
		return c.Operation == "DynamoDB.TransactWriteItems" && c.Has(table.IntentPrefix) && c.Has(`"state":{"S":"`+string(state)+`"}`)
	}
	for round := range rounds {
		for _, step := range []struct {
			what string
			is   func(*call) bool
		}{
			{"intents are written", func(c *call) bool { return journal(c, scaler.IntentOpen) }},
			{"RunTask is called", func(c *call) bool { return c.Operation == "ECS.RunTask" }},
			{"an answer is recorded", func(c *call) bool { return journal(c, scaler.IntentAnswered) }},
		} {
			for _, answered := range []bool{false, true} {
				p, dead := in.serveUntil(t, g, func(c *call) bool { return c.Answered == answered && step.is(c) })
				within(t, fmt.Sprintf("in round %d, %s (after its effect: %t)", round+1, step.what, answered), dead)
				in.bury(t, g, p)
			}
		}
		in.checkPeak(t, workers)
		in.stopTasks(t)
	}
	in.serve(t)
	in.checkLaunches(t, workers)
	v := in.ended(t, run)
	if p := v.Progress; v.State != "succeeded" || p.Executed+p.Reused != len(jobs.want) {
		t.Errorf("run is %s: %s %+v", v.State, v.Reason, p)
	}
	in.checkLaunches(t, workers)
}

// intents reads a pool's journal, as the scaler writes it.
func (in *installation) intents(t *testing.T) map[string]scaler.Intent {
	t.Helper()
	intents := map[string]scaler.Intent{}
	for i, err := range table.Query[scaler.Intent](t.Context(), in.runs, table.IntentPrefix+pool, "") {
		if err != nil {
			t.Fatal(err)
		}
		intents[i.ID] = i
	}
	return intents
}

// tasks are all tasks that there are and were.
func (in *installation) tasks(t *testing.T) []ecstypes.Task {
	t.Helper()
	var arns []string
	for _, desired := range []ecstypes.DesiredStatus{ecstypes.DesiredStatusRunning, ecstypes.DesiredStatusStopped} {
		pages := ecs.NewListTasksPaginator(in.clients.ECS, &ecs.ListTasksInput{Cluster: aws.String(cluster), DesiredStatus: desired})
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context(), awsclient.Retried)
			if err != nil {
				t.Fatal(err)
			}
			arns = append(arns, page.TaskArns...)
		}
	}
	slices.Sort(arns)
	var tasks []ecstypes.Task
	for some := range slices.Chunk(slices.Compact(arns), 100) {
		out, err := in.clients.ECS.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Cluster: aws.String(cluster), Tasks: some}, awsclient.Retried)
		if err != nil {
			t.Fatal(err)
		}
		tasks = append(tasks, out.Tasks...)
	}
	return tasks
}

// checkLaunches compares the journal with what ECS says: each task belongs to an intent, none has more than it asked
// for, what the journal says of launched tasks is true, and there were never more tasks at once than the pool may have.
func (in *installation) checkLaunches(t *testing.T, most int) {
	t.Helper()
	var tasks []ecstypes.Task
	var intents map[string]scaler.Intent
	// The journal lags behind ECS while a launch is under way.
	eventually(t, "every intent is answered", func() bool {
		before := in.intents(t)
		tasks, intents = in.tasks(t), in.intents(t)
		// An intent answered while the tasks were listed would seem to have none.
		if len(before) != len(intents) {
			return false
		}
		for id, i := range intents {
			if before[id].State != i.State {
				return false
			}
		}
		for _, i := range intents {
			if i.Unconfirmed() > 0 {
				return false
			}
		}
		return len(intents) > 0
	})
	started := map[string][]string{}
	for _, task := range tasks {
		id := aws.ToString(task.StartedBy)
		if _, ok := intents[id]; !ok {
			t.Errorf("task %s was started by %q, of which the journal knows nothing", aws.ToString(task.TaskArn), id)
		}
		started[id] = append(started[id], aws.ToString(task.TaskArn))
	}
	for id, i := range intents {
		slices.Sort(i.Tasks)
		slices.Sort(started[id])
		if len(started[id]) > i.Count {
			t.Errorf("intent %s asked for %d tasks and has %d", id, i.Count, len(started[id]))
		}
		if !slices.Equal(i.Tasks, started[id]) {
			t.Errorf("intent %s (%s): the journal says that it launched %v, ECS says %v", id, i.State, i.Tasks, started[id])
		}
	}
	t.Logf("%d tasks of %d intents, at most %d at once", len(tasks), len(intents), in.checkPeak(t, most))
}

// checkPeak checks how many tasks there were at once.
func (in *installation) checkPeak(t *testing.T, most int) int {
	t.Helper()
	peak := peakOf(in.tasks(t))
	if peak > most {
		t.Errorf("there were %d tasks at once, the pool's most is %d", peak, most)
	}
	return peak
}

// stopTasks tells all tasks to stop, as somebody might who wonders what they cost.
func (in *installation) stopTasks(t *testing.T) {
	t.Helper()
	for _, task := range in.tasks(t) {
		if aws.ToString(task.DesiredStatus) != "RUNNING" {
			continue
		}
		if _, err := in.clients.ECS.StopTask(t.Context(), &ecs.StopTaskInput{Cluster: aws.String(cluster), Task: task.TaskArn}); err != nil {
			t.Fatal(err)
		}
	}
}

// peakOf is how many tasks there were at once at most. A task that was told to stop does not count any more: it is not
// the pool's any longer, however long it takes.
func peakOf(tasks []ecstypes.Task) int {
	type change struct {
		at time.Time
		by int
	}
	var changes []change
	for _, task := range tasks {
		changes = append(changes, change{aws.ToTime(task.CreatedAt), 1})
		if gone := cmp.Or(task.StoppingAt, task.StoppedAt); gone != nil {
			changes = append(changes, change{*gone, -1})
		}
	}
	slices.SortFunc(changes, func(a, b change) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.by, b.by))
	})
	running, peak := 0, 0
	for _, c := range changes {
		running += c.by
		peak = max(peak, running)
	}
	return peak
}
