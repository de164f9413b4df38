package planner

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"spate/job"
)

// inLedger is fakeOutputs as the ledger that a preview asks.
type inLedger struct{ *fakeOutputs }

func (l inLedger) Lookup(ctx context.Context, _ time.Time, keys []job.Key) ([]job.Presence, error) {
	presence := l.fakeOutputs.Lookup(ctx, keys)
	if slices.Contains(presence, job.Unknown) {
		return presence, errors.New("the ledger is out")
	}
	return presence, nil
}

func (w *world) previewOptions() PreviewOptions {
	o := w.options(1, nil)
	return PreviewOptions{
		Objects: o.Objects, Images: o.Images, Outputs: inLedger{w.outputs}, Pools: o.Pools, Catalogue: o.Catalogue, Namespace: o.Namespace,
	}
}

// preview previews jobs as submit would submit them; it is closed with the test.
func (w *world) preview(jobs string) *Preview {
	w.t.Helper()
	path := w.write("name: nightly\npool: "+testPool+"\nowner: risk\njobs_from: jobs.jsonl\n", jobLines(jobs))
	prepared, err := Prepare(path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.stops = append(w.stops, func() { prepared.Close() })
	p, err := PreviewRun(w.t.Context(), w.previewOptions(), prepared)
	if err != nil {
		w.t.Fatal(err)
	}
	w.stops = append(w.stops, func() { p.Close() })
	return p
}

// stored is everything in bucket and table, for comparison.
func (w *world) stored() map[string]any {
	w.t.Helper()
	all := map[string]any{}
	for info, err := range w.bucket.List(w.t.Context(), "") {
		if err != nil {
			w.t.Fatal(err)
		}
		all[info.Key] = info.ETag
	}
	runs, err := ReadRuns(w.t.Context(), w.runs)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range runs {
		all["run "+r.ID] = *r
	}
	return all
}

func TestAPreviewFindsTheKeysOfTheRunAndWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		w.await(w.submit("first", "deal-1\ndeal-2\nroot: deal-1 deal-2\n"))
		const changed = "deal-1\ndeal-2 limit: \ndeal-3\ntwin deal-3:\nroot: deal-1 deal-2\n"
		before := w.stored()
		p := w.preview(changed)
		if diff := cmp.Diff(before, w.stored()); diff != "" {
			t.Errorf("a preview changed something:\n%s", diff)
		}
		if diff := cmp.Diff(Progress{Jobs: 5, Cached: 1, Ready: 3, Waiting: 1}, p.Run.Progress); diff != "" {
			t.Error(diff)
		}
		w.await(w.submit("second", changed))
		keys := map[string]job.Key{}
		for n := range int32(p.Nodes()) {
			planned, err := p.Job(n)
			if err != nil {
				t.Fatal(err)
			}
			keys[planned.ID] = p.Key(n)
			if want := map[bool]job.Presence{true: job.Hit, false: job.Miss}[planned.ID == "deal-1"]; p.Presence(n) != want || p.Task(n) != "price" {
				t.Errorf("%s: %s of task %s", planned.ID, p.Presence(n), p.Task(n))
			}
			if want := map[bool]int{true: 2, false: 1}[planned.ID == "deal-3"]; p.Jobs(n) != want {
				t.Errorf("%s stands for %d jobs", planned.ID, p.Jobs(n))
			}
		}
		want := w.keys("second")
		maps.DeleteFunc(want, func(id string, _ job.Key) bool { return id == "twin" })
		if diff := cmp.Diff(want, keys); diff != "" {
			t.Errorf("other keys than the run's:\n%s", diff)
		}
	})
}

func TestAPreviewSaysUnknownOfWhatTheLedgerCannotTell(t *testing.T) {
	w := newWorld(t)
	w.outputs.setBlind(true)
	p := w.preview("deal-1\n")
	if p.Presence(0) != job.Unknown || p.UnknownErr == nil {
		t.Errorf("it is %s, because %v", p.Presence(0), p.UnknownErr)
	}
}

func TestAPreviewOfJobsThatWouldBeRejectedSaysWhereTheyStand(t *testing.T) {
	w := newWorld(t)
	path := w.write("name: nightly\npool: "+testPool+"\njobs_from: jobs.jsonl\n",
		"\n"+`{"id":"a","task":"price","inputs":{"x.csv":"s3://data/nowhere.csv"}}`+"\n")
	prepared, err := Prepare(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer prepared.Close()
	_, err = PreviewRun(t.Context(), w.previewOptions(), prepared)
	if many, ok := errors.AsType[*job.Errors](err); !ok || !strings.Contains(many.Error(), `jobs.jsonl:2:7: job "a": there is no input s3://data/nowhere.csv`) {
		t.Errorf("%v", err)
	}
}
