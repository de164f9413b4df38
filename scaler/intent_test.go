package scaler

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"spate/internal/awsclient"
)

func TestIntentsMoveAsTheStateMachineSays(t *testing.T) {
	at := planNow.Add
	called := func(o Outcome) func(Intent) (Intent, error) {
		return func(i Intent) (Intent, error) { return i.Called(at(time.Second), o) }
	}
	aged := func(d time.Duration) func(Intent) (Intent, error) {
		return func(i Intent) (Intent, error) { return i.Aged(at(d)) }
	}
	settled := func(d time.Duration, tasks ...string) func(Intent) (Intent, error) {
		return func(i Intent) (Intent, error) { return i.Settled(at(d), tasks) }
	}
	withdrawn := func(i Intent) (Intent, error) { return i.Withdrawn(at(time.Minute)) }
	seen := func(i Intent) (Intent, error) { return i.AllSeen(at(time.Minute)) }
	class := func(c awsclient.Class) Outcome { return Outcome{Class: c, Reason: "because"} }

	for _, c := range []struct {
		name string
		from IntentState
		step func(Intent) (Intent, error)
		to   IntentState // "" for not possible
	}{
		{"all launched", IntentOpen, called(Outcome{Tasks: []string{"a", "b"}}), IntentAnswered},
		{"some launched", IntentOpen, called(Outcome{Tasks: []string{"a"}, Failures: []Failure{{awsclient.ClassCapacity, "full"}}}), IntentAnswered},
		{"HTTP 200 and nothing launched", IntentOpen, called(Outcome{Failures: []Failure{{awsclient.ClassCapacity, "full"}}}), IntentClosed},
		{"throttled", IntentOpen, called(class(awsclient.ClassThrottled)), IntentOpen},
		{"timeout", IntentOpen, called(class(awsclient.ClassTransient)), IntentOpen},
		{"nobody knows that error", IntentOpen, called(class(awsclient.ClassUnknown)), IntentOpen},
		{"no room", IntentOpen, called(class(awsclient.ClassCapacity)), IntentRefused},
		{"no vCPUs", IntentOpen, called(class(awsclient.ClassQuota)), IntentRefused},
		{"wrong subnet", IntentOpen, called(class(awsclient.ClassConfiguration)), IntentRefused},
		{"conflict", IntentOpen, called(Outcome{Class: awsclient.ClassConflict, Tasks: []string{"a"}}), IntentRefused},
		{"still young", IntentOpen, aged(repeatable - 1), ""},
		{"too old to repeat", IntentOpen, aged(repeatable), IntentUnsettled},
		{"from a future too far", IntentOpen, aged(-repeatable), IntentUnsettled},
		{"from the future, and not due", IntentUnsettled, settled(-repeatable), ""},
		{"settled while it may be repeated", IntentOpen, settled(settleable), ""},
		{"ECS is silent, too early", IntentUnsettled, settled(settleable - 1), ""},
		{"ECS is silent", IntentUnsettled, settled(settleable), IntentRefused},
		{"ECS names tasks", IntentUnsettled, settled(settleable, "a"), IntentAnswered},
		{"an answer after giving up", IntentUnsettled, called(Outcome{Tasks: []string{"a"}}), ""},
		{"not wanted any more", IntentOpen, withdrawn, IntentRefused},
		{"not wanted any more, and perhaps launched", IntentUnsettled, withdrawn, ""},
		{"not wanted any more, and launched", IntentAnswered, withdrawn, ""},
		{"all seen", IntentAnswered, seen, IntentClosed},
		{"answered twice", IntentAnswered, called(Outcome{}), ""},
		{"closed again", IntentClosed, seen, ""},
		{"a refused one answered", IntentRefused, called(Outcome{}), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := Intent{ID: "i", Count: 2, State: c.from, CreatedAt: planNow}
			after, err := c.step(before)
			if c.to == "" {
				if err == nil || !cmp.Equal(after, before) {
					t.Fatalf("became %s, error %v", after.State, err)
				}
				return
			}
			if err != nil || after.State != c.to {
				t.Fatalf("became %s, error %v, want %s", after.State, err, c.to)
			}
			if after.State.Ended() != (after.ExpiresAt > 0) {
				t.Errorf("%s expires at %d", after.State, after.ExpiresAt)
			}
			if unconfirmed := after.Unconfirmed(); (unconfirmed == 2) != (c.to == IntentOpen || c.to == IntentUnsettled) {
				t.Errorf("%s counts as %d launched", after.State, unconfirmed)
			}
		})
	}
}

