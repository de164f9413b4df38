package portfolio_test

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spate/examples/reinsurance/model"
	"spate/examples/reinsurance/portfolio"
)

func generate(t testing.TB, o portfolio.Options) portfolio.Portfolio {
	t.Helper()
	p, err := portfolio.Generate(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func lines(t testing.TB, p portfolio.Portfolio) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := p.WriteJSONL(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAFullPortfolioLooksLikeAReinsurersBook(t *testing.T) {
	p := generate(t, portfolio.Options{Deals: 7000, Seed: 1})
	if len(p.Deals) != 7000 || p.Periods != 10_000 {
		t.Fatalf("%d deals over %d periods", len(p.Deals), p.Periods)
	}
	depth := map[string]int{}
	market := map[string]float64{}
	currencies, perils := map[model.Currency]int{}, map[string]int{}
	inured, deepest := 0, 0
	for _, d := range p.Deals {
		for _, id := range d.Inuring {
			if _, earlier := depth[id]; !earlier {
				t.Fatalf("%s waits for %s, which does not come before it", d.ID, id)
			}
			depth[d.ID] = max(depth[d.ID], depth[id]+1)
		}
		if len(d.Inuring) == 0 {
			depth[d.ID] = 0
		} else {
			inured++
		}
		deepest = max(deepest, depth[d.ID])
		market[d.Cedant] = d.Terms.MarketShare
		currencies[d.Terms.Currency]++
		perils[strings.Join(d.Perils, "+")]++
		if len(d.Inuring) > 0 && len(d.Inuring) != d.Terms.InuringPriority-1 {
			t.Errorf("%s has priority %d and %d inuring deals", d.ID, d.Terms.InuringPriority, len(d.Inuring))
		}
		if terms := d.Terms; terms.Attachment < 0 || terms.Limit <= 0 || terms.Share < 0.15 || terms.Premium <= 0 || terms.Share > 1 || terms.Periods != p.Periods {
			t.Errorf("%s has terms %+v", d.ID, terms)
		}
	}
	if part := float64(inured) / 7000; part < 0.15 || part > 0.20 {
		t.Errorf("%.1f %% of the deals have inuring deals, want 15 to 20", 100*part)
	}
	if deepest != 4 {
		t.Errorf("the deepest chain has %d deals below it, want 4", deepest)
	}
	if len(currencies) != 3 || len(perils) != 5 || perils["us-hurricane"] < 3500 {
		t.Errorf("currencies %v, perils %v", currencies, perils)
	}
	total := 0.0
	for _, share := range market {
		total += share
	}
	if math.Abs(total-0.55) > 0.02 {
		t.Errorf("cedants bear %.3f of the industry's loss, want about 0.55", total)
	}
}

func TestTheSameOptionsGiveTheSameBytes(t *testing.T) {
	o := portfolio.Options{Deals: 300, Seed: 8}
	if !bytes.Equal(lines(t, generate(t, o)), lines(t, generate(t, o))) {
		t.Error("two portfolios from the same options differ")
	}
	other := o
	other.Seed = 9
	if bytes.Equal(lines(t, generate(t, o)), lines(t, generate(t, other))) {
		t.Error("the seed has no effect")
	}
}

func TestOptionsOutOfRangeAreRefused(t *testing.T) {
	for name, o := range map[string]portfolio.Options{
		"no deals":         {},
		"too many":         {Deals: 1_000_001},
		"too few periods":  {Deals: 1, Periods: 249},
		"negative periods": {Deals: 1, Periods: -1},
		"negative nominal": {Deals: 1, Nominal: -1},
	} {
		if _, err := portfolio.Generate(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestJobLinesHaveTheFormatOfARun(t *testing.T) {
	p := generate(t, portfolio.Options{Deals: 200, Seed: 1})
	content := lines(t, p)
	seen := map[string]bool{}
	tasks := map[string]int{}
	for line := range bytes.Lines(content) {
		var job struct {
			ID     string                     `json:"id"`
			Task   string                     `json:"task"`
			Params map[string]json.RawMessage `json:"params"`
			Needs  map[string]portfolio.Need  `json:"needs"`
			Labels map[string]string          `json:"labels"`
		}
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&job); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if seen[job.ID] {
			t.Errorf("job %s twice", job.ID)
		}
		for name, need := range job.Needs {
			if !seen[need.Job] || len(need.Files) != 1 {
				t.Errorf("job %s stages %v as %s", job.ID, need, name)
			}
		}
		for name := range job.Params {
			if strings.HasSuffix(name, "id") || name == "cedant" || name == "layer" {
				t.Errorf("job %s: parameter %s changes no result", job.ID, name)
			}
		}
		seen[job.ID] = true
		tasks[job.Task]++
	}
	want := map[string]int{"simulate-events": 4, "exchange-rates": 1, "price-deal": 200, "combine": 8, "portfolio": 1}
	if diff := cmp.Diff(want, tasks); diff != "" {
		t.Error(diff)
	}
	if p.JobCount() != 214 {
		t.Errorf("counted %d jobs, want 214", p.JobCount())
	}
	first, _, _ := bytes.Cut(content, []byte("\n"))
	if want := `{"id":"occurrences-us-hurricane","task":"simulate-events","params":{"seed":1,"periods":10000,"peril":{"name":"us-hurricane",`; !strings.HasPrefix(string(first), want) {
		t.Errorf("first line %s, want %s…", first, want)
	}
}

func TestEveryDealReachesTheRootOnce(t *testing.T) {
	for _, deals := range []int{1, 31, 400, 1500} {
		p := generate(t, portfolio.Options{Deals: deals, Seed: 1})
		jobs := p.Jobs()
		if len(jobs) != p.JobCount() {
			t.Errorf("%d deals: %d jobs, counted %d", deals, len(jobs), p.JobCount())
		}
		byID := map[string]portfolio.Job{}
		for _, j := range jobs {
			byID[j.ID] = j
		}
		reached := map[string]int{}
		var follow func(portfolio.Job)
		follow = func(j portfolio.Job) {
			for _, n := range j.Needs {
				switch below := byID[n.Job]; below.Task {
				case model.TaskPrice:
					reached[below.ID]++
				case model.TaskCombine:
					follow(below)
				}
			}
		}
		follow(byID[portfolio.PortfolioJob])
		for _, d := range p.Deals {
			if reached[d.ID] != 1 {
				t.Errorf("%d deals: the root adds %s %d times", deals, d.ID, reached[d.ID])
			}
		}
	}
}

func TestAddingADealTouchesItsBucketAndWhatIsAboveIt(t *testing.T) {
	// The same nominal size, one deal more.
	more := generate(t, portfolio.Options{Deals: 600, Seed: 1, Nominal: 600})
	fewer := more
	fewer.Deals = slices.Clone(more.Deals[:599])
	before := map[string]string{}
	for _, j := range fewer.Jobs() {
		before[j.ID] = canonical(t, j)
	}
	var touched []string
	for _, j := range more.Jobs() {
		if before[j.ID] != canonical(t, j) {
			touched = append(touched, strings.TrimRight(j.ID, "0123456789"))
		}
	}
	if want := []string{"deal-", "combine-1-"}; !slices.Equal(touched, want) {
		t.Errorf("touched %v, want %v: the levels above list the same buckets", touched, want)
	}
}

func canonical(t *testing.T, j portfolio.Job) string {
	t.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestForJobsIsEnoughAndNotMuchMore(t *testing.T) {
	for _, n := range []int{0, 1, 4, 5, 50, 400, 420, 1000, 7000, 7300, 100_000} {
		p := generate(t, portfolio.Options{Deals: portfolio.ForJobs(n), Seed: 1})
		if got := p.JobCount(); got < n || got > max(8, n+n/16+3) {
			t.Errorf("for %d jobs: %d deals make %d", n, len(p.Deals), got)
		}
	}
}

func TestChangeChangesThatManyDealsAndNothingElse(t *testing.T) {
	p := generate(t, portfolio.Options{Deals: 400, Seed: 1})
	original := lines(t, p)
	for _, test := range []struct {
		fraction float64
		want     int
	}{{0, 0}, {0.001, 1}, {0.03, 12}, {0.07, 28}, {1, 400}, {2, 400}, {-1, 0}} {
		after, changed := p.Change(test.fraction, 2)
		if len(changed) != test.want || !slices.IsSorted(changed) {
			t.Errorf("fraction %v changes %d deals, want %d", test.fraction, len(changed), test.want)
		}
		for i, d := range after.Deals {
			if differs := !cmp.Equal(d, p.Deals[i]); differs != slices.Contains(changed, d.ID) {
				t.Errorf("fraction %v: %s differs: %v", test.fraction, d.ID, differs)
			}
		}
	}
	if !bytes.Equal(original, lines(t, p)) {
		t.Error("changing a copy changed the original")
	}
	_, some := p.Change(0.03, 2)
	_, others := p.Change(0.03, 3)
	if slices.Equal(some, others) {
		t.Error("the seed chooses nothing")
	}
}

func TestRelabelTouchesTheRunFileAlone(t *testing.T) {
	p := generate(t, portfolio.Options{Deals: 20, Seed: 1}).Relabel(map[string]string{"as_of": "2026-11-21", "desk": "property"})
	next := p.Relabel(map[string]string{"as_of": "2026-11-22"})
	if !bytes.Equal(lines(t, p), lines(t, next)) {
		t.Error("the job list changed")
	}
	var file bytes.Buffer
	if err := next.WriteRunFile(&file, "jobs.jsonl"); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := yaml.Unmarshal(file.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"name": "reinsurance-rollup", "pool": "rollup", "owner": "risk", "jobs_from": "jobs.jsonl",
		"labels": map[string]any{"as_of": "2026-11-22", "desk": "property"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if p.Labels["as_of"] != "2026-11-21" {
		t.Error("relabelling a copy relabelled the original")
	}
}

func TestExpectedExecutedCountsTheTransitiveDependents(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p, err := portfolio.Generate(portfolio.Options{
			Deals:   rapid.IntRange(1, 60).Draw(rt, "deals"),
			Seed:    rapid.Uint64().Draw(rt, "seed"),
			Nominal: rapid.SampledFrom([]int{1, 60, 1000}).Draw(rt, "nominal"),
		})
		if err != nil {
			rt.Fatal(err)
		}
		_, changed := p.Change(rapid.Float64Range(0, 0.2).Draw(rt, "fraction"), rapid.Uint64().Draw(rt, "change"))
		if got, want := portfolio.ExpectedExecuted(p, changed), reachable(p, changed); got != want {
			rt.Errorf("expected %d jobs, but %d can be reached from %v", got, want, changed)
		}
	})
}

// reachable counts, for every job by itself, whether some path downwards meets a changed one.
func reachable(p portfolio.Portfolio, changed []string) int {
	byID := map[string]portfolio.Job{}
	for _, j := range p.Jobs() {
		byID[j.ID] = j
	}
	var meets func(portfolio.Job) bool
	meets = func(j portfolio.Job) bool {
		if slices.Contains(changed, j.ID) {
			return true
		}
		for _, n := range j.Needs {
			if meets(byID[n.Job]) {
				return true
			}
		}
		return false
	}
	count := 0
	for _, j := range byID {
		if meets(j) {
			count++
		}
	}
	return count
}

func TestExpectedExecutedOfAChainByHand(t *testing.T) {
	deal := func(id string, inuring ...string) portfolio.Deal {
		return portfolio.Deal{ID: id, Perils: []string{"us-hurricane"}, Inuring: inuring, Terms: model.DealParams{Currency: "USD"}}
	}
	p := portfolio.Portfolio{Periods: 250, Nominal: 3, Perils: []model.Peril{model.USHurricane()}, Deals: []portfolio.Deal{deal("a"), deal("b", "a"), deal("c")}}
	for changed, want := range map[string]int{
		"a":                                      4, // a, b, their bucket, the root
		"b":                                      3,
		"c":                                      3,
		"nobody":                                 0,
		portfolio.PortfolioJob:                   1,
		portfolio.RatesJob:                       2, // no deal has two currencies
		portfolio.OccurrencesJob("us-hurricane"): 6,
	} {
		if got := portfolio.ExpectedExecuted(p, []string{changed}); got != want {
			t.Errorf("%s changed: %d jobs run, want %d", changed, got, want)
		}
	}
}
