package e2e

import (
	"strings"
	"sync/atomic"
	"testing"

	"spate/job"
)

// step is something that a controller does for a run, recognised by its call.
type step struct {
	what string
	is   func(c *call, run string) bool
}

// item is the writing of an item that has all of these texts.
func item(texts ...string) func(*call, string) bool {
	return func(c *call, _ string) bool {
		for _, text := range texts {
			if !c.Has(text) {
				return false
			}
		}
		return c.Operation == "DynamoDB.PutItem" || c.Operation == "DynamoDB.TransactWriteItems"
	}
}

// record is the writing of a run's record in a state.
func record(state job.RunState) func(*call, string) bool {
	return item(`"RUN"`, `"state":{"S":"`+string(state)+`"}`)
}

// object is the writing of an object of the run.
func object(path func(run string) string) func(*call, string) bool {
	return func(c *call, run string) bool { return c.Operation == "S3.PUT" && strings.HasSuffix(c.Path, path(run)) }
}

// steps are all that a controller does for a run, in the order of a run's life.
func steps() []step {
	message := func(operation, queue string) func(*call, string) bool {
		return func(c *call, _ string) bool {
			return strings.HasPrefix(c.Operation, "SQS."+operation) && c.Has(queue+`"`)
		}
	}
	return []step{
		{"the run is recorded", record(job.RunReceived)},
		{"the submission is deleted", message("DeleteMessage", submissionsQueue)},
		{"the run is in planning", record(job.RunPlanning)},
		{"the manifest is written", object(job.RunManifestPath)},
		{"the run is active", record(job.RunActive)},
		{"a release is written", item("RELEASE#", `"sent":{"BOOL":false}`)},
		{"jobs are sent", message("SendMessage", jobsQueue)},
		{"a release is marked as sent", item("RELEASE#", `"sent":{"BOOL":true}`)},
		{"events are deleted", message("DeleteMessage", eventsQueue)},
		{"the results index is written", object(job.ResultsIndexPath)},
		{"the run has succeeded", record(job.RunSucceeded)},
	}
}

// One run, and a controller that dies right before and right after each of its steps.
func TestARunSurvivesAControllerThatDiesAtEachStep(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: nesting})
	g := newGate(t, in.variable("AWS_ENDPOINT_URL"))
	jobs := newLayers("steps", 6, 4)
	file := in.write(t, "run.yaml", jobs.runFile)
	run := in.submit(t, file)
	in.dieAt(t, g, run, steps())
	in.serve(t)
	in.checkRun(t, run, jobs.want)
	in.checkNothingToDo(t, file, len(jobs.want))
}

// dieAt has controllers die right before and right after each step for a run.
func (in *installation) dieAt(t *testing.T, g *gate, run string, steps []step) {
	t.Helper()
	for _, s := range steps {
		for _, answered := range []bool{false, true} {
			what := "before " + s.what
			if answered {
				what = "after " + s.what
			}
			p, dead := in.serveUntil(t, g, func(c *call) bool { return c.Answered == answered && s.is(c, run) })
			within(t, "the controller dies "+what, dead)
			in.bury(t, g, p)
		}
	}
}

// deaths is how often the controller dies in the random test.
const deaths = 8

// 300 jobs, and controllers that die at random ones of their writes.
func TestNoJobIsLostWhenControllersDieAtRandomWrites(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	in := install(t, setup{tasks: nesting, maxWorkers: 4})
	g := newGate(t, in.variable("AWS_ENDPOINT_URL"))
	jobs := newLayers("random", 6, 50)
	file := in.write(t, "run.yaml", jobs.runFile)
	run := in.submit(t, file)
	for death := range deaths {
		write, answered := int64(1+random.IntN(10*(death+1))), random.IntN(2) == 0
		var writes atomic.Int64
		p, dead := in.serveUntil(t, g, func(c *call) bool {
			return c.Answered == answered && c.Writes() && writes.Add(1) == write
		})
		within(t, "the controller dies", dead)
		in.bury(t, g, p)
		t.Logf("death %d was at write %d, after its effect: %t; the run is %s", death+1, write, answered, in.stateOf(t, run))
	}
	in.serve(t)
	in.checkRun(t, run, jobs.want)
	in.checkNothingToDo(t, file, len(jobs.want))
}

// stateOf is a run's state, for logs.
func (in *installation) stateOf(t *testing.T, run string) string {
	t.Helper()
	r := in.record(t, run)
	if r == nil {
		return "not recorded"
	}
	return string(r.State)
}
