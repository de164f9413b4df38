package portfolio_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"spate/examples/reinsurance/portfolio"
)

func TestAnAnalysisAsksForOneDealAndWhatItNeeds(t *testing.T) {
	p, err := portfolio.Generate(portfolio.Options{Deals: 200, Seed: 4})
	if err != nil {
		t.Fatal(err)
	}
	theirs := map[string]portfolio.Job{}
	for _, j := range p.Jobs() {
		theirs[j.ID] = j
	}
	const count = 300
	asked := map[string]bool{}
	inuring := 0
	for _, a := range p.Analyses(count, 7) {
		deal := a.Jobs[len(a.Jobs)-1]
		if deal.ID != a.Deal {
			t.Fatalf("analysis %d of %s ends with job %s", a.Number, a.Deal, deal.ID)
		}
		text, err := json.Marshal(deal.Params)
		if err != nil {
			t.Fatal(err)
		}
		if asked[a.Deal+string(text)] {
			t.Errorf("analysis %d asks what another asked", a.Number)
		}
		asked[a.Deal+string(text)] = true
		before := []string{}
		for _, j := range a.Jobs {
			if same := reflect.DeepEqual(j, theirs[j.ID]); same == (j.ID == a.Deal) {
				t.Errorf("analysis %d of %s: job %s is as in the portfolio: %v", a.Number, a.Deal, j.ID, same)
			}
			for _, need := range j.Needs {
				if !slices.Contains(before, need.Job) {
					t.Errorf("analysis %d: job %s comes before %s, which it needs", a.Number, j.ID, need.Job)
				}
			}
			before = append(before, j.ID)
			if j.Task == deal.Task && j.ID != a.Deal {
				inuring++
			}
		}
		var file bytes.Buffer
		if err := a.Write(&file); err != nil {
			t.Fatal(err)
		}
		var run struct {
			Name, Pool string
			Labels     map[string]string
			Jobs       []json.RawMessage
		}
		if err := json.Unmarshal(file.Bytes(), &run); err != nil || run.Name == "" || run.Pool != portfolio.AnalysisPool ||
			len(run.Jobs) != len(a.Jobs) || run.Labels["deal"] != a.Deal {
			t.Errorf("analysis %d is written as %+v, %v", a.Number, run, err)
		}
	}
	if len(asked) != count || inuring == 0 {
		t.Errorf("%d analyses, %d inuring deals among their jobs", len(asked), inuring)
	}
	if !reflect.DeepEqual(p.Analyses(5, 7), p.Analyses(count, 7)[:5]) {
		t.Error("the same seed asks something else")
	}
}
