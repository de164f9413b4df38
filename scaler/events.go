package scaler

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// TaskChange is what one state-change event says of a task ("Amazon ECS task state change events" in the Amazon ECS
// developer guide). Events arrive at least once and in any order; the task's version tells which is newer.
type TaskChange struct {
	Cluster string // ARN
	Family  string // of the task definition
	Task    types.Task
}

// taskEvent is the part of such an event that is read. Members that are not named are ignored.
type taskEvent struct {
	Source     string `json:"source"`
	DetailType string `json:"detail-type"`
	Detail     struct {
		TaskArn              string `json:"taskArn"`
		ClusterArn           string `json:"clusterArn"`
		TaskDefinitionArn    string `json:"taskDefinitionArn"`
		LastStatus           string `json:"lastStatus"`
		DesiredStatus        string `json:"desiredStatus"`
		CapacityProviderName string `json:"capacityProviderName"`
		LaunchType           string `json:"launchType"`
		StopCode             string `json:"stopCode"`
		StoppedReason        string `json:"stoppedReason"`
		Version              int64  `json:"version"`
		Containers           []struct {
			Name     string `json:"name"`
			ExitCode *int32 `json:"exitCode"`
			Reason   string `json:"reason"`
		} `json:"containers"`
		Overrides struct {
			ContainerOverrides []struct {
				Name string `json:"name"`
			} `json:"containerOverrides"`
		} `json:"overrides"`
		CreatedAt string `json:"createdAt"`
		StartedAt string `json:"startedAt"`
	} `json:"detail"`
}

// ParseTaskChange reads an event as EventBridge delivers it to a queue.
func ParseTaskChange(body []byte) (TaskChange, error) {
	var event taskEvent
	if err := json.Unmarshal(body, &event); err != nil {
		return TaskChange{}, fmt.Errorf("parse task event: %w", err)
	}
	d := event.Detail
	if event.Source != "aws.ecs" || event.DetailType != "ECS Task State Change" {
		return TaskChange{}, fmt.Errorf("parse task event: it is %q of %q, no task state change of ECS", event.DetailType, event.Source)
	}
	if d.TaskArn == "" || d.ClusterArn == "" || d.TaskDefinitionArn == "" || d.LastStatus == "" {
		return TaskChange{}, errors.New("parse task event: task, cluster, task definition or status is missing")
	}
	_, revision := cutDefinition(d.TaskDefinitionArn)
	family, _, _ := strings.Cut(revision, ":")
	task := types.Task{
		TaskArn: &d.TaskArn, ClusterArn: &d.ClusterArn, TaskDefinitionArn: &d.TaskDefinitionArn, LastStatus: &d.LastStatus,
		DesiredStatus: &d.DesiredStatus, CapacityProviderName: given(d.CapacityProviderName), LaunchType: types.LaunchType(d.LaunchType),
		StopCode: types.TaskStopCode(d.StopCode), StoppedReason: given(d.StoppedReason), Version: d.Version,
		CreatedAt: moment(d.CreatedAt), StartedAt: moment(d.StartedAt),
	}
	for _, c := range d.Containers {
		task.Containers = append(task.Containers, types.Container{Name: given(c.Name), ExitCode: c.ExitCode, Reason: given(c.Reason)})
	}
	if overrides := d.Overrides.ContainerOverrides; len(overrides) > 0 {
		task.Overrides = &types.TaskOverride{}
		for _, o := range overrides {
			task.Overrides.ContainerOverrides = append(task.Overrides.ContainerOverrides, types.ContainerOverride{Name: given(o.Name)})
		}
	}
	return TaskChange{Cluster: d.ClusterArn, Family: family, Task: task}, nil
}

// given is a text, or nil when there is none.
func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// moment is a time of an event, or nil when it has none that can be read.
func moment(s string) *time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return nil
	}
	return &t
}

// eventsFor is how long the last answer of the events' queue vouches for its being read.
const eventsFor = time.Minute

// hasEvents reports whether changes of tasks are told as they happen.
func (e *Engine) hasEvents(now time.Time) bool { return now.Sub(e.eventsAt) <= eventsFor }

// TaskChanges takes over what events tell, and that there is somebody who reads them; there may be none. It returns how many were
// about tasks of the pools. They are of use to nobody afterwards: what they said is known, or will be told by a listing.
func (e *Engine) TaskChanges(now time.Time, changes []TaskChange) (ours int) {
	e.eventsAt = now
	for _, c := range changes {
		for _, p := range e.pools {
			if p.Family != c.Family || !sameCluster(p.Cluster, c.Cluster) {
				continue
			}
			ours++
			if d, gone := p.fleet.changed(now, c.Task); gone {
				p.depart(now, d)
			}
		}
	}
	return ours
}

// sameCluster reports whether a cluster, as configured, is the one with the ARN.
func sameCluster(configured, arn string) bool {
	return configured == arn || !strings.HasPrefix(configured, "arn:") && strings.HasSuffix(arn, "/"+configured)
}

// changed takes over an event. Only tasks that are known otherwise become members: an event may be hours old, and its task
// long gone. One that has stopped is remembered, as RunTask's answer may come after it.
func (f *fleet) changed(now time.Time, task types.Task) (departure, bool) {
	arn := aws.ToString(task.TaskArn)
	if f.members[arn] == nil {
		if aws.ToString(task.LastStatus) == "STOPPED" {
			f.gone[arn] = now
		}
		return departure{}, false
	}
	d, stopped := f.describe(now, task)
	if stopped {
		f.remove(now, []departure{d})
	}
	return d, stopped
}
