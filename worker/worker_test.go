package worker

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spate/internal/objects"
	"spate/job"
)

func TestAJobIsStagedRunPublishedReportedAndDeleted(t *testing.T) {
	b := newBench(t)
	parent := job.Key{7}
	b.publishParent(parent, 0, map[string]string{"a.csv": "A", "sub/b.csv": "B", "c.csv": "C"})
	melt := b.store.put("elt.csv", []byte("MELT"), time.Now())
	o := orderOf("deal-1", prog("describe")...)
	o.inputs = map[string]string{"melt.csv": "s3://other/elt.csv", "vouched": "s3://other/elt.csv"}
	o.doc.Spec.Inputs = map[string]job.InputIdentity{
		"melt.csv": {ETag: melt.etag, Size: 4}, "vouched": {SHA256: digest([]byte("MELT"))},
	}
	o.doc.Parents = map[string]job.ParentOutputs{"inuring": {Key: parent, Files: []string{"a.csv", "sub/b.csv"}}}
	o.doc.Spec.Env = map[string]string{"MODE": "fast", "TASK_NAME": "not this"}
	key := b.enqueue(o)
	w := b.worker(nil)

	if reason := b.work(w); reason != ReasonIdle {
		t.Errorf("left because %s, want idle", reason)
	}

	m, files := b.output(key)
	if m == nil {
		t.Fatal("there is no output")
	}
	root := filepath.Join(w.dir, "slot-0")
	want := strings.Join([]string{
		"env HOME=" + root + "/home", "env LANG=C.UTF-8", "env MODE=fast", "env PATH=/usr/bin:/bin", "env SPATE_INPUT_DIR=" + root + "/work/in",
		"env SPATE_JOB_KEY=" + key.String(), "env SPATE_OUTPUT_DIR=" + root + "/work/out", "env SPATE_PARAMS=" + root + "/work/params.json",
		"env TASK_NAME=test", "env TMPDIR=" + root + "/tmp", `params {"job":"deal-1"}`,
		"input inuring/a.csv A", "input inuring/sub/b.csv B", "input melt.csv MELT", "input vouched MELT", "",
	}, "\n")
	if diff := cmp.Diff(map[string]string{"description.txt": want}, files); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	if m.Worker != taskARN || m.Image != thisImage || m.Run != "run-1" || !strings.HasPrefix(m.Attempt, "a1-") {
		t.Errorf("manifest %+v", m)
	}
	if doc, err := job.ParseDocument(m.Document); err != nil {
		t.Errorf("document: %v", err)
	} else if k, _ := doc.Key(); k != key {
		t.Error("the manifest's document is not the key's")
	}
	event := b.onlyEvent()
	if event.Type != job.EventSucceeded || event.Reused || event.Bytes != int64(len(want)) || event.Job != "deal-1" || event.Key != key || event.Worker != taskARN {
		t.Errorf("event %+v", event)
	}
	b.checkEmpty()
}

func TestAJobComputedAgainSeesWhatTheOriginalSaw(t *testing.T) {
	b := newBench(t)
	original := b.enqueue(orderOf("j", prog("describe")...))
	again := orderOf("j", prog("describe")...)
	again.doc.Spec.Again = "reproduction-1"
	key := b.enqueue(again)
	b.work(b.worker(nil))

	if key == original {
		t.Fatal("the job computed again has the original's key: its output would be the original's")
	}
	_, want := b.output(original)
	_, got := b.output(key)
	if diff := cmp.Diff(want, got); diff != "" || len(got) == 0 {
		t.Errorf("what the process saw (-original +again):\n%s", diff)
	}
}

func TestANonDeterministicJobLearnsItsRun(t *testing.T) {
	b := newBench(t)
	o := orderOf("j", prog("describe")...)
	o.doc.Spec.Run = "run-1"
	key := b.enqueue(o)
	b.work(b.worker(nil))
	if _, files := b.output(key); !strings.Contains(files["description.txt"], "env SPATE_RUN_ID=run-1\n") {
		t.Errorf("output %q", files["description.txt"])
	}
}

func TestALiveOutputIsNotMadeAgain(t *testing.T) {
	b := newBench(t)
	o := orderOf("j", prog("exit", "1")...)
	b.publishParent(b.message(o).Key, retention-time.Hour, map[string]string{"x": "12345"})
	b.enqueue(o)
	b.work(b.worker(nil))
	if e := b.onlyEvent(); e.Type != job.EventSucceeded || !e.Reused || e.Bytes != 5 {
		t.Errorf("event %+v", e)
	}
	b.checkEmpty()
}

