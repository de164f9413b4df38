package scaler

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

const (
	eventCluster = "arn:aws:ecs:eu-west-1:111122223333:cluster/hpc"
	eventTask    = "arn:aws:ecs:eu-west-1:111122223333:task/hpc/a"
)

// eventOf is a state-change event as EventBridge delivers it to a queue, with members that nobody here reads.
func eventOf(arn, last, desired string, version int64) string {
	return fmt.Sprintf(`{
		"version": "0", "id": "9bcdac79-b31f-4d3d-9410-fbd727c29fab", "detail-type": "ECS Task State Change", "source": "aws.ecs",
		"account": "111122223333", "time": "2026-11-21T02:10:00Z", "region": "eu-west-1", "resources": [%[1]q],
		"detail": {
			"attachments": [{"id": "1789bcae", "type": "eni", "status": "ATTACHED", "details": [{"name": "privateIPv4Address", "value": "10.0.0.139"}]}],
			"availabilityZone": "eu-west-1b", "capacityProviderName": "FARGATE_SPOT", "launchType": "FARGATE", "cpu": "1024",
			"clusterArn": %[5]q, "taskArn": %[1]q, "lastStatus": %[2]q, "desiredStatus": %[3]q, "version": %[4]d,
			"containers": [{"containerArn": "arn:x", "name": "log-router", "exitCode": 137}, {"name": "spate", "lastStatus": "STOPPED", "exitCode": 0, "reason": "", "networkInterfaces": []}],
			"overrides": {"containerOverrides": [{"name": "spate", "environment": [{"name": "SPATE_POOL", "value": "rollup"}]}]},
			"createdAt": "2026-11-21T02:09:12.084Z", "startedAt": "2026-11-21T02:09:55.5Z", "group": "family:spate-rollup",
			"stopCode": "EssentialContainerExited", "stoppedReason": "Essential container in task exited",
			"taskDefinitionArn": "arn:aws:ecs:eu-west-1:111122223333:task-definition/spate-rollup:7"
		}
	}`, arn, last, desired, version, eventCluster)
}

