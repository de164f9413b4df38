package scaler

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/google/go-cmp/cmp"
)

func task(arn, last, desired string) types.Task {
	return types.Task{TaskArn: &arn, LastStatus: &last, DesiredStatus: &desired, CapacityProviderName: aws.String("FARGATE")}
}

func stopped(arn string, containers ...types.Container) types.Task {
	t := task(arn, "STOPPED", "STOPPED")
	t.Containers, t.StoppedReason = containers, aws.String("why it stopped")
	return t
}

func exit(name string, code int32) types.Container {
	return types.Container{Name: &name, ExitCode: &code}
}

// sight is a listing and what was described after it.
type sight struct {
	at        time.Time
	listed    []string
	described []types.Task
	missing   []string
}

func looked(f *fleet, now time.Time, s sight) []departure {
	f.listing(now, s.at, s.listed)
	return f.descriptions(now, s.at, s.described, s.missing)
}

func counted(f *fleet) [2]int {
	w := f.workers()
	return [2]int{w.Running, w.Pending}
}

func TestALaunchedTaskCountsBeforeAnyListingShowsIt(t *testing.T) {
	f := newFleet()
	looked(f, planNow, sight{at: planNow})
	f.launched(planNow, "FARGATE", "spate-rollup:7", []string{"a", "b"})
	if got := counted(f); got != [2]int{0, 2} || !f.unseen("a") {
		t.Fatalf("running and pending: %v", got)
	}
	looked(f, planNow.Add(2*time.Second), sight{at: planNow.Add(time.Second), missing: []string{"a", "b"}})
	if got := counted(f); got != [2]int{0, 2} || !f.unseen("a") {
		t.Fatalf("after a listing that does not know them yet: %v", got)
	}
	looked(f, planNow.Add(9*time.Second), sight{at: planNow.Add(8 * time.Second), listed: []string{"a"}, described: []types.Task{task("a", "RUNNING", "RUNNING")}, missing: []string{"b"}})
	if got := counted(f); got != [2]int{1, 1} || f.unseen("a") || !f.unseen("b") {
		t.Fatalf("after one was seen: %v", got)
	}
}

func TestATaskUnknownForTwoMinutesHasVanished(t *testing.T) {
	f := newFleet()
	f.launched(planNow, "FARGATE", "spate-rollup:7", []string{"a"})
	early, late := planNow.Add(vanishAfter-time.Second), planNow.Add(vanishAfter)
	if left := looked(f, early, sight{at: early, missing: []string{"a"}}); len(left) != 0 {
		t.Fatalf("too early: %v", left)
	}
	left := looked(f, late, sight{at: late, missing: []string{"a"}})
	if len(left) != 1 || left[0].fate != fateVanished || counted(f) != [2]int{} {
		t.Fatalf("left: %v", left)
	}
}

func TestATaskOnItsWayOutIsNoWorkerAndIsCountedOnce(t *testing.T) {
	f := newFleet()
	looked(f, planNow, sight{at: planNow, listed: []string{"a"}, described: []types.Task{task("a", "RUNNING", "RUNNING")}})
	looked(f, planNow, sight{at: planNow, described: []types.Task{task("a", "DEPROVISIONING", "STOPPED")}})
	if got := counted(f); got != [2]int{} || len(f.members) != 1 {
		t.Fatalf("running and pending: %v", got)
	}
	if left := looked(f, planNow, sight{at: planNow, described: []types.Task{stopped("a", exit("spate", 0))}}); len(left) != 1 {
		t.Fatalf("left: %v", left)
	}
	// A late answer and a late listing bring its name up again.
	f.launched(planNow, "FARGATE", "spate-rollup:7", []string{"a"})
	left := looked(f, planNow, sight{at: planNow, listed: []string{"a"}, described: []types.Task{stopped("a", exit("spate", 0))}})
	if len(left) != 0 || len(f.members) != 0 {
		t.Fatalf("counted again: %v", left)
	}
}