func TestAnOutputThatIsExpiredOrUnreadableIsReplaced(t *testing.T) {
	for _, state := range []string{"expired", "unreadable"} {
		t.Run(state, func(t *testing.T) {
			b := newBench(t)
			o := orderOf("j", prog("write", "out/x", "new")...)
			key := b.message(o).Key
			if state == "expired" {
				b.publishParent(key, retention, map[string]string{"x": "old"})
			} else {
				b.store.put(job.ManifestPath(key), []byte("{"), time.Now())
			}
			b.enqueue(o)
			b.work(b.worker(nil))
			if e := b.onlyEvent(); e.Type != job.EventSucceeded || e.Reused {
				t.Errorf("event %+v", e)
			}
			if _, files := b.output(key); files["x"] != "new" {
				t.Errorf("output %v, want the new one", files)
			}
		})
	}
}

func TestAnOutputThatIsToBeMadeAgainIsReplacedOnce(t *testing.T) {
	b := newBench(t)
	o := orderOf("j", prog("write", "out/x", "new")...)
	m := b.message(o)
	b.publishParent(m.Key, 0, map[string]string{"x": "old"})
	m.Replaces = b.standing(m.Key)
	body, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	b.queue.put(string(body), string(body))
	b.work(b.worker(nil))
	if events := b.events.all(); len(events) != 2 || events[0].Reused || !events[1].Reused {
		t.Errorf("events %+v, want one of the new output and one that finds it", events)
	}
	if _, files := b.output(m.Key); files["x"] != "new" {
		t.Errorf("output %v, want the new one", files)
	}
	b.checkEmpty()
}

func TestAnOutputThatIsToBeMadeAgainIsTheSameWhenItsManifestWasWrittenAgain(t *testing.T) {
	b := newBench(t)
	o := orderOf("j", prog("write", "out/x", "new")...)
	m := b.message(o)
	b.publishParent(m.Key, 20*24*time.Hour, map[string]string{"x": "old"})
	m.Replaces = b.standing(m.Key)
	body, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	data, _, err := b.store.Get(t.Context(), job.ManifestPath(m.Key))
	if err != nil {
		t.Fatal(err)
	}
	b.store.put(job.ManifestPath(m.Key), data, time.Now()) // as a refresh does; with another ETag, as in a bucket encrypted with KMS
	if again := b.standing(m.Key); again.ETag == m.Replaces.ETag || again.Attempt != m.Replaces.Attempt {
		t.Fatalf("the manifest was %+v, and is %+v", m.Replaces, again)
	}
	b.queue.put(string(body), string(body))
	b.work(b.worker(nil))
	if events := b.events.all(); len(events) != 2 || events[0].Reused || !events[1].Reused {
		t.Errorf("events %+v, want one of the new output and one that finds it", events)
	}
	if _, files := b.output(m.Key); files["x"] != "new" {
		t.Errorf("output %v, want the new one", files)
	}
	b.checkEmpty()
}

func TestAFailureIsReportedWithItsCauseAndLastLines(t *testing.T) {
	three, one := 3, 1
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		command []string
		timeout time.Duration
		cause   string
		code    *int
		lines   []string
	}{
		{"exit code", prog("exit", "3", "first", "second"), 0, "exit code 3", &three, []string{"first", "second"}},
		{"killed", prog("kill"), 0, "killed by signal: killed", nil, nil},
		{"not found", []string{"no-such-program"}, 0, "command not found: no-such-program", nil, nil},
		{"not found by path", []string{"./no-such-program"}, 0, "command not found: ./no-such-program", nil, nil},
		{"not executable", []string{plain}, 0, "start " + plain + ": permission denied", nil, nil},
		{"times out although it then ends well", prog("hang", "runs"), 200 * time.Millisecond, "timed out after 200ms", nil, nil},
		{"only the last lines", prog("many-lines", "1"), 0, "exit code 1", &one, lastOfAThousand()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			o := orderOf("j", tt.command...)
			o.after = tt.timeout
			key := b.enqueue(o)
			b.work(b.worker(nil))
			e := b.onlyEvent()
			if e.Type != job.EventFailed || e.Cause != tt.cause {
				t.Errorf("event %s with cause %q, want failed with %q", e.Type, e.Cause, tt.cause)
			}
			if diff := cmp.Diff(tt.code, e.ExitCode); diff != "" {
				t.Errorf("exit code (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.lines, e.LastLines); diff != "" {
				t.Errorf("last lines (-want +got):\n%s", diff)
			}
			if m, _ := b.output(key); m != nil {
				t.Error("a failed job has an output")
			}
			b.checkEmpty()
		})
	}
}

