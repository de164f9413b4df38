package contract_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
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
				judge(t, os.Getenv("SPATE_CONTRACT_SERVER"), f, f.Check(t.Context(), target))
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
	judge(t, contract.Sandbox, f, f.Check(ctx, contract.Target{
		Endpoint: box.Endpoint(), HTTP: &http.Client{Transport: box.Transport()},
		DialRedis: func(context.Context) (net.Conn, error) { return box.DialRedis() },
	}))
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run sandbox: %v", err)
	}
}

func judge(t *testing.T, server string, f contract.Fact, outcome error) {
	t.Helper()
	switch verdict, exception := contract.Judge(server, f, outcome); verdict {
	case contract.Holds, contract.Differs:
	case contract.Mended:
		t.Errorf("%s holds: take away the exception that %s", f.ID(), exception.Instead)
	case contract.Broken:
		t.Error(outcome)
	}
}

// A real server, where there is one, is held to the facts of Redis too.
func TestRedisServer(t *testing.T) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not on PATH")
	}
	box, err := sandbox.New(sandbox.Options{RedisServer: program, LogDir: t.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- box.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run sandbox: %v", err)
		}
	})
	for _, f := range contract.Facts() {
		if f.Service == contract.Redis {
			t.Run(f.Name, func(t *testing.T) {
				judge(t, "redis-server", f, f.Check(t.Context(), contract.Target{Redis: box.RedisURL()}))
			})
		}
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
