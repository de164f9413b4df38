package ecs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"spate/sandbox/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeRuntime runs containers that do nothing until they are told to stop, and
// then end after their own time, or at once when killed.
type fakeRuntime struct {
	ends time.Duration // from SIGTERM to the end
	fail error

	mu      sync.Mutex
	started []TaskSpec
}

func (r *fakeRuntime) Start(_ context.Context, spec TaskSpec) (Process, error) {
	if r.fail != nil {
		return nil, r.fail
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started = append(r.started, spec)
	return &fakeProcess{ends: r.ends, over: make(chan Exit, 1)}, nil
}

type fakeProcess struct {
	ends time.Duration
	once sync.Once
	over chan Exit
}

func (p *fakeProcess) Stop(grace time.Duration) {
	p.once.Do(func() {
		exit := Exit{Code: 143}
		if p.ends > grace {
			exit = Exit{Code: 137}
		}
		time.AfterFunc(min(p.ends, grace), func() { p.over <- exit })
	})
}

func (p *fakeProcess) Wait() Exit { return <-p.over }

func newTestServer(t *testing.T, runtime Runtime, delay time.Duration) *Server {
	t.Helper()
	figures := Instant()
	figures.Provisioning = Spread{fault.Duration(delay), fault.Duration(delay)}
	s, err := New(Options{Region: "us-east-1", AccountID: "000000000000", Runtime: runtime, Figures: &figures, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	s.account = newTestAccount(t, time.Now())
	s.account.figures = figures
	return s
}

func (s *Server) mustDescribe(t *testing.T, arn string) taskView {
	t.Helper()
	out, err := s.describeTasks(t.Context(), describeTasksInput{Cluster: "hpc", Tasks: []string{arn}})
	if err != nil || len(out.Tasks) != 1 {
		t.Fatalf("describe %s: %+v, %v", arn, out, err)
	}
	return out.Tasks[0]
}

func TestATaskRunsAfterTheStartDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, &fakeRuntime{}, 30*time.Second)
		defer s.Close(0)
		answer, err := s.runTask(t.Context(), testRequest(1))
		if err != nil || answer.Tasks[0].LastStatus != provisioning {
			t.Fatalf("%+v, %v", answer, err)
		}
		arn := answer.Tasks[0].TaskARN
		time.Sleep(29 * time.Second)
		synctest.Wait()
		if got := s.mustDescribe(t, arn); got.LastStatus != provisioning {
			t.Errorf("%s after 29 s", got.LastStatus)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := s.mustDescribe(t, arn); got.LastStatus != running || got.Containers[0].ImageDigest == "" {
			t.Errorf("%+v after 30 s", got)
		}
	})
}

func TestAStoppedTaskHasItsTimeoutToEnd(t *testing.T) {
	for name, tc := range map[string]struct {
		ends, after time.Duration
		code        int
	}{
		"ends by itself": {3 * time.Second, 3 * time.Second, 143},
		"is killed":      {time.Hour, defaultStopTimeout, 137},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestServer(t, &fakeRuntime{ends: tc.ends}, 0)
				defer s.Close(0)
				answer, err := s.runTask(t.Context(), testRequest(1))
				if err != nil {
					t.Fatal(err)
				}
				arn := answer.Tasks[0].TaskARN
				synctest.Wait()
				out, err := s.stopTask(t.Context(), stopInput{Cluster: "hpc", Task: arn, Reason: "drain"})
				if err != nil || out.Task.LastStatus != stopping || out.Task.DesiredStatus != stopped {
					t.Fatalf("%+v, %v", out, err)
				}
				time.Sleep(tc.after)
				synctest.Wait()
				got := s.mustDescribe(t, arn)
				if got.LastStatus != stopped || got.StopCode != userInitiated || got.StoppedReason != "drain" || *got.Containers[0].ExitCode != tc.code {
					t.Errorf("after %v: %+v", tc.after, got)
				}
			})
		})
	}
}

func TestATaskStoppedBeforeItStartsNeverRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runtime := &fakeRuntime{}
		s := newTestServer(t, runtime, time.Minute)
		defer s.Close(0)
		answer, err := s.runTask(t.Context(), testRequest(1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.stopTask(t.Context(), stopInput{Cluster: "hpc", Task: answer.Tasks[0].TaskARN}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		got := s.mustDescribe(t, answer.Tasks[0].TaskARN)
		if got.LastStatus != stopped || got.StopCode != userInitiated || len(runtime.started) != 0 {
			t.Errorf("%+v, started %v", got, runtime.started)
		}
	})
}

func TestATaskThatCannotStartSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, &fakeRuntime{fail: errors.New("CannotStartContainerError: no such program")}, 0)
		defer s.Close(0)
		answer, err := s.runTask(t.Context(), testRequest(1))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		got := s.mustDescribe(t, answer.Tasks[0].TaskARN)
		if got.LastStatus != stopped || got.StopCode != taskFailedToStart || got.StoppedReason != "CannotStartContainerError: no such program" {
			t.Errorf("%+v", got)
		}
	})
}

func TestThreeThousandTasksAreAcceptedIn145Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, &fakeRuntime{}, 40*time.Second)
		defer s.Close(0)
		start := time.Now()
		for accepted := 0; accepted < 3000; {
			if _, err := s.runTask(t.Context(), testRequest(10)); err != nil {
				time.Sleep(100 * time.Millisecond)
				continue
			}
			accepted += 10
		}
		if took := time.Since(start); took != 145*time.Second {
			t.Errorf("accepted after %v", took)
		}
		time.Sleep(40 * time.Second)
		synctest.Wait()
		out, err := s.describeClusters(t.Context(), describeClustersInput{Clusters: []string{"hpc"}, Include: []string{"STATISTICS"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(out.Clusters[0].Statistics[2]); got != "{runningFargateTasksCount 3000}" {
			t.Errorf("statistics say %s", got)
		}
	})
}

func TestListingsFilterAndPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, &fakeRuntime{}, 0)
		defer s.Close(0)
		first := testRequest(3)
		first.StartedBy = "intent-1"
		answer, err := s.runTask(t.Context(), first)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.runTask(t.Context(), testRequest(2)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.stopTask(t.Context(), stopInput{Cluster: "hpc", Task: answer.Tasks[0].TaskARN}); err != nil {
			t.Fatal(err)
		}
		for name, tc := range map[string]struct {
			in   listTasksInput
			want int
		}{
			"wanted to run":         {listTasksInput{}, 4},
			"of one request":        {listTasksInput{StartedBy: "intent-1"}, 2},
			"stopped":               {listTasksInput{DesiredStatus: stopped}, 1},
			"pending gives nothing": {listTasksInput{DesiredStatus: pending}, 0},
			"of a family":           {listTasksInput{Family: "worker"}, 4},
			"of another family":     {listTasksInput{Family: "other"}, 0},
		} {
			tc.in.Cluster = "hpc"
			out, err := s.listTasks(t.Context(), tc.in)
			if err != nil || len(out.TaskARNs) != tc.want {
				t.Errorf("%s: %d tasks, %v; want %d", name, len(out.TaskARNs), err, tc.want)
			}
		}
		_, err = s.listTasks(t.Context(), listTasksInput{Cluster: "hpc", StartedBy: "intent-1", Family: "worker"})
		wantFault(t, err, "InvalidParameterException")

		three := 3
		in := listTasksInput{Cluster: "hpc", pageInput: pageInput{MaxResults: &three}}
		page, err := s.listTasks(t.Context(), in)
		if err != nil || len(page.TaskARNs) != 3 || page.NextToken == "" {
			t.Fatalf("first page %+v, %v", page, err)
		}
		in.NextToken = page.NextToken
		if page, err = s.listTasks(t.Context(), in); err != nil || len(page.TaskARNs) != 1 || page.NextToken != "" {
			t.Errorf("second page %+v, %v", page, err)
		}
	})
}

func TestListingsHaveAHundredTasksAPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, &fakeRuntime{}, 0)
		defer s.Close(0)
		for range 11 {
			for {
				if _, err := s.runTask(t.Context(), testRequest(10)); err == nil {
					break
				}
				time.Sleep(time.Second)
			}
		}
		page, err := s.listTasks(t.Context(), listTasksInput{Cluster: "hpc"})
		if err != nil || len(page.TaskARNs) != 100 || page.NextToken == "" {
			t.Fatalf("%d tasks on a page, %v", len(page.TaskARNs), err)
		}
		if out, err := s.describeTasks(t.Context(), describeTasksInput{Cluster: "hpc", Tasks: page.TaskARNs}); err != nil || len(out.Tasks) != 100 {
			t.Errorf("%d described, %v", len(out.Tasks), err)
		}
		_, err = s.describeTasks(t.Context(), describeTasksInput{Cluster: "hpc", Tasks: append(page.TaskARNs, page.TaskARNs[0])})
		wantFault(t, err, "InvalidParameterException")
		tooMany := 101
		_, err = s.listTasks(t.Context(), listTasksInput{Cluster: "hpc", pageInput: pageInput{MaxResults: &tooMany}})
		wantFault(t, err, "InvalidParameterException")
	})
}