func lastOfAThousand() []string {
	var lines []string
	for i := 980; i < 1000; i++ {
		lines = append(lines, fmt.Sprintf("line %d", i))
	}
	return lines
}

func TestHooksRunAroundTheCommand(t *testing.T) {
	step := func(line string) []string { return prog("append", "out/steps", line) }
	tests := []struct {
		name                           string
		before, command, after, failed []string
		steps, cause                   string
		lastLines                      []string
	}{
		{"all well", step("before"), step("command"), step("after"), step("failed"), "before\ncommand\nafter\n", "", nil},
		{"before fails", prog("exit", "4", "no"), step("command"), step("after"), nil, "", "before: exit code 4", []string{"no"}},
		{"command fails", nil, prog("exit", "4", "no"), step("after"), prog("exit", "0", "because"), "", "exit code 4", []string{"no", "because"}},
		{"after fails", nil, step("command"), []string{"nowhere"}, nil, "", "after: command not found: nowhere", nil},
		{"the explanation fails too", nil, prog("exit", "4"), nil, prog("exit", "5"), "", "exit code 4", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			o := orderOf("j", tt.command...)
			task := &o.doc.Spec.Task
			task.Before, task.After, task.OnFailure = tt.before, tt.after, tt.failed
			key := b.enqueue(o)
			b.work(b.worker(nil))
			e := b.onlyEvent()
			if e.Cause != tt.cause {
				t.Errorf("cause %q, want %q", e.Cause, tt.cause)
			}
			if diff := cmp.Diff(tt.lastLines, e.LastLines); diff != "" {
				t.Errorf("last lines (-want +got):\n%s", diff)
			}
			if _, files := b.output(key); files["steps"] != tt.steps {
				t.Errorf("steps %q, want %q", files["steps"], tt.steps)
			}
		})
	}
}

func TestAnInputThatIsNotTheKeysIsReportedAndNothingPublished(t *testing.T) {
	const sum = "0000000000000000000000000000000000000000000000000000000000000000"
	tests := []struct {
		name     string
		identity job.InputIdentity
		object   string
		cause    string
	}{
		{"changed", job.InputIdentity{ETag: "old", Size: 4}, "elt.csv", `input "melt.csv": the object has changed: its ETag is no longer old`},
		{"gone", job.InputIdentity{ETag: "etag-1", Size: 4}, "no.csv", `input "melt.csv": the object does not exist`},
		{"of another size", job.InputIdentity{ETag: "etag-1", Size: 5}, "elt.csv", `input "melt.csv": the object has 4 bytes, not 5`},
		{"of another digest", job.InputIdentity{SHA256: sum}, "elt.csv", `input "melt.csv": the object's SHA-256 is ` + digest([]byte("MELT")) + ", not " + sum},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.store.put("elt.csv", []byte("MELT"), time.Now()) // etag-1
			o := orderOf("j", prog("describe")...)
			o.inputs = map[string]string{"melt.csv": "s3://other/" + tt.object}
			o.doc.Spec.Inputs = map[string]job.InputIdentity{"melt.csv": tt.identity}
			b.enqueue(o)
			b.work(b.worker(nil))
			if e := b.onlyEvent(); e.Type != job.EventInputChanged || e.Cause != tt.cause {
				t.Errorf("event %s: %s", e.Type, e.Cause)
			}
			if keys := b.store.keys(); len(keys) != 1 {
				t.Errorf("objects %v, want the input only", keys)
			}
			b.checkEmpty()
		})
	}
}

