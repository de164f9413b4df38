package ecs

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"spate/sandbox/awsjson"
)

// Limits of one RunTask, from its API reference.
const (
	maxCount          = 10
	maxTokenLength    = 64
	maxStartedBy      = 128
	maxOverrideLength = 8192
)

// How long an answered clientToken is remembered ("Ensuring idempotency").
const (
	tokenKept           = 24 * time.Hour
	tokenKeptAfterTasks = time.Hour
)

// launchRequest is RunTask's input.
type launchRequest struct {
	Cluster                  string              `json:"cluster"`
	TaskDefinition           string              `json:"taskDefinition"`
	Count                    *int                `json:"count"`
	ClientToken              string              `json:"clientToken,omitempty"`
	StartedBy                string              `json:"startedBy"`
	Group                    string              `json:"group"`
	LaunchType               string              `json:"launchType"`
	CapacityProviderStrategy []strategyItem      `json:"capacityProviderStrategy"`
	NetworkConfiguration     json.RawMessage     `json:"networkConfiguration"`
	Overrides                json.RawMessage     `json:"overrides"`
	Tags                     []tag               `json:"tags"`
	PlatformVersion          string              `json:"platformVersion"`
	ContainerOverrides       []containerOverride `json:"-"`
}

type strategyItem struct {
	CapacityProvider string `json:"capacityProvider"`
	Weight           int    `json:"weight"`
	Base             int    `json:"base"`
}

type containerOverride struct {
	Name        string     `json:"name"`
	Command     []string   `json:"command"`
	Environment []keyValue `json:"environment"`
}

// launchAnswer is RunTask's output.
type launchAnswer struct {
	Tasks    []taskView `json:"tasks"`
	Failures []failure  `json:"failures"`
}

type launchKey struct{ cluster, token string }

// launch is a request that was answered.
type launch struct {
	at          time.Time
	fingerprint string
	tasks       []*task
	answer      launchAnswer
}

// forgotten says whether the token may be used for something new.
func (l launch) forgotten(now time.Time) bool {
	if now.Sub(l.at) >= tokenKept {
		return true
	}
	if len(l.tasks) == 0 {
		return false
	}
	for _, t := range l.tasks {
		if t.last != stopped || now.Sub(t.ended) < tokenKeptAfterTasks {
			return false
		}
	}
	return true
}

// launch answers one RunTask. The tasks it returns beside the answer are new and
// wait to be started; a repeated request returns none. At most so many tasks are
// launched as most says; the others fail for lack of capacity, or for the reason
// given.
func (a *account) launch(now time.Time, request launchRequest, most int, reason string) (launchAnswer, []*task, error) {
	a.sweep(now)
	if err := request.complete(); err != nil {
		return launchAnswer{}, nil, err
	}
	c, err := a.cluster(request.Cluster)
	if err != nil {
		return launchAnswer{}, nil, err
	}
	if err := request.provide(); err != nil {
		return launchAnswer{}, nil, err
	}
	key := launchKey{cluster: c.name, token: request.ClientToken}
	fingerprint, err := request.fingerprint()
	if err != nil {
		return launchAnswer{}, nil, err
	}
	if known, ok := a.launches[key]; ok && request.ClientToken != "" && !known.forgotten(now) {
		if known.fingerprint != fingerprint {
			return launchAnswer{}, nil, known.conflict()
		}
		return known.answer, nil, nil
	}
	d, err := a.launchable(request)
	if err != nil {
		return launchAnswer{}, nil, err
	}
	subnets, err := request.subnets()
	if err != nil {
		return launchAnswer{}, nil, err
	}
	providers, err := a.draw(now, request)
	if err != nil {
		return launchAnswer{}, nil, err
	}
	answer := launchAnswer{Tasks: []taskView{}, Failures: []failure{}}
	var tasks []*task
	for _, provider := range providers {
		subnet, why := "", cmp.Or(reason, reasonCapacity)
		if len(tasks) < most {
			subnet, why = a.settle(cmp.Or(provider, onDemandProvider), subnets, d.vcpus())
		}
		if why != "" {
			answer.Failures = append(answer.Failures, failure{Reason: why})
			continue
		}
		t := a.newTask(now, c, d, request, provider)
		t.subnet = subnet
		t.fate = a.figures.draw(a.random, provider)
		tasks = append(tasks, t)
		answer.Tasks = append(answer.Tasks, t.view(true))
	}
	if len(tasks) == 0 && answer.Failures[0].Reason == reasonVCPUs {
		return launchAnswer{}, nil, errClient("%s", reasonVCPUs)
	}
	if request.ClientToken != "" {
		a.launches[key] = launch{at: now, fingerprint: fingerprint, tasks: tasks, answer: answer}
	}
	return answer, tasks, nil
}

// complete fills in what the request leaves out, and checks what it says.
func (r *launchRequest) complete() error {
	if r.Count == nil {
		one := 1
		r.Count = &one
	}
	switch {
	case *r.Count < 1 || *r.Count > maxCount:
		return errInvalid("Invalid number of tasks: %d. The count must be between 1 and %d.", *r.Count, maxCount)
	case len(r.StartedBy) > maxStartedBy:
		return errInvalid("startedBy must be at most %d characters.", maxStartedBy)
	case len(r.ClientToken) > maxTokenLength || strings.ContainsFunc(r.ClientToken, func(c rune) bool { return c < 33 || c > 126 }):
		return errInvalid("Invalid clientToken: it must be at most %d ASCII characters in the range of 33-126.", maxTokenLength)
	case len(r.Overrides) > maxOverrideLength:
		return errInvalid("Container Overrides length must be at most %d", maxOverrideLength)
	}
	if len(r.Overrides) == 0 {
		return nil
	}
	var overrides struct {
		ContainerOverrides []containerOverride `json:"containerOverrides"`
	}
	if err := json.Unmarshal(r.Overrides, &overrides); err != nil {
		return errInvalid("overrides: %v", err)
	}
	r.ContainerOverrides = overrides.ContainerOverrides
	return nil
}

