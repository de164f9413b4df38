package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rs/zerolog"

	"spate/internal/config"
	"spate/internal/price"
	"spate/internal/queue"
	"spate/job"
	"spate/planner"
	"spate/scaler"
)

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("spate.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestTheCatalogueHasAllThatATaskTypeSays(t *testing.T) {
	cfg := parse(t, configuration("redis://127.0.0.1:1")+`
  price-deal:
    command: [python, -m, model.price]
    input_dir: inputs
    output_dirs: [a, b]
    timeout: 90m
    max_attempts: 7
    permanent_exit_codes: [65, 66]
    deterministic: false
    before: [./stage.sh]
    after: [./collect.sh]
    on_failure: [./explain.sh]
    env: {SEED: "7"}
`)
	catalogue, err := Catalogue(cfg)
	if err != nil {
		t.Fatal(err)
	}
	want := job.TaskType{
		Name: "price-deal", Command: []string{"python", "-m", "model.price"}, InputDir: "inputs", OutputDirs: []string{"a", "b"},
		Timeout: job.Duration(90 * time.Minute), MaxAttempts: 7, PermanentExitCodes: []int{65, 66}, Deterministic: false,
		Before: []string{"./stage.sh"}, After: []string{"./collect.sh"}, OnFailure: []string{"./explain.sh"}, Env: map[string]string{"SEED": "7"},
	}
	if diff := cmp.Diff(want, catalogue["price-deal"], cmpopts.IgnoreFields(job.TaskType{}, "Params")); diff != "" {
		t.Error(diff)
	}
	simple := catalogue["greet"]
	if !simple.Deterministic || simple.MaxAttempts != 3 || simple.InputDir != "in" || len(simple.OutputDirs) != 1 {
		t.Errorf("the defaults are %+v", simple)
	}
	if err := simple.Params.CheckParams(jsontext.Value(`{"any":"thing"}`)); err != nil {
		t.Errorf("parameters without a schema: %v", err)
	}
	if len(catalogue) != 2 {
		t.Errorf("%d task types", len(catalogue))
	}
	cfg.Tasks = map[string]config.Task{"No Name": cfg.Tasks["greet"]}
	if _, err := Catalogue(cfg); err == nil || !strings.HasPrefix(err.Error(), "tasks: ") {
		t.Errorf("error is %v", err)
	}
}

