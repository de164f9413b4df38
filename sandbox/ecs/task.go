package ecs

import (
	"encoding/json"
	"time"
)

// status is where a task is in its life, in AWS's words.
type status string

const (
	provisioning   status = "PROVISIONING"
	pending        status = "PENDING"
	running        status = "RUNNING"
	deactivating   status = "DEACTIVATING"
	stopping       status = "STOPPING"
	deprovisioning status = "DEPROVISIONING"
	stopped        status = "STOPPED"
)

// Stop codes, from the Task data type.
const (
	userInitiated            = "UserInitiated"
	serviceInitiated         = "ServiceSchedulerInitiated"
	essentialContainerExited = "EssentialContainerExited"
	taskFailedToStart        = "TaskFailedToStart"
	spotInterruption         = "SpotInterruption"
)

// task is one task's state. Its methods are its transitions; each that changes
// something raises the version, as ECS does.
type task struct {
	id         string
	arn        string
	cluster    *cluster
	definition *definition
	provider   string // capacity provider; empty when the launch type was given
	subnet     string
	fate       fate
	request    launchRequest
	command    []string
	variables  []keyValue // definition's and override's, in that order

	last          status
	desired       status
	version       int
	stopCode      string
	stoppedReason string
	exitCode      *int
	exitReason    string

	entered func(*task) // told of each change of status; nil: nobody
	vacate  func(*task) // frees what the task took up, once

	created, pullStarted, started    time.Time
	stopAsked, executionEnded, ended time.Time
}

func (t *task) enter(s status) {
	t.last = s
	t.version++
	if t.entered != nil {
		t.entered(t)
	}
}

// pull is when the image would be pulled.
func (t *task) pull(now time.Time) {
	t.pullStarted = now
	t.enter(pending)
}

// start is when the container runs.
func (t *task) start(now time.Time) {
	t.started = now
	if t.desired == stopped {
		t.enter(stopping)
		return
	}
	t.enter(running)
}

// askToStop makes STOPPED what is wanted; false if it was before.
func (t *task) askToStop(now time.Time, code, reason string) bool {
	if t.desired == stopped {
		return false
	}
	t.desired, t.stopAsked = stopped, now
	t.stopCode, t.stoppedReason = code, reason
	if t.last == running {
		t.enter(deactivating)
		t.enter(stopping)
	}
	return true
}

// exit is when the container's process has ended.
func (t *task) exit(now time.Time, code int, reason string) {
	t.askToStop(now, essentialContainerExited, "Essential container in task exited")
	t.exitCode, t.exitReason, t.executionEnded = &code, reason, now
	t.finish(now)
}

// failStart is when the container could not be started, or was stopped before.
func (t *task) failStart(now time.Time, reason string) {
	t.askToStop(now, taskFailedToStart, reason)
	t.exitReason = reason
	t.finish(now)
}

func (t *task) finish(now time.Time) {
	t.enter(deprovisioning)
	t.ended = now
	t.vacate(t)
	t.enter(stopped)
}

