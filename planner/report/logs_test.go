package report

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spate/internal/objects"
	"spate/internal/table"
	"spate/job"
	"spate/planner"
)

// printed is a run with one deal and a sum of it, of which nothing has been tried yet.
type printed struct {
	*past
	run       *planner.Run
	deal, sum job.Planned
}

func newPrinted(t *testing.T, state job.RunState) printed {
	t.Helper()
	p := newPast(t)
	run := p.run("nightly-1", "nightly", state, noon.Add(-time.Hour))
	jobs := p.manifest(run, deal("deal-1", `{}`), sum("all", "deal-1"))
	return printed{p, run, jobs[0], jobs[1]}
}

// failed writes that an attempt at the deal failed. long is the attempt under which all that it printed lies, if any.
func (p printed) failed(attempt int, long string, lines ...string) {
	p.t.Helper()
	p.item(planner.Failure{
		Key:    table.Key{PK: table.RunPrefix + p.run.ID, SK: fmt.Sprintf("FAILURE#%s#%06d", p.deal.Key, attempt)},
		JobKey: p.deal.Key.String(), Job: p.deal.ID, Attempt: attempt, Cause: fmt.Sprintf("exit code %d", attempt), LastLines: lines, Log: long,
		At: noon.Add(time.Duration(attempt) * time.Minute),
	})
}

// succeeded writes the manifest of the deal's output, which another run made.
func (p printed) succeeded(attempt, text string, bytes int64) {
	p.t.Helper()
	m := job.Manifest{
		V: job.MessageVersion, Key: p.deal.Key, Attempt: attempt, Image: p.run.Image, Seconds: 2.5, Run: "before", Worker: "arn:task/1",
		Document: []byte(`{}`), At: noon, Log: text, LogBytes: bytes,
	}
	data, err := m.Encode()
	if err != nil {
		p.t.Fatal(err)
	}
	p.put(job.ManifestPath(p.deal.Key), string(data))
}

func (p printed) log(planned job.Planned, attempt int) (*Log, error) {
	return p.Log(p.t.Context(), noon, &Found{Run: p.run, Job: planned}, attempt)
}

// want is the log of a failed attempt at the deal.
func (p printed) want(attempt int, text string) *Log {
	return &Log{
		Run: p.run.ID, Job: "deal-1", Key: p.deal.Key, Attempt: attempt, Cause: fmt.Sprintf("exit code %d", attempt), MadeBy: p.run.ID,
		At: noon.Add(time.Duration(attempt) * time.Minute), Text: text,
	}
}

func TestTheLogIsOfTheAttemptThatMadeTheOutputOrElseOfTheLast(t *testing.T) {
	p := newPrinted(t, job.RunFailed)
	p.failed(1, "", "no licence")
	p.failed(2, "", "reading", "row 17 is bad")
	p.failed(10, "")
	for attempt, want := range map[int]*Log{0: p.want(10, ""), 1: p.want(1, "no licence\n"), 2: p.want(2, "reading\nrow 17 is bad\n")} {
		got, err := p.log(p.deal, attempt)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("attempt %d (-want +got):\n%s", attempt, diff)
		}
	}

	p.succeeded("a11-0011223344556677", "drawn 17\n", 0)
	want := &Log{
		Run: p.run.ID, Job: "deal-1", Key: p.deal.Key, Attempt: 11, Succeeded: true, MadeBy: "before", At: noon, Seconds: 2.5, Text: "drawn 17\n",
	}
	for _, attempt := range []int{0, 11} {
		got, err := p.log(p.deal, attempt)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("attempt %d (-want +got):\n%s", attempt, diff)
		}
	}
	if got, err := p.log(p.deal, 2); err != nil || got.Succeeded || got.Attempt != 2 {
		t.Errorf("a failed attempt of a job that succeeded: %+v, %v", got, err)
	}
}

