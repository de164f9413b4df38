package ecs

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// definition is one revision of a task definition.
type definition struct {
	registered
	arn          string
	revision     int
	active       bool
	registeredAt time.Time
	deregistered time.Time
	given        map[string]json.RawMessage // the whole registration
	tags         json.RawMessage
}

// registered is what is used of a registration; the rest is given back as it came.
type registered struct {
	Family               string                `json:"family"`
	CPU                  string                `json:"cpu"`
	Memory               string                `json:"memory"`
	NetworkMode          string                `json:"networkMode"`
	ContainerDefinitions []containerDefinition `json:"containerDefinitions"`
}

type containerDefinition struct {
	Name         string            `json:"name"`
	Image        string            `json:"image"`
	EntryPoint   []string          `json:"entryPoint"`
	Command      []string          `json:"command"`
	Environment  []keyValue        `json:"environment"`
	StopTimeout  *int              `json:"stopTimeout"` // seconds
	DockerLabels map[string]string `json:"dockerLabels"`
}

// Stop timeouts, from "Task definition parameters for Fargate".
const (
	defaultStopTimeout = 30 * time.Second
	maxStopTimeout     = 120 * time.Second
)

func (d *definition) container() containerDefinition { return d.ContainerDefinitions[0] }

func (c containerDefinition) stopTimeout() time.Duration {
	if c.StopTimeout == nil {
		return defaultStopTimeout
	}
	return time.Duration(*c.StopTimeout) * time.Second
}

func (r registered) validate() error {
	if r.Family == "" {
		return errClient("Family should not be null or blank.")
	}
	if len(r.Family) > 255 || strings.ContainsAny(r.Family, ":/ ") {
		return errClient("Family contains invalid characters.")
	}
	switch len(r.ContainerDefinitions) {
	case 0:
		return errClient("Container list cannot be empty.")
	case 1:
	default:
		return errClient("The sandbox runs one container a task; %s has %d.", r.Family, len(r.ContainerDefinitions))
	}
	c := r.ContainerDefinitions[0]
	if c.Name == "" {
		return errClient("Container.name should not be null or empty.")
	}
	if c.Image == "" {
		return errClient("Container.image should not be null or empty.")
	}
	if c.stopTimeout() < 0 || c.stopTimeout() > maxStopTimeout {
		return errClient("stopTimeout must be between 0 and 120 seconds for Fargate tasks.")
	}
	return nil
}

// register makes the family's next revision.
func (a *account) register(now time.Time, body []byte) (*definition, error) {
	d := &definition{active: true, registeredAt: now}
	if err := json.Unmarshal(body, &d.registered); err != nil {
		return nil, errClient("%v", err)
	}
	if err := json.Unmarshal(body, &d.given); err != nil {
		return nil, errClient("%v", err)
	}
	if err := d.validate(); err != nil {
		return nil, err
	}
	d.tags = d.given["tags"]
	delete(d.given, "tags")
	d.revision = len(a.families[d.Family]) + 1
	d.arn = a.arn("task-definition/" + d.Family + ":" + strconv.Itoa(d.revision))
	a.families[d.Family] = append(a.families[d.Family], d)
	return d, nil
}

// definition finds a revision by "family" (its newest active one),
// "family:revision" or ARN.
func (a *account) definition(name string) (*definition, error) {
	if name == "" {
		return nil, errClient("Task definition should not be null or blank.")
	}
	name = strings.TrimPrefix(name, a.arn("task-definition/"))
	family, number, exact := strings.Cut(name, ":")
	revisions := a.families[family]
	if !exact {
		for _, d := range slices.Backward(revisions) {
			if d.active {
				return d, nil
			}
		}
		return nil, errClient("Unable to describe task definition.")
	}
	revision, err := strconv.Atoi(number)
	if err != nil || revision < 1 || revision > len(revisions) {
		return nil, errClient("Unable to describe task definition.")
	}
	return revisions[revision-1], nil
}

func (a *account) deregister(now time.Time, name string) (*definition, error) {
	if !strings.Contains(name, ":") {
		return nil, errClient("Revision is missing in task definition identifier: %s", name)
	}
	d, err := a.definition(name)
	if err != nil {
		return nil, err
	}
	if d.active {
		d.active, d.deregistered = false, now
	}
	return d, nil
}

// view is the definition on the wire: the registration with what ECS adds.
func (d *definition) view() map[string]any {
	view := map[string]any{}
	for name, value := range d.given {
		view[name] = value
	}
	view["taskDefinitionArn"] = d.arn
	view["revision"] = d.revision
	view["status"] = "ACTIVE"
	view["registeredAt"] = timestamp(d.registeredAt)
	view["compatibilities"] = []string{"EC2", "FARGATE"}
	if !d.active {
		view["status"] = "INACTIVE"
		view["deregisteredAt"] = timestamp(d.deregistered)
	}
	return view
}

// definitionARNs lists revisions in the order of family and revision.
func (a *account) definitionARNs(familyPrefix string, active, newestFirst bool) []string {
	var arns []string
	for _, family := range slices.Sorted(maps.Keys(a.families)) {
		if !strings.HasPrefix(family, familyPrefix) {
			continue
		}
		for _, d := range a.families[family] {
			if d.active == active {
				arns = append(arns, d.arn)
			}
		}
	}
	if newestFirst {
		slices.Reverse(arns)
	}
	return arns
}
