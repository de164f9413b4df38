package ecs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"spate/sandbox/awsjson"
	"spate/sandbox/fault"
)

// sleeper is a runtime of functions that wait to be told to stop.
func sleeper() *FunctionRuntime {
	return &FunctionRuntime{Run: func(ctx context.Context, _ FunctionTask) int {
		<-ctx.Done()
		return 143
	}}
}

// withServer runs a test in virtual time on an account with these figures. The network has subnets a and b.
func withServer(t *testing.T, figures Figures, test func(t *testing.T, s *Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		events := &heard{}
		s, err := New(Options{
			Region: "us-east-1", AccountID: "000000000000", Runtime: sleeper(), Figures: &figures, Seed: 1, Queues: events,
			Faults: fault.New(1), Log: zerolog.Nop(),
		})
		if err != nil {
			t.Fatal(err)
		}
		s.account.createCluster("hpc", nil, nil)
		if _, err := s.account.register(time.Now(), []byte(`{"family":"worker","cpu":"1024","networkMode":"awsvpc",
			"containerDefinitions":[{"name":"main","image":"registry/worker:1","command":["run"]}]}`)); err != nil {
			t.Fatal(err)
		}
		defer s.Close(time.Second)
		test(t, s)
	})
}

func networked(count int, provider string, subnets ...string) launchRequest {
	network, err := json.Marshal(map[string]any{"awsvpcConfiguration": map[string]any{"subnets": subnets}})
	if err != nil {
		panic(err)
	}
	return launchRequest{
		Cluster: "hpc", TaskDefinition: "worker", Count: &count, NetworkConfiguration: network,
		CapacityProviderStrategy: []strategyItem{{CapacityProvider: provider, Weight: 1}},
	}
}

// heard is a queue that keeps what it is sent.
type heard struct {
	mu     sync.Mutex
	bodies []string
}

// Push keeps a body.
func (h *heard) Push(arn, body string) error {
	if arn != "arn:aws:sqs:us-east-1:000000000000:events" {
		return errors.New("unknown queue " + arn)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bodies = append(h.bodies, body)
	return nil
}

// launchAll launches until so many tasks are accepted, trying again each tenth of a second, and returns how long it took.
func launchAll(t *testing.T, s *Server, want int, providers ...string) time.Duration {
	t.Helper()
	start, launched := time.Now(), 0
	for launched < want {
		progress := false
		for _, provider := range providers {
			if launched >= want {
				break
			}
			answer, err := s.runTask(t.Context(), networked(min(10, want-launched), provider, "a", "b"))
			if err == nil {
				launched, progress = launched+len(answer.Tasks), true
			} else if fault := new(awsjson.Error); !errors.As(err, &fault) || fault.Code != "ThrottlingException" {
				t.Fatal(err)
			}
		}
		if !progress {
			time.Sleep(100 * time.Millisecond)
		}
	}
	return time.Since(start)
}

func TestThreeThousandTasksAreAcceptedAtTheAccountsRate(t *testing.T) {
	for name, tc := range map[string]struct {
		providers []string
		want      time.Duration
	}{
		"On-Demand": {[]string{onDemandProvider}, 145 * time.Second},
		"both":      {[]string{onDemandProvider, spotProvider}, 70 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			withServer(t, Fargate(), func(t *testing.T, s *Server) {
				took := launchAll(t, s, 3000, tc.providers...)
				if took < tc.want-tc.want/100 || took > tc.want+tc.want/100 {
					t.Errorf("took %s, want %s within 1 %%", took, tc.want)
				}
				time.Sleep(10 * time.Minute)
				state := s.State()
				if never := 3000 - state.Tasks[string(running)]; state.Launched != 3000 || never < 15 || never > 50 {
					t.Errorf("%+v: about 1 %% should never have started", state)
				}
			})
		})
	}
}

