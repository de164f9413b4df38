package e2e

import (
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// How long chaos reigns, and how long it pauses at most between two blows.
const (
	chaosLasts = 20 * time.Second
	chaosPause = 800 * time.Millisecond
)

// Workers and controllers are killed, tasks stopped, Redis emptied and messages repeated, at random, while a run is
// under way. When it is over, the run succeeds as if nothing had been.
func TestARunSurvivesChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED with -short: the soak that kills workers and controllers at random, which takes a minute")
	}
	t.Parallel()
	random := seeded(t)
	in := install(t, setup{maxWorkers: 5, tasks: strings.Replace(nesting, "{ cat", "sleep 0.3; { cat", 1)})
	c := &chaos{in: in, random: random, count: map[string]int{}}
	c.controllers = []*process{in.serve(t), in.serve(t)}
	jobs := newLayers("chaos", 20, 10)
	file := in.write(t, "run.yaml", jobs.runFile)
	run := in.submit(t, file)

	over := time.NewTimer(chaosLasts)
	defer over.Stop()
	for reigns := true; reigns; {
		pause := time.NewTimer(time.Duration(random.Int64N(int64(chaosPause))))
		select {
		case <-over.C:
			pause.Stop()
			reigns = false
		case <-pause.C:
			c.strike(t)
		}
	}
	r := in.record(t, run)
	if r == nil {
		t.Fatalf("run %s was never received", run)
	}
	t.Logf("chaos: %v; the run is %s with %+v", c.count, r.State, r.Progress)
	in.checkRun(t, run, jobs.want)
	in.checkLaunches(t, 5)
	in.checkNothingToDo(t, file, len(jobs.want))
}

type chaos struct {
	in          *installation
	random      *rand.Rand
	controllers []*process
	count       map[string]int // of blows
}

func (c *chaos) strike(t *testing.T) {
	t.Helper()
	blows := []struct {
		name   string
		weight int
		strike func(t *testing.T) bool // false: there was nothing to strike
	}{
		{"worker killed", 5, c.killWorker},
		{"controller killed", 2, c.killController},
		{"Redis emptied", 2, func(t *testing.T) bool { c.in.emptyRedis(t); return true }},
		{"messages repeated", 2, c.repeatMessages},
		{"all tasks stopped", 1, func(t *testing.T) bool { c.in.stopTasks(t); return true }},
	}
	n := 0
	for _, b := range blows {
		n += b.weight
	}
	n = c.random.IntN(n)
	for _, b := range blows {
		if n -= b.weight; n < 0 {
			if b.strike(t) {
				c.count[b.name]++
			}
			return
		}
	}
}

// killWorker kills one worker process with SIGKILL; its job's processes die with its container.
func (c *chaos) killWorker(t *testing.T) bool {
	t.Helper()
	var workers []int
	for pid, command := range processesOf(c.in.dir) {
		if strings.HasPrefix(command, "spate worker") {
			workers = append(workers, pid)
		}
	}
	if len(workers) == 0 {
		return false
	}
	slices.Sort(workers)
	pid := workers[c.random.IntN(len(workers))]
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
		t.Errorf("kill worker %d: %v", pid, err)
	}
	return true
}

// killController kills one of the controllers and starts another. Half of the time the lease ends with it, so that
// there are more terms in the time. While nobody leads, it lets them be.
func (c *chaos) killController(t *testing.T) bool {
	t.Helper()
	if !slices.ContainsFunc(c.controllers, func(p *process) bool { return c.in.role(t, p) == "leader" }) {
		return false
	}
	i := c.random.IntN(len(c.controllers))
	c.controllers[i].kill(t)
	c.in.removeEmptySpools(t)
	if c.random.IntN(2) == 0 {
		c.in.endLease(t, c.controllers[i])
	}
	c.controllers[i] = c.in.serve(t)
	return true
}

// repeatMessages takes some messages from the job queue, sends each again, and lets the first ones go.
func (c *chaos) repeatMessages(t *testing.T) bool {
	t.Helper()
	q := c.in.queue(t, jobsQueue)
	messages, err := q.Receive(t.Context(), 5, 0, visibility)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		if err := q.Send(t.Context(), m.Body); err != nil {
			t.Fatal(err)
		}
		if err := q.Extend(t.Context(), m.Receipt, 0); err != nil {
			t.Fatal(err)
		}
	}
	return len(messages) > 0
}