func TestARequestIsRepeatedExactly(t *testing.T) {
	pool := Pool{
		Name: "rollup", Cluster: "hpc", Subnets: []string{"subnet-a", "subnet-b"}, SecurityGroups: []string{"sg-1"},
		Environment: map[string]string{"SPATE_POOL": "rollup", "SPATE_SLOTS": "1", "SPATE_BUCKET": "b"},
	}
	i, err := newIntent(planNow, pool, Demand{TaskDefinition: "arn:task-definition/spate-rollup:7", Container: "main"}, Launch{"FARGATE_SPOT", 10})
	if err != nil {
		t.Fatal(err)
	}
	var first ecs.RunTaskInput
	if err := json.Unmarshal([]byte(i.Request), &first); err != nil {
		t.Fatal(err)
	}
	again, err := i.decodeRequest()
	if err != nil {
		t.Fatal(err)
	}
	ignore := cmpopts.IgnoreUnexported(ecs.RunTaskInput{}, types.CapacityProviderStrategyItem{}, types.NetworkConfiguration{},
		types.AwsVpcConfiguration{}, types.TaskOverride{}, types.ContainerOverride{}, types.KeyValuePair{})
	if diff := cmp.Diff(&first, again, ignore); diff != "" {
		t.Error(diff)
	}
	if *again.ClientToken != i.ID || *again.StartedBy != i.ID || *again.Count != 10 || *again.TaskDefinition != "arn:task-definition/spate-rollup:7" {
		t.Errorf("request %s", i.Request)
	}
	var names []string
	for _, pair := range again.Overrides.ContainerOverrides[0].Environment {
		names = append(names, *pair.Name)
	}
	if got := strings.Join(names, " "); got != "SPATE_BUCKET SPATE_LAUNCHED_AT SPATE_POOL SPATE_SLOTS" || *again.Overrides.ContainerOverrides[0].Name != "main" {
		t.Errorf("environment %s of %s", got, *again.Overrides.ContainerOverrides[0].Name)
	}
}

func TestIntentIDsAreValidTokensAndNeverTheSame(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := newIntentID(planNow)
		valid := func(r rune) bool {
			return r == '-' || (r >= '0' && r <= '9') || (r >= 'A' && r <= 'Z') || (r >= 'a' && r <= 'z')
		}
		if len(id) > 64 || seen[id] || strings.TrimFunc(id, valid) != "" {
			t.Fatalf("id %s", id)
		}
		seen[id] = true
	}
	if a, b := newIntentID(planNow), newIntentID(planNow.Add(time.Second)); a >= b {
		t.Errorf("%s does not sort before %s", a, b)
	}
}

func TestOutcomesTellWhatToLeaveAloneAndHowLong(t *testing.T) {
	sorry := func(code, message string) error { return &smithy.GenericAPIError{Code: code, Message: message} }
	failures := func(reasons ...string) *ecs.RunTaskOutput {
		out := &ecs.RunTaskOutput{}
		for _, reason := range reasons {
			out.Failures = append(out.Failures, types.Failure{Reason: &reason})
		}
		return out
	}
	for _, c := range []struct {
		name      string
		out       *ecs.RunTaskOutput
		err       error
		holds     []Hold
		throttled bool
	}{
		{name: "launched", out: &ecs.RunTaskOutput{}},
		{name: "throttled", err: sorry("ThrottlingException", "Rate exceeded"), throttled: true},
		{name: "timeout", err: errReset},
		{name: "wrong: for the breakers", err: sorry("ClusterNotFoundException", "Cluster not found.")},
		{name: "no vCPUs: for the breakers", err: sorry("ClientException", "You’ve reached the limit on the number of vCPUs you can run concurrently")},
		{name: "no room for one: for the rooms", out: failures("Capacity is unavailable at this time.")},
		{
			name: "a failure never heard of", out: failures("MOON"),
			holds: []Hold{{Provider: "FARGATE", Until: planNow.Add(capacityHold), Limit: LimitCapacity, Reason: "MOON"}},
		},
	} {
		o := outcome(c.out, c.err)
		if diff := cmp.Diff(c.holds, o.holds(planNow, "FARGATE")); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		if o.throttled() != c.throttled {
			t.Errorf("%s: throttled is %t", c.name, o.throttled())
		}
	}
}
