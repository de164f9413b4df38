package planner

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"spate/internal/objects"
	"spate/job"
)

// reproduce submits a run that computes jobs of another again.
func (w *world) reproduce(id string, what job.Reproduction) string {
	w.t.Helper()
	prepared, err := PrepareReproduction("check", what)
	if err != nil {
		w.t.Fatal(err)
	}
	if id, err = Submit(w.t.Context(), w.bucket, w.queue("submissions"), id, prepared); err != nil {
		w.t.Fatal(err)
	}
	return id
}

// writes makes the worker publish one file for a job, whose content may depend on the message.
func (w *world) writes(id string, content func(m job.Message) string) {
	w.worker.mu.Lock()
	defer w.worker.mu.Unlock()
	w.worker.writes[id] = content
}

// remove deletes an output.
func (w *world) remove(key job.Key) {
	w.t.Helper()
	if err := w.bucket.Delete(w.t.Context(), job.ManifestPath(key), objects.Condition{}); err != nil {
		w.t.Fatal(err)
	}
}

func TestJobsComputedAgainAreComparedWithTheOriginals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for _, id := range []string{"deal-1", "deal-2", "deal-3"} {
			w.writes(id, func(job.Message) string { return id })
		}
		w.start()
		original := w.await(w.submit("nightly", portfolio))
		computed, _ := w.worker.executed()

		r := w.await(w.reproduce("again", job.Reproduction{Run: "nightly"}))

		if diff := cmp.Diff(Progress{Jobs: 6, Done: 6, Executed: 6}, r.Progress); diff != "" || r.State != job.RunSucceeded || r.Reason != "" {
			t.Errorf("%s: %s: %s", r.State, r.Reason, diff)
		}
		want := &Reproduction{Run: "nightly", Tasks: []ReproducedTask{{Task: "price", Compared: 6, Identical: 6}}}
		if diff := cmp.Diff(want, r.Reproduction); diff != "" {
			t.Error(diff)
		}
		if n, doubled := w.worker.executed(); n != computed+6 || doubled != 0 {
			t.Errorf("%d outputs were made, %d of them twice; want those of the run and as many again", n, doubled)
		}
		if r.Pool != original.Pool || r.Owner != "risk" || r.Labels["desk"] != "property" || r.Image != original.Image {
			t.Errorf("the reproduction is not the original's: %+v", r)
		}
		results, originals := w.results("again"), w.keys("nightly")
		for id, key := range originals {
			if x := results[id]; x.Original != key || x.Key == key || !x.Compared || x.Differences != nil || x.Labels["job"] != id {
				t.Errorf("result of %s: %+v", id, x)
			}
		}
		if doubts, err := NotDeterministic(t.Context(), w.runs); err != nil || doubts != nil {
			t.Errorf("doubts %v, error %v", doubts, err)
		}
	})
}

func TestATaskThatGivesOtherBytesIsKnownFromThenOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.writes("deal-2", func(m job.Message) string { return "computed by " + m.Run })
		w.start()
		w.await(w.submit("nightly", portfolio))

		r := w.await(w.reproduce("again", job.Reproduction{Run: "nightly"}))

		if r.State != job.RunSucceeded || r.Reason != "1 of 6 jobs gave other bytes: price is not deterministic" {
			t.Errorf("%s: %s", r.State, r.Reason)
		}
		if compared, identical := r.Reproduction.Compared(); compared != 6 || identical != 5 {
			t.Errorf("%d compared, %d identical", compared, identical)
		}
		for id, x := range w.results("again") {
			if want := id == "deal-2"; (len(x.Differences) == 1 && x.Differences[0].Path == "result.txt") != want {
				t.Errorf("%s differs in %v", id, x.Differences)
			}
		}
		doubts, err := NotDeterministic(t.Context(), w.runs)
		if err != nil || len(doubts) != 1 {
			t.Fatalf("doubts %v, error %v", doubts, err)
		}
		const want = "task price is declared deterministic, but run again gave other bytes than nightly in 1 of 6 jobs, such as deal-2 (result.txt)"
		if got := doubts[0].String(); got != want || doubts[0].Image != testImage || doubts[0].Namespace != "default" {
			t.Errorf("doubt %+v\n%s", doubts[0], got)
		}

		// Whoever uses the task type is told, and a reproduction that happens to find nothing changes nothing of it.
		w.writes("deal-2", func(job.Message) string { return "computed by nightly" })
		w.await(w.reproduce("clean", job.Reproduction{Run: "nightly"}))
		if next := w.await(w.submit("next", portfolio)); !slices.Equal(next.Warnings, []string{want}) {
			t.Errorf("warnings of the next run: %q", next.Warnings)
		}
		// A new image is another program.
		w.images.set(Image{TaskDefinition: "arn:family:2", Container: "spate", Digest: "sha256:22bb", Platform: "linux/amd64"}, nil)
		if next := w.await(w.submit("mended", portfolio)); next.Warnings != nil {
			t.Errorf("warnings of a run of another image: %q", next.Warnings)
		}
	})
}

