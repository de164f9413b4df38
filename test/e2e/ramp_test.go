package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/go-json-experiment/json"
)

// The account lets ten tasks start at once and then one a second, so that the ramp outlives ten controllers. The tasks only
// sleep: what counts is how many there are.
func TestARampEndsWithTheWantedTasksAlthoughTenControllersAreKilledInIt(t *testing.T) {
	if testing.Short() {
		t.Skip("takes two and a half minutes, which are mostly the leases of the dead")
	}
	t.Parallel()
	const workers, kills = 130, 10
	in := install(t, setup{maxWorkers: workers, tasks: `
wait:
  command: [sleep, "600"]`})
	in.setAccount(t, `{"ecs":{"on_demand":{"launches":{"burst":10,"per_second":1}}}}`)
	in.sleepers(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	run := in.submit(t, in.write(t, "run.yaml", newLayers("ramp", 1, workers).of("wait")))

	inRamp := 0
	for life := range kills {
		p := in.serve(t)
		eventually(t, fmt.Sprintf("controller %d leads", life+1), func() bool { return in.role(t, p) == "leader" })
		before := in.launched(t)
		some, until := random.IntN(8), time.Now().Add(time.Duration(random.IntN(2000))*time.Millisecond)
		eventually(t, "it is time to die", func() bool { return in.launched(t) > before+some || time.Now().After(until) })
		p.kill(t)
		if n := in.launched(t); n > 0 && n < workers {
			inRamp++
		}
	}
	if inRamp < kills-2 {
		t.Errorf("only %d of %d controllers died in the ramp", inRamp, kills)
	}
	in.serve(t)
	eventuallyWithin(t, time.Duration(workers)*time.Second+patience, "all workers are launched", func() bool { return in.launched(t) >= workers })
	in.checkLaunches(t, workers)
	if n := in.launched(t); n != workers {
		t.Errorf("%d tasks were launched, want %d", n, workers)
	}
	if r := in.spate(t, "cancel", run, "--reason", "the ramp is over"); r.code != 0 {
		t.Errorf("cancel: %s", r.stderr)
	}
}

// sleepers makes the newest revision of the pool's task definition one whose tasks only sleep.
func (in *installation) sleepers(t *testing.T) {
	t.Helper()
	now, err := in.clients.ECS.DescribeTaskDefinition(t.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String(family)})
	if err != nil {
		t.Fatal(err)
	}
	d := now.TaskDefinition
	d.ContainerDefinitions[0].Command = []string{"sleep", "600"}
	_, err = in.clients.ECS.RegisterTaskDefinition(t.Context(), &ecs.RegisterTaskDefinitionInput{
		Family: d.Family, Cpu: d.Cpu, Memory: d.Memory, NetworkMode: d.NetworkMode, RequiresCompatibilities: d.RequiresCompatibilities,
		RuntimePlatform: d.RuntimePlatform, ContainerDefinitions: d.ContainerDefinitions,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// setAccount changes the sandbox's account.
func (in *installation) setAccount(t *testing.T, change string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, in.variable("AWS_ENDPOINT_URL")+"/_sandbox/account", bytes.NewBufferString(change))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusBadRequest {
		t.Fatalf("the account's change was answered with %s", answer.Status)
	}
}

// launched is how many tasks the sandbox has ever launched, by its own count.
func (in *installation) launched(t *testing.T) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, in.variable("AWS_ENDPOINT_URL")+"/_sandbox/state", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var state struct {
		ECS struct {
			Launched int `json:"launched"`
		} `json:"ecs"`
	}
	if err := json.UnmarshalRead(answer.Body, &state); err != nil {
		t.Fatal(err)
	}
	return state.ECS.Launched
}