func TestALostParentIsReportedAndItsManifestDeleted(t *testing.T) {
	parent := job.Key{7}
	tests := []struct {
		name   string
		damage func(*bench, *job.Manifest)
		cause  string
	}{
		{"no manifest", func(b *bench, m *job.Manifest) { b.store.remove(job.ManifestPath(m.Key)) }, "there is no manifest"},
		{"unreadable manifest", func(b *bench, m *job.Manifest) { b.store.put(job.ManifestPath(m.Key), []byte("{"), time.Now()) }, "parse manifest"},
		{"no file", func(b *bench, m *job.Manifest) { b.store.remove(m.Object(m.Files[0])) }, `file "a": the object does not exist`},
		{"a shorter file", func(b *bench, m *job.Manifest) { b.store.put(m.Object(m.Files[0]), []byte("x"), time.Now()) }, `file "a": the object has 1 bytes, not 5`},
		{"another file", func(b *bench, m *job.Manifest) { b.store.put(m.Object(m.Files[0]), []byte("other"), time.Now()) }, `file "a": the object's SHA-256 is`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			tt.damage(b, b.publishParent(parent, 0, map[string]string{"a": "AAAAA"}))
			o := orderOf("j", prog("describe")...)
			o.doc.Parents["p"] = job.ParentOutputs{Key: parent}
			key := b.enqueue(o)
			b.work(b.worker(nil))
			e := b.onlyEvent()
			if e.Type != job.EventParentLost || e.Lost == nil || *e.Lost != parent || !strings.Contains(e.Cause, tt.cause) {
				t.Errorf("event %s, lost %v: %s", e.Type, e.Lost, e.Cause)
			}
			if _, ok := b.store.read(job.ManifestPath(parent)); ok {
				t.Error("the parent's manifest still promises an output")
			}
			if m, _ := b.output(key); m != nil {
				t.Error("the job has an output")
			}
			b.checkEmpty()
		})
	}
}

func TestAParentPublishedAgainMeanwhileKeepsItsManifest(t *testing.T) {
	b := newBench(t)
	parent := job.Key{7}
	m := b.publishParent(parent, 0, map[string]string{"a": "AAAAA"})
	b.store.remove(m.Object(m.Files[0]))
	b.store.set(func(op, what string) error {
		if op == "remove" && what == job.ManifestPath(parent) {
			data, _ := b.store.read(what)
			b.store.put(what, data, time.Now())
		}
		return nil
	}, nil)
	o := orderOf("j", prog("describe")...)
	o.doc.Parents["p"] = job.ParentOutputs{Key: parent}
	b.enqueue(o)
	b.work(b.worker(nil))
	if e := b.onlyEvent(); e.Type != job.EventParentLost {
		t.Errorf("event %+v", e)
	}
	if _, ok := b.store.read(job.ManifestPath(parent)); !ok {
		t.Error("a manifest was deleted that was not the one found wanting")
	}
}

func TestAFileThatTheParentNeverWroteFailsTheJob(t *testing.T) {
	b := newBench(t)
	parent := job.Key{7}
	b.publishParent(parent, 0, map[string]string{"a": "A"})
	o := orderOf("j", prog("describe")...)
	o.doc.Parents["p"] = job.ParentOutputs{Key: parent, Files: []string{"b"}}
	b.enqueue(o)
	b.work(b.worker(nil))
	if e := b.onlyEvent(); e.Type != job.EventFailed || !strings.Contains(e.Cause, `no file "b"; it has a`) {
		t.Errorf("event %s: %s", e.Type, e.Cause)
	}
	if _, ok := b.store.read(job.ManifestPath(parent)); !ok {
		t.Error("the parent's manifest was deleted though nothing is wrong with it")
	}
}

func TestOutputsThatCannotBePublishedFailTheJob(t *testing.T) {
	tests := map[string]struct {
		command []string
		cause   string
	}{
		"link out of the directory": {prog("link", "/etc/hostname", "out/name"), `output "name" is a link`},
		"link to the inputs":        {prog("link", "../params.json", "out/params"), `output "params" is a link`},
		"link to nowhere":           {prog("link", "nothing", "out/name"), `output "name" is a link`},
		"link to a directory":       {prog("link", ".", "out/name"), `output "name" is no regular file`},
		"fifo":                      {prog("fifo", "out/pipe"), `output "pipe" is no regular file`},
		"odd name":                  {prog("write", "out/a\nb", ""), "control character"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.enqueue(orderOf("j", tt.command...))
			b.work(b.worker(nil))
			if e := b.onlyEvent(); e.Type != job.EventFailed || !strings.Contains(e.Cause, tt.cause) {
				t.Errorf("event %s: %s", e.Type, e.Cause)
			}
			if keys := b.store.keys(); len(keys) != 0 {
				t.Errorf("objects %v, want none", keys)
			}
		})
	}
}

