package planner

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"spate/job"
)

// submitSelection submits jobs as submit does, with further lines of the run file.
func (w *world) submitSelection(id, jobs, more string) string {
	w.t.Helper()
	return w.submitFile(id, w.write("name: nightly\npool: "+testPool+"\njobs_from: jobs.jsonl\n"+more, jobLines(jobs)))
}

const diamond = `
	table
	deal-1: table
	deal-2: table
	north: deal-1
	south: deal-2
	root: north south
`

func TestChoosingJobs(t *testing.T) {
	// 0 is the parent of 1 and 2, these of 3 and 4, and these of 5.
	parents := [][]int32{{}, {0}, {0}, {1}, {2}, {3, 4}}
	for name, test := range map[string]struct {
		only         []int32
		selection    job.Selection
		kept, forced string
	}{
		"all":             {nil, job.Selection{}, "012345", ""},
		"all again":       {nil, job.Selection{Force: "f"}, "012345", "012345"},
		"one":             {[]int32{3}, job.Selection{Only: []string{"3"}}, "013", ""},
		"one again":       {[]int32{3}, job.Selection{Only: []string{"3"}, Force: "f"}, "013", "3"},
		"with dependents": {[]int32{1}, job.Selection{Only: []string{"1"}, WithDependents: true, Force: "f"}, "012345", "135"},
		"a leaf":          {[]int32{5}, job.Selection{Only: []string{"5"}, WithDependents: true}, "012345", ""},
		"two":             {[]int32{0, 4}, job.Selection{Only: []string{"0", "4"}, Force: "f"}, "024", "04"},
	} {
		c := choose(parents, test.only, test.selection)
		if kept, forced := numbers(c.kept), numbers(c.forced); kept != test.kept || forced != test.forced {
			t.Errorf("%s: kept %s, forced %s, want %s and %s", name, kept, forced, test.kept, test.forced)
		}
	}
}

func numbers(set []bool) string {
	var b strings.Builder
	for n, in := range set {
		if in {
			fmt.Fprint(&b, n)
		}
	}
	return b.String()
}

func TestWhatIsChosenIsWhatPathsLeadTo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parents := make([][]int32, rapid.IntRange(1, 12).Draw(t, "jobs"))
		path := make([][]bool, len(parents)) // path[a][b]: b depends on a
		for n := range parents {
			path[n] = make([]bool, len(parents))
		}
		for n := range parents {
			for p := range n {
				if rapid.IntRange(0, 3).Draw(t, "edge") == 0 {
					parents[n] = append(parents[n], int32(p))
					path[p][n] = true
				}
			}
		}
		for via := range parents {
			for a := range parents {
				for b := range parents {
					path[a][b] = path[a][b] || path[a][via] && path[via][b]
				}
			}
		}
		only := rapid.SliceOfNDistinct(rapid.Int32Range(0, int32(len(parents)-1)), 1, -1, rapid.ID[int32]).Draw(t, "only")
		s := job.Selection{Only: make([]string, len(only)), WithDependents: rapid.Bool().Draw(t, "dependents"), Force: "f"}
		c := choose(parents, only, s)
		selected := func(n int) bool {
			return slices.Contains(only, int32(n)) || s.WithDependents && slices.ContainsFunc(only, func(o int32) bool { return path[o][n] })
		}
		for n := range parents {
			kept := selected(n)
			for other := range parents {
				kept = kept || path[n][other] && selected(other)
			}
			if c.kept[n] != kept || c.forced[n] != selected(n) {
				t.Fatalf("job %d: kept %t, forced %t, want %t and %t", n, c.kept[n], c.forced[n], kept, selected(n))
			}
		}
	})
}

func TestAPartOfARunHasTheKeysOfTheWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		r := w.await(w.submitSelection("part", diamond, "only: [deal-1]\nwith_dependents: true\n"))
		if r.State != job.RunSucceeded || r.Whole != 6 || r.Progress.Jobs != 6 {
			t.Errorf("with dependents: %s, %d of %d jobs", r.State, r.Progress.Jobs, r.Whole)
		}
		r = w.await(w.submitSelection("less", diamond, "only: [north]\n"))
		if p := r.Progress; r.State != job.RunSucceeded || r.Whole != 6 || p.Jobs != 3 || p.Cached != 3 {
			t.Errorf("%s, %d of %d jobs, %d cached", r.State, p.Jobs, r.Whole, p.Cached)
		}
		w.await(w.submit("whole", diamond))
		whole, results := w.keys("whole"), w.results("less")
		if len(results) != 3 {
			t.Errorf("results of %d jobs, want 3", len(results))
		}
		for id, key := range w.keys("less") {
			if key != whole[id] || results[id].Key != key {
				t.Errorf("job %s has key %s and result %s, in the whole run %s", id, key.Short(), results[id].Key.Short(), whole[id].Short())
			}
		}
	})
}

