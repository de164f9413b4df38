package scaler

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func TestNamesOfTaskDefinitionsAreComparedByWhatBothSay(t *testing.T) {
	const arn = "arn:aws:ecs:eu-west-1:111122223333:task-definition/spate-rollup:7"
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{arn, arn, true},
		{arn, "spate-rollup:7", true},
		{arn, "spate-rollup:8", false},
		{arn, "spate-rollup:77", false},
		{arn, "rollup:7", false},
		{arn, "arn:aws:ecs:eu-west-1:111122223333:task-definition/spate-rollup:8", false},
		{arn, "arn:aws:ecs:eu-west-2:111122223333:task-definition/spate-rollup:7", false},
		{"spate-rollup:7", "spate-rollup:8", false},
		{arn, "spate-rollup", true},
		{arn, "spate-deals", false},
		{arn, "", true},
		{"", "", true},
	} {
		if sameDefinition(c.a, c.b) != c.same || sameDefinition(c.b, c.a) != c.same {
			t.Errorf("%q and %q: same is not %t", c.a, c.b, c.same)
		}
	}
}

func TestATasksDefinitionIsTheRequestsUntilECSDescribesIt(t *testing.T) {
	f := newFleet()
	f.launched(planNow, "FARGATE", "spate-rollup", []string{"a"})
	if got := f.workers().ByDefinition; len(got) != 1 || got["spate-rollup"] != 1 {
		t.Fatalf("as launched: %v", got)
	}
	described := task("a", "RUNNING", "RUNNING")
	described.TaskDefinitionArn = aws.String("arn:task-definition/spate-rollup:8")
	looked(f, planNow, sight{at: planNow, listed: []string{"a"}, described: []types.Task{described}})
	if got := f.workers().ByDefinition; len(got) != 1 || got["arn:task-definition/spate-rollup:8"] != 1 {
		t.Fatalf("as described: %v", got)
	}
}

// A deployment while ten old workers idle: the new run gets its own, within the pool's maximum, also under a controller
// that has only just begun.
func TestIdleWorkersOfAnOlderRevisionDoNotKeepNewOnesFromStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 10)
		s.pool.Max = 15
		s.ecs.life = 5 * time.Minute
		s.start()
		s.until("ten old workers", time.Minute, s.launchedIs(10))
		s.until("seen to run", time.Minute, func() bool { return s.journal.status("rollup").Running == 10 && s.settled() })
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}

		s.definition = "arn:aws:ecs:eu-west-1:111122223333:task-definition/spate-rollup:8"
		s.start()
		s.until("as many as there is room for", 30*time.Second, s.launchedIs(15))
		want := "rollup: 10 workers wanted for 10 jobs; 10 running, 5 starting, 10 of another revision; launching none; 5 more wait for 10 workers of another revision to leave"
		s.until("the reason", 10*time.Second, func() bool {
			got := s.journal.status("rollup")
			return got.Reason == want && got.Limit == LimitMax
		})
		s.until("the rest once the old ones have left", 6*time.Minute, s.launchedIs(20))
		if got := s.journal.status("rollup"); got.Peak > 15 {
			t.Errorf("%d workers at once", got.Peak)
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}

// Requests that ECS has not answered count by the task definition that they name.
func TestUnansweredRequestsOfAnOlderRevisionTakeUpRoomOnly(t *testing.T) {
	p := &pool{fleet: newFleet(), intents: map[string]*record{}, demand: Demand{Outstanding: 10, TaskDefinition: "spate-rollup:8"}}
	old, err := newIntent(planNow, Pool{Name: "rollup"}, Demand{TaskDefinition: "spate-rollup:7"}, Launch{"FARGATE", 4})
	if err != nil {
		t.Fatal(err)
	}
	recent, err := newIntent(planNow, Pool{Name: "rollup"}, Demand{TaskDefinition: "spate-rollup:8"}, Launch{"FARGATE", 3})
	if err != nil {
		t.Fatal(err)
	}
	p.resume(planNow, []Intent{old, recent}, Status{})
	o := p.observation(planNow)
	if n := o.otherDefinition(); n != 4 || o.Unsettled["FARGATE"] != 7 {
		t.Errorf("%d of another definition, unsettled %v", n, o.Unsettled)
	}
}