// describing answers DescribeTaskDefinition from texts by family.
func describing(t *testing.T, definitions map[string]string) *ecs.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ TaskDefinition string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		definition, ok := definitions[in.TaskDefinition]
		if !ok {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"__type":"ClientException","message":"Unable to describe task definition."}`)
			return
		}
		fmt.Fprintf(w, `{"taskDefinition":{"taskDefinitionArn":%q,%s}}`, in.TaskDefinition+":7", definition)
	}))
	t.Cleanup(server.Close)
	return ecs.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL, HTTPClient: server.Client(), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		Credentials: aws.AnonymousCredentials{},
	})
}

func TestTheImageOfAPoolIsResolvedOrSaidWhyNot(t *testing.T) {
	const pinned = `"image":"123.dkr.ecr.us-east-1.amazonaws.com/spate:v1@` + testDigest + `"`
	client := describing(t, map[string]string{
		"one":     `"containerDefinitions":[{"name":"anything",` + pinned + `}]`,
		"arm":     `"containerDefinitions":[{"name":"spate",` + pinned + `}],"cpu":"512","memory":"4096","runtimePlatform":{"cpuArchitecture":"ARM64"}`,
		"several": `"containerDefinitions":[{"name":"proxy","image":"envoy:latest"},{"name":"spate",` + pinned + `}],"runtimePlatform":{"cpuArchitecture":"X86_64"}`,
		"tagged":  `"containerDefinitions":[{"name":"spate","image":"spate:latest"}]`,
		"cut":     `"containerDefinitions":[{"name":"spate","image":"spate@sha256:abc"}]`,
		"strange": `"containerDefinitions":[{"name":"a",` + pinned + `},{"name":"b",` + pinned + `}]`,
	})
	for family, want := range map[string]planner.Image{
		"one":     {TaskDefinition: "one:7", Container: "anything", Digest: testDigest, Platform: "linux/amd64"},
		"arm":     {TaskDefinition: "arm:7", Container: "spate", Digest: testDigest, Platform: "linux/arm64", VCPU: 0.5, MemoryGB: 4},
		"several": {TaskDefinition: "several:7", Container: "spate", Digest: testDigest, Platform: "linux/amd64"},
	} {
		if got, err := (images{client}).Resolve(t.Context(), family); err != nil || got != want {
			t.Errorf("%s: resolved %+v, error %v, want %+v", family, got, err, want)
		}
	}
	for family, want := range map[string]string{
		"tagged":  "task definition tagged: its image spate:latest is not pinned: register a revision with name@sha256:…",
		"cut":     "task definition cut: its image spate@sha256:abc is not pinned: register a revision with name@sha256:…",
		"strange": `task definition strange: it has 2 containers and none is called "spate"`,
		"missing": "describe task definition missing: ",
	} {
		if got, err := (images{client}).Resolve(t.Context(), family); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: resolved %+v, error %v, want %s", family, got, err, want)
		}
	}
}

type demandFunc func(pool string) (planner.Demand, bool)

func (f demandFunc) Demand(pool string) (planner.Demand, bool) { return f(pool) }

func TestDemandIsThePlannersAndOfTheNewestImageWhereThePlannerHasNone(t *testing.T) {
	at := time.Date(2026, 11, 21, 9, 43, 0, 0, time.UTC)
	none, err := scaler.NewDepths(scaler.DepthsOptions{})
	if err != nil {
		t.Fatal(err)
	}
	small, large := planner.WorkerSize{VCPU: 1, MemoryGB: 2}, scaler.WorkerSize{VCPU: 4, MemoryGB: 8, Arch: price.ARM}
	image := planner.Image{TaskDefinition: "deals:7", Container: "spate", VCPU: 4, MemoryGB: 8, Platform: "linux/arm64"}
	idle := &newest{pools: []config.Pool{{Name: "deals", Min: 20}, {Name: "seldom"}}, known: map[string]planner.Image{"deals": image, "seldom": image}}
	x86 := scaler.WorkerSize{Arch: price.X86}
	runs := []planner.RunWork{{Submitted: at, Jobs: 30, JobDuration: time.Minute}}
	for name, c := range map[string]struct {
		pool    string
		planner planner.Demand
		known   bool
		want    scaler.Demand
	}{
		"work": {
			"rollup",
			planner.Demand{Outstanding: 5, JobDuration: time.Second, Runs: runs, TaskDefinition: "rollup:3", Container: "c", Worker: small, At: at},
			true,
			scaler.Demand{
				Outstanding: 5, JobDuration: time.Second, Runs: []scaler.RunWork{{Submitted: at, Jobs: 30, JobDuration: time.Minute}},
				TaskDefinition: "rollup:3", Container: "c", Worker: scaler.WorkerSize{VCPU: 1, MemoryGB: 2, Arch: price.X86}, At: at, Known: true,
			},
		},
		"jobs that no queue shows": {
			"rollup",
			planner.Demand{Outstanding: 5, TaskDefinition: "rollup:3", QueueEmptySince: at, At: at},
			true,
			scaler.Demand{Outstanding: 5, TaskDefinition: "rollup:3", Worker: x86, QueueEmptySince: at, At: at, Known: true},
		},
		"no work": {
			"deals",
			planner.Demand{At: at},
			true,
			scaler.Demand{TaskDefinition: "deals:7", Container: "spate", Worker: large, At: at, Known: true},
		},
		"no work, and no worker without any": {
			"seldom", planner.Demand{At: at}, true, scaler.Demand{Worker: large, At: at, Known: true},
		},
		"work of an older image than the newest": {
			"deals",
			planner.Demand{Outstanding: 1, TaskDefinition: "deals:6", At: at},
			true,
			scaler.Demand{Outstanding: 1, TaskDefinition: "deals:6", Worker: x86, At: at, Known: true},
		},
		"nothing known":            {"rollup", planner.Demand{}, false, scaler.Demand{Worker: x86}},
		"nothing known but images": {"deals", planner.Demand{}, false, scaler.Demand{TaskDefinition: "deals:7", Container: "spate", Worker: large}},
	} {
		got := demand(demandFunc(func(string) (planner.Demand, bool) { return c.planner, c.known }), idle, none)(c.pool)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

type fixedDepth queue.Depth

func (d fixedDepth) Depth(context.Context) (queue.Depth, error) { return queue.Depth(d), nil }

func TestDemandOfAPoolThatOthersFeedIsItsQueuesDepthAndNeverThePlannersToo(t *testing.T) {
	depths, err := scaler.NewDepths(scaler.DepthsOptions{Queues: map[string]scaler.DepthQueue{"feeds": fixedDepth{Visible: 4, InFlight: 3, Delayed: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	newest := &newest{known: map[string]planner.Image{"feeds": {TaskDefinition: "feeds:7", Container: "spate"}}}
	of := demand(demandFunc(func(string) (planner.Demand, bool) { return planner.Demand{Outstanding: 100}, true }), newest, depths)
	if before := of("feeds"); before.Known || before.Outstanding != 0 {
		t.Errorf("before the queue was asked the demand is %+v", before)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- depths.Run(ctx) }()
	await(t, "the depth", func() bool { return of("feeds").Known })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got := of("feeds"); got.Outstanding != 7 || got.TaskDefinition != "feeds:7" || got.Container != "spate" || got.At.IsZero() {
		t.Errorf("the demand is %+v", got)
	}
}

func TestTheNewestImageIsKnownForPoolsThatKeepWorkersWithoutWork(t *testing.T) {
	const pinned = `"image":"spate@` + testDigest + `"`
	client := describing(t, map[string]string{
		"deals":  `"containerDefinitions":[{"name":"spate",` + pinned + `}]`,
		"rollup": `"containerDefinitions":[{"name":"spate",` + pinned + `}]`,
	})
	var log bytes.Buffer
	pools := []config.Pool{
		{Name: "broken", TaskDefinition: "missing", Min: 1}, {Name: "deals", TaskDefinition: "deals", Min: 20}, {Name: "rollup", TaskDefinition: "rollup"},
	}
	n := newNewest(images{client}, &config.Config{Pools: pools}, zerolog.New(&log))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.run(ctx) }()
	await(t, "the image of deals", func() bool { return n.of("deals").Digest == testDigest })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if n.of("rollup") != (planner.Image{}) || n.of("broken") != (planner.Image{}) {
		t.Errorf("also known are %+v and %+v", n.of("rollup"), n.of("broken"))
	}
	if !strings.Contains(log.String(), `"pool":"broken"`) {
		t.Errorf("the log is %s", log.String())
	}
	bounded := newNewest(images{client}, &config.Config{Pools: pools, Budget: config.Budget{MaxUSDPerHour: 1}}, zerolog.Nop())
	if len(bounded.pools) != len(pools) || bounded.launches("rollup") || !bounded.launches("deals") {
		t.Errorf("within a budget the sizes of %+v are known", bounded.pools)
	}
}
