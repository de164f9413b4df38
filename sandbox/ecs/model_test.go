package ecs

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spate/sandbox/awsjson"
)

func noon() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

func newModel(t *testing.T, figures Figures) (m *Model, definition string) {
	t.Helper()
	m, err := NewModel(figures, 1)
	if err != nil {
		t.Fatal(err)
	}
	if definition, err = m.Define(noon(), "worker", 1, 2); err != nil {
		t.Fatal(err)
	}
	return m, definition
}

func TestAModelHasTheSameTasksInStoreAsAServerOfItsSeed(t *testing.T) {
	figures := Fargate()
	figures.SpotInterruptions, figures.NeverStart = 2, 0.3
	m, definition := newModel(t, figures)
	got, err := m.RunTask(noon(), Launch{TaskDefinition: definition, Provider: spotProvider, Count: 10, Subnets: []string{"a", "b"}})
	if err != nil {
		t.Fatal(err)
	}
	withServer(t, figures, func(t *testing.T, s *Server) {
		count := 10
		_, err := s.runTask(context.Background(), launchRequest{
			Cluster: "hpc", TaskDefinition: "worker", Count: &count, CapacityProviderStrategy: []strategyItem{{CapacityProvider: spotProvider, Weight: 1}},
			NetworkConfiguration: []byte(`{"awsvpcConfiguration":{"subnets":["a","b"]}}`),
		})
		if err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, served := range s.account.clusters["hpc"].tasks {
			want := Fate{
				Provisioning: served.fate.provisioning, Pending: served.fate.pending, NeverStarts: served.fate.never, Interruption: served.fate.interruption,
			}
			if diff := cmp.Diff(want, got.New[i].Fate()); diff != "" {
				t.Errorf("task %d: %s", i, diff)
			}
		}
	})
}

func TestAModelRepeatsItsIDs(t *testing.T) {
	var all [2][]string
	for i := range all {
		m, definition := newModel(t, Fargate())
		out, err := m.RunTask(noon(), Launch{TaskDefinition: definition, Provider: onDemandProvider, Count: 5, Subnets: []string{"a"}})
		if err != nil {
			t.Fatal(err)
		}
		all[i] = out.ARNs
	}
	if !slices.Equal(all[0], all[1]) || len(all[0]) != 5 {
		t.Errorf("ids %v and %v", all[0], all[1])
	}
}

func TestAModelTakesATaskThroughItsLife(t *testing.T) {
	figures := Fargate()
	figures.Lag = seconds(2, 2)
	m, definition := newModel(t, figures)
	launch := Launch{TaskDefinition: definition, Provider: onDemandProvider, Count: 2, Subnets: []string{"a"}, ClientToken: "token", StartedBy: "me"}
	out, err := m.RunTask(noon(), launch)
	if err != nil || len(out.New) != 2 {
		t.Fatal(out, err)
	}
	if again, err := m.RunTask(noon(), launch); err != nil || len(again.New) != 0 || !slices.Equal(again.ARNs, out.ARNs) {
		t.Errorf("a repeated request launched %d tasks, answered %v, %v", len(again.New), again.ARNs, err)
	}
	if arns, _, err := m.ListTasks(noon(), "worker", "", 0); err != nil || len(arns) != 0 {
		t.Errorf("listed before the lag: %v, %v", arns, err)
	}
	now := noon().Add(3 * time.Second)
	first, second := out.New[0], out.New[1]
	first.Pull(now)
	first.Start(now)
	second.FailToStart(now)
	if arns, _, err := m.ListTasks(now, "", "me", 0); err != nil || !slices.Equal(arns, []string{first.ARN()}) {
		t.Errorf("listed %v, %v, want the one that runs", arns, err)
	}
	if _, err := m.StopTask(now, first.ARN(), "enough"); err != nil || !first.IsAskedToStop() || first.HasStopped() {
		t.Errorf("StopTask: %v; asked %v, stopped %v", err, first.IsAskedToStop(), first.HasStopped())
	}
	first.Exit(now, 143)
	found, missing, err := m.DescribeTasks(now, append(out.ARNs, "none"))
	if err != nil || len(missing) != 1 || len(found) != 2 {
		t.Fatal(found, missing, err)
	}
	if s := found[0].State(); s.LastStatus != "STOPPED" || s.StopCode != userInitiated || *s.ExitCode != 143 {
		t.Errorf("the first one is %+v", s)
	}
	if s := found[1].State(); s.StopCode != taskFailedToStart || s.ExitCode != nil || m.Launched() != 2 {
		t.Errorf("the second one is %+v", s)
	}
}

func TestAModelThrottlesLikeAServer(t *testing.T) {
	figures := Fargate()
	figures.RunTaskCalls = Rate{Burst: 100, PerSecond: 100}
	m, definition := newModel(t, figures)
	accepted := 0
	for {
		_, err := m.RunTask(noon(), Launch{TaskDefinition: definition, Provider: onDemandProvider, Count: 10, Subnets: []string{"a"}})
		if err != nil {
			if api, ok := errors.AsType[*awsjson.Error](err); !ok || api.Code != "ThrottlingException" {
				t.Errorf("refused with %v", err)
			}
			break
		}
		accepted += 10
	}
	if accepted != 100 {
		t.Errorf("%d tasks accepted at once, want the burst of 100", accepted)
	}
}
