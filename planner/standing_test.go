package planner

import (
	"testing"
	"testing/synctest"
	"time"

	"spate/internal/objects"
	"spate/job"
	"spate/sandbox/s3"
)

// encrypt makes the bucket one in which whatever is written has an ETag of its own.
func (w *world) encrypt() {
	w.t.Helper()
	served, _ := w.handler.(services)
	bucket, ok := served.objects.(*s3.Server)
	if !ok {
		w.t.Fatal("the bucket is another process's")
	}
	if err := bucket.SetHabits(s3.Habits{KMS: true}); err != nil {
		w.t.Fatal(err)
	}
}

// refresh puts a key's manifest again, as the output cache does with an output that is in use and past half its life.
func (w *world) refresh(key job.Key) {
	w.t.Helper()
	path := job.ManifestPath(key)
	data, info, err := w.bucket.Get(w.t.Context(), path)
	if err != nil {
		w.t.Fatal(err)
	}
	if etag, err := w.bucket.Put(w.t.Context(), path, data, objects.Condition{IfMatch: info.ETag}); err != nil || etag == info.ETag {
		w.t.Fatalf("the manifest has the ETag %s, had %s: %v", etag, info.ETag, err)
	}
}

func TestARefreshDoesNotPassForTheOutputOfAForcedJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.encrypt()
		w.start()
		w.await(w.submit("first", "deal\nroot: deal\n"))
		clear(w.worker.runs)
		hold := make(chan struct{})
		w.worker.on("deal", func(job.Message) *job.Event { <-hold; return nil })
		w.submitSelection("again", "deal\nroot: deal\n", "only: [deal]\nforce: disk\n")
		w.awaitState("again", func(s job.RunState) bool { return s == job.RunActive })
		key := w.keys("first")["deal"]
		w.refresh(key)
		time.Sleep(2 * silence) // it is looked for in S3
		if r, err := ReadRun(t.Context(), w.runs, "again"); err != nil || r.State != job.RunActive || r.Progress.Queued != 1 {
			t.Errorf("the run is %s, %+v, %v", r.State, r.Progress, err)
		}
		close(hold)
		if r := w.await("again"); r.State != job.RunSucceeded || r.Progress.Executed != 1 || w.worker.runs[key] != 1 {
			t.Errorf("the run is %s, %+v; the job was computed %d times", r.State, r.Progress, w.worker.runs[key])
		}
	})
}

func TestARefreshDoesNotPassForTheOutputOfAForcedJobThatWasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.encrypt()
		w.withDeadLetters()
		w.await(w.submit("first", "deal\n"))
		w.worker.on("deal", func(m job.Message) *job.Event {
			w.refresh(m.Key)
			return &job.Event{} // the worker is gone
		})
		w.submitSelection("again", "deal\n", "force: disk\n")
		if r := w.await("again"); r.State != job.RunFailed || len(w.failures("again")) != w.task.MaxAttempts {
			t.Errorf("the run is %s, %+v, with %d failures", r.State, r.Progress, len(w.failures("again")))
		}
	})
}

func TestAfterARefreshAnotherOutputMayStillStandInForAForcedJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.encrypt()
		w.start()
		w.await(w.submit("old", "deal old\n"))
		w.await(w.submit("first", "deal new\n"))
		w.worker.on("deal", func(m job.Message) *job.Event { return w.worker.failed(m, 65, "never") })
		w.submitSelection("new", "deal new\n", "force: disk\n")
		w.await("new")
		w.refresh(w.keys("first")["deal"])
		a := w.answered(Request{Run: "new", Kind: RequestSubstitute, Jobs: []string{"deal"}, From: w.keys("old")["deal"].String(), Reason: "it will do"})
		if a.Refused {
			t.Errorf("refused: %s", a.Answer)
		}
	})
}