// taskView is a task on the wire.
type taskView struct {
	Attributes           []keyValue      `json:"attributes"`
	AvailabilityZone     string          `json:"availabilityZone"`
	CapacityProviderName string          `json:"capacityProviderName,omitempty"`
	ClusterARN           string          `json:"clusterArn"`
	Connectivity         string          `json:"connectivity,omitempty"`
	Containers           []containerView `json:"containers"`
	CPU                  string          `json:"cpu,omitempty"`
	CreatedAt            timestamp       `json:"createdAt,omitzero"`
	DesiredStatus        status          `json:"desiredStatus"`
	EnableExecuteCommand bool            `json:"enableExecuteCommand"`
	ExecutionStoppedAt   timestamp       `json:"executionStoppedAt,omitzero"`
	Group                string          `json:"group"`
	HealthStatus         string          `json:"healthStatus"`
	LastStatus           status          `json:"lastStatus"`
	LaunchType           string          `json:"launchType"`
	Memory               string          `json:"memory,omitempty"`
	Overrides            json.RawMessage `json:"overrides,omitempty"`
	PlatformVersion      string          `json:"platformVersion"`
	PullStartedAt        timestamp       `json:"pullStartedAt,omitzero"`
	StartedAt            timestamp       `json:"startedAt,omitzero"`
	StartedBy            string          `json:"startedBy,omitempty"`
	StopCode             string          `json:"stopCode,omitempty"`
	StoppedAt            timestamp       `json:"stoppedAt,omitzero"`
	StoppedReason        string          `json:"stoppedReason,omitempty"`
	StoppingAt           timestamp       `json:"stoppingAt,omitzero"`
	Tags                 []tag           `json:"tags"`
	TaskARN              string          `json:"taskArn"`
	TaskDefinitionARN    string          `json:"taskDefinitionArn"`
	Version              int             `json:"version"`
}

type containerView struct {
	ContainerARN string `json:"containerArn"`
	TaskARN      string `json:"taskArn"`
	Name         string `json:"name"`
	Image        string `json:"image"`
	ImageDigest  string `json:"imageDigest,omitempty"`
	RuntimeID    string `json:"runtimeId,omitempty"`
	LastStatus   status `json:"lastStatus"`
	ExitCode     *int   `json:"exitCode,omitempty"`
	Reason       string `json:"reason,omitempty"`
	HealthStatus string `json:"healthStatus"`
	CPU          string `json:"cpu"`
}

// view is the task as RunTask and DescribeTasks give it.
func (t *task) view(withTags bool) taskView {
	d := t.definition
	view := taskView{
		Attributes:       []keyValue{{Name: "ecs.cpu-architecture", Value: "x86_64"}},
		AvailabilityZone: t.cluster.zone, CapacityProviderName: t.provider, ClusterARN: t.cluster.arn,
		CPU: d.CPU, Memory: d.Memory, CreatedAt: timestamp(t.created), DesiredStatus: t.desired,
		ExecutionStoppedAt: timestamp(t.executionEnded), Group: t.group(), HealthStatus: "UNKNOWN",
		LastStatus: t.last, LaunchType: "FARGATE", Overrides: t.request.Overrides, PlatformVersion: "1.4.0",
		PullStartedAt: timestamp(t.pullStarted), StartedAt: timestamp(t.started), StartedBy: t.request.StartedBy,
		StopCode: t.stopCode, StoppedAt: timestamp(t.ended), StoppedReason: t.stoppedReason,
		StoppingAt: timestamp(t.stopAsked), Tags: []tag{}, TaskARN: t.arn, TaskDefinitionARN: d.arn, Version: t.version,
		Containers: []containerView{t.containerView()},
	}
	if !t.started.IsZero() {
		view.Connectivity = "CONNECTED"
	}
	if withTags && len(t.request.Tags) > 0 {
		view.Tags = t.request.Tags
	}
	return view
}

func (t *task) containerView() containerView {
	c := t.definition.container()
	view := containerView{
		ContainerARN: t.cluster.containerARN(t.id), TaskARN: t.arn, Name: c.Name, Image: c.Image, LastStatus: pending,
		ExitCode: t.exitCode, Reason: t.exitReason, HealthStatus: "UNKNOWN", CPU: "0",
	}
	if t.last == stopped {
		view.LastStatus = stopped
	} else if !t.started.IsZero() {
		view.LastStatus = running
	}
	if !t.started.IsZero() {
		view.ImageDigest, view.RuntimeID = imageDigest(c.Image), t.runtimeID()
	}
	return view
}

func (t *task) group() string {
	if t.request.Group != "" {
		return t.request.Group
	}
	return "family:" + t.definition.Family
}

// runtimeID is the container's id, as Fargate makes it of the task's.
func (t *task) runtimeID() string { return t.id + "-0000000000" }
