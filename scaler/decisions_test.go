package scaler

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// decide is a decision of a pool at a second of its log.
type decidedAt struct {
	second      float64
	outstanding int
	launch      int // that the decision asks for
	launched    int // of all, that ECS has accepted by then
	limit       Limit
}

func TestDecisionsAreRecordedWhenTheyChangeAndNowAndThen(t *testing.T) {
	begin := time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)
	var log decisionLog
	var got []string
	take := func(d decidedAt) {
		decision := Decision{Pool: "rollup", Wanted: d.outstanding, Demanded: true, Counted: true, Limit: d.limit}
		if d.launch > 0 {
			decision.Launch = []Launch{{Provider: "FARGATE", Count: d.launch}}
		}
		if r, ok := log.add(begin.Add(time.Duration(d.second*float64(time.Second))), d.outstanding, d.launched, decision); ok {
			got = append(got, fmt.Sprintf("%gs %s launched %d in %d", r.At.Sub(begin).Seconds(), r.Limit, r.Launched, r.Decisions))
			if r.ExpiresAt != r.At.Add(48*time.Hour).Unix() {
				t.Errorf("the record of %s expires at %d", r.At, r.ExpiresAt)
			}
		}
	}
	for second := range 300 { // no work
		take(decidedAt{float64(second), 0, 0, 0, LimitNone})
	}
	for _, d := range []decidedAt{
		{300, 100, 40, 0, LimitPacing},
		{300.4, 100, 20, 40, LimitPacing}, // too soon: added to the next
		{300.8, 100, 0, 50, LimitPacing},
		{301, 100, 20, 50, LimitPacing}, // ten were refused, and are asked for again
		{302, 100, 30, 70, LimitNone},
	} {
		take(d)
	}
	for second := range 100 {
		take(decidedAt{303 + float64(second), 100, 0, 100, LimitNone})
	}
	take(decidedAt{403, 100, 0, 100, LimitMax})
	want := "0s none launched 0 in 1|300s pacing launched 0 in 300|301s pacing launched 50 in 3|302s none launched 20 in 1|303s none launched 30 in 1|363s none launched 0 in 60|403s max launched 0 in 40"
	if all := strings.Join(got, "|"); all != want {
		t.Errorf("recorded\n%s, want\n%s", strings.ReplaceAll(all, "|", "\n"), strings.ReplaceAll(want, "|", "\n"))
	}
}

func TestARecordOfALaunchSpeaksOfIt(t *testing.T) {
	begin := time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)
	var log decisionLog
	add := func(after time.Duration, launch int) (Decided, bool) {
		d := Decision{Pool: "rollup", Limit: LimitPacing, Reason: fmt.Sprintf("launching %d", launch)}
		if launch > 0 {
			d.Launch = []Launch{{Provider: "FARGATE", Count: launch}}
		}
		return log.add(begin.Add(after), 100, int(after/(100*time.Millisecond)), d)
	}
	add(0, 40)
	add(500*time.Millisecond, 10)
	if got, ok := add(time.Second, 0); !ok || got.Launched != 10 || got.Reason != "launching 10" {
		t.Errorf("recorded %t: %d launched, %q", ok, got.Launched, got.Reason)
	}
	add(1500*time.Millisecond, 0)
	if got, ok := add(2*time.Minute, 0); !ok || got.Reason != "launching 0" {
		t.Errorf("recorded %t: %q", ok, got.Reason)
	}
}

func known(outstanding, wanted, have int) Figures { return Figures{&outstanding, &wanted, &have} }

// A controller that has just taken over knows neither the jobs nor the workers.
func TestWhatADecisionDidNotKnowIsRecordedAsUnknown(t *testing.T) {
	o := Observation{Pools: map[string]PoolObservation{"rollup": {
		Workers: Workers{Pending: 3, ByProvider: map[string]int{"FARGATE": 3}}, // that its journal names
	}}}
	policy := Policy{Pools: []PoolPolicy{{Name: "rollup", Max: 10, Slots: 1, StaleAfter: time.Minute}}}
	var log decisionLog
	got, ok := log.add(planNow, 0, 0, Plan(planNow, o, policy)[0])
	if text, err := json.Marshal(got.Figures); !ok || err != nil || string(text) != `{"outstanding":null,"wanted":null,"have":null}` {
		t.Errorf("recorded %t: %s, %v", ok, text, err)
	}
	o.Pools["rollup"] = PoolObservation{Demand: Demand{Known: true, At: planNow}, Workers: Workers{Known: true, At: planNow}}
	got, ok = log.add(planNow.Add(time.Second), 0, 1, Plan(planNow, o, policy)[0])
	if diff := cmp.Diff(known(0, 0, 0), got.Figures); !ok || diff != "" {
		t.Errorf("recorded %t: %s", ok, diff)
	}
}

func TestDecisionsThatBelongTogetherAreOneStretch(t *testing.T) {
	begin := time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)
	record := func(second, wanted, have, launched int, limit Limit) Decided {
		return Decided{
			Pool: "rollup", At: begin.Add(time.Duration(second) * time.Second), Figures: known(10*wanted, wanted, have),
			Launched: launched, Limit: limit, Reason: fmt.Sprintf("at %d", second), Decisions: 1,
		}
	}
	got := Stretches([]Decided{
		record(0, 100, 0, 40, LimitPacing),
		record(1, 100, 40, 20, LimitPacing),
		record(2, 90, 60, 30, LimitNone),
		record(62, 90, 90, 0, LimitNone),
		record(62+121, 5, 0, 5, LimitNone), // hours later, or nearly
	})
	want := []Stretch{
		{begin, begin.Add(2 * time.Second), 2, LimitPacing, 60, known(1000, 100, 0), known(1000, 100, 40), "at 1"},
		{begin.Add(2 * time.Second), begin.Add(62 * time.Second), 2, LimitNone, 30, known(900, 90, 60), known(900, 90, 90), "at 62"},
		{begin.Add(183 * time.Second), begin.Add(183 * time.Second), 1, LimitNone, 5, known(50, 5, 0), known(50, 5, 0), "at 183"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if none := Stretches(nil); len(none) != 0 {
		t.Errorf("%+v", none)
	}
}
