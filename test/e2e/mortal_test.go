package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"spate/internal/lease"
	"spate/internal/table"
	"spate/job"
)

// serveThrough starts a controller that reaches the sandbox through a gate.
func (in *installation) serveThrough(t *testing.T, g *gate) *process {
	t.Helper()
	return in.serveWith(t, "AWS_ENDPOINT_URL", g.url)
}

// serveWith starts a controller with another value of one variable.
func (in *installation) serveWith(t *testing.T, name, value string) *process {
	t.Helper()
	env := slices.Clone(in.env)
	defer func() { in.env = env }()
	in.setVariable(name, value)
	return in.serve(t)
}

// serveUntil starts a controller that is killed at the first of its calls that is fatal. Its death closes the channel.
// A call that is fatal on its way never arrives; one that is fatal with its answer has had its effect.
func (in *installation) serveUntil(t *testing.T, g *gate, fatal func(*call) bool) (p *process, dead <-chan struct{}) {
	t.Helper()
	var once sync.Once
	died := make(chan struct{})
	started := make(chan struct{})
	g.Watch(func(c *call) {
		<-started
		if !fatal(c) {
			return
		}
		once.Do(func() {
			g.Watch(nil)
			_ = syscall.Kill(p.cmd.Process.Pid, syscall.SIGKILL)
			<-p.ended
			close(died)
		})
		c.Cut()
	})
	p = in.serveThrough(t, g)
	close(started)
	return p, died
}

// bury does at once what time does after a controller was killed: its lease runs out, and so do the visibility timeouts
// of the messages that it had in hand.
func (in *installation) bury(t *testing.T, g *gate, p *process) {
	t.Helper()
	p.meant = true
	p.wait(t)
	in.removeEmptySpools(t)
	in.endLease(t, p)
	for url, handles := range g.inHand() {
		for _, handle := range handles {
			// Most of them are of messages that are gone.
			_, _ = in.clients.SQS.ChangeMessageVisibility(t.Context(), &sqs.ChangeMessageVisibilityInput{QueueUrl: &url, ReceiptHandle: &handle})
		}
	}
}

// endLease ends the lease of a controller that is dead, if it had it.
func (in *installation) endLease(t *testing.T, dead *process) {
	t.Helper()
	key := table.Key{PK: table.LeaseRecords, SK: "controller"}
	var held lease.Record
	ok, err := in.runs.Get(t.Context(), key, &held)
	if err != nil {
		t.Fatal(err)
	}
	if !ok || !strings.HasSuffix(held.Holder, fmt.Sprintf("/%d", dead.cmd.Process.Pid)) {
		return
	}
	if err := in.runs.Update(t.Context(), key, map[string]any{"released": true}, table.Condition{}); err != nil {
		t.Fatal(err)
	}
}

// removeEmptySpools removes what a controller leaves that was killed in the moment between the making of a temporary file
// and the removal of its name.
func (in *installation) removeEmptySpools(t *testing.T) {
	t.Helper()
	spools, err := filepath.Glob(filepath.Join(in.tmp, "spate-manifest-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range spools {
		if info, err := os.Stat(path); err == nil && info.Size() == 0 {
			_ = os.Remove(path)
		}
	}
}

// within waits for something that must happen.
func within(t *testing.T, what string, happens <-chan struct{}) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-happens:
	case <-timer.C:
		t.Fatalf("waited %s in vain until %s", patience, what)
	}
}

// seeded makes a test's random numbers. SPATE_E2E_SEED repeats those of an earlier run, which logged its seed.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SPATE_E2E_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("SPATE_E2E_SEED: %v", err)
		}
	}
	t.Logf("seed: SPATE_E2E_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// nesting is a task type that writes its params and the first line of each parent's output, so that a test can tell what
// each job of a graph must have written.
const nesting = `
nest:
  command: [sh, -c, '{ cat "$SPATE_PARAMS"; echo; for f in in/*/value; do [ ! -f "$f" ] || sed 1q "$f"; done; } > out/value']
  timeout: 30s
`

// layers is a run of depth × width nesting jobs: each needs two of the layer before.
type layers struct {
	runFile string
	want    map[string]string // what each job writes, by id
}

// newLayers makes the run. Its salt tells its jobs from those of other runs.
func newLayers(salt string, depth, width int) layers {
	l := layers{want: map[string]string{}}
	var text strings.Builder
	fmt.Fprintf(&text, "name: %s\npool: %s\nowner: tests\njobs:\n", salt, pool)
	var before []string
	for layer := range depth {
		var names []string
		for place := range width {
			id := fmt.Sprintf("%s-%d-%d", salt, layer, place)
			content := nested(id)
			fmt.Fprintf(&text, "  - {id: %s, task: nest, params: {id: %s}", id, id)
			if layer > 0 {
				a, b := before[place], before[(place+1)%width]
				fmt.Fprintf(&text, ", needs: {a: %s, b: %s}", a, b)
				content += nested(a) + nested(b)
			}
			fmt.Fprint(&text, "}\n")
			l.want[id] = content
			names = append(names, id)
		}
		before = names
	}
	l.runFile = text.String()
	return l
}

// nested is the line that the nesting job of an id writes of its params.
func nested(id string) string { return fmt.Sprintf("{\"id\":%q}\n", id) }

// of is the run file with jobs of another task type.
func (l layers) of(task string) string {
	return strings.ReplaceAll(l.runFile, "task: nest", "task: "+task)
}

// checkRun checks what must hold of a successful run whatever happened on its way: no job is lost, and each has exactly
// one whole output, with the right content.
func (in *installation) checkRun(t *testing.T, run string, want map[string]string) {
	t.Helper()
	v := in.ended(t, run)
	if v.State != string(job.RunSucceeded) {
		t.Fatalf("run %s is %s: %s %v %+v", run, v.State, v.Reason, v.Errors, v.Failures)
	}
	p := v.Progress
	if p.Jobs != len(want) || p.Executed+p.Reused+p.Cached != len(want) || p.Done != p.Executed+p.Reused {
		t.Errorf("progress of run %s does not add up to %d jobs: %+v", run, len(want), p)
	}
	results := in.results(t, run)
	if len(results) != len(want) {
		t.Errorf("the results index of run %s has %d jobs, want %d", run, len(results), len(want))
	}
	for id, content := range want {
		r, ok := results[id]
		if !ok || r.Manifest == "" {
			t.Errorf("job %s of run %s has no output: %+v", id, run, r)
			continue
		}
		if got := in.output(t, r.Key)["value"]; got != content {
			t.Errorf("job %s of run %s wrote %q, want %q", id, run, got, content)
		}
		if manifests := in.manifests(t, r.Key); manifests != 1 {
			t.Errorf("job %s of run %s has %d manifests, want 1", id, run, manifests)
		}
	}
}

// manifests counts the manifests below a key's prefix.
func (in *installation) manifests(t *testing.T, key job.Key) int {
	t.Helper()
	n := 0
	for _, object := range in.list(t, job.OutputPrefix(key)) {
		if strings.HasSuffix(object, "/"+job.ManifestFile) {
			n++
		}
	}
	return n
}

// checkNothingToDo submits a run file again, of which everything must exist.
func (in *installation) checkNothingToDo(t *testing.T, runFile string, jobs int) {
	t.Helper()
	again := in.mustSucceed(t, runFile)
	if p := again.Progress; p.Executed != 0 || p.Cached+p.Reused != jobs {
		t.Errorf("submitted again: progress %+v, want none of %d jobs executed", p, jobs)
	}
}
