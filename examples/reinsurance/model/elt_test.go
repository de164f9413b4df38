package model_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spate/examples/reinsurance/model"
)

const (
	catalogue   = "occurrences-us-hurricane/events.csv"
	eventHeader = "EventId,EventRate,MeanLoss,SDLoss,MaxLoss\n"
	someCatalog = eventHeader + "1,0.7,900,0,0\n3,0.3,5000,0,0\n4,0.1,9000,0,0\n5,0.001,20000,0,0\n"
	ownDeal     = `{"attachment":100,"limit":500,"share":0.5,"currency":"EUR","inuring_priority":2,"periods":250}`
)

func TestADealIsPricedOnItsCedantsOwnEventLosses(t *testing.T) {
	// Events 1, 3 and 4 happen. The table has no event 1; the loss of event 4 is known and cut; event 5 does not happen.
	code, message, out := job(t, "price-deal", ownDeal, map[string]string{
		hurricanes: someEvents, catalogue: someCatalog,
		"elt.csv":                eventHeader + "3,0.3,250,0,0\n4,0.1,800,0,0\n5,0.001,9999,0,0\n",
		"inuring-1-1/losses.csv": lossHeader + "2,2250100,EUR,300,0\n",
	})
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, message)
	}
	// (250 − 100)·½ and (800 − 300 − 100)·½, in the deal's currency although the occurrences are in dollars.
	if got, want := text(t, out, "losses.csv"), lossHeader+"2,2210100,EUR,75,0\n2,2250100,EUR,200,0\n"; got != want {
		t.Errorf("losses.csv:\n%swant\n%s", got, want)
	}
}

func TestOwnEventLossesHaveTheirMomentsAndAreSharedInAGroup(t *testing.T) {
	const periods = 20_000
	occurrences := simulate(t, periods)
	elt := []model.Event{{ID: 1, Rate: 0.71, Mean: 50_000_000, SD: 60_000_000}, {ID: 3, Rate: 0.36, Mean: 90_000_000, SD: 30_000_000, Max: 120_000_000}}
	deal := func(group uint64, attachment int64) map[int64]int64 {
		params := model.DealParams{
			Terms: model.Terms{Attachment: attachment, Limit: 1e12, Share: 1}, Currency: "USD",
			Uncertainty: &model.Uncertainty{Seed: 3, Group: group}, Periods: periods,
		}
		paid := map[int64]int64{}
		for _, l := range price(t, params, model.Cover{Occurrences: occurrences, ELT: elt}) {
			paid[l.Occurrence] = l.Loss
		}
		return paid
	}
	ground, upper, other := deal(17, 0), deal(17, 60_000_000), deal(18, 0)
	var count, sum, differ, cut float64
	for _, o := range occurrences {
		loss := ground[o.ID]
		if want := max(loss-60_000_000, 0); upper[o.ID] != want {
			t.Fatalf("occurrence %d: %d above 60 million of %d, want %d", o.ID, upper[o.ID], loss, want)
		}
		switch o.Event {
		case 1:
			count++
			sum += float64(loss)
			if loss != other[o.ID] {
				differ++
			}
		case 3:
			if loss > 120_000_000 {
				t.Fatalf("loss %d is above the largest", loss)
			}
			if loss == 120_000_000 {
				cut++
			}
		default:
			if loss != 0 {
				t.Fatalf("event %d, which the table has not, costs %d", o.Event, loss)
			}
		}
	}
	near(t, "mean loss of event 1", sum/count, 50e6, 4*60e6/math.Sqrt(count))
	if differ < 0.99*count || cut == 0 {
		t.Errorf("%v of %v losses differ between groups, %v are the largest", differ, count, cut)
	}
}