func TestSeveralOutputDirectoriesKeepTheirNames(t *testing.T) {
	b := newBench(t)
	o := orderOf("j", prog("write", "logs/deep/x", "L")...)
	o.doc.Spec.Task.Before = prog("write", "out/x", "O")
	o.doc.Spec.Task.OutputDirs = []string{"out", "logs", "empty"}
	key := b.enqueue(o)
	b.work(b.worker(nil))
	_, files := b.output(key)
	if diff := cmp.Diff(map[string]string{"out/x": "O", "logs/deep/x": "L"}, files); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func TestAnEmptyOutputIsAnOutput(t *testing.T) {
	b := newBench(t)
	key := b.enqueue(orderOf("j", prog("exit", "0")...))
	b.work(b.worker(nil))
	if m, files := b.output(key); m == nil || len(files) != 0 {
		t.Errorf("manifest %v, files %v", m, files)
	}
}

func TestAMessageOfAnotherImageIsPassedOnAndTheWorkerLeaves(t *testing.T) {
	for name, c := range map[string]struct {
		before, after func(op, what string) error
		left          []int // how often each message that is left was received
	}{
		"taken":                            {nil, nil, []int{0}},
		"not taken":                        {always("send", ""), nil, []int{1}},
		"taken, but the answer is lost":    {nil, always("send", ""), []int{1, 0}},
		"taken, deleted at the second try": {times(1, "delete", ""), nil, []int{0}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			o := orderOf("j", prog("exit", "0")...)
			o.doc.Spec.Image = "sha256:2222"
			b.enqueue(o)
			body := b.queue.left()[0].body
			b.queue.set(c.before, c.after)
			if reason := b.work(b.worker(func(o *Options) { o.IdleTimeout = time.Hour })); reason != ReasonOtherImage {
				t.Errorf("left because %s", reason)
			}
			var received []int
			for _, m := range b.queue.left() {
				received = append(received, m.receives)
				if m.visibleAt.After(time.Now()) || m.body != body {
					t.Errorf("message %+v, want the one that came, visible", m)
				}
			}
			if diff := cmp.Diff(c.left, received); diff != "" {
				t.Errorf("how often the messages were received (-want +got):\n%s", diff)
			}
			if events := b.events.all(); len(events) != 0 {
				t.Errorf("events %+v", events)
			}
		})
	}
}

func TestIdleWorkersOfAnotherImageDoNotCountAgainstAJob(t *testing.T) {
	b := newBench(t)
	o := orderOf("j", prog("write", "out/x", "X")...)
	key := b.enqueue(o)
	old := func(o *Options) { o.Identity.Image, o.IdleTimeout = "sha256:0000", time.Hour }
	b.queue.onDelete = nil // who deletes it is of another image here
	for range 25 {
		b.work(b.worker(old))
	}
	left := b.queue.left()
	if len(left) != 1 || left[0].receives != 0 {
		t.Fatalf("messages %+v, want one, never received", left)
	}
	b.work(b.worker(nil))
	if _, files := b.output(key); files["x"] != "X" {
		t.Errorf("output %v", files)
	}
	b.checkEmpty()
}

func TestAnUnreadableMessageIsLeftForTheDeadLetterQueue(t *testing.T) {
	b := newBench(t)
	b.queue.put("{}")
	b.work(b.worker(nil))
	if left := b.queue.left(); len(left) != 1 || !left[0].visibleAt.After(time.Now()) {
		t.Errorf("messages %+v, want the one, hidden for a while", left)
	}
}

func TestAStoppedWorkerReturnsItsMessageAndEndsTheProcess(t *testing.T) {
	b := newBench(t)
	runs := filepath.Join(t.TempDir(), "runs")
	b.enqueue(orderOf("j", prog("hang", runs)...))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var reason Reason
	ended := make(chan struct{})
	w := b.worker(func(o *Options) { o.StopGrace = 0 })
	go func() {
		defer close(ended)
		reason, _ = w.Run(ctx)
	}()
	until(t, "the process", func() bool { _, err := os.Stat(runs); return err == nil })
	stop()
	<-ended
	if reason != ReasonStopped {
		t.Errorf("left because %s", reason)
	}
	if left := b.queue.left(); len(left) != 1 || left[0].visibleAt.After(time.Now()) {
		t.Errorf("messages %+v, want the one, visible", left)
	}
	if events := b.events.all(); len(events) != 0 {
		t.Errorf("events %+v, want none: an interruption is no failure", events)
	}
	b.checkClean()
}

