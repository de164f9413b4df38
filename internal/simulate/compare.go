package simulate

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"spate/scaler"
)

// Report is what came of simulating a scenario.
type Report struct {
	Target   int      `json:"target"` // workers that the jobs are worth
	Policies []Policy `json:"policies"`
}

// Policy is one way to launch workers, and what it makes of the scenario.
type Policy struct {
	Name      string   `json:"name"`
	Providers []string `json:"providers"`
	Figures
	// Range has, of figures that differ between runs, the least and the greatest; the figures themselves are medians then.
	Range map[string][2]float64 `json:"range,omitempty"`
	// Model says that this is no program but a model of one, whose figures come from Source; Note is what it takes for granted.
	Model  bool   `json:"model"`
	Source string `json:"source,omitempty"`
	Note   string `json:"note,omitempty"`
	Times  *Times `json:"times_spate,omitempty"`
	// Held is for how many seconds each limit held the launcher back until the last job was done; it and the curve are of
	// the first run.
	Held  map[scaler.Limit]float64 `json:"held_seconds,omitempty"`
	Curve []Point                  `json:"-"`
}

// Times is how many times Spate's figures those of a model are; none where either has none.
type Times struct {
	SecondsToAccepted *float64 `json:"seconds_to_accepted"`
	SecondsToMost     *float64 `json:"seconds_to_most_running"`
	SecondsToFinished *float64 `json:"seconds_to_finished"`
	USDToFinished     *float64 `json:"usd_to_finished"`
	USD               *float64 `json:"usd"`
}

// Options say what to simulate beside Spate itself, and how often.
type Options struct {
	// Runs is how often each policy is simulated, with the scenario's seed and those after it; 0 is 1.
	Runs int
	// Peers adds the models of what others do.
	Peers bool
	// Progress is told what is simulated, and how many of so many simulations are done. Optional.
	Progress func(what string, done, of int)
}

// How long models are simulated: some never end, as they stop workers that have jobs again and again.
const (
	peersAtLeast = 12 * time.Hour
	peersAtMost  = 4 // times what Spate takes
)

// Compare simulates a scenario. When the context ends, it stops before the next simulation.
func Compare(ctx context.Context, s Scenario, o Options) (Report, error) {
	if err := s.Validate(); err != nil {
		return Report{}, err
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	o.Runs = max(1, o.Runs)
	peers := []Peer{}
	if o.Peers {
		peers = Peers()
	}
	done, of := 0, (1+len(peers))*o.Runs
	tell := o.Progress
	o.Progress = func(what string, _, _ int) { tell(what, done, of); done++ }
	report := Report{Target: s.Target()}
	own, err := often(ctx, s, o, Policy{Name: "spate"}, Run)
	if err != nil {
		return Report{}, err
	}
	report.Policies = append(report.Policies, own)
	if len(own.Curve) > 0 {
		s.Most = min(s.Most, max(peersAtLeast, peersAtMost*own.Curve[len(own.Curve)-1].At))
	}
	for _, peer := range peers {
		p, err := often(ctx, s, o, Policy{Name: peer.Name, Model: true, Source: peer.Source, Note: peer.Note}, peer.Run)
		if err != nil {
			return Report{}, err
		}
		p.Times = timesOf(p.Figures, own.Figures)
		report.Policies = append(report.Policies, p)
	}
	return report, nil
}

// often simulates a policy as often as asked for.
func often(ctx context.Context, s Scenario, o Options, p Policy, run func(Scenario) (Outcome, error)) (Policy, error) {
	all := make([]Figures, 0, o.Runs)
	for i := range o.Runs {
		if err := ctx.Err(); err != nil {
			return Policy{}, err
		}
		o.Progress("simulating "+p.Name, 0, 0)
		seeded := s
		seeded.Seed += uint64(i)
		outcome, err := run(seeded)
		if err != nil {
			return Policy{}, fmt.Errorf("simulate %s: %w", p.Name, err)
		}
		all = append(all, outcome.Figures)
		if i == 0 {
			p.Curve = outcome.Curve
			p.Held = make(map[scaler.Limit]float64, len(outcome.Held))
			for limit, long := range outcome.Held {
				p.Held[limit] = long.Seconds()
			}
		}
	}
	p.Providers = s.Providers
	var err error
	p.Figures, p.Range, err = medians(all)
	return p, err
}

// medians are those of each figure, and the ranges of those that differ. Of an even number the lower one in the middle is
// taken; a run that has no such figure counts as having a very large one.
func medians(all []Figures) (Figures, map[string][2]float64, error) {
	if len(all) == 1 {
		return all[0], nil, nil
	}
	values := map[string][]*float64{}
	for _, f := range all {
		text, err := json.Marshal(f)
		if err != nil {
			return Figures{}, nil, fmt.Errorf("encode figures: %w", err)
		}
		var named map[string]*float64
		if err := json.Unmarshal(text, &named); err != nil {
			return Figures{}, nil, fmt.Errorf("read figures: %w", err)
		}
		for name, value := range named {
			values[name] = append(values[name], value)
		}
	}
	middle, ranges := map[string]*float64{}, map[string][2]float64{}
	for name, of := range values {
		slices.SortFunc(of, func(a, b *float64) int {
			if a == nil || b == nil {
				return cmp.Compare(boolToInt(a == nil), boolToInt(b == nil))
			}
			return cmp.Compare(*a, *b)
		})
		middle[name] = of[(len(of)-1)/2]
		if first, last := of[0], of[len(of)-1]; first != nil && last != nil && *first != *last {
			ranges[name] = [2]float64{*first, *last}
		}
	}
	text, err := json.Marshal(middle)
	if err != nil {
		return Figures{}, nil, fmt.Errorf("encode medians: %w", err)
	}
	var f Figures
	if err := json.Unmarshal(text, &f); err != nil {
		return Figures{}, nil, fmt.Errorf("read medians: %w", err)
	}
	return f, ranges, nil
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// timesOf compares a model's figures with Spate's.
func timesOf(theirs, own Figures) *Times {
	times := func(a, b *float64) *float64 {
		if a == nil || b == nil || *b == 0 {
			return nil
		}
		return new(*a / *b)
	}
	usd := func(a, b float64) *float64 { return times(&a, &b) }
	return &Times{
		SecondsToAccepted: times(theirs.SecondsToAccepted, own.SecondsToAccepted), SecondsToMost: times(theirs.SecondsToMost, own.SecondsToMost),
		SecondsToFinished: times(theirs.SecondsToFinished, own.SecondsToFinished),
		USDToFinished:     usd(float64(theirs.USDToFinished), float64(own.USDToFinished)), USD: usd(float64(theirs.USD), float64(own.USD)),
	}
}
