package planner

import (
	"cmp"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"spate/job"
)

// ask asks for something about a run.
func (w *world) ask(r Request) (id string) {
	w.t.Helper()
	r.By = cmp.Or(r.By, "ops@desk")
	id, err := Ask(w.t.Context(), w.runs, r)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// answered asks for something and waits for the answer.
func (w *world) answered(r Request) *Audit {
	w.t.Helper()
	a, err := Answer(w.t.Context(), w.runs, r.Run, w.ask(r), 10*time.Minute)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// inbox is how many requests wait.
func (w *world) inbox() int {
	w.t.Helper()
	requests, err := store{table: w.runs}.requests(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return len(requests)
}

func TestARequestWaitsForAControllerAndIsAnsweredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.ask(Request{Run: "nobody", Kind: "sing", Reason: "for fun"})
		if _, err := Answer(t.Context(), w.runs, "nobody", id, 20*time.Second); !errors.Is(err, ErrUnanswered) || !strings.Contains(err.Error(), "20s") {
			t.Errorf("error is %v", err)
		}
		if w.inbox() != 1 {
			t.Error("the request has not stayed")
		}
		if asked, err := ReadAsked(t.Context(), w.runs, "nobody"); err != nil || len(asked) != 1 || asked[0].Request.ID() != id || !asked[0].Answered.IsZero() {
			t.Errorf("asked was %+v, %v", asked, err)
		}
		if asked, err := ReadAsked(t.Context(), w.runs, "another"); err != nil || len(asked) != 0 {
			t.Errorf("asked was %+v of another run, %v", asked, err)
		}
		w.start()
		asked := time.Now()
		a, err := Answer(t.Context(), w.runs, "nobody", id, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(asked); took > 3*time.Second {
			t.Errorf("the answer took %s", took)
		}
		if !a.Refused || a.Answer != "there is no run nobody" || a.Request.By != "ops@desk" || a.Request.Reason != "for fun" || a.ExpiresAt < asked.Add(keepRuns).Unix() {
			t.Errorf("answered %+v", a)
		}
		time.Sleep(time.Minute)
		audits, err := ReadAsked(t.Context(), w.runs, "nobody")
		if err != nil || len(audits) != 1 || w.inbox() != 0 {
			t.Errorf("%d audit records, %d requests left, %v", len(audits), w.inbox(), err)
		}
	})
}

func TestRequestsAreAnsweredInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.submit("run", "deal\n")
		var ids []string
		for _, kind := range []RequestKind{"sing", "dance", "sleep"} {
			ids = append(ids, w.ask(Request{Run: "run", Kind: kind}))
			time.Sleep(time.Second)
		}
		w.start()
		w.await("run")
		ids = append(ids, w.answered(Request{Run: "run", Kind: "wake"}).Request.ID())
		audits, err := ReadAudits(t.Context(), w.runs, "run")
		if err != nil || len(audits) != len(ids) {
			t.Fatalf("%d audit records, %v", len(audits), err)
		}
		for i, a := range audits {
			if a.Request.ID() != ids[i] || !a.Refused || i > 0 && a.Answered.Before(audits[i-1].Answered) {
				t.Errorf("answer %d is %+v", i, a)
			}
		}
	})
}

func TestARequestThatCannotBeAnsweredIsNotWritten(t *testing.T) {
	w := newWorld(t)
	for want, r := range map[string]Request{
		"run: name":  {Run: "../x"},
		"job: id":    {Run: "run", Jobs: []string{"a b"}},
		"1001 jobs,": {Run: "run", Jobs: make([]string, MaxRequestJobs+1)},
	} {
		if _, err := Ask(t.Context(), w.runs, r); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error is %v, want %s …", err, want)
		}
	}
	if w.inbox() != 0 {
		t.Error("something was written")
	}
}

func TestAPlannerThatWasReplacedAnswersNothing(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	older, newer := store{w.runs, 1, nil}, store{w.runs, 2, nil}
	if _, err := older.create(ctx, &Run{ID: "run", State: job.RunActive}); err != nil {
		t.Fatal(err)
	}
	if _, err := newer.claim(ctx, "run"); err != nil {
		t.Fatal(err)
	}
	w.ask(Request{Run: "run", Kind: "sing"})
	requests, err := newer.requests(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := older.answer(ctx, requests[0], done("sung"), true); !errors.Is(err, errFenced) {
		t.Errorf("the older one: %v", err)
	}
	if audits, err := ReadAudits(ctx, w.runs, "run"); err != nil || len(audits) != 0 || w.inbox() != 1 {
		t.Errorf("%d audit records, %d requests, %v", len(audits), w.inbox(), err)
	}
	for range 2 { // the second as if the first one's reply had been lost
		if err := newer.answer(ctx, requests[0], done("sung"), true); err != nil {
			t.Error(err)
		}
	}
	if audits, err := ReadAudits(ctx, w.runs, "run"); err != nil || len(audits) != 1 || audits[0].Answer != "sung" || w.inbox() != 0 {
		t.Errorf("audit records %+v, %d requests, %v", audits, w.inbox(), err)
	}
}
