package contract_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"spate/sandbox"
	"spate/sandbox/ecs"
	"spate/test/contract"
)

func TestFact(t *testing.T) {
	for _, f := range contract.Facts() {
		t.Run(f.ID(), func(t *testing.T) {
			if given := os.Getenv("SPATE_CONTRACT_" + strings.ToUpper(f.Service)); given != "" {
				target := contract.Target{Endpoint: given, Redis: given, QueueEndpoint: os.Getenv("SPATE_CONTRACT_SQS"), Subnet: os.Getenv("SPATE_CONTRACT_SUBNET")}
				if !f.Alone {
					t.Parallel()
				}
				report(t, f.Check(t.Context(), target))
				return
			}
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { onSandbox(t, f) })
		})
	}
}

// onSandbox checks the fact on a sandbox of its own, in virtual time.
func onSandbox(t *testing.T, f contract.Fact) {
	box, err := sandbox.New(sandbox.Options{
		InProcess: true, Seed: 1, LogDir: t.TempDir(), StopGrace: time.Second, Log: zerolog.Nop(), Runtime: &ecs.FunctionRuntime{Run: command},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- box.Run(ctx) }()
	report(t, f.Check(ctx, contract.Target{
		Endpoint: box.Endpoint(), HTTP: &http.Client{Transport: box.Transport()},
		DialRedis: func(context.Context) (net.Conn, error) { return box.DialRedis() },
	}))
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run sandbox: %v", err)
	}
}

func report(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// command runs the commands that the facts' task definitions have: sleep N, and sh -c "exit N".
func command(ctx context.Context, task ecs.FunctionTask) int {
	words := strings.Fields(strings.Join(task.Command, " "))
	number, err := strconv.Atoi(words[len(words)-1])
	if err != nil {
		return 2
	}
	if words[0] != "sleep" {
		return number
	}
	select {
	case <-time.After(time.Duration(number) * time.Second):
		return 0
	case <-ctx.Done():
		return 128 + 15
	}
}

func TestEveryFactIsNamedOnceAndHasASource(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range contract.Facts() {
		if f.Name == "" || f.Sentence == "" || f.Source == "" || seen[f.ID()] {
			t.Errorf("%+v has no name of its own, no sentence or no source", f)
		}
		seen[f.ID()] = true
	}
	for _, e := range contract.Exceptions() {
		if !seen[e.Fact] || e.Server == "" || e.Instead == "" {
			t.Errorf("exception %+v names no fact, or does not say what is different", e)
		}
	}
}