func TestCallsAreThrottledByTheirKind(t *testing.T) {
	figures := Instant()
	figures.ChangeCalls, figures.RunTaskCalls = Rate{Burst: 5, PerSecond: 1}, Rate{Burst: 100, PerSecond: 100}
	figures.LookCalls, figures.ClusterCalls = Rate{Burst: 3, PerSecond: 2}, Rate{Burst: 2, PerSecond: 1}
	withServer(t, figures, func(t *testing.T, s *Server) {
		until := func(call func() error) int {
			n := 0
			for n < 1000 && call() == nil {
				n++
			}
			return n
		}
		stop := func() error { _, err := s.stopTask(t.Context(), stopInput{Cluster: "none"}); return throttle(err) }
		run := func() error { _, err := s.runTask(t.Context(), launchRequest{}); return throttle(err) }
		list := func() error { _, err := s.listTasks(t.Context(), listTasksInput{Cluster: "hpc"}); return throttle(err) }
		describe := func() error {
			_, err := s.describeTasks(t.Context(), describeTasksInput{Cluster: "hpc", Tasks: []string{"x"}})
			return throttle(err)
		}
		clusters := func() error { _, err := s.describeClusters(t.Context(), describeClustersInput{}); return throttle(err) }
		got := []int{until(stop), until(run), until(list), until(describe), until(clusters)}
		time.Sleep(2 * time.Second)
		got = append(got, until(run), until(stop), until(describe), until(list), until(clusters))
		if diff := cmp.Diff([]int{5, 0, 3, 0, 2, 2, 0, 3, 0, 2}, got); diff != "" {
			t.Error(diff)
		}
		figures.ChangeCalls, figures.RunTaskCalls = Rate{Burst: 100, PerSecond: 100}, Rate{Burst: 4, PerSecond: 1}
		if err := s.SetFigures(figures); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := until(run); got != 4 {
			t.Errorf("%d RunTask calls at once, want 4", got)
		}
	})
}

// throttle keeps only errors that say so.
func throttle(err error) error {
	if fault := new(awsjson.Error); errors.As(err, &fault) && fault.Code == "ThrottlingException" {
		return err
	}
	return nil
}