func TestAReproductionIsOfTheOriginalsImageAndTaskTypes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, stop := w.startPlanner(w.options(1, nil))
		w.background(w.worker.run)
		w.await(w.submit("nightly", portfolio))
		if err := stop(); err == nil {
			t.Fatal("the planner stopped without a reason")
		}
		w.images.set(Image{TaskDefinition: "arn:family:2", Container: "spate", Digest: "sha256:22bb", Platform: "linux/amd64"}, nil)
		w.task.Command = []string{"price", "--other"}
		w.startPlanner(w.options(2, nil))

		r := w.await(w.reproduce("again", job.Reproduction{Run: "nightly", Jobs: []string{"deal-1"}}))
		if r.State != job.RunSucceeded || r.Image != testImage || r.TaskDefinition != "arn:family:1" || r.Progress.Executed != 1 {
			t.Fatalf("%+v", r)
		}
		messages := w.worker.messages
		doc, err := job.ParseDocument(messages[len(messages)-1].Document)
		if err != nil {
			t.Fatal(err)
		}
		key, err := doc.Original().Key()
		if err != nil {
			t.Fatal(err)
		}
		if doc.Spec.Again != "again" || key != w.keys("nightly")["deal-1"] {
			t.Errorf("document %+v is not that of the original with the reproduction's id", doc)
		}
	})
}

func TestASampleHasEachTaskTypeAndIsTheSameForASeed(t *testing.T) {
	s := strata{}
	for i := range 1000 {
		task := "price"
		switch {
		case i < 2:
			task = "root"
		case i < 300:
			task = "bucket"
		}
		s.add(job.Planned{Task: task, Key: keyNamed(fmt.Sprint(i))}, i, 7)
	}
	for _, test := range []struct {
		n    int
		want map[string]int
	}{
		{0, map[string]int{"root": 1, "bucket": 29, "price": 70}},
		{1, map[string]int{"root": 1, "bucket": 1, "price": 1}},
		{10, map[string]int{"root": 1, "bucket": 2, "price": 7}},
		{5000, map[string]int{"root": 2, "bucket": 298, "price": 700}},
	} {
		if diff := cmp.Diff(test.want, s.quotas(test.n)); diff != "" {
			t.Errorf("quotas of a sample of %d (-want +got):\n%s", test.n, diff)
		}
	}
	other := strata{}
	for i := range 300 {
		other.add(job.Planned{Task: "bucket", Key: keyNamed(fmt.Sprint(i))}, i, 8)
	}
	first, again := s.ranked("bucket")[:29], s.ranked("bucket")[:29]
	if !slices.Equal(first, again) || slices.Equal(first, other.ranked("bucket")[:29]) {
		t.Error("a sample must follow from its seed")
	}
}