func TestALongLogIsReadFromItsObject(t *testing.T) {
	p := newPrinted(t, job.RunFailed)
	p.failed(1, "a1-00aa", "the end")
	p.succeeded("a2-00bb", "", 14)
	p.put(job.LogPath(p.deal.Key, "a1-00aa"), "all of it\nthe end\n")
	p.put(job.LogPath(p.deal.Key, "a2-00bb"), "begin\xff\xfe\nend\n")
	if got, err := p.log(p.deal, 1); err != nil || got.Text != "all of it\nthe end\n" || got.Missing != "" {
		t.Errorf("of the failed attempt: %+v, %v", got, err)
	}
	if got, err := p.log(p.deal, 0); err != nil || got.Text != "begin�\nend\n" || got.Missing != "" {
		t.Errorf("of the output, with bytes that are no text: %+v, %v", got, err)
	}
}

func TestALogWhoseObjectIsGoneSaysSoAndKeepsTheLastLines(t *testing.T) {
	p := newPrinted(t, job.RunFailed)
	p.failed(1, "a1-00aa", "the end")
	got, err := p.log(p.deal, 0)
	want := p.want(1, "the end\n")
	want.Missing = "the rest has been removed from the bucket"
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhereThereIsNoLogTheErrorSaysWhy(t *testing.T) {
	why := func(p printed, planned job.Planned, attempt int) string {
		t.Helper()
		log, err := p.log(planned, attempt)
		no, ok := errors.AsType[*NoLogError](err)
		if !ok || no.Job != planned.ID || no.Run != p.run.ID {
			t.Fatalf("got %+v, %v", log, err)
		}
		return no.Why
	}
	over := newPrinted(t, job.RunCancelled)
	if got := why(over, over.sum, 0); got != "was never started" {
		t.Errorf("of a run that has ended: %s", got)
	}
	over.failed(1, "", "x")
	if got := why(over, over.deal, 3); got != "had no attempt 3" {
		t.Errorf("of another attempt: %s", got)
	}
	active := newPrinted(t, job.RunActive)
	if got := why(active, active.sum, 0); got != "waits for its parents" {
		t.Errorf("before its parent: %s", got)
	}
	if got := why(active, active.deal, 1); !strings.HasPrefix(got, "is queued or running") {
		t.Errorf("without parents: %s", got)
	}
	active.outputs.presence[active.deal.Key] = job.Hit
	if got := why(active, active.sum, 0); !strings.HasPrefix(got, "is queued or running") {
		t.Errorf("after its parent: %s", got)
	}
}

func TestWhatCannotBeReadIsNotTakenForAJobWithoutLog(t *testing.T) {
	p := newPrinted(t, job.RunActive)
	p.outputs.err = errors.New("the ledger is away")
	if _, err := p.log(p.sum, 0); !errors.Is(err, p.outputs.err) {
		t.Errorf("without the ledger: %v", err)
	}
	p.put(job.ManifestPath(p.deal.Key), "no manifest")
	_, err := p.log(p.deal, 0)
	if _, no := errors.AsType[*NoLogError](err); err == nil || no || errors.Is(err, objects.ErrNotFound) {
		t.Errorf("of a manifest that is none: %v", err)
	}
}

func TestTheNumberOfAnAttemptIsInItsDirectorysName(t *testing.T) {
	for attempt, want := range map[string]int{"a2-0011223344556677": 2, "a17-x": 17, "a1": 1, "": 0, "a": 0, "again-1": 0} {
		if got := attemptNumber(attempt); got != want {
			t.Errorf("%q: got %d, want %d", attempt, got, want)
		}
	}
}

func TestAnAttemptIsThatOfTheRunThatIsAskedAbout(t *testing.T) {
	p := newPrinted(t, job.RunFailed)
	p.failed(1, "", "no licence")
	second := p.past.run("nightly-2", "nightly", job.RunSucceeded, noon)
	p.made(p.deal, second, 1)
	for _, test := range []struct {
		run       *planner.Run
		attempt   int
		succeeded bool
	}{
		{p.run, 1, false}, {p.run, 0, true}, {second, 1, true},
	} {
		log, err := p.Log(t.Context(), noon, &Found{test.run, p.deal}, test.attempt)
		if err != nil || log.Succeeded != test.succeeded {
			t.Errorf("attempt %d of %s: %+v, %v", test.attempt, test.run.ID, log, err)
		}
	}
}
