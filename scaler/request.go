package scaler

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// maxOverrides is how many characters the overrides of a RunTask call may have ("RunTask" in the Amazon ECS API
// reference).
const maxOverrides = 8192

// defaultContainer is the container of a task definition that does not say otherwise.
const defaultContainer = "spate"

// newIntent makes the record of a request for count (1 to 10) tasks.
func newIntent(now time.Time, pool Pool, demand Demand, l Launch) (Intent, error) {
	i := Intent{
		ID: newIntentID(now), Pool: pool.Name, Provider: l.Provider, Count: l.Count,
		// Without the monotonic reading, which stands still while a machine is suspended.
		State: IntentOpen, CreatedAt: now.Round(0), UpdatedAt: now,
	}
	container := demand.Container
	if container == "" {
		container = defaultContainer
	}
	request := &ecs.RunTaskInput{
		Cluster:                  &pool.Cluster,
		TaskDefinition:           aws.String(demand.TaskDefinition),
		Count:                    aws.Int32(int32(l.Count)),
		CapacityProviderStrategy: []types.CapacityProviderStrategyItem{{CapacityProvider: aws.String(l.Provider), Weight: 1}},
		NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{
			Subnets: pool.Subnets, SecurityGroups: pool.SecurityGroups, AssignPublicIp: types.AssignPublicIpDisabled,
		}},
		Overrides:   overrides(container, environment(now, pool)),
		ClientToken: aws.String(i.ID),
		StartedBy:   aws.String(i.ID),
	}
	body, err := json.Marshal(request) //nolint:gosec // the client token is no secret: it names the request
	if err != nil {
		return Intent{}, fmt.Errorf("encode request: %w", err)
	}
	i.Request = string(body)
	return i, nil
}

// launchedVariable tells a worker when it was asked for, RFC 3339: a pool drained later is drained of it.
const launchedVariable = "SPATE_LAUNCHED_AT"

func environment(now time.Time, pool Pool) map[string]string {
	all := map[string]string{launchedVariable: now.UTC().Format(time.RFC3339Nano)}
	maps.Copy(all, pool.Environment)
	return all
}

// newIntentID is unique, sorts by time, and has only characters that both clientToken (ASCII, at most 64) and
// startedBy (letters, digits, dashes) take.
func newIntentID(now time.Time) string {
	return "spate-" + now.UTC().Format("20060102T150405Z") + "-" + rand.Text()
}

// decodeRequest is the request exactly as it was first sent. It fails on a record that holds no request of this intent.
func (i Intent) decodeRequest() (*ecs.RunTaskInput, error) {
	var request ecs.RunTaskInput
	if err := json.Unmarshal([]byte(i.Request), &request); err != nil {
		return nil, fmt.Errorf("decode request of intent %s: %w", i.ID, err)
	}
	if aws.ToString(request.ClientToken) != i.ID {
		return nil, fmt.Errorf("decode request of intent %s: its client token is %q", i.ID, aws.ToString(request.ClientToken))
	}
	return &request, nil
}

// overrides hands the environment to the container, in a fixed order.
func overrides(container string, environment map[string]string) *types.TaskOverride {
	o := types.ContainerOverride{Name: &container}
	for _, name := range slices.Sorted(maps.Keys(environment)) {
		o.Environment = append(o.Environment, types.KeyValuePair{Name: aws.String(name), Value: aws.String(environment[name])})
	}
	return &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{o}}
}

// overridesLength is about what the overrides take on the wire.
func overridesLength(environment map[string]string) (int, error) {
	body, err := json.Marshal(overrides(defaultContainer, environment))
	if err != nil {
		return 0, fmt.Errorf("encode overrides: %w", err)
	}
	return utf8.RuneCount(body), nil
}