func TestAStoppedWorkerFinishesWhatFitsIntoTheGrace(t *testing.T) {
	b := newBench(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	w := b.worker(nil)
	run := w.run
	w.run = func(c context.Context, cmd command) ending {
		stop()
		return run(c, cmd)
	}
	first := b.enqueue(orderOf("first", prog("write", "out/x", "1")...))
	b.enqueue(orderOf("second", prog("write", "out/x", "2")...))
	if reason, err := w.Run(ctx); reason != ReasonStopped || err != nil {
		t.Errorf("left because %s, %v", reason, err)
	}
	if e := b.onlyEvent(); e.Key != first || e.Type != job.EventSucceeded {
		t.Errorf("event %+v", e)
	}
	if left := b.queue.left(); len(left) != 1 || left[0].receives != 0 {
		t.Errorf("messages %+v, want the second, untouched", left)
	}
}

func TestProcessesThatAJobLeavesBehindAreEnded(t *testing.T) {
	b := newBench(t)
	key := b.enqueue(orderOf("j", prog("leave-behind")...))
	b.work(b.worker(nil))
	_, files := b.output(key)
	pid, err := strconv.Atoi(files["pid"])
	if err != nil {
		t.Fatalf("output %v, event %+v", files, b.onlyEvent())
	}
	until(t, "the process to be gone", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		isZombie := err == nil && strings.Contains(string(stat), ") Z ")
		return isZombie || syscall.Kill(pid, 0) != nil
	})
}

func TestWhatAProgramLockedUpIsCleanedUp(t *testing.T) {
	b := newBench(t)
	b.enqueue(orderOf("a", prog("lock-up")...))
	b.enqueue(orderOf("b", prog("lock-up")...))
	b.work(b.worker(nil)) // checks that nothing is left
	for _, e := range b.events.all() {
		if e.Type != job.EventSucceeded {
			t.Errorf("event %+v", e)
		}
	}
}

func TestASharedFileIsDownloadedOnceAndEachJobHasItsOwnCopy(t *testing.T) {
	b := newBench(t)
	parent := job.Key{7}
	m := b.publishParent(parent, 0, map[string]string{"table": "TABLE"})
	var keys []job.Key
	for i := range 5 {
		o := orderOf(fmt.Sprintf("deal-%d", i), prog("scribble", "events/table")...)
		o.doc.Parents["events"] = job.ParentOutputs{Key: parent}
		keys = append(keys, b.enqueue(o))
	}
	b.work(b.worker(nil))
	for _, key := range keys {
		if _, files := b.output(key); files["read"] != "TABLE" {
			t.Errorf("job read %q", files["read"])
		}
	}
	if n := b.store.opened(m.Object(m.Files[0])); n != 1 {
		t.Errorf("the file was downloaded %d times, want once", n)
	}
}

func TestTwoWorkersOfOneJobLeaveOneWholeOutput(t *testing.T) {
	b := newBench(t)
	o := orderOf("j", prog("unused")...)
	key := b.enqueue(o)
	b.enqueue(o) // the queue delivers twice
	var workers []*Worker
	meet := make(chan struct{}, 2)
	both := make(chan struct{})
	for i := range 2 {
		w := b.worker(func(o *Options) { o.Identity.TaskARN = fmt.Sprintf("task-%d", i) })
		w.run = func(_ context.Context, c command) ending {
			for _, name := range []string{"a", "b"} {
				content := strings.Repeat(strconv.Itoa(i), 10+i)
				if err := os.WriteFile(filepath.Join(c.dir, "out", name), []byte(content), 0o600); err != nil {
					t.Error(err)
				}
			}
			meet <- struct{}{}
			<-both
			return ending{}
		}
		workers = append(workers, w)
	}
	done := make(chan struct{})
	for _, w := range workers {
		go func() {
			_, _ = w.Run(t.Context())
			done <- struct{}{}
		}()
	}
	<-meet
	<-meet
	close(both)
	<-done
	<-done
	m, files := b.output(key)
	if m == nil || len(files) != 2 || files["a"] != files["b"] {
		t.Fatalf("output %v", files)
	}
	keys := b.store.keys()
	if len(keys) != 3 || !slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(k, job.AttemptPrefix(key, m.Attempt)) }) {
		t.Errorf("objects %v, want the winner's two files and the manifest", keys)
	}
	events := b.events.all()
	if len(events) != 2 {
		t.Fatalf("events %+v", events)
	}
	for _, e := range events {
		if e.Type != job.EventSucceeded || e.Bytes != m.Bytes() {
			t.Errorf("event %+v, want a success with the winner's %d bytes", e, m.Bytes())
		}
		if e.Reused != (e.Worker != m.Worker) {
			t.Errorf("event of %s says reused=%t, but the output is of %s", e.Worker, e.Reused, m.Worker)
		}
	}
	b.checkEmpty()
}

