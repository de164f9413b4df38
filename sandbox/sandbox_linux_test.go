package sandbox_test

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"spate/sandbox"
)

// asOwner is set for the process of the test below that owns a sandbox.
const asOwner = "SANDBOX_TEST_OWNER"

func TestNoTaskOutlivesASandboxThatIsKilled(t *testing.T) {
	if os.Getenv(asOwner) != "" {
		ownSandbox(t)
		return
	}
	owner := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	// What a killed process leaves in its temporary directory goes with ours.
	owner.Env = append(os.Environ(), asOwner+"=1", "TMPDIR="+t.TempDir())
	output, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	pid := ""
	for lines := bufio.NewScanner(output); pid == "" && lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "task "); ok {
			pid = text
		}
	}
	if number, err := strconv.Atoi(pid); err != nil || !alive(number) {
		t.Errorf("the owner's task has process %q", pid)
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := owner.Wait(); err == nil {
		t.Error("the owner was not killed")
	}
	untilGone(t, pid)
}

// ownSandbox runs a task, prints its process id and waits to be killed.
func ownSandbox(t *testing.T) {
	r := start(t, sandbox.Options{})
	r.define(t, `echo "pid $$"; exec sleep 600`)
	log := r.untilLogged(t, *r.launch(t, nil).TaskArn, "pid ")
	os.Stdout.WriteString("task " + strings.TrimSpace(strings.TrimPrefix(log, "pid ")) + "\n")
	<-t.Context().Done()
}
