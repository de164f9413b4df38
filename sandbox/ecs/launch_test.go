package ecs

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"spate/sandbox/awsjson"
)

// newTestAccount is an account with a cluster "hpc" and a definition "worker".
func newTestAccount(t *testing.T, start time.Time) *account {
	t.Helper()
	a := newAccount("us-east-1", "000000000000", Instant(), 1)
	a.createCluster("hpc", nil, nil)
	if _, err := a.register(start, []byte(`{"family":"worker","containerDefinitions":[{"name":"main","image":"w:1","command":["true"]}]}`)); err != nil {
		t.Fatal(err)
	}
	return a
}

func testRequest(count int) launchRequest {
	return launchRequest{Cluster: "hpc", TaskDefinition: "worker", Count: &count, LaunchType: "FARGATE"}
}

func wantFault(t *testing.T, err error, code string) {
	t.Helper()
	_ = faultOf(t, err, code)
}

// faultOf is the error as AWS has it; the test ends if it has another code.
func faultOf(t *testing.T, err error, code string) *awsjson.Error {
	t.Helper()
	var fault *awsjson.Error
	if !errors.As(err, &fault) || fault.Code != code {
		t.Fatalf("got error %v, want %s", err, code)
	}
	return fault
}

func TestTheLaunchBucketGivesItsBurstThenItsRate(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	a := newTestAccount(t, start)
	launched := func(now time.Time) int {
		total := 0
		for {
			answer, _, err := a.launch(now, testRequest(10), maxCount, "")
			if err != nil {
				if fault := faultOf(t, err, "ThrottlingException"); fault.Message != "Rate exceeded" {
					t.Fatalf("message %q", fault.Message)
				}
				return total
			}
			total += len(answer.Tasks)
		}
	}
	if got := launched(start); got != 100 {
		t.Fatalf("launched %d at once", got)
	}
	total := 0
	for second := 1; second <= 145; second++ {
		total += launched(start.Add(time.Duration(second) * time.Second))
	}
	if total != 2900 {
		t.Errorf("launched %d more in 145 s, want 2900", total)
	}
}

