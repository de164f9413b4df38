package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"

	"spate/internal/download"
	"spate/job"
	"spate/planner"
	"spate/planner/report"
)

// manyResults are outputs of a run with all that can be said of them.
func manyResults() *report.Results {
	results := &report.Results{Run: "nightly", State: "failed", Jobs: 400}
	for i := range 12 {
		id := fmt.Sprintf("deal-%05d", i)
		o := report.JobOutput{
			Job: id, Task: "price-deal", State: "done", Labels: map[string]string{"as_of": "2026-11-21", "desk": []string{"property", "marine"}[i%2]},
			MadeBy: "nightly", MadeAt: noon.Add(-time.Hour), Bytes: int64(1) << (3 * i),
		}
		for n := range i + 1 {
			o.Files = append(o.Files, report.OutputFile{Path: "loss-" + strconv.Itoa(n) + ".csv", Size: int64(n)})
		}
		results.Outputs = append(results.Outputs, o)
	}
	out := results.Outputs
	out[3].Substituted = &job.Substitute{Reason: "the feed is late"}
	out[4].SubstitutedBy = []string{"deal-00003"}
	out[10] = report.JobOutput{Job: "north", State: "blocked", Missing: "job deal-7 failed: exit code 65", Labels: out[0].Labels}
	out[11] = report.JobOutput{Job: "old", State: "cached", Missing: "its output is no longer in S3: it has expired, or was deleted", Lost: true, Labels: out[0].Labels}
	return results
}

func TestResultsOfManyJobsAreOneTable(t *testing.T) {
	t.Parallel()
	for suffix, width := range map[string]int{"": 0, "-80": 80} {
		var out bytes.Buffer
		w := page{Writer: &out, width: width}
		c := resultsCommand{Limit: 6}
		if err := c.print(w, &planner.Run{ID: "nightly", State: job.RunFailed}, manyResults(), nil); err != nil {
			t.Fatal(err)
		}
		golden(t, "results"+suffix+".txt", out.String())
	}
}

func TestDownloadsSayWhatBecameOfTheFiles(t *testing.T) {
	t.Parallel()
	results := manyResults()
	tally := &download.Tally{Fetched: 3, Bytes: 12345, Replaced: 1, Kept: 2}
	for i := range 22 {
		tally.Bad = append(tally.Bad, download.Bad{Path: fmt.Sprintf("deal-%05d/loss.csv", i), Cause: "its object is gone from S3"})
	}
	var out bytes.Buffer
	c := resultsCommand{To: "out", All: true}
	if err := c.print(page{Writer: &out, width: 80}, &planner.Run{ID: "nightly", State: job.RunFailed}, results, tally); err != nil {
		t.Fatal(err)
	}
	golden(t, "results-download-80.txt", out.String())
}

func TestADiskThatIsFullIsExplained(t *testing.T) {
	t.Parallel()
	err := noRoom(fmt.Errorf("download a/b: write: %w", syscall.ENOSPC), "out", "2 files of 3 are in out; the same command goes on from there.")
	p := explain(err, nil)
	if p.what != "there is no room in out: download a/b: write: no space left on device" ||
		p.todo != "Make room. 2 files of 3 are in out; the same command goes on from there." {
		t.Errorf("problem is %+v", p)
	}
	if other := errors.New("other"); !errors.Is(noRoom(other, "out", ""), other) {
		t.Error("another error was changed")
	}
}
