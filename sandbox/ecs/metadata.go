package ecs

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// containerMetadata is the answer of the task metadata endpoint, version 4, for
// a container.
type containerMetadata struct {
	DockerID      string            `json:"DockerId"`
	Name          string            `json:"Name"`
	DockerName    string            `json:"DockerName"`
	Image         string            `json:"Image"`
	ImageID       string            `json:"ImageID"`
	Labels        map[string]string `json:"Labels"`
	DesiredStatus status            `json:"DesiredStatus"`
	KnownStatus   status            `json:"KnownStatus"`
	CreatedAt     time.Time         `json:"CreatedAt,omitzero"`
	StartedAt     time.Time         `json:"StartedAt,omitzero"`
	Type          string            `json:"Type"`
	ContainerARN  string            `json:"ContainerARN"`
}

// taskMetadata is its answer for the task.
type taskMetadata struct {
	Cluster          string              `json:"Cluster"`
	TaskARN          string              `json:"TaskARN"`
	Family           string              `json:"Family"`
	Revision         string              `json:"Revision"`
	DesiredStatus    status              `json:"DesiredStatus"`
	KnownStatus      status              `json:"KnownStatus"`
	PullStartedAt    time.Time           `json:"PullStartedAt,omitzero"`
	AvailabilityZone string              `json:"AvailabilityZone"`
	LaunchType       string              `json:"LaunchType"`
	Containers       []containerMetadata `json:"Containers"`
}

// ServeMetadata answers GET /v4/<task id> with the container's metadata, and GET
// /v4/<task id>/task with the task's.
func (s *Server) ServeMetadata(w http.ResponseWriter, r *http.Request) {
	path, versioned := strings.CutPrefix(r.URL.Path, "/v4/")
	id, part, _ := strings.Cut(path, "/")
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.account.tasks[id]
	if !versioned || t == nil || part != "" && part != "task" {
		http.Error(w, "unable to find "+r.URL.Path, http.StatusNotFound)
		return
	}
	var body any = t.containerMetadata()
	if part == "task" {
		body = t.metadata()
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		s.options.Log.Debug().Err(err).Msg("client left before its metadata was written")
	}
}

func (t *task) metadata() taskMetadata {
	return taskMetadata{
		Cluster: t.cluster.arn, TaskARN: t.arn, Family: t.definition.Family, Revision: strconv.Itoa(t.definition.revision),
		DesiredStatus: t.desired, KnownStatus: t.last, PullStartedAt: t.pullStarted.UTC(),
		AvailabilityZone: t.cluster.zone, LaunchType: "FARGATE", Containers: []containerMetadata{t.containerMetadata()},
	}
}

func (t *task) containerMetadata() containerMetadata {
	c := t.definition.container()
	labels := map[string]string{
		"com.amazonaws.ecs.cluster":                 t.cluster.arn,
		"com.amazonaws.ecs.container-name":          c.Name,
		"com.amazonaws.ecs.task-arn":                t.arn,
		"com.amazonaws.ecs.task-definition-family":  t.definition.Family,
		"com.amazonaws.ecs.task-definition-version": strconv.Itoa(t.definition.revision),
	}
	maps.Copy(labels, c.DockerLabels)
	return containerMetadata{
		DockerID: t.runtimeID(), Name: c.Name, DockerName: c.Name, Image: c.Image, ImageID: imageDigest(c.Image),
		Labels: labels, DesiredStatus: t.desired, KnownStatus: t.last, CreatedAt: t.created.UTC(),
		StartedAt: t.started.UTC(), Type: "NORMAL", ContainerARN: t.cluster.containerARN(t.id),
	}
}