func TestTheQuotaOfVCPUsIsPerProviderAndCountsWhatRuns(t *testing.T) {
	figures := Instant()
	figures.OnDemand.VCPUs, figures.Spot.VCPUs = 6, 12
	withServer(t, figures, func(t *testing.T, s *Server) {
		answer, err := s.runTask(t.Context(), networked(10, onDemandProvider, "a"))
		if err != nil || len(answer.Tasks) != 6 || len(answer.Failures) != 4 || answer.Failures[0].Reason != reasonVCPUs {
			t.Fatalf("%d tasks, %+v, %v", len(answer.Tasks), answer.Failures, err)
		}
		_, err = s.runTask(t.Context(), networked(1, onDemandProvider, "a"))
		if fault := faultOf(t, err, "ClientException"); fault.Message != reasonVCPUs {
			t.Errorf("message %q", fault.Message)
		}
		for _, want := range []int{10, 2} {
			if spot, err := s.runTask(t.Context(), networked(10, spotProvider, "a")); err != nil || len(spot.Tasks) != want {
				t.Errorf("Spot has a quota of its own: %d tasks, %v; want %d", len(spot.Tasks), err, want)
			}
		}
		if _, err := s.stopTask(t.Context(), stopInput{Cluster: "hpc", Task: answer.Tasks[0].TaskARN}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if again, err := s.runTask(t.Context(), networked(1, onDemandProvider, "a")); err != nil || len(again.Tasks) != 1 {
			t.Errorf("a stopped task leaves room: %d tasks, %v", len(again.Tasks), err)
		}
	})
}

func TestSubnetsRunOutOfAddressesAndOfCapacity(t *testing.T) {
	figures := Instant()
	figures.SubnetAddresses = map[string]int{"a": 3}
	figures.Spot.Capacity = map[string]int{"b": 2}
	withServer(t, figures, func(t *testing.T, s *Server) {
		reasons := func(request launchRequest) (int, string) {
			answer, err := s.runTask(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			if len(answer.Failures) == 0 {
				return len(answer.Tasks), ""
			}
			return len(answer.Tasks), answer.Failures[0].Reason
		}
		if n, reason := reasons(networked(10, spotProvider, "b")); n != 2 || reason != reasonCapacity {
			t.Errorf("%d, %q", n, reason)
		}
		if n, reason := reasons(networked(10, onDemandProvider, "b")); n != 10 || reason != "" {
			t.Errorf("On-Demand has its own capacity: %d, %q", n, reason)
		}
		if n, reason := reasons(networked(5, spotProvider, "a", "b")); n != 3 || !strings.Contains(reason, "free addresses") && reason != reasonCapacity {
			t.Errorf("the other subnet has room for three: %d, %q", n, reason)
		}
		if n, reason := reasons(networked(1, onDemandProvider, "a")); n != 0 || !strings.Contains(reason, "a does not have enough free addresses") {
			t.Errorf("%d, %q", n, reason)
		}
		figures.Addresses = 4
		if err := s.SetFigures(figures); err != nil {
			t.Fatal(err)
		}
		if n, reason := reasons(networked(5, onDemandProvider, "c")); n != 4 || !strings.Contains(reason, "c does not have enough free addresses") {
			t.Errorf("%d, %q", n, reason)
		}
		figures.Interfaces = 19
		if err := s.SetFigures(figures); err != nil {
			t.Fatal(err)
		}
		if n, reason := reasons(networked(1, onDemandProvider, "d")); n != 0 || reason != "RESOURCE:ENI" {
			t.Errorf("%d, %q", n, reason)
		}
	})
}

func TestWhatIsTakenUpIsWhatTheTasksThatRunTakeUp(t *testing.T) {
	figures := Instant()
	figures.SubnetAddresses = map[string]int{"a": 7}
	withServer(t, figures, func(t *testing.T, s *Server) {
		dice := rand.New(rand.NewPCG(5, 5))
		for range 200 {
			subnets := [][]string{{"a"}, {"b"}, {"a", "b"}}[dice.IntN(3)]
			answer, err := s.runTask(t.Context(), networked(1+dice.IntN(10), []string{onDemandProvider, spotProvider}[dice.IntN(2)], subnets...))
			if throttle(err) != nil {
				time.Sleep(time.Second)
			} else if err != nil {
				t.Fatal(err)
			}
			for _, task := range answer.Tasks {
				if dice.IntN(3) > 0 {
					if _, err := s.stopTask(t.Context(), stopInput{Cluster: "hpc", Task: task.TaskARN}); err != nil {
						time.Sleep(time.Second) // it runs on
					}
				}
			}
			synctest.Wait()
			counted := newUse()
			for _, task := range s.account.tasks {
				if task.last != stopped {
					counted.add(task.providerName(), task.subnet, task.definition.vcpus())
				}
			}
			if counted.interfaces != s.account.used.interfaces {
				t.Fatalf("%d interfaces are counted, %d taken up", counted.interfaces, s.account.used.interfaces)
			}
			for place, n := range s.account.used.tasks {
				if counted.tasks[place] != n {
					t.Fatalf("%v: %d tasks are counted, %d taken up", place, counted.tasks[place], n)
				}
			}
			for subnet, n := range s.account.used.addresses {
				if counted.addresses[subnet] != n {
					t.Fatalf("%s: %d addresses are counted, %d taken up", subnet, counted.addresses[subnet], n)
				}
			}
			for provider, n := range s.account.used.vcpus {
				if counted.vcpus[provider] != n {
					t.Fatalf("%s: %v vCPUs are counted, %v taken up", provider, counted.vcpus[provider], n)
				}
			}
		}
	})
}

func TestAnAnswerWithFailuresIsRepeatedForItsToken(t *testing.T) {
	figures := Instant()
	figures.OnDemand.Capacity = map[string]int{"a": 0}
	withServer(t, figures, func(t *testing.T, s *Server) {
		request := networked(4, onDemandProvider, "a")
		request.ClientToken = "intent"
		first, err := s.runTask(t.Context(), request)
		if err != nil || len(first.Failures) != 4 {
			t.Fatalf("%+v, %v", first, err)
		}
		if err := s.SetFigures(Instant()); err != nil {
			t.Fatal(err)
		}
		again, err := s.runTask(t.Context(), request)
		if diff := cmp.Diff(first, again, cmp.AllowUnexported()); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
	})
}

func TestANewTaskIsMissingFromListingsForAWhile(t *testing.T) {
	figures := Instant()
	figures.Lag = seconds(2, 2)
	withServer(t, figures, func(t *testing.T, s *Server) {
		answer, err := s.runTask(t.Context(), networked(1, onDemandProvider, "a"))
		if err != nil {
			t.Fatal(err)
		}
		look := func() (listed, described int) {
			list, err := s.listTasks(t.Context(), listTasksInput{Cluster: "hpc"})
			if err != nil {
				t.Fatal(err)
			}
			tasks, err := s.describeTasks(t.Context(), describeTasksInput{Cluster: "hpc", Tasks: []string{answer.Tasks[0].TaskARN}})
			if err != nil {
				t.Fatal(err)
			}
			return len(list.TaskARNs), len(tasks.Tasks)
		}
		time.Sleep(1900 * time.Millisecond)
		if listed, described := look(); listed+described != 0 {
			t.Errorf("seen after 1.9 s: %d, %d", listed, described)
		}
		time.Sleep(100 * time.Millisecond)
		if listed, described := look(); listed+described != 2 {
			t.Errorf("not seen after 2 s: %d, %d", listed, described)
		}
	})
}

func TestATaskThatNeverStartsIsStoppedWithECSsReason(t *testing.T) {
	figures := Fargate()
	figures.NeverStart = 1
	withServer(t, figures, func(t *testing.T, s *Server) {
		answer, err := s.runTask(t.Context(), networked(1, onDemandProvider, "a"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3*time.Minute - time.Second)
		if got := s.mustDescribe(t, answer.Tasks[0].TaskARN).LastStatus; got != provisioning {
			t.Errorf("%s before its time", got)
		}
		time.Sleep(2 * time.Second)
		got := s.mustDescribe(t, answer.Tasks[0].TaskARN)
		if got.LastStatus != stopped || got.StopCode != taskFailedToStart || got.StoppedReason != reasonNeverStarted {
			t.Errorf("%+v", got)
		}
	})
}

func TestStartUpGoesThroughProvisioningAndPending(t *testing.T) {
	figures := Instant()
	figures.Provisioning, figures.Pending = seconds(10, 20), seconds(20, 40)
	withServer(t, figures, func(t *testing.T, s *Server) {
		launchAll(t, s, 200, onDemandProvider)
		counts := func() (p, q, r int) {
			tasks := s.State().Tasks
			return tasks[string(provisioning)], tasks[string(pending)], tasks[string(running)]
		}
		if p, _, _ := counts(); p < 100 {
			t.Errorf("%d provisioning at first", p)
		}
		time.Sleep(25 * time.Second)
		if _, q, _ := counts(); q == 0 {
			t.Error("none pending after 25 s")
		}
		time.Sleep(35 * time.Second)
		if _, _, r := counts(); r != 200 {
			t.Errorf("%d running after a minute", r)
		}
	})
}

func TestAnImageThatIsNotThereStopsTheTask(t *testing.T) {
	figures := Instant()
	figures.NoImages = []string{"worker:1"}
	withServer(t, figures, func(t *testing.T, s *Server) {
		answer, err := s.runTask(t.Context(), networked(1, onDemandProvider, "a"))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		got := s.mustDescribe(t, answer.Tasks[0].TaskARN)
		if got.LastStatus != stopped || got.StopCode != taskFailedToStart || !strings.HasPrefix(got.StoppedReason, "CannotPullContainerError: ") {
			t.Errorf("%+v", got)
		}
	})
}

func TestASpotTaskIsInterruptedWithTwoMinutesAtMost(t *testing.T) {
	figures := Instant()
	figures.SpotInterruptions = 60
	withServer(t, figures, func(t *testing.T, s *Server) {
		launchAll(t, s, 50, spotProvider)
		launchAll(t, s, 50, onDemandProvider)
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		byCode := map[string]int{}
		for _, task := range s.account.tasks {
			byCode[task.provider+" "+task.stopCode]++
		}
		if byCode["FARGATE_SPOT SpotInterruption"] != 50 || byCode["FARGATE "] != 50 {
			t.Errorf("%v", byCode)
		}
	})
	figures.SpotInterruptions = 0
	withServer(t, figures, func(t *testing.T, s *Server) {
		launchAll(t, s, 20, spotProvider)
		launchAll(t, s, 20, onDemandProvider)
		synctest.Wait()
		if n := s.Interrupt(5); n != 5 {
			t.Errorf("%d interrupted", n)
		}
		synctest.Wait()
		if n := s.State().Tasks[string(stopped)]; n != 5 {
			t.Errorf("%d stopped", n)
		}
		if n := s.Interrupt(100); n != 15 {
			t.Errorf("%d interrupted: On-Demand is not", n)
		}
	})
}

func TestTheOldestSpotTasksAreInterruptedFirstInWhateverCluster(t *testing.T) {
	withServer(t, Instant(), func(t *testing.T, s *Server) {
		s.account.createCluster("other", nil, nil)
		var arns []string
		for i := range 8 {
			launch := networked(1, spotProvider, "a")
			launch.Count = nil // which means one
			if i%3 == 0 {
				launch.Cluster = "other"
			}
			answer, err := s.runTask(t.Context(), launch)
			if err != nil {
				t.Fatal(err)
			}
			arns = append(arns, answer.Tasks[0].TaskARN)
			time.Sleep(time.Second)
		}
		if n := s.Interrupt(5); n != 5 {
			t.Errorf("%d interrupted", n)
		}
		synctest.Wait()
		for i, arn := range arns {
			if got, want := s.account.tasks[arn[strings.LastIndex(arn, "/")+1:]].last, map[bool]status{true: stopped, false: running}[i < 5]; got != want {
				t.Errorf("task %d is %s, want %s", i, got, want)
			}
		}
	})
}

// deaf is a runtime of functions that do not heed SIGTERM.
func deaf() *FunctionRuntime {
	return &FunctionRuntime{Run: func(_ context.Context, task FunctionTask) int {
		<-task.Killed.Done()
		return 1
	}}
}

func TestAnInterruptedTaskIsKilledWhenItsTimeIsUp(t *testing.T) {
	withServer(t, Instant(), func(t *testing.T, s *Server) {
		s.options.Runtime = deaf()
		register := func(stopTimeout int) error {
			_, err := s.account.register(time.Now(), fmt.Appendf(nil, `{"family":"worker","cpu":"1024","networkMode":"awsvpc",
				"containerDefinitions":[{"name":"main","image":"registry/worker:1","command":["run"],"stopTimeout":%d}]}`, stopTimeout))
			return err
		}
		if err := register(121); err == nil || !strings.Contains(err.Error(), "between 0 and 120 seconds") {
			t.Errorf("a stopTimeout of 121 s: %v", err)
		}
		if err := register(120); err != nil {
			t.Fatal(err)
		}
		answer, err := s.runTask(t.Context(), networked(1, spotProvider, "a"))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := s.Interrupt(1); n != 1 {
			t.Fatalf("%d interrupted", n)
		}
		time.Sleep(2*time.Minute - time.Second)
		synctest.Wait()
		if got := s.mustDescribe(t, answer.Tasks[0].TaskARN); got.LastStatus != stopping || got.StopCode != spotInterruption {
			t.Errorf("before its time is up: %s, %s", got.LastStatus, got.StopCode)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		got := s.mustDescribe(t, answer.Tasks[0].TaskARN)
		if code := got.Containers[0].ExitCode; got.LastStatus != stopped || code == nil || *code != 137 {
			t.Errorf("after it: %+v", got)
		}
	})
}

func TestStateChangesAreToldToAQueueRepeatedAndReorderedOnDemand(t *testing.T) {
	figures := Instant()
	figures.Events = "events"
	withServer(t, figures, func(t *testing.T, s *Server) {
		queue, _ := s.options.Queues.(*heard)
		if _, err := s.options.Faults.Add(fault.Rule{Service: fault.ECS, Operation: EventOperation, Kind: fault.Duplicate, After: 1, Count: 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.options.Faults.Add(fault.Rule{
			Service: fault.ECS, Operation: EventOperation, Match: `"RUNNING","launchType"`, Kind: fault.Delay, Delay: fault.Duration(time.Minute),
		}); err != nil {
			t.Fatal(err)
		}
		answer, err := s.runTask(t.Context(), networked(1, onDemandProvider, "a"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if _, err := s.stopTask(t.Context(), stopInput{Cluster: "hpc", Task: answer.Tasks[0].TaskARN}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		seen := map[string]int{}
		for _, body := range queue.bodies {
			var e stateChange
			if err := json.Unmarshal([]byte(body), &e); err != nil {
				t.Fatal(err)
			}
			status, _ := e.Detail["lastStatus"].(string)
			seen[status]++
			if e.Source != "aws.ecs" || e.Detail["taskArn"] != answer.Tasks[0].TaskARN || e.Detail["version"] == nil {
				t.Errorf("%s", body)
			}
			if created, ok := e.Detail["createdAt"].(string); !ok {
				t.Errorf("createdAt is %v", e.Detail["createdAt"])
			} else if _, err := time.Parse(time.RFC3339Nano, created); err != nil {
				t.Error(err)
			}
		}
		if diff := cmp.Diff(map[string]int{
			"PROVISIONING": 1, "PENDING": 2, "RUNNING": 1, "DEACTIVATING": 1, "STOPPING": 1, "DEPROVISIONING": 1, "STOPPED": 1,
		}, seen); diff != "" {
			t.Error(diff)
		}
		if last := queue.bodies[len(queue.bodies)-1]; !strings.Contains(last, `"lastStatus":"RUNNING"`) {
			t.Errorf("the delayed event is not the last: %s", last)
		}
	})
}

func TestFaultsCutAnAnswerShortAndKillTasks(t *testing.T) {
	figures := Instant()
	withServer(t, figures, func(t *testing.T, s *Server) {
		request := networked(10, onDemandProvider, "a")
		call := func(rule fault.Rule) launchAnswer {
			injector := fault.New(1)
			if _, err := injector.Add(rule); err != nil {
				t.Fatal(err)
			}
			handler := injector.Wrap(fault.Service{
				Name: fault.ECS, Operation: func(*http.Request) string { return "RunTask" },
			}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				answer, err := s.runTask(r.Context(), request)
				if err != nil {
					t.Error(err)
				}
				panic(answer)
			}))
			sent, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			return func() (answer launchAnswer) {
				defer func() { answer, _ = recover().(launchAnswer) }()
				handler.ServeHTTP(nil, sent)
				return
			}()
		}
		partial := call(fault.Rule{Service: fault.ECS, Kind: fault.Partial, Share: 0.3})
		if len(partial.Tasks) != 7 || len(partial.Failures) != 3 || partial.Failures[0].Reason != reasonCapacity {
			t.Errorf("%d tasks, %+v", len(partial.Tasks), partial.Failures)
		}
		killed := call(fault.Rule{Service: fault.ECS, Kind: fault.Kill, Delay: fault.Duration(time.Minute)})
		time.Sleep(59 * time.Second)
		if n := s.State().Tasks[string(running)]; n != 17 {
			t.Errorf("%d running", n)
		}
		time.Sleep(2 * time.Second)
		request.Count = nil // which means one
		if one := call(fault.Rule{Service: fault.ECS, Kind: fault.Partial, Share: 0.3}); len(one.Tasks) != 0 || len(one.Failures) != 1 {
			t.Errorf("of one task: %+v", one)
		}
		for _, task := range killed.Tasks {
			got := s.mustDescribe(t, task.TaskARN)
			if code := got.Containers[0].ExitCode; got.LastStatus != stopped || code == nil || *code != 137 {
				t.Errorf("%+v", got)
			}
		}
	})
}

func TestAFunctionThatIsKilledReachesNobodyAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answered := 0
		runtime := &FunctionRuntime{
			Transport: roundTrip(func(*http.Request) (*http.Response, error) {
				answered++
				return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
			}),
			Run: func(ctx context.Context, task FunctionTask) int {
				request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://x", http.NoBody)
				if err != nil {
					return 1
				}
				for {
					response, err := task.Transport.RoundTrip(request)
					if err != nil {
						return 7
					}
					_ = response.Body.Close()
					select {
					case <-time.After(time.Second):
					case <-task.Killed.Done():
					}
				}
			},
		}
		process, err := runtime.Start(t.Context(), TaskSpec{Environment: []string{"A=1", "B=2", "A=3"}})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2500 * time.Millisecond)
		process.Stop(2 * time.Second) // which the function does not heed
		if exit := process.Wait(); exit.Code != 137 || answered != 5 {
			t.Errorf("%+v after %d answers", exit, answered)
		}
		if got := (FunctionTask{TaskSpec: TaskSpec{Environment: []string{"A=1", "B=2", "A=3"}}}).Getenv("A"); got != "3" {
			t.Errorf("A is %q", got)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip calls the function.
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestFiguresThatMakeNoSenseAreRefused(t *testing.T) {
	for want, spoil := range map[string]func(*Figures){
		"on_demand.launches": func(f *Figures) { f.OnDemand.Launches.Burst = -1 },
		"never_start":        func(f *Figures) { f.NeverStart = 2 },
		"pending":            func(f *Figures) { f.Pending = seconds(2, 1) },
		"interfaces":         func(f *Figures) { f.Interfaces = -1 },
		"spot_interruptions": func(f *Figures) { f.SpotInterruptions = -1 },
	} {
		f := Fargate()
		spoil(&f)
		if err := f.validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