// provide checks where the tasks are to run, and gives the only provider of a strategy its weight.
func (r *launchRequest) provide() error {
	switch {
	case r.LaunchType != "" && len(r.CapacityProviderStrategy) > 0:
		return errInvalid("Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.")
	case r.LaunchType != "FARGATE" && len(r.CapacityProviderStrategy) == 0:
		return errInvalid("No Container Instances were found in your cluster.")
	}
	weight := 0
	for _, item := range r.CapacityProviderStrategy {
		if item.CapacityProvider != onDemandProvider && item.CapacityProvider != spotProvider {
			return errInvalid("The specified capacity provider '%s' was not found.", item.CapacityProvider)
		}
		weight += item.Weight
	}
	if weight == 0 && len(r.CapacityProviderStrategy) == 1 {
		r.CapacityProviderStrategy = []strategyItem{{
			CapacityProvider: r.CapacityProviderStrategy[0].CapacityProvider, Weight: 1,
		}}
	} else if weight == 0 && len(r.CapacityProviderStrategy) > 1 {
		return errInvalid("At least one capacity provider in the strategy must have a weight greater than zero.")
	}
	return nil
}

// fingerprint is equal for requests that ask for the same.
func (r launchRequest) fingerprint() (string, error) {
	r.ClientToken = ""
	text, err := json.Marshal(r) //nolint:gosec // the token is no secret, and is empty here
	if err != nil {
		return "", fmt.Errorf("marshal request: %w", err)
	}
	return string(text), nil
}

func (l launch) conflict() error {
	ids := []string{}
	for _, t := range l.tasks {
		ids = append(ids, t.arn)
	}
	return &awsjson.Error{
		Code:    "ConflictException",
		Message: "The specified clientToken was used with a different request.",
		Fields:  map[string]any{"resourceIds": ids},
	}
}

// launchable finds the definition, and checks that the request goes with it.
func (a *account) launchable(request launchRequest) (*definition, error) {
	d, err := a.definition(request.TaskDefinition)
	if err != nil {
		return nil, errClient("TaskDefinition not found.")
	}
	if !d.active {
		return nil, errClient("TaskDefinition is inactive")
	}
	if d.NetworkMode == "awsvpc" && len(request.NetworkConfiguration) == 0 {
		return nil, errInvalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
	}
	for _, override := range request.ContainerOverrides {
		if override.Name != d.container().Name {
			return nil, errInvalid("Override for container named %s is not a container in the TaskDefinition.", override.Name)
		}
	}
	return d, nil
}

// draw takes the tokens that the request needs and says which provider each task
// gets. It takes all or none.
func (a *account) draw(now time.Time, request launchRequest) ([]string, error) {
	providers := make([]string, *request.Count) // of a launch type: none
	if request.LaunchType == "" {
		providers = spread(*request.Count, request.CapacityProviderStrategy)
	}
	needs := map[string]float64{}
	for _, provider := range providers {
		needs[cmp.Or(provider, onDemandProvider)]++
	}
	for provider, n := range needs {
		if !a.bucket(provider).Has(now, a.figures.provider(provider).Launches, n) {
			return nil, errThrottled()
		}
	}
	for provider, n := range needs {
		a.bucket(provider).Take(n)
	}
	return providers, nil
}

// spread gives each task a provider: the bases first, then by weight, each to
// the provider that is furthest behind its share.
func spread(count int, strategy []strategyItem) []string {
	var providers []string
	for _, item := range strategy {
		for range min(item.Base, count-len(providers)) {
			providers = append(providers, item.CapacityProvider)
		}
	}
	given := make([]int, len(strategy))
	for len(providers) < count {
		next := -1
		for i, item := range strategy {
			// given/weight, compared without dividing
			if item.Weight > 0 && (next < 0 || given[i]*strategy[next].Weight < given[next]*item.Weight) { //nolint:gosec // next is an index or -1
				next = i
			}
		}
		given[next]++
		providers = append(providers, strategy[next].CapacityProvider)
	}
	return providers
}

func (a *account) newTask(now time.Time, c *cluster, d *definition, request launchRequest, provider string) *task {
	container := d.container()
	t := &task{
		id: a.newID(), cluster: c, definition: d, provider: provider, request: request, created: now,
		last: provisioning, desired: running, version: 1, vacate: a.vacate,
	}
	t.arn = a.arn("task/" + c.name + "/" + t.id)
	command := container.Command
	t.variables = container.Environment
	for _, override := range request.ContainerOverrides {
		if len(override.Command) > 0 {
			command = override.Command
		}
		t.variables = slices.Concat(t.variables, override.Environment)
	}
	t.command = slices.Concat(container.EntryPoint, command)
	a.launched++
	a.tasks[t.id] = t
	c.tasks = append(c.tasks, t)
	return t
}