func TestAThrottledLaunchTakesNoTokens(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	a := newTestAccount(t, start)
	for range 9 {
		if _, _, err := a.launch(start, testRequest(10), maxCount, ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := a.launch(start, testRequest(6), maxCount, ""); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, _, err := a.launch(start, testRequest(5), maxCount, "")
		wantFault(t, err, "ThrottlingException")
	}
	if _, _, err := a.launch(start, testRequest(4), maxCount, ""); err != nil {
		t.Errorf("the four tokens that were left are gone: %v", err)
	}
}

func TestSpotHasABucketOfItsOwn(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	a := newTestAccount(t, start)
	for range 10 {
		if _, _, err := a.launch(start, testRequest(10), maxCount, ""); err != nil {
			t.Fatal(err)
		}
	}
	spot := testRequest(10)
	spot.LaunchType = ""
	spot.CapacityProviderStrategy = []strategyItem{{CapacityProvider: "FARGATE_SPOT", Weight: 1}}
	answer, _, err := a.launch(start, spot, maxCount, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := answer.Tasks[0].CapacityProviderName; got != "FARGATE_SPOT" {
		t.Errorf("capacity provider %q", got)
	}
	_, _, err = a.launch(start, testRequest(1), maxCount, "")
	wantFault(t, err, "ThrottlingException")
}

func TestARepeatedTokenIsAnsweredAsBefore(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	a := newTestAccount(t, start)
	request := testRequest(3)
	request.ClientToken = "intent-1"
	first, tasks, err := a.launch(start, request, maxCount, "")
	if err != nil || len(tasks) != 3 {
		t.Fatalf("launched %d, %v", len(tasks), err)
	}
	tasks[0].pull(start)
	again, tasks, err := a.launch(start.Add(time.Minute), request, maxCount, "")
	if err != nil || len(tasks) != 0 {
		t.Fatalf("launched %d again, %v", len(tasks), err)
	}
	for i, task := range again.Tasks {
		if task.TaskARN != first.Tasks[i].TaskARN || task.LastStatus != provisioning {
			t.Errorf("task %d is %+v", i, task)
		}
	}
	if len(a.tasks) != 3 {
		t.Errorf("%d tasks exist", len(a.tasks))
	}
}

func TestAChangedRequestWithAKnownTokenConflicts(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	a := newTestAccount(t, start)
	request := testRequest(2)
	request.ClientToken = "intent-1"
	first, _, err := a.launch(start, request, maxCount, "")
	if err != nil {
		t.Fatal(err)
	}
	request.StartedBy = "somebody else"
	_, _, err = a.launch(start, request, maxCount, "")
	ids := faultOf(t, err, "ConflictException").Fields["resourceIds"]
	if want := []string{first.Tasks[0].TaskARN, first.Tasks[1].TaskARN}; !slices.Equal(ids.([]string), want) { //nolint:forcetypeassert // a test may panic
		t.Errorf("resourceIds %v, want %v", ids, want)
	}
}

func TestATokenIsForgottenAfterADayOrAnHourAfterItsLastTask(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	for name, tc := range map[string]struct {
		stopAfter time.Duration // 0: still running
		later     time.Duration
		launched  int
	}{
		"running, before a day":          {0, 24*time.Hour - time.Second, 0},
		"running, after a day":           {0, 24 * time.Hour, 1},
		"stopped, before an hour passed": {time.Hour, 2*time.Hour - time.Second, 0},
		"stopped, after an hour passed":  {time.Hour, 2 * time.Hour, 1},
	} {
		t.Run(name, func(t *testing.T) {
			a := newTestAccount(t, start)
			request := testRequest(1)
			request.ClientToken = "intent-1"
			_, tasks, err := a.launch(start, request, maxCount, "")
			if err != nil {
				t.Fatal(err)
			}
			if tc.stopAfter > 0 {
				tasks[0].exit(start.Add(tc.stopAfter), 0, "")
			}
			_, again, err := a.launch(start.Add(tc.later), request, maxCount, "")
			if err != nil || len(again) != tc.launched {
				t.Errorf("launched %d, %v; want %d", len(again), err, tc.launched)
			}
		})
	}
}

func TestTwoClustersHaveTheirOwnTokens(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	a := newTestAccount(t, start)
	a.createCluster("other", nil, nil)
	for _, cluster := range []string{"hpc", "other"} {
		request := testRequest(1)
		request.ClientToken, request.Cluster = "intent-1", cluster
		if _, tasks, err := a.launch(start, request, maxCount, ""); err != nil || len(tasks) != 1 {
			t.Errorf("%s: launched %d, %v", cluster, len(tasks), err)
		}
	}
}

func TestWrongRequestsAreRefusedBeforeTheBucket(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	for name, tc := range map[string]struct {
		change func(*launchRequest)
		code   string
	}{
		"eleven tasks":       {func(r *launchRequest) { r.Count = new(int); *r.Count = 11 }, "InvalidParameterException"},
		"token too long":     {func(r *launchRequest) { r.ClientToken = strings.Repeat("x", 65) }, "InvalidParameterException"},
		"token with a space": {func(r *launchRequest) { r.ClientToken = "a b" }, "InvalidParameterException"},
		"startedBy too long": {func(r *launchRequest) { r.StartedBy = strings.Repeat("x", 129) }, "InvalidParameterException"},
		"overrides too long": {func(r *launchRequest) {
			r.Overrides = json.RawMessage(`{"cpu":"` + strings.Repeat("1", 8192) + `"}`)
		}, "InvalidParameterException"},
		"override of another container": {func(r *launchRequest) {
			r.Overrides = json.RawMessage(`{"containerOverrides":[{"name":"side"}]}`)
		}, "InvalidParameterException"},
		"no launch type":     {func(r *launchRequest) { r.LaunchType = "" }, "InvalidParameterException"},
		"unknown cluster":    {func(r *launchRequest) { r.Cluster = "nowhere" }, "ClusterNotFoundException"},
		"unknown definition": {func(r *launchRequest) { r.TaskDefinition = "nothing" }, "ClientException"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newTestAccount(t, start)
			request := testRequest(1)
			tc.change(&request)
			_, _, err := a.launch(start, request, maxCount, "")
			wantFault(t, err, tc.code)
			if !a.bucket(onDemandProvider).Has(start, a.figures.OnDemand.Launches, 100) {
				t.Error("the request took tokens")
			}
		})
	}
}

func TestAStrategySpreadsByBaseThenWeight(t *testing.T) {
	strategy := []strategyItem{{CapacityProvider: "FARGATE", Base: 2, Weight: 1}, {CapacityProvider: "FARGATE_SPOT", Weight: 3}}
	providers := spread(10, strategy)
	got := 0
	for _, provider := range providers {
		if provider == onDemandProvider {
			got++
		}
	}
	if got != 4 || len(providers) != 10 {
		t.Errorf("%d of %d tasks on FARGATE, want 4 of 10: %v", got, len(providers), providers)
	}
}

func TestTasksAreForgottenAnHourAfterTheyStopped(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	a := newTestAccount(t, start)
	_, tasks, err := a.launch(start, testRequest(2), maxCount, "")
	if err != nil {
		t.Fatal(err)
	}
	tasks[0].exit(start, 0, "")
	a.sweep(start.Add(59 * time.Minute))
	if len(a.tasks) != 2 {
		t.Fatalf("%d tasks after 59 minutes", len(a.tasks))
	}
	a.sweep(start.Add(61 * time.Minute))
	c, err := a.cluster("hpc")
	if err != nil || len(a.tasks) != 1 || len(c.tasks) != 1 || a.task(c, tasks[1].arn) == nil {
		t.Errorf("%d tasks after 61 minutes, %v", len(a.tasks), err)
	}
}

func TestANewerRevisionReplacesAFamilysOlderUntilDeregistered(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	a := newTestAccount(t, start)
	second, err := a.register(start, []byte(`{"family":"worker","containerDefinitions":[{"name":"main","image":"w:2"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if d, err := a.definition("worker"); err != nil || d != second || d.revision != 2 {
		t.Fatalf("newest is %v, %v", d, err)
	}
	if _, err := a.deregister(start, second.arn); err != nil {
		t.Fatal(err)
	}
	if d, err := a.definition("worker"); err != nil || d.revision != 1 {
		t.Errorf("newest active is %v, %v", d, err)
	}
	if d, err := a.definition("worker:2"); err != nil || d.view()["status"] != "INACTIVE" {
		t.Errorf("worker:2 is %v, %v", d, err)
	}
	request := testRequest(1)
	request.TaskDefinition = "worker:2"
	_, _, err = a.launch(start, request, maxCount, "")
	wantFault(t, err, "ClientException")
}