func TestForcedJobsAreComputedAgainAndNothingElse(t *testing.T) {
	for name, test := range map[string]struct {
		more  string
		again string // ids
	}{
		"one":             {"only: [deal-1]\nforce: disk\n", "deal-1"},
		"with dependents": {"only: [deal-1]\nwith_dependents: true\nforce: disk\n", "deal-1 north root"},
		"all":             {"force: disk\n", "deal-1 deal-2 north root south table"},
		"none":            {"only: [root]\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.start()
				w.await(w.submit("first", diamond))
				keys := w.keys("first")
				clear(w.worker.runs)
				r := w.await(w.submitSelection("again", diamond, test.more))
				ids := strings.Fields(test.again)
				if p := r.Progress; r.State != job.RunSucceeded || r.Forced != len(ids) || p.Executed != len(ids) || p.Cached != p.Jobs-len(ids) {
					t.Errorf("%s, %d forced, %+v", r.State, r.Forced, p)
				}
				results := w.results("again")
				for id, key := range keys {
					times, forced := w.worker.runs[key], slices.Contains(ids, id)
					if times > 1 || forced != (times == 1) || results[id].Forced != forced {
						t.Errorf("job %s: computed %d times, forced in the index: %t", id, times, results[id].Forced)
					}
				}
				if w.manifests() != 6 {
					t.Errorf("%d outputs, want 6", w.manifests())
				}
			})
		})
	}
}

func TestAForcedJobIsComputedOnceWhateverItsPlannerMeetsWith(t *testing.T) {
	writes := 30
	for _, kind := range []accident{diesBefore, diesAfter} {
		for at := 1; at <= writes; at++ {
			t.Run(fmt.Sprintf("%s write %d", kind, at), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					w.background(w.worker.run)
					_, stop := w.startPlanner(w.options(1, nil))
					w.await(w.submit("first", diamond))
					_ = stop()
					clear(w.worker.runs)
					w.submitSelection("again", diamond, "only: [deal-1]\nwith_dependents: true\nforce: disk\n")
					ctx, kill := context.WithCancel(t.Context())
					defer kill()
					p, err := New(w.options(2, &gate{at: at, kind: kind, kill: kill}))
					if err != nil {
						t.Fatal(err)
					}
					end := w.background(p.Run)
					select {
					case <-ctx.Done():
					case <-time.After(time.Minute):
					}
					_ = end()
					time.Sleep(30 * time.Second) // events that it held come back meanwhile
					w.startPlanner(w.options(3, nil))
					r := w.await("again")
					if p := r.Progress; r.State != job.RunSucceeded || p.Done != 3 || p.Cached != 3 {
						t.Errorf("%s, %+v", r.State, p)
					}
					if keys, doubled := w.worker.executed(); keys != 3 || doubled != 0 {
						t.Errorf("%d jobs were computed again, %d of them twice", keys, doubled)
					}
					w.stop()
				})
			})
		}
	}
}

func TestAForcedJobDoesNotTakeAnotherRunsWordForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		w.await(w.submit("first", "deal\nroot: deal\n"))
		hold := make(chan struct{})
		w.worker.on("deal", func(job.Message) *job.Event { <-hold; return nil })
		w.submitSelection("again", "deal\nroot: deal\n", "only: [deal]\nforce: disk\n")
		w.awaitState("again", func(s job.RunState) bool { return s == job.RunActive })
		time.Sleep(5 * time.Second)
		// Another run says of the key that it is done, and means the output that stands.
		e := w.worker.event(job.Message{Run: "other", Job: "deal", Key: w.keys("first")["deal"], Attempt: 1}, job.EventSucceeded)
		body, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		w.send("events", string(body))
		time.Sleep(2 * silence) // it is looked for in S3, too
		if r, err := ReadRun(t.Context(), w.runs, "again"); err != nil || r.State != job.RunActive || r.Progress.Queued != 1 {
			t.Errorf("the run is %s, %+v, %v", r.State, r.Progress, err)
		}
		close(hold)
		if r := w.await("again"); r.State != job.RunSucceeded || r.Progress.Executed != 1 {
			t.Errorf("the run is %s, %+v", r.State, r.Progress)
		}
	})
}

func TestUnknownJobsOfASelectionAreFoundByTheController(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start()
		w.submitRaw("run", `{"name":"n","pool":"rollup","only":["b"],"jobs":[{"id":"a","task":"price"}]}`)
		r := w.await("run")
		want := `s3://data/submissions/run/run.json:1:37: only: no job of this run is called "b"`
		if r.State != job.RunRejected || len(r.Errors) != 1 || !strings.HasPrefix(r.Errors[0], want) {
			t.Errorf("%s: %v, want %s", r.State, r.Errors, want)
		}
	})
}