func TestFatesFollowTheWorkersOwnContainer(t *testing.T) {
	sidecar := stopped("a", exit("log-router", 137), exit("spate", 0))
	sidecar.Overrides = &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{Name: aws.String("spate")}}}
	neverPulled := stopped("a", types.Container{Name: aws.String("spate"), Reason: aws.String("CannotPullContainerError")})
	for _, c := range []struct {
		name   string
		task   types.Task
		fate   fate
		reason string
	}{
		{"exit code 0", stopped("a", exit("spate", 0)), fateExited, "why it stopped"},
		{"another exit code", stopped("a", exit("spate", 2)), fateFailed, "why it stopped"},
		{"a sidecar killed after it", sidecar, fateExited, "why it stopped"},
		{"an image that cannot be pulled", neverPulled, fateFailed, "why it stopped: CannotPullContainerError"},
		{"no container at all", stopped("a"), fateFailed, "why it stopped"},
	} {
		if d := departed(c.task); d.fate != c.fate || d.reason != c.reason {
			t.Errorf("%s: %s, %q", c.name, d.fate, d.reason)
		}
	}
}

func TestOnlyNewPendingAndMissingTasksAreDescribedThoseFirstThatWaitLongest(t *testing.T) {
	f := newFleet()
	looked(f, planNow, sight{at: planNow, listed: []string{"runs", "leaves", "starts"}, described: []types.Task{
		task("runs", "RUNNING", "RUNNING"), task("leaves", "RUNNING", "RUNNING"), task("starts", "PENDING", "RUNNING"),
	}})
	f.launched(planNow.Add(time.Second), "FARGATE", "spate-rollup:7", []string{"launched"})
	f.listing(planNow.Add(2*time.Second), planNow.Add(2*time.Second), []string{"runs", "starts", "stranger"})
	if diff := cmp.Diff([]string{"starts", "launched", "leaves", "stranger"}, f.wants()); diff != "" {
		t.Error(diff)
	}
	if w := f.workers(); !w.Awaited.Equal(planNow) || !w.At.Equal(planNow) {
		t.Errorf("what is known is as of %s, waited for since %s", w.At, w.Awaited)
	}
}

func TestAListedTaskCountsAsAWorkerBeforeItIsDescribed(t *testing.T) {
	f := newFleet()
	f.listing(planNow, planNow, []string{"a", "b"})
	w := f.workers()
	if !w.Known || w.Running != 2 || w.Listed != 2 || w.Pending != 0 || w.ByProvider[""] != 2 {
		t.Errorf("%+v", w)
	}
	f.descriptions(planNow, planNow, []types.Task{task("a", "PENDING", "RUNNING")}, nil)
	if w := f.workers(); w.Running != 1 || w.Listed != 1 || w.Pending != 1 || w.ByProvider["FARGATE"] != 1 {
		t.Errorf("%+v", w)
	}
}

func TestADecisionDoesNotClaimThatTasksRunWhichNobodyHasDescribed(t *testing.T) {
	f := newFleet()
	f.listing(planNow, planNow, []string{"a", "b", "c"})
	f.descriptions(planNow, planNow, []types.Task{task("c", "PENDING", "RUNNING")}, nil)
	o := Observation{Pools: map[string]PoolObservation{"rollup": {
		Demand: Demand{Outstanding: 3, At: planNow, Known: true}, Workers: f.workers(), Asked: Asked{At: planNow, Known: true},
	}}}
	d := Plan(planNow, o, Policy{Pools: []PoolPolicy{{Name: "rollup", Max: 10, Slots: 1, StaleAfter: time.Minute}}})[0]
	if want := "rollup: 3 workers wanted for 3 jobs; 2 not described yet, 1 starting; enough"; d.Have != 3 || d.Reason != want {
		t.Errorf("%d there: %q", d.Have, d.Reason)
	}
}

// Jobs seem to take long when none ends while many run; tasks that may not run yet say nothing of that.
func TestTasksThatNobodyHasDescribedMakeNoWorkerUseful(t *testing.T) {
	useful := func(listed int) int {
		v := view{p: PoolPolicy{Slots: 1}, o: PoolObservation{
			Demand: Demand{Outstanding: 100, JobDuration: time.Second}, Still: time.Minute,
			Workers: Workers{Running: 50, Listed: listed},
		}}
		return v.useful()
	}
	if known, unknown := useful(0), useful(50); known == 0 || unknown != 0 {
		t.Errorf("useful: %d beside 50 that run, %d beside 50 that may", known, unknown)
	}
}