func TestEventLossesThatDoNotFitTheCatalogueAreAllListed(t *testing.T) {
	inputs := func(elt string) map[string]string {
		return map[string]string{hurricanes: someEvents, catalogue: someCatalog, "elt.csv": elt}
	}
	without := func(name string, inputs map[string]string) map[string]string { delete(inputs, name); return inputs }
	with := func(name, content string, inputs map[string]string) map[string]string {
		inputs[name] = content
		return inputs
	}
	fine := eventHeader + "3,0.3,250,0,0\n"
	deal := func(more string) string { return strings.TrimSuffix(ownDeal, "}") + more + "}" }
	for name, test := range map[string]struct {
		params string
		inputs map[string]string
		want   []string
	}{
		"rows": {ownDeal, inputs(eventHeader + strings.Join([]string{
			"1,0.70001,250,0,0", // the same rate, rounded
			"2,0.3,250,0,0",
			"3,0.31,250,0,0",
			"4,0.1,NaN,+Inf,0",
			"4,0.1,250,0,249",
			"5,0.001,250,0",
			"77,0.1,250,0,0",
			"77,0.1,250,0,0",
		}, "\n") + "\n"), []string{
			`elt.csv:3:1: EventId "2" is not in the catalogue of us-hurricane`,
			`elt.csv:4:3: EventRate "0.31" is not the catalogue's, 0.3: are both of one version of the model?`,
			`elt.csv:5:7: MeanLoss "NaN" is not a finite number`,
			`elt.csv:5:11: SDLoss "+Inf" is not a finite number`,
			`elt.csv:6:13: MaxLoss "249" is below the mean, 250`,
			`elt.csv:7:1: 4 columns, want 5 (EventId,EventRate,MeanLoss,SDLoss,MaxLoss)`,
			`elt.csv:8:1: EventId "77" is not in the catalogue of us-hurricane`,
			`elt.csv:9:1: event 77 does not come after event 77: rows must ascend`,
		}},
		"no rows":         {ownDeal, inputs(eventHeader), []string{"elt.csv: has no events"}},
		"no catalogue":    {ownDeal, without(catalogue, inputs(fine)), []string{"elt.csv: cannot be checked: there is no " + catalogue}},
		"one event twice": {ownDeal, with("occurrences-x/events.csv", eventHeader+"3,1,1,0,0\n", inputs(fine)), []string{"occurrences-x/events.csv:2:1: event 3 is in the catalogue of another peril, too"}},
		"market share":    {deal(`,"market_share":0.1`), inputs(fine), []string{"params.json: market_share 0.1 beside elt.csv, which holds the cedant's own losses: leave one out"}},
		"variation":       {deal(`,"uncertainty":{"seed":1,"variation":0.5,"group":1}`), inputs(fine), []string{"params.json: variation 0.5 beside elt.csv, which has a standard deviation for each event: leave one out"}},
		"nothing to draw": {ownDeal, inputs(eventHeader + "3,0.3,250,1,0\n"), []string{"params.json: no uncertainty, whose seed and group draw the losses of elt.csv around their means"}},
	} {
		code, message, _ := job(t, "price-deal", test.params, test.inputs)
		got := strings.Split(strings.TrimPrefix(message, "price-deal: "), "\n")
		if diff := cmp.Diff(test.want, got); diff != "" || code != 65 {
			t.Errorf("%s: exit code %d\n%s", name, code, diff)
		}
	}
}

func TestAPerilWritesItsCatalogue(t *testing.T) {
	params := `{"seed":1,"periods":300,"peril":{"name":"x","number":1,"currency":"USD","first_day":1,"last_day":365,` +
		`"events":[{"event":1,"rate":1,"mean":100,"sd":5},{"event":9,"rate":0.000001,"mean":1,"sd":0,"max":2}]}}`
	code, message, out := job(t, "simulate-events", params, nil)
	if got, want := text(t, out, "events.csv"), eventHeader+"1,1,100,5,0\n9,0.000001,1,0,2\n"; code != 0 || got != want {
		t.Errorf("exit code %d %s\n%swant\n%s", code, message, got, want)
	}
	occurrences, err := model.ReadOccurrences("f.csv", []byte(text(t, out, "occurrences.csv")), 300)
	if err != nil || slices.ContainsFunc(occurrences, func(o model.Occurrence) bool { return o.Event == 9 }) {
		t.Errorf("error %v, or one in a million years happens", err)
	}
}