func changeOf(t *testing.T, arn, last, desired string, version int64) TaskChange {
	t.Helper()
	c, err := ParseTaskChange([]byte(eventOf(arn, last, desired, version)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAnEventTellsWhichTaskHasBecomeWhat(t *testing.T) {
	c := changeOf(t, eventTask, "RUNNING", "RUNNING", 4)
	if c.Cluster != eventCluster || c.Family != "spate-rollup" || aws.ToString(c.Task.TaskArn) != eventTask || c.Task.Version != 4 ||
		aws.ToString(c.Task.LastStatus) != "RUNNING" || providerOf(c.Task) != "FARGATE_SPOT" ||
		c.Task.StartedAt.Sub(*c.Task.CreatedAt) != 43416*time.Millisecond {
		t.Errorf("%+v", c)
	}
	if d := departed(changeOf(t, eventTask, "STOPPED", "STOPPED", 9).Task); d.fate != fateExited || d.reason != "Essential container in task exited" {
		t.Errorf("%+v", d)
	}
}

func TestWhatIsNoTaskEventIsRefusedByName(t *testing.T) {
	good := eventOf(eventTask, "RUNNING", "RUNNING", 4)
	for name, c := range map[string]struct{ body, want string }{
		"no JSON":             {"hello", "parse task event: invalid character"},
		"nothing":             {"", "parse task event: unexpected end of JSON input"},
		"another source":      {strings.Replace(good, `"aws.ecs"`, `"aws.ec2"`, 1), `it is "ECS Task State Change" of "aws.ec2"`},
		"another kind":        {strings.Replace(good, "Task State", "Deployment State", 1), `it is "ECS Deployment State Change" of "aws.ecs"`},
		"no task":             {strings.Replace(good, `"taskArn"`, `"taskRan"`, 1), "task, cluster, task definition or status is missing"},
		"a version as a text": {strings.Replace(good, `"version": 4`, `"version": "4"`, 1), "parse task event: json: cannot unmarshal"},
	} {
		if _, err := ParseTaskChange([]byte(c.body)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func FuzzTaskChange(f *testing.F) {
	f.Add([]byte(eventOf(eventTask, "RUNNING", "RUNNING", 4)))
	f.Add([]byte(`{"source":"aws.ecs","detail-type":"ECS Task State Change","detail":{"taskArn":"a","clusterArn":"/","taskDefinitionArn":":","lastStatus":"?"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := ParseTaskChange(body)
		if err != nil {
			return
		}
		known := newFleet()
		known.listing(planNow, planNow, []string{aws.ToString(c.Task.TaskArn)})
		known.changed(planNow, c.Task)
		if len(known.members)+len(known.gone) != 1 {
			t.Errorf("one task became %d and %d that are gone", len(known.members), len(known.gone))
		}
	})
}

// However often and in whatever order events come, the newest counts.
func TestEventsThatRepeatAndComeInAnyOrderEndTheSame(t *testing.T) {
	story := []types.Task{
		changeOf(t, eventTask, "PROVISIONING", "RUNNING", 1).Task, changeOf(t, eventTask, "PENDING", "RUNNING", 2).Task,
		changeOf(t, eventTask, "RUNNING", "RUNNING", 3).Task, changeOf(t, eventTask, "RUNNING", "STOPPED", 4).Task,
		changeOf(t, eventTask, "DEPROVISIONING", "STOPPED", 5).Task,
	}
	var permute func(done, left []types.Task)
	orders := 0
	permute = func(done, left []types.Task) {
		if len(left) == 0 {
			orders++
			f := newFleet()
			f.launched(planNow, "FARGATE_SPOT", "spate-rollup:7", []string{eventTask})
			for _, task := range append(done, done[0]) {
				f.changed(planNow, task)
			}
			if m := f.members[eventTask]; m == nil || m.status != memberStopping || m.version != 5 || counted(f) != [2]int{} {
				t.Fatalf("order %d: %+v", orders, m)
			}
			return
		}
		for i := range left {
			rest := append(append([]types.Task{}, left[:i]...), left[i+1:]...)
			permute(append(append([]types.Task{}, done...), left[i]), rest)
		}
	}
	permute(nil, story)
	if orders != 120 {
		t.Errorf("%d orders", orders)
	}
}

func TestAStopIsCountedOnceHoweverItBecomesKnown(t *testing.T) {
	f := newFleet()
	f.launched(planNow, "FARGATE_SPOT", "spate-rollup:7", []string{eventTask})
	over := changeOf(t, eventTask, "STOPPED", "STOPPED", 9).Task
	if d, gone := f.changed(planNow, over); !gone || d.fate != fateExited {
		t.Fatalf("%+v (gone: %v)", d, gone)
	}
	if _, again := f.changed(planNow, over); again {
		t.Error("counted twice")
	}
	if left := looked(f, planNow, sight{at: planNow, listed: []string{eventTask}, described: []types.Task{over}}); len(left) != 0 || len(f.members) != 0 {
		t.Errorf("counted again: %v, %v", left, f.members)
	}
}

func TestAnEventOfATaskThatNobodyKnowsAddsNone(t *testing.T) {
	f := newFleet()
	f.changed(planNow, changeOf(t, eventTask, "RUNNING", "RUNNING", 3).Task)
	if len(f.members) != 0 {
		t.Error("an event, which may be hours old, has made a worker")
	}
	// But RunTask's answer may come after the task's end.
	f.changed(planNow, changeOf(t, eventTask, "STOPPED", "STOPPED", 9).Task)
	f.launched(planNow, "FARGATE_SPOT", "spate-rollup:7", []string{eventTask})
	if len(f.members) != 0 {
		t.Error("a task that has stopped counts as launched")
	}
}

func TestADescriptionThatIsOlderThanAnEventChangesNothing(t *testing.T) {
	f := newFleet()
	f.launched(planNow, "FARGATE_SPOT", "spate-rollup:7", []string{eventTask})
	f.changed(planNow, changeOf(t, eventTask, "RUNNING", "RUNNING", 3).Task)
	f.descriptions(planNow, planNow, []types.Task{changeOf(t, eventTask, "PENDING", "RUNNING", 2).Task}, nil)
	if got := counted(f); got != [2]int{1, 0} {
		t.Errorf("running and pending: %v", got)
	}
}

func TestAnOlderDescriptionIsAnAnswerAllTheSame(t *testing.T) {
	f := newFleet()
	f.launched(planNow, "FARGATE_SPOT", "spate-rollup:7", []string{eventTask})
	f.changed(planNow, changeOf(t, eventTask, "RUNNING", "RUNNING", 3).Task)
	at := planNow.Add(time.Second)
	f.listing(at, at, nil) // which does not show it yet
	at = at.Add(time.Second)
	f.descriptions(at, at, []types.Task{changeOf(t, eventTask, "PENDING", "RUNNING", 2).Task}, nil)
	if w := f.workers(); !w.Awaited.IsZero() || w.Running != 1 {
		t.Errorf("waiting since %s for what was answered: %+v", w.Awaited, w)
	}
}

func TestClustersAreKnownByNameAndByARN(t *testing.T) {
	for configured, want := range map[string]bool{"hpc": true, eventCluster: true, "pc": false, "arn:aws:ecs:eu-west-1:1:cluster/hpc": false, "other": false} {
		if got := sameCluster(configured, eventCluster); got != want {
			t.Errorf("%s: %v", configured, got)
		}
	}
}