func TestOnlyJobsWithAnOutputAreChosen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		var lines strings.Builder
		for i := range 20 {
			fmt.Fprintf(&lines, "job-%d:\n", i)
		}
		w.await(w.submit("nightly", lines.String()))
		for id, key := range w.keys("nightly") {
			if id != "job-3" && id != "job-7" {
				w.remove(key)
			}
		}

		r := w.await(w.reproduce("again", job.Reproduction{Run: "nightly", Sample: 5}))
		if want := (&Reproduction{Run: "nightly", WithoutOutput: 18, Tasks: []ReproducedTask{{"price", 2, 2}}}); !cmp.Equal(want, r.Reproduction) {
			t.Error(cmp.Diff(want, r.Reproduction))
		}
		if results := w.results("again"); len(results) != 2 || results["job-3"].ID == "" || results["job-7"].ID == "" {
			t.Errorf("chosen were %v", results)
		}
		r = w.await(w.reproduce("named", job.Reproduction{Run: "nightly", Jobs: []string{"job-3", "job-4"}}))
		if r.State != job.RunRejected || r.Reason != "not all of these jobs of run nightly can be computed again; 1 job without an output to compare with" {
			t.Errorf("%s: %s", r.State, r.Reason)
		}
	})
}

func TestWhatCannotBeReproducedIsRejectedWithTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.task.Deterministic = false
		w.worker.on("slow", func(job.Message) *job.Event { return &job.Event{} })
		w.start()
		w.await(w.submit("random", "a:\nb: a\n"))
		w.submit("running", "slow:\n")
		w.awaitState("running", func(s job.RunState) bool { return s == job.RunActive })
		w.await(w.submitTo("nowhere", "rejected", "a:\n"))
		for _, test := range []struct {
			what job.Reproduction
			want string
		}{
			{job.Reproduction{Run: "nothing"}, "there is no run nothing to compute again"},
			{job.Reproduction{Run: "running"}, "run running is active: wait until it has ended"},
			{job.Reproduction{Run: "rejected"}, "run rejected was rejected: it has no jobs to compute again"},
			{job.Reproduction{Run: "random"}, "no job of run random can be computed again; 2 jobs of task types that are declared not deterministic"},
			{job.Reproduction{Run: "random", Jobs: []string{"x", "a"}}, "run random has no job x"},
		} {
			r := w.await(w.reproduce("", test.what))
			if r.State != job.RunRejected || r.Reason != test.want {
				t.Errorf("%+v: %s: %s", test.what, r.State, r.Reason)
			}
		}
	})
}

func TestAJobWhoseParentIsGoneFailsAndIsNotSentForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		w.await(w.submit("nightly", "parent:\nchild: parent\n"))
		w.remove(w.keys("nightly")["parent"])

		r := w.await(w.reproduce("again", job.Reproduction{Run: "nightly", Jobs: []string{"child"}}))

		const want = "1 job failed: child (parent parent is gone; what the original was computed from is gone)"
		if r.State != job.RunFailed || r.Reason != want {
			t.Errorf("%s: %s", r.State, r.Reason)
		}
		if f := w.failures("again"); len(f) != 1 || !f[0].Final || f[0].Retried {
			t.Errorf("failures %+v", f)
		}
		w.wantDepth(testPool, 0)
	})
}

func TestAReproductionGoesOnAfterItsPlannerDied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, stop := w.startPlanner(w.options(1, nil))
		stopWorker := w.background(w.worker.run)
		w.await(w.submit("nightly", portfolio))
		_ = stopWorker()
		w.reproduce("again", job.Reproduction{Run: "nightly"})
		w.awaitState("again", func(s job.RunState) bool { return s == job.RunActive })
		time.Sleep(5 * time.Second)
		_ = stop()
		w.startPlanner(w.options(2, nil))
		w.background(w.worker.run)

		r := w.await("again")
		if compared, identical := r.Reproduction.Compared(); r.State != job.RunSucceeded || compared != 6 || identical != 6 {
			t.Errorf("%s: %s: %+v", r.State, r.Reason, r.Reproduction)
		}
		if _, doubled := w.worker.executed(); doubled != 0 {
			t.Errorf("%d jobs were computed twice", doubled)
		}
	})
}
