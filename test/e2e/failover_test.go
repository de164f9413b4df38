package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// How soon a standby leads: a killed leader's lease lasts ten seconds, one that stops gives it back.
const (
	takeoverAfterKill = 15 * time.Second
	takeoverAfterStop = 3 * time.Second
)

func TestAStandbyTakesOver(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: `
wait:
  command: [sh, -c, 'sleep 0.3; echo "$SPATE_JOB_KEY" > out/value']
  timeout: 30s`})
	leader := in.serve(t)
	eventually(t, "the first controller leads", func() bool { return in.role(t, leader) == "leader" })
	standbys := []*process{in.serve(t), in.serve(t)}
	for _, p := range standbys {
		eventually(t, p.name+" stands by", func() bool { return in.role(t, p) == "standby" })
	}
	jobs := newLayers("failover", 16, 3)
	run := in.submit(t, in.write(t, "run.yaml", jobs.of("wait")))
	in.eventuallyDone(t, run, 6)

	leader.kill(t)
	at := time.Now()
	leads := func(p *process) bool { return in.role(t, p) == "leader" }
	eventually(t, "a standby leads", func() bool { return slices.ContainsFunc(standbys, leads) })
	if took := time.Since(at); took > takeoverAfterKill {
		t.Errorf("the takeover from a killed leader took %s, want at most %s", took, takeoverAfterKill)
	}
	var standby *process
	leader, standby = standbys[0], standbys[1]
	if leads(standby) {
		leader, standby = standby, leader
	}
	if role := in.role(t, standby); role != "standby" {
		t.Errorf("there are two leaders: the other controller is %s", role)
	}
	in.eventuallyDone(t, run, 21)

	leader.signal(t, syscall.SIGTERM)
	at = time.Now()
	eventually(t, "the last controller leads", func() bool { return leads(standby) })
	if took := time.Since(at); took > takeoverAfterStop {
		t.Errorf("the takeover from a leader that stops took %s, want at most %s", took, takeoverAfterStop)
	}
	leader.wait(t)
	if state := leader.cmd.ProcessState; state.ExitCode() != 0 {
		t.Errorf("the stopped leader ended with %s", state)
	}
	v := in.ended(t, run)
	if p := v.Progress; v.State != "succeeded" || p.Executed+p.Reused != len(jobs.want) {
		t.Errorf("run is %s: %s %+v", v.State, v.Reason, p)
	}
}

// eventuallyDone waits until some jobs of a run are done, and checks that it has not ended.
func (in *installation) eventuallyDone(t *testing.T, run string, jobs int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d jobs are done", jobs), func() bool {
		r := in.record(t, run)
		return r != nil && r.Progress.Done >= jobs
	})
	if r := in.record(t, run); r.State.Ended() {
		t.Fatalf("run %s is %s already: there is nothing left to disturb", run, r.State)
	}
}

// role is what a controller says of itself; "" when it does not answer.
func (in *installation) role(t *testing.T, controller *process) string {
	t.Helper()
	address := controller.address()
	if address == "" {
		return ""
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return ""
	}
	return strings.TrimSpace(string(body))
}

// address is where a controller serves HTTP, by its log.
func (p *process) address() string {
	for line := range strings.Lines(string(p.stderr())) {
		var entry struct{ Address, Message string }
		if json.Unmarshal([]byte(line), &entry) == nil && strings.HasPrefix(entry.Message, "serving HTTP") {
			return entry.Address
		}
	}
	return ""
}
