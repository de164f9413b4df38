package planner

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"spate/internal/objects"
	"spate/job"
)

func changes(t *testing.T, texts ...string) ChangeOptions {
	t.Helper()
	var o ChangeOptions
	for _, text := range texts {
		c, err := job.ParseChange(text)
		if err != nil {
			t.Fatal(err)
		}
		o.Changes = append(o.Changes, c)
	}
	return o
}

func TestAChangedRunSharesAllThatTheChangesDoNotReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		base := w.await(w.submit("base", "a:\nb:\nc: a\nd: b\nroot: c d\n"))
		again, err := PrepareAgain(t.Context(), w.bucket, base)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		changed, err := again.Change(t.Context(), w.bucket, changes(t, "b.p=other"))
		if diff := cmp.Diff([]string{"b"}, changed); err != nil || diff != "" || again.Jobs != 5 {
			t.Fatalf("error %v, %d jobs, changed (-want +got):\n%s", err, again.Jobs, diff)
		}
		if _, err := Submit(t.Context(), w.bucket, w.queue("submissions"), "what-if", again); err != nil {
			t.Fatal(err)
		}
		r := w.await("what-if")
		if p := r.Progress; r.State != job.RunSucceeded || p.Executed != 3 || p.Cached != 2 {
			t.Errorf("the changed run: %s, %+v; want b, d and root to have run", r.State, p)
		}
		before, after := w.keys("base"), w.keys("what-if")
		for id, same := range map[string]bool{"a": true, "c": true, "b": false, "d": false, "root": false} {
			if (before[id] == after[id]) != same {
				t.Errorf("job %s: the key is the same: %v, want %v", id, !same, same)
			}
		}
	})
}

func TestWhatARunWasForcedToComputeIsNotComputedOnceMoreWhenItIsChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		base := w.await(w.submitFile("base", w.write(fromFile+"force: the disk was full\nlabels: {desk: property}\n", `{"id":"a","task":"price","params":{"p":1}}`+"\n"+
			`{"id":"b","task":"price","params":{"p":1,"q":2}}`+"\n")))
		again, err := PrepareAgain(t.Context(), w.bucket, base)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if _, err := again.Change(t.Context(), w.bucket, changes(t, "b.p=2")); err != nil {
			t.Fatal(err)
		}
		if _, err := Submit(t.Context(), w.bucket, w.queue("submissions"), "what-if", again); err != nil {
			t.Fatal(err)
		}
		r := w.await("what-if")
		if p := r.Progress; p.Executed != 1 || p.Cached != 1 || r.Force != "" || r.Forced != 0 {
			t.Errorf("%+v, forced %d as %q; want b alone to have run", p, r.Forced, r.Force)
		}
		if base.WhatIfOf() != "" || r.WhatIfOf() != "base" || r.Labels["desk"] != "property" {
			t.Errorf("the base run is a change of %q, the changed one of %q, with labels %v", base.WhatIfOf(), r.WhatIfOf(), r.Labels)
		}
	})
}

func TestJobsThatLieInS3AreFetchedToBeChanged(t *testing.T) {
	w := newWorld(t)
	put := func(object, text string) {
		t.Helper()
		if _, err := w.bucket.Put(t.Context(), object, []byte(text), objects.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
	put("portfolio.jsonl", `{"id":"a","task":"price","params":{"p":1}}`+"\n")
	p, err := Prepare(w.write("name: nightly\npool: rollup\njobs_from: s3://"+testBucket+"/portfolio.jsonl\n", ""), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Change(t.Context(), w.bucket, changes(t, "a.p=2")); err != nil || p.Jobs != 1 {
		t.Fatalf("%d jobs, %v", p.Jobs, err)
	}
	for spec, err := range p.specs() {
		if err != nil || string(spec.Params) != `{"p":2}` {
			t.Errorf("job %s has params %s, %v", spec.ID, spec.Params, err)
		}
	}

	put(job.SubmissionPath("old"), `{"name":"nightly","pool":"rollup","jobs_from":"s3://`+testBucket+`/portfolio.jsonl"}`)
	old, err := PrepareAgain(t.Context(), w.bucket, &Run{ID: "old", JobsSHA256: strings.Repeat("0", 64)})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if _, err := old.Change(t.Context(), w.bucket, changes(t, "a.p=2")); err == nil || !strings.Contains(err.Error(), "it was changed since") {
		t.Errorf("jobs that changed since they were submitted: %v", err)
	}
	if _, err := PrepareAgain(t.Context(), w.bucket, &Run{ID: "nobody"}); !errors.Is(err, objects.ErrNotFound) {
		t.Errorf("a run without a submission: %v", err)
	}
}

type positiveP struct{}

func (positiveP) CheckParams(params jsontext.Value) error {
	if strings.Contains(string(params), "-") {
		return errors.New("p must not be negative")
	}
	return nil
}

func TestChangedParametersMustPleaseTheTaskType(t *testing.T) {
	w := &world{t: t}
	p, err := Prepare(w.write(fromFile, `{"id":"a","task":"price","params":{"p":1}}`+"\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	o := changes(t, "a.p=-1")
	o.Catalogue = job.Catalogue{"price": {Name: "price", Params: positiveP{}}}
	sha := p.RunFile.JobsSHA256
	if _, err := p.Change(context.Background(), nil, o); err == nil || !strings.Contains(err.Error(), `params of job "a": p must not be negative`) {
		t.Errorf("error %v", err)
	}
	if p.RunFile.JobsSHA256 != sha || p.Jobs != 1 {
		t.Error("the refused change was made")
	}
	if _, err := p.Change(context.Background(), nil, changes(t, "a.q=1")); err == nil {
		t.Error("an unknown parameter was taken")
	}
}