func TestACrashBetweenFilesAndManifestLeavesNoOutputAndTheMessage(t *testing.T) {
	b := newBench(t)
	key := b.enqueue(orderOf("j", prog("write", "out/x", "X")...))
	b.store.set(func(op, what string) error {
		if op == "put" && what == job.ManifestPath(key) {
			panic("power cut")
		}
		return nil
	}, nil)
	b.work(b.worker(nil))
	if m, _ := b.output(key); m != nil {
		t.Error("there is an output")
	}
	if keys := b.store.keys(); len(keys) != 1 {
		t.Errorf("objects %v, want the file", keys)
	}
	if left := b.queue.left(); len(left) != 1 {
		t.Fatalf("messages %+v, want the one", left)
	}
	if len(b.events.all()) != 0 {
		t.Error("there is an event")
	}

	b.store.set(nil, nil)
	b.queue.messages[0].visibleAt = time.Now()
	b.work(b.worker(nil))
	if _, files := b.output(key); files["x"] != "X" {
		t.Errorf("output %v", files)
	}
	b.checkEmpty()
}

func TestAManifestWhoseAnswerGotLostIsOurOwn(t *testing.T) {
	b := newBench(t)
	key := b.enqueue(orderOf("j", prog("write", "out/x", "X")...))
	b.store.set(nil, times(1, "put", job.ManifestPath(key)))
	b.work(b.worker(nil))
	if e := b.onlyEvent(); e.Type != job.EventSucceeded || e.Reused {
		t.Errorf("event %+v", e)
	}
	if _, files := b.output(key); files["x"] != "X" {
		t.Errorf("output %v: the files of the standing manifest must not be deleted", files)
	}
}

func TestInterruptedCallsAreRepeated(t *testing.T) {
	b := newBench(t)
	melt := b.store.put("elt.csv", []byte("MELT"), time.Now())
	o := orderOf("j", prog("describe")...)
	o.inputs = map[string]string{"melt.csv": "s3://other/elt.csv"}
	o.doc.Spec.Inputs["melt.csv"] = job.InputIdentity{ETag: melt.etag, Size: 4}
	key := b.enqueue(o)
	get, put, seal := times(1, "get", "elt.csv"), times(1, "put", "description"), times(1, "put", job.ManifestFile)
	b.store.set(func(op, what string) error {
		for _, fault := range []func(string, string) error{get, put, seal} {
			if err := fault(op, what); err != nil {
				return err
			}
		}
		return nil
	}, nil)
	b.events.set(nil, times(1, "send", "")) // accepted, but the answer is lost
	b.queue.set(times(1, "delete", ""), nil)
	b.work(b.worker(nil))
	if m, _ := b.output(key); m == nil {
		t.Error("there is no output")
	}
	for _, e := range b.events.all() {
		if e.Type != job.EventSucceeded {
			t.Errorf("event %+v: a fault of ours is no failure of the job", e)
		}
	}
	b.checkEmpty()
}

func TestAStagedFileInThePlaceOfTheParametersFailsTheJob(t *testing.T) {
	b := newBench(t)
	o := orderOf("j", prog("describe")...)
	o.doc.Spec.Task.InputDir = "."
	o.inputs = map[string]string{"params.json": "s3://other/p"}
	o.doc.Spec.Inputs["params.json"] = job.InputIdentity{ETag: b.store.put("p", []byte("P"), time.Now()).etag, Size: 1}
	b.enqueue(o)
	b.work(b.worker(nil))
	if e := b.onlyEvent(); e.Type != job.EventFailed || e.Cause != "the job stages a file in the place of params.json" {
		t.Errorf("event %s: %s", e.Type, e.Cause)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	_, err := New(Options{Objects: (*objects.Store)(nil), Slots: 0, Visibility: time.Second})
	for _, want := range []string{"no job queue", "0 slots", "visibility timeout 1s", "retention 0s", "no task ARN"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want it to name %q", err, want)
		}
	}
}
