package ecs

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"
)

// maxDescribed is the most tasks or clusters that one call describes, and the
// most that one page lists.
const maxDescribed = 100

type createClusterInput struct {
	ClusterName       string   `json:"clusterName"`
	CapacityProviders []string `json:"capacityProviders"`
	Tags              []tag    `json:"tags"`
}

type createClusterOutput struct {
	Cluster clusterView `json:"cluster"`
}

func (s *Server) createCluster(_ context.Context, in createClusterInput) (createClusterOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.account.createCluster(in.ClusterName, in.CapacityProviders, in.Tags)
	return createClusterOutput{Cluster: c.view([]string{"TAGS"})}, nil
}

type describeClustersInput struct {
	Clusters []string `json:"clusters"`
	Include  []string `json:"include"`
}

type describeClustersOutput struct {
	Clusters []clusterView `json:"clusters"`
	Failures []failure     `json:"failures"`
}

func (s *Server) describeClusters(_ context.Context, in describeClustersInput) (describeClustersOutput, error) {
	if len(in.Clusters) > maxDescribed {
		return describeClustersOutput{}, errInvalid("Clusters can not be more than %d.", maxDescribed)
	}
	if len(in.Clusters) == 0 {
		in.Clusters = []string{"default"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.account.admit(time.Now(), clusterCalls); err != nil {
		return describeClustersOutput{}, err
	}
	out := describeClustersOutput{Clusters: []clusterView{}, Failures: []failure{}}
	for _, name := range in.Clusters {
		c, err := s.account.cluster(name)
		if err != nil {
			out.Failures = append(out.Failures, failure{ARN: s.account.arn("cluster/" + lastPart(name)), Reason: "MISSING"})
			continue
		}
		out.Clusters = append(out.Clusters, c.view(in.Include))
	}
	return out, nil
}

// pageInput is the part of a listing's input that asks for a page.
type pageInput struct {
	MaxResults *int   `json:"maxResults"`
	NextToken  string `json:"nextToken"`
}

// page cuts one page out of all; the token is the index at which the next one
// starts.
func (p pageInput) page(all []string) (page []string, next string, err error) {
	limit, start := maxDescribed, 0
	if p.MaxResults != nil {
		limit = *p.MaxResults
	}
	if limit < 1 || limit > maxDescribed {
		return nil, "", errInvalid("maxResults must be between 1 and %d.", maxDescribed)
	}
	if p.NextToken != "" {
		if start, err = strconv.Atoi(p.NextToken); err != nil || start < 0 {
			return nil, "", errInvalid("Invalid token %s.", p.NextToken)
		}
	}
	start = min(start, len(all))
	end := min(start+limit, len(all))
	if end < len(all) {
		next = strconv.Itoa(end)
	}
	return append([]string{}, all[start:end]...), next, nil
}

type listClustersOutput struct {
	ClusterARNs []string `json:"clusterArns"`
	NextToken   string   `json:"nextToken,omitempty"`
}

func (s *Server) listClusters(_ context.Context, in pageInput) (listClustersOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var arns []string
	for _, name := range slices.Sorted(maps.Keys(s.account.clusters)) {
		arns = append(arns, s.account.clusters[name].arn)
	}
	page, next, err := in.page(arns)
	return listClustersOutput{ClusterARNs: page, NextToken: next}, err
}

type listDefinitionsInput struct {
	pageInput
	FamilyPrefix string `json:"familyPrefix"`
	Status       string `json:"status"`
	Sort         string `json:"sort"`
}

type listDefinitionsOutput struct {
	TaskDefinitionARNs []string `json:"taskDefinitionArns"`
	NextToken          string   `json:"nextToken,omitempty"`
}

func (s *Server) listTaskDefinitions(_ context.Context, in listDefinitionsInput) (listDefinitionsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	arns := s.account.definitionARNs(in.FamilyPrefix, in.Status == "" || in.Status == "ACTIVE", in.Sort == "DESC")
	page, next, err := in.page(arns)
	return listDefinitionsOutput{TaskDefinitionARNs: page, NextToken: next}, err
}

type listTasksInput struct {
	pageInput
	Cluster           string `json:"cluster"`
	Family            string `json:"family"`
	StartedBy         string `json:"startedBy"`
	DesiredStatus     status `json:"desiredStatus"`
	LaunchType        string `json:"launchType"`
	ServiceName       string `json:"serviceName"`
	ContainerInstance string `json:"containerInstance"`
}

type listTasksOutput struct {
	TaskARNs  []string `json:"taskArns"`
	NextToken string   `json:"nextToken,omitempty"`
}

// listTasks lists the tasks whose desired status is the one asked for, RUNNING
// unless said. PENDING gives nothing: ECS never wants a task to be that.
func (s *Server) listTasks(_ context.Context, in listTasksInput) (listTasksOutput, error) {
	if err := in.validate(); err != nil {
		return listTasksOutput{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.account.listTasks(time.Now(), in)
}

func (a *account) listTasks(now time.Time, in listTasksInput) (listTasksOutput, error) {
	if err := a.admit(now, lookCalls); err != nil {
		return listTasksOutput{}, err
	}
	a.sweep(now)
	c, err := a.cluster(in.Cluster)
	if err != nil {
		return listTasksOutput{}, err
	}
	var arns []string
	for _, t := range c.tasks {
		if t.isSeen(now) && in.wants(t) {
			arns = append(arns, t.arn)
		}
	}
	page, next, err := in.page(arns)
	return listTasksOutput{TaskARNs: page, NextToken: next}, err
}

func (in *listTasksInput) validate() error {
	if in.DesiredStatus == "" {
		in.DesiredStatus = running
	}
	if in.DesiredStatus != running && in.DesiredStatus != pending && in.DesiredStatus != stopped {
		return errInvalid("desiredStatus must be RUNNING, PENDING or STOPPED.")
	}
	others := in.Family + in.LaunchType + in.ServiceName + in.ContainerInstance
	if in.StartedBy != "" && (others != "" || in.DesiredStatus != running) {
		return errInvalid("When startedBy is specified, it must be the only filter.")
	}
	if in.ServiceName != "" || in.ContainerInstance != "" {
		return errInvalid("The sandbox has neither services nor container instances.")
	}
	return nil
}

// isSeen says whether listings have caught up with the task.
func (t *task) isSeen(now time.Time) bool { return now.Sub(t.created) >= t.fate.lag }

func (in *listTasksInput) wants(t *task) bool {
	return t.desired == in.DesiredStatus &&
		(in.Family == "" || in.Family == t.definition.Family) &&
		(in.StartedBy == "" || in.StartedBy == t.request.StartedBy) &&
		(in.LaunchType == "" || in.LaunchType == "FARGATE")
}

type describeTasksInput struct {
	Cluster string   `json:"cluster"`
	Tasks   []string `json:"tasks"`
	Include []string `json:"include"`
}

type describeTasksOutput struct {
	Tasks    []taskView `json:"tasks"`
	Failures []failure  `json:"failures"`
}

func (s *Server) describeTasks(_ context.Context, in describeTasksInput) (describeTasksOutput, error) {
	if len(in.Tasks) == 0 {
		return describeTasksOutput{}, errInvalid("Tasks cannot be empty.")
	}
	if len(in.Tasks) > maxDescribed {
		return describeTasksOutput{}, errInvalid("Tasks can not be more than %d.", maxDescribed)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, missing, err := s.account.describeTasks(time.Now(), in.Cluster, in.Tasks)
	if err != nil {
		return describeTasksOutput{}, err
	}
	out := describeTasksOutput{Tasks: []taskView{}, Failures: []failure{}}
	for _, arn := range missing {
		out.Failures = append(out.Failures, failure{ARN: arn, Reason: "MISSING"})
	}
	for _, t := range found {
		out.Tasks = append(out.Tasks, t.view(slices.Contains(in.Include, "TAGS")))
	}
	return out, nil
}

// describeTasks finds tasks by id or ARN, and says of which there is nothing, or nothing yet, to be seen.
func (a *account) describeTasks(now time.Time, cluster string, names []string) (found []*task, missing []string, err error) {
	if err := a.admit(now, lookCalls); err != nil {
		return nil, nil, err
	}
	c, err := a.cluster(cluster)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		t := a.task(c, name)
		if t == nil || !t.isSeen(now) {
			missing = append(missing, a.arn("task/"+c.name+"/"+lastPart(name)))
			continue
		}
		found = append(found, t)
	}
	return found, missing, nil
}
