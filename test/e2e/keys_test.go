package e2e

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spate/examples/reinsurance/model"
	"spate/examples/reinsurance/portfolio"
	"spate/job"
)

// keysOf are the keys of a portfolio's jobs, by id: what decides whether a job runs.
func keysOf(t *testing.T, p portfolio.Portfolio) map[string]job.Key {
	t.Helper()
	keys := map[string]job.Key{}
	var lines bytes.Buffer
	if err := p.WriteJSONL(&lines); err != nil {
		t.Fatal(err)
	}
	for jobs := job.NewReader("jobs.jsonl", &lines); ; {
		spec, err := jobs.Next()
		if errors.Is(err, io.EOF) {
			return keys
		}
		if err != nil {
			t.Fatal(err)
		}
		planned := job.Planned{ID: spec.ID, Task: spec.Task, Params: spec.Params, Labels: spec.Labels, Needs: map[string]job.PlannedNeed{}}
		for name, need := range spec.Needs {
			planned.Needs[name] = job.PlannedNeed{Job: need.Job, Key: keys[need.Job], Files: need.Files}
		}
		document := planned.Document(job.SpecDocument{
			V: job.DocumentVersion, Namespace: "default", Image: "sha256:11aa", Platform: "linux/amd64",
			Task: job.TaskDocument{Command: []string{"rollup", spec.Task}},
		})
		if keys[spec.ID], err = document.Key(); err != nil {
			t.Fatal(err)
		}
	}
}

// At the size of a reinsurer's book: 7,000 deals in 256 buckets, 16 buckets of buckets, and the root.
func TestWhatChangesInSevenThousandDealsDecidesWhatIsComputed(t *testing.T) {
	t.Parallel()
	more, err := portfolio.Generate(portfolio.Options{Deals: 7001, Seed: 1, Periods: 250, Nominal: 7000})
	if err != nil {
		t.Fatal(err)
	}
	book := more
	book.Deals = more.Deals[:7000]
	known := map[job.Key]bool{}
	for _, key := range keysOf(t, book) {
		known[key] = true
	}
	// anew are the jobs, in order, whose outputs the book does not have.
	anew := func(p portfolio.Portfolio) []string {
		now := keysOf(t, p)
		var ids []string
		for _, j := range p.Jobs() {
			if !known[now[j.ID]] {
				ids = append(ids, j.ID)
			}
		}
		return ids
	}
	kinds := func(ids []string) []string {
		var kinds []string
		for _, id := range ids {
			kinds = append(kinds, strings.TrimRight(id, "0123456789"))
		}
		return kinds
	}
	t.Run("one deal more", func(t *testing.T) {
		want := []string{"deal-", "combine-1-", "combine-2-", "portfolio"}
		if got := anew(more); !slices.Equal(kinds(got), want) || got[0] != "deal-07001" {
			t.Errorf("computed %v, want the deal, its bucket and the levels above", got)
		}
	})
	t.Run("one deal less", func(t *testing.T) {
		fewer := book
		fewer.Deals = book.Deals[:6999]
		if got, want := kinds(anew(fewer)), []string{"combine-1-", "combine-2-", "portfolio"}; !slices.Equal(got, want) {
			t.Errorf("computed %v, want %v", got, want)
		}
	})
	t.Run("another label", func(t *testing.T) {
		if got := anew(book.Relabel(map[string]string{"as_of": "2026-11-22"})); len(got) > 0 {
			t.Errorf("computed %v, want nothing", got)
		}
		relabelled := book
		relabelled.Deals = slices.Clone(book.Deals)
		relabelled.Deals[17].Cedant = "cedant-renamed" // a label of the deal's job
		if got := anew(relabelled); len(got) > 0 {
			t.Errorf("computed %v for another name of a cedant, want nothing", got)
		}
	})
	t.Run("3 % of the deals", func(t *testing.T) {
		changed, ids := book.Change(0.03, 5)
		if got, want := len(anew(changed)), portfolio.ExpectedExecuted(changed, ids); got != want || len(ids) != 210 {
			t.Errorf("%d deals changed, %d jobs computed, want %d", len(ids), got, want)
		}
	})
	t.Run("other retrocession", func(t *testing.T) {
		other := book
		other.Retrocession = append(slices.Clone(book.Retrocession), model.Terms{Attachment: 1e12, Limit: 1e9, Share: 1})
		if diff := cmp.Diff([]string{portfolio.PortfolioJob}, anew(other)); diff != "" {
			t.Errorf("computed (-want +got):\n%s", diff)
		}
	})
}
