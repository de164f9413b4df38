package simulate

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

// peer simulates one of the models.
func peer(t *testing.T, name string, s Scenario) Outcome {
	t.Helper()
	for _, p := range Peers() {
		if p.Name == name {
			o, err := p.Run(s)
			if err != nil {
				t.Fatal(err)
			}
			return o
		}
	}
	t.Fatalf("there is no model %s", name)
	return Outcome{}
}

func TestModelsLaunchAtTheRatesTheyAreModelsOf(t *testing.T) {
	for name, want := range map[string]float64{
		"ecs_service":       3000 / (500.0 / 60),
		"five_ecs_services": 3000 / (2500.0 / 60),
		"serial_run_task":   3000/10 - 1,
		"published_2022":    3000 / (3500 / 230.0), // the curve's last task is launched 40 s before it runs
		"published_2020":    54*60 - 40,
		"cdk_large_steps":   3000 / (500.0 / 60), // and what the metric lags
	} {
		s := exact(3000, 6000, time.Hour)
		if name == "cdk_large_steps" { // which would stop hours of work again and again
			s = exact(3000, 30_000, 2*time.Minute)
		}
		o := peer(t, name, s)
		got := seconds(t, o.SecondsToAccepted)
		if lag := got - want; name == "cdk_large_steps" && lag > 60 && lag < 180 {
			got = want // the metric is a minute old, and taken once a minute
		}
		if math.Abs(got-want) > 3 {
			t.Errorf("%s: 3,000 launched after %v s, want %v", name, *o.SecondsToAccepted, want)
		}
		if o.SecondsToFinished == nil || o.Overshoot > 0 {
			t.Errorf("%s: finished %v, overshoot %d", name, o.SecondsToFinished, o.Overshoot)
		}
	}
}

func TestStepsOfFiveAMinuteAreSlow(t *testing.T) {
	s := exact(400, 1500, time.Hour)
	s.Most = 3 * time.Hour
	o := peer(t, "cdk_queue_service", s)
	// The first step comes with the metric, a minute or two late; then there are five tasks more each minute.
	for _, p := range o.Curve {
		if p.At != time.Hour {
			continue
		}
		if p.Running < 5*57 || p.Running > 5*60 {
			t.Errorf("%d run after an hour, want 285 to 300", p.Running)
		}
		return
	}
	t.Error("the curve ends early")
}

func TestServicesStopWithTheLastJobAndStepsDoNot(t *testing.T) {
	s := exact(500, 5000, time.Minute)
	o := peer(t, "ecs_service", s)
	if seconds(t, o.SecondsToZero) != seconds(t, o.SecondsToFinished) || o.USD != o.USDToFinished {
		t.Errorf("zero after %v s, finished after %v s; %v and %v", *o.SecondsToZero, *o.SecondsToFinished, o.USD, o.USDToFinished)
	}
	o = peer(t, "cdk_queue_service", s)
	if took := seconds(t, o.SecondsToZero) - seconds(t, o.SecondsToFinished); took < 600 || took > 3600 {
		t.Errorf("scaled in within %v s", took)
	}
}

func TestAComparisonSetsModelsBesideSpate(t *testing.T) {
	r, err := Compare(t.Context(), NewScenario(100), Options{Peers: true, Runs: 3})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Policies) != 1+len(Peers()) || r.Target != 100 {
		t.Fatalf("%d policies for %d workers", len(r.Policies), r.Target)
	}
	own := r.Policies[0]
	if own.Name != "spate" || own.Model || own.Times != nil || own.Source != "" {
		t.Errorf("the first policy is %+v", own)
	}
	if between, ok := own.Range["usd"]; !ok || between[0] > float64(own.USD) || between[1] < float64(own.USD) {
		t.Errorf("cost %v of three seeds is not within %v", own.USD, between)
	}
	for _, p := range r.Policies[1:] {
		if !p.Model || p.Source == "" || p.Note == "" || p.Times == nil {
			t.Errorf("%s is not labelled: %+v", p.Name, p)
		}
		if got, want := *p.Times.USD, float64(p.USD/own.USD); got != want {
			t.Errorf("%s costs %v times as much, want %v", p.Name, got, want)
		}
	}
}

func TestMediansAreOfRunsThatCameToThat(t *testing.T) {
	f := func(finished *float64, overshoot int) Figures {
		return Figures{SecondsToFinished: finished, Overshoot: overshoot}
	}
	got, ranges, err := medians([]Figures{f(new(3.0), 1), f(nil, 2), f(new(1.0), 9)})
	if err != nil {
		t.Fatal(err)
	}
	if *got.SecondsToFinished != 3 || got.Overshoot != 2 {
		t.Errorf("medians %v and %d", *got.SecondsToFinished, got.Overshoot)
	}
	if _, ok := ranges["seconds_to_finished"]; ok || ranges["overshoot"] != [2]float64{1, 9} {
		t.Errorf("ranges %v", ranges)
	}
}

func TestAChartIsWellFormedAndNamesEachCurve(t *testing.T) {
	r, err := Compare(t.Context(), NewScenario(100), Options{Peers: true})
	if err != nil {
		t.Fatal(err)
	}
	chart := Chart(r, "100 workers & more")
	d := xml.NewDecoder(strings.NewReader(chart))
	text, lines := "", 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch x := token.(type) {
		case xml.CharData:
			text += string(x)
		case xml.StartElement:
			if x.Name.Local == "polyline" {
				lines++
			}
		}
	}
	if lines != 3+len(Peers()) {
		t.Errorf("%d curves, want three of Spate and one of each model", lines)
	}
	for _, want := range []string{"100 workers & more", "workers", "minutes", "spate: running", "model: ecs service"} {
		if !strings.Contains(text, want) {
			t.Errorf("the chart does not say %q", want)
		}
	}
}

func TestStepsOfAxesAreNice(t *testing.T) {
	for _, tc := range []struct {
		span  float64
		steps int
		want  float64
	}{{3000, 6, 500}, {38, 8, 5}, {7, 8, 1}, {0.5, 8, 0.1}, {100_000, 6, 20_000}} {
		if got := niceStep(tc.span, tc.steps); math.Abs(got-tc.want) > 1e-9 {
			t.Errorf("%v in %d steps of %v, want %v", tc.span, tc.steps, got, tc.want)
		}
	}
	if thousands(1234567) != "1,234,567" || thousands(999) != "999" {
		t.Error("thousands are set apart wrongly")
	}
}
